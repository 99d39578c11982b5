//! Which labels a selector means, and what is nearest where it means none.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, LabelSelectorRequirement};

/// The labels of an object; it may have none.
pub(super) type Labels = BTreeMap<String, String>;

/// By `selector`, of which an empty one means everything. An operator nobody knows means nothing.
pub(super) fn selects(selector: &LabelSelector, labels: Option<&Labels>) -> bool {
    let LabelSelector { match_expressions, match_labels } = selector;
    match_labels.as_ref().is_none_or(|wanted| has_all(wanted, labels))
        && match_expressions.iter().flatten().all(|requirement| meets(requirement, labels))
}

/// By the plain selector of a Service: all its labels. An empty one means everything here too; what an empty
/// selector of a Service means is for the caller.
pub(super) fn has_all(wanted: &Labels, labels: Option<&Labels>) -> bool {
    wanted.iter().all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value))
}

fn meets(requirement: &LabelSelectorRequirement, labels: Option<&Labels>) -> bool {
    let LabelSelectorRequirement { key, operator, values } = requirement;
    let found = labels.and_then(|labels| labels.get(key));
    let among = || found.is_some_and(|found| values.iter().flatten().any(|value| value == found));
    match operator.as_str() {
        "In" => among(),
        "NotIn" => !among(),
        "Exists" => found.is_some(),
        "DoesNotExist" => found.is_none(),
        _ => false,
    }
}

/// `app=web,tier in (a,b),!old`; `everything` for an empty one.
pub(super) fn words(selector: &LabelSelector) -> String {
    let LabelSelector { match_expressions, match_labels } = selector;
    let labels = match_labels.iter().flatten().map(|(key, value)| format!("{key}={value}"));
    let expressions = match_expressions.iter().flatten().map(|requirement| {
        let LabelSelectorRequirement { key, operator, values } = requirement;
        let values = || values.iter().flatten().map(String::as_str).collect::<Vec<_>>().join(",");
        match operator.as_str() {
            "In" => format!("{key} in ({})", values()),
            "NotIn" => format!("{key} notin ({})", values()),
            "Exists" => key.clone(),
            "DoesNotExist" => format!("!{key}"),
            other => format!("{key} {other} ({})", values()),
        }
    });
    let all: Vec<String> = labels.chain(expressions).collect();
    if all.is_empty() { "everything".to_owned() } else { all.join(",") }
}

/// `app=web,tier=front`.
pub(super) fn labels_words(labels: &Labels) -> String {
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

/// Of `candidates` the one that has most of the `wanted` labels, and how it differs: key, wanted value, value it has.
/// None where no candidate shares or resembles anything with it.
pub(super) fn nearest<'a, T>(
    wanted: &Labels,
    candidates: impl IntoIterator<Item = (T, Option<&'a Labels>)>,
) -> Option<Near<T>> {
    let mut best: Option<(f64, Near<T>)> = None;
    for (what, labels) in candidates {
        let mut differences = Vec::new();
        let mut score = 0.0;
        for (key, value) in wanted {
            let has = labels.and_then(|labels| labels.get(key));
            if has == Some(value) {
                score += 1.0;
                continue;
            }
            let elsewhere =
                labels.into_iter().flatten().find(|(_, other)| *other == value).map(|(key, _)| key);
            // A label of the right key, or of the right value, is nearer than one that is not there at all.
            score += match (has, elsewhere) {
                (Some(has), _) => 0.2 + 0.6 * alike(value, has),
                (None, Some(_)) => 0.6,
                (None, None) => 0.0,
            };
            differences.push(Difference {
                key: key.clone(),
                wanted: value.clone(),
                has: has.cloned(),
                elsewhere: elsewhere.filter(|_| has.is_none()).cloned(),
            });
        }
        // Wholly other labels are no neighbours.
        let near = score >= 0.5;
        if near && best.as_ref().is_none_or(|(known, _)| score > *known) {
            best = Some((score, Near { what, differences }));
        }
    }
    best.map(|(_, near)| near)
}

/// From 0 to 1: mistyped (`wbe`) as well as longer or shorter (`web-v2`).
fn alike(one: &str, other: &str) -> f64 {
    strsim::jaro_winkler(one, other).max(strsim::normalized_damerau_levenshtein(one, other))
}

/// What comes nearest to a selector, and why it is not selected.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Near<T> {
    pub(super) what: T,
    pub(super) differences: Vec<Difference>,
}

/// One label that a selector wants otherwise.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) key: String,
    pub(super) wanted: String,
    /// None where the label is not there.
    pub(super) has: Option<String>,
    /// Another key that has the wanted value, where the key is not there.
    pub(super) elsewhere: Option<String>,
}

impl Difference {
    /// `the selector wants app=wbe, the label is app=web`.
    pub(super) fn words(&self) -> String {
        let Self { key, wanted, has, elsewhere } = self;
        match (has, elsewhere) {
            (Some(has), _) => format!("the selector wants {key}={wanted}, the label is {key}={has}"),
            (None, Some(other)) => {
                format!("the selector wants {key}={wanted}, the label is {other}={wanted}")
            }
            (None, None) => format!("the selector wants {key}={wanted}, there is no label {key}"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::{Labels, nearest, selects, words};

    fn labels(all: &[(&str, &str)]) -> Labels {
        all.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn selectors_mean_what_the_api_server_means() {
        let web = labels(&[("app", "web"), ("tier", "front")]);
        let one = |operator: &str, key: &str, values: &[&str]| {
            let selector =
                json!({ "matchExpressions": [{ "key": key, "operator": operator, "values": values }] });
            let selector = serde_json::from_value(selector).unwrap();
            (selects(&selector, Some(&web)), selects(&selector, None), words(&selector))
        };
        assert_eq!(one("In", "app", &["a", "web"]), (true, false, "app in (a,web)".into()));
        assert_eq!(one("NotIn", "app", &["web"]), (false, true, "app notin (web)".into()));
        assert_eq!(one("Exists", "tier", &[]), (true, false, "tier".into()));
        assert_eq!(one("DoesNotExist", "old", &[]), (true, true, "!old".into()));
        let plain = serde_json::from_value(json!({ "matchLabels": { "app": "web" } })).unwrap();
        assert!(selects(&plain, Some(&web)) && !selects(&plain, None));
        assert!(selects(&Default::default(), None));
        assert_eq!(words(&Default::default()), "everything");
    }

    #[test]
    fn the_nearest_labels_are_named_by_what_differs() {
        let pods =
            [("a", labels(&[("app", "web"), ("tier", "front")])), ("b", labels(&[("app", "database")]))];
        let find = |wanted: &[(&str, &str)]| {
            let near = nearest(&labels(wanted), pods.iter().map(|(name, labels)| (*name, Some(labels))));
            near.map(|near| (near.what, near.differences.iter().map(|d| d.key.clone()).collect::<Vec<_>>()))
        };
        assert_eq!(find(&[("app", "wbe")]), Some(("a", vec!["app".to_owned()])));
        assert_eq!(find(&[("app", "web"), ("tier", "back")]), Some(("a", vec!["tier".to_owned()])));
        assert_eq!(find(&[("app", "zzz")]), None);
        assert_eq!(find(&[("other", "web")]), Some(("a", vec!["other".to_owned()])));
        assert_eq!(find(&[("app", "web-v2")]), Some(("a", vec!["app".to_owned()])));
    }
}
