//! Compares what the daemon holds with the clients' book, once every client has ended what it began: the verdicts of each backend
//! from the first on, each person's history, the audit trail.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use paraphe_proto::v1;

use super::book::{Book, name};
use super::client::{Client, note};
use super::link::{Link, Trouble};
use crate::world::{World, purchase};

/// A stream that brings nothing for so long brings nothing more; longer where something is sure to come.
const PATIENCE: Duration = Duration::from_secs(2);
const LONG_PATIENCE: Duration = Duration::from_secs(30);

/// Every verdict of a backend from the first on. The last one is of a request that is made and withdrawn here.
pub async fn verdicts(link: &Link, backend: usize, client: &Client, book: &Book) -> Result<(), Trouble> {
    let last = withdrawn(link, backend, client, book).await;
    let mut stream = link.watch(backend, "0".to_owned()).await?;
    let patience = if last.is_ok() { LONG_PATIENCE } else { PATIENCE };
    let (mut number, mut seen) = (0, HashSet::new());
    while let Ok(Ok(Some(verdict))) = tokio::time::timeout(patience, stream.message()).await {
        book.verdict(backend, &verdict);
        number += 1;
        if verdict.cursor != number.to_string() {
            let cursor = &verdict.cursor;
            book.finding(format!(
                "backend {backend} has verdict {cursor} where {number} should be"
            ));
        }
        if !seen.insert(verdict.challenge_id.clone()) {
            book.finding(format!("{} has two verdicts", verdict.challenge_id));
        }
        if last.as_ref().is_ok_and(|last| *last == verdict.challenge_id) {
            break;
        }
    }
    complete(book, backend, &seen, number);
    last.map(drop)
}

async fn withdrawn(link: &Link, backend: usize, client: &Client, book: &Book) -> Result<String, Trouble> {
    let message = purchase(&client.subjects[backend]);
    let key = message.idempotency_key.clone();
    let reply = link.request(backend, message).await?;
    note(book, backend, client.number, &key, &reply);
    link.cancel(backend, &reply.challenge_id).await?;
    Ok(reply.challenge_id)
}

fn complete(book: &Book, backend: usize, seen: &HashSet<String>, last: u64) {
    let pages = book.open();
    let mine = pages.asked.iter().filter(|(_, asked)| asked.backend == backend);
    let mine: HashSet<&String> = mine.map(|(id, _)| id).collect();
    let mut findings: Vec<String> = mine
        .iter()
        .filter(|id| !seen.contains(**id))
        .map(|id| format!("{id} was asked by backend {backend} and has no verdict"))
        .collect();
    let strangers = seen.iter().filter(|id| !mine.contains(id));
    findings.extend(strangers.map(|id| format!("{id} has a verdict and was asked by nobody")));
    let received = pages.verdicts.get(&backend).and_then(|all| all.keys().last());
    if received.is_some_and(|received| *received > last) {
        findings.push(format!("verdicts of backend {backend} after {last} are missing"));
    }
    drop(pages);
    findings.into_iter().for_each(|finding| book.finding(finding));
}

/// The person's history holds what was asked of them, each challenge once, as it ended.
pub async fn history(client: &Client, link: &Link, book: &Book) -> Result<(), Trouble> {
    let entries = client.history(link).await?;
    let mut states: HashMap<&str, &str> = HashMap::new();
    for entry in &entries {
        book.told(&entry.challenge_id, &entry.state, entry.decided_at, "the history");
        if states.insert(&entry.challenge_id, &entry.state).is_some() {
            book.finding(format!("{} is twice in the history", entry.challenge_id));
        }
    }
    let asked: HashSet<String> = {
        let pages = book.open();
        let mine = pages
            .asked
            .iter()
            .filter(|(_, asked)| asked.client == client.number);
        mine.map(|(id, _)| id.clone()).collect()
    };
    for id in asked.iter().filter(|id| !states.contains_key(id.as_str())) {
        book.finding(format!("{id} is missing from the history"));
    }
    for id in states.keys().filter(|id| !asked.contains(**id)) {
        book.finding(format!("{id} is in the history and was asked by nobody"));
    }
    Ok(())
}

/// The audit trail: no number missing, nothing changed, one entry for each final state.
pub async fn audit(world: &World, book: &Book) -> Result<(), Trouble> {
    let mut trail: BTreeMap<u64, v1::AuditEntry> = BTreeMap::new();
    loop {
        let after = trail.keys().last().copied().unwrap_or(0);
        let list = v1::ListAuditEntriesRequest {
            after,
            page_size: 500,
        };
        let list = world.as_account(&world.auditor, list);
        let page = world.admin_client().list_audit_entries(list).await?;
        let page = page.into_inner().entries;
        if page.is_empty() {
            break;
        }
        trail.extend(page.into_iter().map(|entry| (entry.number, entry)));
    }
    let mut findings = Vec::new();
    for (number, expected) in trail.keys().zip(1..) {
        if *number != expected {
            findings.push(format!("the audit trail has {number} where {expected} should be"));
            break;
        }
    }
    let mut pages = book.open();
    for (number, entry) in &pages.audit {
        if trail.get(number) != Some(entry) {
            findings.push(format!(
                "audit entry {number} was {entry:?}, and is {:?}",
                trail.get(number)
            ));
        }
    }
    let mut ends: HashMap<&str, Vec<&str>> = HashMap::new();
    for entry in trail.values().filter(|entry| is_end(&entry.verb)) {
        ends.entry(&entry.target).or_default().push(&entry.verb);
    }
    for (id, ended) in &pages.ended {
        let audited = ends.get(id.as_str()).cloned().unwrap_or_default();
        if audited != [ended.state.as_str()] {
            findings.push(format!("{id} is {}, and audited as {audited:?}", ended.state));
        }
    }
    pages.audit = trail;
    drop(pages);
    findings.into_iter().for_each(|finding| book.finding(finding));
    Ok(())
}

fn is_end(verb: &str) -> bool {
    (i32::from(v1::State::Approved)..=i32::from(v1::State::Failed)).any(|state| name(state) == verb)
}
