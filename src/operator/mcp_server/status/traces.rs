//! Which traces of a pod tell why it is not ready, and what they say. Needs no client.

use k8s_openapi::api::core::v1::{ContainerStatus, Event, Pod};

/// Of what pods leave behind, what a message shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::operator::mcp_server) struct Evidence {
    /// Of the container that [`crash`] names.
    pub(in crate::operator::mcp_server) last_words: Option<String>,
    /// Of the container that [`probing`] names.
    pub(in crate::operator::mcp_server) probe: Option<FailedProbe>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::operator::mcp_server) struct FailedProbe {
    pub(in crate::operator::mcp_server) probe: Probe,
    /// Such as `its readiness probe fails: HTTP 500`.
    pub(in crate::operator::mcp_server) said: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::operator::mcp_server) enum Probe {
    Startup,
    Readiness,
    Liveness,
}

impl Probe {
    /// As the kubelet begins its events.
    fn parse(word: &str) -> Option<Self> {
        match word {
            "Startup" => Some(Self::Startup),
            "Readiness" => Some(Self::Readiness),
            "Liveness" => Some(Self::Liveness),
            _ => None,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Startup => "startup",
            Self::Readiness => "readiness",
            Self::Liveness => "liveness",
        }
    }
}

/// A container that ended, and how often it has restarted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::operator::mcp_server) struct Crash {
    pub(in crate::operator::mcp_server) pod: String,
    pub(in crate::operator::mcp_server) pod_uid: String,
    pub(in crate::operator::mcp_server) container: String,
    pub(in crate::operator::mcp_server) restarts: i32,
    /// Its log is that of the run before.
    pub(in crate::operator::mcp_server) has_restarted: bool,
}

/// A container that runs, or ran, and is not ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::operator::mcp_server) struct Probing {
    pub(in crate::operator::mcp_server) pod: String,
    pub(in crate::operator::mcp_server) pod_uid: String,
    pub(in crate::operator::mcp_server) container: String,
}

/// A probe that failed this often is worth a word: the kubelet itself gives three chances.
const FAILURES: i32 = 3;
/// A startup probe fails until the server is up: that alone says nothing for a while.
const STARTUP_FAILURES: i32 = 10;

/// The first by name of the pods whose container ended without having been asked for.
pub(in crate::operator::mcp_server) fn crash(pods: &[Pod]) -> Option<Crash> {
    containers(pods).find_map(|(pod, status)| {
        let now = status.state.as_ref().and_then(|state| state.terminated.as_ref());
        let before = status.last_state.as_ref().and_then(|state| state.terminated.as_ref());
        let (ended, has_restarted) = match (now, before) {
            (Some(now), _) if now.exit_code != 0 => (now, false),
            (_, Some(before)) => (before, true),
            _ => return None,
        };
        // What it wrote to its termination log it meant to be shown.
        if ended.message.as_deref().is_some_and(|message| !message.trim().is_empty()) {
            return None;
        }
        let metadata = &pod.metadata;
        Some(Crash {
            pod: metadata.name.clone()?,
            pod_uid: metadata.uid.clone().unwrap_or_default(),
            container: status.name.clone(),
            restarts: status.restart_count,
            has_restarted,
        })
    })
}

/// The first by name of the pods with a container that started and is not ready.
pub(in crate::operator::mcp_server) fn probing(pods: &[Pod]) -> Option<Probing> {
    containers(pods).find_map(|(pod, status)| {
        let runs = status.state.as_ref().is_some_and(|state| state.running.is_some());
        if !runs && status.restart_count == 0 {
            return None;
        }
        let metadata = &pod.metadata;
        let pod_uid = metadata.uid.clone()?;
        Some(Probing { pod: metadata.name.clone()?, pod_uid, container: status.name.clone() })
    })
}

/// Containers that are not ready, of pods that stay, by the pods' names.
fn containers(pods: &[Pod]) -> impl Iterator<Item = (&Pod, &ContainerStatus)> {
    let mut pods: Vec<&Pod> = pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).collect();
    pods.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    pods.into_iter().flat_map(|pod| {
        let statuses = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
        statuses.filter(|status| !status.ready).map(move |status| (pod, status))
    })
}

/// What the latest event about a probe of that container says, once it failed often enough.
pub(in crate::operator::mcp_server) fn probe_failure(
    events: &[Event],
    probing: &Probing,
) -> Option<FailedProbe> {
    let field = format!("{{{}}}", probing.container);
    let of_container = events.iter().filter(|event| {
        event.involved_object.field_path.as_deref().is_none_or(|path| path.ends_with(&field))
    });
    let enough = of_container.filter(|event| {
        let is_startup = event.message.as_deref().is_some_and(|message| message.starts_with("Startup"));
        event.count.unwrap_or(1) >= if is_startup { STARTUP_FAILURES } else { FAILURES }
    });
    let latest = enough.max_by_key(|event| event.last_timestamp.as_ref().map(|time| time.0))?;
    let message = latest.message.as_deref()?;
    let message = message.strip_prefix("(combined from similar events): ").unwrap_or(message);
    let (probe, found) = message.split_once(" probe failed: ")?;
    let found = found.lines().next().unwrap_or_default().trim();
    let found: String = found.chars().take(200).collect();
    let probe = Probe::parse(probe)?;
    let said = format!("its {} probe fails: {}", probe.as_str(), found.trim_end_matches('.'));
    Some(FailedProbe { probe, said })
}

