#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_types
)]

use super::*;

#[test]
fn one_command_at_a_time_changes_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("issuer-keys.sealed");
    assert_eq!(lock(&path).unwrap_err().code(), "keys.missing");
    write_new(&path, b"x").unwrap();
    let held = lock(&path).unwrap();
    assert_eq!(lock(&path).unwrap_err().code(), "keys.busy");
    drop(held);
    assert!(lock(&path).is_ok());
}
