//! The release binaries that are measured: built first, as they are shipped.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;

/// Cargo's target folder.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The top of the repository.
pub fn root() -> &'static Path {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests)
}

/// A release binary.
pub fn binary(name: &str) -> PathBuf {
    target().join("release").join(name)
}

/// `cargo build --release --locked -p paraphe-server -p paraphe-cli`.
///
/// # Errors
/// When it does not build.
pub fn build() -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["build", "--release", "--locked", "--bins"])
        .args(["-p", "paraphe-server", "-p", "paraphe-cli"])
        .current_dir(root());
    // What Cargo says to a benchmark about its package would make it build anew.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") || text == "LD_LIBRARY_PATH"
        {
            command.env_remove(&name);
        }
    }
    let built = command.status()?;
    if built.success() {
        return Ok(());
    }
    Err("the release binaries do not build".into())
}
