//! Host name, running and persistent (semantics M72, V70).

use super::{HostnameChange, Merge, Reason};
use crate::state::{Hostname, Path, Problem, State};

/// Longest name that a document may give; the kernel itself holds `__NEW_UTS_LEN`, 64
/// (linux/utsname.h).
const LENGTH_MAX: usize = 63;

/// What has to change about the host name.
pub fn merge(desired: &State, current: &State) -> Result<Merge<HostnameChange, Hostname>, Vec<Problem>> {
    let Some(wanted) = &desired.hostname else {
        return Ok(Merge { changes: Vec::new(), expected: None });
    };
    let path = Path::root().key("hostname");
    let mut problems = Vec::new();
    // An empty `config` removes the persistent name; there is always a running one.
    let names = [("running", &wanted.running, 1), ("config", &wanted.config, 0)];
    for (key, name, length_min) in names {
        if name.as_ref().is_some_and(|name| !(length_min..=LENGTH_MAX).contains(&name.len())) {
            let text = format!("must have {length_min} to {LENGTH_MAX} bytes");
            problems.push(Problem::invalid(path.key(key), text));
        }
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    let changes = change(Reason::Desired, wanted, current).into_iter().collect();
    Ok(Merge { changes, expected: Some(wanted.clone()) })
}

/// The change that leads from the host name of one state to that of an earlier one.
pub fn restore(current: &State, before: &State) -> Option<HostnameChange> {
    change(Reason::Restored, before.hostname.as_ref()?, current)
}

fn change(reason: Reason, wanted: &Hostname, current: &State) -> Option<HostnameChange> {
    let now = current.hostname.as_ref();
    let before_running = now.and_then(|now| now.running.clone());
    let before_config = now.and_then(|now| now.config.clone());
    let differs = |wanted: &Option<String>, before: &Option<String>| {
        // No persistent name is shown as an empty one.
        let before = before.as_deref().unwrap_or_default();
        wanted.clone().filter(|wanted| wanted != before)
    };
    let running = differs(&wanted.running, &before_running);
    let config = differs(&wanted.config, &before_config);
    let changes = running.is_some() || config.is_some();
    changes.then_some(HostnameChange { reason, running, config, before_running, before_config })
}
