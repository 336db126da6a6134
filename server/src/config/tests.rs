mod attestation;
mod places;

use super::*;
use crate::domain::level::Acr;

const LEAST: &str = r#"
issuer = "https://paraphe.example"
actions_file = "actions.toml"
[store]
path = "/var/lib/paraphe/paraphe.db"
[keys]
master_key_file = "master.key"
issuer_keys_file = "issuer.keys"
root_public_key_file = "root.pub"
[tls]
certificate_file = "tls.pem"
private_key_file = "tls.key"
"#;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("/etc/paraphe"))
}

fn refused(section: &str) -> ConfigError {
    parse(&format!("{LEAST}{section}")).expect_err("must be refused")
}

#[test]
fn the_least_file_gives_the_documented_defaults() {
    let config = parse(LEAST).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:8443");
    assert_eq!((config.pin.min_length, config.pin.wait_after_4_s), (6, 900));
    assert_eq!(config.match_code.digits, 6);
    assert_eq!(config.devices.per_person, 1);
    let retention = &config.retention;
    assert_eq!((retention.history_days, retention.archive_after_days), (396, 2));
    assert_eq!(config.session.lifetime_s, 1_800);
    assert!(!config.profile.demonstration);
    let open: Vec<_> = config.channels.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(open, ["counter", "operator", "init"]);
    let counter = config.channels.profile(ChannelName::Counter).unwrap();
    assert_eq!(counter.activation_lifetime_s, 600);
    assert_eq!(counter.acr, Acr::Eidas2);
    assert_eq!(counter.quarantine_s, 259_200);
    assert_eq!(
        counter.checks,
        [EvidenceCheck::DocumentGenuine, EvidenceCheck::HolderLikeness]
    );
    assert!(counter.sas_confirmation && !counter.second_clerk);
    let init = config.channels.profile(ChannelName::Init).unwrap();
    assert_eq!(
        (init.activation_lifetime_s, init.sas_confirmation),
        (3_600, false)
    );
}

#[test]
fn relative_paths_start_at_the_folder_of_the_file() {
    let config = parse(LEAST).unwrap();
    assert_eq!(config.actions_file, Path::new("/etc/paraphe/actions.toml"));
    assert_eq!(config.store.path, Path::new("/var/lib/paraphe/paraphe.db"));
    let beside = Path::new("/var/lib/paraphe/security.journal");
    assert_eq!(config.store.security_journal, beside);
    let missing: Vec<_> = config.missing_files().into_iter().map(|(key, _)| key).collect();
    assert!(missing.contains(&"tls.private_key_file"), "{missing:?}");
}

#[test]
fn the_security_journal_is_not_the_database() {
    let path = "path = \"/var/lib/paraphe/paraphe.db\"\n";
    let both = format!("{path}security_journal = \"/var/lib/paraphe/paraphe.db\"\n");
    let error = parse(&LEAST.replace(path, &both)).expect_err("must be refused");
    assert_eq!(error.code(), "config.conflict");
    assert!(error.to_string().contains("store.security_journal"), "{error}");
}

#[test]
fn an_unknown_key_is_refused_with_its_line_and_the_keys_that_are_allowed() {
    let error = refused("[limits]\nmax_conections = 3\n");
    assert_eq!(error.code(), "config.unknown_key");
    let text = error.to_string();
    assert!(text.contains("configuration:14: limits.max_conections"), "{text}");
    assert!(text.contains("max_connections"), "{text}");
}

#[test]
fn an_unknown_key_is_refused_in_every_section() {
    let sections = [
        "store",
        "keys",
        "tls",
        "limits",
        "logging",
        "pin",
        "match_code",
        "step_up",
        "session",
        "operators",
        "attestation",
        "devices",
        "retention",
        "profile",
        "channels",
        "channels.counter",
    ];
    for section in sections {
        let text = match section {
            "store" | "keys" | "tls" => {
                LEAST.replace(&format!("[{section}]"), &format!("[{section}]\nsurprise = 1"))
            }
            _ => format!("{LEAST}[{section}]\nsurprise = 1\n"),
        };
        let error = parse(&text).expect_err(section);
        let text = error.to_string();
        assert!(
            text.contains("surprise") && text.contains("expected"),
            "{section}: {text}"
        );
    }
    assert_eq!(
        parse(&format!("surprise = 1{LEAST}")).unwrap_err().code(),
        "config.unknown_key"
    );
}

