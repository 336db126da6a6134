//! A backend and a clerk in Python, generated from our `.proto`, against the real daemon; nothing in them is ours but the phones.

use std::process::Command;

use crate::by_hand::{find, staff, terminal};
use crate::daemon::{ISSUER, binary};
use crate::supply::{python, run};
use crate::world::PIN;

#[test]
fn a_python_backend_and_clerk_buy_a_course_and_verify_the_proof() {
    let desk = terminal();
    staff(&desk);
    let key = desk.path("auditor.pem");
    let jwk = desk.ok(&["backend", "key", &key], "");
    let jwk = desk.file("auditor.jwk.json", &jwk["jwk"].to_string());
    let auditor = desk.ok(
        &[
            "admin", "service", "add", "auditor", "--role", "auditor", "--jwk", &jwk,
        ],
        "",
    );
    let home = desk.folder.join("claire-home");
    std::fs::create_dir(&home).unwrap();
    std::fs::rename(desk.folder.join("claire"), home.join("phone")).unwrap();
    let pin = desk.file("anna-pin", PIN);
    let mut story = python();
    story.args([
        "tests/interop/run.py",
        "story",
        "--server",
        &desk.daemon.url,
        "--issuer",
        ISSUER,
        "--ca",
    ]);
    story
        .arg(desk.daemon.path("ca.pem"))
        .arg("--paraphe")
        .arg(binary("debug", "paraphe"));
    story
        .arg("--terminal-key")
        .arg(desk.daemon.path("first-terminal.pem"));
    story.args([
        "--operator",
        "claire.martin",
        "--clerk-pin-file",
        &desk.path("pin"),
        "--clerk-phone-home",
    ]);
    story
        .arg(&home)
        .arg("--person-phone-home")
        .arg(desk.folder.join("anna-home"));
    story.args([
        "--person-pin-file",
        &pin,
        "--relying-party",
        "course-marketplace",
        "--backend-key",
    ]);
    story.arg(desk.path("market.pem")).args([
        "--auditor-id",
        &find(&auditor, "operator_id"),
        "--auditor-key",
        &key,
    ]);
    story.arg("--root").arg(desk.daemon.path("root.jwk.json"));
    let done = run(&mut story);
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(said.contains("checks held"), "{said}");
}

#[test]
fn the_python_checks_fail_when_any_statement_is_altered() {
    let mut selftest: Command = python();
    run(selftest.args(["tests/interop/run.py", "selftest"]));
}
