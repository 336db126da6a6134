//! What can be wrong with a token before the daemon serves: each a named error with the configuration key, nothing half done.

use super::softhsm::{SoftHsm, TOKEN_PIN};
use crate::daemon::{DEMONSTRATION, Daemon};

struct Deployment {
    token: SoftHsm,
    daemon: Daemon,
}

impl Deployment {
    fn new() -> Self {
        let token = SoftHsm::new();
        let extra = format!("{DEMONSTRATION}{}", token.section());
        let (daemon, _) = Daemon::prepared_with(&extra, token.environment());
        Self { token, daemon }
    }

    #[track_caller]
    fn refused(&self, code: &str, key: &str, exit: i32) -> String {
        let (said, status) = self.daemon.fail_to_start();
        let last = said.lines().last().unwrap_or_default();
        assert!(
            last.starts_with(&format!("paraphed: {code}: keys.pkcs11{key}: ")),
            "{said}"
        );
        assert_eq!(status, exit, "{said}");
        last.to_owned()
    }

    /// The same with one piece of the configuration replaced.
    #[track_caller]
    fn refused_with(&self, from: &str, to: &str, (code, key): (&str, &str), exit: i32) -> String {
        let path = self.daemon.path("paraphed.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from}");
        std::fs::write(&path, text.replace(from, to)).unwrap();
        let said = self.refused(code, key, exit);
        std::fs::write(&path, text).unwrap();
        said
    }

    fn check_config(&self) -> String {
        let checked = self.daemon.command("check-config").output().unwrap();
        assert!(checked.status.success());
        String::from_utf8(checked.stdout).unwrap()
    }
}

#[test]
fn a_token_that_cannot_be_used_is_named_at_start() {
    let mut with = Deployment::new();
    let module = super::softhsm::between().display().to_string();
    for missing in ["/nonexistent/module.so", "/etc/hostname"] {
        with.refused_with(&module, missing, ("keys.token_module", ".module"), 5);
    }
    let said = with.refused_with(
        "\"paraphe-test\"",
        "\"paraphe-tset\"",
        ("keys.token_away", ".token_label"),
        7,
    );
    assert!(said.contains("the module shows \"paraphe-test\""), "{said}");
    let said = with.refused_with(
        "\"assertion-key\"",
        "\"assertion\"",
        ("keys.token_key", ".assertion_key_label"),
        5,
    );
    assert!(said.contains("is not on the token"), "{said}");
    let swapped = "assertion_key_label = \"challenge-key\"\nchallenge_key_label = \"assertion-key\"";
    let labels = "challenge_key_label = \"challenge-key\"\nassertion_key_label = \"assertion-key\"";
    with.refused_with(labels, swapped, ("keys.token_key", ".challenge_key_label"), 5);

    let before = with.token.logins();
    with.token.set_pin("4711-wrong");
    let said = with.refused("keys.token_pin", ".pin_file", 5);
    assert!(!said.contains("4711"), "{said}");
    assert_eq!(with.token.logins() - before, 1, "a wrong PIN is tried once");
    for (pin, what) in [("", "does not hold a PIN"), ("12\n34", "does not hold a PIN")] {
        with.token.set_pin(pin);
        assert!(with.refused("keys.token_pin", ".pin_file", 5).contains(what));
    }
    std::fs::remove_file(with.token.path("pin")).unwrap();
    assert!(
        with.refused("keys.token_pin", ".pin_file", 5)
            .contains("cannot be read")
    );
    with.token.set_pin(TOKEN_PIN);

    with.token.mood("last", 0);
    let said = with.refused("keys.token_pin", ".pin_file", 5);
    assert!(said.contains("one more wrong PIN locks"), "{said}");
    with.token.mood("gone", 1);
    with.refused("keys.token_away", ".token_label", 7);
    assert!(
        with.check_config()
            .contains("not usable yet: keys.pkcs11.token_label")
    );
    with.token.mood("live", 2);
    assert!(!with.check_config().contains("not usable"));
    assert_eq!(with.token.logins() - before, 1, "check-config tries no PIN");
    with.daemon.start();
}

