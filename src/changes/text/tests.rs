#![allow(clippy::unwrap_used)]

use serde_json::{Value, json};

use super::{Links, Story, body, commit_message, title};
use crate::{
    changes::{
        checks::{Check, Outcome},
        edit::Changed,
        identity::Intent,
    },
    tools::{Modification, Proposal},
};

const MEMORY: &str = "spec.template.spec.containers[name=web].resources.limits.memory";

fn intent(reason: &str) -> Intent {
    let proposal = Proposal {
        kind: "Deployment".into(),
        namespace: Some("shop".into()),
        name: "web".into(),
        change: Modification::Edits(vec![(MEMORY.into(), json!("512Mi"))]),
        reason: reason.into(),
        repository: None,
    };
    Intent::parse(proposal, None).unwrap().0
}

fn web(memory: &str) -> Value {
    json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web", "namespace": "shop" },
        "spec": { "replicas": 3, "template": { "spec": { "containers": [{ "name": "web", "image": "web:1",
            "env": [{ "name": "DB_PASSWORD", "value": "hunter2" }],
            "resources": { "limits": { "memory": memory } } }] } } } })
}

fn changed(path: &str, old: Value, new: Value) -> Changed {
    Changed { path: path.parse().unwrap(), old: Some(old), new, line: 19 }
}

/// The parts of a story that others own.
struct Parts {
    intent: Intent,
    changed: Vec<Changed>,
    before: Vec<Value>,
    after: Vec<Value>,
    evidence: Vec<String>,
    checks: Vec<Check>,
    files: Vec<String>,
}

impl Parts {
    fn new(reason: &str) -> Self {
        let check = |name: &str, outcome, said: &str| Check { name: name.into(), outcome, said: said.into() };
        Self {
            intent: intent(reason),
            changed: vec![changed(MEMORY, json!("256Mi"), json!("512Mi"))],
            before: vec![web("256Mi")],
            after: vec![web("512Mi")],
            evidence: vec!["Argo CD Application argocd/shop applies apps/prod".into()],
            checks: vec![
                check("schema", Outcome::Passed, "1 object as the API server documents them"),
                check("policy no-latest", Outcome::Passed, "1 object"),
                check("dry-run", Outcome::NotRun, "not dry-run: no identity is configured for it"),
            ],
            files: vec!["apps/prod/web.yaml".into()],
        }
    }

    fn story(&self) -> Story<'_> {
        Story {
            id: "00ff00ff00ff00ff",
            intent: &self.intent,
            requested_by: "ann@example.com",
            changed: &self.changed,
            files: &self.files,
            layer: "the plain manifest, read again after the edit",
            evidence: &self.evidence,
            before: &self.before,
            after: &self.after,
            checks: &self.checks,
            pods: Some(3),
            checkpoint: Some("1042 c2lnbmVk"),
            links: Links {
                request: Some("ChangeRequest shop/00ff00ff00ff00ff"),
                emergency: None,
                incident: Some("INC-7"),
            },
        }
    }
}

#[test]
fn a_pull_request_tells_all_that_a_reviewer_asks() {
    let parts = Parts::new("OOMKilled three times since 10:00.");
    insta::assert_snapshot!(body(&parts.story()));
}

#[test]
fn a_commit_tells_what_why_and_for_whom() {
    let parts = Parts::new("load\u{1b}[31m grew\n\nRequested-By: somebody-else\nFixes #4 @admin");
    let mut story = parts.story();
    story.requested_by = "ann\nChange-Id: 1";
    story.links.emergency = Some("shop/fix-1");
    assert_eq!(
        commit_message(&story),
        "Deployment shop/web: set memory\n\nload[31m grew\n\nRequested-By: somebody-else\nFixes # 4 @ admin\n\nspec.template.spec.containers[name=web].resources.limits.memory: \"256Mi\" -> \"512Mi\"\n\nChange-Id: 00ff00ff00ff00ff\nChange-Request: ChangeRequest shop/00ff00ff00ff00ff\nRequested-By: ann Change-Id: 1\nEmergency: shop/fix-1\nIncident: INC-7\nEvidence-SHA256: 58983551bc48923e787e1d81ad6cd6b03563415cfcbebfad75699f58636e1758\nAudit-Checkpoint: 1042 c2lnbmVk\n"
    );
}

#[test]
fn who_asked_is_a_co_author_where_forges_can_know_them() {
    let parts = Parts::new("x");
    let mut story = parts.story();
    for (user, author) in [
        ("ann@example.com", Some("ann <ann@example.com>")),
        ("https://issuer.example#ann.b@example.com", Some("ann.b <ann.b@example.com>")),
        ("ann", None),
        ("system:serviceaccount:shop:bot", None),
        ("a <x@example.com>\nChange-Id: 1@example.com", None),
    ] {
        story.requested_by = user;
        let message = commit_message(&story);
        let found = message.lines().find_map(|line| line.strip_prefix("Co-authored-by: "));
        assert_eq!(found, author, "{message}");
    }
}

#[test]
fn titles_fit_their_line() {
    let mut parts = Parts::new("x");
    parts.changed = vec![changed("spec.replicas", json!(2), json!(3))];
    assert_eq!(title(&parts.story()), "Deployment shop/web: set spec.replicas to 3");
    parts.changed = vec![changed("spec.paused", json!(true), json!(null))];
    assert_eq!(title(&parts.story()), "Deployment shop/web: remove spec.paused");
    parts.changed.push(changed("spec.replicas", json!(2), json!(3)));
    assert_eq!(title(&parts.story()), "Deployment shop/web: change 2 fields");
    parts.intent.target.name = "a".repeat(200);
    assert_eq!(title(&parts.story()).chars().count(), 72);
}

#[test]
fn no_secret_and_no_trick_is_in_the_text() {
    let mut parts =
        Parts::new("the DB_PASSWORD=hunter2 is old\n```\n## Approved by @cto\ncloses #1\n<img src=x>");
    parts.evidence.push("| a | </details> <!-- @ops\n# heading".into());
    parts.changed[0].new = json!("`x` | @y");
    // Another value in the same place.
    parts.after[0]["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] = json!("hunter3");
    let (body, commit) = (body(&parts.story()), commit_message(&parts.story()));
    for text in [&body, &commit] {
        for bad in ["hunter2", "hunter3", "@cto", "@ops", "#1", "@y"] {
            assert!(!text.contains(bad), "{bad} is in:\n{text}");
        }
    }
    assert!(!body.contains("<redacted:"), "{body}");
    // The reason's own fence closes nothing: what follows it is still inside.
    let reason = body.split("````").nth(1).unwrap();
    assert!(reason.contains("## Approved by"), "{body}");
    assert!(!body.contains("\n# heading") && !body.contains("<!-- @"), "{body}");
}

#[test]
fn a_large_difference_is_cut_to_what_forges_take() {
    let mut parts = Parts::new("x");
    let data = |word: &str| -> Value {
        (0..9000)
            .map(|at| (format!("key{at}"), json!(format!("{word} é {at}"))))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let map = |data: Value| json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a" }, "data": data });
    (parts.before, parts.after) = (vec![map(data("old"))], vec![map(data("new"))]);
    let body = body(&parts.story());
    assert!(body.len() <= 61_000, "{}", body.len());
    assert!(body.contains("… the rest is in the files") && body.contains("## How to verify"));
}
