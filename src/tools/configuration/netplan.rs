//! netplan's file: what our backend writes where nobody else defines anything.

use super::{Configuration, Network, under};
use crate::netplan::{Config, Devices, OWN, Renderer, Target, Version, Wanted, Wish, compose};
use crate::plan::{Action, Change, configured};
use crate::state::{ErrorKind, Problem, State};

/// Everything can be said that the version we know can.
const VERSION: Version = Version::new(1, 1, 2);

/// The file that says what a document says, for that renderer.
pub(super) fn netplan(desired: &State, renderer: Renderer) -> Result<Configuration, Vec<Problem>> {
    let network = Network::with_netplan(desired)?;
    let mut wanted = Wanted::default();
    for (key, then) in &network.then {
        let interface = configured(then.clone());
        let asked = network.plan.expected.interfaces().iter().find(|own| crate::plan::Key::of(own) == *key);
        let said = asked.map_or_else(|| interface.clone(), |asked| configured(asked.clone()));
        wanted.interfaces.push(Wish { interface, said, current: None });
    }
    let mut nowhere = Vec::new();
    let mut rules = Vec::new();
    for change in &network.plan.changes {
        match change {
            Change::Route(change) if change.action != Action::Remove => match change.route.route_type {
                Some(_) => nowhere.push(change.route.clone()),
                None => wanted.routes.push(change.route.clone()),
            },
            Change::Rule(change) if change.action != Action::Remove => rules.push(change.rule.clone()),
            Change::Dns(change) => wanted.dns = Some(change.after.clone()),
            Change::OvsDb(_) => wanted.ovs_db.clone_from(&desired.ovs_db),
            _ => {}
        }
    }
    wanted.nowhere = Some(nowhere).filter(|list| !list.is_empty());
    wanted.rules = Some(rules).filter(|list| !list.is_empty());
    let target = Target { renderer, version: VERSION };
    let nothing = Config::default();
    let composed = compose(&nothing, &nothing, &wanted, &target, &Devices::default());
    let composed = composed.map_err(|refusals| {
        let problem = |refusal: crate::netplan::Refusal| {
            let of = refusal.interface.as_deref().and_then(|name| {
                network.then.values().find(|own| own.name == name).map(|own| network.origin(own))
            });
            let path = of.map_or_else(|| refusal.path.clone(), |origin| under(&origin, &refusal.path));
            let mut problem = Problem::new(ErrorKind::NotSupportedError, path, refusal.text);
            problem.interface = refusal.interface;
            problem
        };
        refusals.into_iter().map(problem).collect::<Vec<_>>()
    })?;
    let files = vec![(OWN.to_owned(), composed.text)];
    Ok(Configuration {
        files: files.into_iter().filter(|(_, text)| !text.is_empty()).collect(),
        warnings: network.warnings.clone(),
    })
}
