//! `paraphed rotate-master-key`: makes the new master key and seals the issuer keys with it; the daemon does the rows
//! (operations.md, "Rotating the master key").

use std::io::Write;
use std::path::PathBuf;

use clap::Args;

use super::CommandError;
use crate::config::{Config, Keys};
use crate::keys::{
    IssuerKeys, KeysError, MasterKeys, lock, read_master_key, read_public_key, write_new_like,
};
use crate::open::StartError;
use crate::store::seal::MasterKey;

/// Arguments of `paraphed rotate-master-key`.
#[derive(Args)]
pub struct MasterKeyArguments {
    /// The configuration file (TOML), in which `keys.previous_master_key_file` is the key in use and `keys.master_key_file` is not
    /// there yet.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// Runs the command. Interrupted, it is run again.
///
/// # Errors
/// `keys.*` with what to do; nothing that exists is overwritten but the issuer keys, sealed again.
pub fn rotate(arguments: &MasterKeyArguments) -> Result<(), CommandError> {
    let config = Config::load(&arguments.config)?;
    prepare(&config.keys).map_err(StartError::from)?;
    let mut out = anstream::stdout();
    writeln!(
        out,
        "{} is the new master key, and the issuer keys are sealed with it. Back it up, then: systemctl restart paraphed",
        config.keys.master_key_file.display()
    )?;
    Ok(())
}

fn prepare(files: &Keys) -> Result<(), KeysError> {
    let Some(previous) = &files.previous_master_key_file else {
        return Err(KeysError::Step(
            "move the master key to another name, set `keys.previous_master_key_file` to it, and run this again",
        ));
    };
    let _lock = lock(&files.issuer_keys_file)?;
    super::keys::emergency::require_none(&files.issuer_keys_file)?;
    let root = || read_public_key(&files.root_public_key_file);
    if !files.master_key_file.exists() {
        let known = crate::store::seal::Sealer::new(&read_master_key(previous)?);
        IssuerKeys::read(files, &known, root()?)?;
        let key = MasterKey::random(&mut crate::entropy::system());
        write_new_like(previous, &files.master_key_file, key.expose_hex().as_bytes())?;
    }
    let keys = MasterKeys::read(files)?;
    let path = &files.issuer_keys_file;
    match IssuerKeys::read(files, &keys.current(), root()?) {
        Ok(_) => return Ok(()),
        Err(KeysError::WrongMasterKey(_)) => {}
        // A token whose PIN was refused is not asked again.
        Err(other) => return Err(other),
    }
    let before = keys
        .previous()
        .ok_or_else(|| KeysError::WrongMasterKey(path.clone()))?;
    IssuerKeys::read(files, &before, root()?)?.replace(path, &keys.current())
}