#[test]
fn each_value_outside_its_range_is_refused_naming_key_and_range() {
    let cases = [
        ("limits.max_connections", "0", "from 1 to 1000000"),
        ("limits.max_concurrent_requests", "0", "from 1 to 100000"),
        ("limits.request_deadline_ms", "99", "from 100 to 120000"),
        ("limits.max_message_bytes", "5000000", "from 32768 to 4194304"),
        ("limits.requests_per_second_per_caller", "0", "from 1 to 1000000"),
        ("limits.anonymous_burst", "-1", "from 1 to 1000000"),
        ("pin.min_length", "4", "from 5 to 12"),
        ("pin.max_length", "13", "from 5 to 12"),
        ("pin.wait_after_3_s", "59", "from 60 to 86400"),
        ("pin.wait_after_4_s", "899", "from 900 to 604800"),
        ("pin.max_failures", "6", "from 3 to 5"),
        ("pin.rolling_failures", "21", "from 5 to 20"),
        ("pin.rolling_days", "29", "from 30 to 366"),
        ("match_code.digits", "1", "from 2 to 8"),
        ("match_code.digits", "9", "from 2 to 8"),
        ("step_up.max_lifetime_s", "601", "from 1 to 600"),
        ("step_up.requests_per_10_min", "0", "from 1 to 1000"),
        ("session.lifetime_s", "43201", "from 60 to 43200"),
        ("operators.login_lifetime_s", "29", "from 30 to 600"),
        ("retention.history_days", "0", "from 1 to 3660"),
        ("retention.archive_after_days", "1", "from 2 to 3660"),
        ("channels.letter.activation_lifetime_s", "0", "from 1 to 2592000"),
        ("devices.per_person", "0", "from 1 to 5"),
        ("devices.per_person", "6", "from 1 to 5"),
        ("channels.counter.acr", "\"eidas4\"", "`eidas1`, `eidas2`"),
        ("channels.counter.checks", "[\"smell\"]", "`ultraviolet`"),
        ("logging.format", "\"xml\"", "`json`"),
        ("logging.filter", "\"h2=trace\"", "paraphe_server::edge=debug"),
        ("attestation.policy", "\"on\"", "`off`, `recorded`, `required`"),
        ("attestation.unattested_acr", "\"eidas4\"", "`eidas1`, `eidas2`"),
    ];
    for (key, value, allowed) in cases {
        let (section, name) = key.rsplit_once('.').unwrap();
        let error = refused(&format!("[{section}]\n{name} = {value}\n"));
        assert_eq!(error.code(), "config.value", "{error}");
        let text = error.to_string();
        assert!(text.contains(key) && text.contains(allowed), "{key}: {text}");
        assert!(text.starts_with("configuration:14"), "{key}: {text}");
    }
}

#[test]
fn values_that_do_not_go_together_are_refused_naming_both() {
    let cases = [
        (
            "[pin]\nmin_length = 8\nmax_length = 7\n",
            "pin.max_length",
            "pin.min_length",
        ),
        (
            "[pin]\nwait_after_3_s = 1000\n",
            "pin.wait_after_4_s",
            "pin.wait_after_3_s",
        ),
        (
            "[step_up]\nmin_lifetime_s = 60\nmax_lifetime_s = 30\n",
            "step_up.max_lifetime_s",
            "step_up.min_lifetime_s",
        ),
        (
            "[step_up]\nmin_lifetime_s = 29\n",
            "step_up.min_lifetime_s",
            "profile.demonstration",
        ),
        (
            "[channels.counter]\nquarantine_s = 0\n",
            "channels.counter.quarantine_s",
            "profile.demonstration",
        ),
        (
            "[channels.own_phone]\nquarantine_s = 3599\n",
            "channels.own_phone.quarantine_s",
            "profile.demonstration",
        ),
        (
            "[profile]\ndemonstration = true\n[channels.own_phone]\nsas_confirmation = false\n",
            "channels.own_phone.sas_confirmation",
            "only true",
        ),
        (
            "[channels.own_phone]\nsecond_clerk = true\n",
            "channels.own_phone.second_clerk",
            "only false",
        ),
        (
            "[channels.own_phone]\nchecks = [\"chip\"]\n",
            "channels.own_phone.checks",
            "only []",
        ),
        (
            "[channels.letter]\nactivation_lifetime_s = 59\n",
            "channels.letter.activation_lifetime_s",
            "profile.demonstration",
        ),
        (
            "[channels.remote]\nacr = \"eidas3\"\n",
            "channels.remote.acr",
            "attestation.policy",
        ),
        (
            "[attestation]\npolicy = \"required\"\n",
            "attestation.policy",
            "[attestation.android]",
        ),
        (
            "[attestation]\npolicy = \"recorded\"\n",
            "attestation.policy",
            "[attestation.apple]",
        ),
        (
            "[attestation]\nunattested_acr = \"eidas3\"\n",
            "attestation.unattested_acr",
            "profile.demonstration",
        ),
    ];
    for (section, key, other) in cases {
        let error = refused(section);
        assert_eq!(error.code(), "config.conflict", "{error}");
        let text = error.to_string();
        assert!(text.contains(key) && text.contains(other), "{text}");
    }
}

