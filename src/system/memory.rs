//! Memory that is not needed any more goes back to the system.
//!
//! The C library keeps freed memory by rules made for programs whose demand stays as it is: what
//! was large once is taken from the heap the next time, and each thread has a heap of its own
//! (mallopt(3), M_MMAP_THRESHOLD and M_ARENA_MAX). A daemon that answers one large request and then
//! rests for a day is no such program.

#[cfg(target_env = "gnu")]
use nix::libc;

/// Pieces from this size on are taken from the system and given back to it one by one: the answer
/// to a query, a long list of routes.
#[cfg(target_env = "gnu")]
const OWN_MAPPING: libc::c_int = 256 << 10;

/// Heaps that threads share. One would make them wait for each other.
#[cfg(target_env = "gnu")]
const HEAPS_MAX: libc::c_int = 2;

/// Sets the rules; to be called before threads are made.
pub fn set_rules() {
    #[cfg(target_env = "gnu")]
    for (rule, value) in [(libc::M_MMAP_THRESHOLD, OWN_MAPPING), (libc::M_ARENA_MAX, HEAPS_MAX)] {
        // SAFETY: mallopt(3) takes any two integers; no other thread allocates yet. A rule that it
        // does not take leaves the former, which costs memory and nothing else.
        unsafe { libc::mallopt(rule, value) };
    }
}

/// Gives back what is free. Takes milliseconds when much was used: not for a thread that others
/// wait for.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: malloc_trim(3) may be called at any time from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}
