//! `paraphe phone activate`: from the clerk's code to six digits. Protocol: section 5.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use paraphe_companion::{Activated, Activation, Argon2Cost, Invitation, Server};

use super::views::ActivatedView;
use crate::commands::verify::root_key;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::{edge, files, handset, prompt};

/// Options of `paraphe phone activate`.
#[derive(clap::Args)]
pub struct ActivateArgs {
    /// The QR code's content, from a file or - for standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = ["code_file", "root"], required_unless_present_any = ["root", "code_file"])]
    uri_file: Option<PathBuf>,
    /// The typed code, from a file or - for standard input; asked for without echo otherwise; needs --root
    #[arg(long, value_name = "FILE", requires = "root")]
    code_file: Option<PathBuf>,
    /// The issuer's public root key, a JWK in JSON: a typed code names nobody
    #[arg(long, value_name = "FILE")]
    root: Option<PathBuf>,
    /// The new PIN, from a file or - for standard input; asked for twice without echo otherwise
    #[arg(long, value_name = "FILE")]
    pin_file: Option<PathBuf>,
    /// Argon2id cost of the wrapped key: default, or lowest for load generators
    #[arg(long, value_enum, default_value = "default")]
    cost: Cost,
}

#[derive(Clone, Copy, ValueEnum)]
enum Cost {
    #[value(help = None)]
    Default,
    #[value(help = None)]
    Lowest,
}

impl From<Cost> for Argon2Cost {
    fn from(cost: Cost) -> Self {
        match cost {
            Cost::Default => Argon2Cost::DEFAULT,
            Cost::Lowest => Argon2Cost::LOWEST,
        }
    }
}

pub(super) async fn activate(context: &Context, directory: &Path, args: ActivateArgs) -> Result<()> {
    let server = context.server()?;
    let invitation = invitation(&args, &server.issuer)?;
    files::create_private_directory(directory)?;
    let keystore = handset::keystore(directory)?;
    let server = handset::connect(&server).await?;
    let mut rng = edge::random();
    let activation = Activation::begin(directory, keystore, invitation, &server, &mut rng).await?;
    let activated = finish(activation, &server, &args).await?;
    let digits = activated.sas.to_string();
    context.output.show(&ActivatedView {
        device_id: activated.phone.device_id().to_string(),
        six_digits: activated.confirmation_required.then_some(digits),
    })
}

fn invitation(args: &ActivateArgs, issuer: &str) -> Result<Invitation> {
    match (&args.uri_file, &args.root) {
        (Some(file), _) => Ok(Invitation::from_uri(&files::read_value(file)?)?),
        (None, Some(root)) => {
            let root = root_key(root)?;
            let code = prompt::secret(args.code_file.as_deref(), "Activation code", "--code-file")?;
            Ok(Invitation::from_code(&code, issuer.to_owned(), root)?)
        }
        (None, None) => Err(Error::Usage(
            "Give --uri-file, or --code-file with --root.".to_owned(),
        )),
    }
}

/// Chooses the PIN, unless one was chosen before this phone was interrupted.
async fn finish(mut activation: Activation, server: &Server, args: &ActivateArgs) -> Result<Activated> {
    if activation.pin_is_chosen() {
        return Ok(activation.complete(server).await?);
    }
    let rules = activation.pin_policy();
    let question = format!("New PIN, {} to {} digits", rules.min_length, rules.max_length);
    let pin = prompt::new_secret(args.pin_file.as_deref(), &question, "--pin-file")?;
    activation.check_pin(&pin)?;
    Ok(activation
        .finish(server, &pin, args.cost.into(), &mut edge::random())
        .await?)
}
