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
pub fn secret(file: Option<&Path>, prompt: &str, option: &'static str) -> Result<Zeroizing<String>> {
    match file {
        Some(path) => value(path, option),
        None => typed(Password::new().with_prompt(prompt), option),
    }
}

/// Like [`secret`], for a value with rules: who types it is told of a broken rule and asked again, a script ends.
///
/// # Errors
/// As [`secret`], and what `check` finds in a value from a file.
pub fn checked_secret(
    file: Option<&Path>,
    prompt: &str,
    option: &'static str,
    check: impl Fn(&str) -> Result<()>,
) -> Result<Zeroizing<String>> {
    match file {
        Some(path) => checked(value(path, option)?, check),
        None => typed(ruled(prompt, check), option),
    }
}

/// Like [`checked_secret`], typed twice: for a PIN that is being chosen.
///
/// # Errors
/// As [`checked_secret`].
pub fn new_secret(
    file: Option<&Path>,
    prompt: &str,
    option: &'static str,
    check: impl Fn(&str) -> Result<()>,
) -> Result<Zeroizing<String>> {
    match file {
        Some(path) => checked(value(path, option)?, check),
        None => typed(
            ruled(prompt, check).with_confirmation("Once more", "The two are not the same."),
            option,
        ),
    }
}

/// Whether `file` is standard input and a person sits there, who would otherwise see nothing to answer.
pub fn is_typed(file: &Path) -> bool {
    file == Path::new("-") && std::io::stdin().is_terminal()
}

fn value(file: &Path, option: &'static str) -> Result<Zeroizing<String>> {
    files::read_value(file).map_err(|error| error.of_option(option))
}

fn checked(value: Zeroizing<String>, check: impl Fn(&str) -> Result<()>) -> Result<Zeroizing<String>> {
    check(&value)?;
    Ok(value)
}

fn ruled<'a>(prompt: &str, check: impl Fn(&str) -> Result<()> + 'a) -> Password<'a> {
    Password::new()
        .with_prompt(prompt)
        .validate_with(move |typed: &String| check(typed.trim()))
}

fn typed(password: Password<'_>, option: &'static str) -> Result<Zeroizing<String>> {
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
    fn a_script_that_breaks_a_rule_ends_with_the_rule() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("pin");
        std::fs::write(&file, "271828\n").unwrap();
        let refuse = |_: &str| Err(Error::invalid("pin.run", "It counts."));
        let accept = |value: &str| {
            assert_eq!(value, "271828");
            Ok(())
        };
        for ask in [
            new_secret(Some(&file), "PIN", "--pin-file", refuse),
            checked_secret(Some(&file), "PIN", "--pin-file", refuse),
        ] {
            assert_eq!(ask.unwrap_err().code(), "pin.run");
        }
        assert!(new_secret(Some(&file), "PIN", "--pin-file", accept).is_ok());
        assert!(!is_typed(&file));
    }
}
