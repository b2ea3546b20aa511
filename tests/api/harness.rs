//! A daemon with its own bus and socket in a temporary folder, and clients for both.

use std::collections::HashMap;
use std::io::{BufRead, BufReader as StdBufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use nmstated::backend::fake::{FakeBackend, Faults};
use nmstated::daemon::{Running, Socket};
use nmstated::engine::Setup;
use nmstated::state::{Document, State};
use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;
use zbus::{Message, OwnedVariant, Variant};

/// Longer than anything here takes; a test that waits so long has failed.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Completes, or fails the test.
pub async fn soon<T>(work: impl Future<Output = T>) -> T {
    timeout(LIMIT, work).await.expect("it happens soon")
}

/// A network to start from.
pub const NETWORK: &str = "
interfaces:
- name: eth0
  type: ethernet
  state: up
  mtu: 1500
  ipv4: {enabled: true, dhcp: false, address: [{ip: 192.0.2.1, prefix-length: 24}]}
  ipv6: {enabled: false}
";

/// A document that changes it.
pub const CHANGE: &str = "
interfaces:
- name: eth0
  type: ethernet
  mtu: 1400
";

/// The same by what is there.
pub const POLICY: &str = r#"
capture:
  cards: interfaces.type == "ethernet"
  small: capture.cards | interfaces.mtu := 1400
desired:
  interfaces: "{{ capture.small.interfaces }}"
"#;

/// A bus of our own, with the policy that we install.
pub struct Bus {
    process: Child,
    pub address: String,
}

impl Drop for Bus {
    fn drop(&mut self) {
        self.process.kill().and_then(|()| self.process.wait()).expect("our own process");
    }
}

impl Bus {
    fn start(dir: &Path) -> Self {
        let root = env!("CARGO_MANIFEST_DIR");
        let socket = dir.join("bus");
        let config = dir.join("bus.conf");
        let text = format!(
            r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
             "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
            <busconfig>
              <type>custom</type>
              <listen>unix:path={}</listen>
              <auth>EXTERNAL</auth>
              <policy context="default">
                <allow user="*"/>
                <deny own="*"/>
                <deny send_type="method_call"/>
                <allow send_type="signal"/>
                <allow send_requested_reply="true" send_type="method_return"/>
                <allow send_requested_reply="true" send_type="error"/>
                <allow receive_type="method_call"/>
                <allow receive_type="method_return"/>
                <allow receive_type="error"/>
                <allow receive_type="signal"/>
                <allow send_destination="org.freedesktop.DBus"/>
                <allow own="org.freedesktop.PolicyKit1"/>
                <allow send_destination="org.freedesktop.PolicyKit1"/>
              </policy>
              <include>{root}/dbus/io.nmstate.Daemon.conf</include>
            </busconfig>"#,
            socket.display()
        );
        std::fs::write(&config, text).expect("the configuration of the bus is written");
        let mut process = Command::new("dbus-daemon")
            .arg(format!("--config-file={}", config.display()))
            .args(["--nofork", "--nopidfile", "--print-address=1"])
            .stdout(Stdio::piped())
            // It complains when it may not raise its own limits.
            .stderr(Stdio::null())
            .spawn()
            .expect("dbus-daemon is installed");
        let mut address = String::new();
        let mut ready = StdBufReader::new(process.stdout.take().expect("it was piped"));
        ready.read_line(&mut address).expect("it says its address");
        Self { process, address: address.trim().to_owned() }
    }

    pub async fn connect(&self) -> zbus::Connection {
        let connected = zbus::connection::Builder::address(&*self.address).build();
        soon(connected).await.expect("the bus accepts us")
    }
}

/// A daemon on a simulated network.
pub struct Daemon {
    pub running: Running,
    pub socket: PathBuf,
    pub bus: Bus,
    pub network: Arc<FakeBackend>,
    _dir: TempDir,
}

impl Daemon {
    pub async fn start() -> Self {
        Self::with(|network| network).await
    }

    pub async fn with_faults(faults: Arc<dyn Faults>) -> Self {
        Self::on(|state| FakeBackend::with_faults(state, faults)).await
    }

    pub async fn with(prepare: impl FnOnce(FakeBackend) -> FakeBackend) -> Self {
        Self::on(|state| prepare(FakeBackend::new(state))).await
    }

    async fn on(backend: impl FnOnce(State) -> FakeBackend) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let everybody = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(dir.path(), everybody).expect("our own folder");
        let bus = Bus::start(dir.path());
        let document = Document::from_text(NETWORK).expect("it is YAML");
        let (state, _) = document.state().expect("it is a state");
        let network = Arc::new(backend(state));
        let state_dir = dir.path().join("state");
        let setup = Setup::on_host(network.clone(), "a test", &state_dir).expect("a new folder");
        let socket = dir.path().join("run/io.nmstate.Daemon");
        let start = Running::start(setup, Some(&bus.address), Socket::Path(socket.clone()));
        let running = soon(start).await.expect("the daemon starts");
        Self { running, socket, bus, network, _dir: dir }
    }

    pub async fn client(&self) -> Varlink {
        Varlink::connect(&self.socket).await
    }

    /// An answer over varlink, on a connection of its own.
    pub async fn ask(&self, method: &str, parameters: Json) -> Result<Json, (String, Json)> {
        self.client().await.ask(method, parameters).await
    }

    /// Waits until a transaction is at a stage.
    pub async fn reaches(&self, id: u64, stage: &str) -> Json {
        let mut client = self.client().await;
        client.send(json!({ "method": "io.nmstate.Daemon.Monitor", "more": true })).await;
        soon(async {
            loop {
                let log = self.ask("Log", json!({ "id": id })).await.expect("it is known");
                if log["transaction"]["stage"] == stage {
                    return log["transaction"].clone();
                }
                client.receive().await.expect("events go on");
            }
        })
        .await
    }
}

