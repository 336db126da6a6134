//! `paraphe admin terminal` and `paraphe admin backend`: who may ask.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use paraphe_proto::encoding::hex;
use paraphe_proto::time::Timestamp;
use paraphe_proto::v1::{
    ListRelyingPartiesRequest, ListTerminalsRequest, RegisterRelyingPartyRequest, RegisterTerminalRequest,
    RelyingParty, Terminal,
};
use ring::digest::{SHA256, digest};
use serde::Serialize;

use super::client;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::files;
use crate::output::{View, facts, table, time_text};

/// Commands about terminals.
#[derive(Subcommand)]
pub enum TerminalCommand {
    /// Register the key of a terminal
    Add {
        /// The thumbprint that `paraphe terminal` prints there
        thumbprint: String,
        /// Where it stands, e.g. "Lyon Bellecour, counter 3"
        #[arg(long)]
        label: String,
    },
    /// All terminals
    List,
}

/// Commands about backends.
#[derive(Subcommand)]
pub enum BackendCommand {
    /// Register a backend
    Add(BackendArgs),
    /// All backends
    List,
}

/// Options of `paraphe admin backend add`.
#[derive(clap::Args)]
pub struct BackendArgs {
    /// 2 to 32 characters of a-z 0-9 -
    id: String,
    /// Name that people see on their phone
    #[arg(long)]
    name: String,
    /// Its public key (JWK, JSON), as `paraphe backend key` prints it
    #[arg(long, value_name = "FILE", required_unless_present = "certificate")]
    jwk: Option<PathBuf>,
    /// Its TLS client certificate (PEM)
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// It may name people by civil identity
    #[arg(long)]
    may_identify: bool,
    /// An action it may ask for; may be repeated [default: all]
    #[arg(long = "action", value_name = "ACTION")]
    actions: Vec<String>,
}

#[derive(Serialize)]
struct TerminalView {
    thumbprint: String,
    label: String,
    registered_at: Timestamp,
}

impl From<Terminal> for TerminalView {
    fn from(terminal: Terminal) -> Self {
        let registered_at = Timestamp::from_secs(terminal.registered_at);
        TerminalView {
            thumbprint: terminal.thumbprint,
            label: terminal.label,
            registered_at,
        }
    }
}

impl View for TerminalView {
    fn text(&self) -> String {
        facts([
            ("terminal", self.label.clone()),
            ("thumbprint", self.thumbprint.clone()),
            ("registered", time_text(self.registered_at)),
        ])
    }
}

#[derive(Serialize)]
struct TerminalsView {
    terminals: Vec<TerminalView>,
}

impl View for TerminalsView {
    fn text(&self) -> String {
        let row = |terminal: &TerminalView| [terminal.label.clone(), terminal.thumbprint.clone()];
        table(["label", "thumbprint"], self.terminals.iter().map(row))
    }
}

#[derive(Serialize)]
struct BackendView {
    relying_party_id: String,
    display_name: String,
    may_identify: bool,
    actions: Vec<String>,
    registered_at: Timestamp,
}

impl From<RelyingParty> for BackendView {
    fn from(backend: RelyingParty) -> Self {
        BackendView {
            relying_party_id: backend.relying_party_id,
            display_name: backend.display_name,
            may_identify: backend.may_identify,
            actions: backend.actions,
            registered_at: Timestamp::from_secs(backend.registered_at),
        }
    }
}

impl BackendView {
    fn rights(&self) -> (String, String) {
        let actions = if self.actions.is_empty() {
            "all".to_owned()
        } else {
            self.actions.join(" ")
        };
        let identify = if self.may_identify { "yes" } else { "no" };
        (actions, identify.to_owned())
    }
}

impl View for BackendView {
    fn text(&self) -> String {
        let (actions, identify) = self.rights();
        facts([
            ("backend", self.relying_party_id.clone()),
            ("name shown", self.display_name.clone()),
            ("actions", actions),
            ("names people by identity", identify),
            ("registered", time_text(self.registered_at)),
        ])
    }
}

