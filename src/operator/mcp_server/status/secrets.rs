//! Whether secret values are there, and whether their changes are seen.

use kube::{ResourceExt, core::DynamicObject};
use serde_json::Value;

use super::{
    conditions::{Finding, Holds},
    extras::Extras,
};
use crate::{api::mcp_server::ConditionType, operator::mcp_server::kind::Kind};

/// The role that lets pilothouse read the Secrets of a namespace.
const ROLE: &str = "pilothouse-secrets";

/// Whether every ExternalSecret has its value.
pub(super) fn synced(extras: &Extras) -> Option<Finding> {
    if !extras.external_secrets_declared {
        return None;
    }
    let found = |holds, reason: &str, message: String| {
        let type_ = ConditionType::SecretsSynced;
        Some(Finding { type_, holds, reason: reason.to_owned(), message })
    };
    if extras.missing.contains(&Kind::ExternalSecret) {
        let message = "The cluster has no ExternalSecret (external-secrets.io/v1 or v1beta1): install the External Secrets Operator, the ExternalSecrets are then made within a minute.";
        return found(Holds::No, "KindMissing", message.to_owned());
    }
    let mut all: Vec<&DynamicObject> = extras.external_secrets.iter().collect();
    all.sort_by_key(|one| one.name_any());
    let failed = all.iter().find_map(|one| match readiness(one) {
        Some(("False", why)) => Some((one.name_any(), why)),
        _ => None,
    });
    if let Some((name, why)) = failed {
        let why = if why.is_empty() { "it says no reason" } else { why.trim_end_matches('.') };
        let message = format!(
            "ExternalSecret {name} has no value: {why}; check its store and the key in spec.secrets."
        );
        return found(Holds::No, "NotSynced", message);
    }
    match all.iter().find(|one| readiness(one).is_none_or(|(status, _)| status != "True")) {
        Some(waits) => found(
            Holds::Unknown,
            "Waiting",
            format!("ExternalSecret {} was not answered by its operator yet.", waits.name_any()),
        ),
        None => {
            let count = all.len();
            let message = if count == 1 {
                "1 ExternalSecret has its value.".to_owned()
            } else {
                format!("{count} ExternalSecrets have their values.")
            };
            found(Holds::Yes, "Synced", message)
        }
    }
}

/// Status and message of its condition `Ready`.
fn readiness(external: &DynamicObject) -> Option<(&str, &str)> {
    let conditions = external.data.pointer("/status/conditions")?.as_array()?;
    let ready = conditions.iter().find(|condition| condition["type"] == "Ready")?;
    Some((ready["status"].as_str()?, ready.get("message").and_then(Value::as_str).unwrap_or_default()))
}

/// True is bad: changes of Secrets are not seen.
pub(super) fn not_readable(extras: &Extras) -> Option<Finding> {
    let (holds, reason, message) = if !extras.hidden.is_empty() {
        let what = match extras.hidden.as_slice() {
            [one] => format!("Secret {one}"),
            many => format!("the Secrets {}", many.join(", ")),
        };
        let message = format!(
            "Changes of {what} are not seen and roll no pods: bind the ClusterRole {ROLE} to pilothouse's account in this namespace, or restart the pods after a change with kubectl rollout restart."
        );
        (Holds::Yes, "NotBound", message)
    } else if extras.readable > 0 {
        (Holds::No, "Readable", "Changes of the Secrets it refers to roll its pods.".to_owned())
    } else {
        return None;
    };
    Some(Finding { type_: ConditionType::SecretsNotReadable, holds, reason: reason.to_owned(), message })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use kube::core::DynamicObject;
    use serde_json::{Value, json};

    use super::{Extras, Holds, Kind, not_readable, synced};

    fn external(name: &str, conditions: Value) -> DynamicObject {
        serde_json::from_value(json!({"metadata": {"name": name}, "status": {"conditions": conditions}}))
            .unwrap()
    }

    fn with(external_secrets: Vec<DynamicObject>) -> Extras {
        Extras { external_secrets_declared: true, external_secrets, ..Extras::default() }
    }

    #[test]
    fn nothing_is_said_of_what_is_not_declared() {
        assert!(synced(&Extras::default()).is_none() && not_readable(&Extras::default()).is_none());
    }

    #[test]
    fn every_external_secret_counts_and_the_failed_one_is_named() {
        let ready = external("demo-a", json!([{"type": "Ready", "status": "True"}]));
        let said = |extras: &Extras| {
            let found = synced(extras).unwrap();
            (found.holds, found.reason, found.message)
        };
        let all = said(&with(vec![ready.clone()]));
        assert_eq!(all, (Holds::Yes, "Synced".to_owned(), "1 ExternalSecret has its value.".to_owned()));
        let waits = said(&with(vec![ready.clone(), external("demo-b", json!([]))]));
        assert_eq!((waits.0, waits.1.as_str()), (Holds::Unknown, "Waiting"));
        let refused = json!([{"type": "Ready", "status": "False", "message": "could not get secret data."}]);
        let failed = said(&with(vec![ready, external("demo-b", refused)]));
        assert_eq!((failed.0, failed.1.as_str()), (Holds::No, "NotSynced"));
        assert!(failed.2.starts_with("ExternalSecret demo-b has no value: could not get secret data;"));
        let missing = Extras { missing: [Kind::ExternalSecret].into(), ..with(vec![]) };
        assert_eq!(said(&missing).1, "KindMissing");
    }

    #[test]
    fn hidden_secrets_are_named_with_the_way_out() {
        let hidden = Extras { hidden: vec!["a".to_owned(), "b".to_owned()], ..Extras::default() };
        let found = not_readable(&hidden).unwrap();
        assert_eq!((found.holds, found.reason.as_str()), (Holds::Yes, "NotBound"));
        assert!(found.message.starts_with("Changes of the Secrets a, b are not seen and roll no pods: bind"));
        let one = not_readable(&Extras { hidden: vec!["a".to_owned()], ..Extras::default() }).unwrap();
        assert!(
            one.message.starts_with("Changes of Secret a are not seen and roll no pods"),
            "{}",
            one.message
        );
        let seen = not_readable(&Extras { readable: 1, ..Extras::default() }).unwrap();
        assert_eq!((seen.holds, seen.reason.as_str()), (Holds::No, "Readable"));
    }
}
