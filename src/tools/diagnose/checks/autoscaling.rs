//! Autoscalers that cannot scale, or have come to their end.

use k8s_openapi::api::autoscaling::v2::{
    HorizontalPodAutoscaler, HorizontalPodAutoscalerCondition, HorizontalPodAutoscalerSpec, MetricStatus,
    MetricTarget, MetricValueStatus,
};

use crate::tools::{
    diagnose::{
        cause::Cause,
        finding::{Evidence, Finding, ObjectRef, Severity},
        look::{reference, seconds_old},
        owning::{Workload, workloads},
        picture::Picture,
        reach::has_all,
    },
    quantity::billionths,
    target,
};

/// The controller looks every 15 seconds; a new one has nothing to look at for its first minute.
const SETTLED_SECONDS: i64 = 60;
/// At its limit for longer than a burst lasts.
const AT_LIMIT_SECONDS: i64 = 60;

pub(super) fn check(picture: &Picture, findings: &mut Vec<Finding>) {
    let makers = workloads(picture);
    for autoscaler in &picture.autoscalers {
        let Some(spec) = &autoscaler.spec else { continue };
        let object = reference("HorizontalPodAutoscaler", &autoscaler.metadata);
        findings.extend(Case { picture, makers: &makers, autoscaler, spec, object }.judge());
    }
}

struct Case<'a> {
    picture: &'a Picture,
    makers: &'a [Workload<'a>],
    autoscaler: &'a HorizontalPodAutoscaler,
    spec: &'a HorizontalPodAutoscalerSpec,
    object: ObjectRef,
}

impl<'a> Case<'a> {
    fn judge(&self) -> Option<Finding> {
        let wanted = &self.spec.scale_target_ref;
        let target = ObjectRef::new(&wanted.kind, &self.object.namespace, &wanted.name);
        let maker = self.makers.iter().find(|maker| maker.object == target);
        let Some(maker) = maker else { return self.without_target(&target) };
        // Zero pods switch it off, which is how it is paused.
        if maker.replicas == Some(0) {
            return None;
        }
        self.without_requests(maker)
            .or_else(|| self.without_metrics(maker))
            .or_else(|| self.at_limit(&target))
    }

