//! The folder of phones: `issuer.json` and `phones.jsonl`, one phone a line.
//!
//! Filled by `enrol`, read by `run`. Invariant: only its owner may enter it, for whoever reads a line has the phone, its PIN
//! included; a line is written whole before the next phone is enrolled, so an interrupted `prepare` loses none.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use paraphe_proto::encoding::{B64, B64Vec};
use paraphe_proto::ids::DeviceId;
use paraphe_proto::jwk::PublicKey;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::files;

/// Whom all phones of a folder trust.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Issuer {
    /// The issuer's URL.
    pub issuer: String,
    /// Its root key, pinned at activation.
    pub root_key: PublicKey,
}

/// One phone, with its PIN and everything that it keeps.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PhoneLine {
    /// What messages call it.
    pub name: String,
    /// Civil identity, as a backend knows it.
    pub family_name: String,
    /// Separated by spaces.
    pub given_names: String,
    /// `YYYY-MM-DD`
    pub birth_date: String,
    /// INSEE COG code; empty when not recorded.
    pub birthplace: String,
    /// `dev_…`
    pub device_id: DeviceId,
    /// PIN epoch.
    pub epoch: u64,
    /// PKCS#8.
    pub possession_key_pem: String,
    /// What the approval key is wrapped under, beside the PIN.
    pub device_secret: B64<32>,
    /// The wrapped approval key, the JSON of the companion crate.
    pub wrapped_key: B64Vec,
    /// The PIN.
    pub pin: String,
    /// Pairwise subject at each backend that asked for it.
    #[serde(default)]
    pub subjects: BTreeMap<String, String>,
}

/// The folder.
pub struct Folder(PathBuf);

impl Folder {
    /// The folder at `path`.
    pub fn at(path: &Path) -> Self {
        Folder(path.to_owned())
    }

    /// Makes the folder where it is missing, for phones of this issuer.
    ///
    /// # Errors
    /// [`Error::Forbidden`] `load.other_issuer` when it holds phones of another one; [`Error::File`].
    pub fn create(&self, issuer: &Issuer) -> Result<()> {
        files::create_private_directory(&self.0)?;
        let path = self.issuer_file();
        if !path.exists() {
            let json = serde_json::to_vec(issuer).map_err(|error| unwritable(&path, &error))?;
            return files::write_private(&path, &json);
        }
        if self.issuer()? == *issuer {
            return Ok(());
        }
        Err(Error::Forbidden {
            code: "load.other_issuer",
            message: format!(
                "{} holds phones of another issuer: name another folder.",
                self.0.display()
            ),
        })
    }

    /// Whom the phones trust.
    ///
    /// # Errors
    /// [`Error::NotFound`] before `prepare`; [`Error::File`]; [`Error::Invalid`] `load.folder` when the file is not as `prepare` wrote it.
    pub fn issuer(&self) -> Result<Issuer> {
        let path = self.issuer_file();
        if !path.exists() {
            return Err(Error::NotFound(format!(
                "{} is no folder of phones, {} is missing: make it with `paraphe load prepare`.",
                self.0.display(),
                path.display()
            )));
        }
        serde_json::from_str(&files::read(&path)?).map_err(|error| unreadable(&path, 1, &error))
    }

    /// A file to add phones to.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn append(&self) -> Result<Appender> {
        let path = self.phones_file();
        let opened = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&path);
        let file = opened.map_err(Error::file("write", &path))?;
        Ok(Appender { file, path })
    }

    /// All phones.
    ///
    /// # Errors
    /// [`Error::File`]; [`Error::Invalid`] `load.folder` names the line that cannot be read.
    pub fn phones(&self) -> Result<Vec<PhoneLine>> {
        let path = self.phones_file();
        let file = File::open(&path).map_err(Error::file("read", &path))?;
        let mut phones = Vec::new();
        for (index, line) in BufReader::new(file).lines().enumerate() {
            let line = line.map_err(Error::file("read", &path))?;
            phones.push(serde_json::from_str(&line).map_err(|error| unreadable(&path, index + 1, &error))?);
        }
        Ok(phones)
    }

    /// Replaces all phones, for what was learned about them.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn replace(&self, phones: &[PhoneLine]) -> Result<()> {
        let path = self.phones_file();
        let mut text = Vec::new();
        for phone in phones {
            serde_json::to_writer(&mut text, phone).map_err(|error| unwritable(&path, &error))?;
            text.push(b'\n');
        }
        files::write_private(&path, &text)
    }

    fn issuer_file(&self) -> PathBuf {
        self.0.join("issuer.json")
    }

    fn phones_file(&self) -> PathBuf {
        self.0.join("phones.jsonl")
    }
}

