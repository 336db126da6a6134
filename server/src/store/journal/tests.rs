//! What the journal holds, what a crash may leave of it, and what is noticed.

use std::path::PathBuf;
use std::sync::OnceLock;

use paraphe_proto::ids::OperatorId;
use proptest::prelude::*;

use super::*;
use crate::domain::ended::Ended;

fn key(byte: u8) -> ring::hmac::Key {
    ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &[byte; 32])
}

fn event(n: u8) -> Event {
    Event::Ended(Ended::Operator {
        id: OperatorId::from_bytes([n; 16]),
    })
}

struct Kept {
    folder: tempfile::TempDir,
    places: Vec<Position>,
}

impl Kept {
    /// A journal of so many groups, all committed.
    fn of(groups: u8) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::create(&folder.path().join("journal"), key(1), &[7; 16]).unwrap();
        let mut places = vec![journal.last().clone()];
        for n in 1..=groups {
            places.push(
                journal
                    .append(vec![event(n), Event::RestoreEpoch(n.into())])
                    .unwrap(),
            );
            journal.committed().unwrap();
        }
        Self { folder, places }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("journal")
    }

    fn bytes(&self) -> Vec<u8> {
        std::fs::read(self.path()).unwrap()
    }

    fn lines(&self) -> Vec<Vec<u8>> {
        self.bytes()
            .split_inclusive(|b| *b == b'\n')
            .map(<[u8]>::to_vec)
            .collect()
    }

    fn put(&self, bytes: &[u8]) {
        std::fs::write(self.path(), bytes).unwrap();
    }

    fn read(&self, known: &Position) -> Result<Contents, JournalError> {
        read(&self.path(), &key(1), Some(known), |_, _| Ok(()))
    }

    fn standing(&self, known: &Position) -> Standing {
        self.read(known).unwrap().standing(known)
    }
}

#[test]
fn everything_comes_back_in_order() {
    let kept = Kept::of(3);
    let mut seen = Vec::new();
    let contents = read::<JournalError>(&kept.path(), &key(1), None, |number, events| {
        seen.push((number, events.to_vec()));
        Ok(())
    })
    .unwrap();
    let expected = |n: u8| (u64::from(n), vec![event(n), Event::RestoreEpoch(n.into())]);
    assert_eq!(seen, [expected(1), expected(2), expected(3)]);
    assert_eq!((contents.restore_epoch, contents.torn_bytes), (3, 0));
    assert!(contents.committed);
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(kept.path()).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let again = Journal::create(&kept.path(), key(1), &[8; 16]).err().unwrap();
    assert_eq!(again.code(), "journal.exists");
}

#[test]
fn an_older_database_is_told_from_one_that_a_crash_left_behind() {
    let kept = Kept::of(3);
    assert_eq!(kept.standing(&kept.places[3]), Standing::Level);
    assert_eq!(kept.standing(&kept.places[2]), Standing::DatabaseOlder(1));
    assert_eq!(kept.standing(&kept.places[0]), Standing::DatabaseOlder(3));

    // The last group's commit is not noted: it may never have come.
    let lines = kept.lines();
    kept.put(&lines[..lines.len() - 1].concat());
    let in_flight = Standing::InFlight(vec![event(3), Event::RestoreEpoch(3)]);
    assert_eq!(kept.standing(&kept.places[2]), in_flight);
    assert_eq!(kept.standing(&kept.places[3]), Standing::Level);
    assert_eq!(kept.standing(&kept.places[1]), Standing::DatabaseOlder(2));
}

#[test]
fn a_journal_that_lacks_what_the_database_knows_or_says_otherwise_is_noticed() {
    let (kept, other) = (Kept::of(3), Kept::of(2));
    let mut fork = kept.places[3].clone();
    fork.tag = other.places[2].tag.clone();
    assert_eq!(kept.standing(&fork), Standing::JournalOlder);
    let lines = kept.lines();
    kept.put(&lines[..lines.len() - 2].concat());
    assert_eq!(kept.standing(&kept.places[3]), Standing::JournalOlder);
    let mut renamed = kept.places[2].clone();
    renamed.journal = "another".to_owned();
    assert_eq!(kept.standing(&renamed), Standing::Other);
}

#[test]
fn another_key_an_empty_file_and_no_file_are_named() {
    let kept = Kept::of(1);
    let read = |key| read::<JournalError>(&kept.path(), &key, None, |_, _| Ok(()));
    assert_eq!(read(key(2)).err().unwrap().code(), "journal.foreign");
    kept.put(b"");
    assert_eq!(read(key(1)).err().unwrap().code(), "journal.foreign");
    std::fs::remove_file(kept.path()).unwrap();
    assert_eq!(read(key(1)).err().unwrap().code(), "journal.missing");
}