    fn condition(&self, kind: &str) -> Option<&'a HorizontalPodAutoscalerCondition> {
        let status = self.autoscaler.status.as_ref()?;
        status.conditions.iter().flatten().find(|condition| condition.type_ == kind)
    }

    fn without_target(&self, target: &ObjectRef) -> Option<Finding> {
        let Self { picture, object, .. } = self;
        let known: &'static str = match target.kind.as_str() {
            "Deployment" => "Deployment",
            "StatefulSet" => "StatefulSet",
            "ReplicaSet" => return None,
            // Another kind may be there without being in the picture: the controller knows.
            _ => {
                let able = self.condition("AbleToScale").filter(|able| able.status == "False")?;
                let message = able.message.clone().unwrap_or_default();
                return Some(self.missing(target, &message, None));
            }
        };
        if !has_all(picture, known, &object.namespace) {
            return None;
        }
        let names = self
            .makers
            .iter()
            .filter(|maker| maker.object.namespace == object.namespace && maker.object.kind == known);
        let near = target::nearest(&target.name, names.map(|maker| maker.object.name.as_str()));
        let words = near.first().map_or_else(String::new, |near| format!("nearest is {near}"));
        Some(self.missing(target, &words, near.first().copied()))
    }

    fn missing(&self, target: &ObjectRef, more: &str, near: Option<&str>) -> Finding {
        let object = &self.object;
        let more = if more.is_empty() { String::new() } else { format!("; {more}") };
        let mechanism = format!(
            "HorizontalPodAutoscaler {} scales {}, which does not exist{more}",
            object.name,
            target.words()
        );
        let confirm = format!("list_resources {} in {}", target.kind, object.namespace);
        let change = match near {
            Some(near) => format!("spec.scaleTargetRef.name: {near}"),
            None => "spec.scaleTargetRef: a workload that exists, or take the autoscaler away".to_owned(),
        };
        let cause = Cause::AutoscalerTargetMissing;
        let path = "spec.scaleTargetRef";
        Finding::new(Severity::Critical, cause, object, mechanism, confirm, change)
            .shown_by([Evidence::field(object, path, format!("{} {}", target.kind, target.name))])
    }

    /// A share of a request can only be told where there is a request.
    fn without_requests(&self, maker: &Workload<'_>) -> Option<Finding> {
        let shares = self.spec.metrics.iter().flatten().filter_map(|metric| {
            let resource = metric.resource.as_ref()?;
            (resource.target.type_ == "Utilization").then_some(resource.name.as_str())
        });
        let none_said = self.spec.metrics.as_ref().is_none_or(Vec::is_empty);
        let shares: Vec<&str> = if none_said { vec!["cpu"] } else { shares.collect() };
        let lacking = shares.iter().find_map(|name| {
            let container = maker.spec.containers.iter().find(|container| {
                let resources = container.resources.as_ref();
                let has = |list: Option<&std::collections::BTreeMap<String, _>>| {
                    list.is_some_and(|list| list.contains_key(*name))
                };
                // A limit without a request is one too.
                !has(resources.and_then(|all| all.requests.as_ref()))
                    && !has(resources.and_then(|all| all.limits.as_ref()))
            })?;
            Some((*name, container.name.as_str()))
        });
        let (name, container) = lacking?;
        // A LimitRange may give defaults when pods are made: then the controller has no complaint.
        let active = self.condition("ScalingActive")?;
        if active.status != "False" {
            return None;
        }
        let object = &self.object;
        let message = active.message.clone().unwrap_or_default();
        let mechanism = format!(
            "HorizontalPodAutoscaler {} scales {} by its share of requested {name}, and container {container} requests \
             no {name}: it cannot scale",
            object.name,
            maker.object.words()
        );
        let confirm = format!(
            "get_resource HorizontalPodAutoscaler {} in {}: status.conditions",
            object.name, object.namespace
        );
        let change = format!("containers[name={container}].resources.requests.{name}");
        let cause = Cause::AutoscalerWithoutRequests;
        let finding = Finding::new(Severity::Critical, cause, object, mechanism, confirm, change);
        Some(finding.changing(&maker.object).shown_by([
            Evidence::field(object, "status.conditions[type=ScalingActive].message", message),
            Evidence::field(
                &maker.object,
                &format!("containers[name={container}].resources.requests.{name}"),
                "none",
            ),
        ]))
    }

    fn without_metrics(&self, maker: &Workload<'_>) -> Option<Finding> {
        let Self { picture, autoscaler, object, .. } = self;
        let active = self.condition("ScalingActive").filter(|active| active.status == "False")?;
        let reason = active.reason.as_deref().unwrap_or_default();
        if !reason.starts_with("FailedGet") && !reason.starts_with("Invalid") {
            return None;
        }
        let message = active.message.clone().unwrap_or_default();
        // Pods that have just started have no numbers yet.
        let is_early = seconds_old(&autoscaler.metadata, picture.now) < SETTLED_SECONDS;
        if is_early
            && (message.contains("no metrics returned") || message.contains("did not receive metrics"))
        {
            return None;
        }
        let mechanism = format!(
            "HorizontalPodAutoscaler {} gets no metrics and does not scale {}: {message}",
            object.name,
            maker.object.words()
        );
        let confirm = "list_resources apiservices: is v1beta1.metrics.k8s.io available";
        let change = "install or mend what serves the metrics (metrics-server, an adapter)";
        let cause = Cause::AutoscalerWithoutMetrics;
        let finding = Finding::new(Severity::Warning, cause, object, mechanism, confirm, change);
        let path = format!("status.conditions[type=ScalingActive].reason, {reason}");
        // Pods that are not ready have no metrics; so has a cluster whose metrics API is down.
        let api = match reason {
            "FailedGetExternalMetric" => "v1beta1.external.metrics.k8s.io",
            "FailedGetPodsMetric" | "FailedGetObjectMetric" => "v1beta1.custom.metrics.k8s.io",
            _ => "v1beta1.metrics.k8s.io",
        };
        let follows = [maker.object.clone(), ObjectRef::new("APIService", "", api)];
        Some(finding.shown_by([Evidence::field(object, &path, message)]).following(follows))
    }

    fn at_limit(&self, target: &ObjectRef) -> Option<Finding> {
        let Self { picture, spec, autoscaler, object, .. } = self;
        let status = autoscaler.status.as_ref()?;
        let limited = self.condition("ScalingLimited").filter(|limited| {
            limited.status == "True" && limited.reason.as_deref() == Some("TooManyReplicas")
        })?;
        let since = limited.last_transition_time.as_ref().map(|since| since.0);
        let long = since.is_none_or(|since| picture.now.as_second() - since.as_second() >= AT_LIMIT_SECONDS);
        let current = status.current_replicas.unwrap_or_default();
        let over = spec.metrics.iter().flatten().find_map(|metric| {
            let name = metric.resource.as_ref().map(|resource| (&resource.name, &resource.target));
            let name = name.or_else(|| metric.container_resource.as_ref().map(|of| (&of.name, &of.target)));
            let (name, target) = name?;
            let seen = status.current_metrics.iter().flatten().find_map(|seen| current_of(seen, name))?;
            over_target(target, seen).map(|words| format!("{name} {words}"))
        });
        let max = spec.max_replicas;
        if current < max || !long {
            return None;
        }
        // Without numbers of ours the controller's word counts: it would make more.
        let over = over.unwrap_or_else(|| "its metrics want more".to_owned());
        let mechanism = format!(
            "HorizontalPodAutoscaler {} is at its maximum of {max} pods of {}, and {over}",
            object.name, target.name
        );
        let confirm =
            format!("get_resource HorizontalPodAutoscaler {} in {}: status", object.name, object.namespace);
        let change = format!("spec.maxReplicas: more than {max}, or more for each pod of {}", target.words());
        let cause = Cause::AutoscalerAtLimit;
        let finding = Finding::new(Severity::Warning, cause, object, mechanism, confirm, change);
        let message = limited.message.clone().unwrap_or_default();
        Some(
            finding
                .shown_by([Evidence::field(
                    object,
                    "status.conditions[type=ScalingLimited].message",
                    message,
                )])
                .following([target.clone()]),
        )
    }
}

