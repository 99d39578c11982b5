//! Whether enough pods are ready.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus};

use super::{
    Situation,
    conditions::{Finding, Holds},
    pods::{Hope, Trouble, trouble},
};
use crate::api::mcp_server::ConditionType;

/// What the pods show.
#[derive(Clone, Debug)]
pub(super) struct Availability {
    pub(super) finding: Finding,
    pub(super) replicas: i32,
    pub(super) ready: i32,
    /// Somebody can answer.
    pub(super) serves: bool,
    pub(super) progress: Progress,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Nothing was made yet.
    NotStarted,
    /// Pods are on their way.
    UnderWay,
    /// As many as wanted, all of the newest kind and none of another. Also a remote server.
    Done,
    /// A pod is not ready, and it may become so.
    Troubled,
    /// A pod runs and does not answer its probe.
    Unanswering,
    /// A pod is not ready, and will not be until somebody changes something.
    Stuck,
    Stopped,
}

pub(super) fn availability(situation: &Situation<'_>, earlier: Option<&Deployment>) -> Availability {
    match situation {
        Situation::Invalid(_)
        | Situation::PolicyViolated(_)
        | Situation::Refused(_)
        | Situation::NamesTaken(_) => still_running(earlier),
        Situation::Remote { .. } => Availability {
            finding: finding(Holds::Yes, "Remote", "The server runs elsewhere.".to_owned()),
            replicas: 0,
            ready: 0,
            serves: true,
            progress: Progress::Done,
        },
        Situation::Workload { deployment: None, .. } => nothing(
            "Waiting",
            "Objects of a former MCPServer of this name are still being deleted.",
            Progress::NotStarted,
        ),
        Situation::Workload { workload, deployment: Some(deployment), .. } if workload.is_asleep => {
            asleep(deployment)
        }
        Situation::Workload { workload, deployment: Some(deployment), pods, evidence, .. } => {
            let now = deployment.spec.as_ref().and_then(|spec| spec.replicas);
            of_deployment(deployment, workload.replicas.wanted(now), trouble(deployment, pods, evidence))
        }
    }
}

/// What is not accepted changes nothing: pods of the spec before it go on.
fn still_running(earlier: Option<&Deployment>) -> Availability {
    let status = earlier.and_then(|deployment| deployment.status.as_ref());
    let replicas = status.and_then(|status| status.replicas).unwrap_or(0);
    let ready = status.and_then(|status| status.ready_replicas).unwrap_or(0);
    if ready == 0 {
        let none = "Nothing runs: the condition Accepted says why.";
        return Availability { replicas, ..nothing("NotAccepted", none, Progress::Stuck) };
    }
    let message = format!("{ready} pods of an earlier spec still run: the condition Accepted says why.");
    let finding = finding(Holds::Yes, "EarlierSpec", message);
    Availability { finding, replicas, ready, serves: true, progress: Progress::Stuck }
}

fn of_deployment(deployment: &Deployment, wanted: i32, trouble: Option<Trouble>) -> Availability {
    let status = deployment.status.clone().unwrap_or_default();
    let is_current = status.observed_generation >= deployment.metadata.generation;
    let DeploymentStatus { replicas, ready_replicas, updated_replicas, .. } = status;
    let (replicas, ready, updated) =
        (replicas.unwrap_or(0), ready_replicas.unwrap_or(0), updated_replicas.unwrap_or(0));
    let counted = format!("{ready} of {wanted} pods are ready");
    let (finding, progress) = if wanted == 0 {
        let message = "spec.replicas is 0: set it to 1 or more to start the server.".to_owned();
        (finding(Holds::No, "Stopped", message), Progress::Stopped)
    } else if ready >= wanted && updated >= wanted && replicas <= updated && is_current {
        (finding(Holds::Yes, "PodsReady", format!("{counted}.")), Progress::Done)
    } else {
        let holds = if ready >= wanted { Holds::Yes } else { Holds::No };
        match trouble {
            Some(Trouble { reason, message, hope, exit_code: _ }) => {
                let progress = match hope {
                    Hope::Good => Progress::Troubled,
                    Hope::Some => Progress::Unanswering,
                    Hope::None => Progress::Stuck,
                };
                (finding(holds, reason, format!("{counted}: {message}.")), progress)
            }
            None => {
                (finding(holds, "Progressing", format!("{counted}, pods are starting.")), Progress::UnderWay)
            }
        }
    };
    Availability { finding, replicas, ready, serves: ready > 0, progress }
}

fn asleep(deployment: &Deployment) -> Availability {
    let status = deployment.status.as_ref();
    Availability {
        replicas: status.and_then(|status| status.replicas).unwrap_or(0),
        ready: status.and_then(|status| status.ready_replicas).unwrap_or(0),
        ..nothing("Asleep", "Nobody uses it: the first call starts it again.", Progress::Stopped)
    }
}

fn nothing(reason: &'static str, message: &str, progress: Progress) -> Availability {
    let finding = finding(Holds::No, reason, message.to_owned());
    Availability { finding, replicas: 0, ready: 0, serves: false, progress }
}

fn finding(holds: Holds, reason: &'static str, message: String) -> Finding {
    Finding { type_: ConditionType::Available, holds, reason: reason.to_owned(), message }
}
