//! A diagnosis as text and as record, both inside one budget.

use serde_json::{Value, json};

use super::{
    finding::{Evidence, Finding, ObjectRef, Severity},
    rank::Ranked,
};
use crate::{
    answer::{Budget, Rank, counted},
    redact,
};

/// How much is told of each cause; the fullest at which all fit is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Detail {
    evidence: usize,
    symptoms: usize,
    chars: usize,
}

const DETAILS: [Detail; 3] = [
    Detail { evidence: 4, symptoms: 5, chars: 300 },
    Detail { evidence: 2, symptoms: 3, chars: 200 },
    Detail { evidence: 1, symptoms: 1, chars: 120 },
];
/// Objects that are named of those that do not work.
const NAMED: usize = 3;

/// One page of causes.
pub(super) struct Told {
    pub(super) text: String,
    pub(super) record: Vec<Value>,
    /// [`Ranked::place`] of the last that was told, when there are more.
    pub(super) last: Option<(Rank, String)>,
}

/// Tells as many as fit; one at least. `before` were told on earlier pages, of `total`.
pub(super) fn tell(ranked: &[Ranked], before: usize, total: usize, budget: Budget) -> Told {
    let [.., least] = DETAILS;
    let whole = DETAILS.iter().find_map(|detail| {
        let told = told(ranked, before, total, budget, *detail);
        told.last.is_none().then_some(told)
    });
    whole.unwrap_or_else(|| told(ranked, before, total, budget, least))
}

fn told(ranked: &[Ranked], before: usize, total: usize, budget: Budget, detail: Detail) -> Told {
    let mut told = Told { text: String::new(), record: Vec::new(), last: None };
    let mut used = 0;
    for (at, one) in ranked.iter().enumerate() {
        let text = paragraph(one, before + at + 1, total, detail);
        let record = record(one, detail);
        let size = text.len() + record.to_string().len() + 1;
        if used + size > budget.bytes() && at > 0 {
            told.last = ranked.get(at - 1).map(|last| (Rank::Broken, last.place()));
            return told;
        }
        used += size;
        told.text.push_str(&text);
        told.record.push(record);
    }
    told
}

fn paragraph(ranked: &Ranked, number: usize, total: usize, detail: Detail) -> String {
    let Ranked { root, symptoms } = ranked;
    let Finding { severity, cause, object, mechanism, evidence, affects, follows: _, confirm, change } = root;
    let word = match (severity, total) {
        (Severity::Hint, _) => "Hint".to_owned(),
        (_, 1) => "Root cause".to_owned(),
        _ => format!("Root cause {number} of {total}"),
    };
    let warning = if *severity == Severity::Warning { " (warning)" } else { "" };
    let mut text =
        format!("{word}: {}: {} [{cause:?}]{warning}\n", object.words(), line(mechanism, 2 * detail.chars));
    if *severity == Severity::Hint {
        return text;
    }
    let seen = evidence.iter().take(detail.evidence);
    seen.for_each(|evidence| {
        text.push_str(&format!("  seen: {}\n", line(&evidence_words(evidence, object), detail.chars)))
    });
    let following = consequences(object, affects, symptoms, detail);
    if !following.is_empty() {
        text.push_str(&format!("  so: {following}\n"));
    }
    text.push_str(&format!("  confirm: {}\n", line(confirm, detail.chars)));
    let of = if change.object == *object { String::new() } else { format!("{}: ", change.object.words()) };
    text.push_str(&format!("  change: {of}{} [{}]\n", line(&change.what, detail.chars), root.id()));
    text
}

/// What stops working, pods counted, then the symptoms.
fn consequences(object: &ObjectRef, affects: &[ObjectRef], symptoms: &[Finding], detail: Detail) -> String {
    let mut parts = Vec::new();
    let affected: Vec<&ObjectRef> = affects.iter().filter(|affected| *affected != object).collect();
    let (pods, others): (Vec<&ObjectRef>, Vec<&ObjectRef>) =
        affected.into_iter().partition(|affected| affected.kind == "Pod");
    if !pods.is_empty() {
        parts.push(named(&pods, "pod"));
    }
    let made = |other: &ObjectRef| ["ReplicaSet", "Job"].contains(&other.kind.as_str());
    let others: Vec<&ObjectRef> = others.into_iter().filter(|other| !made(other)).collect();
    if !others.is_empty() {
        parts.push(named(&others, "object"));
    }
    let told = symptoms.iter().take(detail.symptoms);
    parts.extend(told.map(|symptom| {
        let of =
            if symptom.object == *object { String::new() } else { format!("{}: ", symptom.object.words()) };
        format!("{of}{}", line(&symptom.mechanism, detail.chars / 2))
    }));
    let left = symptoms.len().saturating_sub(detail.symptoms);
    if left > 0 {
        parts.push(format!("{} more", counted(left, "symptom")));
    }
    parts.join("; ")
}

fn named(objects: &[&ObjectRef], noun: &str) -> String {
    let is_pod = noun == "pod";
    let names: Vec<String> = objects
        .iter()
        .take(NAMED)
        .map(|object| if is_pod { object.name.clone() } else { object.words() })
        .collect();
    let left = objects.len().saturating_sub(NAMED);
    let left = if left == 0 { String::new() } else { format!(" and {left} more") };
    let noun = if is_pod { format!("{} not well: ", counted(objects.len(), noun)) } else { String::new() };
    format!("{noun}{}{left}", names.join(", "))
}

