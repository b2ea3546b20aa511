//! Documents in netplan's own words: a second file of ours, and what it means.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::{Broken, Config, Devices, File, Files, Folder, Kind, NATIVE, Netdef, OWN, Renderer, Tree, read};
use crate::state::{
    AbsentState, DnsResolver, Interface, InterfaceState, InterfaceType, Native, Node, Path, Position,
    Problem, Route, RouteRule, RouteRules, RouteState, Routes, State, Value,
};

const HEADER: &str = "# Written by nmstated, from a document: what is added here is lost with the next.\n";

/// What a document in netplan's words means.
#[derive(Debug)]
pub struct Meaning {
    /// The same in those of a document: what it defines, and what it no longer does.
    pub state: State,
    /// The place of each interface of it in the document.
    pub places: Vec<Path>,
}

/// The file of such a document; empty if it defines nothing.
pub fn native_text(native: &Native) -> String {
    if native.is_empty() {
        return String::new();
    }
    let mut network = native.to_json();
    if let Some(keys) = network.as_object_mut() {
        keys.entry("version").or_insert_with(|| json!(2));
    }
    let text = serde_yaml::to_string(&json!({"network": network}));
    format!("{HEADER}{}", text.expect("it is plain values with text for keys"))
}

/// What our file says. None: there is none, or it is not what we have written.
pub fn native_of(files: &Files) -> Option<Native> {
    let files = files.only(NATIVE);
    let (_, text) = files.read().into_iter().next()?;
    let node = crate::state::parse(text).ok()?;
    let native = Native::new(node.get("network")?.clone());
    (!native.is_empty()).then_some(native)
}

/// The place in a document of a place in the file that was made of it.
pub fn place_in(text: &str, at: Position) -> Option<Path> {
    let node = crate::state::parse(text).ok()?;
    let mut best = None;
    walk(&node, &Path::root(), at, &mut best);
    best.map(|(_, path)| path)
}

/// The last thing that begins at or before that place.
fn walk(node: &Node, path: &Path, at: Position, best: &mut Option<(Position, Path)>) {
    let mut offer = |own: Option<Position>, path: &Path| {
        if let Some(own) = own.filter(|own| *own <= at)
            && best.as_ref().is_none_or(|(known, _)| *known <= own)
        {
            *best = Some((own, path.clone()));
        }
    };
    offer(node.at, path);
    match &node.value {
        Value::Map(entries) => {
            for entry in entries {
                let path = path.key(&entry.key);
                offer(entry.at, &path);
            }
            for entry in entries {
                walk(&entry.value, &path.key(&entry.key), at, best);
            }
        }
        Value::List(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(item, &path.index(index), at, best);
            }
        }
        Value::Scalar { .. } => {}
    }
}

/// The files once the document is in its place.
pub fn with_native(files: &Files, native: &Native) -> Files {
    let mut then = files.without(&[NATIVE]);
    then.insert(File::new(Folder::Run, NATIVE), native_text(native));
    then
}

