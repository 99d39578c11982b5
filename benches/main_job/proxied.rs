//! What a proxied call adds to a direct one.

use std::time::Instant;

use crate::{
    call::{DIRECT, THROUGH, call},
    downstream,
    program::Served,
    sample::Sample,
    wire::Connection,
};

const ROUNDS: usize = 6;
const CALLS: usize = 500;
const CALLS_IN_ALL: f64 = 3_000.0;

pub(crate) async fn measure() -> anyhow::Result<()> {
    let address = downstream::serve()?;
    let served = Served::before(address).await?;
    let mut direct = Connection::open(address)?;
    let mut through = Connection::open(served.address)?;
    // Idle is what has had nothing to do for a while.
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    let (all, own) = served.memory()?;
    println!("idle memory: {all:.1} MB, {own:.1} MB of it data and the rest pages of the program's file");

    let before = served.processor()?;
    let (mut near, mut far) = (Sample::default(), Sample::default());
    for _ in 0..ROUNDS {
        for (connection, tool, sample) in
            [(&mut direct, DIRECT, &mut near), (&mut through, THROUGH, &mut far)]
        {
            for _ in 0..CALLS {
                let begin = Instant::now();
                call(connection, tool)?;
                sample.add(begin.elapsed());
            }
        }
    }
    for (what, share) in [("p50", 0.5), ("p99", 0.99)] {
        let (near, far) = (near.at(share), far.at(share));
        println!("call {what}: direct {near:.3} ms, proxied {far:.3} ms, added {:.3} ms", far - near);
    }
    let used = (served.processor()? - before) / CALLS_IN_ALL;
    println!("processor time of a proxied call: {used:.3} ms");
    let (all, own) = served.memory()?;
    println!("memory after {} proxied calls: {all:.1} MB, {own:.1} MB of it data", ROUNDS * CALLS);
    Ok(())
}
