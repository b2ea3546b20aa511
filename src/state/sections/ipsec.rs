//! IPsec connections of libreswan (schema 6.17; ipsec.conf(5)).

use crate::state::Secret;

words! {
    /// Whether packets or their payload are protected.
    pub enum IpsecType {
        Tunnel = "tunnel",
        Transport = "transport",
    }
}

words! {
    /// Address family.
    pub enum Family {
        Ipv4 = "ipv4",
        Ipv6 = "ipv6",
    }
}

section! {
    /// An IPsec connection. A given section replaces the current one.
    pub struct Libreswan {
        /// Let the backend add its own defaults.
        "nm-auto-defaults" => nm_auto_defaults: Option<bool>,
        /// Address or name of the other end.
        "right" => right: String,
        "rightid" => rightid: Option<String>,
        "rightrsasigkey" => rightrsasigkey: Option<String>,
        "rightcert" => rightcert: Option<String>,
        /// Address or name of this end.
        "left" => left: Option<String>,
        "leftid" => leftid: Option<String>,
        "leftrsasigkey" => leftrsasigkey: Option<String>,
        "leftcert" => leftcert: Option<String>,
        "ikev2" => ikev2: Option<String>,
        /// Pre-shared key.
        "psk" => psk: Option<Secret>,
        "ikelifetime" => ikelifetime: Option<String>,
        "salifetime" => salifetime: Option<String>,
        "ike" => ike: Option<String>,
        "esp" => esp: Option<String>,
        /// Seconds between dead peer checks.
        "dpddelay" => dpddelay: Option<u64>,
        /// Seconds until a peer counts as dead.
        "dpdtimeout" => dpdtimeout: Option<u64>,
        "dpdaction" => dpdaction: Option<String>,
        /// A number, `yes` or `no`.
        "ipsec-interface" => ipsec_interface: Option<String>,
        "authby" => authby: Option<String>,
        "rightsubnet" => rightsubnet: Option<String>,
        "rightsubnets" => rightsubnets: Option<String>,
        "leftsubnet" => leftsubnet: Option<String>,
        "leftsubnets" => leftsubnets: Option<String>,
        "leftmodecfgclient" => leftmodecfgclient: Option<bool>,
        "type" => kind: Option<IpsecType>,
        "hostaddrfamily" => hostaddrfamily: Option<Family>,
        "clientaddrfamily" => clientaddrfamily: Option<Family>,
        "require-id-on-certificate" => require_id_on_certificate: Option<bool>,
        "leftsendcert" => leftsendcert: Option<String>,
        "rightca" => rightca: Option<String>,
        "leftprotoport" => leftprotoport: Option<String>,
        "rightprotoport" => rightprotoport: Option<String>,
    }
}
