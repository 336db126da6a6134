//! One fsync of this disk, and how many the daemon makes.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::Result;
use crate::binaries::{root, target};

/// A commit of a few transactions appends about so much to the write-ahead log.
const APPEND_BYTES: usize = 16 * 1_024;
const FILE_BYTES: u64 = 8 * 1_024 * 1_024;
/// As tests/crash/shim.c has it.
const PAGE_BYTES: usize = 4_096;
const PROBES: u32 = 400;

/// How long one durable append takes.
pub struct Fsync {
    /// Median.
    pub p50: Duration,
    /// 99th percentile.
    pub p99: Duration,
}

/// Writes and syncs in a file that has its size already, as SQLite does with a write-ahead log that it begins anew.
///
/// # Errors
/// When the folder cannot be written.
pub fn fsync(folder: &Path) -> Result<Fsync> {
    let path = folder.join("fsync-probe");
    let file = File::create(&path)?;
    let bytes = [0x5a; APPEND_BYTES];
    for at in (0..FILE_BYTES).step_by(APPEND_BYTES) {
        file.write_all_at(&bytes, at)?;
    }
    file.sync_all()?;
    let mut took = Vec::new();
    for probe in 0..PROBES {
        let at = u64::from(probe) * APPEND_BYTES as u64 % FILE_BYTES;
        file.write_all_at(&bytes, at)?;
        let begun = Instant::now();
        file.sync_data()?;
        took.push(begun.elapsed());
    }
    std::fs::remove_file(path)?;
    took.sort();
    Ok(Fsync {
        p50: took[took.len() / 2],
        p99: took[took.len() * 99 / 100],
    })
}

/// What makes a process count its fsyncs in `page`: the shim of the crash harness, which does nothing else with these two.
///
/// # Errors
/// Without a C compiler.
pub fn counting(page: &Path) -> Result<[(&'static str, PathBuf); 2]> {
    let library = target().join("bench-shim.so");
    let built = Command::new("cc")
        .args(["-O2", "-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(root().join("tests/crash/shim.c"))
        .args(["-ldl", "-lpthread"])
        .status()?;
    if !built.success() {
        return Err("tests/crash/shim.c does not compile: install a C compiler".into());
    }
    std::fs::write(page, [0; PAGE_BYTES])?;
    Ok([("LD_PRELOAD", library), ("PARAPHE_SHIM_PAGE", page.to_owned())])
}

/// The count so far: the first word of the page.
///
/// # Errors
/// Before the process has started.
pub fn counted(page: &Path) -> Result<u64> {
    let page = std::fs::read(page)?;
    let word = page.first_chunk::<8>().ok_or("no count")?;
    Ok(u64::from_ne_bytes(*word))
}
