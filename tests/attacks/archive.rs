//! The archive: days after their verdicts challenges are packed and moved, and nobody who reads can tell; what lies there is sealed like
//! the rest.

use std::time::Duration;

use paraphe_proto::v1;
use rusqlite::Connection;

use crate::daemon::Daemon;
use crate::hand::{Asked, OPEN, ask, send, shown, unlock};
use crate::world::{Person, World, code, purchase};

const THREE_DAYS_S: i64 = 3 * 86_400;

fn count(daemon: &Daemon, table: &str) -> i64 {
    let file = Connection::open(daemon.path("paraphe.db")).unwrap();
    let sql = format!("SELECT COUNT(*) FROM {table}");
    file.query_row(&sql, [], |row| row.get(0)).unwrap()
}

/// Waits until the sweeper has moved everything.
pub async fn wait(daemon: &Daemon) {
    for _ in 0..300 {
        if count(daemon, "challenge") == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{} challenges are not archived", count(daemon, "challenge"));
}

/// Lets days pass.
async fn archive(world: &mut World) {
    let all = count(&world.daemon, "challenge");
    assert_eq!(
        count(&world.daemon, "challenge_past"),
        0,
        "nothing is moved before its time"
    );
    world.pass(THREE_DAYS_S);
    wait(&world.daemon).await;
    assert_eq!(count(&world.daemon, "challenge_past"), all);
}

/// Six challenges, one in each final state but `reported`; and the message of the first.
async fn end_in_every_way(world: &mut World, person: &Person) -> (Vec<String>, v1::RequestRequest) {
    let market = world.market.clone();
    let subject = world.subject(&market, person).await;
    let message = purchase(&subject);
    let reply = world.try_ask(&market, message.clone()).await.unwrap();
    let first = Asked {
        shown: shown(world, person, &reply.challenge_id).await,
        reply,
    };
    crate::hand::approve(world, person, &first).await.unwrap();
    let denied = ask(world, person).await;
    person.phone.refuse(&world.server, &denied.shown).await.unwrap();
    let failed = ask(world, person).await;
    let unlocked = unlock(world, person, &failed).await;
    let wrong = crate::hand::approval(&failed, &unlocked, "000000");
    send(world, person, failed.id(), &wrong).await.unwrap();
    let superseded = ask(world, person).await;
    let cancelled = ask(world, person).await;
    let cancel = v1::CancelRequest {
        challenge_id: cancelled.reply.challenge_id.clone(),
    };
    let cancel = world.as_account(&market, cancel);
    world.step_up().cancel(cancel).await.unwrap();
    let expired = ask(world, person).await;
    world.pass(301);
    let all = [first, denied, failed, superseded, cancelled, expired];
    (all.map(|asked| asked.reply.challenge_id).to_vec(), message)
}

async fn watch(world: &World, cursor: &str, messages: usize) -> Vec<v1::Verdict> {
    let request = v1::WatchRequest {
        cursor: cursor.to_owned(),
    };
    let request = world.as_account(&world.market, request);
    let mut stream = world.step_up().watch(request).await.unwrap().into_inner();
    let mut seen = Vec::new();
    for _ in 0..messages {
        let next = tokio::time::timeout(Duration::from_secs(20), stream.message()).await;
        seen.push(next.unwrap().unwrap().unwrap());
    }
    seen
}

async fn get(world: &World, id: &str) -> Result<v1::Verdict, String> {
    let get = v1::GetRequest {
        challenge_id: id.to_owned(),
    };
    let reply = world.step_up().get(world.as_account(&world.market, get)).await;
    reply
        .map(tonic::Response::into_inner)
        .map_err(|status| code(&status))
}

/// All that anybody can read of these challenges.
async fn everything(world: &World, person: &Person, ids: &[String]) -> String {
    let mut all = String::new();
    for id in ids {
        let request = v1::GetStatementsRequest {
            challenge_id: id.clone(),
        };
        let request = world.as_account(&world.auditor, request);
        let statements = world.admin_client().get_statements(request).await.unwrap();
        let statements = statements.into_inner();
        assert!(!statements.challenge.is_empty() && statements.enrolment.is_some());
        all += &format!("{:?}\n{statements:?}\n", get(world, id).await.unwrap());
    }
    let mut page = None;
    loop {
        let got = person
            .phone
            .history(&world.server, page.as_deref(), 4)
            .await
            .unwrap();
        for entry in got.entries {
            all += &format!(
                "{} {} {:?}\n",
                entry.challenge_id,
                entry.state.as_str(),
                entry.decided_at
            );
        }
        page = got.next;
        if page.is_none() {
            break;
        }
    }
    all + &format!("{:?}", watch(world, "0", ids.len()).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_reads_a_challenge_cannot_tell_that_it_was_archived() {
    let mut world = World::with(OPEN).await;
    let person = world.enrol().await;
    let (ids, message) = end_in_every_way(&mut world, &person).await;
    while get(&world, &ids[5]).await.unwrap().state() != v1::State::Expired {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let before = everything(&world, &person, &ids).await;
    archive(&mut world).await;
    assert_eq!(everything(&world, &person, &ids).await, before);

    let market = world.market.clone();
    let again = world.try_ask(&market, message.clone()).await.unwrap();
    assert_eq!(again.challenge_id, ids[0], "the key is not forgotten");
    let mut other = message;
    other.locale = "fr".into();
    let refused = world.try_ask(&market, other).await.err().unwrap();
    assert_eq!(code(&refused), "request.idempotency_key_reused");

    let next = ask(&world, &person).await;
    person.phone.refuse(&world.server, &next.shown).await.unwrap();
    let history = person.phone.history(&world.server, None, 0).await.unwrap();
    assert_eq!(history.entries[0].challenge_id, next.reply.challenge_id);
    assert_eq!(history.entries.len(), ids.len() + 1);
    let verdicts = watch(&world, "0", ids.len() + 1).await;
    let cursors: Vec<u64> = verdicts.iter().map(|it| it.cursor.parse().unwrap()).collect();
    assert_eq!(cursors, (1..=7).collect::<Vec<u64>>());
    assert_eq!(verdicts[6].challenge_id, next.reply.challenge_id);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archived_challenge_that_was_touched_is_refused_as_tampered() {
    let mut world = World::with(OPEN).await;
    let person = world.enrol().await;
    let asked = ask(&world, &person).await;
    person.phone.refuse(&world.server, &asked.shown).await.unwrap();
    archive(&mut world).await;
    let id = asked.reply.challenge_id.as_str();
    assert!(get(&world, id).await.is_ok());
    let flip = "CAST(substr(sealed, 1, 40) || x'00' || substr(sealed, 42) AS BLOB)";
    for (change, undo) in [
        (format!("sealed = {flip}"), None),
        (
            "verdict_number = verdict_number + 9".to_owned(),
            Some("verdict_number = verdict_number - 9"),
        ),
        (
            "key_digest = key_digest + 1".to_owned(),
            Some("key_digest = key_digest - 1"),
        ),
        (
            "subject_number = subject_number + 9".to_owned(),
            Some("subject_number = subject_number - 9"),
        ),
    ] {
        let file = Connection::open(world.daemon.path("paraphe.db")).unwrap();
        let kept = "CREATE TABLE kept AS SELECT id, sealed FROM challenge_past";
        file.execute_batch(&format!("{kept}; UPDATE challenge_past SET {change}"))
            .unwrap();
        drop(file);
        assert_eq!(
            get(&world, id).await.err().as_deref(),
            Some("store.tampered"),
            "{change}"
        );
        assert_eq!(world.daemon.stop(), 0);
        let undo = undo.unwrap_or("sealed = (SELECT sealed FROM kept WHERE kept.id = challenge_past.id)");
        let file = Connection::open(world.daemon.path("paraphe.db")).unwrap();
        file.execute_batch(&format!("UPDATE challenge_past SET {undo}; DROP TABLE kept"))
            .unwrap();
        drop(file);
        world.start_again().await;
        assert!(get(&world, id).await.is_ok(), "{undo}");
    }
}
