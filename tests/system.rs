//! What is installed beside the programs: units, policies, catalog, configuration.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Everything below a folder that is not a folder, sorted.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder can be listed") {
        let path = entry.expect("a folder can be listed").path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

struct Installation {
    dir: tempfile::TempDir,
}

impl Installation {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("a folder is made") }
    }

    /// What `packaging/install` said.
    fn run(&self, what: &str) -> String {
        self.run_with(what, "no")
    }

    fn run_with(&self, what: &str, nmstatectl: &str) -> String {
        let bin = Path::new(env!("CARGO_BIN_EXE_nmstated")).parent().expect("a program is in a folder");
        let output = Command::new(root().join("packaging/install"))
            .arg(what)
            .env("DESTDIR", self.dir.path())
            .env("PREFIX", "/opt/net")
            .env("NMSTATECTL", nmstatectl)
            .env("BIN", bin)
            .output()
            .expect("the script starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    }

    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }
}

#[test]
fn what_is_installed_is_removed_again() {
    let there = Installation::new();
    there.run("install");
    for path in ["opt/net/sbin/nmstated", "opt/net/bin/nmctl"] {
        assert_eq!(fs::metadata(there.at(path)).expect(path).permissions().mode() & 0o777, 0o755);
    }
    let unit = fs::read_to_string(there.at("opt/net/lib/systemd/system/nmstated.service")).expect("a unit");
    assert!(unit.contains("\nExecStart=/opt/net/sbin/nmstated\n"), "{unit}");
    assert!(!unit.contains("/usr/sbin"), "{unit}");
    let listed = read("packaging/files").lines().filter(|line| line.starts_with(['6', '7'])).count();
    assert_eq!(files(there.dir.path()).len(), listed);
    assert!(!there.at("opt/net/bin/nmstatectl").exists(), "the name of the peer's tool is the peer's");
    there.run("install");
    there.run("uninstall");
    assert_eq!(files(there.dir.path()), Vec::<PathBuf>::new());
    there.run("uninstall");
}

#[test]
fn the_name_of_the_peer_is_taken_by_choice_and_from_nobody() {
    let there = Installation::new();
    let alias = there.at("opt/net/bin/nmstatectl");
    there.run_with("install", "yes");
    assert_eq!(fs::read_link(&alias).expect("a link"), Path::new("nmctl"));
    there.run("uninstall");
    assert_eq!(files(there.dir.path()), Vec::<PathBuf>::new());
    fs::write(&alias, "theirs").expect("writes");
    assert!(there.run_with("install", "yes").contains("kept: "));
    there.run("uninstall");
    assert_eq!(fs::read_to_string(&alias).expect("is there"), "theirs");
}

#[test]
fn a_changed_configuration_is_kept() {
    let there = Installation::new();
    there.run("install");
    let config = there.at("etc/nmstated.conf");
    fs::write(&config, "log = debug\n").expect("writes");
    assert!(there.run("install").contains("kept: "));
    assert!(there.run("uninstall").contains("kept: "));
    assert_eq!(files(there.dir.path()), std::slice::from_ref(&config));
    assert_eq!(fs::read_to_string(&config).expect("is there"), "log = debug\n");
}

#[test]
fn everything_there_is_to_install_is_listed() {
    let listed = read("packaging/files");
    for folder in ["systemd", "dbus", "polkit"] {
        for file in files(&root().join(folder)) {
            let name =
                file.strip_prefix(root()).expect("it is below the root").to_string_lossy().into_owned();
            assert!(listed.contains(&name), "packaging/files does not list {name}");
        }
    }
}

/// The ids of messages in code are those of the catalog.
#[test]
fn messages_with_an_id_are_explained() {
    let is_id = |word: &str| word.len() == 32 && word.bytes().all(|b| b.is_ascii_hexdigit());
    let explained: BTreeSet<String> = read("systemd/nmstated.catalog")
        .lines()
        .filter_map(|line| line.strip_prefix("-- "))
        .map(str::to_owned)
        .collect();
    let used: BTreeSet<String> = files(&root().join("src"))
        .iter()
        .filter(|file| file.extension().is_some_and(|ending| ending == "rs"))
        .flat_map(|file| read(file).lines().map(str::to_owned).collect::<Vec<_>>())
        .filter(|line| line.contains("const ") && line.contains(": &str = "))
        .filter_map(|line| line.split('"').find(|word| is_id(word)).map(str::to_owned))
        .collect();
    assert_eq!(used, explained);
    assert!(!used.is_empty());
}

fn nmstated(arguments: &[&str]) -> std::process::Output {
    Command::new(env!("CARGO_BIN_EXE_nmstated")).args(arguments).output().expect("nmstated starts")
}

#[test]
fn a_configuration_is_checked() {
    let good = root().join("packaging/nmstated.conf");
    assert!(nmstated(&["--check-config", &good.to_string_lossy()]).status.success());
    let dir = tempfile::tempdir().expect("a folder is made");
    let bad = dir.path().join("bad.conf");
    fs::write(&bad, "# hm\nlog = info\nspeed = high\n").expect("writes");
    let bad = bad.to_string_lossy();
    for arguments in
        [["--check-config", &bad].as_slice(), &["--config", &bad, "--check-config"], &["--config", &bad]]
    {
        let output = nmstated(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success());
        assert!(said.contains(&format!("{bad}:3: unknown key `speed`")), "{said}");
    }
    let output = nmstated(&["--check-config", "/nonexistent.conf"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot read /nonexistent.conf: "));
}
