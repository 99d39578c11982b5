//! Which object an alert or a finding of `diagnose` is about.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::{
    answer::Answer,
    redact,
    tools::{
        desk::Desk,
        diagnose::{self, Finding},
    },
};

/// An object that is to change, and why it is this one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct About {
    pub(super) kind: String,
    pub(super) namespace: Option<String>,
    pub(super) name: String,
    /// For the reviewer; empty when the caller named the object.
    pub(super) evidence: String,
    /// What would mend it, where that is known; begins with a colon.
    pub(super) hint: String,
}

impl About {
    pub(super) fn object(kind: String, namespace: Option<String>, name: String) -> Self {
        Self { kind, namespace, name, evidence: String::new(), hint: String::new() }
    }
}

/// An alert as `list_alerts` shows it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AlertName {
    name: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

/// Labels that name an object, what is nearest to a workload first.
const LABELS: [(&str, &str); 11] = [
    ("deployment", "Deployment"),
    ("statefulset", "StatefulSet"),
    ("daemonset", "DaemonSet"),
    ("cronjob", "CronJob"),
    ("job_name", "Job"),
    ("horizontalpodautoscaler", "HorizontalPodAutoscaler"),
    ("persistentvolumeclaim", "PersistentVolumeClaim"),
    ("poddisruptionbudget", "PodDisruptionBudget"),
    ("ingress", "Ingress"),
    ("pod", "Pod"),
    ("service", "Service"),
];
const NAMESPACES: [&str; 3] = ["namespace", "exported_namespace", "kubernetes_namespace"];

/// # Errors
/// An error answer, when no label names an object, or there is none of that name.
pub(super) async fn of_alert(desk: &Desk, alert: &AlertName) -> Result<About, Answer> {
    let AlertName { name: alert_name, labels } = alert;
    let Some((kind, name)) =
        LABELS.iter().find_map(|(label, kind)| labels.get(*label).map(|name| (*kind, name.as_str())))
    else {
        let known: Vec<&str> = LABELS.iter().map(|(label, _)| *label).collect();
        return Err(Answer::error(format!(
            "the labels of alert {} name no object: give them as list_alerts shows them, with one of {}, or name the object by kind and name",
            redact::shown(alert_name),
            known.join(", ")
        )));
    };
    let namespace = NAMESPACES.iter().find_map(|label| labels.get(*label)).cloned();
    let resource = desk.kind(kind).await?;
    let object = desk.parsed(&resource, namespace.as_deref(), name).await?;
    let said: Vec<String> = labels.iter().map(|(label, value)| format!("{label}={value}")).collect();
    let evidence = redact::shown(&format!("Alert: {alert_name} ({})", said.join(", ")));
    Ok(About { evidence, ..maker(desk, &object).await })
}

/// # Errors
/// An error answer that names the findings there are.
pub(super) async fn of_finding(desk: &Desk, id: &str, namespace: Option<String>) -> Result<About, Answer> {
    let finding = diagnose::finding(desk, id, namespace).await?;
    let Finding { cause, mechanism, change, evidence, .. } = &finding;
    let object = &change.object;
    let mut told = format!("Finding {id} of diagnose ({cause:?}): {}", redact::shown(mechanism));
    for field in evidence.iter().filter_map(diagnose::field_words).take(3) {
        told.push_str(&format!("\n{}", redact::shown(&field)));
    }
    Ok(About {
        kind: object.kind.clone(),
        namespace: Some(object.namespace.clone()).filter(|namespace| !namespace.is_empty()),
        name: object.name.clone(),
        evidence: told,
        hint: format!(": the finding says {}", redact::shown(&change.what)),
    })
}

/// What makes the object again when it is gone: its topmost owner, or itself.
async fn maker(desk: &Desk, object: &Value) -> About {
    let owners = desk.owners(object).await;
    let top = owners.found.last().unwrap_or(object);
    let meta = |key: &str| top["metadata"][key].as_str().map(str::to_owned);
    let kind = top["kind"].as_str().unwrap_or_default();
    About::object(kind.to_owned(), meta("namespace"), meta("name").unwrap_or_default())
}
