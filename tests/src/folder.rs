//! Folders under `target/e2e`: one per process and world, gone with them.
//!
//! Invariant: what an earlier process left behind is removed by the next one; a running process keeps its own.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tempfile::TempDir;

use crate::binaries::target;

/// A fresh folder that is removed when it is dropped.
pub fn fresh(name: &str) -> TempDir {
    let prefix = format!("{name}-");
    tempfile::Builder::new()
        .prefix(&prefix)
        .tempdir_in(of_process())
        .expect("a folder under target/e2e")
}

/// The folder of this process.
pub fn of_process() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let all = target().join("e2e");
        fs::create_dir_all(&all).expect("target/e2e");
        for entry in fs::read_dir(&all).expect("target/e2e").flatten() {
            let alive = Path::new("/proc").join(entry.file_name()).exists();
            if !alive {
                let _gone_already = fs::remove_dir_all(entry.path());
            }
        }
        let own = all.join(std::process::id().to_string());
        fs::create_dir_all(&own).expect("a folder of this process");
        own
    })
}

/// Copies a folder with its modes.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the copy's folder");
    let mode = fs::metadata(from).expect("the folder").permissions().mode();
    fs::set_permissions(to, fs::Permissions::from_mode(mode)).expect("the folder's mode");
    for entry in fs::read_dir(from).expect("the folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("its type").is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a copied file");
        }
    }
}
