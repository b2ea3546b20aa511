//! What a user gives where a document is expected: a document, or a policy, which becomes one.

use super::difference;
use crate::plan::{Key, base, ports};
use crate::policy::{Captured, Policy};
use crate::state::{Document, Interface, Part, Problem, State};

/// A document or a policy, and the text that it was read from.
#[derive(Debug)]
pub struct Given {
    document: Document,
    what: What,
}

#[derive(Debug)]
enum What {
    State(State),
    Policy(Policy),
}

impl Given {
    /// Reads either, by the keys that it has. Returns warnings, too. A text without anything asks for
    /// nothing.
    pub fn read(document: Document) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        if document.node().is_null() {
            return Ok((Self { document, what: What::State(State::empty()) }, Vec::new()));
        }
        if Policy::is_policy(document.node()) {
            let policy = Policy::read(document.node())?;
            return Ok((Self { document, what: What::Policy(policy) }, Vec::new()));
        }
        let (state, warnings) = document.state()?;
        Ok((Self { document, what: What::State(state) }, warnings))
    }

    pub fn policy(&self) -> Option<&Policy> {
        match &self.what {
            What::State(_) => None,
            What::Policy(policy) => Some(policy),
        }
    }

    /// Whether what it asks for depends on a state that it does not bring along.
    pub fn needs_current(&self) -> bool {
        self.policy().is_some_and(|policy| policy.has_captures() && policy.current().is_none())
    }

    /// The state that it asks for, with warnings; of a policy with captures only what differs from
    /// `current`, or from the state that it brings along (schema 12.1).
    pub fn state(&self, current: Option<&State>) -> Result<(State, Vec<Problem>), Vec<Problem>> {
        let policy = match &self.what {
            What::State(state) => return Ok((state.clone(), Vec::new())),
            What::Policy(policy) => policy,
        };
        let empty = State::empty();
        let current = current.or(policy.current()).unwrap_or(&empty);
        let (filled, warnings) = policy.fill(&policy.capture(current)?)?;
        if !policy.has_captures() {
            return Ok((filled, warnings));
        }
        let reduced = difference(&filled, current).map_err(|problems| self.place(problems))?;
        Ok((reduced, warnings))
    }

    /// What a policy asks for, whole, with what it has captured from `current`, or in the place of that
    /// from a file.
    pub fn filled(
        &self,
        current: Option<&State>,
        captured: Option<Captured>,
    ) -> Result<Filled, Vec<Problem>> {
        let policy = match &self.what {
            What::State(state) => {
                return Ok(Filled {
                    state: state.clone(),
                    captured: Captured::default(),
                    warnings: Vec::new(),
                });
            }
            What::Policy(policy) => policy,
        };
        let empty = State::empty();
        let captured = match captured {
            Some(captured) => captured,
            None => policy.capture(current.or(policy.current()).unwrap_or(&empty))?,
        };
        let (state, warnings) = policy.fill(&captured)?;
        Ok(Filled { state, captured, warnings })
    }

    /// Gives problems that know only their path in the state their place in this text.
    pub fn place(&self, problems: Vec<Problem>) -> Vec<Problem> {
        match &self.what {
            What::State(_) => self.document.place(problems),
            What::Policy(policy) => policy.place(problems),
        }
    }
}

/// A policy with everything captured in its place.
#[derive(Debug)]
pub struct Filled {
    pub state: State,
    pub captured: Captured,
    pub warnings: Vec<Problem>,
}

/// Several documents as the one that they ask for together: later ones complete and change earlier
/// ones, and an interface that is to be absent takes along its ports and what rests on it (semantics F6).
/// Routes and rules add up; the peer loses them.
pub fn merged(states: impl IntoIterator<Item = State>) -> State {
    states.into_iter().reduce(over).unwrap_or_default()
}

