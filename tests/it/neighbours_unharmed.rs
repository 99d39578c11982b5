//! Whatever one server does, the calls of the others are answered as fast as before, and it is used again as soon as
//! it is good again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use futures::future::join_all;
use pilothouse::gateway::{
    Circuit, Gateway,
    wire::{Era, Raw, RpcError},
};

use crate::{
    gateway_odd::{Odd, Reply},
    gateway_support::{at_url, call_tool, named, observed, ready, tool_error, tools, wait_for},
    neighbours_hostile::{Fault, Hostile},
};

const GOOD: [&str; 3] = ["one", "two", "three"];
/// Calls of each good server in one measurement.
const CALLS: usize = 100;
/// Below this a slower call is a matter of the machine.
const FLOOR: Duration = Duration::from_millis(100);
/// A busy machine may spoil a measurement, and never makes one better.
const MEASUREMENTS: usize = 10;

struct Street {
    gateway: Arc<Gateway>,
    hostile: Hostile,
    _good: Vec<Odd>,
}

impl Street {
    async fn open() -> Self {
        let gateway = Arc::new(Gateway::new(vec![]));
        let good: Vec<Odd> = GOOD
            .iter()
            .map(|name| {
                let server = Odd::start(Era::Legacy, |method, _| match method {
                    "tools/list" => Reply::Result(r#"{"tools":[{"name":"hello"}]}"#.to_owned()),
                    _ => Reply::Result(r#"{"content":[]}"#.to_owned()),
                });
                gateway.apply(at_url(name, &server.url()));
                server
            })
            .collect();
        let hostile = Hostile::start();
        let mut bad = at_url("bad", &hostile.url());
        bad.call_timeout = Duration::from_millis(500);
        gateway.apply(bad);
        for name in GOOD.iter().chain(&["bad"]) {
            ready(&gateway, name).await;
        }
        Self { gateway, hostile, _good: good }
    }

    /// The slowest but one in a hundred of the good servers' calls, all of which succeed.
    async fn p99(&self) -> Duration {
        let of = |name: &'static str| async move {
            let mut took = Vec::new();
            for _ in 0..CALLS {
                let since = Instant::now();
                call_tool(&self.gateway, name, "hello").await.unwrap();
                took.push(since.elapsed());
            }
            took
        };
        let mut took = join_all(GOOD.map(of)).await.concat();
        took.sort_unstable();
        took[took.len() * 99 / 100]
    }

    /// The others are unharmed while it is so and eight callers call it all the time.
    async fn is_unharmed_by(&self, fault: Fault) {
        let before = self.p99().await;
        self.hostile.turn(fault);
        let over = Arc::new(AtomicBool::new(false));
        let callers: Vec<_> = (0..8)
            .map(|_| {
                let (gateway, over) = (self.gateway.clone(), over.clone());
                tokio::spawn(async move {
                    while !over.load(Ordering::Relaxed) {
                        let answer = call_tool(&gateway, "bad", "work");
                        let _ = tokio::time::timeout(Duration::from_secs(30), answer).await.expect("an end");
                        tokio::time::sleep(Duration::from_millis(2)).await;
                    }
                })
            })
            .collect();
        let mut measured = Vec::new();
        for _ in 0..MEASUREMENTS {
            let now = self.p99().await;
            measured.push(now);
            if now <= (before * 2).max(FLOOR) {
                break;
            }
        }
        over.store(true, Ordering::Relaxed);
        for caller in callers {
            caller.await.unwrap();
        }
        let best = measured.iter().min().unwrap();
        assert!(*best <= (before * 2).max(FLOOR), "{fault:?}: before {before:?}, then {measured:?}");
        let listed = tools(&self.gateway);
        assert!(GOOD.iter().all(|name| listed.contains(&format!("{name}_hello"))), "{listed:?}");
        assert!(listed.contains(&"bad_work".to_owned()), "what it offered stays listed: {listed:?}");
    }

    /// It is good again, and nothing was started anew.
    async fn recovers(&self) {
        self.hostile.turn(Fault::None);
        let since = Instant::now();
        let is_answered = |answer: &Result<Raw, RpcError>| {
            answer.as_ref().is_ok_and(|answer| answer.get() == r#"{"content":[]}"#)
        };
        while !is_answered(&call_tool(&self.gateway, "bad", "work").await)
            || observed(&self.gateway, "bad").unwrap().tools.is_empty()
        {
            assert!(since.elapsed() < Duration::from_secs(60), "{:?}", observed(&self.gateway, "bad"));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        wait_for("its circuit is closed", || {
            (self.gateway.figures()[&named("bad")].circuit == Circuit::Closed).then_some(())
        })
        .await;
    }
}

async fn unharmed_by(fault: Fault) -> Street {
    let street = Street::open().await;
    street.is_unharmed_by(fault).await;
    street
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_hangs_in_initialize() {
    unharmed_by(Fault::HangsInInitialize).await.recovers().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_hangs_on_lists() {
    let street = unharmed_by(Fault::HangsOnList).await;
    call_tool(&street.gateway, "bad", "work").await.expect("its calls go on");
    street.recovers().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_hangs_on_calls_is_asked_no_more_for_a_while() {
    let street = unharmed_by(Fault::HangsOnCall).await;
    let refused = wait_for_refusal(&street).await;
    assert!(
        refused.contains("failed several times running") && refused.contains("not answered within"),
        "{refused}"
    );
    assert!(matches!(street.gateway.figures()[&named("bad")].circuit, Circuit::Open { .. }));
    street.recovers().await;
}

/// What the callers are told once its circuit is open.
async fn wait_for_refusal(street: &Street) -> String {
    for _ in 0..40 {
        let answer = call_tool(&street.gateway, "bad", "work").await;
        if answer.is_ok() {
            return tool_error(answer);
        }
    }
    panic!("its circuit never opened: {:?}", street.gateway.figures()[&named("bad")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_answers_after_the_deadline() {
    unharmed_by(Fault::Late(700)).await.recovers().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_without_a_stream() {
    let street = Street::open().await;
    street.is_unharmed_by(Fault::NoStream).await;
    call_tool(&street.gateway, "bad", "work").await.expect("it needs no stream");
    street.recovers().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_drops_sessions() {
    unharmed_by(Fault::DropsSessions).await.recovers().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_floods_notifications_is_listed_at_our_pace() {
    let street = Street::open().await;
    let (before, since) = (street.hostile.lists(), Instant::now());
    street.is_unharmed_by(Fault::Floods).await;
    let lists = street.hostile.lists() - before;
    let most = usize::try_from(since.elapsed().as_millis() / 50).unwrap() + 2;
    assert!(lists <= most, "{lists} lists within {:?}", since.elapsed());
    street.recovers().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_with_results_of_20_mb() {
    unharmed_by(Fault::Large(20_000_000)).await.recovers().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_answers_garbage() {
    let street = unharmed_by(Fault::Garbage).await;
    let refused = wait_for_refusal(&street).await;
    assert!(refused.contains("is not MCP"), "{refused}");
    street.recovers().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_defines_its_tool_anew_all_the_time() {
    let street = unharmed_by(Fault::Redefines).await;
    let changed = wait_for("it is said", || observed(&street.gateway, "bad")?.changed.first().cloned()).await;
    assert!(
        changed.contains("`work` is not defined as it was") && changed.contains("description"),
        "{changed}"
    );
    street.recovers().await;
    wait_for("it is as it was", || observed(&street.gateway, "bad")?.changed.is_empty().then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_dies_mid_stream() {
    unharmed_by(Fault::DiesMidStream).await.recovers().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_answers_something_else() {
    unharmed_by(Fault::OtherId).await.recovers().await;
}