#[derive(Serialize)]
struct BackendsView {
    backends: Vec<BackendView>,
}

impl View for BackendsView {
    fn text(&self) -> String {
        let row = |backend: &BackendView| {
            let (actions, identify) = backend.rights();
            [
                backend.relying_party_id.clone(),
                backend.display_name.clone(),
                actions,
                identify,
            ]
        };
        table(
            ["id", "name shown", "actions", "by identity"],
            self.backends.iter().map(row),
        )
    }
}

pub(super) async fn run_terminal(context: &Context, command: TerminalCommand) -> Result<()> {
    match command {
        TerminalCommand::Add { thumbprint, label } => {
            let request = RegisterTerminalRequest { thumbprint, label };
            let terminal = client(context).await?.register_terminal(request).await?;
            context.output.show(&TerminalView::from(terminal.into_inner()))
        }
        TerminalCommand::List => {
            let list = client(context)
                .await?
                .list_terminals(ListTerminalsRequest {})
                .await?
                .into_inner();
            context.output.show(&TerminalsView {
                terminals: list.terminals.into_iter().map(TerminalView::from).collect(),
            })
        }
    }
}

pub(super) async fn run_backend(context: &Context, command: BackendCommand) -> Result<()> {
    match command {
        BackendCommand::Add(args) => {
            let request = RegisterRelyingPartyRequest {
                relying_party_id: args.id,
                display_name: args.name,
                public_jwk: args
                    .jwk
                    .as_deref()
                    .map(files::read_value)
                    .transpose()
                    .map_err(|error| error.of_option("--jwk"))?
                    .map(|jwk| jwk.to_string())
                    .unwrap_or_default(),
                certificate_sha256: args
                    .certificate
                    .as_deref()
                    .map(certificate_sha256)
                    .transpose()?
                    .unwrap_or_default(),
                may_identify: args.may_identify,
                actions: args.actions,
            };
            let backend = client(context).await?.register_relying_party(request).await?;
            context.output.show(&BackendView::from(backend.into_inner()))
        }
        BackendCommand::List => {
            let list = client(context)
                .await?
                .list_relying_parties(ListRelyingPartiesRequest {})
                .await?
                .into_inner();
            context.output.show(&BackendsView {
                backends: list.relying_parties.into_iter().map(BackendView::from).collect(),
            })
        }
    }
}

/// SHA-256 of the DER form of the first certificate in a PEM file, 64 hexadecimal digits (RFC 8705, section 3.1).
fn certificate_sha256(path: &Path) -> Result<String> {
    let pem = files::read(path).map_err(|error| error.of_option("--certificate"))?;
    let none = || {
        Error::invalid(
            "certificate.unreadable",
            format!("{} holds no certificate in PEM.", path.display()),
        )
    };
    let (_, rest) = pem.split_once("-----BEGIN CERTIFICATE-----").ok_or_else(none)?;
    let (body, _) = rest.split_once("-----END CERTIFICATE-----").ok_or_else(none)?;
    let text: String = body.split_whitespace().collect();
    let der = data_encoding::BASE64
        .decode(text.as_bytes())
        .map_err(|_| none())?;
    Ok(hex(digest(&SHA256, &der).as_ref()))
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
    fn a_certificate_is_named_by_the_hash_of_its_der_form() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("client.pem");
        std::fs::write(
            &path,
            "junk\n-----BEGIN CERTIFICATE-----\nYW\nJj\n-----END CERTIFICATE-----\n",
        )
        .unwrap();
        // SHA-256 of "abc", FIPS 180-2.
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(certificate_sha256(&path).unwrap(), expected);
        std::fs::write(&path, "no certificate").unwrap();
        assert_eq!(
            certificate_sha256(&path).unwrap_err().code(),
            "certificate.unreadable"
        );
    }

    #[test]
    fn a_backend_without_listed_actions_may_ask_for_all() {
        let view = BackendView::from(RelyingParty {
            relying_party_id: "courses".into(),
            ..RelyingParty::default()
        });
        assert!(BackendsView { backends: vec![view] }.text().contains("all"));
    }
}
