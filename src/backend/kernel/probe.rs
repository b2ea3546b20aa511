//! What links this kernel can make, found without making any and without loading a module.
//!
//! A module that is there but not loaded is loaded by the kernel when a link of its kind is made
//! (`rtnl-link-KIND` aliases). Loading it only to see would not be harmless: `bonding` makes a
//! bond0, the tunnels make their fallback links.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use nix::errno::Errno;
use nix::libc;
use tracing::info;

use crate::kernel::netlink::{Connection, NetlinkError, Request};
use crate::state::InterfaceType;

/// The kernel's kinds behind each type. A type is there if one of its kinds is.
const KINDS: [(InterfaceType, &[&str]); 13] = [
    (InterfaceType::Bond, &["bond"]),
    (InterfaceType::LinuxBridge, &["bridge"]),
    (InterfaceType::Dummy, &["dummy"]),
    (InterfaceType::Hsr, &["hsr"]),
    (InterfaceType::IpTunnel, &["ipip", "sit", "ip6tnl"]),
    (InterfaceType::Ipvlan, &["ipvlan"]),
    (InterfaceType::MacVlan, &["macvlan"]),
    (InterfaceType::MacVtap, &["macvtap"]),
    (InterfaceType::Macsec, &["macsec"]),
    (InterfaceType::Veth, &["veth"]),
    (InterfaceType::Vlan, &["vlan"]),
    (InterfaceType::Vrf, &["vrf"]),
    (InterfaceType::Vxlan, &["vxlan"]),
];

/// What this kernel can make.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::backend) struct Kinds {
    pub kinds: BTreeSet<&'static str>,
    pub vlan_filtering: bool,
}

impl Kinds {
    pub(super) async fn probe(connection: &mut Connection) -> Result<Self, NetlinkError> {
        let all = KINDS.iter().flat_map(|(_, kinds)| kinds.iter().copied());
        let (mut kinds, asked) = Listed::read().sort(all);
        let requests: Vec<Request> = asked.iter().map(|kind| impossible_link(kind)).collect();
        let answers = connection.batch(&requests).await?;
        let known = asked.iter().zip(answers);
        kinds.extend(known.filter(|(_, answer)| !is_unknown(answer)).map(|(kind, _)| *kind));
        let vlan_filtering = kinds.contains("bridge") && filters_vlans(connection).await?;
        Ok(Self { kinds, vlan_filtering })
    }

    pub(in crate::backend) fn types(&self) -> BTreeSet<InterfaceType> {
        let made = KINDS.iter().filter(|(_, kinds)| kinds.iter().any(|kind| self.kinds.contains(kind)));
        made.map(|(kind, _)| kind.clone()).chain([InterfaceType::Ethernet, InterfaceType::Loopback]).collect()
    }
}

/// A link that no kernel makes: it has too many queues (the limit is 4096, `rtnl_create_link`). A
/// kernel that does not know the kind says so first.
fn impossible_link(kind: &str) -> Request {
    const QUEUES: u32 = 1 << 30;
    Request::new(libc::RTM_NEWLINK, libc::NLM_F_CREATE | libc::NLM_F_EXCL, &[0; 16]).with(|w| {
        w.put(libc::IFLA_NUM_TX_QUEUES, &QUEUES);
        w.nest(libc::IFLA_LINKINFO, |w| w.text(libc::IFLA_INFO_KIND, kind));
    })
}

fn is_unknown(answer: &Result<(), crate::kernel::netlink::Refusal>) -> bool {
    answer.as_ref().is_err_and(|refusal| refusal.errno == Errno::EOPNOTSUPP)
}

/// A bridge without VLAN filtering does not answer for its VLANs. One that is not loaded yet
/// answers for nothing, and then the usual is assumed.
async fn filters_vlans(connection: &mut Connection) -> Result<bool, NetlinkError> {
    /// `RTM_GETVLAN`, linux/rtnetlink.h, with a `struct br_vlan_msg`.
    const GET_VLAN: u16 = 114;
    let mut header = [0; 8];
    header[0] = u8::try_from(libc::AF_BRIDGE).expect("AF_BRIDGE is 7");
    let answer = connection.dump(&Request::new(GET_VLAN, 0, &header), |(): &mut (), _| {}).await;
    match answer {
        Ok(()) => Ok(true),
        Err(error) if error.errno() == Some(Errno::EOPNOTSUPP) => {
            Ok(!Path::new("/sys/module/bridge").exists())
        }
        Err(error) => Err(error),
    }
}

