//! Makers of phones under test roots: real certificates, real signatures, and whatever field a test wants wrong.
//!
//! Also built into the end-to-end tests, where `the_phones_secure_chip` attests with it; so it knows nothing of this crate.

use paraphe_proto::ids::ActivationId;
use paraphe_proto::jwk::PublicKey;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, DnType, IsCa, KeyPair,
    KeyUsagePurpose, PublicKeyData, SignatureAlgorithm, date_time_ymd,
};
use yasna::{DERWriter, Tag};

pub const PACKAGE: &str = "example.paraphe.app";
pub const SIGNED_BY: [u8; 32] = [0x5a; 32];
pub const APP_ID: &str = "ABCDE12345.example.paraphe";

const KEY_DESCRIPTION: [u64; 10] = [1, 3, 6, 1, 4, 1, 11129, 2, 1, 17];
const APPLE_NONCE: [u64; 7] = [1, 2, 840, 113_635, 100, 8, 2];

/// A root, and the authority below it that attests.
pub struct Maker {
    pub root: CertifiedIssuer<'static, KeyPair>,
    pub middle: CertifiedIssuer<'static, KeyPair>,
}

impl Maker {
    /// P-384 all along, like Apple and Google's newer root.
    pub fn new() -> Self {
        Self::of(&rcgen::PKCS_ECDSA_P384_SHA384)
    }

    pub fn of(algorithm: &'static SignatureAlgorithm) -> Self {
        let key = || KeyPair::generate_for(algorithm).unwrap();
        Self::under(key(), key())
    }

    pub fn under(root: KeyPair, middle: KeyPair) -> Self {
        let root = CertifiedIssuer::self_signed(authority("Test root"), root).unwrap();
        let middle = CertifiedIssuer::signed_by(authority("Test authority"), middle, &root).unwrap();
        Self { root, middle }
    }

    /// A key that the authority has attested, with this extension; and the chain, the key's certificate first.
    pub fn attest(&self, key: &impl PublicKeyData, extension: CustomExtension) -> Vec<Vec<u8>> {
        let mut params = end_entity("Attested key");
        params.custom_extensions.push(extension);
        let leaf = params.signed_by(key, &self.middle).unwrap();
        [
            leaf.der().to_vec(),
            self.middle.der().to_vec(),
            self.root.der().to_vec(),
        ]
        .into()
    }
}

pub fn authority(name: &str) -> CertificateParams {
    let mut params = end_entity(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

pub fn end_entity(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2045, 1, 1));
    params
}

/// A public key that somebody else holds.
pub struct Held(pub [u8; 65]);

impl From<&PublicKey> for Held {
    fn from(key: &PublicKey) -> Self {
        Self(*key.as_sec1())
    }
}

impl PublicKeyData for Held {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

/// Entries of an `AuthorizationList`: tag and value.
pub type List = Vec<(u64, Vec<u8>)>;

/// What Android says of a key; as it should be, until a test changes it.
#[derive(Clone)]
pub struct Description {
    pub version: u32,
    pub attestation_level: i64,
    pub key_level: i64,
    pub challenge: Vec<u8>,
    pub software: List,
    pub hardware: List,
}

impl Description {
    /// Of a key made for an activation, by the app, in the trusted environment of a locked and verified device.
    pub fn of(iss: &str, activation_id: &ActivationId) -> Self {
        let hardware = [
            (1, der(|w| w.write_set_of(|w| w.next().write_u32(2)))),
            (2, number(3)),
            (3, number(256)),
            (10, number(1)),
            (503, der(|w| w.write_null())),
            (702, number(0)),
            (704, root_of_trust(true, 0)),
            (705, number(160_000)),
            (706, number(202_610)),
        ];
        Self {
            version: 300,
            attestation_level: 1,
            key_level: 1,
            challenge: paraphe_proto::attestation::challenge(iss, activation_id).to_vec(),
            software: [
                (701, number(1_795_000_000_000)),
                (709, application(&[PACKAGE], &[SIGNED_BY])),
            ]
            .into(),
            hardware: hardware.into(),
        }
    }

    /// Another value of one entry of what the hardware enforces.
    pub fn hardware(mut self, tag: u64, value: Vec<u8>) -> Self {
        self.hardware.retain(|(known, _)| *known != tag);
        self.hardware.push((tag, value));
        self
    }

    /// Without one entry of what the hardware enforces.
    pub fn without(mut self, tag: u64) -> Self {
        self.hardware.retain(|(known, _)| *known != tag);
        self
    }

    /// What the operating system says of the app.
    pub fn application(mut self, packages: &[&str], digests: &[[u8; 32]]) -> Self {
        self.software.retain(|(tag, _)| *tag != 709);
        self.software.push((709, application(packages, digests)));
        self
    }

    pub fn encode(&self) -> Vec<u8> {
        let list = |w: DERWriter<'_>, list: &List| {
            w.write_sequence(|w| {
                for (tag, value) in list {
                    w.next().write_tagged(Tag::context(*tag), |w| w.write_der(value));
                }
            });
        };
        der(|w| {
            w.write_sequence(|w| {
                w.next().write_u32(self.version);
                w.next().write_enum(self.attestation_level);
                w.next().write_u32(self.version);
                w.next().write_enum(self.key_level);
                w.next().write_bytes(&self.challenge);
                w.next().write_bytes(&[]);
                list(w.next(), &self.software);
                list(w.next(), &self.hardware);
            });
        })
    }

