//! What must hold; from the plan's budgets.

use anyhow::{bail, ensure};

use crate::{
    callers::Load,
    fleet::{Fleet, SERVERS},
    idle::Idle,
};

/// Wanted, milliseconds that a proxied call adds at the median; whether that is reached is a matter of the machine.
const ADDED: f64 = 0.3;
/// Of what one caller gets: more callers must not make less of the same two cores.
const THROUGHPUT: f64 = 0.9;
/// Of the processor time that a call of one caller takes.
const PROCESSOR: f64 = 1.3;
/// Wanted.
const KILOBYTES: f64 = 48.0;
/// At most, so that it grows no further unseen.
const MOST_KILOBYTES: f64 = 96.0;
/// MB with a thousand servers whose connections are closed, and further kilobytes for each that is open.
const FLEET: f64 = 50.0;
const CONNECTION: f64 = 48.0;
/// At once.
const HANDSHAKES: usize = 32;
/// Of a call without idle sessions.
const BESIDE: f64 = 1.5;

pub(crate) fn hold(loads: &[Load], idle: &Idle, fleet: &Fleet) -> anyhow::Result<()> {
    let [one, more @ ..] = loads else { bail!("nothing was measured") };
    let added = one.through.at(0.5) - one.direct.at(0.5);
    if added > ADDED {
        println!("a proxied call adds {added:.2} ms, wanted {ADDED} ms");
    }
    for load in more {
        let (alone, here) = (one.through.a_second(), load.through.a_second());
        ensure!(
            here >= alone * THROUGHPUT,
            "{} callers got {here:.0} calls a second, one alone {alone:.0}",
            load.at_once
        );
        ensure!(
            load.processor <= one.processor * PROCESSOR,
            "a call of {} callers took {:.3} ms of processor time, of one alone {:.3} ms",
            load.at_once,
            load.processor,
            one.processor
        );
    }
    let Idle { kilobytes, before, beside, processor: _ } = idle;
    if *kilobytes > KILOBYTES {
        println!("an idle session takes {kilobytes:.1} KB, wanted {KILOBYTES} KB");
    }
    ensure!(*kilobytes <= MOST_KILOBYTES, "an idle session takes {kilobytes:.1} KB");
    ensure!(
        *beside <= before * BESIDE,
        "a call took {beside:.2} ms beside idle sessions, {before:.2} ms without"
    );
    holds(fleet)
}

fn holds(fleet: &Fleet) -> anyhow::Result<()> {
    let Fleet {
        empty: _,
        open: (open, _),
        parked: (parked, _),
        server: _,
        connection,
        handshakes,
        listed: _,
    } = fleet;
    ensure!(*parked <= FLEET, "a thousand servers take {parked:.1} MB");
    let most = FLEET + CONNECTION * SERVERS as f64 / 1_024.0;
    ensure!(
        *open <= most,
        "with an open connection to each they take {open:.1} MB: more than {most:.1} MB, {connection:.1} KB each"
    );
    ensure!(*handshakes <= HANDSHAKES, "{handshakes} handshakes at once");
    Ok(())
}
