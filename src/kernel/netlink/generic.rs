//! Generic netlink: families are found by name, their numbers differ from boot to boot.

use super::attr::Writer;
use super::message::Request;
use super::socket::{Connection, NetlinkError};
use nix::errno::Errno;
use std::collections::BTreeMap;
use thiserror::Error;

/// `GENL_ID_CTRL`, `CTRL_CMD_GETFAMILY` and attributes, linux/genetlink.h.
const CONTROL: u16 = 0x10;
const GET_FAMILY: u8 = 3;
const FAMILY_ID: u16 = 1;
const FAMILY_NAME: u16 = 2;
const FAMILY_GROUPS: u16 = 7;
const GROUP_NAME: u16 = 1;
const GROUP_ID: u16 = 2;

/// `struct genlmsghdr`: command, version, two reserved bytes.
pub const GENERIC_HEADER: usize = 4;

/// A generic netlink family of the running kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Family {
    pub id: u16,
    /// Multicast groups by name.
    pub groups: BTreeMap<String, u32>,
}

#[derive(Debug, Error)]
pub enum FamilyError {
    #[error("this kernel has no generic netlink family {0:?}")]
    Missing(String),
    #[error("cannot look up the generic netlink family {name:?}")]
    Lookup { name: String, source: NetlinkError },
}

/// Builds a request to a generic netlink family.
pub fn generic_request(family: u16, command: u8, version: u8, fill: impl FnOnce(&mut Writer<'_>)) -> Request {
    Request::new(family, 0, &[command, version, 0, 0]).with(fill)
}

impl Family {
    /// Looks a family up. Asking loads the module that provides it.
    pub async fn resolve(connection: &mut Connection, name: &str) -> Result<Self, FamilyError> {
        let request = generic_request(CONTROL, GET_FAMILY, 1, |w| w.text(FAMILY_NAME, name));
        let answer = connection
            .get(&request, |message| {
                let (_, attrs) = message.body::<GENERIC_HEADER>()?;
                let id = attrs.first(FAMILY_ID)?.get()?;
                let groups = attrs
                    .first(FAMILY_GROUPS)
                    .into_iter()
                    .flat_map(|groups| groups.nested())
                    .filter_map(|group| {
                        let group = group.nested();
                        let name = group.first(GROUP_NAME)?.get()?;
                        Some((name, group.first(GROUP_ID)?.get()?))
                    })
                    .collect();
                Some(Self { id, groups })
            })
            .await;
        match answer {
            Ok(Some(family)) => Ok(family),
            Ok(None) => Err(FamilyError::Missing(name.to_owned())),
            Err(error) if error.errno() == Some(Errno::ENOENT) => Err(FamilyError::Missing(name.to_owned())),
            Err(source) => Err(FamilyError::Lookup { name: name.to_owned(), source }),
        }
    }
}
