//! Variables that are set twice, of which the container sees one.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, EnvVar};

use super::subject::{Subject, subjects};
use crate::tools::diagnose::{
    cause::Cause,
    finding::{Finding, ObjectRef, Severity},
    look::reference,
    picture::Picture,
    pods::{Unit, is_unwell},
};

pub(super) fn check(picture: &Picture, findings: &mut Vec<Finding>) {
    for subject in subjects(picture) {
        for unit in subject.units() {
            findings.extend(twice(&subject, &unit));
            findings.extend(overridden(&subject, &unit));
        }
    }
}

/// How a variable is set, comparable but not shown: it may be a secret.
fn source(variable: &EnvVar) -> String {
    match (&variable.value, &variable.value_from) {
        (Some(value), _) => value.clone(),
        (None, from) => format!("{from:?}"),
    }
}

/// The same name twice in one list, with different values: the last one counts.
fn twice(subject: &Subject<'_>, unit: &Unit<'_>) -> Vec<Finding> {
    let mut first: BTreeMap<&str, &EnvVar> = BTreeMap::new();
    let mut findings = Vec::new();
    for variable in unit.spec.env.iter().flatten() {
        // `PATH=$(PATH):/x` builds on the one before.
        let builds_on =
            variable.value.as_ref().is_some_and(|value| value.contains(&format!("$({})", variable.name)));
        match first.insert(&variable.name, variable) {
            Some(before) if !builds_on && source(before) != source(variable) => {
                findings.push(shadowed(
                    subject,
                    unit,
                    &variable.name,
                    "an earlier entry of the same list",
                    Severity::Warning,
                ));
            }
            _ => {}
        }
    }
    findings
}

/// A variable set by hand hides one of a ConfigMap that is given as a whole. Often that is meant: it is said only where
/// the pod is unwell or its log speaks of it.
fn overridden(subject: &Subject<'_>, unit: &Unit<'_>) -> Vec<Finding> {
    let given = given(subject.picture, &subject.this.namespace, unit.spec);
    let by_hand = unit.spec.env.iter().flatten();
    let hidden = by_hand.filter_map(|variable| {
        let (map, value) = given.get(variable.name.as_str())?;
        (variable.value.as_deref() != Some(*value)).then_some((variable, map, *value))
    });
    hidden
        .filter_map(|(variable, map, hidden)| {
            let values = [variable.value.as_deref(), Some(hidden)];
            let severity = weight(subject, unit, &variable.name, &values)?;
            Some(shadowed(
                subject,
                unit,
                &variable.name,
                &format!("the one of {} (envFrom)", map.words()),
                severity,
            ))
        })
        .collect()
}

fn weight(subject: &Subject<'_>, unit: &Unit<'_>, name: &str, values: &[Option<&str>]) -> Option<Severity> {
    let log = subject.log(unit.name());
    let speaks = log.is_some_and(|log| {
        let of = |word: &str| word.len() > 3 && log.lines.iter().any(|line| line.contains(word));
        of(name) || values.iter().flatten().any(|value| of(value))
    });
    match (speaks, is_unwell(subject.pod, subject.picture.now)) {
        (true, _) => Some(Severity::Warning),
        (false, true) => Some(Severity::Hint),
        (false, false) => None,
    }
}

/// What ConfigMaps that are given as a whole set; the later one counts.
fn given<'a>(
    picture: &'a Picture,
    namespace: &str,
    container: &'a Container,
) -> BTreeMap<&'a str, (ObjectRef, &'a str)> {
    let mut given = BTreeMap::new();
    for from in container
        .env_from
        .iter()
        .flatten()
        .filter(|from| from.prefix.as_deref().unwrap_or_default().is_empty())
    {
        let Some(wanted) = &from.config_map_ref else { continue };
        let map = picture.config_maps.iter().find(|map| {
            map.metadata.name.as_deref() == Some(&wanted.name)
                && map.metadata.namespace.as_deref() == Some(namespace)
        });
        let Some(map) = map else { continue };
        let object = reference("ConfigMap", &map.metadata);
        let data = map.data.iter().flatten();
        given.extend(data.map(|(key, value)| (key.as_str(), (object.clone(), value.as_str()))));
    }
    given
}

fn shadowed(subject: &Subject<'_>, unit: &Unit<'_>, name: &str, what: &str, severity: Severity) -> Finding {
    let container = unit.name();
    let mechanism =
        format!("container {container}: variable {name} is set twice, and the container does not see {what}");
    let field = subject.path(&format!("{}.env[name={name}]", unit.path()));
    let change = format!("{field}: only the one that is meant");
    let log = subject.log(container);
    let line = log.and_then(|log| {
        log.lines.iter().rev().find(|line| line.contains(name)).map(|line| subject.line(log, line))
    });
    let finding =
        subject.finding(severity, Cause::EnvironmentShadowed, mechanism, subject.get_call(), change);
    let finding =
        finding.shown_by([subject.field(&format!("spec.{}.env", unit.path()), format!("{name}, twice"))]);
    // What it does to the pod is known only where the log speaks of it.
    let speaks = line.is_some();
    let finding = finding.shown_by(line);
    if speaks { finding } else { Finding { affects: Vec::new(), ..finding } }
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tools::diagnose::checks::example::found;

    fn pod(env: &str, log: &str) -> String {
        format!(
            r#"
kind: Pod
metadata: {{ name: p }}
spec: {{ containers: [{{ name: main, envFrom: [{{ configMapRef: {{ name: c }} }}], env: {env} }}] }}
status: {{ phase: Running }}
---
kind: ConfigMap
metadata: {{ name: c }}
data: {{ DB_HOST: db.shop }}
---
kind: Log
pod: p
lines: ["{log}"]
"#
        )
    }

    #[test]
    fn only_a_conflict_that_matters_is_told() {
        let told = ["EnvironmentShadowed Pod shop/p"];
        let twice = "[{ name: A, value: a }, { name: A, value: b }]";
        assert_eq!(found(check, &pod(twice, "")), told);
        assert!(found(check, &pod("[{ name: A, value: a }, { name: A, value: \"$(A):b\" }]", "")).is_empty());
        let by_hand = "[{ name: DB_HOST, value: localhost }]";
        assert_eq!(found(check, &pod(by_hand, "cannot reach localhost")), told);
        assert!(found(check, &pod("[{ name: DB_HOST, value: db.shop }]", "db.shop")).is_empty());
    }
}
