//! The disk under paraphed: builds the shim, gives it its orders and reads its counters. Used by `campaign`.
//! The words of the page are those of `struct page` in shim.c.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use tempfile::TempDir;

const PAGE_BYTES: u64 = 4096;
const SYNCS: u64 = 0;
const WRITES: u64 = 1;
const REFUSED: u64 = 2;
const MOVES: u64 = 3;
const FAULT: u64 = 8;
const ROOM: u64 = 9;
const SYNC_DELAY_US: u64 = 10;
const DIE_AT_WRITE: u64 = 11;
const DIE_AT_MOVE: u64 = 12;
const DIE_AT_SYNC: u64 = 13;

/// What the disk answers to writes.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// It takes them.
    None,
    /// ENOSPC once files have grown by `room` bytes more.
    Full { room: u64 },
    /// The same on a file system that copies on writing: it needs room for what it overwrites too.
    FullCopying { room: u64 },
    /// EROFS.
    ReadOnly,
}

pub struct Disk {
    folder: TempDir,
    page: File,
    dir: PathBuf,
}

impl Disk {
    /// The disk that holds `dir`.
    pub fn under(dir: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("page");
        let page = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(path)
            .unwrap();
        page.set_len(PAGE_BYTES).unwrap();
        let dir = dir.canonicalize().unwrap();
        Self { folder, page, dir }
    }

    /// What puts a process on this disk.
    pub fn environment(&self) -> Vec<(&'static str, OsString)> {
        vec![
            ("LD_PRELOAD", shim().into()),
            ("PARAPHE_SHIM_PAGE", self.folder.path().join("page").into()),
            ("PARAPHE_SHIM_DIR", self.dir.clone().into()),
            ("PARAPHE_SHIM_UNDO", self.undo_log().into()),
        ]
    }

    /// What makes the shim count the syncs of a process, and do nothing else.
    pub fn counting(&self) -> Vec<(&'static str, OsString)> {
        self.environment().into_iter().take(2).collect()
    }

    pub fn undo_log(&self) -> PathBuf {
        self.folder.path().join("undo")
    }

    /// Before a start: what lies on the disk is there to stay, and the disk is sound.
    pub fn settle(&self) {
        self.page.set_len(0).unwrap();
        self.page.set_len(PAGE_BYTES).unwrap();
        File::create(self.undo_log()).unwrap();
    }

    pub fn set(&self, fault: Fault) {
        let (kind, room) = match fault {
            Fault::None => (0, 0),
            Fault::Full { room } => (1, room),
            Fault::ReadOnly => (2, 0),
            Fault::FullCopying { room } => (3, room),
        };
        self.order(ROOM, room);
        self.order(FAULT, kind);
    }

    pub fn slow_syncs(&self, delay: Duration) {
        self.order(SYNC_DELAY_US, u64::try_from(delay.as_micros()).unwrap());
    }

    /// The process dies within the `n`th write from now, having made half of it.
    pub fn die_within_write(&self, n: u64) {
        self.order(DIE_AT_WRITE, self.writes() + n);
    }

    /// The same, of the writes that move a page from the write-ahead log into the database.
    pub fn die_within_move(&self, n: u64) {
        self.order(DIE_AT_MOVE, self.moves() + n);
    }

    /// The process dies before the `n`th fsync from now.
    pub fn die_before_sync(&self, n: u64) {
        self.order(DIE_AT_SYNC, self.syncs() + n);
    }

    pub fn syncs(&self) -> u64 {
        self.word(SYNCS)
    }

    fn writes(&self) -> u64 {
        self.word(WRITES)
    }

    /// Pages that checkpoints have moved.
    pub fn moves(&self) -> u64 {
        self.word(MOVES)
    }

    /// Writes that a fault refused.
    pub fn refused(&self) -> u64 {
        self.word(REFUSED)
    }

    fn order(&self, word: u64, value: u64) {
        self.page.write_all_at(&value.to_ne_bytes(), word * 8).unwrap();
    }

