//! The section `attestation`, right and with each value wrong.

use super::*;

/// Both kinds of attestation, as an operator would write them.
const ATTESTED: &str = r#"[attestation]
policy = "required"
[attestation.android]
root_certificates_file = "google.pem"
revocation_list_file = "status.json"
min_security_level = "strongbox"
[[attestation.android.apps]]
package = "example.paraphe.app"
signing_certificates_sha256 = ["5A:5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a"]
[attestation.apple]
root_certificates_file = "apple.pem"
environment = "development"
app_ids = ["ABCDE12345.example.paraphe"]
[channels.counter]
acr = "eidas3"
"#;

#[test]
fn an_attestation_section_is_read_with_its_files_beside_the_configuration() {
    let config = Config::parse(&format!("{LEAST}{ATTESTED}"), Path::new("/etc/paraphe")).unwrap();
    let android = config.attestation.android.as_ref().unwrap();
    assert_eq!(
        android.root_certificates_file,
        Path::new("/etc/paraphe/google.pem")
    );
    assert_eq!(android.apps[0].signing_certificates_sha256[0].0, [0x5a; 32]);
    let missing = config.missing_files();
    for (key, file) in [
        ("attestation.android.root_certificates_file", "google.pem"),
        ("attestation.android.revocation_list_file", "status.json"),
        ("attestation.apple.root_certificates_file", "apple.pem"),
    ] {
        assert!(
            missing.contains(&(key, Path::new("/etc/paraphe").join(file))),
            "{missing:?}"
        );
    }
}

#[test]
fn each_wrong_value_of_an_attestation_section_is_refused_naming_key_and_what_is_allowed() {
    let cases = [
        (
            "\"strongbox\"",
            "\"software\"",
            "android.min_security_level",
            "\"trusted_environment\" and \"strongbox\"",
        ),
        (
            "\"example.paraphe.app\"",
            "\"app\"",
            "android.apps[0].package",
            "example.paraphe.app",
        ),
        (
            "\"example.paraphe.app\"",
            "\"example.1app\"",
            "android.apps[0].package",
            "example.paraphe.app",
        ),
        (
            "5A:5a5a",
            "5a",
            "android.apps[0].signing_certificates_sha256[0]",
            "64 hexadecimal digits",
        ),
        (
            "5A:5a5a",
            "5g5a5a",
            "android.apps[0].signing_certificates_sha256[0]",
            "64 hexadecimal digits",
        ),
        ("\"development\"", "\"test\"", "apple.environment", "`production`"),
        (
            "ABCDE12345",
            "ABCDE1234",
            "apple.app_ids[0]",
            "ABCDE12345.example.paraphe",
        ),
        (
            ".example.paraphe\"",
            ".\"",
            "apple.app_ids[0]",
            "ABCDE12345.example.paraphe",
        ),
        (
            "[\"ABCDE12345.example.paraphe\"]",
            "[]",
            "apple.app_ids",
            "one entry or more",
        ),
        ("package = ", "packet = ", "android.apps[0]", "expected"),
        ("environment = ", "surprise = ", "apple.surprise", "expected"),
        (
            "min_security_level = ",
            "surprise = ",
            "android.surprise",
            "expected",
        ),
        (
            "root_certificates_file = \"google.pem\"",
            "",
            "android",
            "root_certificates_file",
        ),
    ];
    for (from, to, key, allowed) in cases {
        let error = parse(&format!("{LEAST}{}", ATTESTED.replacen(from, to, 1))).expect_err(to);
        let text = error.to_string();
        assert!(
            text.contains(key) && text.contains(allowed),
            "{from} -> {to}: {text}"
        );
    }
}

/// The sample shows both sections as comments, since they have no defaults.
#[test]
fn the_sections_that_the_sample_shows_are_good_once_the_hash_is_taken_away() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/paraphed.toml");
    let sample = std::fs::read_to_string(path).unwrap();
    let uncommented = sample.lines().map(|line| match line.strip_prefix("# ") {
        Some(toml)
            if toml.starts_with('[') || toml.split_once(" = ").is_some_and(|(key, _)| !key.contains(' ')) =>
        {
            toml
        }
        _ => line,
    });
    let text: Vec<&str> = uncommented.collect();
    let config = parse(
        &text
            .join("\n")
            .replace("policy = \"off\"", "policy = \"required\""),
    )
    .unwrap();
    assert_eq!(config.attestation.android.unwrap().apps.len(), 1);
    assert_eq!(config.attestation.apple.unwrap().app_ids.len(), 1);
}
