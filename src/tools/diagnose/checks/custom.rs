//! Custom resources whose own controllers say that something is wrong: by conditions as most write them, and Argo CD's
//! Applications, which have a way of their own. The kinds of the Gateway API and of OpenShift have checks of their own.

use serde_json::Value;

use crate::tools::{
    diagnose::{
        cause::Cause,
        customs::{self, Condition, conditions, group_of, list, text},
        finding::{Evidence, Finding, ObjectRef, Severity},
        look::reference,
        owning::workloads,
        picture::Picture,
        routing::GATEWAY_GROUP,
    },
    kinds::age,
};

/// A controller that has not made it well in this time says so for good.
const LASTING_SECONDS: i64 = 60;
/// Good when true.
const GOOD: [&str; 8] =
    ["Ready", "Available", "Healthy", "Synced", "Reconciled", "Established", "Succeeded", "Programmed"];
/// Bad when true.
const BAD: [&str; 6] = ["Degraded", "Failed", "Stalled", "Error", "ReconcileError", "Failure"];
/// Words for being on the way.
const UNDER_WAY: [&str; 9] = [
    "Progressing",
    "InProgress",
    "Pending",
    "Reconciling",
    "Creating",
    "Provisioning",
    "Installing",
    "Waiting",
    "Issuing",
];

pub(super) fn check(picture: &Picture, findings: &mut Vec<Finding>) {
    for value in &picture.custom {
        let group = group_of(value);
        let is_elsewhere =
            group == GATEWAY_GROUP || group.ends_with(".openshift.io") || group == "openshift.io";
        // What is being deleted is told of by another check; what is switched off is not tried at all.
        if is_elsewhere || is_switched_off(value) || value.pointer("/metadata/deletionTimestamp").is_some() {
            continue;
        }
        if group == "argoproj.io" && text(value, "/kind") == "Application" {
            findings.extend(application(picture, value));
        } else {
            findings.extend(by_conditions(picture, value));
        }
    }
}

fn is_switched_off(value: &Value) -> bool {
    ["/spec/suspend", "/spec/suspended", "/spec/paused", "/spec/pause"]
        .iter()
        .any(|path| value.pointer(path) == Some(&Value::Bool(true)))
}

fn by_conditions(picture: &Picture, value: &Value) -> Option<Finding> {
    let object = customs::reference(value);
    let bad = |condition: &Condition<'_>| {
        (GOOD.contains(&condition.kind) && condition.status == "False")
            || (BAD.contains(&condition.kind) && condition.status == "True")
    };
    let condition = conditions(value, "/status/conditions").find(|condition| {
        bad(condition)
            && !condition.is_stale(value)
            && condition.seconds(picture.now) >= LASTING_SECONDS
            && !UNDER_WAY.contains(&condition.reason)
            // A run that has come to its end well is not ready any more.
            && !condition.reason.contains("Completed")
    })?;
    let since =
        condition.since.map_or_else(String::new, |since| format!(" for {}", age(Some(since), picture.now)));
    let state = format!("{}={}", condition.kind, condition.status);
    let mechanism = format!("{} says {state}{since}: {}", object.words(), condition.words());
    let confirm = format!(
        "get_resource {} {} in {}: status; the log of its controller",
        object.kind, object.name, object.namespace
    );
    let change = format!("what it names: {}", condition.words());
    let severity = if ["Ready", "Available", "Healthy"].contains(&condition.kind) {
        Severity::Critical
    } else {
        Severity::Warning
    };
    let finding = Finding::new(severity, Cause::ConditionFalse, &object, mechanism, confirm, change);
    let path = format!("status.conditions[type={}].status", condition.kind);
    Some(
        finding
            .shown_by([Evidence::field(&object, &path, condition.status)])
            .following(explained_by(picture, value, &object)),
    )
}

/// What it made, what made it, and what it names as its source: the trouble of these is its trouble.
fn explained_by(picture: &Picture, value: &Value, object: &ObjectRef) -> Vec<ObjectRef> {
    let uid = text(value, "/metadata/uid");
    let made = workloads(picture).into_iter().filter(|maker| {
        maker.metadata.owner_references.iter().flatten().any(|owner| {
            owner.kind == object.kind && owner.name == object.name && (uid.is_empty() || owner.uid == uid)
        })
    });
    let mut all: Vec<ObjectRef> = made.map(|maker| maker.object).collect();
    // A CertificateRequest fails with its Certificate, which is where a change is made.
    for owner in list(value, "/metadata/ownerReferences") {
        all.push(ObjectRef::new(text(owner, "/kind"), &object.namespace, text(owner, "/name")));
    }
    let named = ["/spec/sourceRef", "/spec/chartRef", "/spec/chart/spec/sourceRef", "/spec/issuerRef"];
    for reference in named.iter().filter_map(|path| value.pointer(path)) {
        let namespace = Some(text(reference, "/namespace")).filter(|namespace| !namespace.is_empty());
        let kind = Some(text(reference, "/kind")).filter(|kind| !kind.is_empty()).unwrap_or("Issuer");
        let namespace = if kind == "ClusterIssuer" { "" } else { namespace.unwrap_or(&object.namespace) };
        all.push(ObjectRef::new(kind, namespace, text(reference, "/name")));
    }
    for other in list(value, "/spec/dependsOn") {
        let namespace = Some(text(other, "/namespace")).filter(|namespace| !namespace.is_empty());
        all.push(ObjectRef::new(&object.kind, namespace.unwrap_or(&object.namespace), text(other, "/name")));
    }
    // Flux's inventory: namespace_name_group_Kind.
    for entry in list(value, "/status/inventory/entries") {
        if let [namespace, name, _, kind] = text(entry, "/id").split('_').collect::<Vec<_>>().as_slice() {
            all.push(ObjectRef::new(kind, namespace, name));
        }
    }
    all.retain(|other| other != object);
    all
}