    pub fn extension(&self) -> CustomExtension {
        CustomExtension::from_oid_content(&KEY_DESCRIPTION, self.encode())
    }

    /// The chain of a key with this description, as a phone sends it.
    pub fn attest(&self, maker: &Maker, key: &PublicKey) -> Vec<u8> {
        maker.attest(&Held::from(key), self.extension()).concat()
    }
}

pub fn der(write: impl FnOnce(DERWriter<'_>)) -> Vec<u8> {
    yasna::construct_der(write)
}

pub fn number(value: i64) -> Vec<u8> {
    der(|w| w.write_i64(value))
}

pub fn root_of_trust(locked: bool, state: i64) -> Vec<u8> {
    der(|w| {
        w.write_sequence(|w| {
            w.next().write_bytes(&[1; 32]);
            w.next().write_bool(locked);
            w.next().write_enum(state);
            w.next().write_bytes(&[2; 32]);
        });
    })
}

/// `AttestationApplicationId` in its octet string.
pub fn application(packages: &[&str], digests: &[[u8; 32]]) -> Vec<u8> {
    let id = der(|w| {
        w.write_sequence(|w| {
            w.next().write_set_of(|w| {
                for package in packages {
                    w.next().write_sequence(|w| {
                        w.next().write_bytes(package.as_bytes());
                        w.next().write_i64(7);
                    });
                }
            });
            w.next()
                .write_set_of(|w| digests.iter().for_each(|digest| w.next().write_bytes(digest)));
        });
    });
    der(|w| w.write_bytes(&id))
}

/// What App Attest says; as it should be, until a test changes it.
pub struct AppAttest {
    pub app_id: String,
    pub flags: u8,
    pub counter: u32,
    pub aaguid: [u8; 16],
    /// Of another key than the attested one.
    pub credential_id: Option<Vec<u8>>,
    /// Another key in the authenticator data.
    pub public_key: Option<[u8; 65]>,
    pub client_data_sha256: [u8; 32],
    pub format: &'static str,
    pub after: Vec<u8>,
}

impl AppAttest {
    /// Of a new key of the app, in production.
    pub fn over(client_data_sha256: [u8; 32]) -> Self {
        Self {
            app_id: APP_ID.to_owned(),
            flags: 0x40,
            counter: 0,
            aaguid: *b"appattest\0\0\0\0\0\0\0",
            credential_id: None,
            public_key: None,
            client_data_sha256,
            format: "apple-appattest",
            after: Vec::new(),
        }
    }

    /// The attestation object as `attestKey` gives it.
    pub fn attest(&self, maker: &Maker) -> Vec<u8> {
        let key = KeyPair::generate().unwrap();
        let auth_data = self.auth_data(key.der_bytes());
        let nonce = sha256(&[auth_data.as_slice(), &self.client_data_sha256].concat());
        let extension = der(|w| {
            w.write_sequence(|w| w.next().write_tagged(Tag::context(1), |w| w.write_bytes(&nonce)));
        });
        let mut chain = maker.attest(&key, CustomExtension::from_oid_content(&APPLE_NONCE, extension));
        chain.pop();
        object(self.format, chain, auth_data)
    }

    fn auth_data(&self, attested: &[u8]) -> Vec<u8> {
        let id = self
            .credential_id
            .clone()
            .unwrap_or_else(|| sha256(attested).to_vec());
        let point = self.public_key.as_ref().map_or(attested, |key| key.as_slice());
        let (x, y) = (point[1..33].to_vec(), point[33..].to_vec());
        let member = |label: i64, value: ciborium::Value| (label.into(), value);
        let key = ciborium::Value::Map(vec![
            member(1, 2.into()),
            member(3, (-7).into()),
            member(-1, 1.into()),
            member(-2, x.into()),
            member(-3, y.into()),
        ]);
        let mut cose = Vec::new();
        ciborium::into_writer(&key, &mut cose).unwrap();
        let length = u16::try_from(id.len()).unwrap().to_be_bytes();
        let mut data = sha256(self.app_id.as_bytes()).to_vec();
        data.push(self.flags);
        data.extend(self.counter.to_be_bytes());
        data.extend(self.aaguid);
        for part in [&length, id.as_slice(), &cose, &self.after] {
            data.extend(part);
        }
        data
    }
}

/// An attestation object around anything.
pub fn object(format: &str, chain: Vec<Vec<u8>>, auth_data: Vec<u8>) -> Vec<u8> {
    let text = |text: &str| ciborium::Value::from(text);
    let chain = chain.into_iter().map(ciborium::Value::from).collect();
    let statement = vec![
        (text("x5c"), ciborium::Value::Array(chain)),
        (text("receipt"), vec![0x30; 2_000].into()),
    ];
    let object = ciborium::Value::Map(vec![
        (text("fmt"), text(format)),
        (text("attStmt"), ciborium::Value::Map(statement)),
        (text("authData"), auth_data.into()),
    ]);
    let mut bytes = Vec::new();
    ciborium::into_writer(&object, &mut bytes).unwrap();
    bytes
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    digest.as_ref().try_into().unwrap()
}
