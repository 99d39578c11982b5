//! A recorded cluster behind `kube::Client`: get, list, log, discovery and version, all from a folder.
//!
//! Watches stay open and silent: in a recording nothing changes. What was not recorded (Secrets) is refused,
//! not shown as empty.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use http::{Method, Request, Response, StatusCode, header};
use jiff::Timestamp;
use kube::client::Body;
use serde_json::{Value, json};

use super::{
    Connection, Contexts, Kinds, Reader, Resource,
    connect::over,
    discovery::{self, Discovered},
    reader::Recording,
    selector::Selector,
    snapshot::{self, Discovery, Head},
};

/// Everything but the logs is held in memory.
struct Recorded {
    dir: PathBuf,
    head: Head,
    discovery: Discovery,
    kinds: Kinds,
    /// By [`Resource::id`]; sorted by namespace and name.
    objects: BTreeMap<String, Vec<Object>>,
}

struct Object {
    namespace: String,
    name: String,
    value: Value,
}

#[derive(Debug, thiserror::Error)]
pub enum RecordedError {
    #[error("{dir} is not a recorded cluster ({reason}): give a folder that `pilothouse snapshot DIR` wrote")]
    NotASnapshot { dir: String, reason: String },
    #[error("{file}:{line} in the recorded cluster is not an object ({reason}): record it again")]
    NotAnObject { file: String, line: usize, reason: String },
}

/// The cluster recorded in `dir`. Its present is the moment of the recording. Must be called inside a Tokio
/// runtime.
///
/// # Errors
/// When the folder is not a snapshot, or a file in it cannot be read.
pub fn open(dir: &Path) -> Result<Connection, RecordedError> {
    let recorded = Arc::new(Recorded::read(dir)?);
    let server = format!("the recorded cluster in {}", dir.display());
    let left_out = recorded.kinds.iter().map(Resource::id).filter(|id| !recorded.objects.contains_key(id));
    let recording = Recording { clock: recorded.head.recorded, left_out: left_out.collect() };
    let client = over(move |request: Request<Body>| {
        let recorded = recorded.clone();
        async move { recorded.answer(request.method(), request.uri()).into_response().await }
    });
    let reader = Reader::recorded(client.clone(), &server, recording);
    let contexts = Contexts::one(reader.clone());
    Ok(Connection {
        reader,
        contexts,
        acting: client.clone(),
        client,
        in_cluster: false,
        namespace: "default".to_owned(),
        server,
        bare: None,
    })
}

/// What the API server would say.
enum Reply {
    Json(String),
    Text(String),
    Error(StatusCode, &'static str, String),
    /// An open watch: nothing comes.
    Silence,
}

impl Reply {
    fn not_found(message: impl Into<String>) -> Self {
        Self::Error(StatusCode::NOT_FOUND, "NotFound", message.into())
    }

    fn bad(message: impl Into<String>) -> Self {
        Self::Error(StatusCode::BAD_REQUEST, "BadRequest", message.into())
    }

    async fn into_response(self) -> Response<Body> {
        let (status, kind, text) = match self {
            Self::Json(text) => (StatusCode::OK, "application/json", text),
            Self::Text(text) => (StatusCode::OK, "text/plain", text),
            Self::Error(code, reason, message) => {
                let status = json!({
                    "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                    "message": message, "reason": reason, "code": code.as_u16(),
                });
                (code, "application/json", status.to_string())
            }
            Self::Silence => std::future::pending().await,
        };
        let mut response = Response::new(Body::from(text.into_bytes()));
        *response.status_mut() = status;
        response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
        response
    }
}

impl Recorded {
    fn read(dir: &Path) -> Result<Self, RecordedError> {
        let not = |reason: String| RecordedError::NotASnapshot { dir: dir.display().to_string(), reason };
        let text =
            |file: &str| fs::read_to_string(dir.join(file)).map_err(|error| not(format!("{file}: {error}")));
        let head: Head = serde_json::from_str(&text(snapshot::HEAD)?)
            .map_err(|error| not(format!("{}: {error}", snapshot::HEAD)))?;
        if head.format != snapshot::FORMAT {
            return Err(not(format!("its format is {}, not {}", head.format, snapshot::FORMAT)));
        }
        let discovery: Discovery = serde_json::from_str(&text(snapshot::DISCOVERY)?)
            .map_err(|error| not(format!("{}: {error}", snapshot::DISCOVERY)))?;
        let mut resources = Vec::new();
        for document in [&discovery.api, &discovery.apis] {
            match discovery::parse(document.get().as_bytes()) {
                Ok(Discovered::Resources(found)) => resources.extend(found),
                Ok(Discovered::Paths(_)) => {
                    return Err(not(format!("{} is not aggregated", snapshot::DISCOVERY)));
                }
                Err(error) => return Err(not(format!("{}: {error}", snapshot::DISCOVERY))),
            }
        }
        let kinds = Kinds::of(resources);
        let mut objects = BTreeMap::new();
        for resource in kinds.iter() {
            let file = dir.join(snapshot::RESOURCES).join(format!("{}.jsonl", resource.id()));
            if file.is_file() {
                objects.insert(resource.id(), read_objects(&file)?);
            }
        }
        Ok(Self { dir: dir.to_owned(), head, discovery, kinds, objects })
    }