/// A field that was seen, in words; nothing for other evidence.
pub(in crate::tools) fn field_words(evidence: &Evidence) -> Option<String> {
    match evidence {
        Evidence::Field { object, path, value } => Some(format!("{}: {path} is {value}", object.words())),
        Evidence::Event { .. } | Evidence::Log { .. } => None,
    }
}

/// As a person would note it down. The object is named where it is not the one that the finding is about.
fn evidence_words(evidence: &Evidence, about: &ObjectRef) -> String {
    let of = evidence.object();
    let of = if of == about { String::new() } else { format!("{} ", of.words()) };
    match evidence {
        Evidence::Field { object: _, path, value } => format!("{of}{path} is {value}"),
        Evidence::Event { object: _, reason, message, count, ago } => {
            let ago = if ago.is_empty() { String::new() } else { format!(", {ago} ago") };
            format!("{of}event {reason} ({count}x{ago}): {message}")
        }
        Evidence::Log { object: _, container, previous, line } => {
            let which = if *previous { "previous log" } else { "log" };
            format!("{of}{which} of {container}: {line}")
        }
    }
}

/// One line of text from the cluster, not longer than `chars`.
fn line(text: &str, chars: usize) -> String {
    let text = redact::shown(text);
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.chars().count() <= chars {
        return text;
    }
    let cut: String = text.chars().take(chars.saturating_sub(1)).collect();
    format!("{}…", cut.trim_end())
}

/// What the text does not say in the same words is kept short here.
fn record(ranked: &Ranked, detail: Detail) -> Value {
    let Ranked { root, symptoms } = ranked;
    let Finding { severity, cause, object, mechanism, evidence, affects: _, follows: _, confirm, change } =
        root;
    let evidence: Vec<Value> =
        evidence.iter().take(detail.evidence).map(|one| evidence_record(one, detail)).collect();
    let told = symptoms.iter().take(detail.symptoms);
    let symptoms: Vec<Value> =
        told.map(|symptom| json!({ "cause": symptom.cause, "object": symptom.object.words() })).collect();
    json!({
        "id": root.id(),
        "severity": severity,
        "cause": cause,
        "object": object,
        "mechanism": line(mechanism, detail.chars),
        "evidence": evidence,
        "symptoms": symptoms,
        "confirm": line(confirm, detail.chars),
        "change": { "object": change.object.words(), "what": line(&change.what, detail.chars) },
    })
}

fn evidence_record(evidence: &Evidence, detail: Detail) -> Value {
    let chars = detail.chars / 2;
    let object = evidence.object().words();
    match evidence {
        Evidence::Field { object: _, path, value } => {
            json!({ "object": object, "field": path, "value": line(value, chars) })
        }
        Evidence::Event { object: _, reason, message, count, ago: _ } => {
            json!({ "object": object, "event": reason, "message": line(message, chars), "count": count })
        }
        Evidence::Log { object: _, container, previous, line: text } => {
            json!({ "object": object, "container": container, "previous": previous, "log": line(text, chars) })
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{Budget, Evidence, Finding, ObjectRef, Ranked, Severity, tell};
    use crate::tools::diagnose::cause::Cause;

    fn ranked(name: &str) -> Ranked {
        let object = ObjectRef::new("Deployment", "shop", name);
        let pod = ObjectRef::new("Pod", "shop", "p-1");
        let root = Finding::new(
            Severity::Critical,
            Cause::SecretMissing,
            &object,
            "Secret shop/db does not exist",
            "get_resource kind=Secret name=db",
            "make the Secret",
        )
        .affecting([pod.clone()])
        .shown_by((0..9).map(|at| Evidence::field(&pod, &format!("status.f{at}"), "x".repeat(400))));
        let service = ObjectRef::new("Service", "shop", name);
        let symptom = Finding::new(
            Severity::Critical,
            Cause::ServiceWithoutReadyPods,
            &service,
            "has no ready pods",
            "",
            "",
        );
        Ranked { root, symptoms: vec![symptom] }
    }

    #[test]
    fn the_verdict_is_first_and_symptoms_are_folded() {
        let told = tell(&[ranked("web")], 0, 1, Budget::DEFAULT);
        let first = told.text.lines().next().unwrap();
        assert_eq!(first, "Root cause: Deployment shop/web: Secret shop/db does not exist [SecretMissing]");
        assert!(
            told.text.contains("so: 1 pod not well: p-1; Service shop/web: has no ready pods"),
            "{}",
            told.text
        );
        assert!(told.text.contains("\n  confirm: get_resource"), "{}", told.text);
        assert_eq!(told.record[0]["cause"], "SecretMissing");
        assert_eq!(told.record[0]["object"]["name"], "web");
        assert_eq!(told.record[0]["symptoms"][0]["object"], "Service shop/web");
    }

    #[test]
    fn many_are_told_shorter_and_then_by_pages() {
        let all: Vec<Ranked> = (0..60).map(|at| ranked(&format!("web{at:02}"))).collect();
        let first = tell(&all, 0, 60, Budget::DEFAULT);
        let record = serde_json::to_string(&first.record).unwrap();
        assert!(first.text.len() + record.len() <= Budget::DEFAULT.bytes() + 2);
        assert!(first.record.len() > 20, "{}", first.record.len());
        let (_, last) = first.last.unwrap();
        assert_eq!(last, all[first.record.len() - 1].place());
    }
}
