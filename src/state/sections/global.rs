//! Host name and resolver (schema 7.1, 7.2).

section! {
    /// Host name.
    pub struct Hostname {
        /// The name in use, 1 to 63 bytes.
        "running" => running: Option<String>,
        /// The persistent name; empty removes it.
        "config" => config: Option<String>,
    }
}

section! {
    /// Resolver.
    pub struct DnsResolver {
        /// What is in effect.
        "running" => running: Option<DnsSettings> [ReadOnly],
        /// What is configured.
        "config" => config: Option<DnsSettings>,
    }
}

section! {
    /// Settings of the resolver. Under `config` a missing list keeps the current one, an empty
    /// list empties it, and `{}` removes everything.
    pub struct DnsSettings {
        /// Name servers in order; a link-local one as `fe80::1%eth1`.
        "server" => server: Option<Vec<String>>,
        /// Domains to search, in order.
        "search" => search: Option<Vec<String>>,
        /// Options of resolv.conf(5).
        "options" => options: Option<Vec<String>>,
    }
}
