//! Several servers behind one name: which of them answers what, and what becomes of the others.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::future::join_all;
use pilothouse::gateway::{
    Downstream, Endpoint, Gateway, Member, Reached, Request, Seats, State, Target, Transport, wire::Era,
};
use tokio::sync::mpsc;

use crate::{
    gateway_odd::{Odd, Reply},
    gateway_support::{call_tool, named, observed, of, ready, text, tool_error, tools, wait_for},
};

/// Has these tools and answers calls with its name, after a little while.
fn pod(name: &'static str, tools: &'static str) -> Odd {
    Odd::start(Era::Legacy, move |method, _| match method {
        "tools/list" => Reply::Result(format!(r#"{{"tools":[{tools}]}}"#)),
        "tools/call" => {
            std::thread::sleep(Duration::from_millis(5));
            Reply::Result(format!(r#"{{"pod":"{name}"}}"#))
        }
        _ => Reply::Result("{}".to_owned()),
    })
}

const LOOK: &str = r#"{"name":"look"}"#;
const BOTH: &str = r#"{"name":"look"},{"name":"only"}"#;

fn member(name: &str, pods: &[&Odd]) -> Member {
    let endpoint = |(at, pod): (usize, &&Odd)| Endpoint {
        id: format!("{name}-{at}"),
        address: pod.address,
        terminating: false,
    };
    let reached = Reached {
        transport: Transport::StreamableHttp,
        target: Target::Endpoints {
            path: "/mcp".to_owned(),
            host_header: format!("{name}.shop.svc"),
            endpoints: pods.iter().enumerate().map(endpoint).collect(),
        },
        stateless: false,
        drain: Duration::from_secs(30),
        wakes_within: None,
    };
    Member { server: named(name), reached: Ok(reached) }
}

fn pool(members: Vec<Member>) -> Downstream {
    of("pool", Transport::StreamableHttp, Target::Members(members))
}

/// Who answers a call of this session.
async fn asked(gateway: &Gateway, seats: &Arc<Seats>, tool: &str) -> String {
    let request = Request {
        server: named("pool"),
        method: "tools/call".to_owned(),
        params: Some(text(&format!(r#"{{"name":"{tool}","arguments":{{}}}}"#))),
        era: Era::Legacy,
        seats: Some(seats.clone()),
    };
    let answer = gateway.call(request, mpsc::channel(1).0).await.unwrap();
    answer.get().replace(r#"{"pod":""#, "").replace(r#""}"#, "")
}

/// Who answers when many ask at once, each in a session of its own.
async fn crowd(gateway: &Gateway, tool: &str) -> BTreeSet<String> {
    let sessions: Vec<Arc<Seats>> = (0..24).map(|_| Arc::default()).collect();
    join_all(sessions.iter().map(|session| asked(gateway, session, tool))).await.into_iter().collect()
}

async fn member_is(gateway: &Gateway, member: &str, state: State) {
    wait_for(&format!("{member} is {state:?}"), || {
        observed(gateway, member).filter(|seen| seen.state == state && seen.pool == Some(named("pool")))
    })
    .await;
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[tokio::test]
async fn each_member_is_connected_and_a_call_goes_to_those_that_list_the_tool() {
    let (a, b) = (pod("a", LOOK), pod("b", BOTH));
    let gateway = Gateway::new(vec![]);
    gateway.apply(pool(vec![member("a", &[&a]), member("b", &[&b])]));
    ready(&gateway, "pool").await;
    member_is(&gateway, "a", State::Ready).await;
    member_is(&gateway, "b", State::Ready).await;
    wait_for("both are offered", || (tools(&gateway) == ["pool_look", "pool_only"]).then_some(())).await;
    assert_eq!(crowd(&gateway, "look").await, set(&["a", "b"]));
    assert_eq!(crowd(&gateway, "only").await, set(&["b"]));

    // A session stays, and has a second seat where the first knows nothing.
    let session: Arc<Seats> = Arc::default();
    let first = asked(&gateway, &session, "look").await;
    assert_eq!(asked(&gateway, &session, "only").await, "b");
    let again = join_all((0..20).map(|_| asked(&gateway, &session, "look"))).await;
    assert!(again.iter().all(|by| *by == first), "{again:?}");
    let told = |member| observed(&gateway, member).unwrap().tools.len();
    assert_eq!((told("a"), told("b")), (1, 2));
}

#[tokio::test]
async fn one_that_is_gone_or_refused_leaves_the_others_to_answer() {
    let (a, b) = (pod("a", LOOK), pod("b", BOTH));
    let gateway = Gateway::new(vec![]);
    let refused = Member { server: named("c"), reached: Err("spec.path is wrong".to_owned().into()) };
    gateway.apply(pool(vec![member("a", &[&a]), member("b", &[&b]), refused]));
    member_is(&gateway, "c", State::Unreachable { reason: "spec.path is wrong".to_owned() }).await;
    member_is(&gateway, "a", State::Ready).await;
    member_is(&gateway, "b", State::Ready).await;
    assert_eq!(observed(&gateway, "pool").unwrap().state, State::Ready);

    // Its pod leaves: what only it has is still listed, and says why it cannot be called.
    gateway.apply(pool(vec![member("a", &[&a]), member("b", &[])]));
    member_is(&gateway, "b", State::Connecting).await;
    assert_eq!(crowd(&gateway, "look").await, set(&["a"]));
    assert!(tools(&gateway).contains(&"pool_only".to_owned()));
    let said = tool_error(call_tool(&gateway, "pool", "only").await);
    assert!(said.contains("server shop/pool cannot be called now"), "{said}");

    // It leaves the pool: so does what only it has.
    gateway.apply(pool(vec![member("a", &[&a])]));
    wait_for("its tool is gone", || (tools(&gateway) == ["pool_look"]).then_some(())).await;
    assert!(observed(&gateway, "b").is_none());
}

#[tokio::test]
async fn members_rest_and_wake_one_by_one() {
    let (a, b) = (pod("a", LOOK), pod("b", BOTH));
    let sleepy = |name: &str, pods: &[&Odd]| {
        let mut member = member(name, pods);
        member.reached.as_mut().unwrap().wakes_within = Some(Duration::from_secs(20));
        member
    };
    let gateway = Arc::new(Gateway::new(vec![]));
    gateway.apply(pool(vec![sleepy("a", &[&a]), sleepy("b", &[&b])]));
    member_is(&gateway, "a", State::Ready).await;
    member_is(&gateway, "b", State::Ready).await;
    assert!(gateway.idle_for(&named("a")).is_some() && gateway.idle_for(&named("pool")).is_none());
    let session: Arc<Seats> = Arc::default();
    assert_eq!(asked(&gateway, &session, "only").await, "b");
    assert!(gateway.idle_for(&named("b")).is_none(), "a session is held there");
    assert!(!gateway.rest(&named("b")) && gateway.rest(&named("a")), "use of one is no use of the other");
    assert_eq!(crowd(&gateway, "look").await, set(&["b"]));
    drop(session);
    wait_for("nobody uses it", || gateway.rest(&named("b")).then_some(())).await;
    gateway.apply(pool(vec![sleepy("a", &[]), sleepy("b", &[])]));
    member_is(&gateway, "a", State::Asleep).await;
    member_is(&gateway, "b", State::Asleep).await;
    assert_eq!(observed(&gateway, "pool").unwrap().state, State::Asleep);

    let waits = |tool: &'static str| {
        let gateway = gateway.clone();
        tokio::spawn(async move { asked(&gateway, &Arc::default(), tool).await })
    };
    let look = waits("look");
    let parked = || gateway.parked().borrow().clone();
    wait_for("the first is waited for", || (parked() == BTreeSet::from([named("a")])).then_some(())).await;
    let only = waits("only");
    wait_for("both are waited for", || (parked() == BTreeSet::from([named("a"), named("b")])).then_some(()))
        .await;
    gateway.rouse(&named("a"));
    gateway.apply(pool(vec![sleepy("a", &[&a]), sleepy("b", &[])]));
    assert_eq!(look.await.unwrap(), "a");
    gateway.rouse(&named("b"));
    gateway.apply(pool(vec![sleepy("a", &[&a]), sleepy("b", &[&b])]));
    assert_eq!(only.await.unwrap(), "b");
    assert!(parked().is_empty());
}
