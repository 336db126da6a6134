//! `paraphe phone history`: what was asked and answered, and what happened to the person's phones, in one list.

use paraphe_proto::ids::DeviceId;
use paraphe_proto::time::Timestamp;
use paraphe_proto::v1::{DeviceEvent, HistoryEntry};
use serde::Serialize;

use super::Ready;
use crate::context::Context;
use crate::error::Result;
use crate::output::{View, table, time_text};

/// What the daemon calls itself where it asks.
const OWN_NAME: &str = "Paraphe";
const PAGE_SIZE: u32 = 100;
/// Channels of the phones of operators.
const STAFF: [&str; 2] = ["operator", "init"];

pub(super) async fn history(context: &Context, ready: &Ready) -> Result<()> {
    let (phone, server) = (&ready.phone, &ready.server);
    let (mut entries, mut next) = (Vec::new(), None);
    loop {
        let page = phone.history(server, next.as_deref(), PAGE_SIZE).await?;
        entries.extend(page.entries);
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    let (mut events, mut missing) = (Vec::new(), 0);
    loop {
        let page = phone.device_events(server, next.as_deref(), PAGE_SIZE).await?;
        events.extend(page.events);
        missing += page.missing;
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    context
        .output
        .show(&HistoryView::new(phone.device_id(), entries, events, missing))
}

/// The past, newest first.
#[derive(Serialize)]
struct HistoryView {
    entries: Vec<Entry>,
    phones: Vec<Event>,
    /// Whether they are phones of an operator, which no clerk enrols.
    #[serde(skip)]
    staff: bool,
    /// Events of the phones that were taken out of the daemon's database, or changed there.
    missing: u32,
}

#[derive(Serialize)]
struct Entry {
    at: Timestamp,
    challenge_id: String,
    relying_party: String,
    title: String,
    rows: Vec<(String, String)>,
    state: String,
    decided_at: Option<Timestamp>,
}

#[derive(Serialize)]
struct Event {
    at: Timestamp,
    device_id: String,
    this_phone: bool,
    event: String,
    who: String,
    why: String,
}

impl HistoryView {
    fn new(own: DeviceId, entries: Vec<HistoryEntry>, events: Vec<DeviceEvent>, missing: u32) -> Self {
        let own = own.to_string();
        let staff = events
            .iter()
            .any(|event| event.who == "own_phone" && STAFF.contains(&event.why.as_str()));
        let entries = entries.into_iter().map(|entry| Entry {
            at: Timestamp::from_secs(entry.at),
            challenge_id: entry.challenge_id,
            relying_party: entry.relying_party_name,
            title: entry.title,
            rows: entry.rows.into_iter().map(|row| (row.label, row.value)).collect(),
            state: entry.state,
            decided_at: (entry.decided_at > 0).then(|| Timestamp::from_secs(entry.decided_at)),
        });
        let phones = events.into_iter().map(|event| Event {
            at: Timestamp::from_secs(event.at),
            this_phone: event.device_id == own,
            device_id: event.device_id,
            event: event.event,
            who: event.who,
            why: event.why,
        });
        Self {
            entries: entries.collect(),
            phones: phones.collect(),
            staff,
            missing,
        }
    }
}

impl Entry {
    fn row(&self) -> (Timestamp, [String; 4]) {
        let what = match self.rows.first() {
            // The title of the daemon's own says all.
            Some((_, value)) if self.relying_party != OWN_NAME => format!("{}: {value}", self.title),
            _ => self.title.clone(),
        };
        let (asked, state) = (self.relying_party.clone(), self.state.clone());
        (self.at, [time_text(self.at), asked, what, state])
    }
}

impl Event {
    fn row(&self, staff: bool) -> (Timestamp, [String; 4]) {
        let what = match self.this_phone {
            true => "this phone".to_owned(),
            false => format!("phone {}", short(&self.device_id)),
        };
        let happened = format!("{}: {}", words(&self.event), why(&self.who, &self.why));
        let by = match self.who.as_str() {
            "clerk" if staff => "an operator".to_owned(),
            name => who(name),
        };
        (self.at, [time_text(self.at), by, what, happened])
    }
}

/// The beginning of an id tells the phones of one person apart; `--json` has it whole.
fn short(device_id: &str) -> String {
    match device_id.get(..12) {
        Some(beginning) => format!("{beginning}…"),
        None => device_id.to_owned(),
    }
}

/// Who did it, as its owner reads it.
fn who(name: &str) -> String {
    match name {
        "own_phone" => "the phone itself".to_owned(),
        "old_phone" => "the old phone".to_owned(),
        "person" => "by telephone".to_owned(),
        "clerk" => "a clerk".to_owned(),
        "supervisor" => "a supervisor".to_owned(),
        "administrator" => "an administrator".to_owned(),
        "daemon" => "Paraphe".to_owned(),
        other => words(other),
    }
}

/// Why, as its owner reads it; what people gave as their reason stays as they wrote it.
fn why(who: &str, name: &str) -> String {
    match (who, name) {
        ("supervisor" | "administrator", reason) => reason.to_owned(),
        (_, "asked") => "its holder asked for it".to_owned(),
        (_, "pin") => "with the PIN".to_owned(),
        (_, "suspension_code") => "with the suspension code".to_owned(),
        (_, "six_digits") => "the six digits were right".to_owned(),
        (_, "wrong_digits") => "the six digits were wrong".to_owned(),
        (_, "attempts") => "too many wrong PINs".to_owned(),
        (_, "document") => "the identity document is no longer valid".to_owned(),
        (_, "time") => "its time was over".to_owned(),
        (_, "restore") => "a backup was put back".to_owned(),
        (_, "rollback") => "it had seen more than the database knew".to_owned(),
        (_, "not_confirmed") => "nobody typed its six digits in time".to_owned(),
        (_, "old_phone_ended") => "the phone that handed over to it had ended".to_owned(),
        (_, "own_phone") => "an older phone handed over to it".to_owned(),
        (_, "operator" | "init") => "a staff phone".to_owned(),
        (_, "counter" | "home_visit" | "remote" | "letter" | "consulate" | "paper") => {
            format!("through the channel {}", words(name))
        }
        (_, other) if other.starts_with("dev_") => format!("phone {} took its place", short(other)),
        (_, other) => words(other),
    }
}

/// A name of the protocol as it is read; the words of people have no underscores to lose.
fn words(name: &str) -> String {
    match name.contains(' ') {
        true => name.to_owned(),
        false => name.replace('_', " "),
    }
}

impl View for HistoryView {
    fn text(&self) -> String {
        let asked = self.entries.iter().map(Entry::row);
        let mut rows: Vec<_> = asked
            .chain(self.phones.iter().map(|event| event.row(self.staff)))
            .collect();
        let missing = match self.missing {
            0 => String::new(),
            count => format!(
                "\nWhat happened to your phones is not complete: entries that are missing: {count}. Somebody changed the database of Paraphe.\nTell the post office.\n"
            ),
        };
        if rows.is_empty() {
            return format!("Nothing yet.\n{missing}");
        }
        rows.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
        let rows = rows.into_iter().map(|(_, row)| row);
        format!("{}\n{missing}", table(["when", "who", "what", "outcome"], rows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_stand_in_one_list_newest_first() {
        let own = DeviceId::from_bytes([1; 16]);
        let entry = HistoryEntry {
            at: 1_795_000_010,
            relying_party_name: "Course Market".into(),
            title: "Buy".into(),
            state: "approved".into(),
            ..Default::default()
        };
        let event = |at, device_id: DeviceId, who: &str, why: &str| DeviceEvent {
            at,
            device_id: device_id.to_string(),
            event: "quarantine_ended".into(),
            who: who.into(),
            why: why.into(),
            ..Default::default()
        };
        let events = vec![
            event(1_795_000_020, own, "own_phone", "suspension_code"),
            event(
                1_795_000_000,
                DeviceId::from_bytes([2; 16]),
                "supervisor",
                "lost at sea",
            ),
        ];
        let text = HistoryView::new(own, vec![entry], events, 0).text();
        let at = |needle: &str| text.find(needle).unwrap_or_else(|| panic!("{needle}: {text}"));
        assert!(at("this phone") < at("Course Market"));
        assert!(at("Course Market") < at("lost"));
        assert!(at("suspension") < at("dev_"));
        assert!(at("itself") < at("a supervisor"));
        assert_eq!(
            why("supervisor", "asked"),
            "asked",
            "a reason is nobody else's word"
        );
        assert!(!text.contains("complete"));
        let empty = HistoryView::new(own, Vec::new(), Vec::new(), 0);
        assert_eq!(empty.text(), "Nothing yet.\n");
        let emptied = HistoryView::new(own, Vec::new(), Vec::new(), 2);
        assert!(emptied.text().contains("missing: 2"));
    }

    #[test]
    fn the_phone_of_an_operator_is_confirmed_by_no_clerk() {
        let own = DeviceId::from_bytes([1; 16]);
        let event = |event: &str, who: &str, why: &str| DeviceEvent {
            device_id: own.to_string(),
            event: event.into(),
            who: who.into(),
            why: why.into(),
            ..Default::default()
        };
        let text = |channel: &str| {
            let events = vec![
                event("registered", "own_phone", channel),
                event("confirmed", "clerk", "six_digits"),
            ];
            HistoryView::new(own, Vec::new(), events, 0).text()
        };
        assert!(text("counter").contains("a clerk"));
        let staff = text("operator");
        assert!(
            staff.contains("an operator") && !staff.contains("a clerk"),
            "{staff}"
        );
    }
}
