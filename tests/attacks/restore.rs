//! A backup is put back: undeclared it is not served from; declared, nothing that was ended comes back and nobody gets attempts back
//! (protocol.md section 4, rule 6).

use std::process::Output;
use std::sync::Arc;

use paraphe_companion::{Activation, FinalState, Invitation, SoftwareKeyStore};
use paraphe_proto::ids::DeviceId;
use paraphe_proto::v1::{self, Role};
use paraphe_server::app::Daemon;
use paraphe_server::config::Config;
use paraphe_server::domain::device::Cause;
use paraphe_server::open;
use paraphe_server::store::device;
use paraphe_server::store::journal::{self, Journal, JournalError};
use serde_json::Value;

use crate::hand::{OPEN, approve, ask, code_of, guess};
use crate::world::{Account, Person, World, code, purchase};

pub const JOURNAL: &str = "security.journal";

/// `paraphed restore` with these options.
pub fn restore(world: &World, options: &[&str]) -> Output {
    let mut command = world.daemon.command("restore");
    command.args(options).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A restore that is carried out; what it reports.
pub fn restored(world: &World, options: &[&str]) -> Value {
    let output = restore(world, &[&["--yes", "--json"], options].concat());
    assert!(output.status.success(), "{}", said(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A restore that is refused: nothing is stored and the journal stays as it is.
pub fn refused(world: &World, options: &[&str], code: &str) -> String {
    let before = stored(world);
    let output = restore(world, options);
    assert!(!output.status.success());
    let said = said(&output);
    assert!(said.contains(&format!("paraphed: {code}: ")), "{said}");
    assert_eq!(before, stored(world));
    said
}

/// Named values, audit entries, and the journal.
fn stored(world: &World) -> (i64, i64, Option<Vec<u8>>) {
    let file = rusqlite::Connection::open(world.daemon.path("paraphe.db")).unwrap();
    let count = |table: &str| {
        let sql = format!("SELECT COUNT(*) FROM {table}");
        file.query_row(&sql, [], |row| row.get(0)).unwrap()
    };
    let journal = std::fs::read(world.daemon.path(JOURNAL)).ok();
    (count("meta"), count("audit"), journal)
}

/// A copy of the database while the daemon serves from it.
pub fn back_up(world: &World) {
    let mut command = world.daemon.command("backup");
    let output = command
        .arg("--to")
        .arg(world.daemon.path("backup"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
}

/// Stops the daemon and puts a file in the database's place.
pub fn put_back(world: &mut World, name: &str) {
    if !world.daemon.has_ended() {
        assert_eq!(world.daemon.stop(), 0);
    }
    for file in ["paraphe.db-wal", "paraphe.db-shm"] {
        let _absent = std::fs::remove_file(world.daemon.path(file));
    }
    std::fs::copy(world.daemon.path(name), world.daemon.path("paraphe.db")).unwrap();
}

#[track_caller]
pub fn does_not_start(world: &World, code: &str, hint: &str) {
    let (said, exit) = world.daemon.fail_to_start();
    assert!(said.contains(&format!("paraphed: {code}: ")), "{said}");
    assert!(said.contains(hint), "{said}");
    assert_eq!(exit, 4);
}

/// Revokes a phone in one group of transactions, as the daemon's writer does it; the daemon is stopped.
pub async fn revoke(world: &World, id: DeviceId) {
    let config = Config::load(&world.daemon.path("paraphed.toml")).unwrap();
    let opened = tokio::task::block_in_place(|| open::deployment(config)).unwrap();
    let key = || opened.facts.keys.journal_key();
    let (path, now) = (world.daemon.path(JOURNAL), opened.known.last_seen.unwrap());
    let contents =
        journal::read::<JournalError>(&path, &key(), opened.known.place.as_ref(), |_, _| Ok(())).unwrap();
    opened.db.keep(Journal::resume(&path, key(), &contents).unwrap());
    let daemon = Daemon::new(Arc::clone(&opened.facts), opened.db);
    let revoked = daemon.write("revoke", now, move |s| {
        let mut phone = device::load(&mut s.rows, id)?.unwrap();
        phone.revoke(s.now);
        s.save_device(&mut phone, &Cause::asked())
    });
    revoked.await.unwrap();
    daemon.close().await.unwrap();
}

/// Five wrong PINs with the waits between them.
async fn lock(world: &mut World, person: &Person) {
    for wait in [0, 0, 61, 901, 61] {
        let asked = ask(world, person).await;
        guess(world, person, asked.id(), "100001").await.unwrap();
        world.pass(wait.max(61));
    }
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    assert_eq!(state(world, person).await, "locked");
}

pub async fn state(world: &World, person: &Person) -> String {
    let device = person.phone.device(&world.server).await.unwrap();
    device.state.as_str().to_owned()
}

pub async fn is_refused_to(world: &World, person: &Person, backend: &Account) -> String {
    let subject = world.subject(backend, person).await;
    let asked = world.try_ask(backend, purchase(&subject)).await;
    asked.err().map(|status| code(&status)).unwrap_or_default()
}

pub async fn audit(world: &World, account: &Account) -> Result<Vec<v1::AuditEntry>, tonic::Status> {
    let list = v1::ListAuditEntriesRequest {
        after: 0,
        page_size: 500,
    };
    let listed = world
        .admin_client()
        .list_audit_entries(world.as_account(account, list))
        .await?;
    Ok(listed.into_inner().entries)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declared_restore_revives_nothing_and_leaves_every_phone_one_attempt() {
    let mut world = World::with(OPEN).await;
    let (anna, bert) = (world.enrol().await, world.enrol().await);
    let (carl, dora) = (world.enrol().await, world.enrol().await);
    let bank = world.backend("bank", true).await;
    let second = world.service("auditor-2", &[Role::Auditor]).await;
    let (_, unused) = world.issue().await;
    let pending = ask(&world, &carl).await;
    back_up(&world);

    // What the backup does not know.
    let shown = ask(&world, &dora).await.shown;
    dora.phone.report(&world.server, &shown).await.unwrap();
    let disable = v1::DisableOperatorRequest {
        operator_id: second.id.clone(),
    };
    let request = world.as_admin("/paraphe.v1.Admin/DisableOperator", disable);
    world.admin_client().disable_operator(request).await.unwrap();
    for n in 0..2 {
        guess(&world, &carl, pending.id(), &format!("10000{n}"))
            .await
            .unwrap();
    }
    assert_eq!(world.daemon.stop(), 0);
    revoke(&world, anna.phone.device_id()).await;
    world.start_again().await;
    lock(&mut world, &bert).await;

    put_back(&mut world, "backup");
    does_not_start(&world, "store.restore_undeclared", "paraphed restore");
    let report = restored(&world, &[]);
    assert_eq!(report["restore_epoch"], 1);
    assert_eq!(report["ended_again"], 4, "{report}");
    assert_eq!(report["challenges_voided"], 1);
    assert_eq!(
        report["activations_voided"], 2,
        "and that of the second administrator"
    );
    // One administrator's phone, the clerk's, Carl's and Dora's.
    assert_eq!(
        (&report["devices_cut"], &report["devices_suspended"]),
        (&4.into(), &0.into())
    );

    world.start_again().await;
    assert_eq!(state(&world, &anna).await, "revoked");
    assert_eq!(state(&world, &bert).await, "locked");
    assert_eq!(
        is_refused_to(&world, &anna, &world.market).await,
        "enrolment.required"
    );
    assert_eq!(
        is_refused_to(&world, &bert, &world.market).await,
        "enrolment.required"
    );
    assert_eq!(
        is_refused_to(&world, &dora, &world.market).await,
        "subject.refuses"
    );
    assert_eq!(
        world.attempts_left(&carl.phone).await,
        1,
        "after two that the backup knows not of"
    );
    assert_eq!(world.attempts_left(&dora.phone).await, 1);
    let verdict = world.verdict(&world.market, &pending.reply.challenge_id).await;
    assert_ne!(verdict.state, i32::from(v1::State::Pending));
    let get = v1::GetCaseRequest {
        case_id: String::new(),
    };
    let ended = world
        .enrolment()
        .get_case(world.as_clerk(get))
        .await
        .err()
        .unwrap();
    assert_eq!(code(&ended), "caller.unauthenticated", "sessions have ended");
    let disabled = audit(&world, &second).await.err().unwrap();
    assert_eq!(code(&disabled), "caller.unauthenticated");
    let verbs: Vec<_> = audit(&world, &world.auditor).await.unwrap();
    let verbs: Vec<&str> = verbs.iter().map(|entry| entry.verb.as_str()).collect();
    for verb in [
        "revoke_again",
        "lock_again",
        "block_again",
        "disable_operator_again",
        "restore",
    ] {
        assert!(verbs.contains(&verb), "{verb}: {verbs:?}");
    }
    let invitation = Invitation::from_uri(&unused.uri).unwrap();
    assert_eq!(begin(&world, invitation).await, "activation.revoked");

    // The phone that has seen more is not taken for a sign of an undeclared rollback, and its right PIN gives everything back.
    let asked = ask(&world, &carl).await;
    let receipt = approve(&world, &carl, &asked).await.unwrap();
    assert_eq!((receipt.state, receipt.attempts_left), (FinalState::Approved, 5));
    assert_eq!(carl.phone.record().seen.restore_epoch, 1);

    // A wrong one locks.
    let subject = world.subject(&bank, &dora).await;
    let reply = world.ask(&bank, &subject).await;
    guess(&world, &dora, reply.challenge_id.parse().unwrap(), "100001")
        .await
        .unwrap();
    world.pass(61);
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    assert_eq!(state(&world, &dora).await, "locked");
}

/// Who restores compares two times, and that of the journal is of its last line, not of its last full hour.
#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_is_newer_than_the_backup_says_so() {
    let mut world = World::with(OPEN).await;
    let person = world.enrol().await;
    world.pass(600);
    back_up(&world);
    world.pass(1_200);
    let ended_at = world.now();
    person.phone.suspend(&world.server).await.unwrap();
    put_back(&mut world, "backup");
    let said = said(&restore(&world, &[]));
    let journal = said.lines().find(|line| line.starts_with("security journal"));
    let journal = journal.unwrap_or_else(|| panic!("{said}"));
    assert!(journal.ends_with("entries since the backup: 1"), "{said}");
    let minute = |at: i64| {
        let at = time::OffsetDateTime::from_unix_timestamp(at).unwrap();
        format!("{:02}:{:02}", at.hour(), at.minute())
    };
    let soon = [minute(ended_at), minute(ended_at + 60)];
    assert!(soon.iter().any(|at| journal.contains(at)), "{journal}: {soon:?}");
}

async fn begin(world: &World, invitation: Invitation) -> String {
    let folder = world.daemon.path("phone-late");
    let keys = SoftwareKeyStore::open(folder.join("keys"), "test/1").unwrap();
    let (server, mut rng) = (&world.server, rand_core::OsRng);
    let begun = Activation::begin(&folder, Arc::new(keys), invitation, server, &mut rng).await;
    code_of(begun)
}