/// Adds phones to a folder.
pub struct Appender {
    file: File,
    path: PathBuf,
}

impl Appender {
    /// Adds one phone.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn add(&mut self, phone: &PhoneLine) -> Result<()> {
        let mut line = serde_json::to_vec(phone).map_err(|error| unwritable(&self.path, &error))?;
        line.push(b'\n');
        self.file
            .write_all(&line)
            .map_err(Error::file("write", &self.path))
    }
}

fn unwritable(path: &Path, error: &serde_json::Error) -> Error {
    Error::other("load.folder", format!("{}: {error}.", path.display()))
}

fn unreadable(path: &Path, line: usize, error: &serde_json::Error) -> Error {
    Error::invalid(
        "load.folder",
        format!(
            "{}, line {line}: {error}. `paraphe load prepare` writes this file.",
            path.display()
        ),
    )
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )]

    use std::os::unix::fs::PermissionsExt as _;

    use paraphe_proto::keys::{Signer as _, SoftwareKey};

    use super::*;
    use crate::edge;

    fn phone(name: &str) -> PhoneLine {
        PhoneLine {
            name: name.to_owned(),
            family_name: "BALUDE".to_owned(),
            given_names: "NIRO".to_owned(),
            birth_date: "1974-08-12".to_owned(),
            birthplace: String::new(),
            device_id: DeviceId::random(&mut edge::random()),
            epoch: 1,
            possession_key_pem: "PEM".to_owned(),
            device_secret: B64([7; 32]),
            wrapped_key: B64Vec(vec![1, 2]),
            pin: "271828".to_owned(),
            subjects: BTreeMap::new(),
        }
    }

    fn issuer() -> Issuer {
        let root = SoftwareKey::generate(&mut edge::random()).unwrap();
        Issuer {
            issuer: "https://paraphe.example".to_owned(),
            root_key: root.public_key().clone(),
        }
    }

    #[test]
    fn phones_come_back_in_order_and_only_the_owner_reads_them() {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::at(&directory.path().join("phones"));
        let issuer = issuer();
        folder.create(&issuer).unwrap();
        folder.append().unwrap().add(&phone("one")).unwrap();
        folder.append().unwrap().add(&phone("two")).unwrap();
        let mut phones = folder.phones().unwrap();
        let names: Vec<&str> = phones.iter().map(|phone| phone.name.as_str()).collect();
        assert_eq!((names, folder.issuer().unwrap()), (vec!["one", "two"], issuer));
        phones[1].subjects.insert("market".to_owned(), "sub_x".to_owned());
        folder.replace(&phones).unwrap();
        assert_eq!(folder.phones().unwrap()[1].subjects["market"], "sub_x");
        let mode = std::fs::metadata(folder.phones_file())
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_folder_without_phones_says_what_makes_it() {
        let directory = tempfile::tempdir().unwrap();
        let error = Folder::at(directory.path()).issuer().unwrap_err();
        assert_eq!(error.exit(), 4);
        assert!(
            error.to_string().contains("make it with `paraphe load prepare`"),
            "{error}"
        );
    }

    #[test]
    fn phones_of_two_issuers_are_not_mixed() {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::at(directory.path());
        folder.create(&issuer()).unwrap();
        assert_eq!(folder.create(&issuer()).unwrap_err().code(), "load.other_issuer");
    }

    #[test]
    fn a_broken_line_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let folder = Folder::at(directory.path());
        folder.create(&issuer()).unwrap();
        folder.append().unwrap().add(&phone("one")).unwrap();
        folder.append().unwrap().file.write_all(b"{}\n").unwrap();
        let error = folder.phones().err().unwrap();
        assert_eq!(error.code(), "load.folder");
        assert!(error.to_string().contains("phones.jsonl, line 2"), "{error}");
    }
}
