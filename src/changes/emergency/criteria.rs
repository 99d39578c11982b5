//! Whether an emergency may be opened: every criterion that can be checked before anything happens. Pure.

use serde_json::Value;

use super::{
    config::Terms,
    kinds::kind_and_group,
    scope::{covers, shown},
};
use crate::{
    api::{
        Span,
        emergency_change::{
            EmergencyChangeSpec, EmergencyScope, EmergencyTarget, ExpectedChange, ExpectedEdit,
        },
    },
    caller::Caller,
    changes::{
        capture::ObjectRef,
        identity::clean,
        path::{FieldPath, Step},
    },
    redact,
    tools::EmergencyOpening,
};

const LONGEST_REASON: usize = 4000;
const LONGEST_VALUE: usize = 2048;

/// # Errors
/// One sentence that names the first criterion that is not met, and what to do.
pub(super) fn check(
    opening: EmergencyOpening,
    caller: &Caller,
    terms: &Terms,
) -> Result<EmergencyChangeSpec, String> {
    let EmergencyOpening { incident, severity, reason, second_person, scope, budget, expected } = opening;
    terms.admits(caller)?;
    let incident = redact::text(&clean(&incident)).into_owned();
    if incident.is_empty() || incident.len() > 253 {
        return Err(
            "an emergency belongs to an incident: declare it first and give its id as `incident`".to_owned()
        );
    }
    let severity =
        terms.severities.iter().find(|known| known.eq_ignore_ascii_case(severity.trim())).ok_or_else(
            || {
                format!(
                    "emergencies are for severity {} here, not {:?}: for less, use propose_change",
                    terms.severities.join(" or "),
                    redact::shown(&severity)
                )
            },
        )?;
    let reason = redact::text(&clean(&reason)).into_owned();
    let length = reason.chars().count();
    if length < terms.reason_length || length > LONGEST_REASON {
        return Err(format!(
            "the reason has {length} characters and needs {} to {LONGEST_REASON}: say what is broken and why a pull request is too slow",
            terms.reason_length
        ));
    }
    let second_person = second_person.trim().to_owned();
    if second_person.is_empty() || second_person.len() > 512 || second_person.contains(char::is_control) {
        return Err(
            "name the second person, who must confirm it, by their user name as `second_person`".to_owned()
        );
    }
    if second_person == caller.user {
        return Err(
            "you cannot be your own second person: name another one, who confirms it with their own identity"
                .to_owned(),
        );
    }
    let scope = check_scope(scope, terms)?;
    let budget = match budget.as_deref().map(str::trim).filter(|budget| !budget.is_empty()) {
        Some(text) => Span::parse(text).map_err(|problem| format!("the budget {problem}"))?,
        None => terms.budget,
    };
    if budget > terms.max_budget || budget < Span::seconds(1) {
        return Err(format!("the budget {budget} is not between 1s and {}: ask for less", terms.max_budget));
    }
    if expected.len() > 20 {
        return Err("at most 20 changes can be expected: open an emergency for the first of them".to_owned());
    }
    let expected: Result<Vec<ExpectedChange>, String> =
        expected.into_iter().map(|change| check_expected(change, &scope, terms)).collect();
    Ok(EmergencyChangeSpec {
        unsanctioned: false,
        incident,
        severity: severity.clone(),
        reason,
        requested_by: caller.user.clone(),
        second_person,
        expected: expected?,
        scope,
        budget,
    })
}

fn check_scope(scope: EmergencyScope, terms: &Terms) -> Result<EmergencyScope, String> {
    let EmergencyScope { namespaces, kinds, objects } = &scope;
    if namespaces.is_empty() && objects.is_empty() {
        return Err(if kinds.is_empty() {
            "the scope is empty: name namespaces, or single objects".to_owned()
        } else {
            "kinds alone would be the whole cluster: name the namespaces too, or single objects".to_owned()
        });
    }
    if namespaces.len() > 20 || kinds.len() > 20 || objects.len() > 50 {
        return Err("the scope is too wide: at most 20 namespaces, 20 kinds and 50 objects".to_owned());
    }
    let is_word = |text: &String| {
        !text.is_empty()
            && text.len() <= 253
            && !text.contains(|c: char| c.is_control() || c.is_whitespace() || c == '*')
    };
    let words = namespaces.iter().chain(kinds).chain(objects.iter().flat_map(|target| {
        let EmergencyTarget { kind, namespace, name } = target;
        [kind, name].into_iter().chain(namespace)
    }));
    if let Some(wrong) = words.into_iter().find(|word| !is_word(word)) {
        return Err(format!(
            "{wrong:?} in the scope is no name: name each namespace, kind and object in full"
        ));
    }
    match terms.deny.forbids_scope(&scope) {
        Some(what) => Err(format!(
            "{what} is on the deny list (emergency.deny): no emergency may touch it, ask those who run the cluster"
        )),
        None => Ok(scope),
    }
}