#[test]
fn lines_taken_out_swapped_or_repeated_are_noticed() {
    let kept = Kept::of(3);
    let lines = kept.lines();
    let refused = |changed: Vec<Vec<u8>>, what: &str| {
        kept.put(&changed.concat());
        let error = kept.read(&kept.places[3]).err();
        assert_eq!(error.map(|e| e.code()), Some("journal.damaged"), "{what}");
    };
    for at in 0..lines.len() {
        if at + 1 < lines.len() {
            let mut without = lines.clone();
            without.remove(at);
            refused(without, &format!("line {at} taken out"));
            let mut swapped = lines.clone();
            swapped.swap(at, at + 1);
            refused(swapped, &format!("line {at} swapped"));
        }
        let mut twice = lines.clone();
        twice.insert(at, lines[at].clone());
        refused(twice, &format!("line {at} twice"));
    }
}

#[test]
fn a_torn_line_is_left_out_and_the_journal_goes_on() {
    let kept = Kept::of(2);
    let whole = kept.bytes();
    let committed = kept.lines().pop().unwrap().len();
    for cut in 1..committed {
        kept.put(&whole[..whole.len() - cut]);
        let contents = kept.read(&kept.places[2]).unwrap();
        assert_eq!(contents.torn_bytes, (committed - cut) as u64);
        assert!(!contents.committed);
        let mut journal = Journal::resume(&kept.path(), key(1), &contents).unwrap();
        let place = journal.append(vec![event(9)]).unwrap();
        journal.committed().unwrap();
        assert_eq!(kept.standing(&place), Standing::Level);
    }
}

#[test]
fn a_write_that_failed_leaves_nothing_behind() {
    let kept = Kept::of(1);
    let contents = kept.read(&kept.places[1]).unwrap();
    let mut journal = Journal::resume(&kept.path(), key(1), &contents).unwrap();
    journal.fail_next_write();
    assert_eq!(journal.append(vec![event(2)]).err().unwrap().code(), "journal.io");
    let place = journal.append(vec![event(3)]).unwrap();
    assert_eq!(place.number, 2);
    let contents = kept.read(&place).unwrap();
    assert_eq!((contents.last_events, contents.torn_bytes), (vec![event(3)], 0));
}

/// The bytes of three groups, and the place of each: writing them anew for each case would be hundreds of syncs.
fn three() -> &'static (Vec<u8>, Vec<Position>) {
    static THREE: OnceLock<(Vec<u8>, Vec<Position>)> = OnceLock::new();
    THREE.get_or_init(|| {
        let kept = Kept::of(3);
        (kept.bytes(), kept.places.clone())
    })
}

/// What is read of a file with these bytes.
fn read_of(bytes: &[u8]) -> Result<Contents, JournalError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    read(file.path(), &key(1), Some(&three().1[3]), |_, _| Ok(()))
}

fn length_of_last_line(bytes: &[u8]) -> usize {
    bytes.split_inclusive(|b| *b == b'\n').next_back().unwrap().len()
}

proptest! {
    #[test]
    fn any_changed_byte_costs_the_last_line_at_most(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let (whole, places) = three();
        let last = whole.len() - length_of_last_line(whole);
        let mut bytes = whole.clone();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        match read_of(&bytes) {
            Ok(contents) if at >= last => prop_assert_eq!(contents.standing(&places[3]), Standing::Level),
            // The end of the line before is gone, and it is taken for torn as well.
            Ok(contents) => {
                prop_assert_eq!(at, last - 1);
                prop_assert_eq!(contents.standing(&places[3]), Standing::JournalOlder);
            }
            Err(error) => prop_assert!(["journal.damaged", "journal.foreign"].contains(&error.code())),
        }
    }

    #[test]
    fn a_journal_cut_short_anywhere_never_passes_for_the_whole(cut in any::<prop::sample::Index>()) {
        let (whole, places) = three();
        let groups_end = whole.len() - length_of_last_line(whole);
        let bytes = &whole[..cut.index(whole.len())];
        match read_of(bytes).map(|contents| contents.standing(&places[3])) {
            Ok(Standing::Level) => prop_assert!(bytes.len() >= groups_end),
            Ok(Standing::JournalOlder) => prop_assert!(bytes.len() < groups_end),
            Err(error) => prop_assert_eq!(error.code(), "journal.foreign"),
            Ok(other) => prop_assert!(false, "{other:?}"),
        }
    }
}
