//! What else may happen around a restore: no journal, a wrong one, another restore, a crash, a running daemon, statements of before.

use std::io::Write;
use std::process::Stdio;

use paraphe_proto::v1;

use crate::hand::{OPEN, approval, approve, ask, code_of, guess, send, unlock};
use crate::restore::{
    JOURNAL, audit, back_up, does_not_start, is_refused_to, put_back, refused, restore, restored, revoke,
    state,
};
use crate::world::{World, activate, code};

/// Changes the journal's file.
fn change_journal(world: &World, change: impl FnOnce(Vec<u8>) -> Vec<u8>) {
    let path = world.daemon.path(JOURNAL);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, change(bytes)).unwrap();
}

fn flip_in_first_line(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes[20] ^= 1;
    bytes
}

fn without_last_line(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.pop();
    let end = bytes.iter().rposition(|byte| *byte == b'\n').unwrap();
    bytes.truncate(end + 1);
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_journal_every_phone_is_suspended_and_one_administrator_can_begin_again() {
    let mut world = World::with(OPEN).await;
    let anna = world.enrol().await;
    back_up(&world);
    put_back(&mut world, "backup");
    let good = refused(
        &world,
        &["--yes", "--without-journal"],
        "restore.journal_is_there",
    );
    assert!(good.contains("verifies"), "{good}");
    std::fs::remove_file(world.daemon.path(JOURNAL)).unwrap();
    let missing = refused(&world, &["--yes"], "journal.missing");
    assert!(
        missing.contains("--without-journal") && missing.contains("suspends every phone"),
        "{missing}"
    );

    let report = restored(&world, &["--without-journal"]);
    assert_eq!(report["devices_suspended"], 3, "{report}");
    assert_eq!(
        (&report["devices_cut"], &report["services_disabled"]),
        (&0.into(), &1.into())
    );
    world.start_again().await;
    assert_eq!(
        is_refused_to(&world, &anna, &world.market).await,
        "enrolment.required"
    );
    let prover = anna.phone.prover().unwrap();
    let method = paraphe_companion::protocol::method::LIFT;
    let body = v1::LiftBody::default();
    let request = prover.prove_fresh(&world.server, method, &body).await.unwrap();
    let lift = world.server.client().lift(request).await.err().unwrap();
    assert_eq!(code(&lift), "device.suspended");
    let disabled = audit(&world, &world.auditor).await.err().unwrap();
    assert_eq!(code(&disabled), "caller.unauthenticated");

    // The new administrator's phone works, and a backup of today is restored with the new journal.
    let uri = report["administrator"]["uri"].as_str().unwrap();
    let (phone, _) = activate(&world.daemon, &world.server, uri, "new-admin").await;
    assert_eq!(
        phone.device(&world.server).await.unwrap().state.as_str(),
        "active"
    );
    std::fs::remove_file(world.daemon.path("backup")).unwrap();
    back_up(&world);
    put_back(&mut world, "backup");
    assert_eq!(restored(&world, &[])["restore_epoch"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_journal_that_was_changed_cut_or_exchanged_is_named_and_nothing_starts() {
    let mut world = World::new().await;
    assert_eq!(world.daemon.stop(), 0);
    let path = world.daemon.path(JOURNAL);
    let good = std::fs::read(&path).unwrap();
    world.start_again().await;
    assert_eq!(world.daemon.stop(), 0);
    let newer = std::fs::read(&path).unwrap();
    assert!(
        newer.len() > good.len() && newer.starts_with(&good),
        "it is only added to"
    );
    let other = World::new().await;
    let foreign = std::fs::read(other.daemon.path(JOURNAL)).unwrap();
    for (bytes, code) in [
        (flip_in_first_line(newer.clone()), "journal.damaged"),
        (good, "journal.behind"),
        (foreign, "journal.foreign"),
    ] {
        std::fs::write(&path, &bytes).unwrap();
        does_not_start(&world, code, "--without-journal");
        refused(&world, &["--yes"], code);
        assert!(
            std::fs::read(&path).unwrap() == bytes,
            "{code}: it is left as it is"
        );
    }
    std::fs::remove_file(&path).unwrap();
    does_not_start(&world, "journal.missing", "put it back");
    std::fs::write(&path, &newer).unwrap();
    world.start_again().await;

    // What does not verify is set aside, never deleted.
    assert_eq!(world.daemon.stop(), 0);
    change_journal(&world, flip_in_first_line);
    let changed = std::fs::read(&path).unwrap();
    let report = restored(&world, &["--without-journal"]);
    let aside = report["set_aside"].as_str().unwrap();
    assert!(std::fs::read(aside).unwrap() == changed);
    world.start_again().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_the_file_is_noticed_too_and_a_crash_is_not_taken_for_one() {
    let mut world = World::new().await;
    let anna = world.enrol().await;
    assert_eq!(world.daemon.stop(), 0);
    std::fs::copy(world.daemon.path("paraphe.db"), world.daemon.path("copy")).unwrap();
    revoke(&world, anna.phone.device_id()).await;
    put_back(&mut world, "copy");
    does_not_start(&world, "store.restore_undeclared", "1 entries");

    // The power went between the journal and the commit: nobody was told, and it is carried out.
    change_journal(&world, without_last_line);
    world.start_again().await;
    assert_eq!(state(&world, &anna).await, "revoked");
    let trail = audit(&world, &world.auditor).await.unwrap();
    assert!(trail.iter().any(|entry| entry.verb == "revoke_again"));

    // A line that the crash cut short is left out, and said.
    assert_eq!(world.daemon.stop(), 0);
    change_journal(&world, |mut bytes| {
        bytes.extend_from_slice(b"{\"group\":{\"number\":9");
        bytes
    });
    world.start_again().await;
    assert!(
        world
            .daemon
            .log()
            .contains("cut the last line of the security journal short")
    );
    assert_eq!(world.daemon.stop(), 0);
    world.start_again().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_restore_epoch_is_used_twice_and_each_restore_leaves_one_attempt() {
    let mut world = World::with(OPEN).await;
    let anna = world.enrol().await;
    back_up(&world);
    for epoch in 1..=3_u64 {
        put_back(&mut world, "backup");
        assert_eq!(restored(&world, &[])["restore_epoch"], epoch);
        world.start_again().await;
        let asked = ask(&world, &anna).await;
        approve(&world, &anna, &asked).await.unwrap();
        assert_eq!(anna.phone.record().seen.restore_epoch, epoch);
    }
    // The state of the second restore comes back undeclared, as far as the phone sees it.
    let mut prover = anna.phone.prover().unwrap();
    prover.seen.restore_epoch = 4;
    let method = paraphe_companion::protocol::method::DEVICE;
    let body = v1::DeviceBody {};
    let request = prover.prove_fresh(&world.server, method, &body).await.unwrap();
    let noticed = world.server.client().device(request).await.err().unwrap();
    assert_eq!(code(&noticed), "device.rollback_noticed");
    let log = world.daemon.log();
    let alarm = log
        .lines()
        .find(|line| line.contains("undeclared rollback"))
        .unwrap();
    assert!(
        alarm.contains("ERROR") && alarm.contains("device.rollback_noticed"),
        "{alarm}"
    );
    let trail = audit(&world, &world.auditor).await.unwrap();
    let id = anna.phone.device_id().to_string();
    let entry = trail
        .iter()
        .find(|entry| entry.verb == "notice_rollback")
        .unwrap();
    assert_eq!(
        (&entry.target, entry.outcome.as_str()),
        (&id, "device.rollback_noticed")
    );

    // The suspension that it led to is not lost with the database either.
    put_back(&mut world, "backup");
    assert_eq!(restored(&world, &[])["ended_again"], 1);
    world.start_again().await;
    assert_eq!(
        is_refused_to(&world, &anna, &world.market).await,
        "enrolment.required"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confirmation_writes_nothing_to_the_journal_and_an_end_one_line() {
    let mut world = World::with(OPEN).await;
    let anna = world.enrol().await;
    // The time of each full hour aside.
    let lines = |world: &World| {
        let text = std::fs::read_to_string(world.daemon.path(JOURNAL)).unwrap();
        let ended = text.lines().filter(|line| line.contains("\"ended\""));
        ended.map(str::to_owned).collect::<Vec<_>>()
    };
    let asked = ask(&world, &anna).await;
    guess(&world, &anna, asked.id(), "100001").await.unwrap();
    approve(&world, &anna, &asked).await.unwrap();
    let shown = ask(&world, &anna).await.shown;
    anna.phone.refuse(&world.server, &shown).await.unwrap();
    assert_eq!(lines(&world), [""; 0]);
    let shown = ask(&world, &anna).await.shown;
    anna.phone.report(&world.server, &shown).await.unwrap();
    let lines = lines(&world);
    assert_eq!(lines.len(), 1);
    assert!(
        lines[0].contains("market") && !lines[0].contains(&anna.name),
        "{lines:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_of_before_gives_no_attempts_back_after_a_restore() {
    let mut world = World::with(OPEN).await;
    let anna = world.enrol().await;
    let asked = ask(&world, &anna).await;
    let unlocked = unlock(&world, &anna, &asked).await;
    let recorded = approval(&asked, &unlocked, &asked.reply.match_code);
    back_up(&world);
    send(&world, &anna, asked.id(), &recorded).await.unwrap();
    put_back(&mut world, "backup");
    restored(&world, &[]);
    world.start_again().await;
    assert_eq!(
        code_of(send(&world, &anna, asked.id(), &recorded).await),
        "challenge.failed"
    );
    assert_eq!(world.attempts_left(&anna.phone).await, 1);
    assert_eq!(
        code_of(guess(&world, &anna, asked.id(), "100001").await),
        "challenge.failed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_daemon_an_unsaid_yes_and_a_taken_path_are_refused() {
    let mut world = World::new().await;
    let running = restore(&world, &["--yes"]);
    let said = String::from_utf8_lossy(&running.stderr).into_owned();
    assert!(said.contains("paraphed: store.locked: "), "{said}");
    assert_eq!(running.status.code(), Some(4));
    back_up(&world);
    let mut again = world.daemon.command("backup");
    let taken = again
        .arg("--to")
        .arg(world.daemon.path("backup"))
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&taken.stderr).contains("backup.exists"));

    put_back(&mut world, "backup");
    let mut asked = world.daemon.command("restore");
    asked
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .stdout(Stdio::piped());
    let mut child = asked.spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"y\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("security journal") && said.contains("one PIN attempt"),
        "{said}"
    );
    assert!(said.contains("command.not_confirmed"), "{said}");
    does_not_start(
        &world,
        "store.restore_undeclared",
        "copy that `paraphed backup` made",
    );

    // A restore that broke off is run again.
    let file = rusqlite::Connection::open(world.daemon.path("paraphe.db")).unwrap();
    file.execute("INSERT INTO meta (name, value) VALUES ('restoring', x'01')", [])
        .unwrap();
    drop(file);
    does_not_start(&world, "store.restore_unfinished", "again");
    restored(&world, &[]);
    world.start_again().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_that_ran_last_is_restored_only_where_the_operator_says_that_both_were_put_back() {
    let mut world = World::with(OPEN).await;
    let anna = world.enrol().await;
    assert_eq!(world.daemon.stop(), 0);
    let said = refused(&world, &["--yes"], "restore.not_put_back");
    assert!(
        said.contains("--rolled-back") && said.contains("one PIN attempt"),
        "{said}"
    );
    // Nor after a crash, which is not a restore either.
    change_journal(&world, without_last_line);
    refused(&world, &["--yes"], "restore.not_put_back");
    world.start_again().await;
    assert_eq!(world.attempts_left(&anna.phone).await, 5);

    // A snapshot of the whole machine shows nowhere; only its operator knows.
    assert_eq!(world.daemon.stop(), 0);
    let mut asked = world.daemon.command("restore");
    let output = asked.arg("--rolled-back").stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("is in neither of them"), "{said}");
    assert!(said.contains("command.not_confirmed"), "{said}");
    let report = restored(&world, &["--rolled-back"]);
    assert_eq!(
        (&report["restore_epoch"], &report["devices_cut"]),
        (&1.into(), &3.into())
    );
    refused(&world, &["--yes"], "restore.not_put_back");
    world.start_again().await;
    assert_eq!(world.attempts_left(&anna.phone).await, 1);
}
