//! What netplan's files say, laid over the kernel's state. Pure.
//!
//! The kernel says what is, the files what was meant: how addresses come, who may authenticate, which name
//! servers are asked. Where both know the same thing the kernel is believed, so that a link that somebody
//! else has changed is seen to differ from what was asked for.

use crate::state::{DnsResolver, Interface, Ip, State};

/// `said`: what all files say together, as a document.
pub(super) fn lay(mut kernel: State, said: &State) -> State {
    for interface in kernel.interfaces.iter_mut().flatten().filter(|one| !one.kind().is_userspace()) {
        let is_it = |said: &&Interface| said.name == interface.name && !said.kind().is_userspace();
        if let Some(said) = said.interfaces().iter().find(is_it) {
            complete(interface, said);
        }
    }
    if let Some(said) = said.dns_resolver.as_ref().and_then(|dns| dns.config.clone()) {
        let dns = kernel.dns_resolver.get_or_insert(DnsResolver { running: None, config: None });
        dns.config = Some(said);
    }
    kernel
}

fn complete(interface: &mut Interface, said: &Interface) {
    interface.ieee8021x.clone_from(&said.ieee8021x);
    interface.profile_name.clone_from(&said.profile_name);
    // Ports of a bond may all have one address: then it finds none of them.
    if said.mac_address == interface.mac_address {
        interface.identifier = said.identifier;
    }
    // NetworkManager listens, waits and balances in user space.
    if said.lldp.is_some() {
        interface.lldp.clone_from(&said.lldp);
    }
    if said.wait_ip.is_some() {
        interface.wait_ip = said.wait_ip;
    }
    let balances = said.bond.as_ref().and_then(|bond| bond.options.as_ref()?.balance_slb);
    if let Some(options) = interface.bond.as_mut().and_then(|bond| bond.options.as_mut())
        && balances.is_some()
    {
        options.balance_slb = balances;
    }
    for (ip, said) in [(&mut interface.ipv4, &said.ipv4), (&mut interface.ipv6, &said.ipv6)] {
        let Some(said) = said.as_deref() else { continue };
        let is_bare = ip.as_deref().is_none_or(|ip| ip.addresses().is_empty());
        if !said.is_enabled() && is_bare {
            // Without addresses it is off, whatever the kernel would accept.
            *ip = Some(Box::new(Ip::new(false)));
        } else {
            addressing(ip.get_or_insert_with(|| Box::new(Ip::new(true))), said);
        }
    }
}

fn addressing(ip: &mut Ip, said: &Ip) {
    if said.dhcp == Some(true) || said.autoconf == Some(true) {
        ip.enabled = Some(true);
    }
    macro_rules! take {
        ($($field:ident),* $(,)?) => { $(
            if said.$field.is_some() {
                ip.$field.clone_from(&said.$field);
            }
        )* };
    }
    take! {
        dhcp, autoconf, dhcp_client_id, dhcp_duid, auto_dns, auto_gateway, auto_routes, auto_route_table_id,
        auto_route_metric, dhcp_send_hostname, dhcp_custom_hostname, addr_gen_mode, token,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Document;

    fn state(yaml: &str) -> State {
        Document::from_text(yaml).expect("YAML").state().expect("a valid state").0
    }

    #[test]
    fn what_was_meant_completes_what_is() {
        let kernel = state(
            "
interfaces:
- {name: eth1, type: ethernet, mtu: 1400, ipv4: {enabled: false}, ipv6: {enabled: true, autoconf: false}}
- name: eth2
  type: ethernet
  ipv6: {enabled: true, dhcp: false, address: [{ip: '2001:db8::7', prefix-length: 64}]}
- {name: eth3, type: ethernet, ipv4: {enabled: false}}
",
        );
        let said = state(
            "
interfaces:
- {name: eth1, type: ethernet, mtu: 1500, ipv4: {enabled: true, dhcp: true, auto-dns: false}, ipv6: {enabled: false}}
- {name: eth2, type: ethernet, ipv6: {enabled: false}}
- {name: gone, type: dummy}
dns-resolver: {config: {server: [192.0.2.53]}}
",
        );
        let shown = lay(kernel, &said);
        let expected = state(
            "
interfaces:
- name: eth1
  type: ethernet
  mtu: 1400
  ipv4: {enabled: true, dhcp: true, auto-dns: false}
  ipv6: {enabled: false}
- name: eth2
  type: ethernet
  ipv6: {enabled: true, dhcp: false, address: [{ip: '2001:db8::7', prefix-length: 64}]}
- {name: eth3, type: ethernet, ipv4: {enabled: false}}
dns-resolver: {config: {server: [192.0.2.53]}}
",
        );
        let only = |state: &State| (state.interfaces.clone(), state.dns_resolver.clone());
        assert_eq!(only(&shown), only(&expected));
    }
}
