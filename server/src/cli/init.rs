//! `paraphed init`: makes what the configuration names, once, and prints the two first administrators' activations.

use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use paraphe_proto::keys::{Signer, SoftwareKey};
use paraphe_proto::statements::KeyUse;
use rand_core::{CryptoRng, RngCore};
use serde::Serialize;

use super::keys::{origin, word};
use super::{CommandError, print_json};
use crate::app::bootstrap::{FirstAdministrator, bootstrap};
use crate::app::{Facts, Scope};
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::attestation::Rules;
use crate::domain::ended::Event;
use crate::domain::fault::Fault;
use crate::keys::{IssuerKeys, KeysError, ProofingKeys, write_new};
use crate::open::{StartError, load_catalogue, new_journal};
use crate::store::db::{Db, Options};
use crate::store::record::Rows;
use crate::store::seal::{MasterKey, Sealer};

/// Arguments of `paraphed init`.
#[derive(Args)]
pub struct InitArguments {
    /// The configuration file (TOML).
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Where the private root key is written; move it offline [default: root-key.pem beside the configuration].
    #[arg(long, value_name = "FILE")]
    root_key_file: Option<PathBuf>,
    /// Where the private key of the first terminal is written [default: first-terminal.pem beside the configuration].
    #[arg(long, value_name = "FILE")]
    terminal_key_file: Option<PathBuf>,
    /// Make a certificate for localhost and the issuer's host, and its `ca.pem`. Not for real people.
    #[arg(long)]
    development_tls: bool,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    issuer: String,
    administrators: Vec<Administrator>,
    issuer_keys: Vec<NewKey>,
    root_key_file: PathBuf,
    root_public_key_file: PathBuf,
    terminal_key_file: PathBuf,
    ca_file: Option<PathBuf>,
}

/// An issuer key, and whether it was on the token before.
#[derive(Serialize)]
struct NewKey {
    #[serde(rename = "use")]
    key_use: KeyUse,
    kid: String,
    was_there: bool,
}

#[derive(Serialize)]
struct Administrator {
    operator: String,
    activation_id: String,
    code: String,
    uri: String,
    expires_at: i64,
}

/// Runs the command.
///
/// # Errors
/// Named errors; nothing that exists is overwritten.
pub fn init(arguments: &InitArguments) -> Result<(), CommandError> {
    let config = Config::load(&arguments.config)?;
    let catalogue = load_catalogue(&config)?;
    let beside = |name: &str| arguments.config.parent().unwrap_or(Path::new(".")).join(name);
    let root_file = arguments
        .root_key_file
        .clone()
        .unwrap_or_else(|| beside("root-key.pem"));
    let terminal_file = arguments
        .terminal_key_file
        .clone()
        .unwrap_or_else(|| beside("first-terminal.pem"));
    let ca_file = arguments
        .development_tls
        .then(|| config.tls.certificate_file.with_file_name("ca.pem"));
    let files = made_files(&config, &root_file, &terminal_file, ca_file.as_deref());
    let made = Unfinished::begin(files)?;

    let mut rng = crate::entropy::system();
    let (root, terminal) = (new_key(&mut rng)?, new_key(&mut rng)?);
    let master = MasterKey::random(&mut rng);
    let sealer = Sealer::new(&master);
    let keys =
        IssuerKeys::generate(&config.keys, root.public_key().clone(), &mut rng).map_err(StartError::from)?;
    write_keys(&config, &master, &sealer, &keys, &root)?;
    write_pem(&root_file, &root)?;
    write_pem(&terminal_file, &terminal)?;
    if let Some(ca_file) = &ca_file {
        development_tls(&config, ca_file)?;
    }
    let new_keys = keys.ring();
    let new_keys = new_keys.new_since(None).map(|(key_use, kid, was_there)| NewKey {
        key_use,
        kid: kid.to_owned(),
        was_there,
    });
    let report = |administrators| Report {
        issuer: config.issuer.to_string(),
        administrators,
        issuer_keys: new_keys.collect(),
        root_public_key_file: config.keys.root_public_key_file.clone(),
        root_key_file: root_file.clone(),
        terminal_key_file: terminal_file.clone(),
        ca_file: ca_file.clone(),
    };
    let mut report = report(Vec::new());
    let facts = Arc::new(Facts {
        config,
        catalogue,
        keys,
        proofing: ProofingKeys::default(),
        sealer,
        attestation: Rules::default(),
        restore_epoch: 0,
    });
    report.administrators = fill_database(facts, root, &terminal)?;
    made.finish();
    print(&report, arguments.json)
}

fn made_files(config: &Config, root: &Path, terminal: &Path, ca: Option<&Path>) -> Vec<PathBuf> {
    let keys = &config.keys;
    let mut made = vec![
        config.store.path.as_path(),
        &config.store.security_journal,
        &keys.master_key_file,
        &keys.issuer_keys_file,
        &keys.root_public_key_file,
        root,
        terminal,
    ];
    if let Some(ca) = ca {
        made.extend([ca, &config.tls.certificate_file, &config.tls.private_key_file]);
    }
    made.into_iter().map(Path::to_owned).collect()
}

/// Files of an `init` that has not ended: nothing stays half done.
struct Unfinished(Vec<PathBuf>);

