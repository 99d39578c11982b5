//! Pods that the API server refuses to make: who wanted them, and what it said. The checks on quotas, admission and
//! rights read it from here.

use k8s_openapi::api::{apps::v1::ReplicaSet, batch::v1::Job};

use crate::tools::diagnose::{
    finding::{Evidence, ObjectRef},
    look::{controller, reference},
    picture::{EventFacts, Picture},
};

/// Controllers try again at least that often.
const RECENT_SECONDS: i64 = 1_800;

/// One maker of pods that gets none.
pub(super) struct Refusal {
    /// Who asked: a ReplicaSet, a Job.
    pub(super) asker: ObjectRef,
    /// Where a change would be made: its Deployment, its CronJob, or itself.
    pub(super) workload: ObjectRef,
    pub(super) message: String,
    pub(super) evidence: Evidence,
}

impl Refusal {
    /// What does not work by it.
    pub(super) fn affected(&self) -> [ObjectRef; 2] {
        [self.asker.clone(), self.workload.clone()]
    }
}

/// Those that still hold: the asker has fewer pods than it wants.
pub(super) fn refusals(picture: &Picture) -> Vec<Refusal> {
    let mut all: Vec<Refusal> = Vec::new();
    for event in &picture.events {
        let EventFacts { object, reason, message, last, .. } = event;
        let recent = last.is_none_or(|last| picture.now.as_second() - last.as_second() < RECENT_SECONDS);
        if reason != "FailedCreate" || !recent || !lacks_pods(picture, object) {
            continue;
        }
        // The newest word of each counts.
        if all.iter().any(|known| known.asker == *object) {
            continue;
        }
        all.push(Refusal {
            asker: object.clone(),
            workload: top(picture, object),
            message: message.clone(),
            evidence: picture.event_evidence(event),
        });
    }
    // Events are forgotten after an hour, conditions are not.
    for set in &picture.replica_sets {
        let object = reference("ReplicaSet", &set.metadata);
        let conditions = set.status.iter().flat_map(|status| status.conditions.iter().flatten());
        let failure =
            conditions.into_iter().find(|known| known.type_ == "ReplicaFailure" && known.status == "True");
        let Some(message) = failure.and_then(|failure| failure.message.clone()) else { continue };
        if lacks_pods(picture, &object) && !all.iter().any(|known| known.asker == object) {
            all.push(Refusal {
                workload: top(picture, &object),
                evidence: Evidence::field(
                    &object,
                    "status.conditions[type=ReplicaFailure].message",
                    message.as_str(),
                ),
                message,
                asker: object,
            });
        }
    }
    all
}

/// The topmost maker above this one.
fn top(picture: &Picture, object: &ObjectRef) -> ObjectRef {
    let metadata = match object.kind.as_str() {
        "ReplicaSet" => replica_set(picture, object).map(|set| &set.metadata),
        "Job" => job(picture, object).map(|job| &job.metadata),
        _ => None,
    };
    let above = metadata.and_then(controller);
    above.map_or_else(|| object.clone(), |owner| ObjectRef::new(&owner.kind, &object.namespace, &owner.name))
}

fn replica_set<'a>(picture: &'a Picture, object: &ObjectRef) -> Option<&'a ReplicaSet> {
    picture.replica_sets.iter().find(|set| reference("ReplicaSet", &set.metadata) == *object)
}

fn job<'a>(picture: &'a Picture, object: &ObjectRef) -> Option<&'a Job> {
    picture.jobs.iter().find(|job| reference("Job", &job.metadata) == *object)
}

fn lacks_pods(picture: &Picture, object: &ObjectRef) -> bool {
    match object.kind.as_str() {
        "ReplicaSet" => replica_set(picture, object).is_some_and(|set| {
            let wanted = set.spec.as_ref().map_or(0, |spec| spec.replicas.unwrap_or(1));
            set.status.as_ref().map_or(0, |status| status.replicas) < wanted
        }),
        "StatefulSet" => picture.stateful_sets.iter().any(|set| {
            let wanted = set.spec.as_ref().map_or(0, |spec| spec.replicas.unwrap_or(1));
            reference("StatefulSet", &set.metadata) == *object
                && set.status.as_ref().map_or(0, |status| status.replicas) < wanted
        }),
        "DaemonSet" => picture.daemon_sets.iter().any(|set| {
            reference("DaemonSet", &set.metadata) == *object
                && set
                    .status
                    .as_ref()
                    .is_some_and(|status| status.current_number_scheduled < status.desired_number_scheduled)
        }),
        "Job" => job(picture, object).is_some_and(|job| {
            let status = job.status.as_ref();
            let mut conditions = status.into_iter().flat_map(|status| status.conditions.iter().flatten());
            let is_over = conditions
                .any(|known| matches!(known.type_.as_str(), "Complete" | "Failed") && known.status == "True");
            !is_over && status.and_then(|status| status.active).unwrap_or(0) == 0
        }),
        _ => false,
    }
}