fn application(picture: &Picture, value: &Value) -> Option<Finding> {
    let object = customs::reference(value);
    let phase = text(value, "/status/operationState/phase");
    let (health, sync) = (text(value, "/status/health/status"), text(value, "/status/sync/status"));
    // Argo CD's conditions have a type and a message only, and each is an error or a warning.
    let error = list(value, "/status/conditions")
        .iter()
        .find(|condition| text(condition, "/type").ends_with("Error"));
    let (path, state, why) = if let Some(error) = error {
        ("status.conditions[].type", text(error, "/type").to_owned(), text(error, "/message").to_owned())
    } else if matches!(phase, "Failed" | "Error") {
        (
            "status.operationState.phase",
            phase.to_owned(),
            text(value, "/status/operationState/message").to_owned(),
        )
    } else if matches!(health, "Degraded" | "Missing") {
        (
            "status.health.status",
            health.to_owned(),
            format!("sync is {sync}{}", text(value, "/status/health/message")),
        )
    } else {
        return None;
    };
    let resources = list(value, "/status/resources").iter();
    let unwell = resources.filter(|resource| {
        matches!(text(resource, "/health/status"), "Degraded" | "Missing")
            || text(resource, "/status") == "SyncFailed"
    });
    let follows: Vec<ObjectRef> = unwell
        .map(|resource| {
            ObjectRef::new(text(resource, "/kind"), text(resource, "/namespace"), text(resource, "/name"))
        })
        .collect();
    let named = follows.first().map_or_else(String::new, |first| format!(" ({})", first.words()));
    let mechanism = format!("Argo CD Application {} is {state}{named}: {why}", object.name);
    let confirm = format!("get_resource Application {} in {}: status", object.name, object.namespace);
    let change = "what Argo CD names, in the repository that the Application is of";
    let finding =
        Finding::new(Severity::Critical, Cause::ConditionFalse, &object, mechanism, confirm, change);
    let workloads =
        picture.deployments.iter().map(|deployment| reference("Deployment", &deployment.metadata));
    let tracked = workloads.filter(|workload| follows.contains(workload)).collect::<Vec<_>>();
    Some(finding.shown_by([Evidence::field(&object, path, state)]).following(follows).following(tracked))
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tools::diagnose::checks::example::{findings, found};

    const NONE: [&str; 0] = [];

    fn with(kind: &str, spec: &str, conditions: &str) -> String {
        format!(
            "apiVersion: example.com/v1\nkind: {kind}\nmetadata: {{ name: x, generation: 2 }}\nspec: {spec}\nstatus: {{ conditions: [{conditions}] }}"
        )
    }

    fn ready(status: &str, reason: &str, at: &str) -> String {
        format!(
            "{{ type: Ready, status: '{status}', reason: {reason}, message: no such bucket, lastTransitionTime: '2026-01-01T{at}:00Z' }}"
        )
    }

    #[test]
    fn a_condition_that_has_been_bad_for_a_while() {
        let all = findings(check, &with("Bucket", "{}", &ready("False", "NotFound", "11:50")));
        assert_eq!(all[0].mechanism, "Bucket shop/x says Ready=False for 10m: NotFound: no such bucket");
        for fine in [
            ready("True", "Found", "11:50"),
            ready("False", "NotFound", "12:00"),
            ready("False", "Progressing", "11:50"),
            ready("False", "NotFound", "11:50").replace("reason", "observedGeneration: 1, reason"),
            String::new(),
        ] {
            assert_eq!(found(check, &with("Bucket", "{}", &fine)), NONE, "{fine}");
        }
        assert_eq!(found(check, &with("Bucket", "{ suspend: true }", &ready("False", "X", "11:50"))), NONE);
    }

    #[test]
    fn what_it_is_made_of_explains_it() {
        let conditions = ready("False", "DependencyNotReady", "11:50");
        let yaml = with(
            "Kustomization",
            "{ sourceRef: { kind: GitRepository, name: repo }, dependsOn: [{ name: base }] }",
            &conditions,
        );
        let follows: Vec<String> =
            findings(check, &yaml)[0].follows.iter().map(|object| object.words()).collect();
        assert_eq!(follows, ["GitRepository shop/repo", "Kustomization shop/base"]);
    }

    #[test]
    fn applications_of_argo_cd() {
        let with = |status: &str| {
            format!(
                "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {{ name: shop }}\nstatus: {status}"
            )
        };
        let failed = with(
            "{ operationState: { phase: Failed, message: one or more objects failed to apply }, health: { status: Healthy } }",
        );
        assert_eq!(
            findings(check, &failed)[0].mechanism,
            "Argo CD Application shop is Failed: one or more objects failed to apply"
        );
        let degraded = with(
            "{ health: { status: Degraded }, sync: { status: Synced }, resources: [{ kind: Deployment, namespace: shop, name: web, health: { status: Degraded } }] }",
        );
        assert_eq!(findings(check, &degraded)[0].follows[0].words(), "Deployment shop/web");
        assert_eq!(
            found(check, &with("{ health: { status: Progressing }, sync: { status: OutOfSync } }")),
            NONE
        );
    }
}
