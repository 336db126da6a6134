//! `paraphed keys emergency`: the issuer keys may be stolen. Prepare a set with new keys, sign it with the root key on a machine that is
//! offline, apply it (operations.md, "An emergency").

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};
use paraphe_proto::jws;
use paraphe_proto::keys::{Signer, SoftwareKey};
use paraphe_proto::statements::{KeySet, KeyState};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{now, open, words};
use crate::cli::{CommandError, confirm};
use crate::config::Config;
use crate::domain::fault::Fault;
use crate::keys::{IssuerKeys, KeysError, Ring, lock, write_new};
use crate::open::StartError;
use crate::store::seal::Sealer;

/// Longest statement or request that is read.
const MAX_BYTES: u64 = 65_536;

/// Arguments of `paraphed keys emergency`.
#[derive(Args)]
pub(super) struct EmergencyArguments {
    #[command(subcommand)]
    step: Step,
}

#[derive(Subcommand)]
enum Step {
    /// Make a new pair of keys, and the key set to be signed by the root key. Nothing in use changes.
    Prepare(PrepareArguments),
    /// Sign the prepared key set with the root key, on a machine that is offline; needs no configuration.
    Sign(SignArguments),
    /// Put the signed key set in force: the new keys sign, all others are retired.
    Apply(ApplyArguments),
}

#[derive(Args)]
struct PrepareArguments {
    /// The configuration file (TOML).
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Where the set to be signed is written (JSON; nothing in it is secret).
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
}

#[derive(Args)]
struct SignArguments {
    /// What `prepare` wrote.
    #[arg(long, value_name = "FILE")]
    request: PathBuf,
    /// The private root key that `paraphed init` wrote (PEM).
    #[arg(long, value_name = "FILE")]
    root_key: PathBuf,
    /// Where the signed set is written (a compact JWS; nothing in it is secret).
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

#[derive(Args)]
struct ApplyArguments {
    /// The configuration file (TOML).
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// What `sign` wrote.
    #[arg(long, value_name = "FILE")]
    statement: PathBuf,
}

/// What `prepare` writes and `sign` reads.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    /// Thumbprint of the root key that phones pin: no other may sign.
    root_key: String,
    /// To be signed.
    key_set: KeySet,
}

impl Request {
    fn print(&self, out: &mut impl Write) -> std::io::Result<()> {
        let set = &self.key_set;
        writeln!(
            out,
            "issuer    {}\nroot key  {}\nkey set   {}\n",
            set.iss, self.root_key, set.version
        )?;
        for key in &set.keys {
            let (key_use, state) = words(key.key_use, key.state);
            let note = match key.state {
                KeyState::Active => "new",
                KeyState::Next | KeyState::Retired => "",
            };
            writeln!(out, "{key_use:<10} {:<44} {state:<8} {note}", key.kid)?;
        }
        Ok(())
    }
}

/// Runs the command.
///
/// # Errors
/// `keys.*`; nothing is changed then.
pub(super) fn emergency(arguments: &EmergencyArguments) -> Result<(), CommandError> {
    match &arguments.step {
        Step::Prepare(arguments) => prepare(arguments),
        Step::Sign(arguments) => sign(arguments),
        Step::Apply(arguments) => apply(arguments),
    }
}

fn prepare(arguments: &PrepareArguments) -> Result<(), CommandError> {
    let config = Config::load(&arguments.config)?;
    let path = &config.keys.issuer_keys_file;
    let _lock = lock(path).map_err(StartError::from)?;
    let (keys, sealer) = open(&config)?;
    let ring = keys.ring().emergency(&mut crate::entropy::system());
    let ring = ring.map_err(StartError::from)?;
    let request = Request {
        root_key: keys.root_public().thumbprint().to_owned(),
        key_set: ring.unsigned_set(config.issuer.as_str(), now()?),
    };
    let json =
        serde_json::to_vec_pretty(&request).map_err(|error| StartError::from(Fault::internal(error)))?;
    let prepared = prepared_file(path);
    keys.follow(Arc::new(ring));
    keys.write(&prepared, &sealer).map_err(StartError::from)?;
    if let Err(error) = write_new(&arguments.to, &json) {
        std::fs::remove_file(&prepared)?;
        return Err(StartError::from(error).into());
    }
    let mut out = anstream::stdout();
    request.print(&mut out)?;
    writeln!(
        out,
        "\nNothing in use has changed. The new private keys are in {}, sealed; until they are applied, or you remove that file, no key \
         rotates here. Carry {} to the machine with the root key:\n\n  \
         paraphed keys emergency sign --request FILE --root-key root-key.pem --to FILE\n\nCompare the list there with this one.",
        prepared.display(),
        arguments.to.display()
    )?;
    Ok(())
}

