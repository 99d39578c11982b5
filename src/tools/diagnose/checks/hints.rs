//! Habits that will cost one day, though nothing is wrong now: told only when asked for, one hint of a kind for each
//! workload.

mod unused;

use k8s_openapi::api::core::v1::{Container, PodSpec};

use crate::tools::diagnose::{
    cause::Cause,
    finding::{Evidence, Finding, ObjectRef, Severity},
    look::reference,
    owning::{Workload, workloads},
    picture::Picture,
    pods::phase,
    selecting::selects,
};

pub(super) fn check(picture: &Picture, findings: &mut Vec<Finding>) {
    for maker in workloads(picture) {
        findings.extend(tags(&maker));
        findings.extend(probes(&maker));
        findings.extend(resources(&maker));
        findings.extend(root(&maker));
        findings.extend(token(picture, &maker));
        findings.extend(single(picture, &maker));
    }
    findings.extend(naked(picture));
    unused::check(picture, findings);
}

fn hint(cause: Cause, object: &ObjectRef, mechanism: String, change: &str, evidence: Evidence) -> Finding {
    let confirm = format!("get_resource {} {} in {}", object.kind, object.name, object.namespace);
    Finding::new(Severity::Hint, cause, object, mechanism, confirm, change).shown_by([evidence])
}

/// The names of the containers that are so; none if there are none.
fn named(spec: &PodSpec, is_so: impl Fn(&Container) -> bool) -> Option<String> {
    let names: Vec<&str> = spec
        .containers
        .iter()
        .filter(|container| is_so(container))
        .map(|container| container.name.as_str())
        .collect();
    (!names.is_empty()).then(|| names.join(", "))
}

fn tags(maker: &Workload<'_>) -> Option<Finding> {
    let floats = |container: &Container| {
        let image = container.image.as_deref().unwrap_or_default();
        let last = image.rsplit('/').next().unwrap_or_default();
        !image.is_empty() && !image.contains('@') && (!last.contains(':') || last.ends_with(":latest"))
    };
    let names = named(maker.spec, floats)?;
    let image =
        maker.spec.containers.iter().find(|container| floats(container))?.image.clone().unwrap_or_default();
    let mechanism = format!(
        "the images of {} ({names}) have no tag, or latest: a restart may bring another program",
        maker.object.words()
    );
    let evidence = Evidence::field(&maker.object, "containers[].image", image);
    Some(hint(
        Cause::ImageTagMissing,
        &maker.object,
        mechanism,
        "image: with a version, or a digest",
        evidence,
    ))
}

fn probes(maker: &Workload<'_>) -> Option<Finding> {
    // Jobs end by themselves, and serve nobody.
    if matches!(maker.object.kind.as_str(), "Job" | "CronJob") {
        return None;
    }
    let names = named(maker.spec, |container| {
        container.readiness_probe.is_none() && container.liveness_probe.is_none()
    })?;
    let mechanism = format!(
        "containers of {} ({names}) have no probes: they count as ready before they are, and are not restarted when they hang",
        maker.object.words()
    );
    let evidence = Evidence::field(&maker.object, "containers[].readinessProbe", "none");
    Some(hint(Cause::ProbesMissing, &maker.object, mechanism, "readinessProbe and livenessProbe", evidence))
}

fn resources(maker: &Workload<'_>) -> Option<Finding> {
    let lacks = |container: &Container| {
        let resources = container.resources.as_ref();
        let requests =
            resources.and_then(|all| all.requests.as_ref()).is_some_and(|all| all.contains_key("memory"));
        let limits =
            resources.and_then(|all| all.limits.as_ref()).is_some_and(|all| all.contains_key("memory"));
        !requests && !limits
    };
    let names = named(maker.spec, lacks)?;
    let mechanism = format!(
        "containers of {} ({names}) request no memory and have no limit: they are the first to be evicted, and may take a node down",
        maker.object.words()
    );
    let evidence = Evidence::field(&maker.object, "containers[].resources", "none for memory");
    Some(hint(
        Cause::ResourcesMissing,
        &maker.object,
        mechanism,
        "resources.requests and resources.limits.memory",
        evidence,
    ))
}

fn root(maker: &Workload<'_>) -> Option<Finding> {
    let of_pod = maker.spec.security_context.as_ref();
    let pod_says = of_pod.is_some_and(|context| {
        context.run_as_non_root == Some(true) || context.run_as_user.is_some_and(|user| user > 0)
    });
    let may = |container: &Container| {
        let context = container.security_context.as_ref();
        if context.is_some_and(|context| context.privileged == Some(true) || context.run_as_user == Some(0)) {
            return true;
        }
        let says = context.is_some_and(|context| {
            context.run_as_non_root == Some(true) || context.run_as_user.is_some_and(|user| user > 0)
        });
        !says && !pod_says
    };
    let names = named(maker.spec, may)?;
    let mechanism = format!("containers of {} ({names}) may run as root or privileged", maker.object.words());
    let evidence = Evidence::field(&maker.object, "securityContext.runAsNonRoot", "not true");
    Some(hint(Cause::RunsAsRoot, &maker.object, mechanism, "securityContext.runAsNonRoot: true", evidence))
}

