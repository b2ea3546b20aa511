//! A small netlink codec and connection.
//!
//! It is our own, on plain sockets, for four reasons:
//!
//! - One odd attribute never costs a whole message. Reading is a total function of the bytes: an
//!   attribute of a surprising length is `None` for its reader, everything else is still read.
//! - Attributes and link kinds of newer kernels are skipped, never an error.
//! - Dumps are visited where the kernel wrote them. A dump of 100,000 routes allocates nothing but
//!   what its visitor keeps.
//! - The attributes of a link kind are one table, [`kinds`], used for reading and for writing.
//!
//! | file | story |
//! | --- | --- |
//! | `attr` | values and attributes, read and written |
//! | `message` | messages: what the kernel says, what is asked of it |
//! | `socket` | a connection (requests, batches, dumps) and a subscription (notifications) |
//! | `generic` | generic netlink: families by name |
//! | `kinds` | the attributes of every link kind |
//! | `ethtool` | device settings, over generic netlink |
//! | `neighbour` | whether the next hop of a route answers |
//! | `nftables` | which families of tables the packet filter has |
//! | `table` | the macro that declares attributes |
//! | `uapi` | numbers of the kernel's interface that libc does not carry |

#[macro_use]
mod table;

mod attr;
pub mod ethtool;
mod generic;
pub mod kinds;
mod message;
pub mod neighbour;
pub mod nftables;
mod socket;
pub mod uapi;

pub use attr::{Attr, Attrs, Be16, Be32, Hardware, Present, Value, Writer};
pub use generic::{Family, FamilyError, GENERIC_HEADER, generic_request};
pub use message::{Message, Messages, Refusal, Request};
pub use socket::{Connection, Event, NetlinkError, Protocol, Subscription};