/// The last line of a log that says something: frames of a stack and the name of the runtime do not.
pub(in crate::operator::mcp_server) fn last_line(log: &str) -> Option<String> {
    let lines = || log.lines().rev().map(str::trim).filter(|line| !line.is_empty());
    let is_frame = |line: &&str| line.starts_with("at ") || line.starts_with("Node.js v") || *line == "}";
    let line = lines().find(|line| !is_frame(line)).or_else(|| lines().next())?;
    Some(line.trim_end_matches('.').chars().take(200).collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use k8s_openapi::api::core::v1::{Event, Pod};
    use serde_json::{Value, json};

    use super::{Probe, Probing, crash, last_line, probe_failure, probing};

    fn pod(name: &str, restarts: i32, state: Value, last_state: Value) -> Pod {
        serde_json::from_value(
            json!({"metadata": {"name": name, "uid": name}, "status": {"containerStatuses": [
            {"name": "server", "ready": false, "restartCount": restarts, "image": "a", "imageID": "",
             "state": state, "lastState": last_state}]}}),
        )
        .unwrap()
    }

    fn event(count: i32, at: &str, message: &str) -> Event {
        serde_json::from_value(
            json!({"metadata": {}, "count": count, "lastTimestamp": at, "message": message,
            "involvedObject": {"fieldPath": "spec.containers{server}"}}),
        )
        .unwrap()
    }

    fn of_server() -> Probing {
        Probing { pod: "a".to_owned(), pod_uid: "a".to_owned(), container: "server".to_owned() }
    }

    #[test]
    fn the_log_is_that_of_the_run_that_ended() {
        let ended = json!({"terminated": {"exitCode": 1}});
        let fresh = crash(&[pod("a", 0, ended.clone(), json!({}))]).unwrap();
        assert!(!fresh.has_restarted, "{fresh:?}");
        let waits = json!({"waiting": {"reason": "CrashLoopBackOff"}});
        let again = crash(&[pod("b", 3, waits.clone(), ended.clone()), pod("a", 4, waits, ended)]).unwrap();
        assert!(again.has_restarted && again.pod == "a" && again.restarts == 4, "{again:?}");
        assert_eq!(crash(&[pod("a", 0, json!({"running": {}}), json!({}))]), None);
        let told = json!({"terminated": {"exitCode": 1, "message": "no license"}});
        assert_eq!(crash(&[pod("a", 0, told, json!({}))]), None, "its own words are there already");
    }

    #[test]
    fn a_container_that_runs_unready_is_asked_for_its_probe() {
        assert_eq!(
            probing(&[pod("a", 0, json!({"waiting": {"reason": "ContainerCreating"}}), json!({}))]),
            None
        );
        assert_eq!(probing(&[pod("a", 0, json!({"running": {}}), json!({}))]), Some(of_server()));
    }

    #[test]
    fn the_latest_probe_that_failed_often_enough_is_told() {
        let early = event(
            9,
            "2026-11-21T12:00:00Z",
            "Readiness probe failed: HTTP probe failed with statuscode: 500",
        );
        let late = event(3, "2026-11-21T12:01:00Z", "Liveness probe failed: timeout.\nmore");
        let starting = event(4, "2026-11-21T12:02:00Z", "Startup probe failed: connection refused");
        let all = [early.clone(), late, starting.clone()];
        assert_eq!(probe_failure(&all, &of_server()).unwrap().said, "its liveness probe fails: timeout");
        assert_eq!(
            probe_failure(&[early], &of_server()).unwrap().said,
            "its readiness probe fails: HTTP probe failed with statuscode: 500"
        );
        assert_eq!(
            probe_failure(std::slice::from_ref(&starting), &of_server()),
            None,
            "it has only just begun"
        );
        let long = Event { count: Some(30), ..starting };
        let starts = probe_failure(std::slice::from_ref(&long), &of_server()).unwrap();
        assert!(starts.probe == Probe::Startup && starts.said.contains("connection refused"), "{starts:?}");
        let of_another = Probing { container: "bridge".to_owned(), ..of_server() };
        assert_eq!(probe_failure(&[long], &of_another), None);
    }

    #[test]
    fn the_last_line_that_says_something_is_told() {
        assert_eq!(last_line("starting\nDB_URL is missing.\n\n").unwrap(), "DB_URL is missing");
        let node = "Error: boom\n    at Object.<anonymous> (/app/x.js:1:7)\n    at node:internal:2\n\nNode.js v20.1.0\n";
        assert_eq!(last_line(node).unwrap(), "Error: boom");
        assert_eq!(last_line("  \n"), None);
        assert_eq!(last_line("at last").unwrap(), "at last", "better than nothing");
        assert_eq!(last_line(&"x".repeat(999)).unwrap().len(), 200);
    }
}