/// What `native` means where the files say something else beside it; `default` carries out what names no
/// renderer.
pub fn understand(
    native: &Native,
    files: &Files,
    devices: &Devices,
    default: Renderer,
) -> Result<Meaning, Vec<Problem>> {
    let then = with_native(files, native);
    let wrong = |Broken { file, problem }: Broken| {
        let own = (file.name == NATIVE).then(|| place_in(&native_text(native), problem.at?)).flatten();
        let message = match own {
            Some(_) => problem.message.clone(),
            None => format!("{file}: {}", problem.message),
        };
        vec![Problem::invalid(own.unwrap_or_else(|| place(&[])), message)]
    };
    let only = |files: &Files, name: &str| Config::read(&files.only(name)).map_err(wrong);
    let (ours, new, old) = (only(files, OWN)?, only(&then, NATIVE)?, only(files, NATIVE)?);
    let others = Config::read(&files.without(&[OWN, NATIVE])).map_err(wrong)?;
    let mut problems = clashes(native, &ours, [&new, &old], others.renderer.unwrap_or(default));
    problems.extend(renamed(&new, devices));
    if !problems.is_empty() {
        return Err(problems);
    }
    let (all_then, all_now) = (Config::read(&then).map_err(wrong)?, Config::read(files).map_err(wrong)?);
    let (will_say, says) = (read(&all_then, devices), read(&all_now, devices));
    let mut meaning = Meaning { state: State::empty(), places: Vec::new() };
    meaning.interfaces(&will_say, &says, [&all_then, &all_now], [&new, &old], devices);
    let is_about = |key: &str| {
        [&new, &old].into_iter().any(|config| config.netdefs.values().any(|one| one.get(key).is_some()))
    };
    let names: BTreeSet<&str> = meaning.state.interfaces().iter().map(|one| one.name.as_str()).collect();
    let mut config: Vec<Route> = Vec::new();
    let is_through =
        |route: &Route| route.next_hop_interface.as_deref().is_some_and(|name| names.contains(name));
    for route in will_say.config_routes() {
        if is_through(route) || !says.config_routes().contains(route) {
            config.push(route.clone());
        }
    }
    for route in says.config_routes() {
        if !will_say.config_routes().contains(route) {
            config.push(Route { state: Some(RouteState::Absent), ..route.clone() });
        }
    }
    if !config.is_empty() {
        meaning.state.routes = Some(Routes { running: None, config: Some(config.into()) });
    }
    if is_about("routing-policy") {
        let mut rules: Vec<RouteRule> = will_say.config_rules().to_vec();
        let gone = says.config_rules().iter().filter(|rule| !will_say.config_rules().contains(rule));
        rules.extend(gone.map(|rule| RouteRule { state: Some(AbsentState::Absent), ..rule.clone() }));
        meaning.state.route_rules = Some(RouteRules { config: Some(rules) });
    }
    if is_about("nameservers") {
        let config = will_say.dns_resolver.and_then(|dns| dns.config);
        meaning.state.dns_resolver = Some(DnsResolver { running: None, config });
    }
    Ok(meaning)
}

/// The tunnels that become others (`mode`): no renderer changes that in place.
pub fn changed_modes(before: &Config, then: &Config) -> Vec<String> {
    let mode = |netdef: &Netdef| netdef.get("mode").and_then(Tree::text).map(str::to_owned);
    let tunnels = then.netdefs.values().filter(|netdef| netdef.kind == Kind::Tunnel);
    let others = tunnels
        .filter(|netdef| before.netdefs.get(&netdef.id).is_some_and(|before| mode(before) != mode(netdef)));
    others.map(|netdef| netdef.id.clone()).collect()
}

fn place(keys: &[&str]) -> Path {
    keys.iter().fold(Path::root().key("network"), |path, key| path.key(key))
}

/// What it must not say beside our other file, and those of others.
fn clashes(native: &Native, ours: &Config, [new, old]: [&Config; 2], renderer: Renderer) -> Vec<Problem> {
    let mut problems = Vec::new();
    if let Some(word) = native.node().get("renderer").and_then(Node::text)
        && word != renderer.word()
    {
        let text = "this would have another renderer carry out the definitions of others, too: say it with \
                    each definition";
        problems.push(Problem::invalid(place(&["renderer"]), text));
    }
    // What was added beside a definition of the former native document stays beside it.
    let is_taken =
        |netdef: &&Netdef| ours.netdefs.contains_key(&netdef.id) && !old.netdefs.contains_key(&netdef.id);
    for netdef in new.netdefs.values().filter(is_taken) {
        let text = format!(
            "`{}` was configured by another document, in the schema of nmstate: make it absent there first",
            netdef.id
        );
        problems.push(Problem::invalid(place(&[netdef.kind.key(), &netdef.id]), text));
    }
    problems
}

/// Hardware that netplan would call otherwise, at once; nothing gives a name back.
fn renamed(new: &Config, devices: &Devices) -> Vec<Problem> {
    let mut problems = Vec::new();
    for netdef in new.netdefs.values() {
        let Some(name) = netdef.get("set-name").and_then(Tree::text) else { continue };
        for present in netdef.devices(devices).into_iter().filter(|present| *present != name) {
            let text = format!(
                "netplan would rename `{present}`, which no rollback takes back: have a link file of udev do so at boot \
                 (systemd.link(5)), and then use the new name"
            );
            problems.push(Problem::invalid(place(&[netdef.kind.key(), &netdef.id, "set-name"]), text));
        }
    }
    problems
}

