//! Reading values from a file or from standard input (`-`), and writing files that only their owner may read.
//!
//! Callers: every command with a `--…-file` option. Invariant: what is private is created with mode 0600 and is
//! replaced as a whole, never written in place.

use std::fs;
use std::io::{BufRead as _, Read as _, Write as _};
use std::path::Path;

use zeroize::Zeroizing;

use crate::error::{Error, Result};

/// Values typed into a file are short; anything longer is a wrong file.
const LONGEST_VALUE_BYTES: u64 = 64 * 1024;

/// The content of `path`, or of standard input where `path` is `-`; at most 64 KiB of UTF-8.
///
/// # Errors
/// [`Error::File`] when it cannot be read, [`Error::Invalid`] `file.too_long` above 64 KiB.
pub fn read(path: &Path) -> Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    let read = if path == Path::new("-") {
        std::io::stdin()
            .lock()
            .take(LONGEST_VALUE_BYTES + 1)
            .read_to_string(&mut text)
    } else {
        fs::File::open(path).and_then(|file| file.take(LONGEST_VALUE_BYTES + 1).read_to_string(&mut text))
    };
    let length_bytes = read.map_err(Error::file("read", path))?;
    if length_bytes as u64 > LONGEST_VALUE_BYTES {
        return Err(Error::invalid(
            "file.too_long",
            format!("{} holds more than 64 KiB.", path.display()),
        ));
    }
    Ok(text)
}

/// One value: the content of `path` without the white space around it, or the next line of standard input, so that a
/// script can pipe several values in the order in which they are asked for.
///
/// # Errors
/// As [`read`]; [`Error::Invalid`] `file.empty` when there is no value.
pub fn read_value(path: &Path) -> Result<Zeroizing<String>> {
    let text = if path == Path::new("-") {
        next_line(path)?
    } else {
        read(path)?
    };
    match text.trim() {
        "" => Err(Error::invalid(
            "file.empty",
            format!("{} holds no value.", path.display()),
        )),
        value => Ok(Zeroizing::new(value.to_owned())),
    }
}

fn next_line(path: &Path) -> Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(String::new());
    std::io::stdin()
        .lock()
        .take(LONGEST_VALUE_BYTES)
        .read_line(&mut line)
        .map_err(Error::file("read", path))?;
    Ok(line)
}

/// Writes a file that only its owner may read, replacing one that is there.
///
/// # Errors
/// [`Error::File`] when it cannot be written.
pub fn write_private(path: &Path, content: &[u8]) -> Result<()> {
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    // tempfile creates with mode 0600.
    let mut file = tempfile::NamedTempFile::new_in(directory).map_err(Error::file("write", path))?;
    file.write_all(content)
        .and_then(|()| file.as_file().sync_all())
        .map_err(Error::file("write", path))?;
    file.persist(path)
        .map_err(|error| Error::file("write", path)(error.error))?;
    Ok(())
}

/// Writes a private file that must not exist yet.
///
/// # Errors
/// [`Error::Forbidden`] `file.exists` when something is there, [`Error::File`] when it cannot be written.
pub fn write_private_new(path: &Path, content: &[u8]) -> Result<()> {
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(directory).map_err(Error::file("write", path))?;
    file.write_all(content)
        .and_then(|()| file.as_file().sync_all())
        .map_err(Error::file("write", path))?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => Err(Error::Forbidden {
            code: "file.exists",
            message: format!(
                "{} exists already; it is not overwritten. Name another file.",
                path.display()
            ),
        }),
        Err(error) => Err(Error::file("write", path)(error.error)),
    }
}

/// Writes a file that anyone may read, such as a statement or a public key.
///
/// # Errors
/// [`Error::File`] when it cannot be written.
pub fn write_public(path: &Path, content: &str) -> Result<()> {
    fs::write(path, content).map_err(Error::file("write", path))
}

/// Creates a directory with its parents.
///
/// # Errors
/// [`Error::File`] when it cannot be created.
pub fn create_directory(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(Error::file("create", path))
}

/// Creates a directory with its parents, accessible to the owner alone where it is new.
///
/// # Errors
/// [`Error::File`] when it cannot be created.
pub fn create_private_directory(path: &Path) -> Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(Error::file("create", path))
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
    fn a_private_file_is_readable_by_its_owner_only_and_replaced_whole() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("session.json");
        write_private(&path, b"a long first content").unwrap();
        write_private(&path, b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_new_private_file_never_replaces_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key.pem");
        write_private_new(&path, b"first").unwrap();
        assert_eq!(
            write_private_new(&path, b"second").unwrap_err().code(),
            "file.exists"
        );
        assert_eq!(fs::read(&path).unwrap(), b"first");
    }

    #[test]
    fn a_file_that_is_not_there_is_named_with_its_option() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("zone.txt");
        let said = read(&missing).unwrap_err().of_option("--mrz-file");
        assert_eq!(said.code(), "cli.file");
        let begins = format!("--mrz-file: Cannot read {}: ", missing.display());
        assert!(said.to_string().starts_with(&begins), "{said}");
        fs::write(&missing, "").unwrap();
        let empty = read_value(&missing).unwrap_err().of_option("--pin-file");
        assert!(empty.to_string().starts_with("--pin-file: "), "{empty}");
        assert_eq!(empty.code(), "file.empty");
    }

    #[test]
    fn a_value_loses_the_newline_and_a_huge_file_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pin");
        fs::write(&path, "271828\n").unwrap();
        assert_eq!(read_value(&path).unwrap().as_str(), "271828");
        fs::write(&path, "x".repeat(64 * 1024 + 1)).unwrap();
        assert_eq!(read(&path).unwrap_err().code(), "file.too_long");
        fs::write(&path, " \n").unwrap();
        assert_eq!(read_value(&path).unwrap_err().code(), "file.empty");
    }
}
