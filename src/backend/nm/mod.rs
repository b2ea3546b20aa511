//! The NetworkManager backend: profiles, activations and checkpoints of NetworkManager, the
//! database of Open vSwitch where a document speaks of it, and the kernel for what neither knows.
//!
//! | file | story |
//! | --- | --- |
//! | `work` | what execution does, as data |
//! | `choose` | which stored profile belongs to an interface; pure |
//! | `execute` | sends requests in order, collects answers in any |
//! | `settle` | when what was asked for is done, by what NetworkManager says |
//! | `reasons` | why devices and activations fail, in words |
//! | `snapshot` | what leads back, as data |
//! | `touch` | which profiles are those of a transaction; pure |
//! | `restore` | the way back, as work; pure |
//! | `remainder` | what of it is left to the kernel; pure |
//! | `commit` | from memory to disk |
//! | `checkpoint` | NetworkManager's own, the second net |
//! | `scripts` | files of NetworkManager's dispatcher |
//! | `reapply` | what it takes to bring a device from one profile to another; pure |
//! | `refuse` | what this NetworkManager cannot do; pure |
//! | `lower` | from a plan to work, in NetworkManager's order; pure |

#[allow(dead_code, reason = "the backend itself comes next")]
mod checkpoint;
#[allow(dead_code, reason = "the backend itself comes next")]
mod choose;
#[allow(dead_code, reason = "the backend itself comes next")]
mod commit;
#[allow(dead_code, reason = "the backend itself comes next")]
mod execute;
#[allow(dead_code, reason = "the backend itself comes next")]
mod lower;
#[allow(dead_code, reason = "the backend itself comes next")]
mod reapply;
#[allow(dead_code, reason = "the backend itself comes next")]
mod reasons;
#[allow(dead_code, reason = "the backend itself comes next")]
mod refuse;
#[allow(dead_code, reason = "the backend itself comes next")]
mod remainder;
#[allow(dead_code, reason = "the backend itself comes next")]
mod restore;
#[allow(dead_code, reason = "the backend itself comes next")]
mod scripts;
#[allow(dead_code, reason = "the backend itself comes next")]
mod settle;
#[allow(dead_code, reason = "the backend itself comes next")]
mod snapshot;
#[allow(dead_code, reason = "the backend itself comes next")]
mod touch;
#[allow(dead_code, reason = "the backend itself comes next")]
mod work;
