//! Host name and resolver.

use super::Scope;
use crate::kernel::mirror::{Image, Resolver};
use crate::state::{DnsResolver, DnsSettings, Hostname};

pub(super) fn hostname(image: &Image) -> Option<Hostname> {
    let running = image.host.running_name.as_ref()?;
    Some(Hostname {
        running: Some(running.to_string()),
        config: Some(image.host.configured_name.to_string()),
    })
}

/// The file is both what is in effect and what is configured: nothing stands between.
pub(super) fn resolver(image: &Image, scope: Scope) -> Option<DnsResolver> {
    let resolver = image.host.resolver.as_ref()?;
    Some(DnsResolver {
        running: (scope == Scope::Everything).then(|| settings(resolver)),
        config: Some(settings(resolver)),
    })
}

fn settings(resolver: &Resolver) -> DnsSettings {
    let Resolver { servers, searches, options } = resolver;
    let list = |words: &[Box<str>]| Some(words.iter().map(|word| word.to_string()).collect());
    DnsSettings { server: list(servers), search: list(searches), options: list(options) }
}
