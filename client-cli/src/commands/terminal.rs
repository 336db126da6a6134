//! `paraphe terminal`: this terminal's key, whose thumbprint an administrator registers.

use std::path::PathBuf;

use paraphe_proto::keys::{Signer as _, SoftwareKey};
use serde::Serialize;

use crate::context::Context;
use crate::error::{Error, Result};
use crate::output::{View, facts};
use crate::{edge, files, home};

/// Options of `paraphe terminal`.
#[derive(clap::Args)]
pub struct Args {
    /// Import this private key (PKCS#8 PEM), such as the first terminal's that `paraphed init` wrote
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

#[derive(Serialize)]
struct TerminalView {
    thumbprint: String,
    key_file: PathBuf,
    /// Whether this call made the key.
    made: bool,
}

impl View for TerminalView {
    fn text(&self) -> String {
        let mut text = facts([
            ("thumbprint", self.thumbprint.clone()),
            ("key", self.key_file.display().to_string()),
        ]);
        if self.made {
            text.push_str(
                "\n  An administrator registers it:\n  paraphe admin terminal add THUMBPRINT --label \"…\"\n",
            );
        }
        text
    }
}

/// Makes, imports or names the terminal's key.
///
/// # Errors
/// [`Error::Forbidden`] when a key would be replaced by another one.
pub fn run(context: &Context, args: &Args) -> Result<()> {
    let path = context.home.terminal_key_file();
    let exists = path.exists();
    let key = match (&args.key_file, exists) {
        (None, true) => home::read_key(&path)?,
        (None, false) => std::sync::Arc::new(new_key()?),
        (Some(import), _) => home::read_key(import).map_err(|error| error.of_option("--key-file"))?,
    };
    if exists && home::read_key(&path)?.public_key() != key.public_key() {
        return Err(Error::Forbidden {
            code: "terminal.exists",
            message: format!(
                "This terminal has another key already: {}. Move it away first.",
                path.display()
            ),
        });
    }
    if !exists {
        context.home.create()?;
        let pem = key
            .to_pkcs8_pem()
            .map_err(|error| Error::other(error.code(), error.to_string()))?;
        files::write_private_new(&path, pem.as_bytes())?;
    }
    context.output.show(&TerminalView {
        thumbprint: key.public_key().thumbprint().to_owned(),
        key_file: path,
        made: !exists && args.key_file.is_none(),
    })
}

/// A fresh P-256 key.
///
/// # Errors
/// [`Error::Other`] when the system's random source fails.
pub fn new_key() -> Result<SoftwareKey> {
    SoftwareKey::generate(&mut edge::random()).map_err(|error| Error::other(error.code(), error.to_string()))
}