/// The default account has no rights, so its token is of no use but to somebody who breaks in.
fn token(picture: &Picture, maker: &Workload<'_>) -> Option<Finding> {
    let spec = maker.spec;
    let name = spec.service_account_name.as_deref().filter(|name| !name.is_empty()).unwrap_or("default");
    let account = picture.service_accounts.iter().find(|account| {
        account.metadata.name.as_deref() == Some(name)
            && account.metadata.namespace.as_ref() == Some(&maker.object.namespace)
    });
    let by_account = account.and_then(|account| account.automount_service_account_token);
    let mounted = spec.automount_service_account_token.or(by_account).unwrap_or(true);
    if name != "default" || !mounted {
        return None;
    }
    let mechanism = format!(
        "{} mounts the token of the default service account, which it hardly needs",
        maker.object.words()
    );
    let evidence = Evidence::field(&maker.object, "automountServiceAccountToken", "not false");
    Some(hint(
        Cause::TokenMountedNeedlessly,
        &maker.object,
        mechanism,
        "automountServiceAccountToken: false",
        evidence,
    ))
}

fn single(picture: &Picture, maker: &Workload<'_>) -> Option<Finding> {
    let served = picture.services.iter().any(|service| {
        let selector = service.spec.as_ref().and_then(|spec| spec.selector.as_ref());
        service.metadata.namespace.as_ref() == Some(&maker.object.namespace)
            && selector.is_some_and(|selector| {
                !selector.is_empty() && crate::tools::diagnose::selecting::has_all(selector, maker.labels)
            })
    });
    let scaled = picture.autoscalers.iter().any(|autoscaler| {
        autoscaler.spec.as_ref().is_some_and(|spec| spec.scale_target_ref.name == maker.object.name)
            && autoscaler.metadata.namespace.as_ref() == Some(&maker.object.namespace)
    });
    if maker.replicas != Some(1) || !served || scaled {
        return None;
    }
    let budget = picture.disruption_budgets.iter().find(|budget| {
        let selector = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref());
        budget.metadata.namespace.as_ref() == Some(&maker.object.namespace)
            && selector.is_some_and(|selector| selects(selector, maker.labels))
    });
    let also = budget.map_or_else(String::new, |budget| {
        format!(", which {} makes undrainable", reference("PodDisruptionBudget", &budget.metadata).words())
    });
    let mechanism =
        format!("{} serves with a single pod{also}: each restart is an outage", maker.object.words());
    let evidence = Evidence::field(&maker.object, "spec.replicas", "1");
    Some(hint(Cause::SingleReplica, &maker.object, mechanism, "spec.replicas: 2 or more", evidence))
}

fn naked(picture: &Picture) -> Vec<Finding> {
    let naked = picture.pods.iter().filter(|pod| {
        pod.metadata.owner_references.as_ref().is_none_or(Vec::is_empty) && phase(pod) == "Running"
    });
    naked
        .map(|pod| {
            let object = reference("Pod", &pod.metadata);
            let mechanism =
                format!("{} was made by hand: nothing brings it back when its node goes", object.words());
            let evidence = Evidence::field(&object, "metadata.ownerReferences", "none");
            hint(Cause::NakedPod, &object, mechanism, "a Deployment or a Job instead", evidence)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tools::diagnose::checks::example::{findings, found};

    fn web(container: &str, spec: &str) -> String {
        format!(
            "
kind: Deployment
metadata: {{ name: web }}
spec: {{ selector: {{}}, template: {{ metadata: {{ labels: {{ app: web }} }}, spec: {{ {spec} containers: [{{ name: main, {container} }}] }} }} }}
---
kind: Service
metadata: {{ name: web }}
spec: {{ selector: {{ app: web }} }}
"
        )
    }

    #[test]
    fn each_habit_is_told_once_of_a_workload() {
        let all = found(check, &web("image: web", ""));
        let causes: Vec<&str> = all.iter().filter_map(|found| found.split(' ').next()).collect();
        assert_eq!(
            causes,
            [
                "ImageTagMissing",
                "ProbesMissing",
                "ResourcesMissing",
                "RunsAsRoot",
                "TokenMountedNeedlessly",
                "SingleReplica"
            ]
        );
        assert!(
            findings(check, &web("image: web", ""))
                .iter()
                .all(|found| format!("{:?}", found.severity) == "Hint")
        );
    }

    #[test]
    fn good_habits_are_silent() {
        let container = "image: 'example/web:1', readinessProbe: { httpGet: { port: 80 } }, resources: { limits: { memory: 64Mi } }";
        let spec = "automountServiceAccountToken: false, securityContext: { runAsNonRoot: true },";
        let yaml =
            web(container, spec).replace("selector: {}, template", "replicas: 2, selector: {}, template");
        assert_eq!(found(check, &yaml), [""; 0]);
    }

    #[test]
    fn what_nobody_refers_to() {
        let objects = "
kind: ConfigMap
metadata: { name: used }
---
kind: ConfigMap
metadata: { name: left }
---
kind: ConfigMap
metadata: { name: kube-root-ca.crt }
---
kind: ServiceAccount
metadata: { name: left }
---
kind: ServiceAccount
metadata: { name: default }
---
kind: PersistentVolumeClaim
metadata: { name: left }
---
kind: CronJob
metadata: { name: night }
spec: { schedule: '@daily', jobTemplate: { spec: { template: { spec: { automountServiceAccountToken: false, securityContext: { runAsUser: 5 }, containers: [
  { name: main, image: 'x/y:1', resources: { requests: { memory: 1Mi } }, envFrom: [{ configMapRef: { name: used } }] }] } } } } }
";
        assert_eq!(
            found(check, objects),
            [
                "ConfigMapUnused ConfigMap shop/left",
                "ServiceAccountUnused ServiceAccount shop/left",
                "ClaimUnused PersistentVolumeClaim shop/left"
            ]
        );
    }
}
