//! What an API server says it has done: events of `audit.k8s.io/v1`, as its audit webhook posts them (an EventList) or
//! as a log shipper sends the lines of its log.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use url::form_urlencoded;

use super::{scope::Scope, write::ObjectRef};

const VERSION: &str = "audit.k8s.io/v1";

/// One successful write of something in scope. It holds no value, and may go from replica to replica.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Recorded {
    /// The API server's own id of the request.
    pub(super) id: String,
    pub(super) object: ObjectRef,
    pub(super) uid: Option<String>,
    pub(super) deed: Deed,
    /// Who it was done as.
    pub(super) user: String,
    /// As it stands in `managedFields`.
    pub(super) manager: String,
    /// The version that it made, where the level is RequestResponse.
    pub(super) version: Option<String>,
    pub(super) received: Timestamp,
    pub(super) done: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Deed {
    Create,
    Update,
    Patch,
    Delete,
    /// Of everything in a namespace: it names no object.
    DeleteAll,
}

impl Recorded {
    pub(super) fn is_about(&self, object: &ObjectRef) -> bool {
        if self.deed == Deed::DeleteAll {
            let ObjectRef { group, kind, namespace, name: _ } = &self.object;
            return *group == object.group
                && *kind == object.kind
                && (namespace.is_none() || *namespace == object.namespace);
        }
        self.object == *object
    }
}

/// What a post held.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Posted {
    pub(super) recorded: Vec<Recorded>,
    /// Events of other things, failures and dry runs among them.
    pub(super) passed_over: usize,
    /// What could not be read; it is dropped alone.
    pub(super) malformed: usize,
}

/// Why nothing of a post could be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoEvents {
    #[error("the body holds no events: post an EventList of {VERSION}, or events one a line")]
    Neither,
    #[error("the body is {0:?} of {1:?}, not EventList of {VERSION}")]
    Other(String, String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct List<'a> {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    api_version: String,
    #[serde(borrow)]
    items: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    #[serde(default)]
    api_version: String,
    #[serde(rename = "auditID")]
    audit_id: String,
    stage: String,
    #[serde(default, rename = "requestURI")]
    request_uri: String,
    verb: String,
    user: User,
    #[serde(default)]
    impersonated_user: Option<User>,
    #[serde(default)]
    user_agent: String,
    #[serde(default)]
    object_ref: Option<Object>,
    #[serde(default)]
    response_status: Option<Status>,
    #[serde(default)]
    response_object: Option<Response>,
    request_received_timestamp: Timestamp,
    stage_timestamp: Timestamp,
}

#[derive(Deserialize)]
struct User {
    #[serde(default)]
    username: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Object {
    resource: String,
    namespace: String,
    name: String,
    uid: Option<String>,
    api_group: String,
    subresource: String,
}

#[derive(Deserialize)]
struct Status {
    #[serde(default)]
    code: u16,
}

#[derive(Deserialize)]
struct Response {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    name: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
}

/// # Errors
/// When the body is neither an EventList nor lines of which at least one is an event.
pub(super) fn parse(body: &[u8], scope: &Scope) -> Result<Posted, NoEvents> {
    let mut posted = Posted::default();
    match serde_json::from_slice::<List<'_>>(body) {
        Ok(List { kind, api_version, items }) => {
            if (kind.as_str(), api_version.as_str()) != ("EventList", VERSION) {
                return Err(NoEvents::Other(kind, api_version));
            }
            items.iter().for_each(|item| posted.add(item.get().as_bytes(), scope));
        }
        Err(_) => {
            let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
            lines.for_each(|line| posted.add(line, scope));
            if posted.recorded.is_empty() && posted.passed_over == 0 {
                return Err(NoEvents::Neither);
            }
        }
    }
    Ok(posted)
}

impl Posted {
    fn add(&mut self, event: &[u8], scope: &Scope) {
        match serde_json::from_slice::<Event>(event) {
            Ok(event) if event.api_version.is_empty() || event.api_version == VERSION => {
                match event.write(scope) {
                    Some(recorded) => self.recorded.push(recorded),
                    None => self.passed_over += 1,
                }
            }
            Ok(_) | Err(_) => self.malformed += 1,
        }
    }
}

