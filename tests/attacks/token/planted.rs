//! Keys that somebody put on the token before the daemon looked: none of them becomes an issuer key.

use super::rotation::{kid, labels, with};
use super::softhsm::SoftHsm;
use super::world;
use crate::daemon::{DEMONSTRATION, Daemon};
use crate::rotation::{follow, jwks, keys, refused};

/// Who ran code as the daemon's user for a moment knows the PIN and the labels of the next rotation.
#[tokio::test(flavor = "multi_thread")]
async fn a_planted_key_is_never_taken_by_a_rotation() {
    let (token, world) = world().await;
    let old = jwks(&world.daemon);
    for label in ["challenge-key-2", "assertion-key-2"] {
        token.plant(label);
        let listed = token.listed(label);
        assert!(
            listed.contains("sensitive") && !listed.contains("local"),
            "{listed}"
        );
        let said = refused(&world.daemon, &["next"], "keys.token_key");
        assert!(
            said.contains(label) && said.contains("nobody has named it"),
            "{said}"
        );
        let said = refused(&world.daemon, &with(label, "new"), "keys.token_key");
        assert!(said.contains("CKA_LOCAL"), "{said}");
        let said = refused(&world.daemon, &with("new", label), "keys.token_key");
        assert!(said.contains("CKA_LOCAL"), "{said}");
        token.delete(label, &["privkey", "pubkey"]);
    }
    assert_eq!(labels(&token), ["assertion-key", "challenge-key"]);

    // What is said to be made was made, and what was there is said to be taken.
    token.make("theirs", "EC:prime256v1", &[]);
    let theirs = kid(&token, "theirs");
    let said = keys(&world.daemon, &with("mine", "theirs")).unwrap();
    let line = |kid: &str| said.lines().find(|line| line.contains(kid)).unwrap_or_default();
    assert!(line(&theirs).contains("taken"), "{said}");
    assert!(line(&kid(&token, "mine")).ends_with("made"), "{said}");
    assert_eq!(jwks(&world.daemon), old);
}

/// What a call that was cut short left behind is named, and taken where somebody names it.
#[tokio::test(flavor = "multi_thread")]
async fn a_pair_that_nobody_named_is_refused_by_its_label_and_taken_when_it_is_named() {
    let (token, world) = world().await;
    token.make("assertion-key-2", "EC:prime256v1", &[]);
    let said = refused(&world.daemon, &["next"], "keys.token_key");
    assert!(said.contains("\"assertion-key-2\""), "{said}");
    assert_eq!(labels(&token).len(), 3, "no challenge key was made");
    follow(
        &world.daemon,
        &["next", "--assertion-key-label", "assertion-key-2"],
    )
    .await;
    assert_eq!(jwks(&world.daemon)[1], kid(&token, "assertion-key-2"));
}

#[test]
fn a_planted_key_is_never_taken_at_the_beginning() {
    for planted in ["challenge-key", "assertion-key"] {
        let token = SoftHsm::new();
        token.plant(planted);
        let extra = format!("{DEMONSTRATION}{}", token.section());
        let (daemon, said) = Daemon::refused(&extra, token.environment());
        let setting = planted.replace('-', "_");
        assert!(
            said.contains(&format!("paraphed: keys.token_key: keys.pkcs11.{setting}_label")),
            "{said}"
        );
        assert!(said.contains("CKA_LOCAL"), "{said}");
        assert_eq!(labels(&token), [planted], "none was made");
        assert!(!daemon.path("master.key").exists());
    }
}
