//! Very many servers: until all are in place, then nothing, then changes.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use jiff::Timestamp;
use kube::Client;

use crate::{
    counters::Counters,
    fleet::Fleet,
    record::{self, Request},
    sample::Sample,
    seen::Watching,
    size::Size,
    support::{
        process::{megabytes, processor},
        replica::{Replica, holder},
    },
};

/// Of the API server and its controllers; ours is judged by the bars.
const PATIENCE: Duration = Duration::from_secs(300);
/// What the controllers may need for one server at their own rate, and some more.
const A_SERVER: Duration = Duration::from_secs(2);
/// So long after the last write the operator is taken to have come to rest.
const SILENCE: Duration = Duration::from_secs(20);
/// As installed.
const LEASE_SECONDS: u8 = 10;

/// Times in seconds, memory in MB.
pub(crate) struct Many {
    pub(crate) servers: usize,
    pub(crate) changes: usize,
    pub(crate) quiet: Duration,
    /// From the first apply until the last was accepted by the API server.
    pub(crate) applied: f64,
    /// ... until all have their children and a status that says so: our part.
    pub(crate) in_place: f64,
    /// Of one of them, under the load of all: p50 and p99.
    pub(crate) one: (f64, f64),
    /// ... until all are Available: the part of the cluster's controllers.
    pub(crate) available: f64,
    pub(crate) counters: Counters,
    /// Milliseconds of processor time for each reconcile, with all else that the process did meanwhile: an upper
    /// limit of the time that is not the API's.
    pub(crate) processor: f64,
    pub(crate) memory: Memory,
    /// Of the first part, and of changed servers in the last.
    pub(crate) requests: Vec<Request>,
    pub(crate) while_quiet: Vec<Request>,
    pub(crate) for_changes: Vec<Request>,
    pub(crate) converged: (f64, f64),
}

pub(crate) struct Memory {
    pub(crate) before: f64,
    pub(crate) peak: f64,
    pub(crate) after: f64,
    /// The part of `after` that is not the program's own file.
    pub(crate) after_data: f64,
}

pub(crate) async fn measure(client: &Client, size: &Size) -> anyhow::Result<Many> {
    let fleet = Fleet::start(client).await?;
    let replica = Replica::start(fleet.namespace(), fleet.namespace(), LEASE_SECONDS);
    let measured = with(client, &fleet, &replica, size).await;
    if measured.is_err() {
        eprintln!("the operator said at last:\n{}", last_lines(&replica.said()));
    }
    // Whatever came out, nothing stays behind.
    replica.kill();
    let gone = fleet.end(within(size.servers)).await;
    let measured = measured?;
    gone?;
    Ok(measured)
}

async fn with(client: &Client, fleet: &Fleet, replica: &Replica, size: &Size) -> anyhow::Result<Many> {
    let Size { servers, changes, quiet, rounds: _ } = *size;
    let begun = Instant::now();
    while holder(client, fleet.namespace()).await != replica.name {
        ensure!(begun.elapsed() < PATIENCE, "the operator does not lead");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut watching = Watching::start(fleet.servers.clone());
    tokio::time::sleep(Duration::from_secs(3)).await;
    let before = megabytes(replica.process(), "VmRSS")?;
    let used_before = processor(replica.process())?;

    let (started, begun) = (Timestamp::now(), Instant::now());
    let sent = fleet.create(servers).await?;
    let applied = begun.elapsed();
    let all_in_place =
        watching.until("all in place", within(servers), |seen| seen.in_place.len() == servers).await;
    let in_place = begun.elapsed();
    all_in_place?;
    fleet.is_whole(servers).await?;
    let mut one = Sample::default();
    for (at, sent) in sent.iter().enumerate() {
        let when = watching.read(|seen| seen.when_in_place(&Fleet::name(at), 1));
        one.add(when.context("it is in place")?.saturating_duration_since(*sent));
    }
    watching.until("all Available", within(servers), |seen| seen.available.len() == servers).await?;
    let available = begun.elapsed();
    watching.until_silent(SILENCE, within(servers)).await?;
    let (rest, used) = (Timestamp::now(), processor(replica.process())?);
    let counters = Counters::new(replica.metrics().await.context("the operator's metrics")?)?;

    tokio::time::sleep(quiet).await;
    let awake = Timestamp::now();
    let after = megabytes(replica.process(), "VmRSS")?;
    let after_data = megabytes(replica.process(), "RssAnon")?;

    let changed = fleet.change(changes).await?;
    let mut converged = Sample::default();
    let reached = |name: usize, generation| {
        move |seen: &crate::seen::Seen| seen.when_in_place(&Fleet::name(name), generation).is_some()
    };
    for (at, (sent, generation)) in changed.iter().enumerate() {
        watching.until("a change in place", PATIENCE, reached(at, *generation)).await?;
        let when = watching.read(|seen| seen.when_in_place(&Fleet::name(at), *generation));
        converged.add(when.context("it is in place")?.saturating_duration_since(*sent));
    }
    watching.until_silent(SILENCE, within(changes)).await?;
    let peak = megabytes(replica.process(), "VmHWM")?;
    let counters_at_end = Counters::new(replica.metrics().await.context("the operator's metrics")?)?;

    // The API server writes its record in its own time.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let name = replica.name.clone();
    let all = tokio::task::spawn_blocking(move || record::of(&name)).await??;
    let within = |from: Timestamp, to: Timestamp| all.iter().filter(move |one| one.at >= from && one.at < to);
    let is_changed = |request: &&Request| (0..changes).any(|at| request.is_of(&Fleet::name(at)));
    let reconciles: f64 =
        ["settled", "again", "failed"].map(|ending| counters.reconciles(ending)).iter().sum();
    Ok(Many {
        servers,
        changes,
        quiet,
        applied: applied.as_secs_f64(),
        in_place: in_place.as_secs_f64(),
        one: (one.at(0.5) / 1_000.0, one.at(0.99) / 1_000.0),
        available: available.as_secs_f64(),
        processor: (used - used_before) / reconciles.max(1.0),
        counters: counters_at_end,
        memory: Memory { before, peak, after, after_data },
        requests: within(started, rest).cloned().collect(),
        while_quiet: within(rest, awake).cloned().collect(),
        for_changes: within(awake, Timestamp::MAX).filter(is_changed).cloned().collect(),
        converged: (converged.at(0.5) / 1_000.0, converged.at(1.0) / 1_000.0),
    })
}

/// Everything that is done for each server has a deadline by their number.
fn within(servers: usize) -> Duration {
    PATIENCE + A_SERVER.saturating_mul(u32::try_from(servers).unwrap_or(u32::MAX))
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}