fn check_expected(
    change: ExpectedChange,
    scope: &EmergencyScope,
    terms: &Terms,
) -> Result<ExpectedChange, String> {
    let ExpectedChange { target, edits } = change;
    let what = shown(&target);
    let (kind, group) = kind_and_group(&target.kind);
    let object = ObjectRef {
        group: group.unwrap_or_default().to_owned(),
        kind,
        namespace: target.namespace.clone(),
        name: target.name.clone(),
    };
    // Without a group it is covered where its kind is.
    let scope = EmergencyScope {
        kinds: match group {
            Some(_) => scope.kinds.clone(),
            None => scope.kinds.iter().map(|kind| kind_and_group(kind).0).collect(),
        },
        objects: scope
            .objects
            .iter()
            .map(|target| match group {
                Some(_) => target.clone(),
                None => EmergencyTarget { kind: kind_and_group(&target.kind).0, ..target.clone() },
            })
            .collect(),
        namespaces: scope.namespaces.clone(),
    };
    if !covers(&scope, &object) {
        return Err(format!(
            "the expected change of {what} is not in the scope: add it to the scope, or leave it out"
        ));
    }
    if let Some(what) = terms.deny.forbids_target(&target) {
        return Err(format!("{what} is on the deny list (emergency.deny): no emergency may touch it"));
    }
    if edits.is_empty() || edits.len() > 20 {
        return Err(format!("the expected change of {what} needs 1 to 20 edits"));
    }
    for ExpectedEdit { path, value } in &edits {
        path.parse::<FieldPath>().map_err(|error| error.to_string())?;
        if !super::captured::is_of_git(path) || path == "metadata.name" || path == "metadata.namespace" {
            return Err(format!("{path} of {what} is not a field that a person changes: leave it out"));
        }
        let parsed: Value = serde_json::from_str(value).map_err(|_| {
            format!("the value of {path} is no JSON: write a text in quotes, such as \"\\\"256Mi\\\"\"")
        })?;
        if is_secret(path, &parsed) || value.contains("<redacted:") {
            return Err(format!(
                "the value of {path} looks like a secret, and the record keeps none: change it by hand"
            ));
        }
        if value.len() > LONGEST_VALUE {
            return Err(format!(
                "the value of {path} is longer than {LONGEST_VALUE} characters: change it by hand"
            ));
        }
    }
    Ok(ExpectedChange { target, edits })
}

/// Whether a value would be redacted beside one of the names on the way to it.
fn is_secret(path: &str, value: &Value) -> bool {
    let names = path.parse::<FieldPath>().map(|path| {
        let name = |step: &Step| match step {
            Step::Key(name) | Step::Select { value: name, .. } => Some(name.clone()),
            Step::Index(_) => None,
        };
        path.steps().iter().filter_map(name).collect::<Vec<_>>()
    });
    names.unwrap_or_default().into_iter().any(|name| {
        let asked = serde_json::json!({ name: value });
        let mut without_secrets = asked.clone();
        redact::value(&mut without_secrets);
        without_secrets != asked
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::check;
    use crate::{
        changes::emergency::config::tests::{person, terms},
        tools::EmergencyOpening,
    };

    fn opening(change: &str) -> EmergencyOpening {
        let mut asked: serde_json::Value = serde_json::json!({
            "incident": "INC-7", "severity": "Critical", "reason": "checkout is down, each minute costs orders",
            "second_person": "bob", "scope": { "namespaces": ["shop"], "kinds": ["Deployment"] } });
        let change: serde_json::Value = serde_saphyr::from_str(change).unwrap();
        asked.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        serde_json::from_value(asked).unwrap()
    }

    fn refused(change: &str) -> String {
        check(opening(change), &person("ann", &[]), &terms("{}")).unwrap_err()
    }

    #[test]
    fn what_meets_every_criterion_becomes_a_spec() {
        let expected = "{budget: 10m, expected: [{target: {kind: deploy, namespace: shop, name: web}, \
                        edits: [{path: spec.replicas, value: '3'}]}]}";
        let spec = check(opening(expected), &person("ann", &[]), &terms("{}")).unwrap();
        assert_eq!((spec.requested_by.as_str(), spec.second_person.as_str()), ("ann", "bob"));
        assert_eq!((spec.severity.as_str(), spec.budget.to_string().as_str()), ("critical", "600s"));
        assert_eq!(spec.expected.len(), 1);
    }

    #[test]
    fn every_criterion_that_is_not_met_says_so() {
        for (change, says) in [
            ("incident: ''", "belongs to an incident"),
            ("severity: low", "use propose_change"),
            ("reason: because", "needs 20 to 4000"),
            ("second_person: ''", "name the second person"),
            ("second_person: ann", "your own second person"),
            ("scope: {}", "the scope is empty"),
            ("scope: {kinds: [Deployment]}", "the whole cluster"),
            ("scope: {namespaces: ['*']}", "in full"),
            ("scope: {namespaces: [kube-system]}", "deny list"),
            ("scope: {namespaces: [shop], kinds: [Secret]}", "deny list"),
            ("budget: 2h", "between 1s and 3600s"),
            ("budget: soon", "write a number and a unit"),
            (
                "expected: [{target: {kind: Deployment, namespace: other, name: x}, edits: [{path: spec.a, value: '1'}]}]",
                "not in the scope",
            ),
            (
                "expected: [{target: {kind: ConfigMap, namespace: shop, name: x}, edits: [{path: data.a, value: '1'}]}]",
                "not in the scope",
            ),
            (
                "expected: [{target: {kind: Deployment, namespace: shop, name: x}, edits: []}]",
                "1 to 20 edits",
            ),
            (
                "expected: [{target: {kind: Deployment, namespace: shop, name: x}, edits: [{path: spec.a, value: abc}]}]",
                "no JSON",
            ),
            (
                "expected: [{target: {kind: Deployment, namespace: shop, name: x}, edits: [{path: status.a, value: '1'}]}]",
                "not a field",
            ),
            (
                "expected: [{target: {kind: Deployment, namespace: shop, name: x}, edits: [{path: spec.password, value: '\"hunter2-hunter2\"'}]}]",
                "looks like a secret",
            ),
        ] {
            let said = refused(change);
            assert!(said.contains(says), "{change}: {said}");
            assert!(!said.contains("hunter2"), "{said}");
        }
    }
}
