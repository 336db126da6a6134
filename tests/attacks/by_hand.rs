//! The README's story, command by command: `paraphe` against a daemon started with `paraphed serve`.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::daemon::{DEMONSTRATION, Daemon, ISSUER, binary};
use crate::world::PIN;

/// The specimen passport of ICAO Doc 9303 part 4: Anna Maria Eriksson of Utopia.
const PASSPORT: &str =
    "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<\nL898902C36UTO7408122F1204159ZE184226B<<<<<10\n";

fn evidence(case: &str) -> [&str; 9] {
    let checks = ["--check", "document-genuine", "--check", "holder-likeness"];
    let [a, b, c, d] = checks;
    ["clerk", "evidence", case, "--mrz-file", "-", a, b, c, d]
}

/// One terminal: the CLI with the options that every command shares.
pub struct Terminal {
    pub daemon: Daemon,
    pub folder: PathBuf,
}

impl Terminal {
    /// A command, ready to be started.
    pub fn command(&self, line: &[&str]) -> Command {
        let mut command = Command::new(binary("debug", "paraphe"));
        command.args(["--json", "--server", &self.daemon.url, "--issuer", ISSUER, "--ca"]);
        command
            .arg(self.daemon.path("ca.pem"))
            .arg("--home")
            .arg(self.folder.join("home"))
            .args(line);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn run(&self, line: &[&str], input: &str) -> Output {
        let mut child = self.command(line).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    /// The JSON that a command prints; it must succeed.
    pub fn ok(&self, line: &[&str], input: &str) -> Value {
        let output = self.run(line, input);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{line:?}: {said}");
        let out = String::from_utf8(output.stdout).unwrap();
        serde_json::from_str(out.lines().last().unwrap_or("null"))
            .unwrap_or_else(|_| panic!("{line:?}: {out}"))
    }

    /// The exit code of a command that must fail, and what it said.
    pub fn fails(&self, line: &[&str], input: &str) -> (i32, String) {
        let output = self.run(line, input);
        (
            output.status.code().unwrap(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    }

    pub fn file(&self, name: &str, content: &str) -> String {
        let path = self.folder.join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    }

    pub fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    pub fn sign_in(&self, name: &str, phone: &str) {
        self.approved(&["login", name], phone);
    }

    /// `paraphe clerk activate`, approved on the clerk's own phone while it waits; what it shows at last.
    fn issue(&self, case: &str, phone: &str) -> Value {
        self.approved(&["clerk", "activate", case], phone)
    }

    /// A command that shows a code and waits for a phone, which approves; what it shows at last.
    fn approved(&self, line: &[&str], phone: &str) -> Value {
        let mut waiting = self.command(line).spawn().unwrap();
        let code = self.shown_code(&mut waiting);
        self.approve(phone, &code);
        let done = waiting.wait_with_output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let said = String::from_utf8(done.stdout).unwrap();
        serde_json::from_str(said.lines().last().unwrap()).unwrap()
    }

    /// Approves what waits on a phone.
    pub fn approve(&self, phone: &str, code: &str) {
        let code = self.file("typed-code", code);
        let (id, pin, phone) = (self.waiting(phone), self.path("pin"), self.path(phone));
        let line = [
            "phone",
            "--phone",
            &phone,
            "approve",
            &id,
            "--match-code-file",
            &code,
            "--pin-file",
            &pin,
        ];
        self.ok(&line, "");
    }

    /// Enrols the holder of the specimen passport on a new phone; their subject at the marketplace.
    pub fn enrol(&self, phone: &str) -> String {
        let case = find(&self.ok(&["clerk", "open"], ""), "case_id");
        self.ok(&evidence(&case), PASSPORT);
        let issued = self.issue(&case, "claire");
        let digits = self.activate(phone, &find(&issued, "uri"));
        let id = find(&issued, "activation_id");
        self.ok(&["clerk", "confirm", &id, "--code-file", "-"], &digits);
        let key = self.path("market.pem");
        let person = [
            "--family-name",
            "Eriksson",
            "--given-names",
            "Anna Maria",
            "--birth-date",
            "1974-08-12",
        ];
        let mut line = vec![
            "backend",
            "check",
            "--id",
            "course-marketplace",
            "--key",
            &key,
            "--action",
            "course.buy",
        ];
        line.extend(person);
        find(&self.ok(&line, ""), "subject")
    }

    fn shown_code(&self, login: &mut std::process::Child) -> String {
        use std::io::BufRead;
        let mut reader = std::io::BufReader::new(login.stdout.as_mut().unwrap());
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let shown: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("login said {line:?}"));
        shown["match_code"].as_str().unwrap().to_owned()
    }

    fn waiting(&self, phone: &str) -> String {
        let phone = self.path(phone);
        for _ in 0..50 {
            let shown = self.run(&["phone", "--phone", &phone, "pending"], "");
            let text = String::from_utf8_lossy(&shown.stdout).into_owned();
            if let Some(id) = text
                .lines()
                .last()
                .and_then(|line| serde_json::from_str::<Value>(line).ok())
            {
                return id["challenge_id"].as_str().unwrap().to_owned();
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        panic!("nothing waits on {phone}");
    }

    fn activate(&self, phone: &str, uri: &str) -> String {
        let (phone, pin) = (self.path(phone), self.path("pin"));
        let line = [
            "phone",
            "--phone",
            &phone,
            "activate",
            "--uri-file",
            "-",
            "--pin-file",
            &pin,
            "--cost",
            "lowest",
        ];
        let shown = self.ok(&line, uri);
        shown["six_digits"].as_str().unwrap_or_default().to_owned()
    }
}

/// A daemon whose first administrator has signed in on the first terminal.
pub fn terminal() -> Terminal {
    terminal_with(DEMONSTRATION)
}

/// The same with another configuration.
pub fn terminal_with(extra: &str) -> Terminal {
    let (mut daemon, made) = Daemon::prepared(extra);
    daemon.start();
    let folder = daemon.path("desk");
    std::fs::create_dir(&folder).unwrap();
    let terminal = Terminal { daemon, folder };
    terminal.file("pin", PIN);
    assert_eq!(
        terminal.activate("admin", made["administrators"][0]["uri"].as_str().unwrap()),
        ""
    );
    let key = terminal.daemon.path("first-terminal.pem").display().to_string();
    terminal.ok(&["terminal", "--key-file", &key], "");
    terminal.sign_in("admin-1", "admin");
    terminal
}

/// Creates the clerk with a phone, and a registered backend with its key file.
pub fn staff(desk: &Terminal) {
    let made = desk.ok(
        &["admin", "operator", "add", "claire.martin", "--role", "clerk"],
        "",
    );
    let activation = find(&made, "activation_id");
    let uri = find(&made, "uri");
    let (admin, pin) = (desk.path("admin"), desk.path("pin"));
    let over = [
        "phone",
        "--phone",
        &admin,
        "activate",
        "--uri-file",
        "-",
        "--pin-file",
        &pin,
    ];
    let (_, said) = desk.fails(&over, &uri);
    assert!(said.contains("phone.in_use"), "{said}");
    let digits = desk.activate("claire", &uri);
    desk.ok(
        &["admin", "operator", "confirm", &activation, "--code-file", "-"],
        &digits,
    );
    let key = desk.path("market.pem");
    let jwk = desk.ok(&["backend", "key", &key], "");
    let jwk = desk.file("market.jwk.json", &jwk["jwk"].to_string());
    let line = [
        "admin",
        "backend",
        "add",
        "course-marketplace",
        "--name",
        "Course marketplace",
        "--jwk",
        &jwk,
        "--may-identify",
    ];
    desk.ok(&line, "");
}

/// The first string of this name, however deep.
pub fn find(value: &Value, name: &str) -> String {
    fn search(value: &Value, name: &str) -> Option<String> {
        match value {
            Value::Object(map) => map
                .get(name)
                .and_then(|found| found.as_str().map(str::to_owned))
                .or_else(|| map.values().find_map(|inner| search(inner, name))),
            Value::Array(all) => all.iter().find_map(|inner| search(inner, name)),
            _ => None,
        }
    }
    search(value, name).unwrap_or_else(|| panic!("no {name} in {value}"))
}

#[test]
fn the_story_by_hand_with_documented_commands() {
    let desk = terminal();
    staff(&desk);
    desk.ok(&["logout"], "");
    assert_eq!(desk.fails(&["whoami"], "").0, 3);
    desk.sign_in("claire.martin", "claire");
    let case = find(&desk.ok(&["clerk", "open"], ""), "case_id");
    let (exit, said) = desk.fails(&evidence(&case), &PASSPORT.replace("7408122", "7408123"));
    assert!(exit == 6 && said.contains("mrz.refused"), "{said}");
    let subject = desk.enrol("anna");
    assert_eq!(desk.fails(&["admin", "operator", "list"], "").0, 3);
    buy(&desk, &subject);
}

fn buy(desk: &Terminal, subject: &str) {
    let key = desk.path("market.pem");
    let backend = |line: &[&str]| {
        let mut all = vec![
            "backend",
            line[0],
            "--id",
            "course-marketplace",
            "--key",
            key.as_str(),
        ];
        all.extend(&line[1..]);
        all.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let call = |line: &[&str]| {
        let line = backend(line);
        desk.ok(&line.iter().map(String::as_str).collect::<Vec<_>>(), "")
    };
    let asked = call(&[
        "request",
        "--subject",
        subject,
        "--action",
        "course.buy",
        "--locale",
        "fr",
        "--param",
        "title=text:Soudure TIG",
        "--param",
        "provider=text:GRETA",
        "--param",
        "price=money:1499.00:EUR",
        "--param",
        "session=date:2027-01-18",
        "--param",
        "reference=text:CF-1",
    ]);
    let id = find(&asked, "challenge_id");
    assert_eq!(desk.waiting("anna"), id);
    let (anna, out, pin) = (desk.path("anna"), desk.path("out"), desk.path("pin"));
    let code = desk.file("code", &find(&asked, "match_code"));
    let wrong = desk.file("wrong", "739146");
    let approve = |pin: &str| {
        [
            "phone",
            "--phone",
            &anna,
            "approve",
            &id,
            "--match-code-file",
            &code,
            "--out",
            &out,
            "--pin-file",
            pin,
        ]
        .map(str::to_owned)
    };
    let line = approve(&wrong);
    assert_eq!(desk.fails(&line.each_ref().map(String::as_str), "").0, 10);
    let line = approve(&pin);
    assert_eq!(
        find(&desk.ok(&line.each_ref().map(String::as_str), ""), "state"),
        "approved"
    );
    let assertion = desk.file("assertion.jwt", &find(&call(&["get", &id]), "assertion"));
    let jwks = format!("{}/.well-known/jwks.json", desk.daemon.url);
    let verify = |audience: &str| {
        [
            "verify",
            "--assertion",
            &assertion,
            "--jwks",
            &jwks,
            "--audience",
            audience,
        ]
        .map(str::to_owned)
    };
    let line = verify("course-marketplace");
    desk.ok(&line.each_ref().map(String::as_str), "");
    let line = verify("somebody-else");
    assert_eq!(desk.fails(&line.each_ref().map(String::as_str), "").0, 9);
    let history = desk.ok(&["phone", "--phone", &anna, "history"], "");
    assert_eq!(find(&history, "state"), "approved");
}