/// A varlink client with nothing between it and the bytes.
pub struct Varlink {
    pub stream: BufReader<UnixStream>,
}

impl Varlink {
    pub async fn connect(socket: &Path) -> Self {
        let stream = soon(UnixStream::connect(socket)).await.expect("the daemon listens");
        Self { stream: BufReader::new(stream) }
    }

    pub async fn send(&mut self, call: Json) {
        let mut bytes = call.to_string().into_bytes();
        bytes.push(0);
        soon(self.stream.write_all(&bytes)).await.expect("the daemon takes calls");
    }

    /// The next message; None at the end.
    pub async fn receive(&mut self) -> Option<Json> {
        let mut bytes = Vec::new();
        // A connection that the other side has cut ends as well.
        let _ = soon(self.stream.read_until(0, &mut bytes)).await;
        (bytes.pop() == Some(0)).then(|| serde_json::from_slice(&bytes).expect("messages are JSON"))
    }

    pub async fn ask(&mut self, method: &str, parameters: Json) -> Result<Json, (String, Json)> {
        let method = match method.contains('.') {
            true => method.to_owned(),
            false => format!("io.nmstate.Daemon.{method}"),
        };
        self.send(json!({ "method": method, "parameters": parameters })).await;
        answer(self.receive().await.expect("an answer"))
    }

    /// Whether the daemon has closed the connection.
    pub async fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        soon(self.stream.read_to_end(&mut rest)).await.map_or(true, |_| rest.is_empty())
    }
}

/// The parameters of a message, or its error.
pub fn answer(mut message: Json) -> Result<Json, (String, Json)> {
    let parameters = message["parameters"].take();
    match message["error"].as_str() {
        None => Ok(parameters),
        Some(name) => Err((name.to_owned(), parameters)),
    }
}

/// A client of the bus.
pub struct BusClient(pub zbus::Connection);