#[test]
fn a_demonstration_may_be_quick_but_not_laxer_with_pins() {
    let quick = "[profile]\ndemonstration = true\n[step_up]\nmin_lifetime_s = 2\n[channels.counter]\nquarantine_s = 0\nactivation_lifetime_s = 5\n";
    let config = parse(&format!("{LEAST}{quick}")).unwrap();
    let counter = config.channels.profile(ChannelName::Counter).unwrap();
    assert_eq!((counter.quarantine_s, counter.activation_lifetime_s), (0, 5));
    assert!(
        counter.sas_confirmation,
        "what a section leaves out keeps the channel's default"
    );
    let error = refused("[profile]\ndemonstration = true\n[pin]\nwait_after_3_s = 1\n");
    assert_eq!(error.code(), "config.value");
}

#[test]
fn the_issuer_is_one_canonical_https_url() {
    for good in [
        "https://paraphe.example",
        "https://localhost:8443",
        "https://127.0.0.1:9",
        "https://[::1]:8443",
    ] {
        let config = parse(&LEAST.replace("https://paraphe.example", good)).unwrap();
        assert_eq!(config.issuer.as_str(), good);
    }
    let bad = [
        "http://paraphe.example",
        "https://paraphe.example/",
        "https://paraphe.example/a",
        "https://paraphe.example?q",
        "https://paraphe.example#f",
        "https://Paraphe.example",
        "https://me@paraphe.example",
        "https://paraphe.example:443",
        "https://paraphe.example:",
        "https://paraphe.example:08443",
        "https://",
        "https://:8443",
        "paraphe.example",
        "",
    ];
    let long = format!("https://{}.example", "a".repeat(200));
    for url in bad.into_iter().chain([long.as_str()]) {
        let error = parse(&LEAST.replace("https://paraphe.example", url)).expect_err(url);
        assert_eq!(error.code(), "config.value", "{url}");
        assert!(error.to_string().contains("configuration:2: issuer"), "{error}");
    }
    let config = parse(&LEAST.replace("paraphe.example", "id.example:8443")).unwrap();
    assert_eq!(config.issuer.host(), "id.example");
}

#[test]
fn a_missing_key_and_broken_toml_say_where() {
    let error = parse(&LEAST.replace("path = ", "# ")).unwrap_err();
    assert_eq!(error.code(), "config.missing_key");
    assert!(error.to_string().contains("`path`"), "{error}");
    let error = refused("[limits\n");
    assert_eq!(error.code(), "config.syntax");
    assert!(error.to_string().starts_with("configuration:13"), "{error}");
}

#[test]
fn a_file_that_is_not_there_says_so() {
    let error = Config::load(Path::new("/nonexistent/paraphed.toml")).unwrap_err();
    assert_eq!(error.code(), "config.unreadable");
    assert!(
        error.to_string().contains("/nonexistent/paraphed.toml"),
        "{error}"
    );
}

