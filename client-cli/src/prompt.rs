//! Secrets and codes from a person (typed without echo) or from a script (a file, or standard input).
//!
//! Callers: `paraphe phone`, `paraphe clerk confirm`, `paraphe admin operator confirm`. Invariant: what is typed is never
//! printed, and a script that gave no file is told so instead of waiting for a keyboard.

use std::io::IsTerminal as _;
use std::path::Path;

use dialoguer::Password;
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::files;

/// The value in `file` (`-`: the next line of standard input), or typed without echo when no file was named. `option`
/// is the option that a script would have used.
///
/// # Errors
/// [`Error::Usage`] when there is neither a file nor a terminal, and what [`files::read_value`] returns.
pub fn secret(file: Option<&Path>, prompt: &str, option: &str) -> Result<Zeroizing<String>> {
    match file {
        Some(path) => files::read_value(path),
        None => typed(Password::new().with_prompt(prompt), option),
    }
}

/// Like [`secret`], typed twice: for a PIN that is being chosen.
///
/// # Errors
/// As [`secret`].
pub fn new_secret(file: Option<&Path>, prompt: &str, option: &str) -> Result<Zeroizing<String>> {
    match file {
        Some(path) => files::read_value(path),
        None => typed(
            Password::new()
                .with_prompt(prompt)
                .with_confirmation("Once more", "The two are not the same."),
            option,
        ),
    }
}

fn typed(password: Password<'_>, option: &str) -> Result<Zeroizing<String>> {
    if !std::io::stdin().is_terminal() {
        return Err(Error::Usage(format!(
            "Nobody can be asked without a terminal: give {option} FILE, or {option} - to read standard input."
        )));
    }
    let value = password
        .interact()
        .map_err(|error| Error::other("cli.prompt", format!("Nothing was typed: {error}.")))?;
    Ok(Zeroizing::new(value.trim().to_owned()))
}
