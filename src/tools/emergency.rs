//! Emergencies as tools see them: what a call says becomes an [`EmergencyAsk`]; `changes` does the rest.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json, value::RawValue};

use super::{
    Tool, answered,
    arguments::{self, Parsed},
    definition::{Definition, Effect, number, text},
};
use crate::{
    answer::Answer,
    api::emergency_change::{EmergencyScope, EmergencyTarget, ExpectedChange, ExpectedEdit},
    caller::Caller,
};

/// Emergencies of this installation; implemented by `changes`, and by what forwards to the replica that leads.
pub trait Emergencies: Send + Sync {
    fn ask<'a>(&'a self, caller: &'a Caller, ask: EmergencyAsk) -> BoxFuture<'a, Answer>;

    /// Whether `apply_emergency_change` is offered.
    fn executes(&self) -> bool;
}

/// What is asked of an emergency. It can be written down, so that it can be sent to another replica.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EmergencyAsk {
    Open(EmergencyOpening),
    /// The caller confirms this one as its second person.
    Confirm {
        id: String,
    },
    /// One, or all.
    Get {
        id: Option<String>,
    },
    /// The expected change with this number, counted from 1.
    Apply {
        id: String,
        number: usize,
    },
    Close {
        id: String,
    },
    /// The caller has reviewed it.
    Review {
        id: String,
        note: String,
    },
}

impl EmergencyAsk {
    /// Whether it changes nothing: any replica may answer it.
    pub fn only_reads(&self) -> bool {
        matches!(self, Self::Get { .. })
    }
}

/// What an emergency is opened with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EmergencyOpening {
    pub incident: String,
    pub severity: String,
    pub reason: String,
    /// User name.
    pub second_person: String,
    #[serde(default)]
    pub scope: EmergencyScope,
    /// Such as `30m`; the installation's own when absent.
    #[serde(default)]
    pub budget: Option<String>,
    #[serde(default)]
    pub expected: Vec<ExpectedChange>,
}

/// `open_emergency`.
pub(super) struct OpenEmergency(pub(super) Arc<dyn Emergencies>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Opening {
    second: Option<String>,
    incident: Option<String>,
    severity: Option<String>,
    reason: Option<String>,
    second_person: Option<String>,
    namespaces: Option<Vec<String>>,
    kinds: Option<Vec<String>>,
    objects: Option<Vec<EmergencyTarget>>,
    budget: Option<String>,
    expected: Option<Vec<Expected>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    kind: String,
    namespace: Option<String>,
    name: String,
    edits: Map<String, Value>,
}

impl Tool for OpenEmergency {
    fn definition(&self) -> Value {
        let names = |description: &str| json!({ "type": "array", "items": { "type": "string" }, "description": description });
        let object = json!({ "kind": { "type": "string" }, "namespace": { "type": "string" }, "name": { "type": "string" } });
        Definition {
            name: "open_emergency",
            title: "Open emergency",
            description: "Use this when an incident cannot wait for a pull request: records an emergency in which people change the cluster by hand within a scope and a time. Nothing is covered until the second person confirms it with their own identity (second=ID). Says what GitOps will undo. What is written to the watched kinds is captured and must go back to Git.",
            properties: json!({
                "second": text("id of an emergency that you confirm as its second person; then nothing else is given"),
                "incident": text("id of the declared incident"),
                "severity": text("of the incident"),
                "reason": text("what is broken and why a pull request is too slow"),
                "second_person": text("user name of who will confirm it"),
                "namespaces": names("what may be changed: namespaces"),
                "kinds": names("only these kinds in them"),
                "objects": { "type": "array", "description": "single objects that may be changed",
                    "items": { "type": "object", "properties": object, "required": ["kind", "name"] } },
                "budget": text("how long it is active: 30m"),
                "expected": { "type": "array", "description": "changes meant to be made, each {kind, namespace, name, edits: {path: value}}",
                    "items": { "type": "object" } },
            }),
            required: &[],
            effect: Effect::Proposes,
            output: None,
        }
        .into_value()
    }

    fn call<'a>(&'a self, caller: &'a Caller, arguments: Option<&'a RawValue>) -> BoxFuture<'a, Answer> {
        answered(async move {
            let ask = opening(&self.definition(), arguments)?;
            Ok(self.0.ask(caller, ask).await)
        })
    }
}