/// The kinds that the modules of the running kernel provide, by their aliases.
#[derive(Debug, PartialEq, Eq)]
enum Listed {
    Are {
        loadable: BTreeSet<String>,
        /// None before Linux 5.2, which does not list them.
        built_in: Option<BTreeSet<String>>,
    },
    /// There is a list, and this process may not read it (ProtectKernelModules= of systemd).
    Hidden,
}

impl Listed {
    fn read() -> Self {
        match fs::read_to_string("/proc/sys/kernel/osrelease") {
            Ok(release) => Self::read_from(&Path::new("/lib/modules").join(release.trim())),
            Err(_) => Self::Hidden,
        }
    }

    fn read_from(folder: &Path) -> Self {
        let read = |file, end, prefix| match names(&folder.join(file), end, prefix) {
            Ok(names) => Ok(Some(names)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        };
        let loadable = read("modules.alias", b'\n', "alias rtnl-link-");
        // The module's name and a dot come first.
        let built_in = read("modules.builtin.modinfo", 0, "alias=rtnl-link-");
        match (loadable, built_in) {
            (Ok(loadable), Ok(built_in)) => Self::Are { loadable: loadable.unwrap_or_default(), built_in },
            (Err(error), _) | (_, Err(error)) => {
                info!(%error, "it is not known which kinds of links this kernel can make");
                Self::Hidden
            }
        }
    }

    /// The kinds that are there, and those to ask the kernel for. It looks for a module of each kind that
    /// it is asked for, so only those are that no module provides.
    fn sort<'a>(&self, all: impl Iterator<Item = &'a str>) -> (BTreeSet<&'a str>, Vec<&'a str>) {
        match self {
            Self::Are { loadable, built_in: Some(built_in) } => (
                all.filter(|kind| loadable.contains(*kind) || built_in.contains(*kind)).collect(),
                Vec::new(),
            ),
            Self::Are { loadable, built_in: None } => {
                let (there, asked): (Vec<&str>, Vec<&str>) = all.partition(|kind| loadable.contains(*kind));
                (there.into_iter().collect(), asked)
            }
            // What turns out to be missing is refused by the kernel, and rolled back.
            Self::Hidden => (all.collect(), Vec::new()),
        }
    }
}

/// What follows a prefix in the lines of a file, up to a space, where only a word with a dot may stand before.
/// The file of a distribution has megabytes: they are not kept.
fn names(file: &Path, end: u8, prefix: &str) -> io::Result<BTreeSet<String>> {
    let mut file = BufReader::with_capacity(64 << 10, File::open(file)?);
    let mut names = BTreeSet::new();
    let mut line = Vec::new();
    while file.read_until(end, &mut line)? > 0 {
        let text = line.strip_suffix(&[end]).unwrap_or(&line);
        let bare = text.strip_prefix(prefix.as_bytes()).or_else(|| {
            let dot = text.iter().position(|byte| *byte == b'.')?;
            text[dot + 1..].strip_prefix(prefix.as_bytes())
        });
        let name = bare.and_then(|rest| rest.split(|byte| *byte == b' ').next());
        names.extend(name.map(|name| String::from_utf8_lossy(name).into_owned()));
        line.clear();
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [&str; 3] = ["bond", "vlan", "vrf"];

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (name, text) in files {
            fs::write(folder.path().join(name), text).expect("a file is written");
        }
        folder
    }

    #[test]
    fn nothing_is_asked_for_that_a_module_provides() {
        let loadable = ("modules.alias", "# Aliases\nalias pci:v* e1000\nalias rtnl-link-bond bonding\n");
        let built_in = ("modules.builtin.modinfo", "8021q.license=GPL\x008021q.alias=rtnl-link-vlan\x00");
        let sorted = |files: &[(&str, &str)]| {
            let folder = folder(files);
            let (there, asked) = Listed::read_from(folder.path()).sort(ALL.into_iter());
            (Vec::from_iter(there), asked)
        };
        assert_eq!(sorted(&[loadable, built_in]), (vec!["bond", "vlan"], vec![]));
        assert_eq!(sorted(&[loadable]), (vec!["bond"], vec!["vlan", "vrf"]));
        assert_eq!(sorted(&[]), (vec![], ALL.to_vec()));
        // A list that cannot be read: a folder in the place of the file.
        let hidden = folder(&[built_in]);
        fs::create_dir(hidden.path().join("modules.alias")).expect("a folder is made");
        let (there, asked) = Listed::read_from(hidden.path()).sort(ALL.into_iter());
        assert_eq!((Vec::from_iter(there), asked), (ALL.to_vec(), vec![]));
    }
}
