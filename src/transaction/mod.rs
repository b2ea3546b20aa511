//! The transaction machine: events in, effects out. Pure.
