//! From the parameters of a call to a request, strictly: what is not known is an error.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use super::Method;
use super::interactive::Apart;
use super::service::SMALL_BYTES_MAX;
use crate::engine::{ApplyOptions, Client, Host, Refusal, Request, ShowOptions};
use crate::state::{Document, ErrorKind, NODES_MAX, Path, Problem};
use crate::wire::{NotAProbe, Probe, Program, TransactionId};

/// Longest explanation of what is wrong with the parameters.
const REASON_CHARS_MAX: usize = 300;
/// What `History` answers without a limit.
const HISTORY_LIMIT: u32 = 20;
/// Longest time to commit: a day. A longer one is a mistake, and no safety net any more.
const TIMEOUT_S_MAX: u32 = 24 * 60 * 60;

/// A call as both transports write it. Its other members are read elsewhere.
#[derive(Deserialize)]
struct Call<T> {
    parameters: Option<T>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Show {
    options: Option<ShowWith>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ShowWith {
    kernel_only: Option<bool>,
    running_config_only: Option<bool>,
    show_secrets: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent {
    document: Option<String>,
    // Any value, so that no error of the reader repeats a part of it: it may hold secrets.
    state: Option<Json>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct SentBesideOld {
    document: Option<String>,
    state: Option<Json>,
    old_document: Option<String>,
    old_state: Option<Json>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SentFor {
    document: Option<String>,
    state: Option<Json>,
    program: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SentWith<Options> {
    document: Option<String>,
    state: Option<Json>,
    options: Option<Options>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlanWith {
    override_interfaces: Option<bool>,
    memory_only: Option<bool>,
    client_address: Option<String>,
    server_address: Option<String>,
    restore: Option<bool>,
    backend: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ApplyWith {
    override_interfaces: Option<bool>,
    memory_only: Option<bool>,
    verify: Option<bool>,
    commit: Option<bool>,
    timeout_s: Option<u32>,
    wait: Option<bool>,
    join: Option<u64>,
    cancel_on_disconnect: Option<bool>,
    probes: Option<Vec<String>>,
    client_address: Option<String>,
    server_address: Option<String>,
    restore: Option<bool>,
    backend: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MaybeId {
    id: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Id {
    id: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExtendBy {
    id: Option<u64>,
    seconds: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Newest {
    limit: Option<u32>,
}

/// The request in a call; None for `Monitor`, which the engine answers with its events.
pub(super) fn request(method: Method, call: &[u8], host: &Host) -> Result<Option<Request>, Refusal> {
    let request = match method {
        Method::Show => {
            let Show { options } = parameters(call)?;
            let ShowWith { kernel_only, running_config_only, show_secrets } = options.unwrap_or_default();
            Request::Show(ShowOptions {
                kernel_only: kernel_only.unwrap_or(false),
                running_config_only: running_config_only.unwrap_or(false),
                secrets: show_secrets.unwrap_or(false),
            })
        }
        Method::Plan => {
            let SentWith { document, state, options } = parameters(call)?;
            let PlanWith {
                override_interfaces,
                memory_only,
                client_address,
                server_address,
                restore,
                backend,
            } = options.unwrap_or_default();
            let with = ApplyWith {
                override_interfaces,
                memory_only,
                client_address,
                server_address,
                backend,
                ..ApplyWith::default()
            };
            let options = apply_options(with, host)?.plan;
            match restore {
                Some(true) => {
                    nothing_sent(document, state)?;
                    Request::PlanRestore { options }
                }
                Some(false) | None => Request::Plan { document: sent(document, state)?, options },
            }
        }
        Method::Validate => {
            let Sent { document, state } = parameters(call)?;
            Request::Validate { document: sent(document, state)? }
        }
        Method::Apply | Method::Submit => {
            let SentWith { document, state, options } = parameters(call)?;
            let with: ApplyWith = options.unwrap_or_default();
            let restore = with.restore;
            let options = apply_options(with, host)?;
            match restore {
                Some(true) => {
                    nothing_sent(document, state)?;
                    Request::Restore { options }
                }
                Some(false) | None => Request::Submit { document: sent(document, state)?, options },
            }
        }
        Method::Commit => Request::Commit { id: parameters::<MaybeId>(call)?.id },
        Method::Rollback => Request::Rollback { id: parameters::<MaybeId>(call)?.id },
        Method::Extend => {
            let ExtendBy { id, seconds } = parameters(call)?;
            Request::Extend { id, seconds: timeout("seconds", seconds)? }
        }
        Method::Cancel => Request::Cancel { id: parameters::<Id>(call)?.id },
        Method::GenerateRevert => {
            let Sent { document, state } = parameters(call)?;
            Request::GenerateRevert { document: sent(document, state)? }
        }
        Method::GenerateDifference => {
            let SentBesideOld { document, state, old_document, old_state } = parameters(call)?;
            let old = match (old_document.filter(|text| !text.is_empty()), old_state) {
                (None, None) => None,
                (document, state) => Some(sent(document, state)?),
            };
            Request::GenerateDifference { document: sent(document, state)?, old }
        }
        Method::GenerateConfiguration => {
            let SentFor { document, state, program } = parameters(call)?;
            Request::GenerateConfiguration {
                document: sent(document, state)?,
                program: program.map_or(Ok(Program::default()), |name| self::program(&name))?,
            }
        }
        Method::ResolvePolicy => {
            let Sent { document, state } = parameters(call)?;
            Request::Resolve { document: sent(document, state)? }
        }
        Method::List => {
            let Nothing {} = parameters(call)?;
            Request::List
        }
        Method::Log => Request::Log { id: parameters::<Id>(call)?.id },
        Method::History => {
            let Newest { limit } = parameters(call)?;
            Request::History { limit: limit.unwrap_or(HISTORY_LIMIT) }
        }
        Method::GetStatus => {
            let Nothing {} = parameters(call)?;
            Request::GetStatus
        }
        Method::Drift => {
            let Nothing {} = parameters(call)?;
            Request::Drift
        }
        Method::Monitor => {
            let Nothing {} = parameters(call)?;
            return Ok(None);
        }
    };
    Ok(Some(request))
}

/// The transaction that a call names, before anything is known of whether it is right.
pub(super) fn transaction_named(method: Method, call: &[u8]) -> Option<TransactionId> {
    #[derive(Deserialize)]
    struct Named {
        id: Option<TransactionId>,
    }
    let names_one = matches!(method, Method::Commit | Method::Rollback | Method::Extend | Method::Cancel);
    if !names_one || call.len() > SMALL_BYTES_MAX {
        return None;
    }
    serde_json::from_slice::<Call<Named>>(call).ok()?.parameters?.id
}

fn apply_options(with: ApplyWith, host: &Host) -> Result<ApplyOptions, Refusal> {
    let ApplyWith {
        override_interfaces,
        memory_only,
        verify,
        commit,
        timeout_s,
        wait,
        join,
        cancel_on_disconnect,
        probes,
        client_address,
        server_address,
        restore: _,
        backend,
    } = with;
    is_carried_out_by(backend.as_deref(), host)?;
    let mut options = ApplyOptions { timeout_s: host.timeout_s, ..ApplyOptions::default() };
    set(&mut options.plan.override_interfaces, override_interfaces);
    set(&mut options.plan.memory_only, memory_only);
    set(&mut options.verify, verify);
    set(&mut options.commit, commit);
    set(&mut options.timeout_s, timeout_s);
    set(&mut options.wait, wait);
    set(&mut options.join, join.map(Some));
    set(&mut options.cancel_on_disconnect, cancel_on_disconnect);
    options.timeout_s = timeout("timeout_s", options.timeout_s)?;
    options.plan.client = client(client_address, server_address)?;
    options.probes = probes.map(|texts| self::probes(&texts)).transpose()?;
    Ok(options)
}

/// Whether that backend has this host's network, if one is named: no interface belongs to two.
fn is_carried_out_by(named: Option<&str>, host: &Host) -> Result<(), Refusal> {
    let Host { backend, backend_reason, .. } = host;
    match named {
        Some(named) if named != *backend => {
            let message = format!(
                "backend: this host's network is that of `{backend}` ({backend_reason}), and no interface may \
                 belong to two"
            );
            Err(vec![Problem::new(ErrorKind::NotSupportedError, Path::root(), message)])
        }
        _ => Ok(()),
    }
}

fn probes(texts: &[String]) -> Result<Vec<Probe>, Refusal> {
    Probe::list(texts.iter().map(String::as_str)).map_err(|NotAProbe { message, hint }| {
        vec![Problem::invalid(Path::root(), format!("probes: {message}")).with_hint(hint)]
    })
}

/// An empty name is none: D-Bus always sends one.
fn program(name: &str) -> Result<Program, Refusal> {
    if name.is_empty() {
        return Ok(Program::default());
    }
    Program::named(name).ok_or_else(|| {
        let names = Program::ALL.map(Program::name).join(", ");
        invalid(format!("program: expected one of {names}"))
    })
}

/// Where the client sits, if it says so.
fn client(address: Option<String>, server: Option<String>) -> Result<Option<Client>, Refusal> {
    match (address, server) {
        (Some(address), server) => {
            let client = Client::read(&address, server.as_deref());
            client.map(Some).map_err(|what| invalid(format!("client_address, server_address: {what}")))
        }
        (None, Some(_)) => Err(invalid("server_address says nothing without client_address")),
        (None, None) => Ok(None),
    }
}

/// What is not given stays as it is by default.
fn set<T>(option: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *option = given;
    }
}

fn timeout(name: &str, seconds: u32) -> Result<u32, Refusal> {
    match seconds {
        1..=TIMEOUT_S_MAX => Ok(seconds),
        _ => Err(invalid(format!("{name} must be from 1 to {TIMEOUT_S_MAX}, not {seconds}"))),
    }
}

/// The document, sent in exactly one of the two forms.
fn sent(document: Option<String>, state: Option<Json>) -> Result<Document, Refusal> {
    match (document, state) {
        (Some(text), None) => Document::from_text(&text),
        (None, Some(state @ Json::Object(_))) => Ok(Document::from_json(&state)),
        (None, Some(_)) => Err(invalid("state: expected an object")),
        (None, None) => Err(invalid("neither `document` nor `state` is given")),
        (Some(_), Some(_)) => Err(invalid("both `document` and `state` are given")),
    }
}

/// What is committed is applied once more, and nothing beside it. D-Bus always sends a document:
/// an empty one is none.
fn nothing_sent(document: Option<String>, state: Option<Json>) -> Result<(), Refusal> {
    match (document.filter(|text| !text.is_empty()), state) {
        (None, None) => Ok(()),
        _ => Err(invalid("`restore` applies what is committed: no document goes with it")),
    }
}

fn parameters<T: DeserializeOwned>(call: &[u8]) -> Result<T, Refusal> {
    if values_in(call) > NODES_MAX {
        return Err(invalid(format!("there are more than {NODES_MAX} values in the parameters")));
    }
    let read = match serde_json::from_slice::<Call<Apart<T>>>(call) {
        Ok(Call { parameters: Some(Apart(parameters)) }) => Ok(parameters),
        Ok(Call { parameters: None }) => serde_json::from_str("{}"),
        Err(error) => Err(error),
    };
    read.map_err(|error| {
        let text = error.to_string();
        // The place in the message says nothing to people, who never see it.
        let reason = text.split(" at line ").next().unwrap_or(&text);
        invalid(format!("parameters: {}", reason.chars().take(REASON_CHARS_MAX).collect::<String>()))
    })
}

/// How many values a JSON text has at most: reading it costs memory for each.
fn values_in(json: &[u8]) -> usize {
    let mut values = 1;
    let mut in_string = false;
    let mut escaped = false;
    for byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b',' | b'[' | b'{' if !in_string => values += 1,
            _ => {}
        }
    }
    values
}

fn invalid(message: impl Into<String>) -> Refusal {
    vec![Problem::invalid(Path::root(), message)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host() -> Host {
        Host { timeout_s: 7, backend: "kernel", backend_reason: "it was asked for".into() }
    }

    fn error(method: Method, call: &str) -> String {
        let problems = request(method, call.as_bytes(), &host()).expect_err("a wrong call");
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn what_is_not_known_is_named() {
        let unknown_option = r#"{"parameters": {"document": "", "options": {"tiemout_s": 5}}}"#;
        let text = error(Method::Apply, unknown_option);
        assert!(text.starts_with("parameters: unknown field `tiemout_s`, expected one of"), "{text}");
        let text = error(Method::List, r#"{"parameters": {"all": true}}"#);
        assert!(text.contains("unknown field `all`"), "{text}");
    }

    #[test]
    fn a_document_comes_in_exactly_one_form() {
        assert!(error(Method::Validate, "{}").contains("neither"));
        let both = r#"{"parameters": {"document": "", "state": {}}}"#;
        assert!(error(Method::Validate, both).contains("both"));
        let secret = r#"{"parameters": {"state": "password: hunter2"}}"#;
        assert_eq!(error(Method::Validate, secret), "state: expected an object");
    }

    #[test]
    fn what_is_committed_is_restored_without_a_document() {
        for document in ["", r#""document": "","#] {
            let call = format!(
                r#"{{"parameters": {{{document} "options": {{"restore": true, "commit": false}}}}}}"#
            );
            let read = request(Method::Apply, call.as_bytes(), &host());
            let Ok(Some(Request::Restore { options })) = read else { panic!("{read:?}") };
            assert!(!options.commit);
        }
        for beside in [r#""document": "interfaces: []""#, r#""state": {}"#] {
            let call = format!(r#"{{"parameters": {{{beside}, "options": {{"restore": true}}}}}}"#);
            for method in [Method::Apply, Method::Submit, Method::Plan] {
                assert!(error(method, &call).starts_with("`restore` applies what is committed"), "{beside}");
            }
        }
    }

    #[test]
    fn numbers_have_their_bounds() {
        let call = r#"{"parameters": {"seconds": 0}}"#;
        assert_eq!(error(Method::Extend, call), "seconds must be from 1 to 86400, not 0");
        assert!(error(Method::Cancel, "{}").contains("missing field `id`"));
        assert!(error(Method::Log, r#"{"parameters": {"id": -1}}"#).contains("-1"));
    }

    #[test]
    fn a_client_sits_at_an_ip_address() {
        let wrong = |options: &str| {
            error(Method::Plan, &format!(r#"{{"parameters": {{"state": {{}}, "options": {options}}}}}"#))
        };
        assert!(
            wrong(r#"{"client_address": "example.com"}"#).contains(r#"an IP address, not "example.com""#)
        );
        assert!(wrong(r#"{"client_address": "192.0.2.1%eth0"}"#).contains("an IP address"));
        assert!(
            wrong(r#"{"client_address": "192.0.2.1", "server_address": "2001:db8::1"}"#).contains("family")
        );
        assert!(wrong(r#"{"server_address": "192.0.2.1"}"#).contains("without client_address"));
        assert!(wrong(r#"{"client_address": 5}"#).contains("expected a string"));
    }

    #[test]
    fn only_the_backend_that_has_the_network_can_be_named() {
        let call = |backend| {
            format!(r#"{{"parameters": {{"state": {{}}, "options": {{"backend": "{backend}"}}}}}}"#)
        };
        for method in [Method::Apply, Method::Submit, Method::Plan] {
            assert!(request(method, call("kernel").as_bytes(), &host()).is_ok());
            let text = error(method, &call("netplan"));
            assert!(text.contains("that of `kernel` (it was asked for)"), "{text}");
        }
    }

    #[test]
    fn probes_are_read_strictly() {
        let submitted = |probes: &str| {
            let call = format!(r#"{{"parameters": {{"state": {{}}, "options": {{"probes": {probes}}}}}}}"#);
            request(Method::Apply, call.as_bytes(), &host())
        };
        let Ok(Some(Request::Submit { options, .. })) = submitted(r#"["gateway", "run:/probe"]"#) else {
            panic!("not a submission");
        };
        assert_eq!(options.probes, Some(vec![Probe::Gateway(None), Probe::Run("/probe".into())]));
        let problems = submitted(r#"["gateway", "ping"]"#).expect_err("a wrong probe");
        assert_eq!(problems[0].message, r#"probes: "ping" is no probe"#);
        assert!(problems[0].hint.is_some());
        assert!(submitted(r#""gateway""#).is_err());
    }

    #[test]
    fn more_values_than_a_document_may_have_are_not_read() {
        let call = format!(r#"{{"parameters": {{"state": {{"a": [{}0]}}}}}}"#, "0,".repeat(NODES_MAX));
        assert!(error(Method::Validate, &call).contains("more than"));
        assert_eq!(values_in(br#"{"a": "[,\",,", "b": [1, 2]}"#), 5);
    }

    #[test]
    fn defaults_are_those_of_the_engine_and_its_configuration() {
        let call = br#"{"parameters": {"state": {}, "options": {}}}"#;
        let Ok(Some(Request::Submit { options, .. })) = request(Method::Apply, call, &host()) else {
            panic!("not a submission");
        };
        assert_eq!(options, ApplyOptions { timeout_s: 7, ..ApplyOptions::default() });
    }
}
