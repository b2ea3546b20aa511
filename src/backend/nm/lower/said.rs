//! What of an interface is written into a profile that exists: what was asked for, and what changes
//! beyond that. Everything else stays as the profile has it.

use crate::plan::{Action, InterfaceChange, only_changed};
use crate::state::{Interface, Ip, Part};

/// `asked`: what the document says of it, completed.
pub(super) fn said(change: &InterfaceChange, then: &Interface, asked: Option<&Interface>) -> Interface {
    let mut changed = match change.action {
        Action::Add => then.clone(),
        Action::Modify | Action::Remove => only_changed(then, change),
    };
    if change.action != Action::Add {
        for (key, ip, whole) in
            [("ipv4", &mut changed.ipv4, &then.ipv4), ("ipv6", &mut changed.ipv6, &then.ipv6)]
        {
            *ip = whole.as_ref().and_then(|whole| changed_ip(change, key, whole)).map(Box::new);
        }
    }
    let Some(asked) = asked.filter(|_| change.reason.is_asked()) else {
        // Nothing was asked of whether it is up.
        let is_touched = change.action == Action::Add || changes(change, "state");
        changed.state = changed.state.filter(|_| is_touched);
        return changed;
    };
    let mut said = asked.clone();
    said.fill_from(&changed);
    said.kind.clone_from(&then.kind);
    said
}

/// Whether the change touches that key.
pub(in crate::backend::nm) fn changes(change: &InterfaceChange, key: &str) -> bool {
    let is_below = |path: &str| {
        path.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    change.fields.iter().any(|field| is_below(&field.path.to_string()))
}

/// The keys of one IP section that change.
fn changed_ip(change: &InterfaceChange, section: &str, whole: &Ip) -> Option<Ip> {
    let has = |key: &str| changes(change, &format!("{section}.{key}"));
    if !changes(change, section) {
        return None;
    }
    let mut own = Ip::empty();
    macro_rules! take {
        ($($key:literal => $field:ident),* $(,)?) => { $(
            if has($key) {
                own.$field.clone_from(&whole.$field);
            }
        )* };
    }
    take! {
        "enabled" => enabled, "dhcp" => dhcp, "autoconf" => autoconf, "dhcp-client-id" => dhcp_client_id,
        "dhcp-duid" => dhcp_duid, "address" => address, "auto-dns" => auto_dns,
        "auto-gateway" => auto_gateway, "auto-routes" => auto_routes,
        "auto-route-table-id" => auto_route_table_id, "auto-route-metric" => auto_route_metric,
        "addr-gen-mode" => addr_gen_mode, "token" => token, "dhcp-send-hostname" => dhcp_send_hostname,
        "dhcp-custom-hostname" => dhcp_custom_hostname, "forwarding" => forwarding,
        "prefix-route-metric" => prefix_route_metric,
    }
    Some(own)
}
