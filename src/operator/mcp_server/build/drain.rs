//! How long a pod that is replaced lives on for the sessions it has, where the spec says so: it hears of its end only
//! after that time. Otherwise it ends as it likes when Kubernetes tells it to.

use k8s_openapi::api::core::v1::{Lifecycle, LifecycleHandler, PodSpec, SleepAction};

/// For the process to end after its sessions have had their time.
const TO_END: i64 = 10;

pub(super) fn apply(pod: &mut PodSpec, seconds: Option<i64>) {
    let Some(seconds) = seconds else { return };
    pod.termination_grace_period_seconds = Some(seconds + TO_END);
    for container in &mut pod.containers {
        let sleep = LifecycleHandler { sleep: Some(SleepAction { seconds }), ..LifecycleHandler::default() };
        container.lifecycle = Some(Lifecycle { pre_stop: Some(sleep), ..Lifecycle::default() });
    }
}
