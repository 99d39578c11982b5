//! How the system's allocator keeps freed memory. It is told so in the environment, when a program starts: so the
//! program starts itself anew, once, in the same process.
//!
//! Its own way is made for speed: a pool for each thread, and large pieces kept once they were used. A list of 5,000
//! pods then leaves 6 MB behind that nobody uses.

use std::{env, io::Error, os::unix::process::CommandExt, process::Command};

/// Two pools for all threads; pieces from 128 KiB on, and what is free at the end of a pool, go back to the kernel.
const SETTINGS: [(&str, &str); 3] =
    [("MALLOC_ARENA_MAX", "2"), ("MALLOC_MMAP_THRESHOLD_", "131072"), ("MALLOC_TRIM_THRESHOLD_", "131072")];

/// Returns when the settings hold, whoever made them. Must be called before anything is begun.
///
/// # Errors
/// Why they could not be made: the program is as good without them, only larger.
pub(super) fn settle() -> Result<(), Error> {
    // Whoever sets one of them knows better, and so do we the second time.
    if SETTINGS.iter().any(|(name, _)| env::var_os(name).is_some()) {
        return Ok(());
    }
    let mut arguments = env::args_os();
    let mut again = Command::new(env::current_exe()?);
    if let Some(name) = arguments.next() {
        again.arg0(name);
    }
    Err(again.args(arguments).envs(SETTINGS).exec())
}
