//! One line of the record: who, what, on which objects, and what came of it.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use aws_lc_rs::digest::{SHA256, digest};
use jiff::Timestamp;
use serde::Serialize;

use crate::{
    caller::{Caller, Proof},
    redact,
};

/// Characters of one text of a line that are recorded.
const LONGEST_TEXT: usize = 1_024;
/// Objects that one line names; how many more there were is a fact of the line.
const MOST_OBJECTS: usize = 64;

/// One line of the record. Its texts may be as they came: secrets are taken out when it is written.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    pub at: Timestamp,
    /// Who asked.
    pub caller: String,
    /// How that was proven: `oidc`, `tokenReview`, `process`; absent in lines about ourselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proof: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups: Option<Groups>,
    /// What was done, for example `tools/call`, `change/push`.
    pub action: String,
    /// On what, for example a tool's name or `Deployment shop/web`.
    pub target: String,
    /// SHA-256 of the arguments' bytes as they came, hex; the arguments themselves may hold secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arguments_digest: Option<String>,
    /// The same in all lines of one call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<Call>,
    /// The objects that were asked for or changed, as far as this line's writer knows them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<Object>,
    /// What was done to them, in Kubernetes' words where it has some.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub verbs: Vec<Cow<'static, str>>,
    /// What left, in the last line of a call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// `allowed`, `refused`, or what came of it.
    pub decision: String,
    /// What else identifies the deed, for example `branch`; never a secret, never arguments.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, String>,
}

/// The groups of a caller: how many, and a digest by which two lines can be compared. The names are not kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Groups {
    pub count: usize,
    /// SHA-256 of the sorted names, one a line, hex.
    pub digest: String,
}

impl Groups {
    fn of(names: &[String]) -> Option<Self> {
        if names.is_empty() {
            return None;
        }
        let mut sorted: Vec<&str> = names.iter().map(String::as_str).collect();
        sorted.sort_unstable();
        Some(Self { count: names.len(), digest: hex::encode(digest(&SHA256, sorted.join("\n").as_bytes())) })
    }
}

/// An object of the cluster, or what a line is about elsewhere (`Repository deploy`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Object {
    pub kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Empty: all of them.
    pub name: String,
}

impl Object {
    pub fn new(kind: &str, namespace: Option<&str>, name: &str) -> Self {
        Self { kind: kind.to_owned(), namespace: namespace.map(str::to_owned), name: name.to_owned() }
    }
}

/// What left towards the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// Estimated from the bytes of the answer.
    pub tokens: usize,
    /// Placeholders that stand in the answer where a secret was.
    pub redactions: usize,
}

/// Joins the lines of one call: unique among all processes that write one log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Call(String);

