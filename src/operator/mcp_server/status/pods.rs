//! Why a pod is not ready, in words that stay the same while the reason does: back-off times and restart counts
//! are left out, or the status would be written at every retry.

use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ContainerStateTerminated, ContainerStatus, Pod},
};

use super::{
    images,
    traces::{Evidence, Probe, crash, probing},
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) reason: &'static str,
    /// Part of a sentence.
    pub(super) message: String,
    pub(super) hope: Hope,
    /// Of a container that ended.
    pub(super) exit_code: Option<i32>,
}

/// Whether it will go away by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Hope {
    /// It may.
    Good,
    /// The pod runs and may come to itself.
    Some,
    /// Not until somebody changes something.
    None,
}

/// The worst of what keeps the pods from being ready; None while they are just starting.
pub(super) fn trouble(deployment: &Deployment, pods: &[Pod], evidence: &Evidence) -> Option<Trouble> {
    let mut sorted: Vec<&Pod> = pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).collect();
    sorted.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    let last_words = last_words(pods, evidence);
    let of_pods = sorted.iter().filter_map(|pod| of_pod(pod, last_words.as_ref()));
    // Of equal ones the first, so that the message does not change with the order of answers.
    let worst = of_pods.reduce(|worst, other| if other.hope > worst.hope { other } else { worst });
    let worst = match worst {
        // What the kubelet ended for its probe says less by its exit than the probe does.
        Some(Trouble { exit_code: Some(0 | KILLED | TERMINATED), .. }) => {
            ended_by_probe(pods, evidence).or(worst)
        }
        Some(worst) => Some(worst),
        None => unready_by_probe(pods, evidence),
    };
    let late = late(deployment);
    let worst =
        worst.map(|worst| Trouble { hope: if late.is_some() { Hope::None } else { worst.hope }, ..worst });
    refused(deployment).or(worst).or(late)
}

/// Exit codes of what a signal ended.
const KILLED: i32 = 137;
const TERMINATED: i32 = 143;
const PROBE_FAILS: &str = "ProbeFails";

fn unready_by_probe(pods: &[Pod], evidence: &Evidence) -> Option<Trouble> {
    let (of, found) = probing(pods).zip(evidence.probe.as_ref())?;
    Some(Trouble {
        reason: PROBE_FAILS,
        message: format!("container {} of pod {} runs, and {}", of.container, of.pod, found.said),
        hope: if found.probe == Probe::Startup { Hope::Good } else { Hope::Some },
        exit_code: None,
    })
}

fn ended_by_probe(pods: &[Pod], evidence: &Evidence) -> Option<Trouble> {
    let (of, found) = probing(pods).zip(evidence.probe.as_ref())?;
    // A readiness probe ends nothing.
    (found.probe != Probe::Readiness).then(|| Trouble {
        reason: PROBE_FAILS,
        message: format!(
            "container {} of pod {} is ended again and again, since {}",
            of.container, of.pod, found.said
        ),
        hope: Hope::None,
        exit_code: None,
    })
}

/// Pod and container, and what it said last.
type LastWords<'a> = (String, String, &'a str);

fn last_words<'a>(pods: &[Pod], evidence: &'a Evidence) -> Option<LastWords<'a>> {
    let (crash, words) = crash(pods).zip(evidence.last_words.as_deref())?;
    Some((crash.pod, crash.container, words))
}

/// A quota or an admission policy lets no pod be made.
fn refused(deployment: &Deployment) -> Option<Trouble> {
    let message = condition(deployment, "ReplicaFailure", "True")?;
    let reason = if message.contains("exceeded quota") { "QuotaExceeded" } else { "PodsRefused" };
    Some(Trouble {
        reason,
        message: format!("no pod can be made: {}", message.trim_end_matches('.')),
        hope: Hope::None,
        exit_code: None,
    })
}

fn late(deployment: &Deployment) -> Option<Trouble> {
    condition(deployment, "Progressing", "False").map(|_| Trouble {
        reason: "ProgressDeadlineExceeded",
        message: "pods did not become ready in time, look at their logs".to_owned(),
        hope: Hope::None,
        exit_code: None,
    })
}

