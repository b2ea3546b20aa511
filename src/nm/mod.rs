//! NetworkManager: its D-Bus calls, a live image of what it knows, and what its profiles say in
//! the document's terms.
//!
//! | file | story |
//! | --- | --- |
//! | `value` | values, settings and profiles as plain data |
//! | `print` | profiles as text, secrets hidden |
//! | `error` | what NetworkManager answers when it refuses, and its kind |
//! | `wire` | values and profiles on D-Bus |
//! | `image` | everything it knows, at one revision |
//! | `call` | what can be asked of it, and what it answers |
//! | `bus` | the client: calls in order, answers in any |
//! | `keeper` | the connection to the bus, and what keeps the image live |
//! | `window` | how many messages await their answer |
//! | `live` | the image as it follows from what NetworkManager says; pure |
//! | `supplicant` | who refuses a login with 802.1X says so there |
//! | `settings/` | profile ⇄ document, one file for each group of settings, both directions; pure |
//! | `dns` | where name servers go: globally, or into which profiles; pure |
//! | `show/` | the image laid over the kernel's state; pure |
//!
//! Facts about NetworkManager come from its D-Bus interface documentation and nm-settings-dbus(5).

mod bus;
mod call;
pub mod dns;
mod error;
pub mod image;
mod keeper;
mod live;
mod print;
pub mod settings;
pub mod show;
mod supplicant;
mod value;
mod window;
mod wire;

pub use bus::{ANSWER_MAX, CALLS_MAX, Client};
pub use call::{Answer, Call, Persist};
pub use error::Error;
pub use keeper::Keeper;
pub use print::is_secret;
pub use supplicant::Refusals;
pub use value::{Profile, Setting, Value};
