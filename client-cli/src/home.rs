//! The folder that `paraphe` keeps between commands: this terminal's key, the session, the software phone.
//!
//! Callers: `terminal`, `login`, `logout`, everything that needs the session. Invariant: every file is readable by its
//! owner alone, and a session is used only with the issuer it was opened at.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use paraphe_proto::keys::SoftwareKey;
use paraphe_proto::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::files;

const LOG_IN: &str = "Run `paraphe login NAME` first, or give --service-id and --service-key.";

/// The folder.
#[derive(Clone)]
pub struct Home {
    directory: PathBuf,
}

/// An operator's session on this terminal.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SavedSession {
    /// The operator's name.
    pub operator: String,
    /// Issuer at which it was opened.
    pub issuer: String,
    /// The token; bound to this terminal's key.
    pub token: String,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl Home {
    /// The folder at `directory`, else `$XDG_CONFIG_HOME/paraphe`, else `~/.config/paraphe`.
    ///
    /// # Errors
    /// [`Error::Usage`] when none of them is known.
    pub fn locate(directory: Option<&Path>) -> Result<Self> {
        let variable = |name: &str| {
            std::env::var_os(name)
                .filter(|value| !value.is_empty())
                .map(PathBuf::from)
        };
        let directory = directory
            .map(Path::to_owned)
            .or_else(|| variable("XDG_CONFIG_HOME").map(|config| config.join("paraphe")))
            .or_else(|| variable("HOME").map(|home| home.join(".config/paraphe")))
            .ok_or_else(|| {
                Error::Usage("Neither --home, XDG_CONFIG_HOME nor HOME is set: give --home DIR.".to_owned())
            })?;
        Ok(Home { directory })
    }

    /// Where the software phone lives, unless `--phone` says otherwise.
    pub fn phone_directory(&self) -> PathBuf {
        self.directory.join("phone")
    }

    /// Creates the folder where it is missing.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn create(&self) -> Result<()> {
        files::create_private_directory(&self.directory)
    }

    /// File of this terminal's private key.
    pub fn terminal_key_file(&self) -> PathBuf {
        self.directory.join("terminal.pem")
    }

    /// This terminal's key.
    ///
    /// # Errors
    /// [`Error::NotLoggedIn`] when there is none yet.
    pub fn terminal_key(&self) -> Result<Arc<SoftwareKey>> {
        let path = self.terminal_key_file();
        if !path.exists() {
            return Err(Error::NotLoggedIn(
                "This terminal has no key. Run `paraphe terminal`, and have an administrator register its thumbprint.".to_owned(),
            ));
        }
        read_key(&path)
    }

    /// The session of this terminal at `issuer`, if it has not ended.
    ///
    /// # Errors
    /// [`Error::NotLoggedIn`] when there is none, it has ended, or it was opened at another issuer.
    pub fn session(&self, issuer: &str, now: Timestamp) -> Result<SavedSession> {
        let text = match fs::read_to_string(self.session_file()) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::NotLoggedIn(format!(
                    "Nobody is logged in on this terminal. {LOG_IN}"
                )));
            }
            Err(error) => return Err(Error::file("read", &self.session_file())(error)),
        };
        let session: SavedSession = serde_json::from_str(&text)
            .map_err(|_| Error::NotLoggedIn(format!("The saved session cannot be read. {LOG_IN}")))?;
        if session.issuer != issuer {
            return Err(Error::NotLoggedIn(format!(
                "The session belongs to {}, not to {issuer}. {LOG_IN}",
                session.issuer
            )));
        }
        if session.expires_at <= now {
            return Err(Error::NotLoggedIn(format!(
                "The session of {} has ended. {LOG_IN}",
                session.operator
            )));
        }
        Ok(session)
    }

    /// Keeps a session.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn save_session(&self, session: &SavedSession) -> Result<()> {
        self.create()?;
        let json =
            serde_json::to_vec(session).map_err(|error| Error::other("cli.session", error.to_string()))?;
        files::write_private(&self.session_file(), &json)
    }

    /// Forgets the session.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn forget_session(&self) -> Result<()> {
        match fs::remove_file(self.session_file()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::file("remove", &self.session_file())(error))
            }
            _ => Ok(()),
        }
    }

    fn session_file(&self) -> PathBuf {
        self.directory.join("session.json")
    }
}

/// A private P-256 key from a PKCS#8 PEM file.
///
/// # Errors
/// [`Error::File`]; [`Error::Invalid`] `key.unreadable` when it holds no such key.
pub fn read_key(path: &Path) -> Result<Arc<SoftwareKey>> {
    let pem = files::read(path)?;
    let key = SoftwareKey::from_pkcs8_pem(&pem)
        .map_err(|error| Error::invalid(error.code(), format!("{}: {error}.", path.display())))?;
    Ok(Arc::new(key))
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

    const ISSUER: &str = "https://paraphe.example";

    fn home_with_session(expires_at: i64) -> (tempfile::TempDir, Home) {
        let directory = tempfile::tempdir().unwrap();
        let home = Home::locate(Some(directory.path())).unwrap();
        let session = SavedSession {
            operator: "claire.martin".into(),
            issuer: ISSUER.into(),
            token: "token".into(),
            expires_at: Timestamp::from_secs(expires_at),
        };
        home.save_session(&session).unwrap();
        (directory, home)
    }

    #[test]
    fn a_session_is_given_back_until_it_ends() {
        let (_directory, home) = home_with_session(1000);
        assert_eq!(
            home.session(ISSUER, Timestamp::from_secs(999)).unwrap().token,
            "token"
        );
        assert_eq!(
            home.session(ISSUER, Timestamp::from_secs(1000))
                .err()
                .unwrap()
                .exit(),
            3
        );
    }

    #[test]
    fn a_session_is_not_sent_to_another_issuer() {
        let (_directory, home) = home_with_session(1000);
        let error = home
            .session("https://other.example", Timestamp::from_secs(1))
            .err()
            .unwrap();
        assert_eq!(error.exit(), 3);
        assert!(error.to_string().contains("belongs to https://paraphe.example"));
    }

    #[test]
    fn a_forgotten_session_is_gone() {
        let (_directory, home) = home_with_session(1000);
        home.forget_session().unwrap();
        home.forget_session().unwrap();
        assert_eq!(
            home.session(ISSUER, Timestamp::from_secs(1))
                .err()
                .unwrap()
                .code(),
            "cli.not_logged_in"
        );
    }
}
