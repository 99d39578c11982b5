//! Services that lead nowhere: what they select is not there, not ready, or scaled to zero while it is used.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{Pod, Service, ServiceSpec};

use crate::tools::diagnose::{
    cause::Cause,
    customs,
    finding::{Evidence, Finding, ObjectRef, Severity},
    look::{reference, seconds_old},
    owning::{Workload, workloads},
    picture::Picture,
    pods::{START_SECONDS, TURN_SECONDS, is_ending, is_ready, is_unwell, phase},
    reach::has_all,
    routing::{Way, ways},
    selecting::{Labels, has_all as has_labels, labels_words, nearest},
    users::{User, users},
};

pub(super) fn check(picture: &Picture, findings: &mut Vec<Finding>) {
    let ways = ways(picture);
    let makers = workloads(picture);
    for service in &picture.services {
        let Some(spec) = service.spec.as_ref().filter(|spec| spec.type_.as_deref() != Some("ExternalName"))
        else {
            continue;
        };
        let object = reference("Service", &service.metadata);
        if !has_all(picture, "Pod", &object.namespace) {
            continue;
        }
        let case = Case { picture, ways: &ways, makers: &makers, service, spec, object };
        findings.extend(case.judge());
    }
}

/// One Service and all that it is judged by.
struct Case<'a> {
    picture: &'a Picture,
    ways: &'a [Way],
    makers: &'a [Workload<'a>],
    service: &'a Service,
    spec: &'a ServiceSpec,
    object: ObjectRef,
}

