//! `paraphe load` against the real daemon: what it reports and writes down is what happened, and it notices what is wrong.

use std::collections::BTreeMap;
use std::io::Read;
use std::process::Child;

use serde_json::Value;

use crate::by_hand::{Terminal, staff, terminal_with};
use crate::hand::OPEN;

/// A desk with so many phones in its folder `phones`.
fn desk_with_phones(count: &str) -> Terminal {
    let desk = terminal_with(OPEN);
    staff(&desk);
    desk.ok(&["logout"], "");
    desk.sign_in("claire.martin", "claire");
    let (to, clerk, pin) = (desk.path("phones"), desk.path("claire"), desk.path("pin"));
    let line = [
        "load",
        "prepare",
        "--phones",
        count,
        "--to",
        &to,
        "--clerk-phone",
        &clerk,
        "--pin-file",
        &pin,
    ];
    assert_eq!(desk.ok(&line, "")["phones"].to_string(), count);
    desk
}

/// The arguments of a run over these phones, with a journal, and these.
fn line(desk: &Terminal, more: &[&str]) -> Vec<String> {
    let backend = format!("course-marketplace={}", desk.path("market.pem"));
    let (from, journal) = (desk.path("phones"), desk.path("journal"));
    let mut line = vec![
        "load",
        "run",
        "--from",
        &from,
        "--backend",
        &backend,
        "--journal",
        &journal,
    ];
    line.extend(more);
    line.into_iter().map(str::to_owned).collect()
}

fn run(desk: &Terminal, more: &[&str]) -> Value {
    let line = line(desk, more);
    desk.ok(&line.iter().map(String::as_str).collect::<Vec<_>>(), "")
}

/// The journal's lines, by challenge.
fn journal(desk: &Terminal) -> BTreeMap<String, Vec<Value>> {
    let mut challenges: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for line in std::fs::read_to_string(desk.path("journal")).unwrap().lines() {
        let entry: Value = serde_json::from_str(line).unwrap();
        let id = entry["challenge_id"].as_str().unwrap().to_owned();
        challenges.entry(id).or_default().push(entry);
    }
    challenges
}

/// Every challenge that was requested was shown once at least and has one verdict: that of the answer, where there was one.
fn assert_consistent(challenges: &BTreeMap<String, Vec<Value>>) -> BTreeMap<String, usize> {
    let mut verdicts = BTreeMap::new();
    for (id, entries) in challenges {
        let of = |event: &str| {
            entries
                .iter()
                .filter(|entry| entry["event"] == event)
                .collect::<Vec<_>>()
        };
        if of("requested").is_empty() {
            // The challenge that lifts a block is the daemon's own.
            assert_eq!(of("answered")[0]["state"], "approved", "{id}");
            continue;
        }
        let verdict = of("verdict");
        assert_eq!(
            (of("requested").len(), of("shown").len(), verdict.len()),
            (1, 1, 1),
            "{id}"
        );
        let state = verdict[0]["state"].as_str().unwrap();
        if let Some(answered) = of("answered").first() {
            assert_eq!(answered["state"], state, "{id}");
        }
        assert_eq!(
            verdict[0]["assertion_sha256"].is_string(),
            state == "approved",
            "{id}"
        );
        *verdicts.entry(state.to_owned()).or_default() += 1;
    }
    verdicts
}

fn counts(report: &Value) -> BTreeMap<String, usize> {
    serde_json::from_value(report["verdicts"].clone()).unwrap()
}

