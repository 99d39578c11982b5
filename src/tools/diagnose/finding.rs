//! What a diagnosis consists of. Pure values.

use aws_lc_rs::digest::{SHA256, digest};
use serde::Serialize;

use super::cause::Cause;

/// One object of the cluster, there or only named.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub(in crate::tools) struct ObjectRef {
    pub(in crate::tools) kind: String,
    /// Empty for objects without one.
    pub(in crate::tools) namespace: String,
    pub(in crate::tools) name: String,
}

impl ObjectRef {
    pub(in crate::tools) fn new(kind: &str, namespace: &str, name: &str) -> Self {
        Self { kind: kind.to_owned(), namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// `Deployment shop/web`, `Node n1`.
    pub(in crate::tools) fn words(&self) -> String {
        let Self { kind, namespace, name } = self;
        if namespace.is_empty() { format!("{kind} {name}") } else { format!("{kind} {namespace}/{name}") }
    }
}

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::tools) enum Severity {
    /// Something does not work.
    Critical,
    /// Something works, but not as it should, or soon will not.
    Warning,
    /// Nothing is wrong now; a habit that will cost one day. Told only when asked for.
    Hint,
}

/// What was seen that shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "from")]
pub(in crate::tools) enum Evidence {
    /// A field of an object: its path and value.
    Field { object: ObjectRef, path: String, value: String },
    /// An event: reason, message, how often, how long ago the last one was.
    Event { object: ObjectRef, reason: String, message: String, count: u32, ago: String },
    /// A line of a container's log; `previous` is the container before its last restart.
    Log { object: ObjectRef, container: String, previous: bool, line: String },
}

/// What would mend it: the kind of change, and in words what of which object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(in crate::tools) struct Change {
    /// The object to change or to make.
    pub(in crate::tools) object: ObjectRef,
    pub(in crate::tools) what: String,
}

/// One thing that is wrong, as one check sees it; [`rank`](super::rank) decides which are causes and which follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tools) struct Finding {
    pub(in crate::tools) severity: Severity,
    pub(in crate::tools) cause: Cause,
    /// Where the change would be made: the workload and not its pod, the Service, the claim.
    pub(in crate::tools) object: ObjectRef,
    /// One sentence: how it comes about, with the names and values that matter.
    pub(in crate::tools) mechanism: String,
    pub(in crate::tools) evidence: Vec<Evidence>,
    /// What stops working by it: pods, workloads. Findings whose `follows` meet these fold under this one.
    pub(in crate::tools) affects: Vec<ObjectRef>,
    /// Objects whose own trouble would explain this one. When one of them is the `object` of, or is affected by, a
    /// finding that does not itself follow, this finding is a symptom of that one.
    pub(in crate::tools) follows: Vec<ObjectRef>,
    /// What to look at or try to be certain: one call or one command.
    pub(in crate::tools) confirm: String,
    pub(in crate::tools) change: Change,
}

impl Evidence {
    pub(in crate::tools) fn field(object: &ObjectRef, path: &str, value: impl Into<String>) -> Self {
        Self::Field { object: object.clone(), path: path.to_owned(), value: value.into() }
    }

    /// Whose it is.
    pub(in crate::tools) fn object(&self) -> &ObjectRef {
        match self {
            Self::Field { object, path: _, value: _ }
            | Self::Event { object, reason: _, message: _, count: _, ago: _ }
            | Self::Log { object, container: _, previous: _, line: _ } => object,
        }
    }
}

/// Hex digits of an id.
const ID: usize = 8;

impl Finding {
    /// Names it in every diagnosis in which it is found again: made of its cause and object alone.
    pub(in crate::tools) fn id(&self) -> String {
        let said = format!("{:?} {}", self.cause, self.object.words());
        hex::encode(digest(&SHA256, said.as_bytes()))[..ID].to_owned()
    }

    /// One that affects its object alone and follows from nothing; the change is told of the object.
    pub(in crate::tools) fn new(
        severity: Severity,
        cause: Cause,
        object: &ObjectRef,
        mechanism: impl Into<String>,
        confirm: impl Into<String>,
        change: impl Into<String>,
    ) -> Self {
        Self {
            severity,
            cause,
            object: object.clone(),
            mechanism: mechanism.into(),
            evidence: Vec::new(),
            affects: Vec::new(),
            follows: Vec::new(),
            confirm: confirm.into(),
            change: Change { object: object.clone(), what: change.into() },
        }
    }

    #[must_use]
    pub(in crate::tools) fn shown_by(mut self, evidence: impl IntoIterator<Item = Evidence>) -> Self {
        self.evidence.extend(evidence);
        self
    }

    #[must_use]
    pub(in crate::tools) fn affecting(mut self, objects: impl IntoIterator<Item = ObjectRef>) -> Self {
        self.affects.extend(objects);
        self
    }

    #[must_use]
    pub(in crate::tools) fn following(mut self, objects: impl IntoIterator<Item = ObjectRef>) -> Self {
        self.follows.extend(objects);
        self
    }

    /// The change is one of another object.
    #[must_use]
    pub(in crate::tools) fn changing(mut self, object: &ObjectRef) -> Self {
        self.change.object = object.clone();
        self
    }
}
