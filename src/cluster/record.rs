//! Records a cluster into a folder, redacted. Secrets are not read at all.

use std::{fs, path::Path};

use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use serde_json::Value;

use super::{
    ListRequest, LogRequest, ReadError, Reader, Resource,
    snapshot::{self, Discovery, Head},
};

/// Kinds that are not recorded: secret, only noise, or the same objects under an older or newer name.
const LEFT_OUT: [&str; 12] = [
    "secrets",
    "leases.coordination.k8s.io",
    "leasecandidates.coordination.k8s.io",
    "events.events.k8s.io",
    "componentstatuses",
    "flowschemas.flowcontrol.apiserver.k8s.io",
    "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io",
    "apiservices.apiregistration.k8s.io",
    "controllerrevisions.apps",
    "csinodes.storage.k8s.io",
    "endpoints",
    "ipaddresses.networking.k8s.io",
];
/// What Kubernetes itself brings is the same everywhere.
const ROLES: [&str; 2] =
    ["clusterroles.rbac.authorization.k8s.io", "clusterrolebindings.rbac.authorization.k8s.io"];
const BOOTSTRAP: &str = "kubernetes.io/bootstrapping";
const MACHINE: [&str; 3] = ["machineID", "systemUUID", "bootID"];
const LOG_LINES: usize = 500;
const READS_AT_ONCE: usize = 8;

/// What was recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    pub kinds: usize,
    pub objects: usize,
    pub logs: usize,
    /// Kinds that could not be read, one sentence each.
    pub missing: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("the cluster cannot be recorded: {0}")]
    Read(#[from] ReadError),
    #[error("{path} cannot be written ({source}): give another folder")]
    Write { path: String, source: std::io::Error },
    #[error("{0} is not empty: give a new folder, a recording never overwrites")]
    NotEmpty(String),
}

/// Records what `reader` may see into `dir`, which is made and must be empty. With `namespaces`, what is in other
/// namespaces is left out; what is in none, such as nodes, is not.
///
/// # Errors
/// When the cluster cannot be reached or the folder not be written; kinds that may not be read are only counted.
pub async fn record(reader: &Reader, dir: &Path, namespaces: &[String]) -> Result<Summary, RecordError> {
    if fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(RecordError::NotEmpty(dir.display().to_string()));
    }
    let server_version = reader.version().await?;
    let discovery =
        Discovery { api: document(reader, "/api").await?, apis: document(reader, "/apis").await? };
    let kinds = reader.kinds().await?;
    let mut summary = Summary::default();
    let mut pods = Vec::new();
    for resource in kinds.iter().filter(|resource| is_recorded(resource)) {
        match objects(reader, resource, namespaces).await {
            Ok(found) => {
                let lines: String = found.iter().map(|object| format!("{object}\n")).collect();
                write(&dir.join(snapshot::RESOURCES), &format!("{}.jsonl", resource.id()), &lines)?;
                summary.kinds += 1;
                summary.objects += found.len();
                if resource.id() == "pods" {
                    pods = found;
                }
            }
            Err(error) => summary.missing.push(format!("{}: {error}", resource.id())),
        }
    }
    summary.logs = logs(reader, &pods, dir).await?;
    write(dir, snapshot::DISCOVERY, &text_of(&discovery))?;
    // Last: a folder without it is not a recording.
    let head = Head { format: snapshot::FORMAT.to_owned(), recorded: Timestamp::now(), server_version };
    write(dir, snapshot::HEAD, &text_of(&head))?;
    Ok(summary)
}

fn is_recorded(resource: &Resource) -> bool {
    resource.can("list") && resource.can("get") && !LEFT_OUT.contains(&resource.id().as_str())
}

async fn document(reader: &Reader, path: &str) -> Result<Box<serde_json::value::RawValue>, ReadError> {
    let body = reader.discovery_document(path).await?;
    serde_json::from_slice(&body).map_err(|error| ReadError::Garbled {
        server: reader.server().to_owned(),
        path: path.to_owned(),
        reason: error.to_string(),
    })
}

