//! Open vSwitch's database: its protocol on the local socket (RFC 7047), a live image of the tables
//! that a document speaks of, and their translation to a state.