fn opening(definition: &Value, raw: Option<&RawValue>) -> Result<EmergencyAsk, Answer> {
    let Parsed { arguments, request: _ } = arguments::parse::<Opening>(definition, raw)?;
    let Opening {
        second,
        incident,
        severity,
        reason,
        second_person,
        namespaces,
        kinds,
        objects,
        budget,
        expected,
    } = arguments;
    if let Some(id) = second {
        let others = incident.is_some() || namespaces.is_some() || objects.is_some() || expected.is_some();
        if others {
            return Err(Answer::error(
                "give `second` alone to confirm an emergency, or leave it out to open one",
            ));
        }
        return Ok(EmergencyAsk::Confirm { id });
    }
    let given = |what: Option<String>, name: &str, about: &str| {
        what.ok_or_else(|| Answer::error(format!("open_emergency needs `{name}` ({about})")))
    };
    let expected = expected.unwrap_or_default().into_iter().map(|change| {
        let Expected { kind, namespace, name, edits } = change;
        let edits = edits.into_iter().map(|(path, value)| ExpectedEdit { path, value: value.to_string() });
        ExpectedChange { target: EmergencyTarget { kind, namespace, name }, edits: edits.collect() }
    });
    Ok(EmergencyAsk::Open(EmergencyOpening {
        incident: given(incident, "incident", "id of the declared incident")?,
        severity: given(severity, "severity", "of the incident")?,
        reason: given(reason, "reason", "what is broken and why a pull request is too slow")?,
        second_person: given(second_person, "second_person", "user name of who will confirm it")?,
        scope: EmergencyScope {
            namespaces: namespaces.unwrap_or_default(),
            kinds: kinds.unwrap_or_default(),
            objects: objects.unwrap_or_default(),
        },
        budget,
        expected: expected.collect(),
    }))
}

/// `get_emergency`.
pub(super) struct GetEmergency(pub(super) Arc<dyn Emergencies>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MaybeId {
    id: Option<String>,
}

impl Tool for GetEmergency {
    fn definition(&self) -> Value {
        Definition {
            name: "get_emergency",
            title: "Get emergency",
            description: "Use this to see emergencies and unsanctioned changes: one with what was captured in it, its deadlines and its change requests, or, without an id, all that are not over.",
            properties: json!({ "id": text("as open_emergency gave it; all that are not over if absent") }),
            required: &[],
            effect: Effect::Reads,
            output: None,
        }
        .into_value()
    }

    fn call<'a>(&'a self, caller: &'a Caller, arguments: Option<&'a RawValue>) -> BoxFuture<'a, Answer> {
        answered(async move {
            let MaybeId { id } = arguments::parse(&self.definition(), arguments)?.arguments;
            Ok(self.0.ask(caller, EmergencyAsk::Get { id }).await)
        })
    }
}

/// `apply_emergency_change`.
pub(super) struct ApplyEmergencyChange(pub(super) Arc<dyn Emergencies>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    id: String,
    number: Option<usize>,
}

impl Tool for ApplyEmergencyChange {
    fn definition(&self) -> Value {
        Definition {
            name: "apply_emergency_change",
            title: "Apply emergency change",
            description: "Use this in an active emergency to make one of its expected changes in the cluster, as you and with your own rights only. It is rehearsed and recorded before it is made. Other changes are made by people with their own tools.",
            properties: json!({
                "id": text("as open_emergency gave it"),
                "number": number("which expected change, 1 if absent", 1),
            }),
            required: &["id"],
            effect: Effect::Acts,
            output: None,
        }
        .into_value()
    }