fn sign(arguments: &SignArguments) -> Result<(), CommandError> {
    let request = read(&arguments.request)?;
    let malformed = |path: &Path, detail: String| {
        StartError::from(KeysError::Malformed {
            path: path.to_owned(),
            detail,
        })
    };
    let request: Request =
        serde_json::from_slice(&request).map_err(|error| malformed(&arguments.request, error.to_string()))?;
    let pem = Zeroizing::new(
        String::from_utf8(read(&arguments.root_key)?.to_vec())
            .map_err(|_| malformed(&arguments.root_key, "not text".to_owned()))?,
    );
    let root = SoftwareKey::from_pkcs8_pem(&pem)
        .map_err(|_| malformed(&arguments.root_key, "not a P-256 private key in PEM".to_owned()))?;
    let mut out = anstream::stdout();
    request.print(&mut out)?;
    let found = root.public_key().thumbprint();
    if request.root_key != found {
        return Err(StartError::from(KeysError::OtherRootKey {
            path: arguments.root_key.clone(),
            found: found.to_owned(),
            needed: request.root_key,
        })
        .into());
    }
    if !arguments.yes {
        confirm("to sign")?;
    }
    let signed = jws::sign(&request.key_set, &root).map_err(|error| StartError::from(Fault::from(error)))?;
    let text = format!("{}\n", signed.into_compact());
    write_new(&arguments.to, text.as_bytes()).map_err(StartError::from)?;
    writeln!(
        out,
        "\nCarry {} back: paraphed keys emergency apply --config FILE --statement FILE",
        arguments.to.display()
    )?;
    Ok(())
}

fn apply(arguments: &ApplyArguments) -> Result<(), CommandError> {
    let config = Config::load(&arguments.config)?;
    let path = &config.keys.issuer_keys_file;
    let _lock = lock(path).map_err(StartError::from)?;
    let (keys, sealer) = open(&config)?;
    let text = read(&arguments.statement)?;
    let statement = std::str::from_utf8(&text).unwrap_or_default().trim();
    let prepared = prepared_file(path);
    let current = keys.ring();
    if !current.ends_with(statement) {
        let new = replaced(&config, &keys, &sealer, statement).map_err(StartError::from)?;
        keys.follow(Arc::new(new));
        keys.replace(path, &sealer).map_err(StartError::from)?;
    }
    if prepared.exists() {
        std::fs::remove_file(&prepared)?;
    }
    let mut out = anstream::stdout();
    writeln!(
        out,
        "Key set {} is in force once the daemon reads it: systemctl reload paraphed. What the old keys signed and nobody has answered ends \
         then.",
        keys.ring().version()
    )?;
    Ok(())
}

fn replaced(config: &Config, keys: &IssuerKeys, sealer: &Sealer, statement: &str) -> Result<Ring, KeysError> {
    let path = prepared_file(&config.keys.issuer_keys_file);
    if !path.exists() {
        return Err(KeysError::Step(
            "no emergency is prepared on this machine: `paraphed keys emergency prepare` comes first",
        ));
    }
    let prepared = read_prepared(config, keys, sealer, &path)?;
    let root = keys.root_public();
    keys.ring()
        .replaced_by(&prepared, statement, root, config.issuer.as_str())
}

fn read_prepared(
    config: &Config,
    keys: &IssuerKeys,
    sealer: &Sealer,
    path: &Path,
) -> Result<Arc<Ring>, KeysError> {
    let files = crate::config::Keys {
        issuer_keys_file: path.to_owned(),
        ..config.keys.clone()
    };
    Ok(IssuerKeys::read(&files, sealer, keys.root_public().clone())?.ring())
}

/// No other step while new private keys wait for the signature of the root key: it would void what is on its way to be signed.
///
/// # Errors
/// `keys.emergency_prepared`.
pub fn require_none(issuer_keys: &Path) -> Result<(), KeysError> {
    let prepared = prepared_file(issuer_keys);
    match prepared.exists() {
        true => Err(KeysError::EmergencyPrepared(prepared)),
        false => Ok(()),
    }
}

/// The file in which new private keys wait, and whether a rotation has made them worthless since; where there is one.
///
/// # Errors
/// What is wrong with the file.
pub(super) fn waiting(
    config: &Config,
    keys: &IssuerKeys,
    sealer: &Sealer,
) -> Result<Option<(PathBuf, bool)>, KeysError> {
    let path = prepared_file(&config.keys.issuer_keys_file);
    if !path.exists() {
        return Ok(None);
    }
    let prepared = read_prepared(config, keys, sealer, &path)?;
    let void = !keys.ring().is_at(&prepared);
    Ok(Some((path, void)))
}

/// Where the new private keys wait for the signature.
fn prepared_file(issuer_keys: &Path) -> PathBuf {
    let mut name = issuer_keys.as_os_str().to_owned();
    name.push(".emergency");
    PathBuf::from(name)
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, StartError> {
    use std::io::Read;
    let unreadable = |source: std::io::Error| match source.kind() {
        std::io::ErrorKind::NotFound => KeysError::Missing(path.to_owned()),
        _ => KeysError::Unreadable {
            path: path.to_owned(),
            source,
        },
    };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut contents = Zeroizing::new(Vec::new());
    file.take(MAX_BYTES)
        .read_to_end(&mut contents)
        .map_err(unreadable)?;
    Ok(contents)
}
