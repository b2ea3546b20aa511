//! How a bond changes its options: what the driver takes in which mode, and in which state of the
//! bond (the option table of drivers/net/bonding/bond_options.c).

use crate::kernel::netlink::Hardware;
use crate::kernel::netlink::kinds::{Bond, List};

const BALANCE_RR: u8 = 0;
const ACTIVE_BACKUP: u8 = 1;
const LACP: u8 = 4;
const BALANCE_TLB: u8 = 5;
const BALANCE_ALB: u8 = 6;

/// What the bond has to be for a change of options.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Needs {
    Nothing,
    Down,
    /// Down and without ports.
    NoPorts,
}

/// What to say to a bond, in order.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct BondChange {
    pub needs: Needs,
    pub messages: Vec<Bond>,
}

/// The change from `before` to `after`. What `after` does not mention and `before` has goes to the
/// driver's default: so it is when the mode changes or the options are reset (semantics M40, M42).
pub(super) fn change(before: &Bond, after: &Bond) -> BondChange {
    let mode = after.mode.or(before.mode).unwrap_or(BALANCE_RR);
    let old_mode = before.mode.unwrap_or(mode);
    let wanted = after.clone().or(&defaults(mode).only_set_in(before));
    let changed = Bond { mode: after.mode, ..wanted.clone() }.changed_from(before);
    let needs = if changed.mode.is_some() || changed.fail_over_mac.is_some() {
        Needs::NoPorts
    } else if changed.lacp_rate.is_some()
        || changed.ad_select.is_some()
        || changed.tlb_dynamic_lb.is_some()
        || changed.lacp_active.is_some()
        || changed.ad_user_port_key.is_some()
    {
        Needs::Down
    } else {
        Needs::Nothing
    };
    let now = supported(&changed, mode, wanted.miimon);
    // What only the old mode takes has to be said while it lasts.
    let first = match changed.mode {
        Some(_) => {
            let only_old = supported(&Bond { mode: None, ..changed.clone() }, old_mode, None);
            only_old.except(&now)
        }
        None => Bond::default(),
    };
    let messages = [first, now].into_iter().filter(|message| *message != Bond::default()).collect::<Vec<_>>();
    BondChange { needs: if messages.is_empty() { Needs::Nothing } else { needs }, messages }
}

/// What can be said to a bond of that mode. The driver refuses the others whatever their value.
pub(super) fn supported(options: &Bond, mode: u8, miimon: Option<u32>) -> Bond {
    let mut options = options.clone();
    if mode != BALANCE_RR {
        options.packets_per_port = None;
    }
    if matches!(mode, LACP | BALANCE_TLB | BALANCE_ALB) {
        options.arp_interval = None;
        options.arp_validate = None;
        options.missed_max = None;
    }
    if mode != LACP {
        options.lacp_rate = None;
        options.lacp_active = None;
        options.ad_actor_sys_prio = None;
        options.ad_actor_system = None;
        options.ad_user_port_key = None;
    }
    if !matches!(mode, BALANCE_TLB | BALANCE_ALB) {
        options.tlb_dynamic_lb = None;
    }
    // Delays are multiples of the monitoring interval; without one not even 0 is taken.
    if options.miimon.or(miimon) == Some(0) {
        options.updelay = None;
        options.downdelay = None;
    }
    options
}

/// Whether ports have a priority in that mode.
pub(super) fn has_port_priority(mode: Option<u8>) -> bool {
    matches!(mode, Some(ACTIVE_BACKUP | BALANCE_TLB | BALANCE_ALB))
}

/// Whether one port can be preferred in that mode.
pub(super) fn has_primary(mode: Option<u8>) -> bool {
    has_port_priority(mode)
}

/// The driver's defaults.
fn defaults(mode: u8) -> Bond {
    Bond {
        // Modes without ARP monitoring start to watch the link by themselves.
        miimon: Some(if matches!(mode, LACP | BALANCE_TLB | BALANCE_ALB) { 100 } else { 0 }),
        updelay: Some(0),
        downdelay: Some(0),
        use_carrier: Some(true),
        arp_interval: Some(0),
        arp_ip_target: Some(List(Vec::new())),
        arp_validate: Some(0),
        arp_all_targets: Some(0),
        primary_reselect: Some(0),
        fail_over_mac: Some(0),
        xmit_hash_policy: Some(0),
        resend_igmp: Some(1),
        num_peer_notif: Some(1),
        all_ports_active: Some(0),
        min_links: Some(0),
        lp_interval: Some(1),
        packets_per_port: Some(1),
        lacp_rate: Some(0),
        ad_select: Some(0),
        ad_actor_sys_prio: Some(u16::MAX),
        ad_user_port_key: Some(0),
        ad_actor_system: Hardware::new(&[0; 6]),
        tlb_dynamic_lb: Some(true),
        lacp_active: Some(true),
        missed_max: Some(2),
        ns_ip6_target: Some(List(Vec::new())),
        ..Bond::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn active_backup() -> Bond {
        Bond { mode: Some(ACTIVE_BACKUP), miimon: Some(100), lacp_rate: Some(0), ..Bond::default() }
    }

    #[test]
    fn a_new_mode_needs_a_bond_without_ports_and_resets_the_rest() {
        let after = Bond { mode: Some(LACP), lacp_rate: Some(1), ..Bond::default() };
        let change = change(&active_backup(), &after);
        assert_eq!(change.needs, Needs::NoPorts);
        assert_eq!(change.messages.len(), 1);
        assert_eq!(change.messages[0].to_string(), "mode 4, lacp_rate 1");
    }

    #[test]
    fn what_the_new_mode_does_not_take_is_said_in_the_old_one() {
        let before = Bond { lacp_rate: Some(1), mode: Some(LACP), ..active_backup() };
        let after = active_backup();
        let texts: Vec<String> = change(&before, &after).messages.iter().map(ToString::to_string).collect();
        assert_eq!(texts, ["lacp_rate 0", "mode 1"]);
    }

    #[test]
    fn delays_are_left_out_without_link_monitoring() {
        let before = Bond { miimon: Some(100), updelay: Some(200), downdelay: Some(0), ..active_backup() };
        let after = Bond { miimon: Some(0), updelay: Some(0), arp_interval: Some(50), ..before.clone() };
        let change = change(&before, &after);
        assert_eq!(change.needs, Needs::Nothing);
        assert_eq!(change.messages[0].to_string(), "miimon 0, arp_interval 50");
    }

    #[test]
    fn nothing_to_say_needs_nothing() {
        assert_eq!(
            change(&active_backup(), &active_backup()),
            BondChange { needs: Needs::Nothing, messages: Vec::new() }
        );
    }
}
