//! A real database, alone in a folder of its own: ovsdb-server without Open vSwitch behind it.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use nmstated::ovsdb::{Database, Image, open};
use serde_json::Value as Json;
use tempfile::TempDir;

/// Far longer than anything here takes.
const LONG: Duration = Duration::from_secs(30);

/// The schema of an installed Open vSwitch, else the part of it that is read here
/// (ovs-vswitchd.conf.db(5)).
fn schema() -> PathBuf {
    let installed = PathBuf::from("/usr/share/openvswitch/vswitch.ovsschema");
    let own = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/ovsdb/vswitch.ovsschema"));
    if installed.exists() { installed } else { own() }
}

/// Who is not root may not have /usr/sbin in the path.
fn program(name: &str) -> Command {
    let system = PathBuf::from("/usr/sbin").join(name);
    if system.exists() { Command::new(system) } else { Command::new(name) }
}

/// A folder for a database, and the process that serves it.
pub struct Server {
    folder: TempDir,
    process: Option<Child>,
}

impl Server {
    /// An empty database that nobody serves yet.
    pub fn stopped() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let made = program("ovsdb-tool").arg("create").arg(folder.path().join("db")).arg(schema()).status();
        let made = made.expect("ovsdb-tool is installed (tests/setup)");
        assert!(made.success(), "the database is made");
        Self { folder, process: None }
    }

    /// In a folder that comes with the process, as /run/openvswitch does.
    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("run/openvswitch/db.sock")
    }

    pub fn start(&mut self) {
        let at = |name: &str| self.folder.path().join(name);
        std::fs::create_dir_all(self.socket().parent().expect("has a folder")).expect("makes the folder");
        let process = program("ovsdb-server")
            .arg(at("db"))
            .arg(format!("--remote=punix:{}", self.socket().display()))
            .arg(format!("--unixctl={}", at("control").display()))
            .args(["--no-chdir", "-vconsole:off", "-vsyslog:off"])
            .stdin(Stdio::null())
            .spawn()
            .expect("ovsdb-server is installed (tests/setup)");
        self.process = Some(process);
    }

    /// Killed, so that the socket stays behind.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().and_then(|()| process.wait()).expect("the process is ours");
        }
    }

    /// Follows the database.
    pub fn follow(&self) -> Database {
        let (database, keeper) = open(&self.socket());
        tokio::spawn(keeper.run());
        database
    }

    /// Carries out operations beside the client under test.
    pub fn operate(&self, operations: Json) {
        let mut all = vec![Json::from("Open_vSwitch")];
        all.extend(operations.as_array().expect("a list").iter().cloned());
        let output = program("ovsdb-client")
            .arg("transact")
            .arg(format!("unix:{}", self.socket().display()))
            .arg(Json::from(all).to_string())
            .output()
            .expect("ovsdb-client is installed (tests/setup)");
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && !text.contains("\"error\""), "{text}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits until the image is as wanted, woken by nothing but its own changes.
pub async fn until(
    database: &Database,
    what: &str,
    wanted: impl Fn(Option<&Image>) -> bool,
) -> Option<Arc<Image>> {
    let mut revisions = database.revisions();
    let wait = async {
        loop {
            revisions.borrow_and_update();
            let image = database.image();
            if wanted(image.as_deref()) {
                return image;
            }
            revisions.changed().await.expect("the keeper runs");
        }
    };
    let missing = || panic!("{what} within {LONG:?}; missing: {:?}", database.missing());
    tokio::time::timeout(LONG, wait).await.unwrap_or_else(|_| missing())
}
