//! The promises of `db` about files: what is refused by name and left as it is, migrations, the connection's settings.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;

const NOTE: Migration = Migration {
    version: 2,
    name: "note",
    sql: "ALTER TABLE item ADD COLUMN note TEXT NOT NULL DEFAULT 'none'",
};
const REBUILD: Migration = Migration {
    version: 3,
    name: "rebuild",
    sql: "CREATE TABLE rebuilt (id TEXT PRIMARY KEY, number BIGINT, note TEXT NOT NULL);
          INSERT INTO rebuilt SELECT id, number, note FROM item; DROP TABLE item; ALTER TABLE rebuilt RENAME TO item;",
};

fn open(path: &Path, migrations: &[Migration]) -> Result<Db, DbError> {
    Db::open_with(path, Options::default(), migrations)
}

/// A closed database with an item of each id, and a part that refers to the first.
fn closed(ids: &[&str]) -> Store {
    let store = store(Options::default());
    for id in ids.iter().map(|id| (*id).to_owned()) {
        store
            .db
            .write_blocking("test", move |tx| insert(tx, &id))
            .unwrap();
    }
    if let Some(first) = ids.first().map(|id| (*id).to_owned()) {
        let add = move |tx: &mut Tx<'_>| {
            tx.execute(
                "INSERT INTO part (id, item) VALUES ('p', $1)",
                &[first.as_str().into()],
            )
        };
        store.db.write_blocking("test", add).unwrap();
    }
    store.db.close_blocking().unwrap();
    store
}

fn code(opened: Result<Db, DbError>) -> &'static str {
    opened.map(drop).expect_err("it must not open").code()
}

#[test]
fn a_missing_or_empty_database_says_to_run_init_and_stays_away() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("paraphe.db");
    let error = Db::open(&path, Options::default()).map(drop).unwrap_err();
    assert_eq!(error.code(), "store.missing");
    assert!(error.to_string().contains("paraphed init"));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    fs::write(&path, []).unwrap();
    assert_eq!(code(Db::open(&path, Options::default())), "store.missing");
    assert_eq!(fs::metadata(&path).unwrap().len(), 0);
    let connection = rusqlite::Connection::open(&path).unwrap();
    let mode: String = connection
        .query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
        .unwrap();
    drop(connection);
    assert!(
        mode == "wal" && fs::metadata(&path).unwrap().len() > 0,
        "as after an interrupted `paraphed init`"
    );
    assert_eq!(code(Db::open(&path, Options::default())), "store.missing");
    assert!(Db::create(&path, Options::default()).is_ok());
}

#[test]
fn this_releases_schema_is_created_once_and_opens_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("paraphe.db");
    Db::create(&path, Options::default())
        .unwrap()
        .close_blocking()
        .unwrap();
    assert_eq!(code(Db::create(&path, Options::default())), "store.exists");
    let db = Db::open(&path, Options::default()).unwrap();
    let tables = db.read_blocking("test", |tx| {
        tx.query("SELECT name FROM sqlite_schema WHERE name = 'meta'", &[])
    });
    assert_eq!(tables.unwrap().len(), 1);
}

#[test]
fn a_second_daemon_is_refused_until_the_first_has_closed() {
    let store = store(Options::default());
    assert_eq!(code(open(&store.path, &[FIRST])), "store.locked");
    assert_eq!(
        code(Db::create_with(&store.path, Options::default(), &[FIRST])),
        "store.locked"
    );
    store.db.close_blocking().unwrap();
    assert!(open(&store.path, &[FIRST]).is_ok());
}

/// `paraphed keys` looks while a daemon starts: that neither keeps the daemon from starting, nor takes another look for a daemon.
#[test]
fn whoever_looks_whether_a_database_is_served_is_in_nobodys_way() {
    let store = store(Options::default());
    assert_eq!(Db::is_served(&store.path), Ok(true));
    store.db.close_blocking().unwrap();
    assert_eq!(Db::is_served(&store.path), Ok(false));
    let lock = store.path.with_extension("db.lock");
    let look = fs::File::open(&lock).unwrap();
    look.try_lock_shared().unwrap();
    assert_eq!(Db::is_served(&store.path), Ok(false));
    let (looking, opened) = mpsc::channel();
    let path = store.path.clone();
    let daemon = std::thread::spawn(move || {
        looking.send(()).unwrap();
        open(&path, &[FIRST]).map(drop)
    });
    opened.recv().unwrap();
    std::thread::sleep(Duration::from_millis(50));
    drop(look);
    assert_eq!(daemon.join().unwrap(), Ok(()));
    fs::remove_file(&lock).unwrap();
    assert_eq!(Db::is_served(&store.path), Ok(false));
    assert!(!lock.exists(), "a look makes no file");
}

#[test]
fn another_applications_file_is_named_and_left_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    for (name, sql) in [
        ("tables", "CREATE TABLE t (x)"),
        ("marked", "PRAGMA application_id = 77"),
        ("versioned", "PRAGMA user_version = 1"),
    ] {
        let path = directory.path().join(name);
        rusqlite::Connection::open(&path)
            .unwrap()
            .execute_batch(sql)
            .unwrap();
        refuses_as_foreign(&path);
    }
    let path = directory.path().join("letter.txt");
    fs::write(&path, "Dear administrator, ".repeat(100)).unwrap();
    refuses_as_foreign(&path);
}

