//! What links this kernel can make, found without making any and without loading a module.
//!
//! A module that is there but not loaded is loaded by the kernel when a link of its kind is made
//! (`rtnl-link-KIND` aliases). Loading it only to see would not be harmless: `bonding` makes a
//! bond0, the tunnels make their fallback links.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use nix::errno::Errno;
use nix::libc;

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
pub(super) struct Kinds {
    pub kinds: BTreeSet<&'static str>,
    pub vlan_filtering: bool,
}

impl Kinds {
    pub(super) async fn probe(connection: &mut Connection) -> Result<Self, NetlinkError> {
        let aliases = Aliases::read();
        let all = KINDS.iter().flat_map(|(_, kinds)| kinds.iter().copied());
        let (mut kinds, asked): (BTreeSet<&str>, Vec<&str>) = match &aliases {
            Some(aliases) => (all.clone().filter(|kind| aliases.has(kind)).collect(), Vec::new()),
            // Without a list of modules, modules cannot be loaded either, so asking is harmless.
            None => (BTreeSet::new(), all.clone().collect()),
        };
        let requests: Vec<Request> = asked.iter().map(|kind| impossible_link(kind)).collect();
        let answers = connection.batch(&requests).await?;
        let known = asked.iter().zip(answers);
        kinds.extend(known.filter(|(_, answer)| !is_unknown(answer)).map(|(kind, _)| *kind));
        let vlan_filtering = kinds.contains("bridge") && filters_vlans(connection).await?;
        Ok(Self { kinds, vlan_filtering })
    }

    pub(super) fn types(&self) -> BTreeSet<InterfaceType> {
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

/// The kinds that the kernel's modules provide, built in or loadable.
struct Aliases(String);

impl Aliases {
    /// None where the modules of the running kernel are not listed.
    fn read() -> Option<Self> {
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").ok()?;
        let folder = Path::new("/lib/modules").join(release.trim());
        let read = |name: &str| {
            fs::read(folder.join(name)).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        };
        let loadable = read("modules.alias").ok()?;
        // Separated by NUL instead of lines; not every kernel has it.
        let built_in = read("modules.builtin.modinfo").ok()?.replace('\0', "\n");
        Some(Self(format!("{loadable}\n{built_in}")))
    }

    fn has(&self, kind: &str) -> bool {
        let loadable = format!("alias rtnl-link-{kind} ");
        let built_in = format!("alias=rtnl-link-{kind}");
        self.0.lines().any(|line| line.starts_with(&loadable) || line.ends_with(&built_in))
    }
}
