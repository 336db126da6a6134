//! Retired keys on a token: named until they are destroyed, whatever came in between, and never taken again.

use std::fs::File;
use std::process::Stdio;

use super::rotation::{approves, kid, labels, with};
use super::softhsm::SoftHsm;
use super::world;
use crate::daemon::Daemon;
use crate::rotation::{command, follow, keys, refused, reload};
use crate::world::World;

/// A deployment in which the second pair signs and the first one is still active.
async fn overlapping() -> (SoftHsm, World) {
    let (token, world) = world().await;
    follow(&world.daemon, &["next", "--now"]).await;
    follow(&world.daemon, &["activate", "--now"]).await;
    (token, world)
}

/// The labels of what `paraphed keys list` says may still be on the token.
fn undestroyed(daemon: &Daemon) -> Vec<String> {
    let listed = keys(daemon, &["list", "--json"]).unwrap();
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let left = listed["undestroyed"].as_array().unwrap().iter();
    left.map(|key| key["label"].as_str().unwrap().to_owned())
        .collect()
}

fn is_undestroyed(said: Result<String, String>) -> String {
    let said = said.unwrap_err();
    assert!(said.contains("paraphed: keys.not_destroyed: "), "{said}");
    said
}

const OLD: [&str; 2] = ["challenge-key", "assertion-key"];
const NEW: [&str; 2] = ["assertion-key-2", "challenge-key-2"];

#[tokio::test(flavor = "multi_thread")]
async fn a_retired_key_is_named_and_tried_again_until_it_is_off_the_token() {
    let (token, mut world) = overlapping().await;
    let anna = world.enrol().await;
    token.mood("keep", 0);
    let said = is_undestroyed(keys(&world.daemon, &["retire", "--now"]));
    assert!(OLD.iter().all(|label| said.contains(label)), "{said}");
    reload(&world.daemon, "the issuer keys were read again").await;
    assert_eq!(undestroyed(&world.daemon), OLD);
    let listed = keys(&world.daemon, &["list"]).unwrap();
    assert!(listed.contains("may still be on the token"), "{listed}");
    is_undestroyed(keys(&world.daemon, &["retire"]));
    assert_eq!((labels(&token).len(), undestroyed(&world.daemon).len()), (4, 2));

    // Cut short in the middle: the private halves are gone, the public ones are not.
    token.mood("half", 0);
    is_undestroyed(keys(&world.daemon, &["retire"]));
    assert_eq!(
        (labels(&token), undestroyed(&world.daemon).len()),
        (NEW.map(str::to_owned).to_vec(), 2)
    );
    refused(&world.daemon, &with("challenge-key", "another"), "keys.step");

    token.mood("live", 0);
    let said = keys(&world.daemon, &["retire"]).unwrap();
    assert!(OLD.iter().all(|label| said.contains(label)), "{said}");
    assert!(undestroyed(&world.daemon).is_empty());
    assert!(!token.has_public("challenge-key") && !token.has_public("assertion-key"));
    refused(&world.daemon, &["retire"], "keys.step");
    approves(&world, &anna).await;
}

/// Power fails between the file and the token, or nobody reads what the command prints.
#[tokio::test(flavor = "multi_thread")]
async fn a_retirement_that_is_cut_short_is_ended_by_the_next_step() {
    let (token, world) = overlapping().await;
    let file = world.daemon.path("issuer-keys.sealed");
    token.mood("keep", 0);
    is_undestroyed(keys(&world.daemon, &["retire", "--now"]));
    let cut_short = std::fs::read(&file).unwrap();
    token.mood("live", 0);
    keys(&world.daemon, &["retire"]).unwrap();
    // The keys are gone, and the file does not know.
    std::fs::write(&file, cut_short).unwrap();
    assert_eq!(undestroyed(&world.daemon), OLD);
    reload(&world.daemon, "the issuer keys were read again").await;
    follow(&world.daemon, &["next"]).await;
    assert!(undestroyed(&world.daemon).is_empty());

    follow(&world.daemon, &["activate", "--now"]).await;
    let mut retire = command(&world.daemon, &["retire", "--now"]);
    let closed = retire
        .stdout(File::create("/dev/full").unwrap())
        .stderr(Stdio::piped());
    assert!(!closed.output().unwrap().status.success(), "nobody reads it");
    assert_eq!(labels(&token), ["assertion-key-5", "challenge-key-5"]);
}

/// A retired key may be in other hands: its label brings it back neither at once nor after it left the key sets.
#[tokio::test(flavor = "multi_thread")]
async fn a_retired_key_never_comes_in_again_and_what_is_refused_leaves_nothing() {
    let (token, world) = overlapping().await;
    token.mood("keep", 0);
    is_undestroyed(keys(&world.daemon, &["retire", "--now"]));
    reload(&world.daemon, "the issuer keys were read again").await;
    let four = labels(&token);
    // Each command tries to destroy it first, and cannot.
    for (challenge, assertion) in [
        ("challenge-key", "new"),
        ("new", "assertion-key"),
        ("new", "challenge-key"),
    ] {
        refused(&world.daemon, &with(challenge, assertion), "keys.step");
        assert_eq!(labels(&token), four, "{challenge} {assertion}");
    }
    let copy = token.objects();
    token.mood("live", 0);
    keys(&world.daemon, &["retire"]).unwrap();

    // Somebody puts a copy of it back on the token.
    token.put_back(&copy);
    for rotation in 0..3 {
        let before = labels(&token);
        assert!(before.contains(&"challenge-key".to_owned()));
        for (challenge, assertion) in [("challenge-key", "new"), ("new", "challenge-key")] {
            refused(&world.daemon, &with(challenge, assertion), "keys.step");
            assert_eq!(labels(&token), before, "{rotation}: {challenge} {assertion}");
        }
        for step in ["next", "activate", "retire"] {
            follow(&world.daemon, &[step, "--now"]).await;
        }
    }
    let listed = keys(&world.daemon, &["list"]).unwrap();
    assert!(!listed.contains(&kid(&token, "challenge-key")), "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_half_that_stands_alone_is_named_before_a_key_is_made_beside_it() {
    let (token, world) = world().await;
    token.make("lone", "EC:prime256v1", &[]);
    token.delete("lone", &["privkey"]);
    let before = labels(&token);
    for (challenge, assertion) in [("lone", "new"), ("new", "lone")] {
        let said = refused(&world.daemon, &with(challenge, assertion), "keys.token_key");
        assert!(said.contains("\"lone\" has a public half"), "{said}");
        assert_eq!(labels(&token), before);
    }
}
