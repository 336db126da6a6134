//! A keystore in files, for tests, demonstrations and the command line.
//!
//! It says of itself that it is software: whoever reads the folder has the possession key and the device secret, and only
//! the PIN's online attempts stand between them and an approval. Nobody attests its keys. Invariant: files of mode 0600 in a folder of mode 0700;
//! what others may read is refused. The protocol: section 2.
//!
//! A label has two files: `<label>.seal` (32 bytes, AES-256-GCM) and, written last, `<label>.pem` (PKCS#8).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use paraphe_proto::keys::SoftwareKey;
use paraphe_proto::statements::Keystore;
use rand_core::CryptoRngCore;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroizing;

use crate::files;
use crate::keystore::{KeyStore, KeyStoreError, PossessionKey};

/// Possession keys as PKCS#8 files in one folder.
#[derive(Debug)]
pub struct SoftwareKeyStore {
    dir: PathBuf,
    platform: String,
}

impl SoftwareKeyStore {
    /// Opens the folder, made with mode 0700 unless it exists. `platform` goes into the activation statement.
    ///
    /// # Errors
    /// [`KeyStoreError::Exposed`] when others may enter the folder; [`KeyStoreError::Failed`] when it cannot be made.
    pub fn open(dir: impl Into<PathBuf>, platform: impl Into<String>) -> Result<Self, KeyStoreError> {
        let dir = dir.into();
        files::create_private_dir(&dir).map_err(|error| failed(&dir, &error))?;
        refuse_exposed(&dir, "700")?;
        Ok(Self {
            dir,
            platform: platform.into(),
        })
    }

    fn path(&self, label: &str, suffix: &str) -> Result<PathBuf, KeyStoreError> {
        let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
        if !(1..=64).contains(&label.len()) || !label.bytes().all(plain) {
            return Err(KeyStoreError::BadLabel);
        }
        Ok(self.dir.join(format!("{label}.{suffix}")))
    }

    fn read(&self, label: &str, suffix: &str) -> Result<Zeroizing<Vec<u8>>, KeyStoreError> {
        let path = self.path(label, suffix)?;
        match fs::read(&path).map(Zeroizing::new) {
            Ok(bytes) => refuse_exposed(&path, "600").map(|()| bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(KeyStoreError::Missing {
                label: label.to_owned(),
            }),
            Err(error) => Err(failed(&path, &error)),
        }
    }

    fn write(&self, label: &str, suffix: &str, bytes: &[u8]) -> Result<(), KeyStoreError> {
        let path = self.path(label, suffix)?;
        files::replace(&path, bytes).map_err(|error| failed(&path, &error))
    }

    fn sealing_key(&self, label: &str) -> Result<LessSafeKey, KeyStoreError> {
        let bytes = self.read(label, SEAL)?;
        UnboundKey::new(&AES_256_GCM, &bytes)
            .map(LessSafeKey::new)
            .map_err(|_| not_ours(format!("the sealing key `{label}`")))
    }
}

const POSSESSION: &str = "pem";
const SEAL: &str = "seal";

impl KeyStore for SoftwareKeyStore {
    fn kind(&self) -> Keystore {
        Keystore::Software
    }

    fn platform(&self) -> &str {
        &self.platform
    }

    fn generate(
        &self,
        label: &str,
        _attestation_challenge: &[u8; 32],
        rng: &mut dyn CryptoRngCore,
    ) -> Result<(), KeyStoreError> {
        match self.possession_key(label) {
            Err(KeyStoreError::Missing { .. }) => {}
            kept => return kept.map(drop),
        }
        let mut rng = rng;
        let mut seal = Zeroizing::new([0; 32]);
        rng.fill_bytes(seal.as_mut_slice());
        self.write(label, SEAL, seal.as_slice())?;
        let key =
            SoftwareKey::generate(&mut rng).map_err(|error| KeyStoreError::Failed(error.to_string()))?;
        let pem = key
            .to_pkcs8_pem()
            .map_err(|error| KeyStoreError::Failed(error.to_string()))?;
        self.write(label, POSSESSION, pem.as_bytes())
    }

    fn possession_key(&self, label: &str) -> Result<PossessionKey, KeyStoreError> {
        let bytes = self.read(label, POSSESSION)?;
        let key = std::str::from_utf8(&bytes)
            .ok()
            .and_then(|pem| SoftwareKey::from_pkcs8_pem(pem).ok())
            .ok_or_else(|| not_ours(format!("the possession key `{label}`")))?;
        Ok(Box::new(key))
    }

    fn seal(
        &self,
        label: &str,
        device_secret: &[u8; 32],
        rng: &mut dyn CryptoRngCore,
    ) -> Result<Vec<u8>, KeyStoreError> {
        let key = self.sealing_key(label)?;
        let mut nonce = [0; NONCE_LEN];
        rng.fill_bytes(&mut nonce);
        let mut sealed = Zeroizing::new(device_secret.to_vec());
        let tag = key
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(label.as_bytes()),
                sealed.as_mut_slice(),
            )
            .map_err(|_| KeyStoreError::Failed("sealing failed".to_owned()))?;
        Ok([nonce.as_slice(), sealed.as_slice(), tag.as_ref()].concat())
    }