    fn answer(&self, method: &Method, uri: &http::Uri) -> Reply {
        if method != Method::GET {
            let message = "this is a recorded cluster: it can only be read";
            return Reply::Error(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed", message.to_owned());
        }
        let query: BTreeMap<String, String> =
            url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
        let segments: Vec<&str> = uri.path().split('/').filter(|segment| !segment.is_empty()).collect();
        match segments.as_slice() {
            ["version"] => Reply::Json(
                json!({ "gitVersion": self.head.server_version, "major": "1",
                "minor": "", "gitCommit": "", "gitTreeState": "", "buildDate": "", "goVersion": "",
                "compiler": "", "platform": "" })
                .to_string(),
            ),
            ["api"] => Reply::Json(self.discovery.api.get().to_owned()),
            ["apis"] => Reply::Json(self.discovery.apis.get().to_owned()),
            ["api", _, rest @ ..] => self.objects_at("", rest, &query),
            ["apis", group, _, rest @ ..] => self.objects_at(group, rest, &query),
            _ => Reply::not_found(format!("the recorded cluster has nothing at {}", uri.path())),
        }
    }

    fn objects_at(&self, group: &str, rest: &[&str], query: &BTreeMap<String, String>) -> Reply {
        let (namespace, plural, name, subresource) = match rest {
            ["namespaces", namespace, plural] => (Some(*namespace), *plural, None, None),
            ["namespaces", namespace, plural, name] => (Some(*namespace), *plural, Some(*name), None),
            ["namespaces", namespace, plural, name, sub] => {
                (Some(*namespace), *plural, Some(*name), Some(*sub))
            }
            [plural] => (None, *plural, None, None),
            [plural, name] => (None, *plural, Some(*name), None),
            _ => return Reply::not_found("the recorded cluster has nothing there"),
        };
        let Some(resource) =
            self.kinds.iter().find(|resource| resource.group == group && resource.plural == plural)
        else {
            return Reply::not_found("the server could not find the requested resource");
        };
        let Some(objects) = self.objects.get(&resource.id()) else {
            let message = format!("{} were left out of this recording", resource.id());
            return Reply::Error(StatusCode::FORBIDDEN, "Forbidden", message);
        };
        match (name, subresource) {
            (Some(pod), Some("log")) if resource.id() == "pods" => {
                self.log(objects, namespace.unwrap_or_default(), pod, query)
            }
            (_, Some(_)) => Reply::not_found("the recorded cluster has no such subresource"),
            (Some(name), None) => match objects.iter().find(|object| is_at(object, namespace, name)) {
                Some(object) => Reply::Json(object.value.to_string()),
                None => Reply::not_found(format!("{} \"{name}\" not found", resource.id())),
            },
            (None, None) if query.get("watch").is_some_and(|watch| watch != "false" && watch != "0") => {
                Reply::Silence
            }
            (None, None) => list(resource, objects, namespace, query),
        }
    }

    fn log(&self, pods: &[Object], namespace: &str, name: &str, query: &BTreeMap<String, String>) -> Reply {
        let Some(pod) = pods.iter().find(|pod| is_at(pod, Some(namespace), name)) else {
            return Reply::not_found(format!("pods \"{name}\" not found"));
        };
        let containers: Vec<&str> = ["initContainers", "containers"]
            .iter()
            .filter_map(|list| pod.value["spec"][list].as_array())
            .flatten()
            .filter_map(|container| container["name"].as_str())
            .collect();
        let container = match query.get("container") {
            Some(asked) => containers.iter().find(|known| *known == asked),
            None => pod.value["spec"]["containers"][0]["name"]
                .as_str()
                .and_then(|first| containers.iter().find(|known| **known == first)),
        };
        let Some(container) = container else {
            return Reply::bad(format!(
                "container {} is not valid for pod {name}",
                query.get("container").map_or("", String::as_str)
            ));
        };
        let previous = query.get("previous").is_some_and(|previous| previous == "true");
        let file = self.dir.join(snapshot::LOGS).join(namespace).join(name);
        let Ok(text) = fs::read_to_string(file.join(snapshot::log_file(container, previous))) else {
            return Reply::bad(if previous {
                format!("previous terminated container \"{container}\" in pod \"{name}\" not found")
            } else {
                format!(
                    "container \"{container}\" in pod \"{name}\" is waiting to start: no log was recorded"
                )
            });
        };
        Reply::Text(part(&text, self.head.recorded, query))
    }
}

/// The lines that a log request asks for.
fn part(text: &str, recorded: Timestamp, query: &BTreeMap<String, String>) -> String {
    let number = |key: &str| query.get(key).and_then(|value| value.parse::<usize>().ok());
    let since =
        number("sinceSeconds").map(|seconds| recorded.as_second() - i64::try_from(seconds).unwrap_or(0));
    let time = query.get("sinceTime").and_then(|time| time.parse::<Timestamp>().ok());
    let since = since.max(time.map(Timestamp::as_second));
    let timestamps = query.get("timestamps").is_some_and(|given| given == "true");
    let lines: Vec<&str> = text
        .lines()
        .filter_map(|line| {
            let (time, rest) = line.split_once(' ').unwrap_or((line, ""));
            let Ok(time) = time.parse::<Timestamp>() else { return Some(line) };
            let recent = since.is_none_or(|since| time.as_second() >= since);
            recent.then_some(if timestamps { line } else { rest })
        })
        .collect();
    let skipped = number("tailLines").map_or(0, |tail| lines.len().saturating_sub(tail));
    let mut out: String = lines[skipped..].iter().flat_map(|line| [line, "\n"]).collect();
    if let Some(limit) = number("limitBytes") {
        out.truncate((0..=limit.min(out.len())).rev().find(|at| out.is_char_boundary(*at)).unwrap_or(0));
    }
    out
}

fn is_at(object: &Object, namespace: Option<&str>, name: &str) -> bool {
    object.name == name && namespace.is_none_or(|namespace| object.namespace == namespace)
}

/// The version of the one state there is.
const RESOURCE_VERSION: &str = "1";

/// Every kind can be selected by these.
const FIELDS: [&str; 2] = ["metadata.name", "metadata.namespace"];

/// What else the API server selects a kind by.
fn fields_of(resource: &Resource) -> &'static [&'static str] {
    match resource.id().as_str() {
        "pods" => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.nominatedNodeName",
        ],
        "events" => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.resourceVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "type",
        ],
        "nodes" => &["spec.unschedulable"],
        "namespaces" => &["status.phase"],
        "services" => &["spec.clusterIP", "spec.type"],
        "replicasets.apps" | "replicationcontrollers" => &["status.replicas"],
        "jobs.batch" => &["status.successful"],
        "certificatesigningrequests.certificates.k8s.io" => &["spec.signerName"],
        _ => &[],
    }
}

