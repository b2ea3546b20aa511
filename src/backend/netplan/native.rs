//! Documents in netplan's own words, beside what a document says in the schema. Pure.

use crate::netplan::{Meaning, NATIVE, place_in};
use crate::state::{Native, Path, Position, RouteRules, Routes, State};

/// `desired`, with what `native` means at the end; and the places of the interfaces that this adds. What the
/// document says of an interface itself stays: a state that is shown has both.
pub(super) fn beside(desired: &State, native: Native, meaning: Meaning) -> (State, Vec<Path>) {
    let Meaning { state: meant, places } = meaning;
    let added = meant.interfaces().iter().zip(places);
    let added = added.filter(|(one, _)| desired.interface(&one.name).is_none());
    let (added, places): (Vec<_>, Vec<_>) = added.map(|(one, place)| (one.clone(), place)).unzip();
    let mut whole = desired.clone();
    whole.network = Some(native);
    whole.interfaces.get_or_insert_default().extend(added);
    if !meant.config_routes().is_empty() {
        let routes = desired.config_routes().iter().chain(meant.config_routes()).cloned();
        whole.routes = Some(Routes { running: None, config: Some(routes.collect()) });
    }
    if !meant.config_rules().is_empty() {
        let rules = desired.config_rules().iter().chain(meant.config_rules()).cloned();
        whole.route_rules = Some(RouteRules { config: Some(rules.collect()) });
    }
    if whole.dns_resolver.is_none() {
        whole.dns_resolver = meant.dns_resolver;
    }
    (whole, places)
}

/// The place in the document of what netplan complains of, as `/run/netplan/91-x.yaml:4:7: ...`.
pub(super) fn place(text: &str, complaint: &str) -> Option<Path> {
    let (_, rest) = complaint.split_once(NATIVE)?;
    let mut numbers = rest.strip_prefix(':')?.splitn(3, ':');
    let (line, column) = (numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?);
    place_in(text, Position { line, column })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_leads_to_its_place_in_the_document() {
        let text = "# By nmstated.\nnetwork:\n  ethernets:\n    eth1:\n      adresses: []\n";
        let complaint = format!(
            "netplan refuses it: /run/netplan/{NATIVE}:5:7: Error in network definition: unknown key"
        );
        let place = |complaint: &str| place(text, complaint).map(|path| path.to_string());
        assert_eq!(place(&complaint).as_deref(), Some("network.ethernets.eth1.adresses"));
        assert_eq!(place("/etc/netplan/10-admin.yaml:5:7: Error"), None);
    }
}
