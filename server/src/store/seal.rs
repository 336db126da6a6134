//! Sealed columns: what must be neither read nor forged in a stolen or altered database. Called by the query files.
//! Invariant: a blob opens only with the master key, in the table, row and version it was sealed for. Section 2 of protocol.md:
//! row key = HKDF-SHA256(master, table, row id); AES-256-GCM with a random nonce, AAD = table ‖ row id ‖ version, each part length-prefixed.
//!
//! A blob is format (1 byte, always 1) ‖ nonce (12) ‖ ciphertext ‖ tag (16). It does not say which master key sealed it: during a
//! rotation both are tried, the new one first. What is sealed is always sealed with the new one.

use std::sync::{PoisonError, RwLock};

use paraphe_proto::transcript::Transcript;
use rand_core::{CryptoRng, RngCore};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Prk, Salt};
use ring::rand::{SecureRandom, SystemRandom};
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

const FORMAT: u8 = 1;
const ROW_KEY_LABEL: &str = "paraphe/v1/row-key";
const ROW_LABEL: &str = "paraphe/v1/row";
const MASTER_KEY_BYTES: usize = 32;
const CHECK_TABLE: &str = "meta";
const CHECK_ID: &str = "master_key_check";
const CHECK_VALUE: &[u8] = b"paraphe/v1/master-key";

/// Why a value could not be sealed or opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The blob was altered, or belongs to another row or version. The message names the table, never the row.
    #[error(
        "a sealed record in `{table}` was altered or moved: do not trust this database; restore a backup and examine this file"
    )]
    Tampered { table: String },
    /// The database was sealed with another master key.
    #[error("this master key does not open the database: configure the key that `paraphed init` made for it")]
    WrongMasterKey,
    /// The master key file holds something else than a key.
    #[error(
        "the master key must be 32 bytes, raw or as 64 hexadecimal digits: point the configuration at the file `paraphed init` made"
    )]
    MasterKeyFormat,
    /// A record has another shape than this release expects.
    #[error(
        "a record in `{table}` could not be encoded or decoded ({detail}): this is a defect of paraphed, please report it"
    )]
    Record { table: String, detail: String },
    /// The operating system's random source failed.
    #[error("the operating system gave no random bytes: check the host")]
    NoRandomness,
}

impl SealError {
    /// The stable code of this error, as in the catalogue of codes.
    pub fn code(&self) -> &'static str {
        match self {
            SealError::Tampered { .. } => "store.tampered",
            SealError::WrongMasterKey => "store.wrong_master_key",
            SealError::MasterKeyFormat => "store.master_key_format",
            SealError::Record { .. } => "store.record",
            SealError::NoRandomness => "store.no_randomness",
        }
    }
}

/// The key over all sealed columns: 32 bytes, kept outside the database.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct MasterKey([u8; MASTER_KEY_BYTES]);

impl MasterKey {
    /// A new key for a new deployment.
    pub fn random(rng: &mut (impl CryptoRng + RngCore)) -> MasterKey {
        let mut key = MasterKey([0; MASTER_KEY_BYTES]);
        rng.fill_bytes(&mut key.0);
        key
    }

    /// Reads the contents of a key file: 32 raw bytes, or 64 hexadecimal digits with or without a line end.
    ///
    /// # Errors
    /// [`SealError::MasterKeyFormat`] for anything else.
    pub fn from_file_contents(contents: &[u8]) -> Result<MasterKey, SealError> {
        let mut key = MasterKey([0; MASTER_KEY_BYTES]);
        if contents.len() == MASTER_KEY_BYTES {
            key.0.copy_from_slice(contents);
            return Ok(key);
        }
        let digits = contents.trim_ascii_end();
        if digits.len() != 2 * MASTER_KEY_BYTES {
            return Err(SealError::MasterKeyFormat);
        }
        data_encoding::HEXLOWER_PERMISSIVE
            .decode_mut(digits, &mut key.0)
            .map_err(|_| SealError::MasterKeyFormat)?;
        Ok(key)
    }

    /// The key as 64 lowercase hexadecimal digits, for the file that `paraphed init` writes.
    pub fn expose_hex(&self) -> Zeroizing<String> {
        Zeroizing::new(data_encoding::HEXLOWER.encode(&self.0))
    }

