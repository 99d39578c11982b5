//! Asks the API server whether it would take a change. Every request carries `dryRun=All` and is sent as an identity
//! that an admission policy lets do nothing else, see `manifests/dry-run.yaml`: nothing here can store anything.

use std::time::Duration;

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use kube::{Client, client::Body};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::cluster::{Reader, Resource};

/// Admission webhooks may take up to 30 s each; a change does not wait that long.
const DEADLINE: Duration = Duration::from_secs(15);
/// The object comes back; larger ones are not stored by any API server.
const LARGEST: usize = 4 << 20;
const QUERY: &str = "dryRun=All&fieldManager=pilothouse-dryrun&fieldValidation=Strict";

/// What the API server says of a write that it does not store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DryRunAnswer {
    Accepted {
        warnings: Vec<String>,
    },
    Refused {
        said: String,
    },
    /// It was not asked, or has not said.
    NotRun {
        why: String,
    },
}

/// Cheap to clone.
#[derive(Clone)]
pub struct DryRun {
    client: Client,
    /// The user to be; absent where the client is that user itself.
    user: Option<HeaderValue>,
    reader: Reader,
}

impl DryRun {
    /// `client` may impersonate this service account. `reader` says which kinds there are.
    ///
    /// # Errors
    /// One sentence, when the name cannot be one.
    pub fn impersonating(
        client: Client,
        namespace: &str,
        name: &str,
        reader: Reader,
    ) -> Result<Self, String> {
        let user = format!("system:serviceaccount:{namespace}:{name}");
        let user = HeaderValue::from_str(&user)
            .map_err(|_| format!("{namespace}/{name} cannot be the name of a service account"))?;
        Ok(Self { client, user: Some(user), reader })
    }

    /// `client` has credentials of its own for this and nothing else.
    pub fn with(client: Client, reader: Reader) -> Self {
        Self { client, user: None, reader }
    }

    /// Would the step from `before` to `after` be taken? Without `before`, or where the object is not there yet, it
    /// is to be created.
    pub async fn ask(&self, before: Option<&Value>, after: &Value) -> DryRunAnswer {
        let asked = tokio::time::timeout(DEADLINE, self.asked(before, after)).await;
        let seconds = DEADLINE.as_secs();
        asked
            .unwrap_or_else(|_| Err(format!("the API server has not answered within {seconds} s")))
            .unwrap_or_else(|why| DryRunAnswer::NotRun { why })
    }

    async fn asked(&self, before: Option<&Value>, after: &Value) -> Result<DryRunAnswer, String> {
        let kinds = self.reader.kinds().await.map_err(|error| error.to_string())?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (version, kind) = (text(&after["apiVersion"]), text(&after["kind"]));
        let (group, version) = version.rsplit_once('/').unwrap_or(("", &version));
        let Some(known) = kinds.of_kind(group, &kind) else {
            return Ok(DryRunAnswer::Refused { said: format!("the cluster has no kind {kind} in group {group:?}") });
        };
        let resource = Resource { version: version.to_owned(), ..known.clone() };
        let namespace = after["metadata"]["namespace"].as_str();
        if resource.namespaced && namespace.is_none() {
            return Err(format!("the manifest of this {kind} names no namespace"));
        }
        if let Some(before) = before {
            let name = text(&after["metadata"]["name"]);
            let path = resource.path(namespace, Some(&name)).map_err(|error| error.to_string())?;
            let Some(patch) = difference(before, after) else {
                return Ok(DryRunAnswer::Accepted { warnings: Vec::new() });
            };
            let answer = self.send(Method::PATCH, &path, "application/merge-patch+json", &patch).await?;
            if answer.status != StatusCode::NOT_FOUND {
                return Ok(answer.judged());
            }
        }
        let path = resource.path(namespace, None).map_err(|error| error.to_string())?;
        Ok(self.send(Method::POST, &path, "application/json", after).await?.judged())
    }

    async fn send(&self, method: Method, path: &str, content: &str, body: &Value) -> Result<Told, String> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{path}?{QUERY}"))
            .header(header::CONTENT_TYPE, content)
            .header(header::ACCEPT, "application/json");
        if let Some(user) = &self.user {
            request = request.header("impersonate-user", user);
        }
        let request = request
            .body(Body::from(body.to_string().into_bytes()))
            .map_err(|error| format!("the request cannot be made ({error})"))?;
        let response = self.client.send(request).await.map_err(|error| error.to_string())?;
        Told::read(response).await
    }
}

