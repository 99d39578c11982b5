//! How much is measured.

use std::{env, time::Duration};

use anyhow::Context;

/// From the environment; the defaults are the full size.
pub(crate) struct Size {
    /// `SERVERS`
    pub(crate) servers: usize,
    /// `CHANGES`: of so many servers the spec is changed.
    pub(crate) changes: usize,
    /// `QUIET`, in seconds: nothing happens for so long.
    pub(crate) quiet: Duration,
    /// `ROUNDS`: real servers of each operator, one after another; 0 leaves this part out.
    pub(crate) rounds: usize,
}

impl Size {
    pub(crate) fn of_environment() -> anyhow::Result<Self> {
        let servers = number("SERVERS", 1_000)?;
        Ok(Self {
            servers,
            changes: number("CHANGES", 100)?.min(servers),
            quiet: Duration::from_secs(u64::try_from(number("QUIET", 600)?)?),
            rounds: number("ROUNDS", 5)?,
        })
    }
}

fn number(name: &str, otherwise: usize) -> anyhow::Result<usize> {
    match env::var(name) {
        Ok(text) => text.parse().with_context(|| format!("{name}={text} is no number")),
        Err(_) => Ok(otherwise),
    }
}
