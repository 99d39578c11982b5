//! What a server sends does not pile up in the program, however much it is.

use std::time::{Duration, Instant};

use futures::{StreamExt, stream};

use crate::{
    gateway_support::wait_for,
    neighbours_hostile::{Fault, Hostile},
    program::Served,
};

/// Bytes of a large result.
const LARGE: usize = 20_000_000;
/// Calls under way at once.
const AT_ONCE: usize = 2;
/// A result is held as it is read, looked through and written.
const COPIES: usize = 6;
/// What a busy program may take besides.
const BESIDES: usize = 48 << 20;

/// The program before one server.
struct Town {
    hostile: Hostile,
    program: Served,
    _folder: tempfile::TempDir,
}

impl Town {
    async fn open() -> Self {
        Self::open_for("60s").await
    }

    /// Where a call may take so long.
    async fn open_for(call_timeout: &str) -> Self {
        let hostile = Hostile::start();
        let folder = tempfile::tempdir().unwrap();
        let manifest = format!(
            "apiVersion: pilothouse.dev/v1alpha1\nkind: MCPServer\nmetadata: {{name: bad}}\nspec: {{remote: {{url: '{}'}}, gateway: {{callTimeout: {call_timeout}}}}}\n",
            hostile.url()
        );
        std::fs::write(folder.path().join("bad.yaml"), manifest).unwrap();
        let program = Served::start("serve", &["--servers", &folder.path().display().to_string()]).await;
        program.until_listed(&["bad_work"]).await;
        Self { hostile, program, _folder: folder }
    }

    async fn asked(&self, times: usize) -> Vec<usize> {
        self.asked_by(AT_ONCE, times).await
    }

    async fn asked_by(&self, callers: usize, times: usize) -> Vec<usize> {
        let ask = |_| async { self.program.ask_text("tools/call", r#"{"name":"bad_work"}"#).await.len() };
        stream::iter(0..times).map(ask).buffer_unordered(callers).collect().await
    }

    /// Returns when the server is good and answers again.
    async fn recovered(&self) {
        self.hostile.turn(Fault::None);
        let since = Instant::now();
        while !self.program.ask_text("tools/call", r#"{"name":"bad_work"}"#).await.contains(r#""content":[]"#)
        {
            assert!(since.elapsed() < Duration::from_secs(60), "it is still not answered");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The most memory that the program has had, in bytes.
    fn most(&self) -> usize {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.program.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<usize>().unwrap() * 1024
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_large_results_only_those_under_way_are_held() {
    let town = Town::open().await;
    town.asked(2).await;
    let before = town.most();
    town.hostile.turn(Fault::Large(LARGE));
    let answers = town.asked(24).await;
    assert!(answers.iter().all(|bytes| *bytes > LARGE), "{answers:?}");
    let grown = town.most() - before;
    // Held all at once they would be four times as much.
    assert!(grown <= AT_ONCE * LARGE * COPIES, "{before} bytes, then {grown} more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_flood_of_notifications_nothing_is_held() {
    let town = Town::open().await;
    town.asked(20).await;
    let (before, lists) = (town.most(), town.hostile.lists());
    town.hostile.turn(Fault::Floods);
    town.asked(100).await;
    wait_for("the flood has gone on for a while", || (town.hostile.lists() > lists + 40).then_some(())).await;
    let grown = town.most() - before;
    assert!(grown <= BESIDES, "{before} bytes, then {grown} more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_every_other_fault_nothing_is_held() {
    let town = Town::open_for("500ms").await;
    town.asked(20).await;
    let before = town.most();
    let faults = [
        Fault::HangsOnList,
        Fault::HangsOnCall,
        Fault::Late(700),
        Fault::NoStream,
        Fault::DropsSessions,
        Fault::Garbage,
        Fault::Redefines,
        Fault::DiesMidStream,
        Fault::OtherId,
        Fault::HangsInInitialize,
    ];
    for fault in faults {
        town.recovered().await;
        town.hostile.turn(fault);
        town.asked_by(40, 80).await;
    }
    let grown = town.most() - before;
    assert!(grown <= BESIDES, "{before} bytes, then {grown} more");
}