fn current_of<'a>(seen: &'a MetricStatus, name: &str) -> Option<&'a MetricValueStatus> {
    let resource =
        seen.resource.as_ref().filter(|resource| resource.name == name).map(|resource| &resource.current);
    let container = seen.container_resource.as_ref().filter(|container| container.name == name);
    resource.or_else(|| container.map(|container| &container.current))
}

/// `is at 95% of its requests, wanted 60%`.
fn over_target(target: &MetricTarget, seen: &MetricValueStatus) -> Option<String> {
    if let (Some(wanted), Some(is)) = (target.average_utilization, seen.average_utilization) {
        return (is > wanted).then(|| format!("is at {is}% of its requests, wanted {wanted}%"));
    }
    let (wanted, is) = (target.average_value.as_ref()?, seen.average_value.as_ref()?);
    (billionths(&is.0)? > billionths(&wanted.0)?)
        .then(|| format!("is at {} on average, wanted {}", is.0, wanted.0))
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tools::diagnose::checks::example::{findings, found};

    const NONE: [&str; 0] = [];

    fn with(target: &str, resources: &str, status: &str) -> String {
        format!(
            "
kind: Deployment
metadata: {{ name: web }}
spec: {{ selector: {{}}, template: {{ spec: {{ containers: [{{ name: main, resources: {resources} }}] }} }} }}
---
kind: HorizontalPodAutoscaler
metadata: {{ name: web }}
spec:
  maxReplicas: 4
  scaleTargetRef: {{ kind: Deployment, name: {target} }}
  metrics: [{{ type: Resource, resource: {{ name: cpu, target: {{ type: Utilization, averageUtilization: 60 }} }} }}]
status: {status}
"
        )
    }

    #[test]
    fn a_target_that_is_not_there() {
        let all = findings(check, &with("web-2", "{}", "{ desiredReplicas: 0 }"));
        assert_eq!(
            all[0].mechanism,
            "HorizontalPodAutoscaler web scales Deployment shop/web-2, which does not exist; nearest is web"
        );
        assert_eq!(found(check, &with("web", "{}", "{ desiredReplicas: 1 }")), NONE);
    }

    #[test]
    fn a_share_of_nothing_and_no_metrics_are_two_things() {
        let status = "{ desiredReplicas: 1, conditions: [{ type: ScalingActive, status: 'False', reason: FailedGetResourceMetric, message: 'missing request for cpu' }] }";
        assert_eq!(
            found(check, &with("web", "{}", status)),
            ["AutoscalerWithoutRequests HorizontalPodAutoscaler shop/web"]
        );
        let requests = "{ requests: { cpu: 100m } }";
        assert_eq!(
            found(check, &with("web", requests, status)),
            ["AutoscalerWithoutMetrics HorizontalPodAutoscaler shop/web"]
        );
        let well = status.replace("'False'", "'True'");
        assert_eq!(found(check, &with("web", requests, &well)), NONE);
        // A LimitRange has given the pods requests.
        assert_eq!(found(check, &with("web", "{}", &well)), NONE);
        let disabled = status.replace("FailedGetResourceMetric", "ScalingDisabled");
        assert_eq!(found(check, &with("web", requests, &disabled)), NONE);
    }

    #[test]
    fn at_its_limit_and_wanting_more() {
        let status = |current: u8, limited: &str| {
            format!(
                "{{ currentReplicas: {current}, desiredReplicas: 4, conditions: [{{ type: ScalingLimited, status: '{limited}', reason: TooManyReplicas, lastTransitionTime: '2026-01-01T11:50:00Z' }}],
                currentMetrics: [{{ type: Resource, resource: {{ name: cpu, current: {{ averageUtilization: 95 }} }} }}] }}"
            )
        };
        let requests = "{ requests: { cpu: 100m } }";
        let all = findings(check, &with("web", requests, &status(4, "True")));
        assert_eq!(
            all[0].mechanism,
            "HorizontalPodAutoscaler web is at its maximum of 4 pods of web, and cpu is at 95% of its requests, wanted 60%"
        );
        assert_eq!(found(check, &with("web", requests, &status(3, "True"))), NONE);
        assert_eq!(found(check, &with("web", requests, &status(4, "False"))), NONE);
    }
}
