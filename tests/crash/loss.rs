//! The power goes: takes back from the files what no fsync covered, as the shim's undo log has it. Called after the SIGKILL.
//!
//! A disk keeps of the unsynced writes none, some, or a part of one, in any order; `Loss` says which. The layout is that of
//! `struct record` in shim.c.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::dice::Dice;

/// What a disk writes at once.
const SECTOR: u64 = 512;

/// Which of the unsynced writes the disk keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// None.
    Everything,
    /// The first ones, and a part of the one after them.
    TornTail,
    /// Single sectors, here and there.
    Scattered,
}

impl Loss {
    pub fn draw(dice: &mut Dice) -> Self {
        *[Self::Everything, Self::TornTail, Self::Scattered]
            .get(dice.index(3))
            .unwrap()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Write,
    Truncate,
    Sync,
    Create,
    SyncDir,
}

struct Record {
    kind: Kind,
    name: String,
    offset: u64,
    old_size: u64,
    number: u64,
    old: Vec<u8>,
    new: Vec<u8>,
}

/// Leaves in `dir` what the disk kept; returns how many writes no fsync covered.
pub fn apply(undo_log: &Path, dir: &Path, loss: Loss, dice: &mut Dice) -> usize {
    let records = parse(&std::fs::read(undo_log).unwrap());
    let covered = |record: &&Record, by: Kind| {
        let same = |sync: &&Record| sync.kind == by && (by == Kind::SyncDir || sync.name == record.name);
        let syncs = records.iter().filter(same);
        syncs.map(|sync| sync.number).max() >= Some(record.number)
    };
    let changes = records
        .iter()
        .filter(|record| matches!(record.kind, Kind::Write | Kind::Truncate));
    let unsynced: Vec<&Record> = changes.filter(|record| !covered(record, Kind::Sync)).collect();
    let mut files = HashMap::new();
    for record in unsynced.iter().rev() {
        take_back(file(&mut files, dir, &record.name), record);
    }
    match loss {
        Loss::Everything => {}
        Loss::TornTail => keep_head(&unsynced, dice, |name| {
            file(&mut files, dir, name).try_clone().unwrap()
        }),
        Loss::Scattered => keep_sectors(&unsynced, dice, |name| {
            file(&mut files, dir, name).try_clone().unwrap()
        }),
    }
    let created = records.iter().filter(|record| record.kind == Kind::Create);
    for nameless in created.filter(|record| !covered(record, Kind::SyncDir)) {
        if loss == Loss::Everything || dice.chance(50) {
            std::fs::remove_file(dir.join(&nameless.name)).unwrap();
        }
    }
    unsynced.len()
}

fn file<'a>(files: &'a mut HashMap<String, File>, dir: &Path, name: &str) -> &'a File {
    files.entry(name.to_owned()).or_insert_with(|| {
        let path = dir.join(name);
        File::options().read(true).write(true).open(path).unwrap()
    })
}

fn take_back(file: &File, record: &Record) {
    file.write_all_at(&record.old, record.offset).unwrap();
    file.set_len(record.old_size).unwrap();
}

fn keep_head(unsynced: &[&Record], dice: &mut Dice, mut file: impl FnMut(&str) -> File) {
    let whole = dice.index(unsynced.len() + 1);
    for record in unsynced.iter().take(whole) {
        keep(&file(&record.name), record, 0, record.new.len());
    }
    if let Some(torn) = unsynced.get(whole) {
        keep(&file(&torn.name), torn, 0, dice.index(torn.new.len() + 1));
    }
}

fn keep_sectors(unsynced: &[&Record], dice: &mut Dice, mut file: impl FnMut(&str) -> File) {
    let kept_percent = dice.between(10, 95);
    for record in unsynced {
        let file = file(&record.name);
        let (mut from, end) = (0, record.new.len());
        while from < end {
            let to_boundary = SECTOR - (record.offset + from as u64) % SECTOR;
            let to = end.min(from + usize::try_from(to_boundary).unwrap());
            if dice.chance(kept_percent) {
                keep(&file, record, from, to);
            }
            from = to;
        }
        if record.kind == Kind::Truncate && dice.chance(kept_percent) {
            keep(&file, record, 0, 0);
        }
    }
}

fn keep(file: &File, record: &Record, from: usize, to: usize) {
    match record.kind {
        Kind::Truncate => file.set_len(record.offset).unwrap(),
        _ => file
            .write_all_at(&record.new[from..to], record.offset + from as u64)
            .unwrap(),
    }
}

/// Records up to the first that a kill cut short.
fn parse(mut log: &[u8]) -> Vec<Record> {
    let mut records = Vec::new();
    while let Some((record, rest)) = next(log) {
        records.push(record);
        log = rest;
    }
    records
}

fn next(log: &[u8]) -> Option<(Record, &[u8])> {
    let word = |at: usize| Some(u32::from_ne_bytes(log.get(at..at + 4)?.try_into().ok()?));
    let long = |at: usize| Some(u64::from_ne_bytes(log.get(at..at + 8)?.try_into().ok()?));
    let kind = match word(0)? {
        1 => Kind::Write,
        2 => Kind::Truncate,
        3 => Kind::Sync,
        4 => Kind::Create,
        5 => Kind::SyncDir,
        other => panic!("the undo log holds a record of kind {other}"),
    };
    let mut at = 40;
    let mut part = |length: u32| {
        let part = log.get(at..at + length as usize);
        at += length as usize;
        part.map(<[u8]>::to_vec)
    };
    let (name, old, new) = (part(word(4)?)?, part(word(8)?)?, part(word(12)?)?);
    let record = Record {
        kind,
        name: String::from_utf8(name).unwrap(),
        offset: long(16)?,
        old_size: long(24)?,
        number: long(32)?,
        old,
        new,
    };
    Some((record, log.get(at..)?))
}
