//! Records of versions before there was a ChangeRequest: one JSON file each.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::conditions::time;
use crate::api::{
    ChangeRequest, ChangeRequestSpec, ChangeRequestStatus,
    change_request::{ChangePhase, ChangeTarget, ChangeTimes, ChangedField, ChangedFile, FieldEdit},
};

#[derive(Deserialize)]
enum State {
    Drafted,
    Proposed,
    Failed,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    id: String,
    state: State,
    /// `Deployment shop/web`.
    target: String,
    edits: Vec<EditRecord>,
    reason: String,
    requested_by: String,
    at: Timestamp,
    repository: String,
    base_branch: String,
    base_commit: String,
    branch: String,
    commit: String,
    file: String,
    #[serde(default)]
    lines: Vec<i32>,
    diff: String,
    problem: String,
}

#[derive(Deserialize)]
struct EditRecord {
    path: String,
    old: Value,
    new: Value,
}

pub(super) fn read(bytes: &[u8]) -> serde_json::Result<ChangeRequest> {
    let Record {
        id,
        state,
        target,
        edits,
        reason,
        requested_by,
        at,
        repository,
        base_branch,
        base_commit,
        branch,
        commit,
        file,
        lines,
        diff,
        problem,
    } = serde_json::from_slice(bytes)?;
    let phase = match state {
        State::Drafted => ChangePhase::Drafted,
        State::Proposed => ChangePhase::Proposed,
        State::Failed => ChangePhase::Failed,
    };
    let there = |value: &Value| Some(value.clone()).filter(|value| !value.is_null());
    let fields = edits.iter().map(|edit| ChangedField {
        path: edit.path.clone(),
        before: there(&edit.old),
        after: there(&edit.new),
    });
    let spec = ChangeRequestSpec {
        target: named(&target),
        edits: edits
            .iter()
            .map(|edit| FieldEdit { path: edit.path.clone(), new: there(&edit.new) })
            .collect(),
        whole: None,
        reason,
        evidence: Vec::new(),
        requested_by,
        repository: Some(repository.clone()),
        emergency: None,
        revises: None,
    };
    let status = ChangeRequestStatus {
        phase: Some(phase),
        message: problem,
        repository,
        base_branch,
        base_commit,
        branch,
        commit,
        files: vec![ChangedFile { path: file, lines }],
        fields: fields.collect(),
        difference: diff,
        times: ChangeTimes {
            drafted: Some(time(at)),
            proposed: (phase == ChangePhase::Proposed).then(|| time(at)),
            ..ChangeTimes::default()
        },
        ..ChangeRequestStatus::default()
    };
    let mut request = ChangeRequest::new(&id, spec);
    request.metadata.namespace.clone_from(&request.spec.target.namespace);
    request.status = Some(status);
    Ok(request)
}

/// From `Deployment shop/web`.
fn named(target: &str) -> ChangeTarget {
    let (kind, rest) = target.split_once(' ').unwrap_or((target, ""));
    let (namespace, name) = match rest.split_once('/') {
        Some((namespace, name)) => (Some(namespace.to_owned()), name),
        None => (None, rest),
    };
    ChangeTarget { kind: kind.to_owned(), group: None, namespace, name: name.to_owned() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use crate::api::change_request::ChangePhase;

    #[test]
    fn a_record_of_before_is_a_change_request_of_now() {
        let record = json!({
            "id": "00ff00ff00ff00ff", "state": "Proposed", "target": "Deployment shop/web",
            "edits": [{ "path": "spec.replicas", "old": 2, "new": null }], "reason": "Why.", "requestedBy": "ann",
            "at": "2026-01-01T10:00:00.5Z", "repository": "deploy", "baseBranch": "main", "baseCommit": "b",
            "branch": "pilothouse/00ff00ff00ff00ff", "commit": "c", "file": "web.yaml", "line": 4, "lines": [4],
            "diff": "-2\n", "problem": "",
        });
        let read = super::read(record.to_string().as_bytes()).unwrap();
        assert_eq!(read.spec.target.to_string(), "Deployment shop/web");
        assert_eq!(read.spec.edits[0].new, None);
        let status = read.status.unwrap();
        assert_eq!(
            (status.phase, status.files[0].lines.as_slice()),
            (Some(ChangePhase::Proposed), [4].as_slice())
        );
    }
}
