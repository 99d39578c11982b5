//! Which object an alert or a finding of `diagnose` is about.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::alert::{self, Named};
use crate::{
    answer::Answer,
    redact,
    tools::{
        desk::Desk,
        diagnose::{self, Finding},
        owners::Owners,
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

    /// `Deployment shop/web`.
    fn words(&self) -> String {
        let Self { kind, namespace, name, .. } = self;
        let place = namespace.as_ref().map_or_else(String::new, |namespace| format!("{namespace}/"));
        format!("{kind} {place}{name}")
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

/// The object whose change would mend it: what its labels name, or what makes that.
///
/// # Errors
/// An error answer that says what to name instead: no label names an object, none of those is there any more, or they
/// come from different ones.
pub(super) async fn of_alert(desk: &Desk, alert: &AlertName) -> Result<About, Answer> {
    let AlertName { name: alert_name, labels } = alert;
    let shown = redact::shown(alert_name);
    let named = alert::subjects(labels);
    if named.is_empty() {
        return Err(Answer::error(format!(
            "The labels of alert {shown} name no object: give them as list_alerts shows them, with one of {}, or name the object by kind, namespace and name.",
            alert::known()
        )));
    }
    let namespace = alert::namespace(labels);
    let (mut found, mut lost): (Vec<About>, Vec<String>) = (Vec::new(), Vec::new());
    for Named { kind, name } in named {
        match maker_of(desk, &kind, namespace.as_deref(), &name).await {
            Ok(about) if found.contains(&about) => {}
            Ok(about) => found.push(about),
            Err(why) => lost.push(why),
        }
    }
    let several: Vec<String> = found.iter().map(About::words).collect();
    let Some(about) = found.pop() else {
        return Err(Answer::error(format!(
            "What alert {shown} is about cannot be told: {}. Name the object that is to change by kind, namespace and name.",
            lost.join("; ")
        )));
    };
    if several.len() > 1 {
        return Err(Answer::error(format!(
            "Alert {shown} names several objects: {}. Give the one that is to change by kind, namespace and name, without the alert.",
            several.join(", ")
        )));
    }
    let said: Vec<String> = labels.iter().map(|(label, value)| format!("{label}={value}")).collect();
    let evidence = redact::shown(&format!("Alert: {alert_name} ({})", said.join(", ")));
    Ok(About { evidence, ..about })
}

/// What makes the object again when it is gone: its topmost owner, or itself.
///
/// # Errors
/// One clause, when it or one of its owners cannot be read.
async fn maker_of(desk: &Desk, kind: &str, namespace: Option<&str>, name: &str) -> Result<About, String> {
    let said = |answer: Answer| answer.text.trim_end_matches('.').to_owned();
    let resource = desk.kind(kind).await.map_err(said)?;
    let namespace = namespace.filter(|_| resource.namespaced);
    let object = desk.parsed(&resource, namespace, name).await.map_err(said)?;
    let Owners { found, lost } = desk.owners(&object).await;
    if let Some(lost) = lost {
        return Err(format!("what makes {kind} {name} cannot be read ({lost})"));
    }
    let top = found.last().unwrap_or(&object);
    let meta = |key: &str| top["metadata"][key].as_str().map(str::to_owned);
    let kind = top["kind"].as_str().unwrap_or_default();
    Ok(About::object(kind.to_owned(), meta("namespace"), meta("name").unwrap_or_default()))
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