#[test]
fn remote_proofing_needs_a_provider_and_a_provider_a_key() {
    let alone = parse(&format!("{LEAST}[channels.remote]\n")).unwrap();
    assert!(alone.channels.profile(ChannelName::Remote).is_none());
    let [warning] = alone.warnings.as_slice() else {
        panic!("{:?}", alone.warnings)
    };
    assert!(warning.contains("[proofing.<name>]"), "{warning}");
    let provider = "[proofing.ident-1]\npublic_key_files = [\"ident.jwk.json\"]\n";
    let config = parse(&format!("{LEAST}[channels.remote]\n{provider}")).unwrap();
    assert!(config.channels.profile(ChannelName::Remote).is_some() && config.warnings.is_empty());
    let missing: Vec<_> = config.missing_files().into_iter().map(|(_, path)| path).collect();
    assert!(missing.contains(&Path::new("/etc/paraphe/ident.jwk.json").to_owned()));
    let none = refused("[proofing.ident-1]\npublic_key_files = []\n");
    assert!(
        none.to_string().contains("proofing.ident-1.public_key_files"),
        "{none}"
    );
    let name = refused("[proofing.\"Ident 1\"]\npublic_key_files = [\"x\"]\n");
    assert!(name.to_string().contains("2 to 32 characters"), "{name}");
}

const TOKEN: &str = r#"[keys.pkcs11]
module = "/usr/lib/softhsm/libsofthsm2.so"
token_label = "paraphe"
pin_file = "token.pin"
challenge_key_label = "challenge"
assertion_key_label = "assertion"
"#;

#[test]
fn a_token_has_files_and_labels_that_are_looked_at() {
    let config = parse(&format!("{LEAST}{TOKEN}")).unwrap();
    let token = config.keys.pkcs11.as_ref().unwrap();
    assert_eq!(token.pin_file, Path::new("/etc/paraphe/token.pin"));
    let missing: Vec<_> = config.missing_files().into_iter().map(|(key, _)| key).collect();
    assert!(missing.contains(&"keys.pkcs11.pin_file"), "{missing:?}");
    let cases = [
        ("\"paraphe\"", "\"\"", "token_label", "1 to 32 bytes"),
        ("\"paraphe\"", "\" paraphe\"", "token_label", "without space"),
        (
            "\"paraphe\"",
            "\"a-label-of-more-than-thirty-two-bytes\"",
            "token_label",
            "1 to 32 bytes",
        ),
        ("\"challenge\"", "\"\"", "challenge_key_label", "1 to 64 bytes"),
        (
            "\"assertion\"",
            "\"challenge\"",
            "assertion_key_label",
            "a key of its own",
        ),
    ];
    for (good, bad, key, allowed) in cases {
        let error = refused(&TOKEN.replace(good, bad));
        assert_eq!(error.code(), "config.conflict", "{error}");
        let text = error.to_string();
        assert!(
            text.contains(&format!("keys.pkcs11.{key}")) && text.contains(allowed),
            "{text}"
        );
    }
    let pin = refused(&TOKEN.replace("pin_file", "pin"));
    assert_eq!(pin.code(), "config.unknown_key", "{pin}");
}

#[test]
fn the_shipped_sample_is_accepted_and_shows_the_defaults() {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/paraphed.toml");
    let shipped = Config::load(&sample).unwrap();
    assert_eq!(shipped.channels.iter().count(), ChannelName::ALL.len() - 1);
    let everything = std::fs::read_to_string(&sample).unwrap();
    let uncommented = |line: &str| match line.strip_prefix('#') {
        Some(rest) if !rest.is_empty() && !rest.starts_with(' ') => format!("{rest}\n"),
        _ => format!("{line}\n"),
    };
    let everything: String = everything.lines().map(uncommented).collect();
    let config = parse(&everything).unwrap();
    assert_eq!(config.channels.iter().count(), ChannelName::ALL.len());
    assert!(shipped.keys.pkcs11.is_none() && config.keys.pkcs11.is_some());
    assert!(config.missing_files().iter().any(|(key, _)| *key == "proofing"));
    for (name, profile) in config.channels.iter() {
        assert_eq!(
            profile,
            &channels::ChannelProfile::default_of(name),
            "{}",
            name.as_str()
        );
    }
    let least = parse(LEAST).unwrap();
    let figures = |c: &Config| {
        let shown = (
            &c.listen,
            &c.limits,
            &c.logging,
            &c.pin,
            &c.match_code,
            &c.step_up,
            &c.session,
            &c.operators,
        );
        format!("{shown:?} {:?} {:?} {:?}", c.attestation, c.retention, c.profile)
    };
    assert_eq!(
        figures(&config),
        figures(&least),
        "the sample says that it shows the defaults"
    );
}