impl Case<'_> {
    fn judge(&self) -> Option<Finding> {
        let Some(selector) = self.spec.selector.as_ref().filter(|selector| !selector.is_empty()) else {
            return self.without_selector();
        };
        let pods: Vec<&Pod> = selected(self.picture, &self.object.namespace, selector).collect();
        if !pods.is_empty() {
            return self.without_ready_pods(&pods);
        }
        if self.endpoints().next().is_some() {
            return None;
        }
        let mine = |workload: &&Workload<'_>| {
            workload.object.namespace == self.object.namespace && has_labels(selector, workload.labels)
        };
        let makers: Vec<&Workload<'_>> = self.makers.iter().filter(mine).collect();
        if !makers.is_empty() {
            return self.without_pods(&makers);
        }
        self.selects_nothing(selector)
    }

    /// Whether each endpoint of it is ready.
    fn endpoints(&self) -> impl Iterator<Item = bool> {
        let ObjectRef { kind: _, namespace, name } = &self.object;
        let slices = self.picture.endpoint_slices.iter().filter(move |slice| {
            let labels = slice.metadata.labels.as_ref();
            slice.metadata.namespace.as_ref() == Some(namespace)
                && labels.and_then(|labels| labels.get("kubernetes.io/service-name")) == Some(name)
        });
        let all = slices.flat_map(|slice| &slice.endpoints);
        all.map(|endpoint| endpoint.conditions.as_ref().and_then(|is| is.ready) != Some(false))
    }

    fn users(&self) -> Vec<User> {
        users(self.picture, self.ways, &self.object)
    }

    /// Somebody else fills in its endpoints; that they are missing matters only where traffic is led to it.
    fn without_selector(&self) -> Option<Finding> {
        let known = has_all(self.picture, "EndpointSlice", &self.object.namespace);
        let user = self.users().into_iter().next()?;
        if !known || self.endpoints().next().is_some() {
            return None;
        }
        let mechanism = format!(
            "Service {} has no selector and nobody has given it endpoints, while {} leads to it",
            self.object.name,
            user.object.words()
        );
        let confirm = format!("list_resources endpointslices in {}", self.object.namespace);
        let change = "give it spec.selector, or an EndpointSlice of its own";
        let finding = Finding::new(
            Severity::Critical,
            Cause::ServiceSelectsNothing,
            &self.object,
            mechanism,
            confirm,
            change,
        );
        let selector = Evidence::field(&self.object, "spec.selector", "none");
        Some(finding.shown_by([selector, user.evidence]).affecting([user.object]))
    }

    fn selects_nothing(&self, selector: &Labels) -> Option<Finding> {
        let Self { picture, service, object, .. } = self;
        let templates =
            picture.custom.iter().filter(|value| customs::reference(value).namespace == object.namespace);
        let made_otherwise =
            templates.filter_map(customs::template_labels).any(|labels| has_labels(selector, Some(&labels)));
        if made_otherwise || seconds_old(&service.metadata, picture.now) < TURN_SECONDS {
            return None;
        }
        // Pods that have ended, a Job's say, are what it was for.
        let ended = picture.pods.iter().any(|pod| {
            pod.metadata.namespace.as_deref() == Some(&object.namespace)
                && has_labels(selector, pod.metadata.labels.as_ref())
        });
        if ended {
            return None;
        }
        let makers = self.makers.iter().filter(|maker| maker.object.namespace == object.namespace);
        let makers = makers.map(|maker| (maker.object.clone(), maker.labels));
        let naked = picture.pods.iter().filter(|pod| {
            pod.metadata.owner_references.as_ref().is_none_or(Vec::is_empty)
                && pod.metadata.namespace.as_deref() == Some(&object.namespace)
        });
        let naked = naked.map(|pod| (reference("Pod", &pod.metadata), pod.metadata.labels.as_ref()));
        let near = nearest(selector, makers.chain(naked));
        let users = self.users();
        let selects = labels_words(selector);
        let mut mechanism = format!("Service {} selects {selects}, and no pod has these labels", object.name);
        let mut evidence = vec![Evidence::field(object, "spec.selector", selects.as_str())];
        let mut change =
            "make spec.selector the labels of the pods that are meant, or bring them back".to_owned();
        let mut confirm = format!("list_resources pods in {} with labels {selects}", object.namespace);
        if let Some(near) = &near {
            let words: Vec<String> = near.differences.iter().map(|difference| difference.words()).collect();
            mechanism = format!("{mechanism}; nearest is {}: {}", near.what.words(), words.join("; "));
            let path =
                if near.what.kind == "Pod" { "metadata.labels" } else { "spec.template.metadata.labels" };
            let mut right = Vec::new();
            for difference in &near.differences {
                let (key, value) = match (&difference.has, &difference.elsewhere) {
                    (Some(has), _) => (&difference.key, has),
                    (None, Some(other)) => (other, &difference.wanted),
                    (None, None) => continue,
                };
                evidence.push(Evidence::field(&near.what, path, format!("{key}={value}")));
                right.push(match difference.has {
                    Some(_) => format!("{key}={value}"),
                    None => format!("{key}={value} instead of {}", difference.key),
                });
            }
            if !right.is_empty() {
                change = format!("spec.selector: {}", right.join(", "));
            }
            confirm = format!("get_resource {}, its pod labels", near.what.words());
        }
        // Without a neighbour or a user it may be a leftover.
        let severity =
            if near.is_some() || !users.is_empty() { Severity::Critical } else { Severity::Warning };
        let finding =
            Finding::new(severity, Cause::ServiceSelectsNothing, object, mechanism, confirm, change);
        Some(finding.shown_by(evidence).affecting(users.into_iter().map(|user| user.object)))
    }

    /// What would make its pods is there: scaled to zero, or in trouble of its own.
    fn without_pods(&self, makers: &[&Workload<'_>]) -> Option<Finding> {
        let Self { picture, object, .. } = self;
        let zero = makers.iter().find(|maker| maker.replicas == Some(0));
        let Some(zero) = zero.filter(|_| makers.iter().all(|maker| maker.replicas == Some(0))) else {
            let lasting =
                makers.iter().filter(|maker| !matches!(maker.object.kind.as_str(), "Job" | "CronJob"));
            let late: Vec<ObjectRef> = lasting
                .filter(|maker| {
                    maker.replicas != Some(0) && seconds_old(maker.metadata, picture.now) > START_SECONDS
                })
                .map(|maker| maker.object.clone())
                .collect();
            let first = late.first()?;
            let mechanism =
                format!("Service {} has no endpoints: {} has no pods", object.name, first.words());
            let confirm = format!("list_events in {} of {}", object.namespace, first.words());
            let change = "mend what keeps its pods away; the Service itself is right";
            let cause = Cause::ServiceWithoutReadyPods;
            let finding = Finding::new(Severity::Critical, cause, object, mechanism, confirm, change);
            let users = self.users().into_iter().map(|user| user.object);
            return Some(finding.changing(first).affecting(users).following(late));
        };
        if wakes_by_itself(picture, zero) {
            return None;
        }
        let mut users = self.users();
        users.extend(autoscalers_of(picture, &zero.object));
        users.retain(|user| user.object != zero.object);
        let first = users.first()?;
        let mechanism = format!(
            "{} is scaled to 0, so Service {} has no endpoints, while {} counts on it",
            zero.object.words(),
            object.name,
            first.object.words()
        );
        let confirm = format!("what_changed in {}: who scaled {} down", object.namespace, zero.object.name);
        let change = "spec.replicas: 1 or more, or take away what leads to it";
        let cause = Cause::ScaledToZeroButUsed;
        let finding = Finding::new(Severity::Critical, cause, &zero.object, mechanism, confirm, change);
        let replicas = Evidence::field(&zero.object, "spec.replicas", "0");
        let (objects, evidence): (Vec<ObjectRef>, Vec<Evidence>) =
            users.into_iter().map(|user| (user.object, user.evidence)).unzip();
        let affects = std::iter::once(object.clone()).chain(objects);
        Some(finding.shown_by(std::iter::once(replicas).chain(evidence)).affecting(affects))
    }

    fn without_ready_pods(&self, pods: &[&Pod]) -> Option<Finding> {
        let Self { picture, object, spec, .. } = self;
        let wanted = pods.iter().all(|pod| !is_ready(pod)) && spec.publish_not_ready_addresses != Some(true);
        // Pods that are merely starting need no word.
        if !wanted || !pods.iter().any(|pod| is_unwell(pod, picture.now)) {
            return None;
        }
        let ready = self.endpoints().any(|ready| ready);
        let owners: BTreeSet<ObjectRef> = pods.iter().map(|pod| picture.owner_of(pod)).collect();
        let passing = owners.iter().all(|owner| matches!(owner.kind.as_str(), "Job" | "CronJob"));
        let first = owners.first().filter(|_| !ready && !passing)?;
        let words = first.words();
        let (count, name) = (pods.len(), &object.name);
        let pods_word = if count == 1 { "the one pod" } else { "none of the pods" };
        let is = if count == 1 { "is not ready" } else { "is ready" };
        let mechanism =
            format!("Service {name} has no ready endpoint: {pods_word} of {words} that it selects {is}");
        let confirm = format!(
            "list_resources endpointslices in {} with labels kubernetes.io/service-name={name}",
            object.namespace
        );
        let change = "mend its pods; the Service itself is right";
        let cause = Cause::ServiceWithoutReadyPods;
        let finding =
            Finding::new(Severity::Critical, cause, object, mechanism, confirm, change).changing(first);
        let evidence = pods.iter().take(3).map(|pod| {
            Evidence::field(&reference("Pod", &pod.metadata), "status.conditions[type=Ready].status", "False")
        });
        let pods = pods.iter().map(|pod| reference("Pod", &pod.metadata));
        let users = self.users().into_iter().map(|user| user.object);
        Some(finding.shown_by(evidence).affecting(users).following(owners.iter().cloned().chain(pods)))
    }
}

