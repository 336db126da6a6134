//! What can be wrong with the daemon's keys, each with a stable code.

use std::path::PathBuf;

use paraphe_proto::keys::KeyError;
use thiserror::Error;

use super::pkcs11::TokenError;

/// What can be wrong with key files.
#[derive(Debug, Error)]
pub enum KeysError {
    /// Not there.
    #[error(
        "{0} is not there: check the path. The files of a daemon are written once, by `paraphed init`, and later come from your copy"
    )]
    Missing(PathBuf),
    /// Cannot be read or written.
    #[error("{path} cannot be read or written ({source}): check the path and its permissions")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// It is there already; nothing is overwritten.
    #[error("{0} exists already: nothing is overwritten; remove it yourself if you are sure")]
    Exists(PathBuf),
    /// Not what it should be.
    #[error("{path} is not what it should be ({detail}): name the right file, or restore it from your copy")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// Sealed with another master key.
    #[error(
        "{0} does not open with this master key: check `keys.master_key_file`; to rotate it, run `paraphed rotate-master-key` first"
    )]
    WrongMasterKey(PathBuf),
    /// Key generation failed.
    #[error("a key could not be made: {0}")]
    Generation(#[from] KeyError),
    /// A use has no key that signs.
    #[error("the issuer keys file holds no active key of some use: restore it from your copy")]
    NoActiveKey,
    /// The rotation is at another step.
    #[error("{0}")]
    Step(&'static str),
    /// The daemon has not served the newest key set for long enough.
    #[error("{0}")]
    TooEarly(String),
    /// The new master key is the one before.
    #[error(
        "`keys.master_key_file` and `keys.previous_master_key_file` hold the same key: make a new one with `paraphed rotate-master-key`"
    )]
    SameMasterKey,
    /// Another command works on the file.
    #[error("{0} is being changed by another `paraphed` command: try again")]
    Busy(PathBuf),
    /// The file is older than the database.
    #[error(
        "the issuer keys file ends at key set {file}, the database at {database}: put the newest copy of the file back"
    )]
    BehindDatabase {
        /// Newest set of the file.
        file: u64,
        /// Newest set of the database.
        database: u64,
    },
    /// File and database each have a key set of that version, and they differ.
    #[error(
        "key set {0} of the issuer keys file is not that of the database: put the file that belongs to this database back"
    )]
    OtherHistory(usize),
    /// The key sets do not follow from the root key.
    #[error(
        "the key sets do not follow from the root key ({0}): put the files that belong to this database back"
    )]
    Chain(String),
    /// A key set that should have been signed by the root key.
    #[error(
        "the root key of this deployment did not sign this key set for it ({0}): sign what `prepare` wrote, with the root key"
    )]
    NotByRoot(String),
    /// A key set other than the one that was prepared.
    #[error(
        "this is not the key set {0} that was prepared on this machine: sign exactly what `prepare` wrote"
    )]
    OtherSet(u64),
    /// A key that is not the root key, offered to sign an emergency.
    #[error(
        "{path} holds the key {found}, and this was prepared to be signed by the root key {needed}: phones follow nothing else; take the \
         file that `paraphed init` wrote"
    )]
    OtherRootKey {
        /// The private key that was named.
        path: PathBuf,
        /// Its thumbprint.
        found: String,
        /// That of the root key.
        needed: String,
    },
    /// A step that would void an emergency.
    #[error(
        "an emergency is prepared, and this would make it worthless: apply it first (`paraphed keys emergency apply`), or give it up by \
         removing {0}"
    )]
    EmergencyPrepared(PathBuf),
    /// Retired keys that are still on the token.
    #[error(
        "on the token there is still {0}. The issuer keys file names what is left: mend what is wrong, or delete the retired key with the \
         token's own tools, and run `paraphed keys retire` again"
    )]
    NotDestroyed(String),
    /// The token that holds the issuer keys.
    #[error(transparent)]
    Token(#[from] TokenError),
}

impl KeysError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing(_) => "keys.missing",
            Self::Unreadable { .. } => "keys.unreadable",
            Self::Exists(_) => "keys.exists",
            Self::Malformed { .. } => "keys.malformed",
            Self::WrongMasterKey(_) => "store.wrong_master_key",
            Self::Generation(_) => "keys.generation",
            Self::NoActiveKey => "keys.no_active_key",
            Self::Step(_) => "keys.step",
            Self::TooEarly(_) => "keys.too_early",
            Self::SameMasterKey => "keys.same_master_key",
            Self::Busy(_) => "keys.busy",
            Self::BehindDatabase { .. } => "keys.behind_database",
            Self::OtherHistory(_) => "keys.other_history",
            Self::Chain(_) => "keys.chain",
            Self::NotByRoot(_) => "keys.not_by_root",
            Self::OtherSet(_) => "keys.other_set",
            Self::OtherRootKey { .. } => "keys.other_root_key",
            Self::EmergencyPrepared(_) => "keys.emergency_prepared",
            Self::NotDestroyed(_) => "keys.not_destroyed",
            Self::Token(error) => error.code(),
        }
    }
}
