//! `paraphe verify`: check an assertion, and the approval behind it, without trust in the operator. Protocol: section 3.

use std::path::{Path, PathBuf};

use paraphe_proto::jwk::PublicKey;
use paraphe_proto::time::Timestamp;
use serde::Serialize;

use crate::channel::Server;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::output::{BAD, GOOD, View, read_time, table, time_text};
use crate::verify::{Evidence, Inputs, Report, SignedEnrolment, verify};
use crate::{edge, files, jwks};

/// Options of `paraphe verify`.
#[derive(clap::Args)]
pub struct Args {
    /// The assertion (compact JWS); - for standard input
    #[arg(long, value_name = "FILE")]
    assertion: PathBuf,
    /// The daemon's keys: a file, or https://…/.well-known/jwks.json
    #[arg(long, value_name = "FILE|URL")]
    jwks: String,
    /// The relying party id that it must be for
    #[arg(long, value_name = "RP")]
    audience: String,
    /// Verify as of this time: 2026-11-27 17:45:03 UTC, or seconds since 1970 [default: now]
    #[arg(long, value_name = "TIME", value_parser = read_time)]
    at: Option<Timestamp>,
    /// Also check the approval behind it: the challenge …
    #[arg(long, value_name = "FILE", requires_all = ["approval", "activation", "root", "key_sets"])]
    challenge: Option<PathBuf>,
    /// … the approval …
    #[arg(long, value_name = "FILE", requires = "challenge")]
    approval: Option<PathBuf>,
    /// … the activation of the phone …
    #[arg(long, value_name = "FILE", requires = "challenge")]
    activation: Option<PathBuf>,
    /// … the root key (JWK, JSON) that is trusted …
    #[arg(long, value_name = "FILE", requires = "challenge")]
    root: Option<PathBuf>,
    /// … and the key sets, version 1 first
    #[arg(long = "key-sets", value_name = "FILE", num_args = 1.., requires = "challenge")]
    key_sets: Vec<PathBuf>,
    /// Also check the clerk's signature under the phone's enrolment: the statement …
    #[arg(long, value_name = "FILE", requires_all = ["challenge", "enrolment_challenge", "clerk_activation"])]
    enrolment: Option<PathBuf>,
    /// … the challenge that the clerk's phone showed …
    #[arg(long, value_name = "FILE", requires = "enrolment")]
    enrolment_challenge: Option<PathBuf>,
    /// … and the activation of the clerk's phone
    #[arg(long, value_name = "FILE", requires = "enrolment")]
    clerk_activation: Option<PathBuf>,
}

/// A report for people and scripts.
#[derive(Serialize)]
pub struct ReportView<'a> {
    verified: bool,
    #[serde(flatten)]
    report: &'a Report,
    #[serde(skip)]
    enrolment_missing: bool,
}

impl<'a> From<&'a Report> for ReportView<'a> {
    fn from(report: &'a Report) -> Self {
        ReportView {
            verified: report.failure.is_none(),
            report,
            enrolment_missing: false,
        }
    }
}

impl View for ReportView<'_> {
    fn text(&self) -> String {
        let held = self
            .report
            .checks
            .iter()
            .map(|check| ["✓".to_owned(), check.name.to_owned(), check.holds.clone()]);
        let failed = self
            .report
            .failure
            .iter()
            .map(|failure| ["✗".to_owned(), failure.name.to_owned(), failure.why.clone()]);
        let table = table(["", "check", "what holds"], held.chain(failed));
        let unchecked = if self.enrolment_missing {
            "  The clerk's signature under the enrolment of that phone was not given, and not checked (--enrolment).\n"
        } else {
            ""
        };
        let verdict = match (&self.report.failure, &self.report.assertion) {
            (None, Some(claims)) => {
                let titles: Vec<&str> = claims
                    .authorization_details
                    .iter()
                    .map(|detail| detail.title.as_str())
                    .collect();
                format!(
                    "  {GOOD}Verified:{GOOD:#} “{}”, approved {}\n",
                    titles.join("”, “"),
                    time_text(claims.auth_time)
                )
            }
            _ => format!("  {BAD}Not verified.{BAD:#}\n"),
        };
        format!("{table}{verdict}{unchecked}")
    }
}

/// Verifies and prints what was checked.
///
/// # Errors
/// [`Error::Verification`] names the check that failed; [`Error::File`] and [`Error::Unreachable`] for what cannot be had.
pub async fn run(context: &Context, args: Args) -> Result<()> {
    let inputs = Inputs {
        assertion: read_value("--assertion", &args.assertion)?,
        jwks: read_jwks(context, &args.jwks).await?,
        audience: args.audience.clone(),
        issuer: context.named_issuer().map(str::to_owned),
        at: args.at.unwrap_or_else(edge::now),
        evidence: evidence(&args)?,
    };
    let report = verify(&inputs);
    let enrolment_missing = inputs
        .evidence
        .as_ref()
        .is_some_and(|evidence| evidence.enrolment.is_none());
    context.output.show(&ReportView {
        enrolment_missing,
        ..ReportView::from(&report)
    })?;
    report.result()
}

async fn read_jwks(context: &Context, source: &str) -> Result<String> {
    let Some(rest) = source.strip_prefix("https://") else {
        let json = files::read(Path::new(source)).map_err(|error| error.of_option("--jwks"))?;
        return Ok(json.to_string());
    };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let path = if path.is_empty() {
        jwks::PATH.to_owned()
    } else {
        format!("/{path}")
    };
    let server = Server::from_options(Some(&format!("https://{authority}")), context.ca_file(), None)?;
    jwks::fetch(server.channel().await?, &path).await
}

fn evidence(args: &Args) -> Result<Option<Evidence>> {
    let (Some(challenge), Some(approval), Some(activation), Some(root)) =
        (&args.challenge, &args.approval, &args.activation, &args.root)
    else {
        return Ok(None);
    };
    let key_set = |path: &PathBuf| read_value("--key-sets", path);
    Ok(Some(Evidence {
        challenge: read_value("--challenge", challenge)?,
        approval: read_value("--approval", approval)?,
        activation: read_value("--activation", activation)?,
        root: root_key(root)?,
        key_sets: args.key_sets.iter().map(key_set).collect::<Result<_>>()?,
        enrolment: match (&args.enrolment, &args.enrolment_challenge, &args.clerk_activation) {
            (Some(enrolment), Some(challenge), Some(activation)) => Some(SignedEnrolment {
                challenge: read_value("--enrolment-challenge", challenge)?,
                enrolment: read_value("--enrolment", enrolment)?,
                activation: read_value("--clerk-activation", activation)?,
            }),
            _ => None,
        },
    }))
}

fn read_value(option: &'static str, path: &Path) -> Result<String> {
    let text = files::read_value(path).map_err(|error| error.of_option(option))?;
    Ok(text.to_string())
}

/// The public root key that `--root` names, a JWK.
///
/// # Errors
/// [`Error::Invalid`] when it holds none.
pub fn root_key(path: &Path) -> Result<PublicKey> {
    let json = files::read(path).map_err(|error| error.of_option("--root"))?;
    PublicKey::from_jwk_json(&json)
        .map_err(|error| Error::invalid(error.code(), format!("{}: {error}.", path.display())))
}
