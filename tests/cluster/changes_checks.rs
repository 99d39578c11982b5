//! What is asked for is read against the live object, and what would come of it is checked, before anything is pushed.

use std::{path::Path, process::Command, sync::Arc};

use futures::future::BoxFuture;
use pilothouse::{
    answer::{Answer, Sealer},
    audit::Audit,
    caller::Caller,
    changes::{ChangeRequests, ChangesConfig},
    cluster::{ConnectOptions, Connection, connect},
    operator,
    tools::{ChangeAccess, Changes, ClusterChecks, ClusterObjects, DryRun, Live, Modification, Proposal},
};
use serde_json::{Value, json};

use crate::support::{kubectl, namespace::Scratch};

/// As `app` puts it together, dry-runs sent as whoever the kubeconfig is.
struct Checks(ClusterObjects, operator::DryRun);

impl ClusterChecks for Checks {
    fn live<'a>(
        &'a self,
        caller: &'a Caller,
        kind: &'a str,
        namespace: Option<&'a str>,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Live, String>> {
        Box::pin(self.0.live(caller, kind, namespace, name))
    }

    fn schema<'a>(
        &'a self,
        caller: &'a Caller,
        api_version: &'a str,
        kind: &'a str,
    ) -> BoxFuture<'a, Result<Option<Arc<Value>>, String>> {
        Box::pin(self.0.schema(caller, api_version, kind))
    }

    fn dry_run<'a>(&'a self, before: Option<&'a Value>, after: &'a Value) -> BoxFuture<'a, DryRun> {
        Box::pin(async move {
            match self.1.ask(before, after).await {
                operator::DryRunAnswer::Accepted { warnings } => DryRun::Accepted { warnings },
                operator::DryRunAnswer::Refused { said } => DryRun::Refused { said },
                operator::DryRunAnswer::NotRun { why } => DryRun::NotRun { why },
            }
        })
    }
}

struct Everybody;

impl ChangeAccess for Everybody {
    fn sees_others<'a>(&'a self, _: &'a Caller, _: Option<&'a str>) -> BoxFuture<'a, Result<bool, String>> {
        Box::pin(std::future::ready(Ok(true)))
    }

    fn changes_others<'a>(
        &'a self,
        _: &'a Caller,
        _: Option<&'a str>,
    ) -> BoxFuture<'a, Result<bool, String>> {
        Box::pin(std::future::ready(Ok(true)))
    }

    fn sees_object<'a>(&'a self, _: &'a Caller, _: &'a Proposal) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=t", "-c", "user.email=t@example.com", "-C"])
        .arg(folder)
        .args(arguments)
        .output()
        .expect("git can be started");
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A workload in the cluster, and the repository that it comes from.
struct Stage {
    scratch: Scratch,
    folder: tempfile::TempDir,
    changes: ChangeRequests,
}

