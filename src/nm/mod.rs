//! NetworkManager: its D-Bus calls, a live image of what it knows, and what its profiles say in
//! the document's terms.
//!
//! | file | story |
//! | --- | --- |
//! | `value` | values, settings and profiles as plain data |
//! | `print` | profiles as text, secrets hidden |
//! | `error` | what NetworkManager answers when it refuses, and its kind |
//! | `image` | everything it knows, at one revision |
//! | `bus` | its calls |
//! | `keeper` | keeps the image live from its signals |
//! | `settings/` | profile ⇄ document, one file for each group of settings, both directions; pure |
//! | `show` | the image laid over the kernel's state; pure |
//!
//! Facts about NetworkManager come from its D-Bus interface documentation and nm-settings-dbus(5).

pub mod image;
mod print;
pub mod settings;
mod value;

pub use print::is_secret;
pub use value::{Profile, Setting, Value};
