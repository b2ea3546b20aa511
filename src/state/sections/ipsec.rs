//! IPsec connections of libreswan (schema 6.17; ipsec.conf(5)).

use crate::state::Secret;

words! {
    /// Whether packets or their payload are protected.
    pub enum IpsecType {
        /// Whole packets, between networks.
        Tunnel = "tunnel",
        /// Payload, between two hosts.
        Transport = "transport",
    }
}

words! {
    /// Address family.
    pub enum Family {
        /// IPv4.
        Ipv4 = "ipv4",
        /// IPv6.
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
        /// Identity of the other end: an address, `@name`, or `%fromcert`.
        "rightid" => rightid: Option<String>,
        /// RSA public key of the other end; `%cert` takes it from the certificate.
        "rightrsasigkey" => rightrsasigkey: Option<String>,
        /// Certificate of the other end, by its nickname in the NSS database.
        "rightcert" => rightcert: Option<String>,
        /// Address or name of this end.
        "left" => left: Option<String>,
        /// Identity of this end: an address, `@name`, or `%fromcert`.
        "leftid" => leftid: Option<String>,
        /// RSA public key of this end; `%cert` takes it from the certificate.
        "leftrsasigkey" => leftrsasigkey: Option<String>,
        /// Certificate of this end, by its nickname in the NSS database.
        "leftcert" => leftcert: Option<String>,
        /// IKE version 2: `insist` or `yes` demands it, `no` or `never` uses version 1.
        "ikev2" => ikev2: Option<String>,
        /// Pre-shared key.
        "psk" => psk: Option<Secret>,
        /// How long the keying channel lasts before it is negotiated anew, as `8h` or `28800s`.
        "ikelifetime" => ikelifetime: Option<String>,
        /// How long the keys of the data last before they are negotiated anew, as `1h`.
        "salifetime" => salifetime: Option<String>,
        /// Algorithms of the keying channel, as `aes256-sha2_256;dh14`.
        "ike" => ike: Option<String>,
        /// Algorithms of the data, as `aes_gcm256`.
        "esp" => esp: Option<String>,
        /// Seconds between dead peer checks.
        "dpddelay" => dpddelay: Option<u64>,
        /// Seconds until a peer counts as dead.
        "dpdtimeout" => dpdtimeout: Option<u64>,
        /// What happens to the connection of a dead peer: `hold`, `clear` or `restart`.
        "dpdaction" => dpdaction: Option<String>,
        /// Number of the `ipsec` interface that carries the data, `yes` for 1, `no` for none.
        "ipsec-interface" => ipsec_interface: Option<String>,
        /// How the ends prove who they are: `rsasig`, `secret`, `ecdsa`, `null` or `never`.
        "authby" => authby: Option<String>,
        /// Network behind the other end.
        "rightsubnet" => rightsubnet: Option<String>,
        /// Networks behind the other end, as `{192.0.2.0/24 198.51.100.0/24}`.
        "rightsubnets" => rightsubnets: Option<String>,
        /// Network behind this end.
        "leftsubnet" => leftsubnet: Option<String>,
        /// Networks behind this end, as `{192.0.2.0/24 198.51.100.0/24}`.
        "leftsubnets" => leftsubnets: Option<String>,
        /// Let the other end assign an address to this one.
        "leftmodecfgclient" => leftmodecfgclient: Option<bool>,
        /// Protect whole packets between networks, or payload between two hosts.
        "type" => kind: Option<IpsecType>,
        /// Address family of the ends.
        "hostaddrfamily" => hostaddrfamily: Option<Family>,
        /// Address family of the networks behind them.
        "clientaddrfamily" => clientaddrfamily: Option<Family>,
        /// Refuse a certificate that does not name the identity of the other end.
        "require-id-on-certificate" => require_id_on_certificate: Option<bool>,
        /// When the certificate is sent: `always`, `sendifasked` or `never`.
        "leftsendcert" => leftsendcert: Option<String>,
        /// Authority that must have signed the certificate of the other end; `%same` for ours.
        "rightca" => rightca: Option<String>,
        /// Protocol and port of this end that are protected, as `17/1701` or `tcp/22`.
        "leftprotoport" => leftprotoport: Option<String>,
        /// Protocol and port of the other end that are protected, as `17/%any`.
        "rightprotoport" => rightprotoport: Option<String>,
    }
}
