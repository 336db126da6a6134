//! What a person sees while a phone is waited for: a countdown on a real terminal (`script` of util-linux makes one).

use std::io::Read;
use std::process::{Command, Stdio};

use crate::by_hand::{Terminal, find, staff, terminal};
use crate::daemon::{ISSUER, binary};

/// `paraphe …` on a terminal of eighty columns, without `--json`.
fn on_a_terminal(desk: &Terminal, line: &str) -> Command {
    let shell = format!(
        "stty cols 80 rows 24; exec {} --server {} --issuer {ISSUER} --ca {} --home {} {line}",
        binary("debug", "paraphe").display(),
        desk.daemon.url,
        desk.daemon.path("ca.pem").display(),
        desk.folder.join("home").display(),
    );
    let mut command = Command::new("script");
    command.args(["-qefc", &shell, "/dev/null"]).env("TERM", "xterm");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// Reads on until `wanted` was shown; everything shown so far.
fn until(shown: &mut impl Read, wanted: &str) -> String {
    let (mut text, mut some) = (Vec::new(), [0; 512]);
    loop {
        let read = shown.read(&mut some).unwrap();
        text.extend_from_slice(&some[..read]);
        let so_far = String::from_utf8_lossy(&text).into_owned();
        if so_far.contains(wanted) {
            return so_far;
        }
        assert!(read > 0, "{wanted:?} was never shown: {so_far}");
    }
}

/// The code on the screen: the line that ends in six digits and nothing else, without colours and gaps.
fn code(shown: &str) -> String {
    let plain: String = shown
        .split('\u{1b}')
        .enumerate()
        .map(|(n, part)| {
            if n == 0 {
                part
            } else {
                part.split_once('m').map_or("", |(_, rest)| rest)
            }
        })
        .collect();
    let digits = |line: &str| -> String {
        let end = line.rsplit(':').next().unwrap_or_default();
        end.chars()
            .filter(|character| !character.is_whitespace())
            .collect()
    };
    let is_code = |text: &String| text.len() == 6 && text.bytes().all(|byte| byte.is_ascii_digit());
    plain
        .lines()
        .map(digits)
        .find(is_code)
        .unwrap_or_else(|| panic!("no code in {shown}"))
}

#[test]
fn a_login_counts_down_until_the_phone_has_answered() {
    let desk = terminal();
    let mut login = on_a_terminal(&desk, "login admin-1").spawn().unwrap();
    let mut screen = login.stdout.take().unwrap();
    let shown = until(&mut screen, "waiting for your phone");
    until(&mut screen, "119 s");
    until(&mut screen, "118 s");
    desk.approve("admin", &code(&shown));
    until(&mut screen, "admin-1");
    assert!(login.wait().unwrap().success());
}

#[test]
fn a_backends_request_counts_down_until_the_verdict() {
    let desk = terminal();
    staff(&desk);
    desk.sign_in("claire.martin", "claire");
    let subject = desk.enrol("anna");
    let line = format!(
        "backend request --id course-marketplace --key {} --subject {subject} --action course.buy --locale en --param 'title=text:Rust' \
         --param provider=text:GRETA --param price=money:1.00:EUR --param session=date:2027-01-18 --param reference=text:C --wait",
        desk.path("market.pem")
    );
    let mut asking = on_a_terminal(&desk, &line).spawn().unwrap();
    let mut screen = asking.stdout.take().unwrap();
    let shown = until(&mut screen, "299 s");
    until(&mut screen, "298 s");
    desk.approve("anna", &code(&shown));
    until(&mut screen, "approved");
    assert!(asking.wait().unwrap().success());
    let history = desk.ok(&["phone", "--phone", &desk.path("anna"), "history"], "");
    assert_eq!(find(&history, "state"), "approved");
}
