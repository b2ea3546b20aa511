//! Every section of the schema, one declaration each (schema sections 3 to 7).

mod bond;
mod bridge;
mod document;
mod ethernet;
mod ethtool;
mod global;
mod interface;
mod ip;
mod ipsec;
mod links;
mod ovs;
mod routes;
mod services;

pub use bond::*;
pub use bridge::*;
pub use document::*;
pub use ethernet::*;
pub use ethtool::*;
pub use global::*;
pub use interface::*;
pub use ip::*;
pub use ipsec::*;
pub use links::*;
pub use ovs::*;
pub use routes::*;
pub use services::*;