impl Meaning {
    fn interfaces(
        &mut self,
        will_say: &State,
        says: &State,
        [all_then, all_now]: [&Config; 2],
        [new, old]: [&Config; 2],
        devices: &Devices,
    ) {
        let mut found: BTreeMap<&str, (Interface, Path)> = BTreeMap::new();
        for interface in says.interfaces() {
            let Some(netdef) = all_now.netdef_of(&interface.name, devices) else { continue };
            let is_gone = old.netdefs.contains_key(&netdef.id) && !all_then.netdefs.contains_key(&netdef.id);
            let is_cable = netdef.kind.is_physical()
                && devices
                    .get(&interface.name)
                    .is_some_and(|device| device.driver.as_deref() == Some("veth"));
            // Who made the cable did so for another; only its configuration goes.
            if is_gone && is_known(interface) && !is_cable {
                let absent =
                    Interface::new(&interface.name, interface.kind().clone(), InterfaceState::Absent);
                found.insert(&interface.name, (absent, place(&[])));
            }
        }
        for interface in will_say.interfaces() {
            let Some(netdef) = all_then.netdef_of(&interface.name, devices) else { continue };
            // Hardware that is not there is configured when it comes.
            let is_there = !netdef.kind.is_physical() || devices.contains_key(&interface.name);
            if new.netdefs.contains_key(&netdef.id) && is_known(interface) && is_there {
                let mut own = interface.clone();
                if own.identifier.take().is_some() && netdef.get("macaddress").is_none() {
                    own.mac_address = None;
                }
                own.profile_name = None;
                found.insert(&interface.name, (own, place(&[netdef.kind.key(), &netdef.id])));
            }
        }
        let (interfaces, places) = found.into_values().unzip();
        self.state.interfaces = Some(interfaces);
        self.places = places;
    }
}

/// Of others, nobody here knows what they are like when they are done.
fn is_known(interface: &Interface) -> bool {
    let kind = interface.kind();
    !matches!(kind, InterfaceType::Unknown | InterfaceType::OvsBridge | InterfaceType::OvsInterface)
}

#[cfg(test)]
mod tests {
    use serde_json::Value as Json;

    use super::*;
    use crate::netplan::Device;
    use crate::state::Document;

    fn native(yaml: &str) -> Native {
        let document = Document::from_text(yaml).expect("YAML");
        document.state().unwrap_or_else(|problems| panic!("{problems:?}")).0.network.expect("it is there")
    }

    fn files(texts: &[(&str, &str)]) -> Files {
        let mut files = Files::default();
        for (name, text) in texts {
            files.insert(File::new(Folder::Etc, *name), (*text).to_owned());
        }
        files
    }

    fn hardware() -> Devices {
        let device = Device { permanent_mac: "02:00:5E:10:00:01".parse().ok(), driver: None };
        [("eth1".to_owned(), device)].into_iter().collect()
    }

    fn shown(native: &Native, files: &Files) -> Result<Json, String> {
        let meaning = understand(native, files, &hardware(), Renderer::Networkd);
        let meaning = meaning.map_err(|problems| problems[0].to_string())?;
        let places: Vec<String> = meaning.places.iter().map(ToString::to_string).collect();
        Ok(json!({"state": meaning.state, "places": places}))
    }

    const DOCUMENT: &str = "
network:
  version: 2
  ethernets:
    eth1:
      dhcp4: false
      addresses: [192.0.2.7/24]
      routes: [{to: 198.51.100.0/24, via: 192.0.2.1}]
    eth9: {dhcp4: true}
";

    #[test]
    fn it_means_what_its_definitions_say() {
        let shown = shown(&native(DOCUMENT), &files(&[])).expect("it is understood");
        assert_eq!(
            shown["places"],
            json!(["network.ethernets.eth1"]),
            "hardware that is not there is no place"
        );
        let eth1 = &shown["state"]["interfaces"][0];
        assert_eq!((&eth1["name"], &eth1["state"]), (&json!("eth1"), &json!("up")));
        assert_eq!(eth1["ipv4"]["dhcp"], json!(false));
        assert_eq!(eth1["ipv4"]["address"], json!([{"ip": "192.0.2.7", "prefix-length": 24}]));
        let routes = shown["state"]["routes"]["config"].as_array().expect("routes");
        assert_eq!(routes.len(), 1);
    }