impl Unfinished {
    /// Refuses what exists, makes the folders that are missing.
    fn begin(files: Vec<PathBuf>) -> Result<Self, StartError> {
        if let Some(path) = files.iter().find(|path| path.exists()) {
            return Err(KeysError::Exists(path.clone()).into());
        }
        for folder in files.iter().filter_map(|path| path.parent()) {
            let mut builder = std::fs::DirBuilder::new();
            builder
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .map_err(|source| KeysError::Unreadable {
                    path: folder.to_owned(),
                    source,
                })?;
        }
        Ok(Self(files))
    }

    fn finish(mut self) {
        self.0.clear();
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        for path in &self.0 {
            let _absent = std::fs::remove_file(path);
        }
    }
}

fn new_key(rng: &mut (impl CryptoRng + RngCore)) -> Result<SoftwareKey, StartError> {
    Ok(SoftwareKey::generate(rng).map_err(KeysError::from)?)
}

fn write_keys(
    config: &Config,
    master: &MasterKey,
    sealer: &Sealer,
    keys: &IssuerKeys,
    root: &SoftwareKey,
) -> Result<(), StartError> {
    write_new(&config.keys.master_key_file, master.expose_hex().as_bytes())?;
    keys.write(&config.keys.issuer_keys_file, sealer)?;
    let jwk = serde_json::to_string_pretty(&root.public_key().to_jwk()).map_err(Fault::internal)?;
    write_new(&config.keys.root_public_key_file, jwk.as_bytes())?;
    Ok(())
}

fn write_pem(path: &Path, key: &SoftwareKey) -> Result<(), StartError> {
    let pem = key.to_pkcs8_pem().map_err(KeysError::from)?;
    Ok(write_new(path, pem.as_bytes())?)
}

fn development_tls(config: &Config, ca_file: &Path) -> Result<(), CommandError> {
    let ca_key = rcgen::KeyPair::generate()?;
    let mut ca = rcgen::CertificateParams::new(Vec::<String>::new())?;
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
    ca.distinguished_name
        .push(rcgen::DnType::CommonName, "Paraphe development only");
    let ca_certificate = ca.self_signed(&ca_key)?;
    let names = ["localhost", "127.0.0.1", "::1", config.issuer.host()].map(str::to_owned);
    let key = rcgen::KeyPair::generate()?;
    let mut leaf = rcgen::CertificateParams::new(names)?;
    leaf.distinguished_name
        .push(rcgen::DnType::CommonName, "paraphed");
    leaf.extended_key_usages
        .push(rcgen::ExtendedKeyUsagePurpose::ServerAuth);
    let certificate = leaf.signed_by(&key, &rcgen::Issuer::new(ca, ca_key))?;
    let write = |path: &Path, text: String| write_new(path, text.as_bytes()).map_err(StartError::from);
    write(ca_file, ca_certificate.pem())?;
    write(&config.tls.certificate_file, certificate.pem())?;
    write(&config.tls.private_key_file, key.serialize_pem())?;
    Ok(())
}

fn fill_database(
    facts: Arc<Facts>,
    root: SoftwareKey,
    terminal: &SoftwareKey,
) -> Result<Vec<Administrator>, StartError> {
    let now = Clock::starting_after(None)?.now()?;
    let db = Db::create(&facts.config.store.path, Options::default())?;
    db.keep(new_journal(&facts.config.store.security_journal, &facts.keys)?);
    let terminal = terminal.public_key().clone();
    let made: Vec<FirstAdministrator> = db.write_blocking("init", move |tx| {
        let mut scope = Scope {
            rows: Rows::new(tx, &facts.sealer),
            facts: &facts,
            now,
        };
        scope.rows.tx.note(Event::At(now));
        bootstrap(&mut scope, &root, &terminal)
    })?;
    db.close_blocking()?;
    let shown = made.into_iter().map(|administrator| Administrator {
        operator: administrator.name,
        activation_id: administrator.activation.id.to_string(),
        code: administrator.activation.code,
        uri: administrator.activation.uri,
        expires_at: administrator.activation.expires_at.as_secs(),
    });
    Ok(shown.collect())
}

fn print(report: &Report, json: bool) -> Result<(), CommandError> {
    if json {
        return print_json(report);
    }
    let mut out = anstream::stdout();
    writeln!(out, "Paraphe is initialised for {}.\n", report.issuer)?;
    for administrator in &report.administrators {
        writeln!(
            out,
            "Activation of {} (shown once, single use):\n",
            administrator.operator
        )?;
        if let Ok(code) = qrcode::QrCode::new(administrator.uri.as_bytes()) {
            writeln!(
                out,
                "{}",
                code.render::<qrcode::render::unicode::Dense1x2>().build()
            )?;
        }
        writeln!(
            out,
            "  typed code  {}\n  QR content  {}\n",
            administrator.code, administrator.uri
        )?;
    }
    for key in &report.issuer_keys {
        let (key_use, origin) = (word(key.key_use), origin(key.was_there));
        writeln!(out, "issuer key {key_use:<10} {:<44} {origin}", key.kid)?;
    }
    writeln!(
        out,
        "Move {} offline now: it signs emergency key sets.",
        report.root_key_file.display()
    )?;
    writeln!(
        out,
        "The first terminal signs in with {}.",
        report.terminal_key_file.display()
    )?;
    Ok(())
}
