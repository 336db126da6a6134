//! The daemon's configuration: one TOML file, read once at start into one tree of plain typed values.
//!
//! `main` loads it, `lib.rs` hands its parts to whoever needs them; nothing else reads the file or the environment.
//! Invariant: a [`Config`] that exists was checked. Unknown keys are refused, every figure lies in its documented range, the
//! PIN rules are never laxer than protocol.md section 4, secrets appear as file paths only, and relative paths have been
//! resolved against the folder of the configuration file. `deploy/paraphed.toml` lists every key with its default.

mod attestation;
mod channels;
mod devices;
mod error;
mod limits;
mod pkcs11;
mod proofing;
mod range;
mod rules;
mod values;

use std::path::{Path, PathBuf};

use serde::Deserialize;

pub use attestation::{Android, AndroidApp, Apple, Attestation, AttestationPolicy};
pub use channels::{ChannelName, ChannelProfile, Channels};
pub use devices::Devices;
pub use error::ConfigError;
pub use limits::Limits;
pub use pkcs11::Pkcs11;
pub use proofing::{Proofing, Provider, ProviderName};
pub use rules::{MatchCode, Operators, OwnLocale, Pin, Retention, Session, StepUp};
pub use values::{EvidenceCheck, IssuerUrl, LogFilter, LogFormat};

/// Everything that one deployment of `paraphed` decides.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The name of this daemon in every statement, e.g. `https://paraphe.example`. Phones pin it: it never changes.
    pub issuer: IssuerUrl,
    /// Address and port of the TLS listener; port 0 takes a free one. Default `127.0.0.1:8443`.
    #[serde(default = "default_listen")]
    pub listen: std::net::SocketAddr,
    /// The catalogue of actions that backends may ask to confirm.
    pub actions_file: PathBuf,
    /// The database.
    pub store: Store,
    /// The daemon's own keys.
    pub keys: Keys,
    /// The certificate of the listener.
    pub tls: Tls,
    /// What the edge takes on before it refuses.
    #[serde(default)]
    pub limits: Limits,
    /// Log lines on standard error.
    #[serde(default)]
    pub logging: Logging,
    /// PIN rules and the waits between attempts.
    #[serde(default)]
    pub pin: Pin,
    /// The code that ties the backend's page to the phone.
    #[serde(default)]
    pub match_code: MatchCode,
    /// Limits on what backends ask of one person.
    #[serde(default)]
    pub step_up: StepUp,
    /// Operator sessions.
    #[serde(default)]
    pub session: Session,
    /// Limits on the challenges operators raise for their own phones.
    #[serde(default)]
    pub operators: Operators,
    /// Key attestation at activation.
    #[serde(default)]
    pub attestation: Attestation,
    /// How many phones a person may have.
    #[serde(default)]
    pub devices: Devices,
    /// How long things are kept.
    #[serde(default)]
    pub retention: Retention,
    /// The enrolment channels that are open, with their profiles.
    #[serde(default)]
    pub channels: Channels,
    /// Who may sign the results of remote proofing.
    #[serde(default)]
    pub proofing: Proofing,
    /// What kind of deployment this is.
    #[serde(default)]
    pub profile: Profile,
    /// What is allowed but surely not meant; said by `check-config` and at every start.
    #[serde(skip)]
    pub warnings: Vec<&'static str>,
}

/// `[store]`
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// The SQLite database file; `paraphed init` creates it.
    pub path: PathBuf,
    /// The security journal, best on another disk. Default: `security.journal` beside the database.
    #[serde(default)]
    pub security_journal: PathBuf,
}

/// `[keys]`: files that `paraphed init` creates.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// The master key (32 bytes) that seals database rows and the issuer keys.
    pub master_key_file: PathBuf,
    /// While rows are sealed again: the master key before. None otherwise.
    #[serde(default)]
    pub previous_master_key_file: Option<PathBuf>,
    /// The issuer keys, sealed with the master key.
    pub issuer_keys_file: PathBuf,
    /// The public half of the root key; the private half is kept offline.
    pub root_public_key_file: PathBuf,
    /// The token that holds the issuer keys, instead of the sealed file.
    pub pkcs11: Option<Pkcs11>,
}

/// `[tls]`: PEM files, read again on SIGHUP.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate chain, the daemon's own certificate first.
    pub certificate_file: PathBuf,
    /// The private key of the first certificate.
    pub private_key_file: PathBuf,
}

/// `[logging]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Logging {
    /// `text` (default) or `json`, one line per event.
    pub format: LogFormat,
    /// A level for all of Paraphe, or `module=level` pairs after it. Default `info`.
    pub filter: LogFilter,
}