fn condition(deployment: &Deployment, type_: &str, status: &str) -> Option<String> {
    let conditions = deployment.status.as_ref()?.conditions.as_ref()?;
    let condition = conditions.iter().find(|c| c.type_ == type_ && c.status == status)?;
    Some(condition.message.clone().unwrap_or_default())
}

fn of_pod(pod: &Pod, last_words: Option<&LastWords<'_>>) -> Option<Trouble> {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let status = pod.status.as_ref()?;
    let unschedulable = status.conditions.iter().flatten().find(|condition| {
        condition.type_ == "PodScheduled"
            && condition.status == "False"
            && condition.reason.as_deref() == Some("Unschedulable")
    });
    if let Some(condition) = unschedulable {
        let why = condition.message.as_deref().unwrap_or("no node fits").trim_end_matches('.');
        return Some(Trouble {
            reason: "Unschedulable",
            message: format!("pod {name} finds no node: {why}"),
            hope: Hope::Good,
            exit_code: None,
        });
    }
    let containers = status.init_container_statuses.iter().chain(&status.container_statuses).flatten();
    containers.filter(|container| !container.ready).find_map(|container| {
        let words = last_words
            .filter(|(pod, of, _)| pod == name && *of == container.name)
            .map(|(_, _, words)| *words);
        of_container(name, container, words)
    })
}

fn of_container(pod: &str, status: &ContainerStatus, last_words: Option<&str>) -> Option<Trouble> {
    let container = &status.name;
    let waiting = status.state.as_ref().and_then(|state| state.waiting.as_ref());
    let reason = waiting.and_then(|waiting| waiting.reason.as_deref()).unwrap_or_default();
    match reason {
        "ErrImagePull"
        | "ImagePullBackOff"
        | "InvalidImageName"
        | "ErrImageNeverPull"
        | "RegistryUnavailable" => {
            return Some(Trouble {
                reason: "ImagePullFailed",
                message: format!(
                    "pod {pod} cannot get image {} for container {container}{}",
                    status.image,
                    images::cause(
                        reason,
                        waiting.and_then(|waiting| waiting.message.as_deref()).unwrap_or_default()
                    )
                ),
                hope: Hope::None,
                exit_code: None,
            });
        }
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
            let why = waiting.and_then(|waiting| waiting.message.as_deref()).unwrap_or(reason);
            return Some(Trouble {
                reason: "ContainerNotCreated",
                message: format!("container {container} of pod {pod} cannot be made: {}", one_line(why)),
                hope: Hope::None,
                exit_code: None,
            });
        }
        _ => {}
    }
    let now = status.state.as_ref().and_then(|state| state.terminated.as_ref());
    let before = status.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    let ended = now.filter(|ended| ended.exit_code != 0).or(before)?;
    Some(Trouble {
        reason: "ContainerExits",
        message: exit(pod, container, ended, last_words),
        hope: Hope::None,
        // One that needs too much memory is killed as well, and not for its probe.
        exit_code: (ended.reason.as_deref() != Some("OOMKilled")).then_some(ended.exit_code),
    })
}

fn exit(pod: &str, container: &str, ended: &ContainerStateTerminated, last_words: Option<&str>) -> String {
    let code = ended.exit_code;
    let told = match (ended.message.as_deref().map(one_line), last_words) {
        (Some(told), _) if !told.is_empty() => format!(", it said: {told}"),
        (_, Some(words)) => format!(", its last words: {words}"),
        _ => ", look at its logs".to_owned(),
    };
    match ended.reason.as_deref() {
        Some("OOMKilled") => format!(
            "container {container} of pod {pod} was killed because it needs more memory than its limit, raise spec.resources.limits.memory"
        ),
        Some("StartError") => format!("container {container} of pod {pod} cannot start{told}"),
        _ => format!("container {container} of pod {pod} ends with exit code {code}{told}"),
    }
}

/// The last line, at most 200 characters.
fn one_line(text: &str) -> String {
    let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    last.trim().trim_end_matches('.').chars().take(200).collect()
}
