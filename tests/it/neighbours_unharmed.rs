//! Whatever one server does, the calls of the others are answered as fast as before, and it is used again as soon as
//! it is good again.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::join_all;
use pilothouse::gateway::{
    Circuit, Gateway,
    wire::{Era, Raw, RpcError},
};
use tokio::{sync::watch, task::JoinHandle};

use crate::{
    gateway_odd::{Odd, Reply},
    gateway_support::{at_url, call_tool, named, observed, ready, tool_error, tools, wait_for},
    neighbours_hostile::{Fault, Hostile},
};

const GOOD: [&str; 3] = ["one", "two", "three"];
/// Callers of the server that is or is not bad.
const CALLERS: usize = 8;
/// Disturbed and undisturbed calls take turns of this length, so that what else the machine does meets both alike.
const WINDOW: Duration = Duration::from_millis(200);
/// Windows of each kind: some hundred calls each.
const WINDOWS: usize = 8;
/// What a busy machine spoils is outweighed by further windows; no window is left out.
const MOST_WINDOWS: usize = 48;
/// Below this a slower call is a matter of the machine.
const FLOOR: Duration = Duration::from_millis(5);

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

    /// How long the calls of the good servers take; all of them succeed.
    async fn window(&self) -> Vec<Duration> {
        let begun = Instant::now();
        let of = |name: &'static str| async move {
            let mut took = Vec::new();
            while begun.elapsed() < WINDOW {
                let since = Instant::now();
                call_tool(&self.gateway, name, "hello").await.unwrap();
                took.push(since.elapsed());
            }
            took
        };
        join_all(GOOD.map(of)).await.concat()
    }

    /// The others are unharmed while it is so and is called all the time, in comparison with another street where
    /// the same server is good and called as much.
    async fn is_unharmed_by(&self, fault: Fault) {
        let quiet = Self::open().await;
        let (callers, quiet_callers) = (Callers::of(self), Callers::of(&quiet));
        let (mut before, mut now) = (Vec::new(), Vec::new());
        for windows in 1.. {
            self.hostile.turn(Fault::None);
            quiet_callers.call();
            before.append(&mut quiet.window().await);
            quiet_callers.rest().await;

            self.hostile.turn(fault);
            callers.call();
            now.append(&mut self.window().await);
            callers.rest().await;

            let (quiet, bad) = (p99(&mut before), p99(&mut now));
            if windows >= WINDOWS && bad <= (quiet * 2).max(FLOOR) {
                break;
            }
            assert!(
                windows < MOST_WINDOWS,
                "{fault:?}: {bad:?} (p99 of {}) against {quiet:?} (of {})",
                now.len(),
                before.len()
            );
        }
        callers.end().await;
        quiet_callers.end().await;
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

/// Who call the server that may be bad, whenever they are told to.
struct Callers {
    go: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    /// Calls that wait for their end.
    waiting: Arc<watch::Sender<usize>>,
}

impl Callers {
    fn of(street: &Street) -> Self {
        let (go, waiting) = (watch::Sender::new(false), Arc::new(watch::Sender::new(0)));
        let caller = |_| {
            let (gateway, mut go, waiting) = (street.gateway.clone(), go.subscribe(), waiting.clone());
            tokio::spawn(async move {
                while go.wait_for(|go| *go).await.is_ok() {
                    waiting.send_modify(|waiting| *waiting += 1);
                    let answer = call_tool(&gateway, "bad", "work");
                    let _ = tokio::time::timeout(Duration::from_secs(30), answer).await.expect("an end");
                    waiting.send_modify(|waiting| *waiting -= 1);
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            })
        };
        let tasks = (0..CALLERS).map(caller).collect();
        Self { go, tasks, waiting }
    }

    fn call(&self) {
        self.go.send_replace(true);
    }

    /// Returns when their last calls have ended.
    async fn rest(&self) {
        self.go.send_replace(false);
        self.waiting.subscribe().wait_for(|waiting| *waiting == 0).await.unwrap();
    }

    async fn end(self) {
        drop(self.go);
        for task in self.tasks {
            task.await.unwrap();
        }
    }
}

fn p99(took: &mut [Duration]) -> Duration {
    took.sort_unstable();
    took[took.len() * 99 / 100]
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