    #[test]
    fn what_it_no_longer_says_goes() {
        let former = "network: {bridges: {br0: {}}, ethernets: {eth1: {routes: [{to: 203.0.113.0/24, via: 192.0.2.9}]}}}";
        let shown = shown(&native(DOCUMENT), &files(&[(NATIVE, former)])).expect("it is understood");
        assert_eq!(shown["state"]["interfaces"][0]["name"], json!("br0"));
        assert_eq!(shown["state"]["interfaces"][0]["state"], json!("absent"));
        assert_eq!(shown["state"]["routes"]["config"][1]["state"], json!("absent"));
        let nothing = native("network: {}");
        assert_eq!(native_text(&nothing), "");
        let gone = super::understand(&nothing, &files(&[(NATIVE, former)]), &hardware(), Renderer::Networkd);
        let gone = gone.expect("it is understood").state;
        assert!(gone.interfaces().iter().all(Interface::is_absent) && gone.interfaces().len() == 2);
    }

    #[test]
    fn a_tag_of_a_virtual_function_is_no_interface() {
        let tag = "network: {ethernets: {eth1: {virtual-function-count: 2}, vf0: {link: eth1}}, vlans: {vf0.7: {id: 7, \
                   link: vf0, renderer: sriov}}}";
        let shown = shown(&native(tag), &files(&[])).expect("it is understood");
        assert_eq!(shown["places"], json!(["network.ethernets.eth1"]));
        assert_eq!(shown["state"]["interfaces"][0]["ethernet"]["sr-iov"]["total-vfs"], json!(2));
    }

    #[test]
    fn what_clashes_with_others_is_refused() {
        let own = "network: {ethernets: {eth1: {mtu: 1400}}}";
        let clash = shown(&native(DOCUMENT), &files(&[(OWN, own)])).expect_err("it is refused");
        assert!(
            clash.starts_with("network.ethernets.eth1: `eth1` was configured by another document"),
            "{clash}"
        );
        let beside =
            shown(&native(DOCUMENT), &files(&[(OWN, own), (NATIVE, "network: {ethernets: {eth1: {}}}")]));
        assert!(beside.is_ok(), "what was said beside a native document stays: {beside:?}");
        let renames =
            native("network: {ethernets: {lan: {match: {macaddress: '02:00:5e:10:00:01'}, set-name: lan0}}}");
        let clash = shown(&renames, &files(&[])).expect_err("it is refused");
        assert!(clash.starts_with("network.ethernets.lan.set-name: netplan would rename `eth1`"), "{clash}");
        let other = native("network: {renderer: NetworkManager, ethernets: {eth1: {}}}");
        let clash = shown(&other, &files(&[])).expect_err("it is refused");
        assert!(clash.starts_with("network.renderer: "), "{clash}");
    }

    #[test]
    fn a_tunnel_of_another_mode_is_another() {
        let config = |text: &str| Config::read(&files(&[(NATIVE, text)])).expect("it is understood");
        let before = config("network: {tunnels: {a: {mode: gre}, b: {mode: gre}, c: {mode: sit}}}");
        let then = config("network: {tunnels: {a: {mode: gretap}, b: {mode: gre, ttl: 9}, d: {mode: gre}}}");
        assert_eq!(changed_modes(&before, &then), ["a"]);
    }

    #[test]
    fn the_file_says_the_same_and_leads_back_to_the_document() {
        let own = native(DOCUMENT);
        let text = native_text(&own);
        assert_eq!(native_of(&files(&[(NATIVE, &text)])), Some(own));
        let line = text.lines().position(|line| line.contains("via:")).expect("it is there") + 1;
        let at = |column| Position { line: u32::try_from(line).expect("a small file"), column };
        let path = place_in(&text, at(9)).expect("a place").to_string();
        assert!(path.starts_with("network.ethernets.eth1.routes[0]"), "{path}");
    }
}