    /// Whether the other one is the same key.
    pub fn is(&self, other: &MasterKey) -> bool {
        subtle::ConstantTimeEq::ct_eq(self.0.as_slice(), other.0.as_slice()).into()
    }
}

/// Seals and opens values under one master key. Keeps only what row keys are derived from.
pub struct Sealer {
    rows: Prk,
    /// Of the key before, while rows are sealed again; it only opens.
    previous: RwLock<Option<Prk>>,
    random: SystemRandom,
}

impl Sealer {
    /// A sealer under `master`.
    #[expect(
        clippy::disallowed_methods,
        reason = "nonces must never repeat under a row key, so no caller may choose them"
    )]
    pub fn new(master: &MasterKey) -> Sealer {
        Sealer {
            rows: row_secret(master),
            previous: RwLock::new(None),
            random: SystemRandom::new(),
        }
    }

    /// A sealer under `master` that also opens what `previous` sealed.
    pub fn rotating(master: &MasterKey, previous: &MasterKey) -> Sealer {
        let sealer = Sealer::new(master);
        sealer.remember(Some(row_secret(previous)));
        sealer
    }

    /// Whether a previous key still opens rows.
    pub fn is_rotating(&self) -> bool {
        self.previous().is_some()
    }

    /// Opens nothing with the previous key from now on.
    pub fn forget_previous(&self) {
        self.remember(None);
    }

    fn remember(&self, previous: Option<Prk>) {
        *self.previous.write().unwrap_or_else(PoisonError::into_inner) = previous;
    }

    fn previous(&self) -> Option<Prk> {
        self.previous
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Seals `plaintext` for one row of `table` at `version`; the blob is 29 bytes longer. Each change of a row takes a higher version.
    ///
    /// # Errors
    /// [`SealError::NoRandomness`].
    pub fn seal(&self, table: &str, id: &str, version: u64, plaintext: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0; NONCE_LEN];
        self.random
            .fill(&mut nonce)
            .map_err(|_| SealError::NoRandomness)?;
        let header = 1 + NONCE_LEN;
        let mut blob = Vec::with_capacity(header + plaintext.len() + AES_256_GCM.tag_len());
        blob.push(FORMAT);
        blob.extend_from_slice(&nonce);
        blob.extend_from_slice(plaintext);
        let key = row_key(&self.rows, table, id)?;
        let body = blob.get_mut(header..).unwrap_or_default();
        let tag = key
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(associated_data(table, id, version).bytes()),
                body,
            )
            .map_err(|_| SealError::Record {
                table: table.to_owned(),
                detail: "too long".to_owned(),
            })?;
        blob.extend_from_slice(tag.as_ref());
        Ok(blob)
    }

    /// Opens what [`Sealer::seal`] made for the same row and version.
    ///
    /// # Errors
    /// [`SealError::Tampered`] for anything else.
    pub fn open(
        &self,
        table: &str,
        id: &str,
        version: u64,
        blob: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, SealError> {
        open_with(&self.rows, table, id, version, blob).or_else(|error| match self.previous() {
            Some(previous) => open_with(&previous, table, id, version, blob),
            None => Err(error),
        })
    }

    /// The same value under the new key; nothing when it is under the new key already.
    ///
    /// # Errors
    /// [`SealError::Tampered`] when neither key opens it.
    pub fn reseal(
        &self,
        table: &str,
        id: &str,
        version: u64,
        blob: &[u8],
    ) -> Result<Option<Vec<u8>>, SealError> {
        if open_with(&self.rows, table, id, version, blob).is_ok() {
            return Ok(None);
        }
        let plaintext = self.open(table, id, version, blob)?;
        self.seal(table, id, version, &plaintext).map(Some)
    }

    /// Seals a record as CBOR (RFC 8949).
    ///
    /// # Errors
    /// [`SealError::Record`] when it cannot be encoded, [`SealError::NoRandomness`].
    pub fn seal_record<T: Serialize>(
        &self,
        table: &str,
        id: &str,
        version: u64,
        record: &T,
    ) -> Result<Vec<u8>, SealError> {
        let mut plaintext = Zeroizing::new(Vec::with_capacity(1024));
        ciborium::into_writer(record, &mut *plaintext)
            .map_err(|error| unreadable(table, &error.to_string()))?;
        self.seal(table, id, version, &plaintext)
    }

    /// Opens a record that [`Sealer::seal_record`] sealed.
    ///
    /// # Errors
    /// [`SealError::Tampered`] as [`Sealer::open`]; [`SealError::Record`] when its fields are not those of `T`.
    pub fn open_record<T: DeserializeOwned>(
        &self,
        table: &str,
        id: &str,
        version: u64,
        blob: &[u8],
    ) -> Result<T, SealError> {
        let plaintext = self.open(table, id, version, blob)?;
        ciborium::from_reader(plaintext.as_slice())
            .map_err(|_| unreadable(table, "its fields are not the expected ones"))
    }

    /// The sealed value that `paraphed init` stores in `meta` for [`Sealer::verify_check_value`].
    ///
    /// # Errors
    /// [`SealError::NoRandomness`].
    pub fn check_value(&self) -> Result<Vec<u8>, SealError> {
        self.seal(CHECK_TABLE, CHECK_ID, 0, CHECK_VALUE)
    }

    /// Proves at start that this is the master key the database was made with; a previous one is not asked.
    ///
    /// # Errors
    /// [`SealError::WrongMasterKey`].
    pub fn verify_check_value(&self, blob: &[u8]) -> Result<(), SealError> {
        verify_check(&self.rows, blob)
    }

    /// The same for the previous key.
    ///
    /// # Errors
    /// [`SealError::WrongMasterKey`], also without a previous key.
    pub fn verify_check_value_of_previous(&self, blob: &[u8]) -> Result<(), SealError> {
        verify_check(&self.previous().ok_or(SealError::WrongMasterKey)?, blob)
    }
}

