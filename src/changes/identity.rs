//! What is asked for, parsed once; and the id that makes the same request the same change.

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Value, json};

use super::{edit::Edit, fields, kind, patch};
use crate::{
    redact,
    tools::{Live, Proposal},
};

/// The object that is to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) kind: String,
    /// From `Deployment.apps`; without it any group matches.
    pub(super) group: Option<String>,
    pub(super) namespace: Option<String>,
    pub(super) name: String,
}

/// A proposal whose every part was checked.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Intent {
    pub(super) target: Target,
    pub(super) edits: Vec<Edit>,
    pub(super) reason: String,
}

/// Characters of a reason: enough for evidence, little enough for a commit.
const LONGEST_REASON: usize = 4000;

impl Intent {
    /// `live` is the object as the cluster has it, where there is one; patches are read against it. With the intent
    /// comes the repository that was named.
    ///
    /// # Errors
    /// One sentence that says which part cannot be taken and what to do.
    pub(super) fn parse(proposal: Proposal, live: Option<&Live>) -> Result<(Self, Option<String>), String> {
        let Proposal { kind, namespace, name, change, reason, repository } = proposal;
        let target = Target::parse(&kind, namespace, name)?.with_group_of(live);
        target.refuse_secrets()?;
        let reason = redact::text(&clean(&reason)).into_owned();
        if reason.is_empty() {
            return Err(
                "the reason is empty: say why, it becomes the text of the commit that a person reviews"
                    .to_owned(),
            );
        }
        if reason.chars().count() > LONGEST_REASON {
            return Err(format!("the reason is longer than {LONGEST_REASON} characters: shorten it"));
        }
        let edits = fields::checked(patch::edits(change, &target.kind, live)?, live)?;
        if let Some(live) = live {
            fields::fit(&edits, &target, live)?;
        }
        Ok((Self { target, edits, reason }, repository))
    }

    /// The same repository, object and edits give the same id, whoever asks and why.
    pub(super) fn id(&self, repository: &str) -> String {
        self.digest(repository)[..ID].to_owned()
    }

    /// SHA-256 of what is asked, hex.
    pub(super) fn digest(&self, repository: &str) -> String {
        let Target { kind, group, namespace, name } = &self.target;
        // As a built-in kind is most often named, without its own group.
        let kind = match group.as_deref().filter(|group| kind::group(kind) != Some(group)) {
            Some(group) => format!("{kind}.{group}"),
            None => kind.clone(),
        };
        let edits: Vec<_> =
            self.edits.iter().map(|Edit { path, new }| json!([path.to_string(), sorted(new)])).collect();
        let said = json!([repository, kind.to_lowercase(), namespace, name, edits]).to_string();
        hex::encode(digest(&SHA256, said.as_bytes()))
    }
}

const ID: usize = 16;

/// Whether a text can be the id of a change; anything else never reaches a file name.
pub(super) fn is_id(text: &str) -> bool {
    text.len() == ID && text.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c))
}

impl Target {
    /// `kind` may name its group: `Deployment.apps`.
    ///
    /// # Errors
    /// One sentence, when no object can be called so.
    pub(super) fn parse(kind: &str, namespace: Option<String>, name: String) -> Result<Self, String> {
        let (kind, group) = match kind.split_once('.') {
            Some((kind, group)) => (kind, Some(group.to_owned())),
            None => (kind, None),
        };
        let kind = kind::canonical(kind);
        for (what, value) in [("kind", &kind), ("name", &name)]
            .into_iter()
            .chain(group.as_ref().map(|group| ("group", group)))
            .chain(namespace.as_ref().map(|namespace| ("namespace", namespace)))
        {
            if value.is_empty()
                || value.len() > 253
                || value.contains(|c: char| c.is_control() || c.is_whitespace())
            {
                return Err(format!("the {what} {value:?} is not one that an object can have"));
            }
        }
        Ok(Self { kind, group, namespace, name })
    }

    /// Of a kind that Kubernetes itself has not, with the group that the cluster knows it by: named or not, it is the
    /// same object.
    fn with_group_of(self, live: Option<&Live>) -> Self {
        if self.group.is_some() || kind::group(&self.kind).is_some() {
            return self;
        }
        let version = live.and_then(|live| live.object["apiVersion"].as_str());
        let group = version.and_then(|version| Some(version.split_once('/')?.0.to_owned()));
        Self { group, ..self }
    }

