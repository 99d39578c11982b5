//! The same calls direct and through the gateway, in turns, by more and more callers at once.

use std::{
    net::SocketAddr,
    sync::{Arc, Barrier},
    thread,
    time::Instant,
};

use anyhow::anyhow;
use pilothouse::answer::Table;

use crate::{
    call::{DIRECT, THROUGH, call},
    program::Served,
    sample::Sample,
    wire::Connection,
};

const AT_ONCE: [usize; 3] = [1, 10, 100];
const ROUNDS: usize = 4;
/// Of one round, by all callers together.
const CALLS: usize = 1_500;

/// What so many callers at once saw.
pub(crate) struct Load {
    pub(crate) at_once: usize,
    pub(crate) direct: Seen,
    pub(crate) through: Seen,
    /// Milliseconds of the program's processor time for one call.
    pub(crate) processor: f64,
}

#[derive(Default)]
pub(crate) struct Seen {
    sample: Sample,
    calls: f64,
    seconds: f64,
}

impl Seen {
    /// Milliseconds at this share of the calls.
    pub(crate) fn at(&self, share: f64) -> f64 {
        self.sample.at(share)
    }

    pub(crate) fn a_second(&self) -> f64 {
        self.calls / self.seconds
    }
}

pub(crate) fn measure(served: &Served, direct: SocketAddr) -> anyhow::Result<Vec<Load>> {
    AT_ONCE.into_iter().map(|at_once| load(served, direct, at_once)).collect()
}

fn load(served: &Served, direct: SocketAddr, at_once: usize) -> anyhow::Result<Load> {
    let mut load = Load { at_once, direct: Seen::default(), through: Seen::default(), processor: 0.0 };
    let before = served.processor()?;
    for _ in 0..ROUNDS {
        round(direct, DIRECT, at_once, &mut load.direct)?;
        round(served.address, THROUGH, at_once, &mut load.through)?;
    }
    load.processor = (served.processor()? - before) / load.through.calls;
    Ok(load)
}

fn round(server: SocketAddr, tool: &'static str, at_once: usize, seen: &mut Seen) -> anyhow::Result<()> {
    let all_connected = Arc::new(Barrier::new(at_once + 1));
    let callers: Vec<_> = (0..at_once)
        .map(|_| {
            let all_connected = all_connected.clone();
            thread::spawn(move || {
                let connection = Connection::open(server);
                all_connected.wait();
                let mut connection = connection?;
                let mut took = Vec::new();
                for _ in 0..CALLS / at_once {
                    let begun = Instant::now();
                    call(&mut connection, tool)?;
                    took.push(begun.elapsed());
                }
                anyhow::Ok(took)
            })
        })
        .collect();
    all_connected.wait();
    let begun = Instant::now();
    for caller in callers {
        for took in caller.join().map_err(|_| anyhow!("a caller panicked"))?? {
            seen.sample.add(took);
            seen.calls += 1.0;
        }
    }
    seen.seconds += begun.elapsed().as_secs_f64();
    Ok(())
}

pub(crate) fn table(loads: &[Load]) -> String {
    let mut table = Table::new([
        "callers at once",
        "direct p50",
        "proxied p50",
        "direct p99",
        "proxied p99",
        "calls a second",
        "processor a call",
    ]);
    for Load { at_once, direct, through, processor } in loads {
        let at = |seen: &Seen, share| format!("{:.2} ms", seen.at(share));
        table.push(vec![
            at_once.to_string(),
            at(direct, 0.5),
            at(through, 0.5),
            at(direct, 0.99),
            at(through, 0.99),
            format!("{:.0}", through.a_second()),
            format!("{processor:.3} ms"),
        ]);
    }
    table.render()
}
