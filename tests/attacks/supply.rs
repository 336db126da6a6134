//! What is shipped: one TLS stack, no hooks in the release, a configuration, a unit and a package that hold; the demo and the
//! Python clients.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::daemon::binary;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .unwrap()
}

pub fn run(command: &mut Command) -> Output {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}\n{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

#[test]
fn the_lock_file_links_one_tls_stack_and_one_crypto_provider() {
    let lock = std::fs::read_to_string(repository().join("Cargo.lock")).unwrap();
    assert!(lock.contains("name = \"rustls\"") && lock.contains("name = \"ring\""));
    for other in [
        "aws-lc-rs",
        "aws-lc-sys",
        "openssl",
        "openssl-sys",
        "native-tls",
        "boring",
        "mbedtls",
        "schannel",
        "rsa",
    ] {
        assert!(
            !lock.contains(&format!("name = \"{other}\"")),
            "{other} is linked"
        );
    }
}

#[test]
fn the_release_daemon_lacks_the_test_hooks() {
    let holds = |path: PathBuf| {
        let bytes = std::fs::read(path).unwrap();
        bytes.windows(12).any(|window| window == b"PARAPHE_TEST")
    };
    assert!(holds(binary("debug", "paraphed-test-hooks")));
    assert!(!holds(binary("release", "paraphed")));
    assert!(!holds(binary("debug", "paraphed")));
}

#[test]
fn the_sample_configuration_passes_its_check() {
    let sample = repository().join("deploy/paraphed.toml");
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(&sample).unwrap();
    let actions = repository().join("deploy/actions.toml");
    let line = text
        .lines()
        .find(|line| line.starts_with("actions_file"))
        .unwrap()
        .to_owned();
    let text = text.replace(&line, &format!("actions_file = \"{}\"", actions.display()));
    std::fs::write(folder.path().join("paraphed.toml"), text).unwrap();
    run(Command::new(binary("debug", "paraphed"))
        .args(["check-config", "--config"])
        .arg(folder.path().join("paraphed.toml")));
}

#[test]
fn the_unit_is_valid_and_hardened() {
    let folder = tempfile::tempdir().unwrap();
    let unit = std::fs::read_to_string(repository().join("deploy/paraphed.service")).unwrap();
    let here = unit.replace(
        "/usr/bin/paraphed",
        &binary("debug", "paraphed")
            .canonicalize()
            .unwrap()
            .display()
            .to_string(),
    );
    let path = folder.path().join("paraphed.service");
    std::fs::write(&path, here).unwrap();
    run(Command::new("systemd-analyze")
        .arg("verify")
        .arg("--man=no")
        .arg(&path));
    run(Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--threshold=15"])
        .arg(&path));
}

#[test]
fn the_debian_package_holds_what_it_promises() {
    binary("release", "paraphed");
    let folder = tempfile::tempdir().unwrap();
    let package = folder.path().join("paraphe.deb");
    run(Command::new("cargo")
        .args(["deb", "--no-build", "--no-strip", "-p", "paraphe-server", "-o"])
        .arg(&package)
        .current_dir(repository()));
    let root = folder.path().join("root");
    run(Command::new("dpkg-deb").arg("-x").arg(&package).arg(&root));
    for file in [
        "usr/bin/paraphed",
        "usr/bin/paraphe",
        "etc/paraphe/paraphed.toml",
        "etc/paraphe/actions.toml",
    ] {
        assert!(root.join(file).is_file(), "{file} is missing");
    }
    run(Command::new(root.join("usr/bin/paraphed")).arg("--version"));
}

#[test]
fn the_demo_tells_the_whole_story_and_python_verifies_what_it_leaves() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("kept");
    let done = run(Command::new(binary("release", "paraphe"))
        .arg("demo")
        .arg("--keep")
        .arg(&kept));
    assert!(String::from_utf8_lossy(&done.stdout).contains("Summary"));
    run(python()
        .args(["tests/interop/run.py", "kept", "--dir"])
        .arg(&kept));
}

pub fn python() -> Command {
    let mut command = Command::new(binary("interop-venv/bin", "python"));
    command
        .current_dir(repository())
        .env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

#[test]
fn the_demo_fails_loudly_when_something_is_tampered_with() {
    for what in ["jwks", "assertion"] {
        let output = Command::new(binary("release", "paraphe"))
            .args(["demo", "--tamper", what])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success(), "{what}");
        assert!(
            said.contains("demo failed at step") && said.contains("assertion"),
            "{what}: {said}"
        );
    }
}

#[test]
fn the_demo_fails_loudly_when_its_daemon_is_killed() {
    use std::io::BufRead;
    let mut demo = Command::new(binary("release", "paraphe"))
        .arg("demo")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = std::io::BufReader::new(demo.stdout.take().unwrap()).lines();
    let mut killed = false;
    for line in lines {
        let line = line.unwrap();
        if let Some(pid) = line
            .trim()
            .strip_prefix("pid ")
            .map(str::trim)
            .filter(|_| !killed)
        {
            killed = Command::new("kill").args(["-9", pid]).status().unwrap().success();
        }
    }
    assert!(killed, "the demo printed no pid");
    let output = demo.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !output.status.success() && said.contains("demo failed at step"),
        "{said}"
    );
}