    fn word(&self, word: u64) -> u64 {
        let mut bytes = [0; 8];
        self.page.read_exact_at(&mut bytes, word * 8).unwrap();
        u64::from_ne_bytes(bytes)
    }
}

/// shim.c as a shared object, compiled once.
fn shim() -> &'static Path {
    static SHIM: OnceLock<PathBuf> = OnceLock::new();
    SHIM.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("crash/shim.c");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let (new, made) = (
            folder.join(format!("paraphe-shim-{}.so", std::process::id())),
            folder.join("paraphe-shim.so"),
        );
        let flags = ["-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-o"];
        let mut compiler = Command::new("cc");
        crate::supply::run(
            compiler
                .args(flags)
                .arg(&new)
                .arg(source)
                .args(["-ldl", "-lpthread"]),
        );
        std::fs::rename(new, &made).unwrap();
        made
    })
}

mod tests {
    use super::super::dice::Dice;
    use super::super::loss::{self, Loss};
    use super::*;

    /// What `script` says of a file that it works on in `dir`.
    fn say(script: &str, dir: &Path, environment: Vec<(&'static str, OsString)>) -> String {
        let before =
            "import os; fd = os.open('file', os.O_RDWR | os.O_CREAT); home = os.open('.', os.O_RDONLY); ";
        let mut python = Command::new("python3");
        python.args(["-c", &format!("{before}{script}")]);
        let done = python.current_dir(dir).envs(environment).output().unwrap();
        String::from_utf8_lossy(&done.stderr).into_owned()
    }

    /// The same, and what is left of the file once the power has gone.
    fn left(script: &str, fault: Fault) -> (String, Vec<u8>) {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::under(dir.path());
        disk.settle();
        disk.set(fault);
        let said = say(script, dir.path(), disk.environment());
        loss::apply(
            &disk.undo_log(),
            dir.path(),
            Loss::Everything,
            &mut Dice::seeded(0),
        );
        (said, std::fs::read(dir.path().join("file")).unwrap_or_default())
    }

    #[test]
    fn what_was_synced_stays_and_the_rest_is_gone() {
        let synced = "os.pwrite(fd, b'paraphe', 0); os.fsync(fd); os.fsync(home); ";
        assert_eq!(left(synced, Fault::None), (String::new(), b"paraphe".to_vec()));
        let more =
            "os.pwrite(fd, b'XXXX', 5); os.write(fd, b'Y'); os.ftruncate(fd, 2); os.kill(os.getpid(), 9)";
        assert_eq!(left(&format!("{synced}{more}"), Fault::None).1, b"paraphe");
    }

    #[test]
    fn a_file_whose_name_was_not_synced_is_gone() {
        let (_, bytes) = left("os.write(fd, b'paraphe'); os.fsync(fd)", Fault::None);
        assert!(bytes.is_empty());
    }

    #[test]
    fn a_full_disk_takes_what_fits_and_a_read_only_one_nothing() {
        let twice = "os.fsync(home); os.write(fd, b'paraphe'); os.fsync(fd); os.pwrite(fd, b'X', 7)";
        let (said, bytes) = left(twice, Fault::Full { room: 5 });
        assert!(said.contains("No space left") && bytes == b"parap", "{said}");
        let again = "os.fsync(home); os.write(fd, b'paraphe'); os.fsync(fd); os.pwrite(fd, b'X', 0)";
        let (said, bytes) = left(again, Fault::FullCopying { room: 7 });
        assert!(said.contains("No space left") && bytes == b"paraphe", "{said}");
        let (said, _) = left("os.pwrite(fd, b'X', 0)", Fault::ReadOnly);
        assert!(said.contains("Read-only"), "{said}");
    }

    #[test]
    fn the_shim_counts_syncs_without_touching_anything() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::under(dir.path());
        let said = say(
            "os.fsync(fd); os.fdatasync(fd); os.fsync(home)",
            dir.path(),
            disk.counting(),
        );
        assert_eq!((said.as_str(), disk.syncs()), ("", 3));
        assert!(!disk.undo_log().exists());
    }
}