impl Call {
    /// The next one of this process.
    pub fn next() -> Self {
        static STARTED: LazyLock<i64> = LazyLock::new(|| Timestamp::now().as_microsecond());
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(format!("{:x}-{}", *STARTED, NEXT.fetch_add(1, Ordering::Relaxed)))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Line {
    pub fn now(caller: &Caller, action: &str, target: &str, decision: &str) -> Self {
        let Caller { user, groups, extra: _, proof } = caller;
        Self {
            proof: Some(word(*proof)),
            groups: Groups::of(groups),
            ..Self::by(user, action, target, decision)
        }
    }

    /// A line about ourselves, which no caller asked for: what a timer did, what was found at start.
    pub fn own(action: &str, target: &str, decision: &str) -> Self {
        Self::by("pilothouse", action, target, decision)
    }

    /// A line about somebody of whom nothing was proven.
    pub(super) fn unproven(action: &str, target: &str, decision: &str) -> Self {
        Self::by("unknown", action, target, decision)
    }

    fn by(caller: &str, action: &str, target: &str, decision: &str) -> Self {
        Self {
            at: Timestamp::now(),
            caller: caller.to_owned(),
            proof: None,
            groups: None,
            action: action.to_owned(),
            target: target.to_owned(),
            arguments_digest: None,
            call: None,
            objects: Vec::new(),
            verbs: Vec::new(),
            outcome: None,
            decision: decision.to_owned(),
            facts: BTreeMap::new(),
        }
    }

    /// Adds one further fact.
    #[must_use]
    pub fn with(mut self, fact: &str, value: impl Into<String>) -> Self {
        self.facts.insert(fact.to_owned(), value.into());
        self
    }

    /// Adds one more object that this is about.
    #[must_use]
    pub fn on(mut self, object: Object) -> Self {
        self.objects.push(object);
        self
    }

    /// Says what is done to the objects: `get`, `patch`, `push`.
    #[must_use]
    pub fn verbs(mut self, verbs: impl IntoIterator<Item = impl Into<Cow<'static, str>>>) -> Self {
        self.verbs = verbs.into_iter().map(Into::into).collect();
        self
    }

    /// Joins this line to the others of its call.
    #[must_use]
    pub fn of_call(mut self, call: &Call) -> Self {
        self.call = Some(call.clone());
        self
    }

    /// The last line of the same call: `tools/call` ends as `tools/result`. What its first line says is not repeated.
    #[must_use]
    pub fn result(&self, decision: &str, outcome: Option<Outcome>) -> Self {
        let area = self.action.split('/').next().unwrap_or_default();
        Self {
            at: Timestamp::now(),
            action: format!("{area}/result"),
            arguments_digest: None,
            objects: Vec::new(),
            verbs: Vec::new(),
            outcome,
            decision: decision.to_owned(),
            facts: BTreeMap::new(),
            ..self.clone()
        }
    }

    /// Says what left towards the caller.
    #[must_use]
    pub fn left(mut self, outcome: Outcome) -> Self {
        self.outcome = Some(outcome);
        self
    }

    /// As it may be written: no secrets, and no longer than a line may be.
    pub(super) fn clean(&self) -> Self {
        let Self {
            at,
            caller,
            proof,
            groups,
            action,
            target,
            arguments_digest,
            call,
            objects,
            verbs,
            outcome,
            decision,
            facts,
        } = self;
        let mut facts: BTreeMap<_, _> =
            facts.iter().map(|(fact, value)| (fact.clone(), clean(value))).collect();
        if let Some(more) = objects.len().checked_sub(MOST_OBJECTS).filter(|more| *more > 0) {
            facts.insert("furtherObjects".to_owned(), more.to_string());
        }
        let objects = objects.iter().take(MOST_OBJECTS).map(|object| {
            let Object { kind, namespace, name } = object;
            Object { kind: clean(kind), namespace: namespace.as_deref().map(clean), name: clean(name) }
        });
        Self {
            at: *at,
            caller: clean(caller),
            proof: *proof,
            groups: groups.clone(),
            action: clean(action),
            target: clean(target),
            arguments_digest: arguments_digest.clone(),
            call: call.clone(),
            objects: objects.collect(),
            verbs: verbs.clone(),
            outcome: *outcome,
            decision: clean(decision),
            facts,
        }
    }
}

fn clean(text: &str) -> String {
    match text.char_indices().nth(LONGEST_TEXT) {
        // Cut first: what is cut off must not cost anything, and half a secret is still one.
        Some((end, _)) => redact::text(&text[..end]).into_owned(),
        None => redact::text(text).into_owned(),
    }
}

fn word(proof: Proof) -> &'static str {
    match proof {
        Proof::Process => "process",
        Proof::Anonymous => "anonymous",
        Proof::StaticToken => "staticToken",
        Proof::MappedToken => "mappedToken",
        Proof::TokenReview => "tokenReview",
        Proof::Oidc => "oidc",
    }
}

#[cfg(test)]
mod tests {
    use super::{Call, Groups, Line, Object};
    use crate::caller::Caller;

    #[test]
    fn what_is_written_holds_no_secret_and_has_an_end() {
        let token = format!("ghp_{}", "a1B2".repeat(9));
        let mut line = Line::now(&Caller::process(), "tools/call", &token, "refused")
            .with("reason", format!("cannot push with {token}"))
            .with("long", "x".repeat(5_000));
        for number in 0..100 {
            line = line.on(Object::new("Pod", Some("shop"), &format!("web-{number}")));
        }
        let clean = line.clean();
        assert!(!format!("{clean:?}").contains(&token), "{clean:?}");
        assert_eq!(clean.facts["long"].len(), 1_024);
        assert_eq!((clean.objects.len(), clean.facts["furtherObjects"].as_str()), (64, "36"));
    }

    #[test]
    fn groups_are_told_apart_but_not_named() {
        let of = |names: &[&str]| Groups::of(&names.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(of(&[]), None);
        assert_eq!(of(&["a", "b"]), of(&["b", "a"]));
        assert_ne!(of(&["a", "b"]), of(&["a", "c"]));
    }

    #[test]
    fn calls_differ() {
        assert_ne!(Call::next(), Call::next());
    }
}