impl BusClient {
    /// Calls with the parameters of varlink; the answer in its form, the error as name and text.
    pub async fn ask(&self, method: &str, parameters: &Json) -> Result<Json, (String, String)> {
        let document = parameters["document"].as_str().unwrap_or_default();
        let options = options(&parameters["options"]);
        let id = parameters["id"].as_u64().unwrap_or(0);
        let number = |key: &str| u32::try_from(parameters[key].as_u64().unwrap_or(0)).expect("small");
        let reply = match method {
            "Show" => self.call(method, &(options,)).await,
            "Plan" | "Apply" | "Submit" => self.call(method, &(document, options)).await,
            "Validate" | "GenerateRevert" | "ResolvePolicy" => self.call(method, &(document,)).await,
            "GenerateDifference" => {
                let old = parameters["oldDocument"].as_str().unwrap_or_default();
                self.call(method, &(document, old)).await
            }
            "GenerateConfiguration" => {
                let program = parameters["program"].as_str().unwrap_or_default();
                self.call(method, &(document, program)).await
            }
            "Commit" | "Rollback" | "Cancel" | "Log" => self.call(method, &(id,)).await,
            "Extend" => self.call(method, &(id, number("seconds"))).await,
            "History" => self.call(method, &(number("limit"),)).await,
            "List" | "GetStatus" | "Drift" => self.call(method, &()).await,
            _ => panic!("no method {method}"),
        }?;
        let body = reply.body();
        let dict = || body.deserialize::<HashMap<String, OwnedVariant>>().map(dict).expect("a{sv}");
        Ok(match method {
            "GenerateConfiguration" => {
                let (files, warnings): (Vec<(String, String)>, Vec<String>) =
                    body.deserialize().expect("a(ss)as");
                let files =
                    files.into_iter().map(|(name, content)| json!({ "name": name, "content": content }));
                json!({ "files": files.collect::<Vec<_>>(), "warnings": warnings })
            }
            "Show" | "GenerateRevert" | "GenerateDifference" | "ResolvePolicy" => {
                let (state, revision): (String, u64) = body.deserialize().expect("st");
                let state: Json = serde_json::from_str(&state).expect("states are JSON");
                json!({ "state": state, "revision": revision })
            }
            "Plan" => {
                let mut plan = dict();
                for change in plan["changes"].as_array_mut().expect("a list") {
                    *change = serde_json::from_str(change.as_str().expect("text")).expect("changes are JSON");
                }
                json!({ "plan": plan })
            }
            "Validate" => json!({ "warnings": body.deserialize::<Vec<String>>().expect("as") }),
            "List" | "History" => {
                let all: Vec<HashMap<String, OwnedVariant>> = body.deserialize().expect("aa{sv}");
                json!({ "transactions": all.into_iter().map(self::dict).collect::<Vec<_>>() })
            }
            "Drift" => json!({ "drift": dict() }),
            "GetStatus" => json!({ "status": dict() }),
            _ => json!({ "transaction": dict() }),
        })
    }

    pub async fn call<B>(&self, method: &str, body: &B) -> Result<Message, (String, String)>
    where
        B: serde::Serialize + zbus::DynamicType,
    {
        const NAME: &str = "io.nmstate.Daemon";
        let call = self.0.call_method(Some(NAME), "/io/nmstate/Daemon", Some(NAME), method, body);
        match soon(call).await {
            Ok(reply) => Ok(reply),
            Err(zbus::Error::MethodError(name, text, _)) => Err((name.to_string(), text.unwrap_or_default())),
            Err(error) => panic!("{method}: {error}"),
        }
    }
}

fn options(options: &Json) -> HashMap<String, Variant<'static>> {
    let value = |value: &Json| match value {
        Json::Bool(value) => Variant::from(*value),
        Json::Number(value) => Variant::from(value.as_u64().expect("a natural number")),
        Json::String(value) => Variant::from(value.clone()),
        Json::Array(values) => {
            values.iter().map(|value| value.as_str().expect("text").to_owned()).collect::<Vec<_>>().into()
        }
        value => panic!("no option is {value}"),
    };
    let all = options.as_object().into_iter().flatten();
    all.map(|(name, option)| (name.clone(), value(option))).collect()
}

/// A dictionary of the bus as JSON.
pub fn dict(dict: HashMap<String, OwnedVariant>) -> Json {
    dict.iter().map(|(key, value)| (key.clone(), json_of(value))).collect()
}

pub fn json_of(value: &Variant<'_>) -> Json {
    match value {
        Variant::Bool(value) => (*value).into(),
        Variant::U32(value) => (*value).into(),
        Variant::U64(value) => (*value).into(),
        Variant::Str(value) => value.as_str().into(),
        Variant::Variant(value) => json_of(value),
        Variant::Array(values) => values.iter().map(json_of).collect(),
        Variant::Dict(values) => {
            let entry = |(key, value): (&Variant<'_>, &Variant<'_>)| match key {
                Variant::Str(key) => (key.as_str().to_owned(), json_of(value)),
                key => panic!("a key {key:?}"),
            };
            values.iter().map(entry).collect()
        }
        value => panic!("the bus carries no {value:?}"),
    }
}
