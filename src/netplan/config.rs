//! What some of netplan's files say together.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{File, Files, Origin, Renderer, Tree};
use crate::state::{Entry, Node, Path, Problem, Value};

/// The type of a netdef: the key that it stands under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Ethernet,
    Wifi,
    Modem,
    Bond,
    Bridge,
    Vlan,
    Tunnel,
    Vrf,
    Dummy,
    Veth,
    /// What only NetworkManager knows.
    NmDevice,
}

const KINDS: [(Kind, &str); 11] = [
    (Kind::Ethernet, "ethernets"),
    (Kind::Wifi, "wifis"),
    (Kind::Modem, "modems"),
    (Kind::Dummy, "dummy-devices"),
    (Kind::Veth, "virtual-ethernets"),
    (Kind::Bond, "bonds"),
    (Kind::Bridge, "bridges"),
    (Kind::Vlan, "vlans"),
    (Kind::Tunnel, "tunnels"),
    (Kind::Vrf, "vrfs"),
    (Kind::NmDevice, "nm-devices"),
];

impl Kind {
    /// Every type, in the order in which our file has them.
    pub fn all() -> impl Iterator<Item = Self> {
        KINDS.iter().map(|(kind, _)| *kind)
    }

    /// The key under `network`.
    pub fn key(self) -> &'static str {
        let (_, key) = KINDS.iter().find(|(kind, _)| *kind == self).expect("every kind has a row");
        key
    }

    pub fn from_key(key: &str) -> Option<Self> {
        KINDS.iter().find(|(_, known)| *known == key).map(|(kind, _)| *kind)
    }

    /// Whether netdefs of that type are for hardware, which is matched, and not made.
    pub fn is_physical(self) -> bool {
        matches!(self, Self::Ethernet | Self::Wifi | Self::Modem)
    }
}

/// One definition of a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Netdef {
    pub id: String,
    pub kind: Kind,
    /// The mapping of its keys.
    pub keys: Tree,
    /// Who defined it first.
    pub origin: Origin,
    /// Who carries it out, where the definition or its type says so.
    pub renderer: Option<Renderer>,
}

impl Netdef {
    /// The value at a dotted path.
    pub fn get(&self, path: &str) -> Option<&Tree> {
        self.keys.get(path)
    }
}

/// A file that netplan would not understand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    pub file: File,
    pub problem: Box<Problem>,
}

/// Files merged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    pub netdefs: BTreeMap<String, Netdef>,
    /// `renderer` under `network`.
    pub renderer: Option<Renderer>,
    /// `openvswitch` under `network`.
    pub openvswitch: Option<Tree>,
}

impl Config {
    /// Merges the files that count. The first thing that is wrong, with its file and position.
    pub fn read(files: &Files) -> Result<Self, Broken> {
        let mut config = Self::default();
        for (file, text) in files.read() {
            let file = Arc::new(file.clone());
            let wrong = |problem| Broken { file: File::clone(&file), problem: Box::new(problem) };
            // What is wrong with a file as text is one thing.
            let node = crate::state::parse(text).map_err(wrong)?;
            config.add(&node, &file).map_err(wrong)?;
        }
        Ok(config)
    }

    /// Adds a later file.
    fn add(&mut self, node: &Node, file: &Arc<File>) -> Result<(), Problem> {
        let path = Path::root().key("network");
        let Some(network) = node.get("network").filter(|network| !network.is_null()) else { return Ok(()) };
        for Entry { key, value, .. } in entries(network, &path)? {
            match (key.as_str(), Kind::from_key(key)) {
                ("renderer", _) => self.renderer = renderer(value),
                ("openvswitch", _) => {
                    let later = Tree::of(value, file);
                    match &mut self.openvswitch {
                        Some(present) => present.merge(key, later),
                        None => self.openvswitch = Some(later),
                    }
                }
                (_, Some(kind)) if !value.is_null() => self.add_kind(kind, value, &path.key(key), file)?,
                // `version`, and what netplan itself refuses.
                _ => {}
            }
        }
        Ok(())
    }

