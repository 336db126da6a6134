//! The demo's folder: configuration, actions, and where everything lies. With `--keep` it stays.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::files;

/// The issuer's name in every statement; clients connect to the loopback address.
const CONFIG: &str = r#"# The profile of `paraphe demo`: no quarantine, challenges of seconds. Never for people.
issuer = "https://paraphe.localhost"
listen = "127.0.0.1:0"
actions_file = "actions.toml"

[store]
path = "paraphe.db"

[keys]
master_key_file = "keys/master.key"
issuer_keys_file = "keys/issuer-keys.sealed"
root_public_key_file = "root.jwk.json"

[tls]
certificate_file = "tls/certificate.pem"
private_key_file = "tls/private-key.pem"

[step_up]
min_lifetime_s = 1

[operators]
locale = "en"

[channels.counter]
quarantine_s = 0

[profile]
demonstration = true
"#;

/// The catalogue that deployments start from.
const ACTIONS: &str = include_str!("../../../deploy/actions.toml");

/// The folder.
pub struct Folder {
    root: PathBuf,
    /// Removes the folder when the demo ends, unless it is kept.
    _temporary: Option<tempfile::TempDir>,
}

impl Folder {
    /// A fresh folder with the demo's configuration: `keep`, which must be empty or missing, or a temporary one.
    ///
    /// # Errors
    /// [`Error::Forbidden`] when `keep` holds anything, [`Error::File`].
    pub fn prepare(keep: Option<&Path>) -> Result<Self> {
        let folder = match keep {
            Some(root) => Folder {
                root: empty_directory(root)?,
                _temporary: None,
            },
            None => {
                let temporary =
                    tempfile::tempdir().map_err(Error::file("create a folder in", &std::env::temp_dir()))?;
                Folder {
                    root: temporary.path().to_owned(),
                    _temporary: Some(temporary),
                }
            }
        };
        for directory in ["keys", "tls", "phones", "statements"] {
            files::create_private_directory(&folder.path(directory))?;
        }
        files::write_public(&folder.path("actions.toml"), ACTIONS)?;
        files::write_public(&folder.config(), CONFIG)?;
        Ok(folder)
    }

    /// The daemon's configuration file.
    pub fn config(&self) -> PathBuf {
        self.path("paraphed.toml")
    }

    /// A file in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }
}

fn empty_directory(path: &Path) -> Result<PathBuf> {
    files::create_private_directory(path)?;
    let root = path.canonicalize().map_err(Error::file("find", path))?;
    let mut entries = root.read_dir().map_err(Error::file("read", &root))?;
    if entries.next().is_some() {
        return Err(Error::Forbidden {
            code: "demo.not_empty",
            message: format!(
                "{} is not empty: name a folder that is, or none yet.",
                path.display()
            ),
        });
    }
    Ok(root)
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )]

    use super::*;

    #[test]
    fn a_kept_folder_is_never_mixed_with_what_is_there() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("paraphe.db"), "mine").unwrap();
        assert_eq!(
            Folder::prepare(Some(directory.path())).err().unwrap().code(),
            "demo.not_empty"
        );
        assert_eq!(
            std::fs::read(directory.path().join("paraphe.db")).unwrap(),
            b"mine"
        );
    }

    #[test]
    fn a_kept_folder_stays_and_a_temporary_one_goes() {
        let directory = tempfile::tempdir().unwrap();
        let kept = directory.path().join("kept");
        drop(Folder::prepare(Some(&kept)).unwrap());
        assert!(kept.join("paraphed.toml").exists());
        let temporary = Folder::prepare(None).unwrap();
        let root = temporary.root.clone();
        drop(temporary);
        assert!(!root.exists());
    }
}
