//! The document as a whole.

use super::{
    DnsResolver, Hostname, Interface, OvnSettings, OvsSettings, Route, RouteRule, RouteRules, Routes,
};

section! {
    /// A network state: what a query shows and what a client desires. In a desired document a
    /// missing key means "keep what is".
    pub struct State {
        /// Free text for the whole document; ignored by apply and query.
        "description" => description: Option<String>,
        /// Host name, running and persistent.
        "hostname" => hostname: Option<Hostname>,
        /// Name servers, search domains and resolver options.
        "dns-resolver" => dns_resolver: Option<DnsResolver>,
        /// Policy routing rules.
        "route-rules" => route_rules: Option<RouteRules>,
        /// Routes.
        "routes" => routes: Option<Routes>,
        /// Network interfaces.
        "interfaces" => interfaces: Option<Vec<Interface>>,
        /// Global Open vSwitch settings.
        "ovs-db" => ovs_db: Option<OvsSettings>,
        /// OVN bridge mappings.
        "ovn" => ovn: Option<OvnSettings>,
    }
}

impl State {
    /// A document that mentions nothing.
    pub fn empty() -> Self {
        Self {
            description: None,
            hostname: None,
            dns_resolver: None,
            route_rules: None,
            routes: None,
            interfaces: None,
            ovs_db: None,
            ovn: None,
        }
    }

    pub fn interfaces(&self) -> &[Interface] {
        self.interfaces.as_deref().unwrap_or_default()
    }

    /// The first interface of that name.
    pub fn interface(&self, name: &str) -> Option<&Interface> {
        self.interfaces().iter().find(|interface| interface.name == name)
    }

    pub fn config_routes(&self) -> &[Route] {
        self.routes.as_ref().and_then(|routes| routes.config.as_deref()).unwrap_or_default()
    }

    pub fn running_routes(&self) -> &[Route] {
        self.routes.as_ref().and_then(|routes| routes.running.as_deref()).unwrap_or_default()
    }

    pub fn config_rules(&self) -> &[RouteRule] {
        self.route_rules.as_ref().and_then(|rules| rules.config.as_deref()).unwrap_or_default()
    }

    /// Makes every secret of this copy print itself.
    pub fn reveal_secrets(&mut self) {
        self.interfaces.iter_mut().flatten().for_each(Interface::reveal_secrets);
    }
}

impl Default for State {
    fn default() -> Self {
        Self::empty()
    }
}
