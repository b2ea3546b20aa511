//! `sriov`, in the profile of the physical function (nm-settings-dbus(5)).

use std::collections::BTreeMap;

use super::Wish;
use super::way::{self, Bool, Form, Ternary, U32, Way};
use crate::nm::{Profile, Setting, Value};
use crate::state::{Interface, Mac, SrIov, VirtualFunction, VlanProtocol};

const SRIOV: &str = "sriov";

pub(super) fn write(profile: &mut Profile, wish: &Wish<'_>) {
    let Some(section) = wish.said.ethernet.as_ref().and_then(|ethernet| ethernet.sr_iov.as_ref()) else {
        return;
    };
    // A setting that is there is enforced, and reset at deactivation: without functions there is
    // nothing to enforce.
    if section.total_vfs == Some(0) {
        profile.0.remove(SRIOV);
        return;
    }
    way::write(profile, SRIOV, |sriov| {
        functions(Way::Overlay(sriov), &mut section.clone());
        if let Some(wanted) = &section.vfs {
            write_functions(sriov, wanted);
        }
    });
}

pub(super) fn read(profile: &Profile, interface: &mut Interface) {
    let empty = SrIov { drivers_autoprobe: None, total_vfs: None, max_vfs: None, vfs: None };
    let Some(mut section) = way::read(profile, SRIOV, empty, functions) else { return };
    let stored = profile.get(SRIOV, "vfs").and_then(Value::as_dicts);
    section.vfs = stored.map(|stored| stored.iter().filter_map(read_function).collect());
    interface.ethernet.get_or_insert_with(|| Box::new(super::nothing())).sr_iov = Some(section);
}

fn functions(mut way: Way<'_>, section: &mut SrIov) {
    way.field_or("total-vfs", U32, 0, &mut section.total_vfs);
    way.field("autoprobe-drivers", Ternary, &mut section.drivers_autoprobe);
}

/// Each entry edits the stored one of its number; an empty list, and functions that are not
/// listed, go to their default (M64).
fn write_functions(sriov: &mut Setting, wanted: &[VirtualFunction]) {
    let stored = sriov.get("vfs").and_then(Value::as_dicts).unwrap_or_default();
    let stored: BTreeMap<u32, &Setting> = stored.iter().filter_map(|vf| Some((index(vf)?, vf))).collect();
    let mut list: Vec<(u32, Setting)> = wanted
        .iter()
        .map(|function| {
            let mut vf = stored.get(&function.id).copied().cloned().unwrap_or_default();
            vf.insert("index".to_owned(), function.id.into());
            keys(Way::Overlay(&mut vf), &mut function.clone());
            (function.id, vf)
        })
        .collect();
    list.sort_by_key(|(id, _)| *id);
    let list: Vec<Setting> = list.into_iter().map(|(_, vf)| vf).collect();
    way::put(sriov, "vfs", (!list.is_empty()).then_some(list));
}

fn index(vf: &Setting) -> Option<u32> {
    U32.decode(vf.get("index")?)
}

fn read_function(vf: &Setting) -> Option<VirtualFunction> {
    let mut function = VirtualFunction::new(index(vf)?);
    keys(Way::Read(vf), &mut function);
    Some(function)
}

fn keys(mut way: Way<'_>, function: &mut VirtualFunction) {
    way.field("mac", MacText, &mut function.mac_address);
    way.field("spoof-check", Bool, &mut function.spoof_check);
    way.field("trust", Bool, &mut function.trust);
    way.field("min-tx-rate", U32, &mut function.min_tx_rate);
    way.field("max-tx-rate", U32, &mut function.max_tx_rate);
    let mut vlan = function.vlan_id.map(|id| FunctionVlan {
        id,
        qos: function.qos.unwrap_or(0),
        protocol: function.vlan_proto.unwrap_or(VlanProtocol::Ieee8021Q),
    });
    way.field("vlans", FunctionVlans, &mut vlan);
    if let Some(vlan) = vlan.filter(|_| way.is_read()) {
        function.vlan_id = Some(vlan.id);
        function.qos = Some(vlan.qos);
        function.vlan_proto = Some(vlan.protocol);
    }
}

/// A MAC address as `s`.
struct MacText;

impl Form<Mac> for MacText {
    fn encode(&self, value: &Mac) -> Option<Value> {
        Some(value.to_string().into())
    }

    fn decode(&self, value: &Value) -> Option<Mac> {
        value.as_text()?.parse().ok()
    }
}

#[derive(Clone, Copy, PartialEq)]
struct FunctionVlan {
    id: u32,
    qos: u32,
    protocol: VlanProtocol,
}

/// `aa{sv}` with one entry: `id`, `qos`, and `protocol`, 0 for 802.1Q and 1 for 802.1ad. VLAN 0
/// is none.
struct FunctionVlans;

impl Form<FunctionVlan> for FunctionVlans {
    fn encode(&self, vlan: &FunctionVlan) -> Option<Value> {
        let protocol = u32::from(vlan.protocol == VlanProtocol::Ieee8021Ad);
        let keys = [("id", vlan.id), ("qos", vlan.qos), ("protocol", protocol)];
        let entry: Setting = keys.map(|(key, number)| (key.to_owned(), number.into())).into_iter().collect();
        (vlan.id != 0).then(|| vec![entry].into())
    }

    fn decode(&self, value: &Value) -> Option<FunctionVlan> {
        let entry = value.as_dicts()?.first()?;
        let number = |key| entry.get(key).and_then(|value| U32.decode(value));
        let protocol = match number("protocol") {
            Some(1) => VlanProtocol::Ieee8021Ad,
            _ => VlanProtocol::Ieee8021Q,
        };
        Some(FunctionVlan { id: number("id")?, qos: number("qos").unwrap_or(0), protocol })
    }
}