fn verify_check(rows: &Prk, blob: &[u8]) -> Result<(), SealError> {
    let opened = open_with(rows, CHECK_TABLE, CHECK_ID, 0, blob).map_err(|_| SealError::WrongMasterKey)?;
    if opened.as_slice() == CHECK_VALUE {
        Ok(())
    } else {
        Err(SealError::WrongMasterKey)
    }
}

fn row_secret(master: &MasterKey) -> Prk {
    Salt::new(HKDF_SHA256, &[]).extract(&master.0)
}

fn row_key(rows: &Prk, table: &str, id: &str) -> Result<LessSafeKey, SealError> {
    let info = Transcript::new(ROW_KEY_LABEL)
        .field(table.as_bytes())
        .field(id.as_bytes());
    let info = [info.bytes()];
    let key = rows
        .expand(&info, &AES_256_GCM)
        .map_err(|_| unreadable(table, "no row key"))?;
    Ok(LessSafeKey::new(UnboundKey::from(key)))
}

fn open_with(
    rows: &Prk,
    table: &str,
    id: &str,
    version: u64,
    blob: &[u8],
) -> Result<Zeroizing<Vec<u8>>, SealError> {
    let tampered = || SealError::Tampered {
        table: table.to_owned(),
    };
    let (FORMAT, rest) = blob
        .split_first()
        .map(|(format, rest)| (*format, rest))
        .ok_or_else(tampered)?
    else {
        return Err(tampered());
    };
    let (nonce, ciphertext) = rest.split_first_chunk::<NONCE_LEN>().ok_or_else(tampered)?;
    let mut opened = Zeroizing::new(ciphertext.to_vec());
    let length = row_key(rows, table, id)?
        .open_in_place(
            Nonce::assume_unique_for_key(*nonce),
            Aad::from(associated_data(table, id, version).bytes()),
            &mut opened,
        )
        .map_err(|_| tampered())?
        .len();
    opened.truncate(length);
    Ok(opened)
}

fn associated_data(table: &str, id: &str, version: u64) -> Transcript {
    Transcript::new(ROW_LABEL)
        .field(table.as_bytes())
        .field(id.as_bytes())
        .field(&version.to_be_bytes())
}

fn unreadable(table: &str, detail: &str) -> SealError {
    SealError::Record {
        table: table.to_owned(),
        detail: detail.to_owned(),
    }
}

#[cfg(test)]
mod tests;