/// A merge patch that leads from one object to the other; none when they are the same. What the live object has
/// beside what was rendered stays.
fn difference(before: &Value, after: &Value) -> Option<Value> {
    let (Value::Object(before), Value::Object(after)) = (before, after) else {
        return (before != after).then(|| after.clone());
    };
    let mut patch = Map::new();
    for (key, new) in after {
        let old = before.get(key).unwrap_or(&Value::Null);
        if let Some(step) = difference(old, new) {
            patch.insert(key.clone(), step);
        }
    }
    for key in before.keys().filter(|key| !after.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

/// An answer of the API server.
struct Told {
    status: StatusCode,
    warnings: Vec<String>,
    /// Of a refusal.
    message: String,
}

impl Told {
    async fn read(response: Response<Body>) -> Result<Self, String> {
        #[derive(Default, Deserialize)]
        struct Refusal {
            #[serde(default)]
            message: String,
        }
        let status = response.status();
        let all = response.headers().get_all(header::WARNING);
        let warnings = all.iter().filter_map(|value| value.to_str().ok()).map(warning).collect();
        let body = Limited::new(response.into_body(), LARGEST).collect().await;
        let body = body.map_err(|error| format!("its answer cannot be read ({error})"))?.to_bytes();
        let refusal: Refusal = serde_json::from_slice(&body).unwrap_or_default();
        let message = if refusal.message.is_empty() { status.to_string() } else { refusal.message };
        Ok(Self { status, warnings, message })
    }

    fn judged(self) -> DryRunAnswer {
        let Self { status, warnings, message } = self;
        // The rights of the identity say nothing of the change.
        let has_no_right = status == StatusCode::FORBIDDEN
            && [" cannot patch resource ", " cannot create resource ", " cannot impersonate "]
                .iter()
                .any(|words| message.contains(words));
        let cannot_be_asked = message.contains("does not support dry run");
        match status {
            _ if status.is_success() => DryRunAnswer::Accepted { warnings },
            _ if has_no_right || cannot_be_asked => DryRunAnswer::NotRun { why: message },
            StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS => DryRunAnswer::NotRun { why: message },
            _ if status.is_server_error() && !message.contains("denied") => DryRunAnswer::NotRun { why: message },
            _ => DryRunAnswer::Refused { said: message },
        }
    }
}

/// `299 - "text"` without what is for machines.
fn warning(header: &str) -> String {
    let text = header.split_once('"').map_or(header, |(_, text)| text);
    text.trim_end_matches('"').replace("\\\"", "\"")
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use serde_json::json;

    use super::{DryRunAnswer, Told, difference, warning};

    #[test]
    fn only_the_step_is_asked_for() {
        let before = json!({ "metadata": { "name": "web" }, "spec": { "replicas": 1, "paused": true, "args": ["a"] } });
        let after = json!({ "metadata": { "name": "web" }, "spec": { "replicas": 2, "args": ["a", "b"] } });
        assert_eq!(
            difference(&before, &after),
            Some(json!({ "spec": { "replicas": 2, "args": ["a", "b"], "paused": null } }))
        );
        assert_eq!(difference(&before, &before), None);
    }

    #[test]
    fn missing_rights_are_no_refusal_of_the_change() {
        let told = |status, message: &str| {
            Told { status, warnings: Vec::new(), message: message.to_owned() }.judged()
        };
        let rbac = "deployments.apps \"web\" is forbidden: User \"x\" cannot patch resource \"deployments\" in API group \"apps\"";
        assert!(matches!(told(StatusCode::FORBIDDEN, rbac), DryRunAnswer::NotRun { .. }));
        let quota = "pods \"web\" is forbidden: exceeded quota: pods, requested: pods=1, used: pods=1, limited: pods=1";
        assert!(matches!(told(StatusCode::FORBIDDEN, quota), DryRunAnswer::Refused { .. }));
        assert!(matches!(told(StatusCode::UNPROCESSABLE_ENTITY, "immutable"), DryRunAnswer::Refused { .. }));
        assert!(matches!(told(StatusCode::SERVICE_UNAVAILABLE, "down"), DryRunAnswer::NotRun { .. }));
        assert!(matches!(told(StatusCode::OK, ""), DryRunAnswer::Accepted { .. }));
        let webhook = "admission webhook \"a.b\" does not support dry run";
        assert!(matches!(told(StatusCode::BAD_REQUEST, webhook), DryRunAnswer::NotRun { .. }));
    }

    #[test]
    fn warnings_are_read_as_people_do() {
        assert_eq!(warning("299 - \"unknown field \\\"spec.x\\\"\""), "unknown field \"spec.x\"");
    }
}
