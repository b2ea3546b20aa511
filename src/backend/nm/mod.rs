//! The NetworkManager backend: profiles, activations and checkpoints of NetworkManager, the
//! database of Open vSwitch where a document speaks of it, and the kernel for what neither knows.