    fn call<'a>(&'a self, caller: &'a Caller, arguments: Option<&'a RawValue>) -> BoxFuture<'a, Answer> {
        answered(async move {
            let Which { id, number } = arguments::parse(&self.definition(), arguments)?.arguments;
            Ok(self.0.ask(caller, EmergencyAsk::Apply { id, number: number.unwrap_or(1) }).await)
        })
    }
}

/// `close_emergency`.
pub(super) struct CloseEmergency(pub(super) Arc<dyn Emergencies>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Closing {
    id: String,
    reviewed: Option<String>,
}

impl Tool for CloseEmergency {
    fn definition(&self) -> Value {
        Definition {
            name: "close_emergency",
            title: "Close emergency",
            description: "Use this to end an emergency: what was changed is then compared with the cluster and proposed to Git. With reviewed, it records your review of one that is reconciled; a reviewer took no part in it.",
            properties: json!({
                "id": text("as open_emergency gave it"),
                "reviewed": text("what the review found; ends it for good"),
            }),
            required: &["id"],
            effect: Effect::Proposes,
            output: None,
        }
        .into_value()
    }

    fn call<'a>(&'a self, caller: &'a Caller, arguments: Option<&'a RawValue>) -> BoxFuture<'a, Answer> {
        answered(async move {
            let ask = match arguments::parse(&self.definition(), arguments)?.arguments {
                Closing { id, reviewed: Some(note) } => EmergencyAsk::Review { id, note },
                Closing { id, reviewed: None } => EmergencyAsk::Close { id },
            };
            Ok(self.0.ask(caller, ask).await)
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use futures::future::BoxFuture;
    use serde_json::{Value, json, value::to_raw_value};

    use super::{ApplyEmergencyChange, Emergencies, EmergencyAsk, OpenEmergency, opening};
    use crate::{answer::Answer, caller::Caller, tools::Tool};

    struct Nobody;

    impl Emergencies for Nobody {
        fn ask<'a>(&'a self, _: &'a Caller, _: EmergencyAsk) -> BoxFuture<'a, Answer> {
            Box::pin(async { Answer::text("") })
        }

        fn executes(&self) -> bool {
            true
        }
    }

    fn asked(call: &Value) -> Result<EmergencyAsk, String> {
        let definition = OpenEmergency(Arc::new(Nobody)).definition();
        opening(&definition, Some(&to_raw_value(call).unwrap())).map_err(|answer| answer.text)
    }

    #[test]
    fn an_opening_can_be_sent_to_another_replica() {
        let ask = asked(&json!({ "incident": "INC-1", "severity": "critical", "reason": "it burns", "second_person": "bob",
            "namespaces": ["shop"], "expected": [{ "kind": "Deployment", "namespace": "shop", "name": "web",
                "edits": { "spec.replicas": 3, "spec.paused": null } }] }))
        .unwrap();
        let EmergencyAsk::Open(made) = &ask else { panic!("{ask:?}") };
        assert_eq!(made.scope.namespaces, ["shop"]);
        assert_eq!(made.expected[0].edits[1].value, "null");
        let sent = serde_json::to_string(&ask).unwrap();
        assert_eq!(serde_json::from_str::<EmergencyAsk>(&sent).unwrap(), ask);
        assert!(!ask.only_reads() && EmergencyAsk::Get { id: None }.only_reads());
    }

    #[test]
    fn confirming_is_not_opening() {
        assert_eq!(asked(&json!({ "second": "inc-1" })), Ok(EmergencyAsk::Confirm { id: "inc-1".into() }));
        assert!(asked(&json!({ "second": "inc-1", "incident": "x" })).unwrap_err().contains("alone"));
        assert!(asked(&json!({ "incident": "x" })).unwrap_err().contains("needs `severity`"));
    }

    #[test]
    fn applying_says_that_it_acts() {
        let annotations = ApplyEmergencyChange(Arc::new(Nobody)).definition()["annotations"].clone();
        assert_eq!(
            (&annotations["readOnlyHint"], &annotations["destructiveHint"]),
            (&json!(false), &json!(true))
        );
    }
}
