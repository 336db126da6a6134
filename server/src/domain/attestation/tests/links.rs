//! The links of a chain: each signature, each validity, who may sign, and where it ends.

use rcgen::{BasicConstraints, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose, date_time_ymd};

use super::makers::{Description, Held, Maker, authority, end_entity};
use super::*;

/// An RSA root, as Google's first one is.
const RSA_ROOT: &str = include_str!("rsa_test_root.pem");

fn attested(maker: &Maker, possession: &SoftwareKey) -> Vec<Vec<u8>> {
    let description = Description::of(ISS, &stated(possession).activation_id);
    maker.attest(&Held::from(possession.public_key()), description.extension())
}

fn verdict(maker: &Maker, possession: &SoftwareKey, chain: &[Vec<u8>]) -> Result<(), ChainError> {
    verdict_at(maker, possession, chain, NOW)
}

fn verdict_at(
    maker: &Maker,
    possession: &SoftwareKey,
    chain: &[Vec<u8>],
    now: Timestamp,
) -> Result<(), ChainError> {
    match verify(&stated(possession), &chain.concat(), &rules(maker), now) {
        Ok(_) => Ok(()),
        Err(AttestationError::Chain(error)) => Err(error),
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_chain_ends_at_the_root_with_or_without_a_copy_of_it() {
    let (maker, possession) = (Maker::new(), key());
    let chain = attested(&maker, &possession);
    assert_eq!(verdict(&maker, &possession, &chain), Ok(()));
    assert_eq!(verdict(&maker, &possession, &chain[..2]), Ok(()));
    assert_eq!(
        verdict(&maker, &possession, &chain[..1]),
        Err(ChainError::UnknownRoot)
    );
    let middle_missing = [chain[0].clone(), chain[2].clone()];
    assert_eq!(
        verdict(&maker, &possession, &middle_missing),
        Err(ChainError::UnknownRoot)
    );
    let turned = [chain[0].clone(), chain[2].clone(), chain[1].clone()];
    assert_eq!(
        verdict(&maker, &possession, &turned),
        Err(ChainError::Signature(0))
    );
}

#[test]
fn a_root_that_nobody_configured_is_refused() {
    let (maker, other, possession) = (Maker::new(), Maker::new(), key());
    let chain = attested(&other, &possession);
    assert_eq!(verdict(&maker, &possession, &chain), Err(ChainError::UnknownRoot));
    assert_eq!(
        verdict(&maker, &possession, &chain[..2]),
        Err(ChainError::UnknownRoot)
    );
    // The right root behind it does not help.
    let mut dressed = chain.clone();
    dressed[2] = maker.root.der().to_vec();
    assert_eq!(
        verdict(&maker, &possession, &dressed),
        Err(ChainError::UnknownRoot)
    );
}

#[test]
fn a_signature_that_is_wrong_in_any_link_is_refused() {
    let (maker, possession) = (Maker::new(), key());
    let chain = attested(&maker, &possession);
    let broken = |number: usize| {
        let mut chain = chain.clone();
        *chain[number].last_mut().unwrap() ^= 1;
        verdict(&maker, &possession, &chain)
    };
    assert_eq!(broken(0), Err(ChainError::Signature(0)));
    assert_eq!(
        broken(1),
        Err(ChainError::UnknownRoot),
        "the root has not signed it"
    );
}

#[test]
fn each_link_must_be_valid_now() {
    let possession = key();
    let new = || KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let dated = |name: &str, from, until| {
        let mut params = authority(name);
        (params.not_before, params.not_after) = (from, until);
        params
    };
    let past = || (date_time_ymd(2020, 1, 1), date_time_ymd(2026, 1, 1));
    let future = || (date_time_ymd(2027, 1, 1), date_time_ymd(2045, 1, 1));
    for (from, until) in [past(), future()] {
        let good = Maker::new();
        let middle = CertifiedIssuer::signed_by(dated("Middle", from, until), new(), &good.root).unwrap();
        let maker = Maker {
            root: good.root,
            middle,
        };
        let chain = attested(&maker, &possession);
        assert_eq!(
            verdict(&maker, &possession, &chain),
            Err(ChainError::NotValidNow(1))
        );

        let root = CertifiedIssuer::self_signed(dated("Root", from, until), new()).unwrap();
        let middle = CertifiedIssuer::signed_by(authority("Middle"), new(), &root).unwrap();
        let maker = Maker { root, middle };
        let chain = attested(&maker, &possession);
        assert_eq!(
            verdict(&maker, &possession, &chain),
            Err(ChainError::UnknownRoot),
            "a root that has expired"
        );

        let maker = Maker::new();
        let mut leaf = end_entity("Attested key");
        (leaf.not_before, leaf.not_after) = (from, until);
        let description = Description::of(ISS, &stated(&possession).activation_id);
        leaf.custom_extensions.push(description.extension());
        let leaf = leaf
            .signed_by(&Held::from(possession.public_key()), &maker.middle)
            .unwrap();
        let chain = [leaf.der().to_vec(), maker.middle.der().to_vec()];
        assert_eq!(
            verdict(&maker, &possession, &chain),
            Err(ChainError::NotValidNow(0))
        );
    }
    let maker = Maker::new();
    let chain = attested(&maker, &possession);
    for (second, expected) in [
        (1_577_836_799, false),
        (1_577_836_800, true),
        (2_366_841_600, true),
        (2_366_841_601, false),
    ] {
        let verdict = verdict_at(&maker, &possession, &chain, Timestamp::from_secs(second));
        assert_eq!(verdict.is_ok(), expected, "{second}");
    }
}

/// Phones carry the copy of the root of the year they were made; what counts is the operator's own.
#[test]
fn an_expired_copy_of_a_configured_root_does_no_harm() {
    let (maker, possession) = (Maker::new(), key());
    let mut old = authority("Test root");
    (old.not_before, old.not_after) = (date_time_ymd(2016, 5, 26), date_time_ymd(2026, 5, 24));
    let old = old.self_signed(maker.root.key()).unwrap();
    let mut chain = attested(&maker, &possession);
    chain[2] = old.der().to_vec();
    assert_eq!(verdict(&maker, &possession, &chain), Ok(()));
}

#[test]
fn nobody_but_an_authority_signs() {
    let possession = key();
    let under = |change: &dyn Fn(&mut rcgen::CertificateParams)| {
        let good = Maker::new();
        let mut params = authority("Middle");
        change(&mut params);
        let middle = CertifiedIssuer::signed_by(params, KeyPair::generate().unwrap(), &good.root).unwrap();
        let maker = Maker {
            root: good.root,
            middle,
        };
        verdict(&maker, &possession, &attested(&maker, &possession))
    };
    assert_eq!(under(&|_| ()), Ok(()));
    assert_eq!(
        under(&|params| params.is_ca = IsCa::NoCa),
        Err(ChainError::NotAnAuthority(1))
    );
    assert_eq!(
        under(&|params| params.is_ca = IsCa::ExplicitNoCa),
        Err(ChainError::NotAnAuthority(1))
    );
    let signs_data = |params: &mut rcgen::CertificateParams| {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    };
    assert_eq!(under(&signs_data), Err(ChainError::NotAnAuthority(1)));
    let unknown = |params: &mut rcgen::CertificateParams| {
        let mut extension = rcgen::CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
        extension.set_criticality(true);
        params.custom_extensions.push(extension);
    };
    assert_eq!(under(&unknown), Err(ChainError::CriticalExtension(1)));
}

#[test]
fn an_authority_signs_no_deeper_than_it_may() {
    let possession = key();
    let new = || KeyPair::generate().unwrap();
    let below = |most: u8| {
        let good = Maker::new();
        let mut params = authority("Upper");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(most));
        let upper = CertifiedIssuer::signed_by(params, new(), &good.root).unwrap();
        let middle = CertifiedIssuer::signed_by(authority("Lower"), new(), &upper).unwrap();
        let maker = Maker {
            root: good.root,
            middle,
        };
        let mut chain = attested(&maker, &possession);
        chain[2] = upper.der().to_vec();
        verdict(&maker, &possession, &chain)
    };
    assert_eq!(below(1), Ok(()));
    assert_eq!(below(0), Err(ChainError::NotAnAuthority(2)));
}

#[test]
fn each_algorithm_that_makers_use_verifies() {
    let possession = key();
    let of = |algorithm| KeyPair::generate_for(algorithm).unwrap();
    let rsa = || KeyPair::from_pkcs8_pem_and_sign_algo(RSA_ROOT, &rcgen::PKCS_RSA_SHA256).unwrap();
    let makers = [
        Maker::under(rsa(), of(&rcgen::PKCS_ECDSA_P256_SHA256)),
        Maker::under(
            of(&rcgen::PKCS_ECDSA_P256_SHA256),
            of(&rcgen::PKCS_ECDSA_P384_SHA384),
        ),
        Maker::under(of(&rcgen::PKCS_ECDSA_P384_SHA384), rsa()),
    ];
    for (number, maker) in makers.iter().enumerate() {
        let mut chain = attested(maker, &possession);
        assert_eq!(verdict(maker, &possession, &chain), Ok(()), "{number}");
        let middle = chain[1].len() - 9;
        chain[1][middle] ^= 1;
        assert_eq!(
            verdict(maker, &possession, &chain),
            Err(ChainError::UnknownRoot),
            "{number}"
        );
    }
    let ed25519 = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let maker = Maker::under(of(&rcgen::PKCS_ECDSA_P384_SHA384), ed25519);
    let chain = attested(&maker, &possession);
    assert_eq!(
        verdict(&maker, &possession, &chain),
        Err(ChainError::Signature(0))
    );
}

#[test]
fn a_revoked_certificate_ends_the_chain() {
    let (maker, possession) = (Maker::new(), key());
    let chain = attested(&maker, &possession);
    let parsed = chain::split(&chain[1]).unwrap();
    let serial = data_encoding::HEXLOWER.encode(parsed[0].raw_serial());
    let mut rules = rules(&maker);
    let revoked = &mut rules.android.as_mut().unwrap().revoked;
    revoked.insert("00".to_owned());
    let verdict = |rules: &Rules| verify(&stated(&possession), &chain.concat(), rules, NOW).err();
    assert_eq!(verdict(&rules), None);
    rules
        .android
        .as_mut()
        .unwrap()
        .revoked
        .insert(serial.trim_start_matches('0').to_owned());
    assert_eq!(
        verdict(&rules),
        Some(AttestationError::Chain(ChainError::Revoked(1)))
    );
}

#[test]
fn a_chain_of_more_than_eight_is_not_looked_at() {
    let (maker, possession) = (Maker::new(), key());
    let mut chain = attested(&maker, &possession);
    let root = chain[2].clone();
    chain.extend(std::iter::repeat_n(root, 6));
    assert_eq!(verdict(&maker, &possession, &chain), Err(ChainError::Length));
}

#[test]
fn only_a_root_is_configured_as_one() {
    let maker = Maker::new();
    assert!(Root::parse(maker.root.der()).is_ok());
    assert!(
        Root::parse(maker.middle.der())
            .unwrap_err()
            .contains("subject and issuer differ")
    );
    let mut broken = maker.root.der().to_vec();
    *broken.last_mut().unwrap() ^= 1;
    assert!(
        Root::parse(&broken)
            .unwrap_err()
            .contains("not signed by its own key")
    );
    let selfish = end_entity("Nobody")
        .self_signed(&KeyPair::generate().unwrap())
        .unwrap();
    assert!(
        Root::parse(selfish.der())
            .unwrap_err()
            .contains("not a certificate authority")
    );
    let behind = [maker.root.der().as_ref(), b"x"].concat();
    assert!(
        Root::parse(&behind)
            .unwrap_err()
            .contains("not an X.509 certificate")
    );
}
