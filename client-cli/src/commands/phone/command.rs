//! The commands that a phone suggests: each names the folder of the phone as it was named, so that it can be pasted.

use std::path::Path;

/// `paraphe phone`, with `--phone DIR` where it was given.
#[derive(Clone)]
pub struct Commands {
    start: String,
}

impl Commands {
    /// For the phone in the folder of `--phone`; `None` for the one in the home folder.
    pub fn of(named: Option<&Path>) -> Self {
        let start = match named {
            Some(directory) => format!("paraphe phone --phone {}", quoted(&directory.to_string_lossy())),
            None => "paraphe phone".to_owned(),
        };
        Self { start }
    }

    /// The whole command, from what follows `paraphe phone`.
    pub fn line(&self, rest: &str) -> String {
        format!("{} {rest}", self.start)
    }
}

/// As a POSIX shell takes it for one word.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/._-+:@%,".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suggested_command_names_the_folder_as_it_was_named() {
        assert_eq!(Commands::of(None).line("resume"), "paraphe phone resume");
        let named = |directory: &str| Commands::of(Some(Path::new(directory))).line("resume");
        assert_eq!(named("try/admin"), "paraphe phone --phone try/admin resume");
        assert_eq!(named("my phone"), "paraphe phone --phone 'my phone' resume");
        assert_eq!(named("it's"), r"paraphe phone --phone 'it'\''s' resume");
    }
}
