//! A new master key: rows are sealed again while people approve, a kill loses nothing, and afterwards the old key opens nothing.

use std::time::Duration;

use paraphe_proto::v1;
use paraphe_server::store::seal::{MasterKey, Sealer};
use rusqlite::Connection;

use crate::daemon::Daemon;
use crate::hand::{OPEN, approve, ask};
use crate::world::{Person, World, code};

const DONE: &str = "every row is under the new master key";

fn rewrite(daemon: &Daemon, from: &str, to: &str) {
    let path = daemon.path("paraphed.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    std::fs::write(path, text.replace(from, to)).unwrap();
}

const ALONE: &str = "master_key_file = \"master.key\"";
const BOTH: &str = "master_key_file = \"master.key\"\nprevious_master_key_file = \"master.key.previous\"";

pub fn run(daemon: &Daemon) -> Result<(), String> {
    let output = daemon.command("rotate-master-key").output().unwrap();
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8(output.stderr).unwrap()),
    }
}

/// As operations.md has it, up to the restart.
fn prepare(daemon: &Daemon) {
    move_away(daemon);
    run(daemon).unwrap();
}

/// Makes the key in use the one before.
pub fn move_away(daemon: &Daemon) {
    std::fs::rename(daemon.path("master.key"), daemon.path("master.key.previous")).unwrap();
    rewrite(daemon, ALONE, BOTH);
}

fn sealer(daemon: &Daemon, file: &str) -> Sealer {
    let contents = std::fs::read(daemon.path(file)).unwrap();
    Sealer::new(&MasterKey::from_file_contents(&contents).unwrap())
}

/// How many of all sealed rows a key opens, and how many there are.
fn opened(daemon: &Daemon, file: &str) -> (usize, usize) {
    let sealer = sealer(daemon, file);
    let database = Connection::open(daemon.path("paraphe.db")).unwrap();
    let names = "SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE '%sealed BYTEA%'";
    let mut query = database.prepare(names).unwrap();
    let tables: Vec<String> = query
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(tables.len(), 15);
    let (mut opens, mut all) = (0, 0);
    for table in tables {
        // Keys of the archive are bytes, and the seal names them in hexadecimal digits.
        let id = "CASE typeof(id) WHEN 'blob' THEN lower(hex(id)) ELSE CAST(id AS TEXT) END";
        let rows = format!("SELECT {id}, version, sealed FROM {table}");
        let mut query = database.prepare(&rows).unwrap();
        let mut rows = query.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let (id, version): (String, i64) = (row.get(0).unwrap(), row.get(1).unwrap());
            let version = u64::try_from(version).unwrap();
            let sealed: Vec<u8> = row.get(2).unwrap();
            all += 1;
            opens += usize::from(sealer.open(&table, &id, version, &sealed).is_ok());
        }
    }
    (opens, all)
}

type Sealed = Vec<(String, Vec<u8>)>;

fn subjects(daemon: &Daemon) -> Sealed {
    let database = Connection::open(daemon.path("paraphe.db")).unwrap();
    let mut query = database.prepare("SELECT id, sealed FROM subject").unwrap();
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
    rows.unwrap().map(Result::unwrap).collect()
}

fn put(daemon: &Daemon, rows: &Sealed) {
    let database = Connection::open(daemon.path("paraphe.db")).unwrap();
    for (id, sealed) in rows {
        let sql = "UPDATE subject SET sealed = ?1 WHERE id = ?2";
        assert_eq!(database.execute(sql, rusqlite::params![sealed, id]).unwrap(), 1);
    }
}

fn is_done(daemon: &Daemon) -> bool {
    daemon.log().contains(DONE)
}