#[test]
fn a_token_whose_folder_is_gone_is_away() {
    let mut with = Deployment::new();
    std::fs::rename(with.token.path("tokens"), with.token.path("elsewhere")).unwrap();
    std::fs::create_dir(with.token.path("tokens")).unwrap();
    with.refused("keys.token_away", ".token_label", 7);
    std::fs::remove_dir(with.token.path("tokens")).unwrap();
    std::fs::rename(with.token.path("elsewhere"), with.token.path("tokens")).unwrap();
    with.daemon.start();
}

#[test]
fn keys_that_took_the_place_of_others_are_refused() {
    let with = Deployment::new();
    with.token.make("assertion-key", "EC:prime256v1", &["--id", "77"]);
    let said = with.refused("keys.token_key", ".assertion_key_label", 5);
    assert!(said.contains("ambiguous"), "{said}");
    let both = ["privkey", "pubkey"];
    with.token.delete("assertion-key", &both);
    with.token.delete("assertion-key", &both);
    with.token.make("assertion-key", "EC:prime256v1", &[]);
    let said = with.refused("keys.token_key", ".assertion_key_label", 5);
    assert!(said.contains("not the one of this deployment"), "{said}");
    with.token.delete("challenge-key", &["pubkey"]);
    let said = with.refused("keys.token_key", ".challenge_key_label", 5);
    assert!(said.contains("no public half"), "{said}");
}

#[test]
fn halves_of_different_keys_are_noticed() {
    let token = SoftHsm::new();
    for id in ["01", "02"] {
        token.make("challenge-key", "EC:prime256v1", &["--id", id]);
    }
    for (kind, id) in [("privkey", "02"), ("pubkey", "01")] {
        let gone = token.pkcs11_tool(&["--delete-object", "--type", kind, "--id", id]);
        assert!(gone.status.success());
    }
    let extra = format!("{DEMONSTRATION}{}", token.section());
    let (_, said) = Daemon::refused(&extra, token.environment());
    assert!(
        said.contains("keys.pkcs11.challenge_key_label") && said.contains("does not fit"),
        "{said}"
    );
}

#[test]
fn file_and_token_are_not_mixed_up() {
    let with = Deployment::new();
    let section = with.token.section();
    with.refused_with(&section, "", ("keys.token_section", ""), 5);
    let (mut daemon, _) = Daemon::prepared(DEMONSTRATION);
    daemon.environment = with.token.environment();
    let path = daemon.path("paraphed.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(path, format!("{text}{section}")).unwrap();
    let mixed = Deployment {
        token: SoftHsm::new(),
        daemon,
    };
    let said = mixed.refused("keys.token_section", "", 5);
    assert!(said.contains("issuer-keys.sealed"), "{said}");
}

#[test]
fn init_takes_the_keys_that_are_there_unless_they_could_leave() {
    let token = SoftHsm::new();
    token.make("assertion-key", "EC:prime256v1", &[]);
    let there = token.public_key("assertion-key");
    let extra = format!("{DEMONSTRATION}{}", token.section());
    let (mut daemon, _) = Daemon::prepared_with(&extra, token.environment());
    assert_eq!(token.public_key("assertion-key"), there);
    daemon.start();
    drop(daemon);

    for (kind, more, what) in [
        (
            "EC:prime256v1",
            ["--extractable"].as_slice(),
            "can leave the token",
        ),
        ("EC:secp384r1", &[], "another curve"),
        ("rsa:2048", &[], "not an elliptic-curve key"),
    ] {
        let token = SoftHsm::new();
        token.make("assertion-key", kind, more);
        let (daemon, said) = Daemon::refused(
            &format!("{DEMONSTRATION}{}", token.section()),
            token.environment(),
        );
        assert!(
            said.contains("paraphed: keys.token_key: keys.pkcs11.assertion_key_label"),
            "{said}"
        );
        assert!(said.contains(what), "{said}");
        assert!(!daemon.path("master.key").exists() && !daemon.path("paraphe.db").exists());
        let keys = token.pkcs11_tool(&["--list-objects", "--type", "privkey"]);
        let keys = String::from_utf8(keys.stdout).unwrap();
        assert!(
            !keys.contains("challenge-key"),
            "one was made all the same: {keys}"
        );
    }
}
