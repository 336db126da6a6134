//! Who waits for a challenge is told what was committed, in that order, and nothing else.

use super::*;
use crate::domain::challenge::Challenge;
use crate::store::past::tests::sample;

/// A store whose listener keeps what it hears.
fn heard() -> (Store, Arc<Mutex<Vec<u64>>>) {
    let store = store(Options::default());
    let heard = Arc::new(Mutex::new(Vec::new()));
    let ear = Arc::clone(&heard);
    store.db.listen(Box::new(move |told: &Arc<Challenge>| {
        ear.lock().unwrap().push(told.subject_number);
    }));
    (store, heard)
}

fn numbered(number: u64) -> Arc<Challenge> {
    let mut challenge = sample::purchase(0);
    challenge.subject_number = number;
    Arc::new(challenge)
}

fn tell(tx: &mut Tx<'_>, number: u64) -> Result<(), Failure> {
    tx.announce(numbered(number));
    insert(tx, &format!("{number}"))
}

#[test]
fn a_group_is_told_in_the_order_of_its_commits_and_what_failed_in_it_is_not() {
    let (store, heard) = heard();
    let db = &store.db;
    let held = Held::running(db);
    let first = queue(db, |tx| tell(tx, 1));
    let early = queue(db, |tx| {
        tx.announce(numbered(2));
        Err(Failure::Refused)
    });
    let second = queue(db, |tx| tell(tx, 3));
    drop(held.let_go());
    assert_eq!([answer(first), answer(second)], [Ok(()), Ok(())]);
    assert!(answer(early).is_err());
    assert_eq!(*heard.lock().unwrap(), [1, 3]);

    // One that fails after it has written has the others run again: they are told once all the same.
    let held = Held::running(db);
    let third = queue(db, |tx| tell(tx, 4));
    let late = queue(db, |tx| tell(tx, 5).and(Err(Failure::Refused)));
    let fourth = queue(db, |tx| tell(tx, 6));
    drop(held.let_go());
    assert_eq!([answer(third), answer(fourth)], [Ok(()), Ok(())]);
    assert!(answer(late).is_err());
    assert_eq!(*heard.lock().unwrap(), [1, 3, 4, 6]);
}

#[test]
fn nobody_is_told_of_a_commit_that_failed() {
    let (store, heard) = heard();
    let orphan = queue(&store.db, |tx| {
        tell(tx, 1)?;
        let values = ["p".into(), "none".into()];
        Ok(tx
            .execute("INSERT INTO part (id, item) VALUES ($1, $2)", &values)
            .map(drop)?)
    });
    assert!(answer(orphan).is_err());
    assert_eq!(answer(queue(&store.db, |tx| tell(tx, 2))), Ok(()));
    assert_eq!(*heard.lock().unwrap(), [2]);
}

#[test]
fn it_is_told_although_the_caller_has_gone_meanwhile() {
    let (store, heard) = heard();
    let (started, running) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let gone = queue(&store.db, move |tx| {
        started.send(()).unwrap();
        let _ = released.recv_timeout(PATIENCE);
        tell(tx, 1)
    });
    running.recv_timeout(PATIENCE).unwrap();
    drop(gone);
    release.send(()).unwrap();
    assert_eq!(answer(queue_insert(&store.db, "after")), Ok(()));
    assert_eq!(*heard.lock().unwrap(), [1]);
}