fn refuses_as_foreign(path: &Path) {
    let before = fs::read(path).unwrap();
    assert_eq!(
        code(Db::open(path, Options::default())),
        "store.foreign",
        "{path:?}"
    );
    assert_eq!(
        code(Db::create(path, Options::default())),
        "store.foreign",
        "{path:?}"
    );
    assert_eq!(fs::read(path).unwrap(), before, "{path:?}");
}

#[test]
fn a_newer_database_is_named_and_left_as_it_is() {
    let store = closed(&["a"]);
    open(&store.path, &[FIRST, NOTE])
        .unwrap()
        .close_blocking()
        .unwrap();
    fs::set_permissions(&store.path, Permissions::from_mode(0o640)).unwrap();
    let before = fs::read(&store.path).unwrap();
    assert_eq!(
        open(&store.path, &[FIRST]).map(drop),
        Err(DbError::Newer { found: 2, known: 1 })
    );
    assert_eq!(fs::read(&store.path).unwrap(), before);
    assert_eq!(
        fs::metadata(&store.path).unwrap().permissions().mode() & 0o777,
        0o640
    );
}

#[test]
fn a_damaged_database_is_named_and_left_as_it_is() {
    let names: Vec<String> = (0..500).map(|number| format!("{number:040}")).collect();
    let store = closed(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let mut bytes = fs::read(&store.path).unwrap();
    let page = bytes.len() / 2;
    bytes[page..page + 4096].fill(0xA5);
    fs::write(&store.path, &bytes).unwrap();
    assert_eq!(code(open(&store.path, &[FIRST])), "store.corrupt");
    assert_eq!(fs::read(&store.path).unwrap(), bytes);
}

#[test]
fn an_older_database_moves_forward_with_its_rows() {
    let store = closed(&["a", "b"]);
    let db = open(&store.path, &[FIRST, NOTE, REBUILD]).unwrap();
    assert_eq!(ids(&db), ["a", "b"]);
    let notes = db
        .read_blocking("test", |tx| tx.query("SELECT note FROM item", &[]))
        .unwrap();
    assert!(notes.iter().all(|row| row.text(0) == Ok("none")));
    let orphan = db.write_blocking("test", |tx| tx.execute("DELETE FROM item", &[]));
    assert!(
        matches!(orphan, Err(DbError::Constraint { .. })),
        "foreign keys are on again: {orphan:?}"
    );
    db.close_blocking().unwrap();
    let again = open(&store.path, &[FIRST, NOTE, REBUILD]).unwrap();
    assert_eq!(ids(&again), ["a", "b"]);
}

#[test]
fn a_migration_that_fails_leaves_no_trace() {
    let store = closed(&["a"]);
    let broken = |sql| Migration {
        version: 3,
        name: "broken",
        sql,
    };
    assert_eq!(
        code(open(
            &store.path,
            &[FIRST, NOTE, broken("DROP TABLE part; DELETE FROM nothing")]
        )),
        "store.statement"
    );
    assert_eq!(
        code(open(&store.path, &[FIRST, NOTE, broken("DELETE FROM item")])),
        "store.constraint"
    );
    let db = open(&store.path, &[FIRST, NOTE]).unwrap();
    assert_eq!(ids(&db), ["a"]);
    let parts = db
        .read_blocking("test", |tx| tx.query("SELECT id FROM part", &[]))
        .unwrap();
    assert_eq!(parts.len(), 1);
}

#[test]
fn only_the_owner_may_read_the_files() {
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let store = store(Options::default());
    let files: Vec<_> = fs::read_dir(store.path.parent().unwrap())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    assert_eq!(files.len(), 4, "{files:?}");
    assert!(files.iter().all(|file| mode(file) == 0o600), "{files:?}");
    store.db.close_blocking().unwrap();
    fs::set_permissions(&store.path, Permissions::from_mode(0o644)).unwrap();
    let _db = open(&store.path, &[FIRST]).unwrap();
    assert_eq!(mode(&store.path), 0o600);
}

#[test]
fn the_connections_are_set_for_durability_and_against_altered_schemas() {
    let store = store(Options::default());
    let pragma = |name: &'static str| {
        let row = store
            .db
            .write_blocking("test", move |tx| tx.query_opt(&format!("PRAGMA {name}"), &[]));
        row.unwrap().unwrap().0.remove(0)
    };
    assert_eq!(pragma("journal_mode"), "wal".into());
    for (name, value) in [
        ("synchronous", 2_i64),
        ("foreign_keys", 1),
        ("secure_delete", 1),
        ("trusted_schema", 0),
        ("cell_size_check", 1),
    ] {
        assert_eq!(pragma(name), value.into(), "{name}");
    }
    store.db.close_blocking().unwrap();
    let sql = "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = 'CREATE TABLE part (id)' WHERE name = 'part'";
    let forging = Migration {
        version: 2,
        name: "forging",
        sql,
    };
    assert_eq!(code(open(&store.path, &[FIRST, forging])), "store.statement");
}
