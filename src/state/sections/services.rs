//! Services on an interface: 802.1X, LLDP, dispatch scripts (schema 5.6, 5.7, 5.9).

use serde::{Serialize, Serializer};
use serde_json::Value as Json;

use crate::state::{Node, Part, Reader, Secret, Shape};

section! {
    /// Port authentication (IEEE 802.1X). A given section replaces the current one; an empty one removes it.
    pub struct Ieee8021x {
        /// EAP identity.
        "identity" => identity: Option<String>,
        /// EAP methods, as `tls`.
        "eap-methods" => eap_methods: Option<Vec<String>>,
        /// Path of the private key.
        "private-key" => private_key: Option<String>,
        /// Path of the client certificate.
        "client-cert" => client_cert: Option<String>,
        /// Path of the certificate authority.
        "ca-cert" => ca_cert: Option<String>,
        /// Pass phrase of the private key.
        "private-key-password" => private_key_password: Option<Secret>,
        /// Inner method, as `mschapv2`.
        "phase2-auth" => phase2_auth: Option<String>,
        /// EAP password.
        "password" => password: Option<Secret>,
    }
}

impl Ieee8021x {
    /// Whether it says nothing: what takes the authentication away.
    pub fn is_empty(&self) -> bool {
        let Self {
            identity,
            eap_methods,
            private_key,
            client_cert,
            ca_cert,
            private_key_password,
            phase2_auth,
            password,
        } = self;
        let texts = [identity, private_key, client_cert, ca_cert, phase2_auth];
        eap_methods.is_none()
            && texts.iter().all(|text| text.is_none())
            && private_key_password.is_none()
            && password.is_none()
    }
}

section! {
    /// Link layer discovery (IEEE 802.1AB).
    pub struct Lldp {
        /// Listen for neighbours.
        "enabled" => enabled: bool,
        /// What was heard: a list of TLVs for each neighbour.
        "neighbors" => neighbors: Option<Vec<Anything>> [ReadOnly],
    }
}

/// A value that is carried, not looked into.
#[derive(Clone, Debug, PartialEq)]
pub struct Anything(pub Json);

impl Part for Anything {
    fn read(node: &Node, _reader: &mut Reader) -> Option<Self> {
        Some(Self(node.to_json()))
    }

    fn shape() -> Shape {
        Shape::Anything
    }
}

impl Serialize for Anything {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

section! {
    /// Shell scripts run by the backend's dispatcher. Not covered by rollback.
    pub struct Dispatch {
        /// Run after activation; empty removes.
        "post-activation" => post_activation: Option<String>,
        /// Run after deactivation; empty removes.
        "post-deactivation" => post_deactivation: Option<String>,
    }
}
