//! A thousand legacy sessions with an open stream each, in which nothing happens.

use std::{fmt, time::Instant};

use anyhow::{Context, ensure};

use crate::{
    call::{THROUGH, call},
    program::Served,
    sample::Sample,
    wire::{Connection, header},
};

const SESSIONS: u32 = 1_000;
const CALLS: usize = 1_000;
const REVISION: &str = "2025-11-25";

/// What they cost.
pub(crate) struct Idle {
    /// Kilobytes of memory of one session and its connection.
    pub(crate) kilobytes: f64,
    /// Milliseconds of a call without them and beside them, at the median.
    pub(crate) before: f64,
    pub(crate) beside: f64,
    /// Milliseconds of processor time that all of them took in a second of nothing.
    pub(crate) processor: f64,
}

impl fmt::Display for Idle {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kilobytes, before, beside, processor } = self;
        write!(
            out,
            "{SESSIONS} idle sessions: {kilobytes:.1} KB each, {processor:.1} ms of processor time a second, a call \
             p50 {before:.2} ms before and {beside:.2} ms beside them"
        )
    }
}

pub(crate) fn measure(served: &Served) -> anyhow::Result<Idle> {
    let before = calls(served)?;
    let (_, empty) = served.memory()?;
    let sessions: Vec<Connection> = (0..SESSIONS)
        .map(|at| open(served).with_context(|| format!("session {at}")))
        .collect::<Result<_, _>>()?;
    let (_, full) = served.memory()?;
    let beside = calls(served)?;
    let (used, begun) = (served.processor()?, Instant::now());
    std::thread::sleep(std::time::Duration::from_secs(5));
    let processor = (served.processor()? - used) / begun.elapsed().as_secs_f64();
    drop(sessions);
    Ok(Idle { kilobytes: (full - empty) * 1_024.0 / f64::from(SESSIONS), before, beside, processor })
}

fn calls(served: &Served) -> anyhow::Result<f64> {
    let mut connection = Connection::open(served.address)?;
    let mut sample = Sample::default();
    for _ in 0..CALLS {
        let begun = Instant::now();
        call(&mut connection, THROUGH)?;
        sample.add(begun.elapsed());
    }
    Ok(sample.at(0.5))
}

/// A session as a legacy client has it: initialised, and listening for what the server says unasked.
fn open(served: &Served) -> anyhow::Result<Connection> {
    let mut connection = Connection::open(served.address)?;
    let hello = format!(
        r#"{{"jsonrpc":"2.0","id":0,"method":"initialize","params":{{"protocolVersion":"{REVISION}","capabilities":{{}},"clientInfo":{{"name":"bench","version":"1"}}}}}}"#
    );
    let (head, body) = connection.exchange("", &hello)?;
    ensure!(head.starts_with("HTTP/1.1 200"), "{head}{body}");
    let session = header(&head, "mcp-session-id").context("no session id")?;
    let lines = format!("mcp-session-id: {session}\r\nmcp-protocol-version: {REVISION}\r\n");
    let (head, body) =
        connection.exchange(&lines, r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#)?;
    ensure!(head.starts_with("HTTP/1.1 202"), "{head}{body}");
    let head = connection.listen(&lines)?;
    ensure!(head.starts_with("HTTP/1.1 200"), "{head}");
    Ok(connection)
}
