//! Open vSwitch's database: its protocol on the local socket (RFC 7047), a live image of the tables
//! that a document speaks of, and their translation to a state.
//!
//! The [`Keeper`] is one task that owns the connection; a [`Database`] is a handle to it. The image
//! is there while the database is; nobody polls for it: the folder of the socket is watched.

mod client;
mod error;
mod framing;
mod image;
mod message;
mod op;
mod show;
mod value;

pub use client::{Database, Keeper, SOCKET, open};
pub use error::Error;
pub use image::{Bridge, Host, Image, Interface, Port, Uuid};
pub use op::{
    Keys, Op, add_bridge, change_bridge, port_of, remove_bridge, remove_port, set_mappings, set_settings,
};
pub use show::{NETPLAN, NM_UUID, overlay};
