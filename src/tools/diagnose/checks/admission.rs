//! What stands between a request and the cluster's storage: webhooks that do not answer or that refuse, Pod Security,
//! and aggregated APIs that are down.

use std::sync::LazyLock;

use k8s_openapi::{
    api::admissionregistration::v1::WebhookClientConfig, apimachinery::pkg::apis::meta::v1::LabelSelector,
    kube_aggregator::pkg::apis::apiregistration::v1::APIService,
};
use regex::Regex;

use super::refusals::{Refusal, refusals};
use crate::tools::diagnose::{
    cause::Cause,
    finding::{Evidence, Finding, ObjectRef, Severity},
    look::{reference, seconds_old},
    picture::{BackendFacts, Picture, Scope},
    selecting::selects,
};

static CALL: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"failed calling webhook "([^"]+)": (.+)"#).ok());
static DENIED: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r#"admission webhook "([^"]+)" denied the request(?: without explanation|: )?(.*)"#).ok()
});
static POLICY: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"ValidatingAdmissionPolicy '([^']+)' with binding '([^']+)' denied request: (.*)").ok()
});
static SECURITY: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"violates PodSecurity "([^"]+)": (.*)"#).ok());

pub(super) fn check(picture: &Picture, findings: &mut Vec<Finding>) {
    let hooks = hooks(picture);
    let refusals = refusals(picture);
    for refusal in &refusals {
        let finding = failed_call(picture, &hooks, refusal)
            .or_else(|| denied(refusal))
            .or_else(|| insecure(picture, refusal));
        findings.extend(finding);
    }
    findings.extend(hooks.iter().filter_map(|hook| unanswered(picture, hook)));
    findings.extend(picture.api_services.iter().filter_map(|api| unavailable(picture, api)));
}

/// One webhook of either kind.
struct Hook<'a> {
    configuration: ObjectRef,
    name: &'a str,
    client: &'a WebhookClientConfig,
    fails_closed: bool,
    namespaces: Option<&'a LabelSelector>,
}

impl<'a> Hook<'a> {
    fn of(
        configuration: &ObjectRef,
        name: &'a str,
        client: &'a WebhookClientConfig,
        failure_policy: Option<&str>,
        namespaces: Option<&'a LabelSelector>,
    ) -> Self {
        let fails_closed = failure_policy.is_none_or(|policy| policy == "Fail");
        Self { configuration: configuration.clone(), name, client, fails_closed, namespaces }
    }

    fn service(&self) -> Option<ObjectRef> {
        let service = self.client.service.as_ref()?;
        Some(ObjectRef::new("Service", &service.namespace, &service.name))
    }

    /// Whether requests in what was looked at are asked of it.
    fn concerns(&self, picture: &Picture) -> bool {
        let namespace = match &picture.scope {
            Scope::Cluster => return true,
            Scope::Namespace(namespace) => namespace,
            Scope::Object(object) if object.kind == self.configuration.kind => {
                return *object == self.configuration;
            }
            Scope::Object(object) => &object.namespace,
        };
        let Some(selector) = self.namespaces else { return true };
        let known = picture.namespaces.iter().find(|known| known.metadata.name.as_ref() == Some(namespace));
        known.is_some_and(|known| selects(selector, known.metadata.labels.as_ref()))
    }
}

fn hooks(picture: &Picture) -> Vec<Hook<'_>> {
    let validating = picture.validating_webhooks.iter().flat_map(|configuration| {
        let object = reference("ValidatingWebhookConfiguration", &configuration.metadata);
        configuration.webhooks.iter().flatten().map(move |hook| {
            let (policy, selector) = (hook.failure_policy.as_deref(), hook.namespace_selector.as_ref());
            Hook::of(&object, &hook.name, &hook.client_config, policy, selector)
        })
    });
    let mutating = picture.mutating_webhooks.iter().flat_map(|configuration| {
        let object = reference("MutatingWebhookConfiguration", &configuration.metadata);
        configuration.webhooks.iter().flatten().map(move |hook| {
            let (policy, selector) = (hook.failure_policy.as_deref(), hook.namespace_selector.as_ref());
            Hook::of(&object, &hook.name, &hook.client_config, policy, selector)
        })
    });
    validating.chain(mutating).collect()
}

