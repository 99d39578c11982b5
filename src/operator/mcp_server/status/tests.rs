//! Statuses as users see them: from a spec, what the API server shows and what the gateway has seen.

#![allow(clippy::unwrap_used)]

use k8s_openapi::{
    api::{apps::v1::Deployment, core::v1::Pod},
    jiff::Timestamp,
};
use serde_json::{Value, json};

use super::{
    Evidence, Extras, FailedProbe, Situation, assess, conditions::Holds, happenings, registered,
    traces::Probe,
};
use crate::{
    api::{MCPServer, MCPServerStatus, mcp_server::Phase},
    fleet::{Observation, ServerInfo, ServerName, State, ToolSummary},
    operator::mcp_server::{
        fixture::server,
        rollout::{Held, Standing},
        validate::{Owner, Runs, Workload, validate},
    },
};

fn seen(state: State) -> Observation {
    Observation {
        pool: None,
        state,
        server: Some(ServerInfo {
            name: "everything".to_owned(),
            version: "1.0".to_owned(),
            protocol_version: "2026-07-28".to_owned(),
        }),
        tools: vec![ToolSummary {
            name: "demo_echo".to_owned(),
            hash: "0123456789ab".to_owned(),
            tokens: 60,
        }],
        dropped: vec![],
        changed: vec![],
        quarantined: vec![],
        pins: std::sync::Arc::default(),
        calls: 0,
        errors: 0,
    }
}

fn deployment(status: Value) -> Deployment {
    serde_json::from_value(json!({"metadata": {"generation": 1}, "spec": null, "status": status})).unwrap()
}

fn ready() -> Deployment {
    deployment(json!({"observedGeneration": 1, "replicas": 1, "readyReplicas": 1, "updatedReplicas": 1}))
}

