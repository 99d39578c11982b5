//! What a diagnosis consists of. Pure values.

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