fn failed_call(picture: &Picture, hooks: &[Hook<'_>], refusal: &Refusal) -> Option<Finding> {
    let found = CALL.as_ref()?.captures(&refusal.message)?;
    let (name, why) = (&found[1], found[2].trim());
    let hook = hooks.iter().find(|hook| hook.name == name);
    // Whose webhook it is may not be readable.
    let object = hook.map_or_else(|| ObjectRef::new("webhook", "", name), |hook| hook.configuration.clone());
    let service = hook.and_then(Hook::service);
    let behind = service.as_ref().map_or_else(String::new, |service| format!(" behind {}", service.words()));
    let said = why.rsplit_once("\": ").map_or(why, |(_, said)| said);
    let mechanism = format!(
        "webhook {name} of {}{behind} fails and lets nothing pass, so pods of {} are refused: {said}",
        object.words(),
        refusal.workload.words()
    );
    let is_tls = why.contains("x509") || why.contains("tls:") || why.contains("certificate");
    let change = if is_tls {
        "webhooks[].clientConfig.caBundle: the authority that signed the webhook's certificate, whose names must fit its Service"
    } else {
        "bring back what answers for it; webhooks[].failurePolicy: Ignore, or a namespaceSelector, until then"
    };
    let confirm = match &service {
        Some(service) => format!("diagnose {} {} in {}", service.kind, service.name, service.namespace),
        None => format!("get_resource {}", object.words()),
    };
    let finding =
        Finding::new(Severity::Critical, Cause::WebhookUnavailable, &object, mechanism, confirm, change);
    let policy = hook.map(|hook| {
        let path = format!("webhooks[name={name}].failurePolicy");
        Evidence::field(&hook.configuration, &path, if hook.fails_closed { "Fail" } else { "Ignore" })
    });
    let state = service.as_ref().and_then(|service| stands(picture, service));
    Some(
        finding
            .shown_by([refusal.evidence.clone()])
            .shown_by(policy)
            .shown_by(state.map(|(_, evidence)| evidence))
            .affecting(refusal.affected())
            .following(service),
    )
}

/// Why a Service that shall answer cannot, as far as is known.
fn stands(picture: &Picture, service: &ObjectRef) -> Option<(String, Evidence)> {
    let key = (service.namespace.clone(), service.name.clone());
    match picture.backends.get(&key)? {
        BackendFacts::Missing => {
            let evidence = Evidence::field(service, "metadata.name", "does not exist");
            Some((format!("{} does not exist", service.words()), evidence))
        }
        BackendFacts::There { ready_endpoints: 0 } => {
            let evidence = Evidence::field(service, "endpoints", "none is ready");
            Some((format!("{} has no ready endpoint", service.words()), evidence))
        }
        BackendFacts::There { ready_endpoints: _ } | BackendFacts::Unknown => None,
    }
}

/// Nothing has met it yet; the next request will.
fn unanswered(picture: &Picture, hook: &Hook<'_>) -> Option<Finding> {
    let service = hook.service()?;
    let (why, evidence) = stands(picture, &service)?;
    if !hook.fails_closed || !hook.concerns(picture) {
        return None;
    }
    let object = &hook.configuration;
    let mechanism = format!(
        "webhook {} of {} must answer (failurePolicy Fail) and cannot: {why}; what it is asked about is refused",
        hook.name,
        object.words()
    );
    let confirm = format!("diagnose {} {} in {}", service.kind, service.name, service.namespace);
    let change = "bring back what answers for it, or take the configuration away with it";
    let finding =
        Finding::new(Severity::Critical, Cause::WebhookUnavailable, object, mechanism, confirm, change);
    let policy = Evidence::field(object, &format!("webhooks[name={}].failurePolicy", hook.name), "Fail");
    Some(finding.shown_by([evidence, policy]).following([service]))
}

fn denied(refusal: &Refusal) -> Option<Finding> {
    let Refusal { workload, message, .. } = refusal;
    let (who, why) = match (DENIED.as_ref()?.captures(message), POLICY.as_ref()?.captures(message)) {
        (Some(found), _) => (format!("admission webhook {}", &found[1]), found[2].to_owned()),
        (None, Some(found)) => {
            (format!("ValidatingAdmissionPolicy {} (binding {})", &found[1], &found[2]), found[3].to_owned())
        }
        (None, None) => return None,
    };
    let why = if why.trim().is_empty() { "without saying why".to_owned() } else { why };
    let mechanism = format!("{who} refuses the pods of {}: {why}", workload.words());
    let confirm = format!("list_events in {} of {}", workload.namespace, refusal.asker.words());
    let change = "its pod template, so that it keeps to that rule";
    let finding =
        Finding::new(Severity::Critical, Cause::AdmissionDenied, workload, mechanism, confirm, change);
    Some(finding.shown_by([refusal.evidence.clone()]).affecting(refusal.affected()))
}

fn insecure(picture: &Picture, refusal: &Refusal) -> Option<Finding> {
    let Refusal { workload, message, .. } = refusal;
    let found = SECURITY.as_ref()?.captures(message)?;
    let (level, why) = (&found[1], &found[2]);
    let mechanism = format!(
        "namespace {} enforces Pod Security {level} and refuses the pods of {}: {why}",
        workload.namespace,
        workload.words()
    );
    let confirm =
        format!("get_resource Namespace {}: labels pod-security.kubernetes.io/enforce", workload.namespace);
    let change = "securityContext of its pod template, as the refusal names it";
    let cause = Cause::PodSecurityViolated;
    let finding = Finding::new(Severity::Critical, cause, workload, mechanism, confirm, change);
    let namespace =
        picture.namespaces.iter().find(|known| known.metadata.name.as_ref() == Some(&workload.namespace));
    let label = "pod-security.kubernetes.io/enforce";
    let label = namespace.and_then(|known| known.metadata.labels.as_ref()?.get(label)).map(|level| {
        Evidence::field(
            &ObjectRef::new("Namespace", "", &workload.namespace),
            &format!("metadata.labels[{label}]"),
            level.as_str(),
        )
    });
    Some(finding.shown_by([refusal.evidence.clone()]).shown_by(label).affecting(refusal.affected()))
}

/// Time that a new one is given to answer.
const API_SECONDS: i64 = 30;

fn unavailable(picture: &Picture, api: &APIService) -> Option<Finding> {
    let conditions = api.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let down = conditions.iter().find(|known| known.type_ == "Available" && known.status == "False")?;
    let since =
        down.last_transition_time.as_ref().map_or(i64::MAX, |at| picture.now.as_second() - at.0.as_second());
    if since < API_SECONDS && seconds_old(&api.metadata, picture.now) < API_SECONDS {
        return None;
    }
    let object = reference("APIService", &api.metadata);
    let service = api.spec.as_ref().and_then(|spec| spec.service.as_ref());
    let service = service.map(|service| {
        let (namespace, name) = (service.namespace.as_deref(), service.name.as_deref());
        ObjectRef::new("Service", namespace.unwrap_or_default(), name.unwrap_or_default())
    });
    let behind = service.as_ref().map_or_else(String::new, |service| format!(" behind {}", service.words()));
    let (reason, message) =
        (down.reason.clone().unwrap_or_default(), down.message.clone().unwrap_or_default());
    let mechanism = format!(
        "aggregated API {}{behind} does not answer ({reason}: {message}): its kinds cannot be read, and no namespace can be deleted",
        object.name
    );
    let confirm = match &service {
        Some(service) => format!("diagnose {} {} in {}", service.kind, service.name, service.namespace),
        None => format!("get_resource APIService {}", object.name),
    };
    let change = "bring back what answers for it, or take the APIService away with it";
    let cause = Cause::ApiServiceUnavailable;
    // In one namespace it is somebody else's trouble, unless something here follows from it.
    let severity = if picture.scope == Scope::Cluster { Severity::Critical } else { Severity::Warning };
    let finding = Finding::new(severity, cause, &object, mechanism, confirm, change);
    let evidence = Evidence::field(&object, "status.conditions[type=Available]", format!("False {reason}"));
    Some(finding.shown_by([evidence]).following(service))
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tools::diagnose::{
        checks::example::{found, picture},
        finding::Finding,
        picture::BackendFacts,
    };

    const NONE: [&str; 0] = [];

    fn with(message: &str) -> String {
        format!(
            "
kind: ReplicaSet
metadata: {{ name: web-1, ownerReferences: [{{ apiVersion: apps/v1, kind: Deployment, name: web, uid: u, controller: true }}] }}
spec: {{ replicas: 1, selector: {{}} }}
status: {{ replicas: 0, conditions: [{{ type: ReplicaFailure, status: 'True', message: '{message}' }}] }}
---
{HOOK}"
        )
    }

    const HOOK: &str = "
kind: Namespace
metadata: { name: shop, labels: { guarded: 'yes' } }
---
kind: ValidatingWebhookConfiguration
metadata: { name: guard }
webhooks:
- name: guard.example.com
  admissionReviewVersions: [v1]
  sideEffects: None
  clientConfig: { service: { namespace: guards, name: guard } }
  namespaceSelector: { matchLabels: { guarded: 'yes' } }
";

    fn with_backend(yaml: &str, facts: BackendFacts) -> Vec<Finding> {
        let mut picture = picture(yaml);
        picture.backends.insert(("guards".to_owned(), "guard".to_owned()), facts);
        let mut findings = Vec::new();
        check(&picture, &mut findings);
        findings
    }

    #[test]
    fn a_webhook_that_fails_is_the_cause_and_not_who_it_keeps_out() {
        let message = "Internal error occurred: failed calling webhook \"guard.example.com\": failed to call webhook: Post \"https://guard.guards.svc:443/?timeout=10s\": x509: certificate signed by unknown authority";
        let all = with_backend(&with(message), BackendFacts::There { ready_endpoints: 1 });
        assert_eq!(
            all[0].mechanism,
            "webhook guard.example.com of ValidatingWebhookConfiguration guard behind Service guards/guard fails and lets \
             nothing pass, so pods of Deployment shop/web are refused: x509: certificate signed by unknown authority"
        );
        assert!(all[0].change.what.contains("caBundle"));
        assert_eq!(all[0].affects[1].words(), "Deployment shop/web");
    }

    #[test]
    fn a_webhook_that_cannot_answer_before_anything_met_it() {
        let all = with_backend(HOOK, BackendFacts::Missing);
        assert!(
            all[0].mechanism.contains("cannot: Service guards/guard does not exist"),
            "{}",
            all[0].mechanism
        );
        assert_eq!(with_backend(HOOK, BackendFacts::There { ready_endpoints: 0 }).len(), 1);
        assert!(with_backend(HOOK, BackendFacts::There { ready_endpoints: 1 }).is_empty());
        assert!(with_backend(HOOK, BackendFacts::Unknown).is_empty());
        let ignores = HOOK.replace("  sideEffects", "  failurePolicy: Ignore\n  sideEffects");
        assert!(with_backend(&ignores, BackendFacts::Missing).is_empty());
        let elsewhere = HOOK.replace("matchLabels: { guarded: 'yes' }", "matchLabels: { other: 'yes' }");
        assert!(with_backend(&elsewhere, BackendFacts::Missing).is_empty());
    }

    #[test]
    fn refusals_by_rule_are_the_workload_to_change() {
        for (message, cause) in [
            ("admission webhook \"guard.example.com\" denied the request: no owner label", "AdmissionDenied"),
            (
                "pods \"x\" is forbidden: ValidatingAdmissionPolicy ''p'' with binding ''b'' denied request: no",
                "AdmissionDenied",
            ),
            (
                "pods \"x\" is forbidden: violates PodSecurity \"restricted:latest\": runAsNonRoot != true",
                "PodSecurityViolated",
            ),
        ] {
            assert_eq!(found(check, &with(message)), [format!("{cause} Deployment shop/web")]);
        }
        assert_eq!(found(check, &with("something else")), NONE);
    }

    #[test]
    fn an_aggregated_api_that_is_down() {
        let api = "
kind: APIService
metadata: { name: v1beta1.metrics.k8s.io }
spec: { groupPriorityMinimum: 1, versionPriority: 1, service: { namespace: kube-system, name: metrics } }
status: { conditions: [{ type: Available, status: 'False', reason: MissingEndpoints, message: no endpoints }] }";
        assert_eq!(found(check, api), ["ApiServiceUnavailable APIService v1beta1.metrics.k8s.io"]);
        assert_eq!(found(check, &api.replace("'False'", "'True'")), NONE);
    }
}
