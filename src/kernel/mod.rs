//! The kernel: netlink codec and the live mirror of its network state.

pub mod mirror;
pub mod netlink;
pub mod show;
pub mod udev;
