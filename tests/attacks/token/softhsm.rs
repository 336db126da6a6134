//! One SoftHSM token in a folder of its own, and what stands between it and the daemon.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use paraphe_proto::jwk::PublicKey;
use paraphe_proto::keys::SoftwareKey;
use rand_core::OsRng;
use tempfile::TempDir;

use crate::supply::run;

/// Where Debian's libsofthsm2 puts it on every architecture.
pub const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";

pub const TOKEN_PIN: &str = "4711-token";

pub struct SoftHsm {
    folder: TempDir,
}

impl SoftHsm {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let token = Self { folder };
        std::fs::create_dir(token.path("tokens")).unwrap();
        let tokens = token.path("tokens").display().to_string();
        let conf =
            format!("directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\n");
        std::fs::write(token.path("softhsm2.conf"), conf).unwrap();
        token.set_pin(TOKEN_PIN);
        token.mood("live", 0);
        let pins = ["--so-pin", "12345678", "--pin", TOKEN_PIN];
        let label = ["--init-token", "--free", "--label", "paraphe-test"];
        run(token.tool("softhsm2-util").args(label).args(pins));
        token
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn set_pin(&self, pin: &str) {
        std::fs::write(self.path("pin"), format!("{pin}\n")).unwrap();
    }

    /// How the module between behaves from now on.
    pub fn mood(&self, word: &str, generation: u32) {
        std::fs::write(self.path("mood.new"), format!("{word} {generation}\n")).unwrap();
        std::fs::rename(self.path("mood.new"), self.path("mood")).unwrap();
    }

    pub fn logins(&self) -> u64 {
        std::fs::metadata(self.path("mood.logins")).map_or(0, |file| file.len())
    }

    pub fn environment(&self) -> Vec<(&'static str, OsString)> {
        vec![
            ("SOFTHSM2_CONF", self.path("softhsm2.conf").into()),
            ("TOKEN_MODULE", MODULE.into()),
            ("TOKEN_MOOD", self.path("mood").into()),
        ]
    }

    /// `[keys.pkcs11]` with the module between.
    pub fn section(&self) -> String {
        format!(
            "[keys.pkcs11]\nmodule = {:?}\ntoken_label = \"paraphe-test\"\npin_file = {:?}\n\
             challenge_key_label = \"challenge-key\"\nassertion_key_label = \"assertion-key\"\n",
            between(),
            self.path("pin")
        )
    }

    pub fn tool(&self, name: &str) -> Command {
        let mut command = Command::new(name);
        command.envs(self.environment());
        command
    }

    /// OpenSC's `pkcs11-tool`, logged in to the token.
    pub fn pkcs11_tool(&self, line: &[&str]) -> Output {
        let mut tool = self.tool("pkcs11-tool");
        tool.args([
            "--module",
            MODULE,
            "--token-label",
            "paraphe-test",
            "--login",
            "--pin",
            TOKEN_PIN,
        ]);
        tool.args(line).output().unwrap()
    }

    /// What the token says about a private key.
    pub fn listed(&self, label: &str) -> String {
        let listed = self.pkcs11_tool(&["--list-objects", "--type", "privkey"]);
        let text = String::from_utf8(listed.stdout).unwrap();
        let mut objects = text.split("Private Key Object").skip(1);
        objects
            .find(|object| {
                object
                    .lines()
                    .any(|line| line.trim_start().starts_with("label:") && line.ends_with(label))
            })
            .unwrap_or_else(|| panic!("{label} in {text}"))
            .to_owned()
    }

    /// The private value of a key, which the token must not give.
    pub fn value_of(&self, label: &str) -> Result<Vec<u8>, String> {
        let file = self.path("value.der");
        let to = file.display().to_string();
        let read = self.pkcs11_tool(&[
            "--read-object",
            "--type",
            "privkey",
            "--label",
            label,
            "--output-file",
            &to,
        ]);
        match std::fs::read(&file) {
            Ok(value) if read.status.success() && !value.is_empty() => Ok(value),
            _ => Err(String::from_utf8_lossy(&read.stderr).into_owned()),
        }
    }

    /// The public half of a key: the point is the end of its SubjectPublicKeyInfo.
    pub fn public_key(&self, label: &str) -> PublicKey {
        let file = self.path("public.der");
        let to = file.display().to_string();
        let line = [
            "--read-object",
            "--type",
            "pubkey",
            "--label",
            label,
            "--output-file",
            &to,
        ];
        let read = self.pkcs11_tool(&line);
        assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
        let der = std::fs::read(&file).unwrap();
        PublicKey::from_sec1(&der[der.len() - 65..]).unwrap()
    }

    /// A key pair made by somebody else.
    pub fn make(&self, label: &str, kind: &str, more: &[&str]) {
        let line = [
            "--keypairgen",
            "--usage-sign",
            "--key-type",
            kind,
            "--label",
            label,
        ];
        let made = self.pkcs11_tool(&[&line, more].concat());
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }

    /// A key that its maker knows, put there with what any key on a token has: sensitive, and not extractable.
    pub fn plant(&self, label: &str) {
        let key = SoftwareKey::generate(&mut OsRng).unwrap();
        let file = self.path("known.pem");
        std::fs::write(&file, key.to_pkcs8_pem().unwrap().as_bytes()).unwrap();
        let mut import = self.tool("softhsm2-util");
        import.arg("--import").arg(&file);
        import.args(["--token", "paraphe-test", "--pin", TOKEN_PIN, "--label", label]);
        run(import.args(["--id", "4b4e4f574e"]));
    }

    pub fn has_public(&self, label: &str) -> bool {
        let listed = self.pkcs11_tool(&["--list-objects", "--type", "pubkey"]);
        let text = String::from_utf8(listed.stdout).unwrap();
        let mut labels = text
            .lines()
            .filter_map(|line| line.trim_start().strip_prefix("label:"));
        labels.any(|found| found.trim() == label)
    }

    /// The files of the token: SoftHSM has one for each object.
    fn files(&self) -> impl Iterator<Item = PathBuf> {
        let tokens = std::fs::read_dir(self.path("tokens")).unwrap();
        let files = tokens.flat_map(|token| std::fs::read_dir(token.unwrap().path()).unwrap());
        files.map(|file| file.unwrap().path())
    }

    /// A copy of what is on the token.
    pub fn objects(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let read = |path: PathBuf| {
            let contents = std::fs::read(&path).unwrap();
            (path, contents)
        };
        self.files().map(read).collect()
    }

    /// What is there no more and was in the copy.
    pub fn put_back(&self, copy: &[(PathBuf, Vec<u8>)]) {
        for (path, contents) in copy.iter().filter(|(path, _)| !path.exists()) {
            std::fs::write(path, contents).unwrap();
        }
    }

    pub fn delete(&self, label: &str, kinds: &[&str]) {
        for kind in kinds {
            let gone = self.pkcs11_tool(&["--delete-object", "--type", kind, "--label", label]);
            assert!(gone.status.success(), "{}", String::from_utf8_lossy(&gone.stderr));
        }
    }
}

/// token.c as a shared object, compiled once.
pub fn between() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("attacks/token.c");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let new = folder.join(format!("paraphe-token-{}.so", std::process::id()));
        let made = folder.join("paraphe-token.so");
        let flags = ["-std=c11", "-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o"];
        run(Command::new("cc").args(flags).arg(&new).arg(source).arg("-ldl"));
        std::fs::rename(new, &made).unwrap();
        made
    })
}