    fn add_kind(&mut self, kind: Kind, node: &Node, path: &Path, file: &Arc<File>) -> Result<(), Problem> {
        // Of the definitions that come after it.
        let mut of_kind = None;
        for Entry { key: id, at, value } in entries(node, path)? {
            if id == "renderer" {
                of_kind = renderer(value);
                continue;
            }
            let path = path.key(id);
            entries(value, &path)?;
            let mut keys = Tree::of(value, file);
            keys.origin.at = at.or(value.at);
            let own = value.get("renderer").and_then(renderer);
            match self.netdefs.get_mut(id) {
                Some(present) if present.kind != kind => {
                    let message = format!(
                        "`{id}` is defined under `{}` at {}, too",
                        present.kind.key(),
                        present.origin
                    );
                    return Err(Problem::invalid(path, message).at(*at));
                }
                Some(present) => {
                    present.keys.merge(id, keys);
                    present.renderer = own.or(present.renderer);
                }
                None => {
                    let origin = keys.origin.clone();
                    let netdef = Netdef { id: id.clone(), kind, keys, origin, renderer: own.or(of_kind) };
                    self.netdefs.insert(id.clone(), netdef);
                }
            }
        }
        Ok(())
    }

    /// Whether nothing is defined.
    pub fn is_empty(&self) -> bool {
        self.netdefs.is_empty() && self.openvswitch.is_none()
    }
}

/// Also what carries out nothing here, as `sriov`: it leaves the choice to the default.
fn renderer(node: &Node) -> Option<Renderer> {
    Renderer::from_word(node.text()?)
}

/// The entries of a mapping; a null has none.
fn entries<'a>(node: &'a Node, path: &Path) -> Result<&'a [Entry], Problem> {
    match &node.value {
        Value::Map(entries) => Ok(entries),
        _ if node.is_null() => Ok(&[]),
        // Not what it is: it may be a secret.
        _ => Err(Problem::invalid(path.clone(), "expected a mapping").at(node.at)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netplan::Folder;

    fn files(texts: &[(&str, &str)]) -> Files {
        let mut files = Files::default();
        for (name, text) in texts {
            files.insert(File::new(Folder::Etc, *name), (*text).to_owned());
        }
        files
    }

    #[test]
    fn later_files_join_lists_and_replace_scalars() {
        let first = "network:\n  renderer: networkd\n  ethernets:\n    eth0:\n      addresses: [192.0.2.1/24]\n      dhcp4: yes\n      link-local: [ipv6]\n      nameservers: {addresses: [192.0.2.53]}\n";
        let second = "network:\n  ethernets:\n    renderer: NetworkManager\n    eth0:\n      addresses: [192.0.2.1/24, 192.0.2.2/24]\n      dhcp4: no\n      link-local: []\n      nameservers: {search: [example.org]}\n    eth1: {}\n";
        let config =
            Config::read(&files(&[("50-a.yaml", first), ("60-b.yaml", second)])).expect("it is valid");
        let eth0 = &config.netdefs["eth0"];
        let list = |path| eth0.get(path).map(|tree| tree.texts().map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(list("addresses").expect("a list"), ["192.0.2.1/24", "192.0.2.2/24"]);
        assert_eq!(list("link-local").expect("a list"), [""; 0]);
        assert_eq!(list("nameservers.search").expect("a list"), ["example.org"]);
        assert_eq!(eth0.get("dhcp4").and_then(Tree::flag), Some(false));
        assert_eq!((config.renderer, eth0.renderer), (Some(Renderer::Networkd), None));
        assert_eq!(config.netdefs["eth1"].renderer, Some(Renderer::NetworkManager));
        assert_eq!(eth0.origin.to_string(), "/etc/netplan/50-a.yaml:4:5");
        let said = |path| eth0.get(path).map(|tree| tree.origin.to_string());
        assert_eq!(said("dhcp4").expect("it is said"), "/etc/netplan/60-b.yaml:6:7");
        assert_eq!(said("nameservers.addresses").expect("it is said"), "/etc/netplan/50-a.yaml:8:21");
    }

    #[test]
    fn what_is_wrong_has_its_file_and_position() {
        let wrong = |text: &str| {
            let first = "network: {bonds: {x: {}}}";
            let Broken { file, problem } =
                Config::read(&files(&[("10-a.yaml", first), ("60-b.yaml", text)])).expect_err("it is wrong");
            let at = problem.at.map(|at| (at.line, at.column));
            (file.to_string(), at, problem.to_string())
        };
        let file = "/etc/netplan/60-b.yaml";
        assert_eq!(
            wrong("network:\n\tethernets:"),
            (
                file.into(),
                Some((2, 1)),
                "not valid YAML: a tab in the indentation (indent with spaces)".into()
            )
        );
        assert_eq!(
            wrong("network:\n  ethernets: [a]"),
            (file.into(), Some((2, 14)), "network.ethernets: expected a mapping".into())
        );
        assert_eq!(
            wrong("network:\n  ethernets: {x: {}}"),
            (
                file.into(),
                Some((2, 15)),
                "network.ethernets.x: `x` is defined under `bonds` at /etc/netplan/10-a.yaml:1:19, too"
                    .into()
            )
        );
    }
}