async fn wait_for(daemon: &Daemon, text: &str) {
    for _ in 0..500 {
        if daemon.log().contains(text) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the log does not say {text:?}: {}", daemon.log());
}

async fn approves(world: &World, person: &Person) {
    let asked = ask(world, person).await;
    let receipt = approve(world, person, &asked).await.unwrap();
    assert_eq!(receipt.state.to_string(), "approved");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_master_key_is_rotated_while_people_approve() {
    let mut world = World::with(OPEN).await;
    let person = world.enrol().await;
    approves(&world, &person).await;
    let before = world.subject(&world.market, &person).await;
    assert_eq!(world.daemon.stop(), 0);
    let older = subjects(&world.daemon);
    prepare(&world.daemon);
    run(&world.daemon).expect("interrupted, it is run again");
    world.start_again().await;
    let mut approvals = 0;
    while !is_done(&world.daemon) || approvals < 3 {
        approves(&world, &person).await;
        approvals += 1;
        assert!(approvals < 500);
    }
    assert_eq!(
        world.subject(&world.market, &person).await,
        before,
        "no pairwise name changes"
    );
    let audited = world.audit().await.into_iter();
    let verbs: Vec<String> = audited
        .map(|entry| entry.verb)
        .filter(|verb| verb.ends_with("master_key_rotation"))
        .collect();
    assert_eq!(verbs, ["begin_master_key_rotation", "end_master_key_rotation"]);
    assert_eq!(opened(&world.daemon, "master.key.previous").0, 0);
    let (opens, all) = opened(&world.daemon, "master.key");
    assert!(opens == all && all > 50, "{opens} of {all}");

    // The rows of a thief who kept them and the old key: the daemon has dropped that key.
    let newer = subjects(&world.daemon);
    put(&world.daemon, &older);
    let identity = v1::PivotIdentity {
        family_name: person.name.clone(),
        given_names: "ANNA".into(),
        birth_date: "1974-08-12".into(),
        birthplace: String::new(),
    };
    let check = v1::CheckRequest {
        person: Some(v1::check_request::Person::Identity(identity)),
        action: "course.buy".into(),
        session_acr: String::new(),
    };
    let checked = world
        .step_up()
        .check(world.as_account(&world.market, check))
        .await;
    assert_eq!(code(&checked.unwrap_err()), "store.tampered");
    put(&world.daemon, &newer);
    assert_eq!(world.daemon.stop(), 0);
    rewrite(&world.daemon, BOTH, ALONE);
    world.start_again().await;
    approves(&world, &person).await;
    std::fs::copy(
        world.daemon.path("master.key.previous"),
        world.daemon.path("master.key"),
    )
    .unwrap();
    assert_eq!(world.daemon.stop(), 0);
    let (said, status) = world.daemon.fail_to_start();
    assert!(
        said.contains("paraphed: store.wrong_master_key: ") && status == 5,
        "{said}"
    );
}

/// Changes the version of one audit entry in the middle: neither key opens it then.
fn damage(daemon: &Daemon, by: i64) {
    let database = Connection::open(daemon.path("paraphe.db")).unwrap();
    let sql = format!("UPDATE audit SET version = version + {by} WHERE id = 60");
    assert_eq!(database.execute(&sql, []).unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_that_is_killed_goes_on_and_no_other_key_does() {
    let mut world = World::with(OPEN).await;
    let person = world.enrol().await;
    while world.audit().await.len() < 120 {
        approves(&world, &person).await;
    }
    assert_eq!(world.daemon.stop(), 0);
    prepare(&world.daemon);
    damage(&world.daemon, 1);
    world.start_again().await;
    wait_for(&world.daemon, "rows could not be sealed again").await;
    approves(&world, &person).await;
    world.daemon.kill();
    let (old, all) = opened(&world.daemon, "master.key.previous");
    let (new, _) = opened(&world.daemon, "master.key");
    assert!(
        old > 0 && new > 0 && old + new + 1 == all,
        "{old} + {new} + 1, {all}"
    );

    let refused = |expected: &str| {
        let (said, status) = world.daemon.fail_to_start();
        assert!(said.contains(&format!("paraphed: {expected}: ")), "{said}");
        assert_eq!(status, 5, "{said}");
    };
    rewrite(&world.daemon, BOTH, ALONE);
    refused("keys.master_key_unfinished");
    let (new, previous) = (
        world.daemon.path("master.key"),
        world.daemon.path("master.key.previous"),
    );
    let kept = std::fs::read(&new).unwrap();
    std::fs::copy(&previous, &new).unwrap();
    refused("keys.master_key_unfinished");
    rewrite(&world.daemon, ALONE, BOTH);
    refused("keys.same_master_key");
    std::fs::write(&new, "7".repeat(64)).unwrap();
    refused("keys.other_new_master_key");
    rewrite(&world.daemon, BOTH, ALONE);
    refused("store.wrong_master_key");
    rewrite(&world.daemon, ALONE, BOTH);
    std::fs::write(&new, kept).unwrap();

    damage(&world.daemon, -1);
    world.start_again().await;
    wait_for(&world.daemon, DONE).await;
    let (opens, all) = opened(&world.daemon, "master.key");
    assert_eq!(opens, all);
    assert_eq!(opened(&world.daemon, "master.key.previous").0, 0);
    approves(&world, &person).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_without_its_preparation_is_refused_and_nothing_is_lost() {
    let mut world = World::with(OPEN).await;
    let person = world.enrol().await;
    assert_eq!(world.daemon.stop(), 0);
    let daemon = &world.daemon;
    assert!(run(daemon).unwrap_err().contains("paraphed: keys.step: "));
    std::fs::rename(daemon.path("master.key"), daemon.path("master.key.previous")).unwrap();
    rewrite(daemon, ALONE, BOTH);
    let (said, status) = daemon.fail_to_start();
    assert!(said.contains("paraphed: keys.missing: ") && status == 5, "{said}");

    // A key made by hand does not open the issuer keys.
    std::fs::write(daemon.path("master.key"), "5".repeat(64)).unwrap();
    let (said, status) = daemon.fail_to_start();
    assert!(said.contains("rotate-master-key") && status == 5, "{said}");
    std::fs::remove_file(daemon.path("master.key")).unwrap();

    // A previous key that is not the one in use: no new key is made for it.
    let previous = std::fs::read(daemon.path("master.key.previous")).unwrap();
    std::fs::write(daemon.path("master.key.previous"), "6".repeat(64)).unwrap();
    assert!(
        run(daemon)
            .unwrap_err()
            .contains("paraphed: store.wrong_master_key: ")
    );
    assert!(!daemon.path("master.key").exists());
    std::fs::write(daemon.path("master.key.previous"), previous).unwrap();
    run(daemon).unwrap();
    world.start_again().await;
    approves(&world, &person).await;
    wait_for(&world.daemon, DONE).await;
}
