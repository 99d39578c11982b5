//! What a process holds. The benchmarks use this file too.

use std::fs;

use anyhow::Context;

/// In MB: `VmRSS` is what it holds now, `VmHWM` the most that it ever held; `RssAnon` is the part of `VmRSS` that is
/// not its own program's file.
pub(crate) fn megabytes(process: u32, what: &str) -> anyhow::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find(|line| line.starts_with(what)).context("no such line")?;
    let kilobytes: f64 = line.split_whitespace().nth(1).context("no number")?.parse()?;
    Ok(kilobytes / 1_024.0)
}

/// Milliseconds of processor time used so far.
#[allow(dead_code, reason = "only the benchmarks use it")]
pub(crate) fn processor(process: u32) -> anyhow::Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name in parentheses may hold blanks; utime and stime are the 12th and 13th field after it.
    let after = stat.rsplit_once(')').context("no name")?.1;
    let ticks: Vec<f64> =
        after.split_whitespace().skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
    // A tick is 10 ms on Linux.
    Ok(ticks.iter().sum::<f64>() * 10.0)
}