    pub(super) fn refuse_secrets(&self) -> Result<(), String> {
        let instead = match self.kind.to_lowercase().as_str() {
            "secret" => "change it where it is kept (a secret store, SOPS or Sealed Secrets) and let it sync",
            "sealedsecret" => {
                "seal the new value with kubeseal against the cluster's key and commit the result"
            }
            "externalsecret" | "clusterexternalsecret" | "secretstore" | "clustersecretstore" => {
                "change the value in the external store that it points to; a change of the mapping itself is made by a person"
            }
            _ => return Ok(()),
        };
        Err(format!(
            "{self} is not changed through change requests, so that no secret value reaches Git: {instead}"
        ))
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { kind, group: _, namespace, name } = self;
        match namespace {
            Some(namespace) => write!(f, "{kind} {namespace}/{name}"),
            None => write!(f, "{kind} {name}"),
        }
    }
}

/// Objects with their keys in order, so that the order of writing makes no other change.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().map(|(key, value)| (key.clone(), sorted(value))).collect();
            fields.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(fields.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

/// Text of a caller without what could play tricks in a commit or a terminal.
pub(super) fn clean(text: &str) -> String {
    text.chars().filter(|c| *c == '\n' || *c == '\t' || !c.is_control()).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use serde_json::{Value, json};

    use super::{Intent, is_id};
    use crate::tools::{Modification, Proposal};

    fn proposal(kind: &str, edits: &[(&str, Value)]) -> Proposal {
        Proposal {
            kind: kind.into(),
            namespace: Some("shop".into()),
            name: "web".into(),
            change: Modification::Edits(
                edits.iter().map(|(path, new)| ((*path).into(), new.clone())).collect(),
            ),
            reason: "because".into(),
            repository: None,
        }
    }

    fn id(kind: &str, edits: &[(&str, Value)]) -> String {
        Intent::parse(proposal(kind, edits), None).unwrap().0.id("deploy")
    }

    #[test]
    fn the_same_intent_is_the_same_change() {
        let one = id("Deployment", &[("metadata.labels.'a'", json!({"x": 1, "y": 2}))]);
        assert!(is_id(&one));
        assert_eq!(one, id("deploy", &[("metadata.labels.a", json!({"x": 1, "y": 2}))]));
        assert_eq!(one, id("deployment.apps", &[("metadata.labels.a", json!({"y": 2, "x": 1}))]));
        assert_ne!(one, id("Deployment", &[("metadata.labels.a", json!({"y": 2, "x": 3}))]));
        let other = id("deployment.apps.example.com", &[("metadata.labels.a", json!({"x": 1, "y": 2}))]);
        assert_ne!(one, other, "one name in two groups");
        assert!(!is_id("../../etc/passwd") && !is_id("ABCDEF0123456789"));
    }

    #[test]
    fn a_secret_in_the_reason_goes_no_further() {
        let asked = Proposal {
            reason: "the DB_PASSWORD=hunter2 is old".into(),
            ..proposal("Deployment", &[("spec.a", json!(1))])
        };
        let reason = Intent::parse(asked, None).unwrap().0.reason;
        assert!(reason.contains("is old") && !reason.contains("hunter2"), "{reason}");
    }

    #[test]
    fn what_cannot_be_taken_is_said() {
        let said = |kind, edits: &[(&str, Value)]| Intent::parse(proposal(kind, edits), None).unwrap_err();
        assert!(said("Secret", &[("data.x", json!("y"))]).contains("no secret value reaches Git"));
        assert!(said("secrets", &[("data.x", json!("y"))]).contains("no secret value reaches Git"));
        assert!(said("SealedSecret", &[("spec.x", json!("y"))]).contains("kubeseal"));
        assert!(said("Deployment", &[]).contains("between 1 and"));
        assert!(said("Deployment", &[("metadata.name", json!("x"))]).contains("another object"));
        assert!(said("Deployment", &[("status.x", json!("x"))]).contains("by the cluster"));
        assert!(said("Deployment", &[("spec..x", json!(1))]).contains("character 6"));
        let placeholder = json!([{"name": "X", "value": "<redacted:ab12cd>"}]);
        assert!(said("Deployment", &[("spec.env", placeholder)]).contains("stands in for a secret"));
        for (path, quoted) in [
            ("metadata.annotations.example.com/x", "metadata.annotations.\"example.com/x\""),
            ("spec.selector.matchLabels.app.kubernetes.io/name", "matchLabels.\"app.kubernetes.io/name\""),
            ("data.app.conf", "data.\"app.conf\""),
        ] {
            let said = said("ConfigMap", &[(path, json!("x"))]);
            assert!(said.contains(quoted), "{said}");
        }
        let kept =
            ["spec.data[0].remoteRef.key", "metadata.labels.a", "spec.data.a.b", "metadata.labels.\"a.b/c\""];
        for path in kept {
            assert!(Intent::parse(proposal("ExternalThing", &[(path, json!("x"))]), None).is_ok(), "{path}");
        }
        let both = [("spec.a", json!({})), ("spec.a.b", json!(1))];
        assert!(said("Deployment", &both).contains("each other's way"));
    }
}