impl Stage {
    async fn new(purpose: &str) -> Self {
        let scratch = Scratch::new(purpose);
        let name = scratch.name();
        let manifest = format!(
            "# The shop's front.\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web, namespace: {name}}}\nspec:\n  replicas: 0\n  \
             selector: {{matchLabels: {{app: web}}}}\n  template:\n    metadata: {{labels: {{app: web}}}}\n    spec:\n      containers:\n        \
             - name: web\n          image: registry.invalid/web:1 # pinned\n          env:\n            - name: A\n              value: \"1\"\n"
        );
        kubectl::apply(&manifest);
        kubectl::apply(&format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: scaled, namespace: {name}}}\nspec: {{replicas: 0, selector: {{matchLabels: {{a: b}}}}, \
             template: {{metadata: {{labels: {{a: b}}}}, spec: {{containers: [{{name: a, image: registry.invalid/a}}]}}}}}}\n---\n\
             apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {{name: scaled-hpa, namespace: {name}}}\n\
             spec: {{maxReplicas: 3, scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: scaled}}}}\n"
        ));
        let folder = tempfile::tempdir().expect("a folder");
        let (work, bare) = (folder.path().join("work"), folder.path().join("deploy.git"));
        std::fs::create_dir(&work).expect("a folder");
        git(&work, &["init", "--quiet", "--initial-branch=main"]);
        std::fs::write(work.join("web.yaml"), &manifest).expect("a file");
        git(&work, &["add", "."]);
        git(&work, &["commit", "--quiet", "-m", "start"]);
        git(&work, &["clone", "--quiet", "--bare", ".", bare.to_str().expect("a path")]);

        let connection = connect(&ConnectOptions::default()).await.expect("it connects");
        let Connection { client, reader, contexts, .. } = connection;
        let checks = Checks(
            ClusterObjects::new(contexts, Sealer::random().expect("a key")),
            operator::DryRun::with(client, reader),
        );
        let config = format!(
            "repositories: [{{name: deploy, url: {}}}]\npolicies:\n- name: pinned\n  match: {{kinds: [Deployment]}}\n  \
             expression: object.spec.template.spec.containers.all(c, !c.image.endsWith(':latest'))\n  message: give every image a tag\n",
            bare.display()
        );
        let config: ChangesConfig = serde_saphyr::from_str(&config).expect("a configuration");
        let data = folder.path().join("data");
        let audit = Audit::open(&data).expect("a record");
        let changes =
            ChangeRequests::guarded(config, &data, audit, Arc::new(Everybody), Some(Arc::new(checks)))
                .expect("changes");
        Self { scratch, folder, changes }
    }

    async fn ask(&self, name: &str, change: Modification) -> Answer {
        let proposal = Proposal {
            kind: "Deployment".into(),
            namespace: Some(self.scratch.name().to_owned()),
            name: name.into(),
            change,
            reason: "to try it".into(),
            repository: None,
        };
        self.changes.propose(&Caller::process(), proposal).await
    }

    fn branches(&self) -> String {
        git(
            &self.folder.path().join("deploy.git"),
            &["branch", "--list", "pilothouse/*", "--format=%(refname:short)"],
        )
    }
}

fn edit(path: &str, new: Value) -> Modification {
    Modification::Edits(vec![(path.into(), new)])
}

#[tokio::test]
async fn what_the_api_server_would_not_take_is_refused_before_git() {
    let stage = Stage::new("checks-refused").await;
    let container = "spec.template.spec.containers[name=web]";
    for (name, change, says) in [
        ("webb", edit("spec.paused", json!(true)), "nearest: web"),
        (
            "web",
            edit("spec.replcas", json!(1)),
            "Deployment has no field `replcas` in spec: did you mean replicas?",
        ),
        ("web", edit(&format!("{container}.resources.limit.cpu"), json!("1")), "did you mean limits?"),
        ("scaled", Modification::Replicas(2), "scaled-hpa sets the number of pods"),
        (
            "web",
            Modification::JsonPatch(vec![json!({ "op": "test", "path": "/spec/replicas", "value": 7 })]),
            "there is 0",
        ),
        (
            "web",
            edit(&format!("{container}.image"), json!("registry.invalid/web:latest")),
            "give every image a tag",
        ),
        (
            "web",
            Modification::MergePatch(json!({ "spec": { "selector": { "matchLabels": { "app": "x" } },
                "template": { "metadata": { "labels": { "app": "x" } } } } })),
            "field is immutable",
        ),
        ("web", edit(&format!("{container}.env[name=A].value"), json!({ "no": "text" })), "text"),
    ] {
        let answer = stage.ask(name, change).await;
        assert!(answer.is_error && answer.text.contains(says), "{says} is not in: {}", answer.text);
    }
    assert_eq!(stage.branches(), "", "nothing was pushed");
}

#[tokio::test]
async fn a_strategic_patch_is_merged_by_the_keys_of_the_api_server() {
    let stage = Stage::new("checks-patched").await;
    let patch = json!({ "spec": { "template": { "spec": { "containers": [
        { "name": "web", "image": "registry.invalid/web:2", "env": [{ "name": "B", "value": "2" }] }] } } } });
    let answer = stage.ask("web", Modification::StrategicPatch(patch)).await;
    assert!(!answer.is_error, "{}", answer.text);
    let branch = stage.branches().trim().to_owned();
    let file = git(&stage.folder.path().join("deploy.git"), &["show", &format!("{branch}:web.yaml")]);
    assert!(file.contains("image: registry.invalid/web:2 # pinned"), "{file}");
    assert!(
        file.contains("            - name: A\n              value: \"1\"\n            - name: B\n"),
        "{file}"
    );
}
