//! The kernel room against the running kernel, each test in a network namespace of its own. Needs the
//! right to make one (root, or root of a user namespace), and iproute2, which serves as an
//! independent hand.

mod mirror;
mod namespace;
mod netlink;
mod show;