/// Pods that a Service with this selector counts on.
pub(super) fn selected<'a>(
    picture: &'a Picture,
    namespace: &'a str,
    selector: &'a Labels,
) -> impl Iterator<Item = &'a Pod> {
    picture.pods.iter().filter(move |pod| {
        pod.metadata.namespace.as_deref() == Some(namespace)
            && has_labels(selector, pod.metadata.labels.as_ref())
            && !is_ending(pod)
            && !matches!(phase(pod), "Succeeded" | "Failed")
    })
}

/// Something scales it up as soon as it is needed: zero is how it rests.
fn wakes_by_itself(picture: &Picture, workload: &Workload<'_>) -> bool {
    let ObjectRef { kind: _, namespace, name } = &workload.object;
    let annotated = workload.metadata.annotations.iter().flatten().any(|(key, _)| key.starts_with("idling."));
    let from_zero = picture.autoscalers.iter().any(|autoscaler| {
        autoscaler.metadata.namespace.as_ref() == Some(namespace)
            && autoscaler
                .spec
                .as_ref()
                .is_some_and(|spec| spec.scale_target_ref.name == *name && spec.min_replicas == Some(0))
    });
    let keda = customs::of(picture, "keda.sh", "ScaledObject").chain(customs::of(
        picture,
        "http.keda.sh",
        "HTTPScaledObject",
    ));
    let keda = keda.filter(|value| customs::reference(value).namespace == *namespace);
    let scaled = keda.into_iter().any(|value| customs::text(value, "/spec/scaleTargetRef/name") == name);
    annotated || from_zero || scaled
}

/// An autoscaler that wants at least one pod cannot raise a workload from zero.
fn autoscalers_of(picture: &Picture, workload: &ObjectRef) -> Vec<User> {
    let mine = picture.autoscalers.iter().filter_map(|autoscaler| {
        let spec = autoscaler.spec.as_ref()?;
        let object = reference("HorizontalPodAutoscaler", &autoscaler.metadata);
        let target = &spec.scale_target_ref;
        let least = spec.min_replicas.unwrap_or(1);
        let fits = object.namespace == workload.namespace
            && target.name == workload.name
            && target.kind == workload.kind
            && least > 0;
        fits.then(|| User {
            evidence: Evidence::field(&object, "spec.minReplicas", least.to_string()),
            object,
        })
    });
    mine.collect()
}

#[cfg(test)]
mod tests;
