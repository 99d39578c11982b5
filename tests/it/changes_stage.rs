//! A repository with a Deployment in it, and change requests to it.

use std::{fs, path::Path};

use pilothouse::{
    answer::Answer,
    audit::Audit,
    caller::Caller,
    changes::{ChangeRequests, ChangesConfig, RepositoryConfig},
    tools::{Changes, Modification, Proposal},
};
use serde_json::Value;

use crate::changes_git_server::GitServer;

pub(crate) const WEB: &str = "\
# The shop's front.
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web   # do not rename
  namespace: shop
spec:
  replicas: 2
  template:
    spec:
      containers:
        - name: web
          image: 'web:1.0'
          resources:
            limits: { cpu: 500m, memory: 256Mi } # measured
---
# last
kind: ConfigMap
apiVersion: v1
metadata: {name: web, namespace: shop}
data: {a: \"1\"}";

pub(crate) const MEMORY: &str = "spec.template.spec.containers[name=web].resources.limits.memory";

pub(crate) struct Stage {
    pub(crate) server: GitServer,
    pub(crate) data: tempfile::TempDir,
    pub(crate) audit: Audit,
    pub(crate) changes: ChangeRequests,
}

impl Stage {
    pub(crate) async fn with(files: &[(&str, &str)]) -> Self {
        let server = GitServer::start(files).await;
        let data = tempfile::tempdir().unwrap();
        let token_file = server.folder.path().join("token");
        fs::write(&token_file, format!("{}\n", server.token)).unwrap();
        let audit = Audit::open(data.path()).unwrap();
        let changes = open(&server, data.path(), &audit);
        Self { server, data, audit, changes }
    }

    pub(crate) async fn web() -> Self {
        Self::with(&[("apps/web.yaml", WEB), ("other.yaml", "kind: Deployment\nmetadata: {name: db}\n")])
            .await
    }

    pub(crate) async fn ask(&self, path: &str, new: Value) -> Answer {
        self.changes.propose(&caller(), proposal(path, new)).await
    }
}

pub(crate) fn repository(name: &str, url: String, server: &GitServer) -> RepositoryConfig {
    RepositoryConfig {
        name: name.into(),
        url,
        branch: "main".into(),
        path: ".".into(),
        namespace: None,
        token_file: Some(server.folder.path().join("token")),
        username: "x-access-token".into(),
        insecure_http: false,
        forge: None,
        open_limit: 10,
        labels: Vec::new(),
    }
}

pub(crate) fn open(server: &GitServer, data: &Path, audit: &Audit) -> ChangeRequests {
    let config = ChangesConfig {
        repositories: vec![repository("deploy", server.url(), server)],
        ..ChangesConfig::default()
    };
    ChangeRequests::new(config, data, audit.clone()).unwrap()
}

pub(crate) fn caller() -> Caller {
    Caller { user: "ann@example.com".into(), ..Caller::static_token() }
}

pub(crate) fn proposal(path: &str, new: Value) -> Proposal {
    Proposal {
        kind: "Deployment".into(),
        namespace: Some("shop".into()),
        name: "web".into(),
        change: Modification::Edits(vec![(path.into(), new)]),
        reason: "OOMKilled three times since 10:00.".into(),
        repository: None,
    }
}

pub(crate) fn field(answer: &Answer, name: &str) -> String {
    answer.structured.as_ref().unwrap()[name].as_str().unwrap().to_owned()
}

pub(crate) fn audit_lines(stage: &Stage) -> Vec<Value> {
    let text = fs::read_to_string(stage.audit.path()).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