impl Event {
    fn write(self, scope: &Scope) -> Option<Recorded> {
        let Self {
            api_version: _,
            audit_id,
            stage,
            request_uri,
            verb,
            user,
            impersonated_user,
            user_agent,
            object_ref,
            response_status,
            response_object,
            request_received_timestamp: received,
            stage_timestamp: done,
        } = self;
        let deed = match verb.as_str() {
            "create" => Deed::Create,
            "update" => Deed::Update,
            "patch" => Deed::Patch,
            "delete" => Deed::Delete,
            "deletecollection" => Deed::DeleteAll,
            _ => return None,
        };
        let is_stored = response_status.is_some_and(|status| (200..300).contains(&status.code));
        let Object { resource, namespace, name, uid, api_group, subresource } = object_ref?;
        if stage != "ResponseComplete" || !is_stored || !matches!(subresource.as_str(), "" | "scale") {
            return None;
        }
        let query = request_uri.split_once('?').map_or("", |(_, query)| query);
        let asked = |wanted: &str| {
            let mut pairs = form_urlencoded::parse(query.as_bytes());
            pairs.find_map(|(key, value)| (key == wanted).then(|| value.into_owned()))
        };
        if asked("dryRun").is_some_and(|value| !value.is_empty()) {
            return None;
        }
        // A delete answers with a Status, which has no version.
        let response = response_object.filter(|response| response.kind != "Status");
        let Metadata { name: stored_name, uid: stored_uid, resource_version } =
            response.map(|response| response.metadata).unwrap_or_default();
        let name = Some(name).filter(|name| !name.is_empty()).or(stored_name);
        if name.is_none() && deed != Deed::DeleteAll {
            return None;
        }
        let object = scope.object(&api_group, &resource, Some(&namespace), &name.unwrap_or_default())?;
        // As the API server names who names nobody.
        let agent = || user_agent.split('/').next().unwrap_or_default().to_owned();
        let manager = asked("fieldManager").filter(|manager| !manager.is_empty()).unwrap_or_else(agent);
        Some(Recorded {
            id: audit_id,
            object,
            uid: uid.filter(|uid| !uid.is_empty()).or(stored_uid),
            deed,
            user: impersonated_user.unwrap_or(user).username,
            manager,
            version: resource_version.filter(|_| subresource.is_empty()),
            received,
            done,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::{Deed, NoEvents, Posted, parse};
    use crate::changes::capture::joiner_fixture::scope;

    /// As Kubernetes 1.34 writes it.
    fn event() -> Value {
        json!({"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"a657789d","stage":"ResponseComplete",
            "requestURI":"/apis/apps/v1/namespaces/shop/deployments/web?fieldManager=kubectl-edit&fieldValidation=Strict","verb":"patch",
            "user":{"username":"admin","groups":["system:masters"]},"impersonatedUser":{"username":"ann"},"sourceIPs":["127.0.0.1"],
            "userAgent":"kubectl/v1.32.4 (linux/amd64) kubernetes/4cb5f07",
            "objectRef":{"resource":"deployments","namespace":"shop","name":"web","apiGroup":"apps","apiVersion":"v1"},
            "responseStatus":{"metadata":{},"code":200},
            "requestReceivedTimestamp":"2026-11-22T01:52:05.397109Z","stageTimestamp":"2026-11-22T01:52:05.401769Z"})
    }

    fn post(items: &[Value]) -> Posted {
        let list =
            json!({"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "metadata": {}, "items": items});
        parse(list.to_string().as_bytes(), &scope()).unwrap()
    }

    #[test]
    fn an_event_says_who_wrote_what_under_which_name() {
        let posted = post(&[event()]);
        let [one] = posted.recorded.as_slice() else { panic!("{posted:?}") };
        assert_eq!((one.user.as_str(), one.manager.as_str(), one.deed), ("ann", "kubectl-edit", Deed::Patch));
        assert_eq!(one.object.to_string(), "Deployment shop/web");
        let mut other = event();
        other["requestURI"] = json!("/apis/apps/v1/namespaces/shop/deployments/web");
        other["userAgent"] = json!("kustomize-controller/v1 (x)");
        other["responseObject"] =
            json!({"kind": "Deployment", "metadata": {"uid": "u", "resourceVersion": "9"}});
        let one = post(&[other]).recorded.remove(0);
        assert_eq!(
            (one.manager.as_str(), one.version.as_deref(), one.uid.as_deref()),
            ("kustomize-controller", Some("9"), Some("u"))
        );
    }

    #[test]
    fn failures_dry_runs_reads_and_status_are_passed_over() {
        let with = |key: &str, value: Value| {
            let mut event = event();
            event[key] = value;
            event
        };
        let status = json!({"resource": "deployments", "namespace": "shop", "name": "web", "apiGroup": "apps", "subresource": "status"});
        let posted = post(&[
            with("responseStatus", json!({"code": 409})),
            with("responseStatus", json!({"code": 403})),
            with("requestURI", json!("/x?dryRun=All&fieldManager=kubectl")),
            with("verb", json!("get")),
            with("stage", json!("ResponseStarted")),
            with("objectRef", status),
            with(
                "objectRef",
                json!({"resource": "leases", "apiGroup": "coordination.k8s.io", "namespace": "shop", "name": "x"}),
            ),
        ]);
        assert_eq!((posted.recorded.len(), posted.passed_over, posted.malformed), (0, 7, 0));
    }

    #[test]
    fn what_is_malformed_is_dropped_alone() {
        let posted = post(&[
            json!(1),
            json!({"verb": "patch"}),
            event(),
            json!({"apiVersion": "audit.k8s.io/v1beta1"}),
        ]);
        assert_eq!((posted.recorded.len(), posted.malformed), (1, 3));
    }

    #[test]
    fn lines_are_taken_too_and_anything_else_is_refused() {
        let lines = format!("{}\n{}\n\nnot json\n", event(), event());
        let posted = parse(lines.as_bytes(), &scope()).unwrap();
        assert_eq!((posted.recorded.len(), posted.malformed), (2, 1));
        assert_eq!(parse(b"hello", &scope()), Err(NoEvents::Neither));
        assert!(matches!(
            parse(b"{\"kind\": \"PodList\", \"items\": []}", &scope()),
            Err(NoEvents::Other(..))
        ));
    }
}