async fn objects(
    reader: &Reader,
    resource: &Resource,
    namespaces: &[String],
) -> Result<Vec<Value>, ReadError> {
    let lists = places(resource, namespaces).into_iter().map(|namespace| async move {
        let mut objects = Vec::new();
        let request = ListRequest { namespace, ..ListRequest::default() };
        reader
            .list(resource, &request, |item| {
                if let Ok(object) = serde_json::from_str::<Value>(item.get())
                    && !is_bootstrap_role(resource, &object)
                    && !is_another_namespace(resource, &object, namespaces)
                {
                    objects.push(cleaned(resource, object));
                }
            })
            .await?;
        Ok::<_, ReadError>(objects)
    });
    // In order, so that one recording is like the next.
    let lists: Vec<Vec<Value>> = stream::iter(lists).buffered(READS_AT_ONCE).try_collect().await?;
    Ok(lists.into_iter().flatten().collect())
}

/// Where to list: one namespace after another, as whoever may not see all of them can do that too.
fn places(resource: &Resource, namespaces: &[String]) -> Vec<Option<String>> {
    if namespaces.is_empty() || !resource.namespaced {
        return vec![None];
    }
    namespaces.iter().cloned().map(Some).collect()
}

fn is_another_namespace(resource: &Resource, object: &Value, namespaces: &[String]) -> bool {
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    resource.id() == "namespaces" && !namespaces.is_empty() && !namespaces.iter().any(|wanted| wanted == name)
}

fn is_bootstrap_role(resource: &Resource, object: &Value) -> bool {
    ROLES.contains(&resource.id().as_str()) && object["metadata"]["labels"].get(BOOTSTRAP).is_some()
}

/// Items of a list do not say what they are; a line of the recording does.
fn cleaned(resource: &Resource, object: Value) -> Value {
    let mut whole = serde_json::Map::new();
    whole.insert("apiVersion".to_owned(), resource.api_version().into());
    whole.insert("kind".to_owned(), resource.kind.clone().into());
    if let Value::Object(fields) = object {
        whole.extend(fields);
    }
    let mut object = Value::Object(whole);
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.shift_remove("managedFields");
    }
    if let Some(machine) = object.pointer_mut("/status/nodeInfo").and_then(Value::as_object_mut) {
        // They say which machine it was, and nothing that helps.
        MACHINE.iter().for_each(|key| drop(machine.shift_remove(*key)));
    }
    crate::redact::value(&mut object);
    object
}

async fn logs(reader: &Reader, pods: &[Value], dir: &Path) -> Result<usize, RecordError> {
    let mut wanted = Vec::new();
    for pod in pods {
        let meta = |key: &str| pod["metadata"][key].as_str().unwrap_or_default().to_owned();
        let containers = ["initContainers", "containers"];
        let containers = containers.iter().filter_map(|list| pod["spec"][list].as_array()).flatten();
        for container in containers.filter_map(|container| container["name"].as_str()) {
            for previous in [false, true] {
                wanted.push((meta("namespace"), meta("name"), container.to_owned(), previous));
            }
        }
    }
    let mut texts =
        stream::iter(wanted.into_iter().map(|(namespace, pod, container, previous)| async move {
            let request = LogRequest {
                container: Some(container.clone()),
                previous,
                tail_lines: Some(LOG_LINES),
                timestamps: true,
                ..LogRequest::default()
            };
            // A container that never ran has no log: that is what the recording shows.
            let text = reader.log(&namespace, &pod, &request).await.ok();
            (namespace, pod, snapshot::log_file(&container, previous), text)
        }))
        .buffer_unordered(READS_AT_ONCE);
    let mut written = 0;
    while let Some((namespace, pod, file, text)) = texts.next().await {
        if let Some(text) = text {
            let folder = dir.join(snapshot::LOGS).join(namespace).join(pod);
            write(&folder, &file, &crate::redact::shown(&text))?;
            written += 1;
        }
    }
    Ok(written)
}

fn write(folder: &Path, file: &str, text: &str) -> Result<(), RecordError> {
    let path = folder.join(file);
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(&path, text))
        .map_err(|source| RecordError::Write { path: path.display().to_string(), source })
}

fn text_of(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default() + "\n"
}
