//! How pods and their containers are, as all checks see it.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus, Pod,
    PodCondition, Probe,
};

use super::look::seconds_old;

/// What every start goes through.
const STARTING: [&str; 2] = ["ContainerCreating", "PodInitializing"];
/// A start that takes longer is looked at.
pub(super) const START_SECONDS: i64 = 60;
/// A restart longer ago is history when all is well now.
pub(super) const RECENT_SECONDS: i64 = 3_600;
/// A pod that is younger may be waiting for nothing but its turn.
pub(super) const TURN_SECONDS: i64 = 10;
/// The least time that a container is given to become ready.
const READY_SECONDS: i64 = 30;

/// One container of a pod: what was asked for and what came of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unit<'a> {
    pub(super) is_init: bool,
    pub(super) spec: &'a Container,
    /// None before the kubelet has seen the pod.
    pub(super) status: Option<&'a ContainerStatus>,
}

/// All containers, init containers first.
pub(super) fn units(pod: &Pod) -> Vec<Unit<'_>> {
    let Some(spec) = &pod.spec else { return Vec::new() };
    let status = pod.status.as_ref();
    let init = status.and_then(|status| status.init_container_statuses.as_deref()).unwrap_or_default();
    let main = status.and_then(|status| status.container_statuses.as_deref()).unwrap_or_default();
    let of =
        |name: &str, statuses: &'_ [ContainerStatus]| statuses.iter().position(|status| status.name == name);
    let first = spec.init_containers.iter().flatten().map(|container| Unit {
        is_init: true,
        spec: container,
        status: of(&container.name, init).and_then(|at| init.get(at)),
    });
    let rest = spec.containers.iter().map(|container| Unit {
        is_init: false,
        spec: container,
        status: of(&container.name, main).and_then(|at| main.get(at)),
    });
    first.chain(rest).collect()
}

impl<'a> Unit<'a> {
    pub(super) fn name(&self) -> &'a str {
        &self.spec.name
    }

    /// `spec.containers[name=web]`, as propose_change takes it for a pod's spec.
    pub(super) fn path(&self) -> String {
        let list = if self.is_init { "initContainers" } else { "containers" };
        format!("{list}[name={}]", self.spec.name)
    }

    pub(super) fn status_path(&self) -> String {
        let list = if self.is_init { "initContainerStatuses" } else { "containerStatuses" };
        format!("status.{list}[name={}]", self.spec.name)
    }

    /// An init container that goes on running beside the others.
    pub(super) fn is_sidecar(&self) -> bool {
        self.is_init && self.spec.restart_policy.as_deref() == Some("Always")
    }

    fn state(&self) -> Option<&'a ContainerState> {
        self.status?.state.as_ref()
    }

    /// What it waits for, unless that is part of every start.
    pub(super) fn waiting(&self) -> Option<&'a ContainerStateWaiting> {
        let waiting = self.state()?.waiting.as_ref()?;
        let reason = waiting.reason.as_deref().unwrap_or_default();
        (!STARTING.contains(&reason)).then_some(waiting)
    }

    pub(super) fn waits_for(&self, reason: &str) -> bool {
        self.waiting().is_some_and(|waiting| waiting.reason.as_deref() == Some(reason))
    }

    pub(super) fn running_since(&self) -> Option<Timestamp> {
        Some(self.state()?.running.as_ref()?.started_at.as_ref()?.0)
    }

    pub(super) fn is_ready(&self) -> bool {
        self.status.is_some_and(|status| status.ready)
    }

    pub(super) fn has_started(&self) -> bool {
        self.status.is_some_and(|status| status.started == Some(true))
    }

    pub(super) fn restarts(&self) -> i32 {
        self.status.map_or(0, |status| status.restart_count)
    }

    /// How it ended, if it has.
    pub(super) fn ended(&self) -> Option<&'a ContainerStateTerminated> {
        self.state()?.terminated.as_ref()
    }

    /// How it ended before its last restart.
    pub(super) fn ended_before(&self) -> Option<&'a ContainerStateTerminated> {
        self.status?.last_state.as_ref()?.terminated.as_ref()
    }

    /// The last end that it had, now or before its restart.
    pub(super) fn last_end(&self) -> Option<&'a ContainerStateTerminated> {
        self.ended().or_else(|| self.ended_before())
    }

    /// Whether the last end that was not a success is worth a word: it is down now, or was within the hour.
    pub(super) fn has_failed(&self, now: Timestamp) -> bool {
        if self.waits_for("CrashLoopBackOff") || self.waits_for("RunContainerError") {
            return true;
        }
        let failed = |end: &ContainerStateTerminated| end.exit_code != 0;
        if self.ended().is_some_and(failed) {
            return true;
        }
        self.ended_before().is_some_and(|end| failed(end) && is_recent(end, now))
    }

    /// Longer than its readiness probe gives it, and than any start takes, it runs and is not ready.
    pub(super) fn is_late(&self, now: Timestamp) -> bool {
        let Some(since) = self.running_since().filter(|_| !self.is_ready() && !self.is_init) else {
            return false;
        };
        let allowed = [&self.spec.startup_probe, &self.spec.readiness_probe];
        let allowed: i64 = allowed.into_iter().flatten().map(patience).sum();
        now.as_second() - since.as_second() > allowed.max(READY_SECONDS)
    }
}

fn is_recent(end: &ContainerStateTerminated, now: Timestamp) -> bool {
    let at = end.finished_at.as_ref();
    at.is_none_or(|at| now.as_second() - at.0.as_second() < RECENT_SECONDS)
}

/// Seconds after which a probe that always fails has failed for good.
pub(super) fn patience(probe: &Probe) -> i64 {
    let delay = i64::from(probe.initial_delay_seconds.unwrap_or(0));
    let (period, failures) = (probe.period_seconds.unwrap_or(10), probe.failure_threshold.unwrap_or(3));
    delay + i64::from(period) * i64::from(failures)
}

pub(super) fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

pub(super) fn condition<'a>(pod: &'a Pod, kind: &str) -> Option<&'a PodCondition> {
    pod.status.as_ref()?.conditions.iter().flatten().find(|condition| condition.type_ == kind)
}

pub(super) fn is_ending(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

pub(super) fn is_ready(pod: &Pod) -> bool {
    condition(pod, "Ready").is_some_and(|ready| ready.status == "True")
}

/// The scheduler has looked at it and found no place, or has not looked at it for longer than a turn takes.
pub(super) fn is_unscheduled(pod: &Pod, now: Timestamp) -> bool {
    let has_node =
        pod.spec.as_ref().is_some_and(|spec| spec.node_name.as_deref().is_some_and(|name| !name.is_empty()));
    !has_node && phase(pod) == "Pending" && seconds_old(&pod.metadata, now) > TURN_SECONDS
}

/// Whether a check may have something to say of it. Wrongly true costs memory, wrongly false a finding.
pub(super) fn is_unwell(pod: &Pod, now: Timestamp) -> bool {
    let is_old = seconds_old(&pod.metadata, now) > START_SECONDS;
    match phase(pod) {
        "Succeeded" => false,
        "Failed" | "Unknown" => true,
        "Pending" if is_old || is_unscheduled(pod, now) => true,
        _ => {
            is_ending(pod)
                || units(pod)
                    .iter()
                    .any(|unit| unit.waiting().is_some() || unit.has_failed(now) || unit.is_late(now))
                || (is_old && !is_ready(pod))
        }
    }
}
