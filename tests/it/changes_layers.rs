//! The trap table: folders in `layers/`, each a repository, a question, and the layer or refusal that must come out
//! of it. The renderers are real; where a folder is named as `build`, it is built here once more, before and after.

use std::{collections::BTreeMap, fs, path::Path, process::Command, sync::Arc};

use futures::future::BoxFuture;
use pilothouse::{
    audit::Audit,
    caller::Caller,
    changes::{ChangeParts, ChangeRequests, ChangesConfig, ChartConfig, RenderersConfig},
    tools::{Applied, AppliedFrom, Changes, Modification, Proposal, Sought, SourceFinder, Trace},
};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{
    changes_git_server::GitServer,
    changes_stage::{caller, field, repository},
    parts,
};

/// `case.yaml` of a folder.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// What the trap is.
    trap: String,
    ask: Ask,
    #[serde(default)]
    charts: Vec<ChartConfig>,
    /// The folder that is searched.
    #[serde(default)]
    path: Option<String>,
    /// What the cluster says of where the object comes from; `REPOSITORY` stands for its address.
    #[serde(default)]
    trace: Option<Value>,
    /// Lines that differ, by file.
    #[serde(default)]
    changes: BTreeMap<String, Vec<String>>,
    /// Parts of the answer.
    #[serde(default)]
    answers: Vec<String>,
    /// Parts of the refusal.
    #[serde(default)]
    refused: Vec<String>,
    /// A kustomization's folder that is built by the test itself.
    #[serde(default)]
    build: Option<String>,
    /// Lines of what it builds that differ.
    #[serde(default)]
    built: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ask {
    kind: String,
    namespace: Option<String>,
    name: String,
    edits: Map<String, Value>,
}

#[tokio::test]
async fn every_trap_ends_at_its_layer_or_refusal() {
    let table = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/layers");
    let mut folders: Vec<_> = fs::read_dir(table).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    let only = std::env::var("LAYERS").unwrap_or_default();
    let mut wrong = Vec::new();
    for folder in folders.iter().filter(|folder| folder.to_string_lossy().contains(&only)) {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(folder.join("case.yaml")).unwrap();
        let case: Case = serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let trap = case.trap.clone();
        let problems = tried(folder, case).await;
        wrong.extend(problems.into_iter().map(|problem| format!("{name} ({trap}): {problem}\n")));
    }
    assert!(wrong.is_empty(), "{} of {} cases:\n{}", wrong.len(), folders.len(), wrong.join("\n"));
}

/// What is not as the case says.
async fn tried(folder: &Path, case: Case) -> Vec<String> {
    let files = files(&folder.join("repository"));
    let listed: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let server = GitServer::start(&listed).await;
    let data = tempfile::tempdir().unwrap();
    fs::write(server.folder.path().join("token"), &server.token).unwrap();
    let changes = requests(&server, data.path(), &case);
    let Ask { kind, namespace, name, edits } = case.ask;
    let edits = edits.into_iter().collect();
    let reason = "a trap".to_owned();
    let change = Modification::Edits(edits);
    let proposal = Proposal { kind, namespace, name, change, reason, repository: None };
    let answer = changes.propose(&caller(), proposal).await;
    let mut wrong = Vec::new();
    let parts = if case.refused.is_empty() { &case.answers } else { &case.refused };
    for part in parts.iter().filter(|part| !answer.text.contains(part.as_str())) {
        wrong.push(format!("{part:?} is not in: {}", answer.text));
    }
    if answer.is_error == case.refused.is_empty() {
        wrong.push(format!("refused or not: {}", answer.text));
    }
    if answer.is_error {
        if !server.branches().is_empty() {
            wrong.push("something was pushed all the same".to_owned());
        }
        return wrong;
    }
    let branch = field(&answer, "branch");
    let found = difference(&server.git(&["diff", "-U0", "main", &branch]));
    if found != case.changes {
        wrong.push(format!("changed was {found:#?}"));
    }
    if let Some(build) = &case.build {
        let [before, after] = ["main", branch.as_str()].map(|commit| built(&server, commit, build));
        let found = lines_between(&before, &after);
        if found != case.built {
            wrong.push(format!("built was {found:#?}"));
        }
    }
    wrong
}