/// `[profile]`
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Profile {
    /// A demonstration: lifetimes of seconds and no quarantine are allowed, and every start says so. Default `false`.
    pub demonstration: bool,
}

fn default_listen() -> std::net::SocketAddr {
    std::net::SocketAddr::from(([127, 0, 0, 1], 8443))
}

impl Config {
    /// Reads and checks the configuration file at `path`.
    ///
    /// # Errors
    /// `config.unreadable`, and everything that [`Config::parse`] refuses.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable {
            file: path.to_owned(),
            source,
        })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::parse(&text, folder).map_err(|error| error.in_file(path))
    }

    /// Checks the text of a configuration whose relative paths start at `folder`.
    ///
    /// # Errors
    /// `config.syntax`, `config.unknown_key`, `config.missing_key`, `config.value` with line, key and what is allowed;
    /// `config.conflict` where two values that are each allowed do not go together.
    pub fn parse(text: &str, folder: &Path) -> Result<Self, ConfigError> {
        let parser = toml::Deserializer::parse(text).map_err(|e| ConfigError::syntax(text, &e))?;
        let mut config: Self =
            serde_path_to_error::deserialize(parser).map_err(|e| ConfigError::from_serde(text, &e))?;
        config.check_together().map_err(|e| e.located(text))?;
        config.resolve_paths(folder);
        Ok(config)
    }

    /// The files that the configuration names and that are not there, each with its key: what `check-config` warns about.
    #[must_use]
    pub fn missing_files(&self) -> Vec<(&'static str, PathBuf)> {
        let fixed = self.files().into_iter();
        let previous = self.keys.previous_master_key_file.iter();
        let previous = previous.map(|path| ("keys.previous_master_key_file", path));
        let providers = self.proofing.files().map(|path| ("proofing", path));
        let token = self.keys.pkcs11.iter().flat_map(Pkcs11::files);
        fixed
            .chain(previous)
            .chain(token)
            .chain(providers)
            .filter(|(_, path)| !path.exists())
            .map(|(key, path)| (key, path.clone()))
            .collect()
    }

    fn files(&self) -> Vec<(&'static str, &PathBuf)> {
        let mut files = vec![
            ("actions_file", &self.actions_file),
            ("store.path", &self.store.path),
            ("store.security_journal", &self.store.security_journal),
            ("keys.master_key_file", &self.keys.master_key_file),
            ("keys.issuer_keys_file", &self.keys.issuer_keys_file),
            ("keys.root_public_key_file", &self.keys.root_public_key_file),
            ("tls.certificate_file", &self.tls.certificate_file),
            ("tls.private_key_file", &self.tls.private_key_file),
        ];
        files.extend(self.attestation.paths());
        files
    }

    fn resolve_paths(&mut self, folder: &Path) {
        if self.store.security_journal.as_os_str().is_empty() {
            self.store.security_journal = self.store.path.with_file_name("security.journal");
        }
        let fixed = [
            &mut self.actions_file,
            &mut self.store.path,
            &mut self.store.security_journal,
            &mut self.keys.master_key_file,
            &mut self.keys.issuer_keys_file,
            &mut self.keys.root_public_key_file,
            &mut self.tls.certificate_file,
            &mut self.tls.private_key_file,
        ];
        let previous = self.keys.previous_master_key_file.iter_mut();
        for path in fixed.into_iter().chain(previous).chain(self.proofing.files_mut()) {
            // Joining an absolute path replaces the folder.
            *path = folder.join(&*path);
        }
        for path in self.attestation.paths_mut() {
            *path = folder.join(&*path);
        }
        if let Some(token) = &mut self.keys.pkcs11 {
            token.resolve_paths(folder);
        }
    }

    fn check_together(&mut self) -> Result<(), ConfigError> {
        let demonstration = self.profile.demonstration;
        self.pin.check()?;
        self.step_up.check(demonstration)?;
        if self.store.security_journal == self.store.path {
            let message =
                "it is the database's path: give the journal a file of its own, best on another disk";
            return Err(ConfigError::conflict("store.security_journal", message));
        }
        self.attestation.check(demonstration)?;
        self.channels.check(demonstration, self.attestation.policy)?;
        self.proofing.check()?;
        self.keys.pkcs11.as_ref().map_or(Ok(()), Pkcs11::check)?;
        if self.proofing.0.is_empty() && self.channels.close(ChannelName::Remote) {
            self.warnings.push(proofing::REMOTE_IS_CLOSED);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
