//! The NetworkManager backend: profiles, activations and checkpoints of NetworkManager, the
//! database of Open vSwitch where a document speaks of it, and the kernel for what neither knows.
//!
//! | file | story |
//! | --- | --- |
//! | `work` | what execution does, as data |
//! | `choose` | which stored profile belongs to an interface; pure |

#[allow(dead_code, reason = "what executes it comes next")]
mod choose;
#[allow(dead_code, reason = "what executes it comes next")]
mod work;
