//! Open vSwitch: the ports of its bridges have profiles and devices of their own, which no document
//! mentions as interfaces.

use super::Lowering;
use super::decide::{Decision, Goal};
use crate::backend::nm::choose::{Candidate, Chosen};
use crate::backend::nm::reapply::{self, Way};
use crate::backend::nm::work::{Layer, Step, Until, Which};
use crate::nm::Profile;
use crate::nm::settings::{OvsPort, ovs_ports, write_ovs_port};
use crate::state::{Interface, InterfaceType};

/// `connection.type`, as a type of interfaces.
fn port_kind() -> InterfaceType {
    InterfaceType::Other("ovs-port".to_owned())
}

impl<'a> Lowering<'a> {
    /// Decides the ports of a bridge that was decided.
    pub(super) fn decide_ports(
        &self,
        bridge: &Interface,
        of_bridge: &Decision<'a>,
        new_uuid: &mut dyn FnMut() -> String,
    ) -> Vec<Decision<'a>> {
        let Goal::Up(way) = of_bridge.goal else { return Vec::new() };
        let wanted = ovs_ports(bridge).into_iter();
        wanted.map(|port| self.decide_port(&port, way, of_bridge.depth, new_uuid)).collect()
    }

    fn decide_port(
        &self,
        port: &OvsPort,
        of_bridge: Way,
        depth: u32,
        new_uuid: &mut dyn FnMut() -> String,
    ) -> Decision<'a> {
        let which = Which { name: port.port.name.clone(), layer: Layer::OvsPort };
        let stored = match self.profiles.choose(&which, &port_kind()) {
            Chosen::Change(candidate) => Some(candidate),
            Chosen::CopyOf(_) | Chosen::New => None,
        };
        let mut profile = stored.map(|own| own.stored.profile.clone()).unwrap_or_default();
        write_ovs_port(&mut profile, port);
        let write = match stored {
            None => {
                profile.set("connection", "uuid", new_uuid());
                Some(Step::Add { which: which.clone(), profile: profile.clone() })
            }
            Some(own) => {
                self.keep_references(&own.stored.profile, &mut profile);
                let is_same = reapply::is_same(&own.stored.profile, &profile);
                let version_id = own.stored.version_id;
                (!is_same).then(|| Step::Update {
                    which: which.clone(),
                    profile: profile.clone(),
                    version_id,
                })
            }
        };
        let uuid = profile.uuid().unwrap_or_default().to_owned();
        let others = self.profiles.others(&which, Some(&uuid));
        Decision {
            goal: Goal::Up(self.way_of_port(&which, stored, &profile, of_bridge)),
            ready: Until::Ready { uuid: uuid.clone(), ipv4: false, ipv6: false },
            others: others.into_iter().map(|candidate| (candidate, false)).collect(),
            on_device: false,
            peer: None,
            in_the_way: false,
            which,
            depth,
            uuid,
            write,
        }
    }

    fn way_of_port(
        &self,
        which: &Which,
        stored: Option<Candidate<'_>>,
        profile: &Profile,
        of_bridge: Way,
    ) -> Way {
        let Some(own) = stored.filter(|_| self.is_running(which, stored)) else { return Way::Activate };
        // Ports join a bridge that starts again.
        if of_bridge >= Way::Activate {
            return Way::Activate;
        }
        reapply::way(&own.stored.profile, profile, &self.image.version)
    }

    /// The profiles of the ports of a bridge.
    pub(super) fn ports_of(&self, bridge: &str) -> Vec<(Which, Candidate<'a>)> {
        let is_of_bridge = |candidate: &Candidate<'a>| {
            let Some(controller) = candidate.stored.profile.text("connection", "master") else {
                return false;
            };
            let stored = self.image.stored(controller).map(|(_, stored)| stored);
            stored.and_then(|stored| stored.profile.interface_name()).unwrap_or(controller) == bridge
        };
        let all = self.profiles.all().filter(|(which, _)| which.layer == Layer::OvsPort);
        let each = all
            .flat_map(|(which, candidates)| candidates.iter().map(|candidate| (which.clone(), *candidate)));
        each.filter(|(_, candidate)| is_of_bridge(candidate)).collect()
    }

    /// Profiles of ports that their bridge does not have any more.
    pub(super) fn dropped_ports(&self, bridge: &Interface) -> Vec<(Which, Candidate<'a>)> {
        let wanted: Vec<String> = ovs_ports(bridge).into_iter().map(|port| port.port.name).collect();
        let mut dropped = self.ports_of(&bridge.name);
        dropped.retain(|(which, _)| !wanted.contains(&which.name));
        dropped
    }
}
