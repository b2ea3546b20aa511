//! The kernel: netlink codec and the live mirror of its network state.

pub mod netlink;
