//! An expected change, made in the cluster as the caller who asks for it: rehearsed, in the audit record, then made.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;

use super::{
    captured::kept, config::Execution, kinds::kind_and_group, named, patch::patch, room::Room, scope::shown,
    session::Session, shown as shows, step::Event,
};
use crate::{
    answer::Answer,
    api::emergency_change::{EmergencyChangeSpec, EmergencyPhase, EmergencyTarget, ExpectedChange},
    audit::Line,
    caller::Caller,
    changes::{
        capture::{FieldChange, ObjectRef, Verb, Write},
        path::FieldPath,
    },
    redact,
};

/// The field manager of what `operator/as_caller.rs` writes.
pub(super) const MANAGER: &str = "pilothouse-emergency";

impl Room {
    pub(super) async fn apply(&self, caller: &Caller, id: &str, number: usize) -> Result<Answer, String> {
        let hands = self.parts.hands.as_ref().filter(|_| self.terms.execution == Execution::AsCaller);
        let hands = hands.ok_or(
            "this installation does not apply emergency changes (emergency.execution is off): make the change with your own tools, it is captured",
        )?;
        self.terms.admits(caller)?;
        let session = self.session(id).await?;
        let change = self.applicable(&session, caller, number)?;
        let target = &self.resolved(&change.target).await?;
        let what = shown(target);
        self.amend(id, caller, |_, _| Ok(Some(Event::Used))).await?;
        let live = self.parts.eyes.object(Some(caller), target).await?;
        let live = live.ok_or_else(|| format!("{what} is not there, or you may not get it"))?;
        let edits = parsed(change)?;
        let operations = patch(&live, &edits)?;
        if operations.len() < 2 {
            return Ok(Answer::text(format!("Nothing to do: {what} is already so.\n")));
        }
        hands
            .patch(caller, target, &operations, true)
            .await
            .map_err(|why| format!("nothing was changed: {why}"))?;
        let paths: Vec<String> = edits.iter().map(|(path, _)| path.to_string()).collect();
        let line = Line::now(caller, "emergency/apply", &what, "allowed")
            .with("emergency", id)
            .with("number", number.to_string())
            .with("fields", paths.join(", "))
            .with("version", live["metadata"]["resourceVersion"].as_str().unwrap_or_default());
        self.parts.audit.durable(line).await.map_err(|error| error.to_string())?;
        // The rehearsal took time: it must still be covered when it is made.
        self.applicable(&self.session(id).await?, caller, number)?;
        let made = hands
            .patch(caller, target, &operations, false)
            .await
            .map_err(|why| format!("it was rehearsed and then not confirmed: {why}"))?;
        let write = as_write(caller, target, &edits, (&live, &made), self.now());
        if let Some(write) = write
            && let Err(error) = self.record(&write).await
        {
            tracing::warn!(emergency = id, %error, "an applied change is left to the watch to be captured");
        }
        let session = self.session(id).await?;
        Ok(shows::applied(&session, &what, &paths, self.now()))
    }

    /// The object by what the cluster calls its kind, unless it is denied: it may have been written down in other words,
    /// under another configuration.
    async fn resolved(&self, target: &EmergencyTarget) -> Result<EmergencyTarget, String> {
        let names = self.parts.eyes.kinds(BTreeSet::from([target.kind.clone()])).await?;
        let target = named::target(target.clone(), &names)?;
        match self.terms.deny.forbids_target(&target) {
            Some(what) => {
                Err(format!("{what} is on the deny list (emergency.deny): no emergency may touch it"))
            }
            None => Ok(target),
        }
    }