#[test]
fn a_load_of_every_kind_reports_and_writes_down_what_happened() {
    let desk = desk_with_phones("4");
    let mix = "approve=6,deny=2,report=1,wrong-pin=2,expire=1";
    let more = [
        "--in-flight",
        "3",
        "--count",
        "12",
        "--mix",
        mix,
        "--expire-after-s",
        "1",
    ];
    let report = run(&desk, &more);
    let meant = [("approved", 8), ("denied", 2), ("expired", 1), ("reported", 1)];
    let meant: BTreeMap<String, usize> = meant.map(|(state, count)| (state.to_owned(), count)).into();
    assert_eq!(counts(&report), meant);
    assert_eq!(
        (report["phones"].as_u64(), report["confirmations"].as_u64()),
        (Some(4), Some(12))
    );
    assert_eq!(
        (report["given_up"].as_u64(), report["discrepancy_count"].as_u64()),
        (Some(0), Some(0))
    );
    assert!(report["errors"].as_object().unwrap().is_empty(), "{report}");
    let challenges = journal(&desk);
    assert_eq!(assert_consistent(&challenges), meant);
    // What the daemon says afterwards is what the clients were told.
    let key = desk.path("market.pem");
    for (id, entries) in &challenges {
        let Some(verdict) = entries.iter().find(|entry| entry["event"] == "verdict") else {
            continue;
        };
        let get = ["backend", "get", "--id", "course-marketplace", "--key", &key, id];
        assert_eq!(desk.ok(&get, "")["state"], verdict["state"], "{id}");
    }
    let wrong: Vec<u64> = challenges
        .values()
        .filter(|entries| {
            entries
                .iter()
                .filter(|entry| entry["event"] == "unlocked")
                .count()
                == 2
        })
        .map(|entries| entries.len() as u64)
        .collect();
    assert_eq!(
        wrong,
        [6, 6],
        "requested, shown, unlocked twice, answered, verdict"
    );
}

#[test]
fn a_load_without_streams_and_at_a_rate_has_the_same_verdicts() {
    let desk = desk_with_phones("2");
    let more = [
        "--rate",
        "50",
        "--count",
        "6",
        "--no-watch-phones",
        "--connections",
        "1",
    ];
    let report = run(&desk, &more);
    assert_eq!(counts(&report), [("approved".to_owned(), 6)].into());
    assert_eq!(
        (report["rate_per_s"].as_f64(), report["in_flight"].is_null()),
        (Some(50.0), true)
    );
    assert_eq!(assert_consistent(&journal(&desk)), counts(&report));
}

#[test]
fn a_phone_that_cannot_answer_as_it_means_to_fails_the_load() {
    let desk = desk_with_phones("1");
    let path = desk.path("phones/phones.jsonl");
    let mut phone: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let pin = phone["pin"].as_str().unwrap();
    let other = if pin == "739145" { "739146" } else { "739145" };
    phone["pin"] = other.into();
    std::fs::write(&path, format!("{phone}\n")).unwrap();
    let line = line(&desk, &["--count", "3"]);
    let (exit, said) = desk.fails(&line.iter().map(String::as_str).collect::<Vec<_>>(), "");
    assert_eq!(exit, 9, "{said}");
    assert!(said.contains("The right PIN does not open the key"), "{said}");
}

#[test]
fn a_load_rides_out_kills_and_loses_no_verdict() {
    let mut desk = desk_with_phones("4");
    keep_port(&desk);
    let mix = "approve=4,deny=1,wrong-pin=1";
    let more = ["--in-flight", "4", "--count", "60", "--mix", mix, "--ride-out"];
    let line = line(&desk, &more);
    let line: Vec<&str> = line.iter().map(String::as_str).collect();
    let load = desk.command(&line).spawn().unwrap();
    for verdicts in [5, 20, 35] {
        wait_for_verdicts(&desk, verdicts);
        desk.daemon.kill();
        desk.daemon.start();
    }
    let report = finished(load);
    assert_eq!(report["confirmations"], 60, "{report}");
    assert!(report["discrepancies"].as_array().unwrap().is_empty(), "{report}");
    let verdicts = assert_consistent(&journal(&desk));
    assert_eq!(
        verdicts,
        [("approved".to_owned(), 50), ("denied".to_owned(), 10)].into()
    );
}

/// A daemon that starts again where it was.
fn keep_port(desk: &Terminal) {
    let path = desk.daemon.path("paraphed.toml");
    let address = desk.daemon.url.strip_prefix("https://").unwrap();
    let config = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, config.replace("127.0.0.1:0", address)).unwrap();
}

fn wait_for_verdicts(desk: &Terminal, count: usize) {
    let has = || {
        let text = std::fs::read_to_string(desk.path("journal")).unwrap_or_default();
        text.matches(r#""event":"verdict""#).count()
    };
    for _ in 0..600 {
        if has() >= count {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("{} verdicts of {count}", has());
}

fn finished(mut load: Child) -> Value {
    let mut out = String::new();
    load.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    let done = load.wait_with_output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    serde_json::from_str(&out).unwrap()
}