    fn unseal(&self, label: &str, sealed: &[u8]) -> Result<Zeroizing<[u8; 32]>, KeyStoreError> {
        let what = || not_ours(format!("the sealed device secret `{label}`"));
        let (nonce, rest) = sealed.split_at_checked(NONCE_LEN).ok_or_else(what)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| what())?;
        let mut opened = Zeroizing::new(rest.to_vec());
        let plain = self
            .sealing_key(label)?
            .open_in_place(nonce, Aad::from(label.as_bytes()), &mut opened)
            .map_err(|_| what())?;
        plain.try_into().map(Zeroizing::new).map_err(|_| what())
    }

    fn erase(&self, label: &str) -> Result<(), KeyStoreError> {
        for suffix in [POSSESSION, SEAL] {
            let path = self.path(label, suffix)?;
            files::remove(&path).map_err(|error| failed(&path, &error))?;
        }
        Ok(())
    }
}

fn refuse_exposed(path: &Path, mode: &'static str) -> Result<(), KeyStoreError> {
    match files::is_exposed(path) {
        Ok(false) => Ok(()),
        Ok(true) => Err(KeyStoreError::Exposed {
            path: path.display().to_string(),
            mode,
        }),
        Err(error) => Err(failed(path, &error)),
    }
}

fn failed(path: &Path, error: &io::Error) -> KeyStoreError {
    KeyStoreError::Failed(format!("{}: {error}", path.display()))
}

fn not_ours(what: String) -> KeyStoreError {
    KeyStoreError::NotOurs { what }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    #[expect(clippy::disallowed_types, reason = "a test is an edge")]
    use rand_core::OsRng;

    use super::*;

    fn store(dir: &Path) -> SoftwareKeyStore {
        SoftwareKeyStore::open(dir.join("keys"), "test").unwrap()
    }

    #[test]
    fn a_key_made_twice_is_the_same_key_and_only_its_owner_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        store.generate("act_1", &[0; 32], &mut OsRng).unwrap();
        let first = store.possession_key("act_1").unwrap().public_key().clone();
        store.generate("act_1", &[0; 32], &mut OsRng).unwrap();
        assert_eq!(first, *store.possession_key("act_1").unwrap().public_key());
        for entry in fs::read_dir(dir.path().join("keys")).unwrap() {
            let mode = entry.unwrap().metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        let mode = fs::metadata(dir.path().join("keys"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        store.generate("act_1", &[0; 32], &mut OsRng).unwrap();
        let path = dir.path().join("keys/act_1.pem");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert_eq!(
            store.possession_key("act_1").err().unwrap().code(),
            "keystore.exposed"
        );
        fs::set_permissions(dir.path().join("keys"), fs::Permissions::from_mode(0o755)).unwrap();
        let reopened = SoftwareKeyStore::open(dir.path().join("keys"), "test");
        assert_eq!(reopened.err().unwrap().code(), "keystore.exposed");
    }

    #[test]
    fn a_sealed_secret_opens_under_its_own_label_only() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        store.generate("a", &[0; 32], &mut OsRng).unwrap();
        store.generate("b", &[0; 32], &mut OsRng).unwrap();
        fs::copy(dir.path().join("keys/a.seal"), dir.path().join("keys/b.seal")).unwrap();
        let sealed = store.seal("a", &[7; 32], &mut OsRng).unwrap();
        assert_eq!(*store.unseal("a", &sealed).unwrap(), [7; 32]);
        assert_eq!(
            store.unseal("b", &sealed).err().unwrap().code(),
            "keystore.not_ours"
        );
        for index in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[index] ^= 1;
            assert!(store.unseal("a", &altered).is_err(), "byte {index}");
        }
        assert!(store.unseal("a", &sealed[..5]).is_err());
    }

    #[test]
    fn an_erased_key_is_gone_and_a_label_names_no_other_folder() {
        let dir = tempfile::tempdir().unwrap();
        let store = store(dir.path());
        store.generate("a", &[0; 32], &mut OsRng).unwrap();
        store.erase("a").unwrap();
        store.erase("a").unwrap();
        assert_eq!(
            store.possession_key("a").err().unwrap().code(),
            "keystore.missing"
        );
        assert_eq!(fs::read_dir(dir.path().join("keys")).unwrap().count(), 0);
        for label in ["", "../a", "a.b", "A", &"a".repeat(65)] {
            let refused = store.generate(label, &[0; 32], &mut OsRng);
            assert_eq!(refused.err().unwrap().code(), "keystore.bad_label");
        }
    }
}