    /// The expected change with this number, if this caller may have it applied now.
    fn applicable<'a>(
        &self,
        session: &'a Session,
        caller: &Caller,
        number: usize,
    ) -> Result<&'a ExpectedChange, String> {
        let EmergencyChangeSpec { requested_by, second_person, expected, .. } = &session.spec;
        if *requested_by != caller.user && *second_person != caller.user {
            return Err(format!("only {requested_by} and {second_person} apply changes of this emergency"));
        }
        let now = self.now();
        let phase = session.phase(now);
        if phase != EmergencyPhase::Active {
            return Err(format!(
                "the emergency is {}, not Active: nothing is applied; {}",
                phase.as_str(),
                session.status.message.as_deref().unwrap_or_default()
            ));
        }
        number.checked_sub(1).and_then(|at| expected.get(at)).ok_or_else(|| {
            format!(
                "there is no expected change {number}: {} expected when it was opened; others are made by people with their own tools",
                match expected.len() {
                    0 => "none was".to_owned(),
                    count => format!("1 to {count} were"),
                }
            )
        })
    }
}

fn parsed(change: &ExpectedChange) -> Result<Vec<(FieldPath, Value)>, String> {
    change
        .edits
        .iter()
        .map(|edit| {
            let path = edit.path.parse::<FieldPath>().map_err(|error| error.to_string())?;
            let value = serde_json::from_str(&edit.value).map_err(|error| error.to_string())?;
            Ok((path, value))
        })
        .collect()
}

/// What we made ourselves is known at once; the watch sees the same version later.
fn as_write(
    caller: &Caller,
    target: &EmergencyTarget,
    edits: &[(FieldPath, Value)],
    (before, made): (&Value, &Value),
    now: Timestamp,
) -> Option<Write> {
    let text = |path: &str| made.pointer(path).and_then(Value::as_str).map(str::to_owned);
    let without_secrets = |of: &Value| {
        let mut of = of.clone();
        redact::value(&mut of);
        of
    };
    let (before, after) = (without_secrets(before), without_secrets(made));
    let (kind, group) = kind_and_group(&target.kind);
    let made_group = text("/apiVersion").and_then(|version| Some(version.split_once('/')?.0.to_owned()));
    let fields = edits.iter().map(|(path, _)| {
        let value = |of: &Value| path.locate(of).ok().and_then(|place| place.get(of).cloned());
        FieldChange { path: path.to_string(), before: value(&before), after: value(&after) }
    });
    // What stayed as it was needs no way back.
    let fields: Vec<FieldChange> =
        fields.filter(|field| field.before.as_ref().map(kept) != field.after.as_ref().map(kept)).collect();
    (!fields.is_empty()).then_some(())?;
    Some(Write {
        at: now,
        object: ObjectRef {
            group: made_group.unwrap_or_else(|| group.unwrap_or_default().to_owned()),
            kind: text("/kind").unwrap_or(kind),
            namespace: target.namespace.clone(),
            name: target.name.clone(),
        },
        uid: text("/metadata/uid")?,
        version: text("/metadata/resourceVersion")?,
        verb: Verb::Update,
        users: vec![caller.user.clone()],
        // As the watch names it.
        manager: Some(MANAGER.to_owned()),
        fields,
        witnesses: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::as_write;
    use crate::{
        api::emergency_change::EmergencyTarget,
        changes::emergency::{captured::tests::at, config::tests::person},
    };

    #[test]
    fn what_we_made_is_a_write_of_the_caller() {
        let object = |replicas: i64, version: &str| {
            json!({ "apiVersion": "apps/v1", "kind": "Deployment", "spec": { "replicas": replicas },
                "metadata": { "uid": "u", "resourceVersion": version } })
        };
        let target =
            EmergencyTarget { kind: "deploy".into(), namespace: Some("shop".into()), name: "web".into() };
        let edits = [("spec.replicas".parse().unwrap(), json!(3))];
        let made = |before, after| {
            as_write(&person("ann", &[]), &target, &edits, (&object(before, "1"), &object(after, "2")), at(5))
        };
        let write = made(2, 3).unwrap();
        assert_eq!((write.users.as_slice(), write.version.as_str()), (["ann".to_owned()].as_slice(), "2"));
        assert_eq!((write.object.group.as_str(), write.object.kind.as_str()), ("apps", "Deployment"));
        assert_eq!(made(3, 3), None);
    }
}