/// Which fields of its objects a CRD lets select by was not recorded with its kind: all are let through.
fn is_field(resource: &Resource, key: &str) -> bool {
    let is_custom = resource.group.contains('.') && !resource.group.ends_with(".k8s.io");
    is_custom || FIELDS.contains(&key) || fields_of(resource).contains(&key)
}

fn list(
    resource: &Resource,
    objects: &[Object],
    namespace: Option<&str>,
    query: &BTreeMap<String, String>,
) -> Reply {
    let selector = |key: &str| query.get(key).map_or("", String::as_str);
    let labels = Selector::parse(selector("labelSelector"));
    let (labels, fields) = match (labels, Selector::of_fields(selector("fieldSelector"))) {
        (Ok(labels), Ok(fields)) => (labels, fields),
        (Err(message), _) | (_, Err(message)) => return Reply::bad(message),
    };
    if let Some(unknown) = fields.keys().find(|key| !is_field(resource, key)) {
        let known: Vec<&str> = FIELDS.iter().chain(fields_of(resource)).copied().collect();
        return Reply::bad(format!(
            "`{unknown}` is no field that {} can be selected by: use {}",
            resource.id(),
            known.join(", ")
        ));
    }
    let matching = objects.iter().filter(|object| {
        namespace.is_none_or(|namespace| object.namespace == namespace)
            && labels.matches_labels(object.value["metadata"].get("labels"))
            && fields.matches_fields(&object.value)
    });
    let matching: Vec<&Value> = matching.map(|object| &object.value).collect();
    let number = |key: &str| query.get(key).and_then(|value| value.parse::<usize>().ok());
    let from = number("continue").unwrap_or(0).min(matching.len());
    let to = number("limit").filter(|limit| *limit > 0).map_or(matching.len(), |limit| from + limit);
    let to = to.min(matching.len());
    let next = if to < matching.len() { to.to_string() } else { String::new() };
    Reply::Json(
        json!({
            "kind": format!("{}List", resource.kind), "apiVersion": resource.api_version(),
            "metadata": { "resourceVersion": RESOURCE_VERSION, "continue": next },
            "items": matching[from..to],
        })
        .to_string(),
    )
}

fn read_objects(file: &Path) -> Result<Vec<Object>, RecordedError> {
    let shown = file.display().to_string();
    let not = |line: usize, reason: String| RecordedError::NotAnObject { file: shown.clone(), line, reason };
    let text = fs::read_to_string(file).map_err(|error| not(0, error.to_string()))?;
    let mut objects = Vec::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let value: Value = serde_json::from_str(line).map_err(|error| not(at + 1, error.to_string()))?;
        let meta = |key: &str| value["metadata"][key].as_str().unwrap_or_default().to_owned();
        let (namespace, name) = (meta("namespace"), meta("name"));
        if name.is_empty() {
            return Err(not(at + 1, "it has no metadata.name".to_owned()));
        }
        objects.push(Object { namespace, name, value });
    }
    objects.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    Ok(objects)
}