fn over(earlier: State, mut later: State) -> State {
    let mut interfaces = earlier.interfaces.clone().unwrap_or_default();
    for mut interface in later.interfaces.take().unwrap_or_default() {
        let key = Key::of(&interface);
        let place = interfaces.iter().position(|other| Key::of(other) == key);
        if interface.is_absent() {
            let gone = place.map(|place| interfaces.remove(place));
            if let Some(gone) = gone {
                drop_with(&gone, &mut interfaces);
            }
            interfaces.push(interface);
            continue;
        }
        match place {
            Some(place) if !interfaces[place].is_absent() => {
                interface.fill_from(&interfaces[place]);
                interfaces[place] = interface;
            }
            Some(place) => interfaces[place] = interface,
            None => interfaces.push(interface),
        }
    }
    let routes = [earlier.config_routes(), later.config_routes()].concat();
    let rules = [earlier.config_rules(), later.config_rules()].concat();
    later.fill_from(&earlier);
    later.interfaces = Some(interfaces);
    if let Some(config) = later.routes.as_mut().and_then(|routes| routes.config.as_mut()) {
        *config = routes.into();
    }
    if let Some(config) = later.route_rules.as_mut().and_then(|rules| rules.config.as_mut()) {
        *config = rules;
    }
    later
}

/// Takes out the ports of an interface that is gone, and what rests on it.
fn drop_with(gone: &Interface, interfaces: &mut Vec<Interface>) {
    let ports: Vec<String> = ports(gone).unwrap_or_default().into_iter().map(str::to_owned).collect();
    let goes = |other: &Interface| {
        !other.is_absent() && (ports.contains(&other.name) || base(other) == Some(&gone.name))
    };
    let (dropped, kept): (Vec<_>, Vec<_>) = std::mem::take(interfaces).into_iter().partition(goes);
    *interfaces = kept;
    // Each is gone already when its own are looked for, so this ends.
    dropped.iter().for_each(|gone| drop_with(gone, interfaces));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(text: &str) -> Given {
        let document = Document::from_text(text).expect("YAML");
        Given::read(document).unwrap_or_else(|problems| panic!("{problems:?}")).0
    }

    fn state(text: &str) -> State {
        given(text).state(None).expect("a state").0
    }

    #[test]
    fn later_documents_complete_earlier_ones_and_take_away() {
        let one = state(
            "interfaces:
- {name: eth1, type: ethernet, mtu: 1400}
- {name: bond0, type: bond, link-aggregation: {mode: 1, port: [eth2]}}
- {name: eth2, type: ethernet}
- {name: bond0.7, type: vlan, vlan: {base-iface: bond0, id: 7}}
- {name: bond0.7.8, type: vlan, vlan: {base-iface: bond0.7, id: 8}}
routes: {config: [{destination: 198.51.100.0/24, next-hop-interface: eth1}]}
",
        );
        let two = state(
            "interfaces:
- {name: bond0, state: absent}
- {name: eth1, type: ethernet, lldp: {enabled: true}}
routes: {config: [{destination: 203.0.113.0/24, next-hop-interface: eth1}]}
",
        );
        let both = merged([one, two]);
        let names: Vec<&str> = both.interfaces().iter().map(|interface| interface.name.as_str()).collect();
        assert_eq!(names, ["eth1", "bond0"]);
        assert_eq!((both.interfaces()[0].mtu, both.config_routes().len()), (Some(1400), 2));
        assert!(both.interfaces()[0].lldp.is_some());
    }

    #[test]
    fn a_policy_asks_for_what_differs_and_its_problems_have_their_place() {
        let text = "capture: {one: interfaces.name == \"eth1\"}
current:
  interfaces: [{name: eth1, type: ethernet, state: up, mtu: 1500}]
desired:
  interfaces:
  - name: \"{{ capture.one.interfaces.0.name }}\"
    type: ethernet
    mtu: MTU
";
        let asks = |mtu: &str| given(&text.replace("MTU", mtu)).state(None);
        assert_eq!(asks("1500").expect("a state").0.interfaces(), []);
        assert_eq!(asks("1400").expect("a state").0.interfaces()[0].mtu, Some(1400));
        let problems = given(&text.replace("mtu: MTU", "controller: br0")).state(None).expect_err("no br0");
        assert_eq!(problems[0].path.to_string(), "desired.interfaces[0].controller");
        assert_eq!(problems[0].at.map(|at| at.line), Some(8), "{problems:?}");
        assert_eq!(asks("soon").expect_err("no number")[0].path.to_string(), "desired.interfaces[0].mtu");
    }
}
