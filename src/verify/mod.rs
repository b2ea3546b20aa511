//! Verification: whether the network is as asked. Pure.
