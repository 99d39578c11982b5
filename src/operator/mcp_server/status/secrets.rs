//! Whether secret values are there, and whether their changes are seen.

use super::{
    conditions::{Finding, Holds},
    extras::Extras,
};
use crate::{
    api::mcp_server::ConditionType,
    operator::{
        external_secret::{KIND_MISSING, Progress, progress},
        mcp_server::kind::Kind,
    },
};

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
        return found(Holds::No, "KindMissing", KIND_MISSING.to_owned());
    }
    match progress(&extras.external_secrets) {
        Progress::Failed(why) => {
            found(Holds::No, "NotSynced", format!("{why}; check its store and the key in spec.secrets."))
        }
        Progress::Waiting(said) => found(Holds::Unknown, "Waiting", said),
        Progress::Synced(said) => found(Holds::Yes, "Synced", said),
    }
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