fn unready() -> Deployment {
    deployment(json!({"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1}))
}

fn pod(status: Value) -> Pod {
    serde_json::from_value(json!({"metadata": {"name": "demo-x"}, "status": status})).unwrap()
}

fn waiting(reason: &str) -> Pod {
    pod(
        json!({"containerStatuses": [{"name": "server", "ready": false, "restartCount": 0, "image": "a:1", "imageID": "",
        "state": {"waiting": {"reason": reason, "message": "Back-off 10s"}}}]}),
    )
}

fn exited(restarts: i32, state: Value) -> Pod {
    pod(
        json!({"containerStatuses": [{"name": "server", "ready": false, "restartCount": restarts, "image": "a:1",
        "imageID": "", "state": state, "lastState": {"terminated": {"exitCode": 2, "reason": "Error"}}}]}),
    )
}

fn status_at(
    server: &MCPServer,
    deployment: &Deployment,
    pods: &[Pod],
    seen: Option<&Observation>,
    now: &str,
) -> MCPServerStatus {
    status_with(server, deployment, pods, &Evidence::default(), seen, now)
}

fn status_with(
    server: &MCPServer,
    deployment: &Deployment,
    pods: &[Pod],
    evidence: &Evidence,
    seen: Option<&Observation>,
    now: &str,
) -> MCPServerStatus {
    let validated = validate(server, None).unwrap();
    let now: Timestamp = now.parse().unwrap();
    match &validated.runs {
        Runs::Remote(url) => assess(server, &Situation::Remote { url, unread: None }, None, seen, now),
        Runs::Workload(workload) => {
            let deployment = Some(deployment);
            let situation = Situation::Workload {
                owner: &validated.owner,
                workload,
                deployment,
                pods,
                evidence,
                standing: &Standing::NotGated,
                extras: &Extras::default(),
            };
            assess(server, &situation, None, seen, now)
        }
    }
}

fn status(spec: &str, deployment: &Deployment, pods: &[Pod], seen: Option<&Observation>) -> MCPServerStatus {
    status_at(&server(spec), deployment, pods, seen, "2026-11-21T12:00:00Z")
}

/// `status reason: message` of one condition.
fn condition(status: &MCPServerStatus, type_: &str) -> String {
    let condition = status.conditions.iter().find(|condition| condition.type_ == type_).unwrap();
    format!("{} {}: {}", condition.status, condition.reason, condition.message)
}

#[test]
fn a_new_pod_that_cannot_start_beside_an_old_one_that_serves_is_no_ready_server() {
    let both =
        deployment(json!({"observedGeneration": 1, "replicas": 2, "readyReplicas": 1, "updatedReplicas": 1}));
    let status = status("image: a", &both, &[waiting("ImagePullBackOff")], Some(&seen(State::Ready)));
    assert_eq!(status.phase, Some(Phase::Degraded));
    let available = condition(&status, "Available");
    assert!(available.starts_with("True ImagePullFailed: 1 of 1 pods are ready: "), "{available}");
}

#[test]
fn a_server_that_answers_is_ready_and_shows_its_tools() {
    let status = status("image: a", &ready(), &[], Some(&seen(State::Ready)));
    assert_eq!(status.phase, Some(Phase::Ready));
    assert_eq!((status.replicas, status.ready_replicas, status.tool_count), (1, 1, 1));
    assert_eq!(status.tools[0].name, "demo_echo");
    assert_eq!(status.observed_generation, Some(3));
    let url = status.endpoints.clone().unwrap().service.unwrap();
    assert_eq!(url, "http://demo.team-a.svc:8080/mcp");
    assert_eq!(condition(&status, "Accepted"), "True Valid: The spec can be acted on.");
    assert_eq!(condition(&status, "Available"), "True PodsReady: 1 of 1 pods are ready.");
    assert_eq!(
        condition(&status, "Verified"),
        "True HandshakeSucceeded: everything 1.0 speaks MCP 2026-07-28."
    );
    assert_eq!(condition(&status, "Registered"), "True Registered: 1 tool is offered.");
}

#[test]
fn phases_follow_what_is_found() {
    let ready_seen = seen(State::Ready);
    let silent = seen(State::Unreachable { reason: "no answer within 5s".to_owned() });
    let fresh = deployment(Value::Null);
    type Case<'a> = (&'a str, &'a Deployment, Vec<Pod>, Option<&'a Observation>, Phase);
    let cases: [Case<'_>; 9] = [
        ("image: a", &fresh, vec![], None, Phase::Deploying),
        ("image: a", &ready(), vec![], None, Phase::Deploying),
        ("image: a", &ready(), vec![], Some(&silent), Phase::Degraded),
        ("image: a", &unready(), vec![waiting("ImagePullBackOff")], None, Phase::Failed),
        ("image: a", &unready(), vec![waiting("ContainerCreating")], None, Phase::Deploying),
        (
            "{image: a, replicas: 2}",
            &ready(),
            vec![waiting("ImagePullBackOff")],
            Some(&ready_seen),
            Phase::Degraded,
        ),
        ("{image: a, replicas: 0}", &fresh, vec![], None, Phase::Stopped),
        ("remote: {url: 'http://b/'}", &fresh, vec![], None, Phase::Pending),
        ("remote: {url: 'http://b/'}", &fresh, vec![], Some(&ready_seen), Phase::Ready),
    ];
    for (spec, deployment, pods, seen, expected) in cases {
        assert_eq!(status(spec, deployment, &pods, seen).phase, Some(expected), "{spec} {seen:?}");
    }
}

#[test]
fn why_a_pod_is_not_ready_is_said() {
    let said = |pod: Pod| condition(&status("image: a", &unready(), &[pod], None), "Available");
    let image = said(waiting("ImagePullBackOff"));
    assert!(image.contains("ImagePullFailed") && image.contains("a:1"), "{image}");
    assert_eq!(image, said(waiting("ErrImagePull")), "back-off does not rewrite the status");
    let crash = said(exited(3, json!({"waiting": {"reason": "CrashLoopBackOff"}})));
    assert!(crash.contains("ContainerExits") && crash.contains("exit code 2"), "{crash}");
    assert_eq!(crash, said(exited(4, json!({"running": {}}))), "nor does the next try");
    let lost = said(pod(json!({"conditions": [{"type": "PodScheduled", "status": "False",
        "reason": "Unschedulable", "message": "0/1 nodes are available."}]})));
    assert!(
        lost.contains("Unschedulable: 0 of 1 pods are ready: pod demo-x finds no node: 0/1 nodes"),
        "{lost}"
    );
}

fn failing(probe: Probe, said: &str) -> Option<FailedProbe> {
    Some(FailedProbe { probe, said: said.to_owned() })
}

/// The phase and the condition Available, of a server with that pod.
fn with_evidence(deployment: &Deployment, pod: Pod, evidence: &Evidence) -> (Option<Phase>, String) {
    let server = server("image: a");
    let status = status_with(&server, deployment, &[pod], evidence, None, "2026-11-21T12:00:00Z");
    (status.phase, condition(&status, "Available"))
}

#[test]
fn a_crash_is_told_with_its_last_words_and_without_secrets() {
    let words = Evidence {
        last_words: Some("FATAL: cannot log in with password=hunter22".to_owned()),
        probe: failing(Probe::Liveness, "its liveness probe fails: timeout"),
    };
    let crash = exited(3, json!({"waiting": {"reason": "CrashLoopBackOff"}}));
    let (phase, said) = with_evidence(&unready(), crash, &words);
    assert_eq!(phase, Some(Phase::Failed));
    assert!(said.contains("ends with exit code 2, its last words: FATAL: cannot log in"), "{said}");
    assert!(!said.contains("hunter22"), "{said}");
}

#[test]
fn a_probe_that_fails_is_told_with_what_it_found() {
    let found = Evidence {
        last_words: None,
        probe: failing(Probe::Readiness, "its readiness probe fails: HTTP 500"),
    };
    let (phase, said) = with_evidence(&unready(), exited(0, json!({"running": {}})), &Evidence::default());
    assert!(said.contains("ContainerExits"), "{phase:?} {said}");
    let mut running = pod(json!({"containerStatuses": [{"name": "server", "ready": false, "restartCount": 0,
        "image": "a:1", "imageID": "", "state": {"running": {}}}]}));
    running.metadata.uid = Some("1".to_owned());
    let (phase, said) = with_evidence(&unready(), running.clone(), &found);
    assert_eq!(phase, Some(Phase::Degraded), "it runs and does not answer");
    assert_eq!(
        said,
        "False ProbeFails: 0 of 1 pods are ready: container server of pod demo-x runs, and its readiness probe fails: HTTP 500."
    );
    let late = deployment(json!({"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1,
        "conditions": [{"type": "Progressing", "status": "False"}]}));
    let (phase, said) = with_evidence(&late, running, &found);
    assert!(phase == Some(Phase::Failed) && said.contains("ProbeFails"), "{phase:?} {said}");
}

#[test]
fn a_container_that_its_probe_ends_is_told_by_the_probe() {
    let words = Some("listening on 8080".to_owned());
    let found =
        Evidence { last_words: words, probe: failing(Probe::Liveness, "its liveness probe fails: timeout") };
    let ended = |exit_code: i32| {
        let mut pod = pod(json!({"containerStatuses": [{"name": "server", "ready": false, "restartCount": 4,
            "image": "a:1", "imageID": "", "state": {"waiting": {"reason": "CrashLoopBackOff"}},
            "lastState": {"terminated": {"exitCode": exit_code, "reason": "Error"}}}]}));
        pod.metadata.uid = Some("1".to_owned());
        pod
    };
    let (phase, said) = with_evidence(&unready(), ended(137), &found);
    assert_eq!(phase, Some(Phase::Failed));
    assert!(
        said.contains("False ProbeFails")
            && said.contains("ended again and again, since its liveness probe fails"),
        "{said}"
    );
    let (_, said) = with_evidence(&unready(), ended(2), &found);
    assert!(said.contains("ContainerExits") && said.contains("exit code 2"), "it ended by itself: {said}");
    let unready_before =
        Evidence { probe: failing(Probe::Readiness, "its readiness probe fails: timeout"), ..found };
    let (_, said) = with_evidence(&unready(), ended(143), &unready_before);
    assert!(said.contains("ContainerExits"), "a readiness probe ends nothing: {said}");
}

#[test]
fn a_cause_that_was_told_once_stays_while_the_kubelet_waits() {
    let pulling = |reason: &str, message: &str| {
        pod(
            json!({"containerStatuses": [{"name": "server", "ready": false, "restartCount": 0, "image": "a:1",
            "imageID": "", "state": {"waiting": {"reason": reason, "message": message}}}]}),
        )
    };
    let mut server = server("image: a");
    let at =
        |server: &MCPServer, pod: Pod| status_at(server, &unready(), &[pod], None, "2026-11-21T12:00:00Z");
    let told = at(&server, pulling("ErrImagePull", "failed to resolve reference \"a:1\": a:1: not found"));
    assert!(condition(&told, "Available").contains("the registry has no such image or tag"), "{told:?}");
    server.status = Some(told.clone());
    let waits = pulling("ImagePullBackOff", "Back-off pulling image \"a:1\"");
    assert_eq!(at(&server, waits.clone()), told, "older kubelets do not repeat the cause");
    let refused = at(&server, pulling("ErrImagePull", "pull access denied, 401 Unauthorized"));
    assert!(condition(&refused, "Available").contains("spec.imagePullSecrets"), "{refused:?}");
    server.status = None;
    assert!(condition(&at(&server, waits), "Available").contains("check its name"), "nothing is known yet");
}

#[test]
fn a_quota_that_lets_no_pod_be_made_is_said() {
    let refused = deployment(json!({"observedGeneration": 1, "conditions": [{"type": "ReplicaFailure",
        "status": "True", "message": "pods \"demo\" is forbidden: exceeded quota: small"}]}));
    let status = status("image: a", &refused, &[], None);
    assert_eq!(status.phase, Some(Phase::Failed));
    assert!(condition(&status, "Available").contains("False QuotaExceeded"), "{status:?}");
}

#[test]
fn nothing_new_is_the_same_status_however_late() {
    let mut server = server("image: a");
    let seen = seen(State::Ready);
    server.status = Some(status_at(&server, &ready(), &[], Some(&seen), "2026-11-21T12:00:00.123Z"));
    let later = status_at(&server, &ready(), &[], Some(&seen), "2026-11-21T13:00:00Z");
    assert_eq!(server.status, Some(later));
}

#[test]
fn a_transition_time_moves_only_with_its_condition() {
    let mut server = server("image: a");
    server.status = Some(status_at(&server, &unready(), &[], None, "2026-11-21T12:00:00Z"));
    let later = status_at(&server, &ready(), &[], None, "2026-11-21T12:00:05Z");
    let time = |type_: &str| {
        let condition = later.conditions.iter().find(|condition| condition.type_ == type_).unwrap();
        condition.last_transition_time.0.to_string()
    };
    assert_eq!(time("Accepted"), "2026-11-21T12:00:00Z");
    assert_eq!(time("Available"), "2026-11-21T12:00:05Z");
}

#[test]
fn a_new_leader_that_has_not_tried_yet_keeps_what_was_found() {
    let mut server = server("image: a");
    server.status =
        Some(status_at(&server, &ready(), &[], Some(&seen(State::Ready)), "2026-11-21T12:00:00Z"));
    let connecting = Observation { server: None, tools: vec![], ..seen(State::Connecting) };
    for unknown in [None, Some(&connecting)] {
        let status = status_at(&server, &ready(), &[], unknown, "2026-11-21T12:01:00Z");
        assert_eq!(server.status, Some(status));
    }
    let down = status_at(&server, &unready(), &[], Some(&connecting), "2026-11-21T12:01:00Z");
    assert!(condition(&down, "Verified").starts_with("Unknown Connecting"), "{down:?}");
}

#[test]
fn a_contested_prefix_names_who_holds_it() {
    let taken = seen(State::PrefixTaken { by: "team-b/demo".to_owned() });
    let status = status("image: a", &ready(), &[], Some(&taken));
    assert!(
        condition(&status, "Registered").contains("False PrefixTaken: The prefix is held by team-b/demo")
    );
    assert_eq!(status.phase, Some(Phase::Degraded));
}

#[test]
fn what_is_not_accepted_has_failed_and_says_why() {
    let invalid = server("{image: a, port: 0}");
    let why = validate(&invalid, None).unwrap_err();
    let status = assess(&invalid, &Situation::Invalid(&why), None, None, Timestamp::UNIX_EPOCH);
    assert_eq!(status.phase, Some(Phase::Failed));
    assert!(condition(&status, "Accepted").starts_with("False InvalidSpec: spec.port is 0"), "{status:?}");
    let taken = Situation::NamesTaken(vec!["Service team-a/demo".to_owned()]);
    let status = assess(&invalid, &taken, None, None, Timestamp::UNIX_EPOCH);
    assert!(
        condition(&status, "Accepted").starts_with("False NameTaken: Service team-a/demo exists"),
        "{status:?}"
    );
}

#[test]
fn pods_of_an_earlier_spec_go_on_and_are_counted() {
    let invalid = server("{image: a, port: 0}");
    let why = validate(&invalid, None).unwrap_err();
    let earlier = ready();
    let status = assess(&invalid, &Situation::Invalid(&why), Some(&earlier), None, Timestamp::UNIX_EPOCH);
    assert_eq!((status.phase, status.ready_replicas > 0), (Some(Phase::Degraded), true), "{status:?}");
    assert!(condition(&status, "Available").starts_with("True EarlierSpec"), "{status:?}");
}

/// Of one whose Deployment is ready and whose pods have left no traces.
fn when_ready(
    server: &MCPServer,
    owner: &Owner,
    workload: &Workload,
    standing: &Standing,
    state: State,
) -> MCPServerStatus {
    let (deployment, evidence) = (ready(), Evidence::default());
    let situation = Situation::Workload {
        owner,
        workload,
        deployment: Some(&deployment),
        pods: &[],
        evidence: &evidence,
        standing,
        extras: &Extras::default(),
    };
    assess(server, &situation, None, Some(&seen(state)), Timestamp::UNIX_EPOCH)
}

#[test]
fn one_that_sleeps_is_stopped_and_still_offers_its_tools() {
    let server = server("{image: a, scaleToZero: {idleAfter: 10s}}");
    let validated = validate(&server, None).unwrap();
    let Runs::Workload(mut workload) = validated.runs else { panic!("a workload was expected") };
    workload.sleep();
    let status = when_ready(&server, &validated.owner, &workload, &Standing::NotGated, State::Asleep);
    assert_eq!(status.phase, Some(Phase::Stopped));
    assert!(condition(&status, "Available").starts_with("False Asleep: Nobody uses it"), "{status:?}");
    assert!(condition(&status, "Registered").starts_with("True"), "{status:?}");
    assert_eq!(status.tool_count, 1);
    assert!(status.conditions.iter().all(|one| one.type_ != "RolloutHeld"), "{status:?}");
}

#[test]
fn what_a_rollout_is_held_for_is_said_as_long_as_it_is_gated() {
    let server = server("{image: a, rollout: {gate: contract}}");
    let validated = validate(&server, None).unwrap();
    let Runs::Workload(workload) = validated.runs else { panic!("a workload was expected") };
    let status = |held: Option<Held>| {
        let standing = Standing::Gated { held, again: false };
        when_ready(&server, &validated.owner, &workload, &standing, State::Ready)
    };
    let held =
        Held { reason: "BreakingChange", message: "Revision 7 is held back: tool b is missing.".to_owned() };
    let condition_of = |held| condition(&status(held), "RolloutHeld");
    assert_eq!(condition_of(Some(held)), "True BreakingChange: Revision 7 is held back: tool b is missing.");
    assert_eq!(condition_of(None), "False NotHeld: No revision is held back.");
}

#[test]
fn headers_without_values_are_said() {
    let spec = "remote: {url: 'https://a/mcp', headersFrom: [{name: X, secretKeyRef: {name: s, key: k}}]}";
    let server = server(spec);
    let url = "https://a/mcp".parse().unwrap();
    let said = |unread| {
        let situation = Situation::Remote { url: &url, unread };
        let status = assess(&server, &situation, None, None, Timestamp::UNIX_EPOCH);
        condition(&status, "SecretsNotReadable")
    };
    assert!(
        said(Some("spec.remote.headersFrom `X`: no")).starts_with("True HeaderWithoutValue: spec.remote")
    );
    assert!(said(None).starts_with("False Readable"));
}

#[test]
fn a_member_of_a_pool_says_so_and_whose_name_a_pool_has_says_that() {
    let pool = |name: &str| Some(ServerName { namespace: "team-a".to_owned(), name: name.to_owned() });
    let member = Observation { pool: pool("finder"), ..seen(State::Ready) };
    let finding = registered::registered(Some(&member), false);
    assert_eq!((finding.holds, finding.reason.as_str()), (Holds::Yes, "InPool"));
    assert!(finding.message.starts_with("Presented by the MCPPool finder, not by itself: "), "{finding:?}");
    assert_eq!(registered::registered(None, true).reason, "NameTaken");
}

#[test]
fn tools_that_changed_or_are_not_to_be_trusted_are_conditions_and_events_and_pins_stand_in_the_status() {
    let sound = status("image: a", &ready(), &[], Some(&seen(State::Ready)));
    let is_there =
        |status: &MCPServerStatus, type_: &str| status.conditions.iter().any(|at| at.type_ == type_);
    assert!(!is_there(&sound, "ToolsChanged") && !is_there(&sound, "ToolsQuarantined"));
    let odd = Observation {
        changed: vec!["tool `a` is not defined as it was".to_owned()],
        quarantined: vec!["tool `b` is not shown".to_owned()],
        pins: std::sync::Arc::new([("a".to_owned(), "0123456789ab".into())].into()),
        ..seen(State::Ready)
    };
    let mut server = server("image: a");
    let after = status_at(&server, &ready(), &[], Some(&odd), "2026-11-21T12:00:00Z");
    assert_eq!(
        condition(&after, "ToolsChanged"),
        "True DefinitionChanged: tool `a` is not defined as it was."
    );
    assert_eq!(condition(&after, "ToolsQuarantined"), "True SuspiciousDefinition: tool `b` is not shown.");
    assert_eq!(after.pins["a"], "0123456789ab");
    let told: Vec<_> = happenings(Some(&sound), &after).into_iter().map(|told| told.reason).collect();
    assert_eq!(told, ["DefinitionChanged", "SuspiciousDefinition"]);

    server.status = Some(after.clone());
    let connecting = Observation { server: None, ..seen(State::Connecting) };
    let kept = status_at(&server, &ready(), &[], Some(&connecting), "2026-11-21T12:01:00Z");
    assert_eq!((kept.pins, kept.conditions), (after.pins, after.conditions));
}
