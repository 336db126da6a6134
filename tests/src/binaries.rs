//! Where the binaries under test lie: beside the test binary, as `tests/run` builds them.
//!
//! Invariant: a missing binary fails the test with the way to get it; nothing is skipped.

use std::path::{Path, PathBuf};

/// The debug daemon whose clock can be moved.
pub fn paraphed_with_hooks() -> PathBuf {
    existing("debug/paraphed-test-hooks")
}

/// The debug daemon as it is delivered.
pub fn paraphed() -> PathBuf {
    existing("debug/paraphed")
}

/// The debug command line.
pub fn paraphe() -> PathBuf {
    existing("debug/paraphe")
}

/// The release daemon.
pub fn release_paraphed() -> PathBuf {
    existing("release/paraphed")
}

/// The release command line.
pub fn release_paraphe() -> PathBuf {
    existing("release/paraphe")
}

/// The folder of this repository.
pub fn repository() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("tests/ lies in the repository").to_owned()
}

/// The folder that cargo builds into.
pub fn target() -> PathBuf {
    let own = std::env::current_exe().expect("the test binary has a path");
    let target = own.ancestors().nth(3).expect("target/debug/deps/e2e");
    target.to_owned()
}

fn existing(name: &str) -> PathBuf {
    let path = target().join(name);
    assert!(path.is_file(), "{} is missing: run tests/run", path.display());
    path
}
