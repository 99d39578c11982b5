//! What was written to an object's children, collected between two looks at it, and told as events.

use std::collections::HashMap;

use super::events::Happening;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Verb {
    Create,
    Replace,
    Scale { replicas: i32 },
    Delete,
}

impl Verb {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Replace => "replace",
            Self::Scale { .. } => "scale",
            Self::Delete => "delete",
        }
    }
}

/// One write that succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Deed {
    pub(super) verb: Verb,
    /// Such as `Deployment`.
    pub(super) kind: String,
}

/// By the uid of the object that owns what was written.
#[derive(Debug, Default)]
pub(super) struct Deeds(HashMap<String, Vec<Deed>>);

impl Deeds {
    pub(super) fn apply(&mut self, owner: &str, deed: Deed) {
        self.0.entry(owner.to_owned()).or_default().push(deed);
    }

    pub(super) fn take(&mut self, owner: &str) -> Vec<Deed> {
        self.0.remove(owner).unwrap_or_default()
    }
}

/// One event for all that was made, one for all that was changed, and so on.
pub(super) fn told(deeds: &[Deed]) -> Vec<Happening> {
    let kinds = |verb: Verb| {
        let kinds: Vec<&str> =
            deeds.iter().filter(|deed| deed.verb == verb).map(|deed| deed.kind.as_str()).collect();
        (!kinds.is_empty()).then(|| listed(&kinds))
    };
    let mut told = Vec::new();
    if let Some(kinds) = kinds(Verb::Create) {
        told.push(Happening::normal("Created", format!("{kinds} created.")));
    }
    if let Some(kinds) = kinds(Verb::Replace) {
        told.push(Happening::normal("Updated", format!("{kinds} updated to what is declared.")));
    }
    for deed in deeds {
        if let Verb::Scale { replicas } = deed.verb {
            told.push(Happening::normal("Scaled", format!("{} scaled to {replicas}.", deed.kind)));
        }
    }
    if let Some(kinds) = kinds(Verb::Delete) {
        told.push(Happening::normal("Removed", format!("{kinds} removed, no longer declared.")));
    }
    told
}

fn listed(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::{Deed, Deeds, Verb, told};

    fn deed(verb: Verb, kind: &str) -> Deed {
        Deed { verb, kind: kind.to_owned() }
    }

    #[test]
    fn what_was_done_together_is_told_together() {
        let mut deeds = Deeds::default();
        for kind in ["ServiceAccount", "Service", "Deployment"] {
            deeds.apply("uid", deed(Verb::Create, kind));
        }
        deeds.apply("uid", deed(Verb::Scale { replicas: 3 }, "Deployment"));
        deeds.apply("uid", deed(Verb::Delete, "Ingress"));
        deeds.apply("another", deed(Verb::Replace, "Service"));
        let said: Vec<String> = told(&deeds.take("uid"))
            .into_iter()
            .map(|told| format!("{}: {}", told.reason, told.note))
            .collect();
        assert_eq!(
            said,
            [
                "Created: ServiceAccount, Service and Deployment created.",
                "Scaled: Deployment scaled to 3.",
                "Removed: Ingress removed, no longer declared."
            ]
        );
        assert!(told(&deeds.take("uid")).is_empty(), "it is told once");
    }
}