fn requests(server: &GitServer, data: &Path, case: &Case) -> ChangeRequests {
    let mut deploy = repository("deploy", server.url(), server);
    deploy.path = case.path.clone().unwrap_or_else(|| ".".to_owned());
    let config = ChangesConfig {
        repositories: vec![deploy],
        charts: case.charts.clone(),
        renderers: RenderersConfig {
            kustomize: vec![parts::kubernetes(), "kubectl".to_owned(), "kustomize".to_owned()],
            helm: vec![parts::helm()],
        },
        ..ChangesConfig::default()
    };
    let audit = Audit::open(data).unwrap();
    match &case.trace {
        None => ChangeRequests::new(config, data, audit),
        Some(said) => {
            let trace = trace(said, &server.url());
            ChangeRequests::of(ChangeParts {
                finder: Some(Arc::new(Told(trace))),
                ..ChangeParts::local(config, data, audit)
            })
        }
    }
    .unwrap()
}

/// A cluster that says one thing.
struct Told(Trace);

impl SourceFinder for Told {
    fn trace<'a>(&'a self, _: &'a Caller, sought: &'a Sought) -> BoxFuture<'a, Result<Trace, String>> {
        let is_owner = |owner: &Value| {
            let kind = sought.kind.split('.').next().unwrap_or_default();
            owner["kind"] == kind && owner["metadata"]["name"] == sought.name.as_str()
        };
        let trace = match self.0.owner.clone().filter(is_owner) {
            Some(owner) => Trace { object: owner, owner: None, ..self.0.clone() },
            None => self.0.clone(),
        };
        Box::pin(std::future::ready(Ok(trace)))
    }
}

fn trace(said: &Value, address: &str) -> Trace {
    let said: Value = serde_json::from_str(&said.to_string().replace("REPOSITORY", address)).unwrap();
    let some = |value: &Value| Some(value.clone()).filter(|value| !value.is_null());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let origins = said["origins"].as_array().cloned().unwrap_or_default();
    Trace {
        object: said["object"].clone(),
        owner: some(&said["owner"]),
        origins: origins
            .iter()
            .map(|origin| Applied {
                tool: text(&origin["tool"]),
                by: text(&origin["by"]),
                applier: some(&origin["applier"]),
                sources: vec![AppliedFrom {
                    repository: text(&origin["repository"]),
                    path: text(&origin["path"]),
                    chart: text(&origin["chart"]),
                    revision: String::new(),
                }],
                evidence: "label x=y on Deployment shop/web".to_owned(),
                ..Applied::default()
            })
            .collect(),
        notes: Vec::new(),
    }
}

fn files(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(at) = open.pop() {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
                found.push((name, fs::read_to_string(path).unwrap()));
            }
        }
    }
    found
}

/// The lines of a diff without context, by the file as it is now.
fn difference(diff: &str) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut file = String::new();
    for line in diff.lines() {
        if let Some(path) = line.strip_prefix("+++ b/") {
            path.clone_into(&mut file);
        } else if line.starts_with(['+', '-']) && !line.starts_with("--- ") && !line.starts_with("+++ ") {
            found.entry(file.clone()).or_default().push(line.to_owned());
        }
    }
    found
}

/// What kustomize builds of a commit, run as a person would.
fn built(server: &GitServer, commit: &str, folder: &str) -> String {
    let copy = tempfile::tempdir().unwrap();
    for path in server.git(&["ls-tree", "-r", "--name-only", commit]).lines() {
        let at = copy.path().join(path);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        fs::write(at, server.git(&["show", &format!("{commit}:{path}")])).unwrap();
    }
    let out = Command::new(parts::kubernetes())
        .args(["kubectl", "kustomize"])
        .arg(copy.path().join(folder))
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

fn lines_between(before: &str, after: &str) -> Vec<String> {
    similar::TextDiff::from_lines(before, after)
        .iter_all_changes()
        .filter(|change| change.tag() != similar::ChangeTag::Equal)
        .map(|change| {
            let sign = if change.tag() == similar::ChangeTag::Delete { '-' } else { '+' };
            format!("{sign}{}", change.value().trim_end_matches('\n'))
        })
        .collect()
}
