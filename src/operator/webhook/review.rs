//! What the API server asks, and how it is answered. Plain values: needs no client.

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};

use super::config::References;
use crate::{
    api::{DataSource, GROUP, MCPPool, MCPServer},
    operator::{field_error::FieldError, mcp_server::Objections},
};

const VERSION: &str = "admission.k8s.io/v1";
const KIND: &str = "AdmissionReview";

/// Why a request is no question of an API server.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    #[error("the body is not JSON of an AdmissionReview ({0}): only an API server asks here")]
    Json(String),
    #[error("the body is {0:?} of {1:?}, not {KIND} of {VERSION}: only an API server asks here")]
    Kind(String, String),
    #[error("the AdmissionReview holds no request: only an API server asks here")]
    NoRequest,
}

/// One question.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Review {
    uid: String,
    kind: String,
    name: String,
    pub(super) about: About,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum About {
    Server {
        server: Box<MCPServer>,
        before: Option<Box<MCPServer>>,
    },
    Pool(Box<MCPPool>),
    Source(Box<DataSource>),
    /// Nothing is looked at; why, for whoever stores it.
    Nothing(Option<String>),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    request: Option<Request>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    uid: String,
    kind: Kind,
    #[serde(default)]
    name: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    operation: String,
    #[serde(default)]
    object: Value,
    #[serde(default)]
    old_object: Value,
}

#[derive(Deserialize)]
struct Kind {
    #[serde(default)]
    group: String,
    #[serde(default)]
    kind: String,
}

impl Review {
    /// # Errors
    /// When it is no AdmissionReview with a request.
    pub(super) fn parse(body: &[u8]) -> Result<Self, Malformed> {
        let Body { api_version, kind, request } =
            serde_json::from_slice(body).map_err(|error| Malformed::Json(error.to_string()))?;
        if (api_version.as_str(), kind.as_str()) != (VERSION, KIND) {
            return Err(Malformed::Kind(kind, api_version));
        }
        let Request { uid, kind, name, namespace, operation, object, old_object } =
            request.ok_or(Malformed::NoRequest)?;
        let stores = matches!(operation.as_str(), "CREATE" | "UPDATE");
        let about = match (kind.group.as_str(), kind.kind.as_str()) {
            _ if !stores || object.is_null() => About::Nothing(None),
            (GROUP, "MCPServer") => read(object, &namespace).map_or_else(unread, |server| {
                let before = read(old_object, &namespace).ok();
                About::Server { server, before }
            }),
            (GROUP, "MCPPool") => read(object, &namespace).map_or_else(unread, About::Pool),
            (GROUP, "DataSource") => read(object, &namespace).map_or_else(unread, About::Source),
            (group, kind) => About::Nothing(Some(format!(
                "pilothouse knows nothing of {kind}.{group}: take it out of the ValidatingWebhookConfiguration"
            ))),
        };
        Ok(Self { uid, kind: kind.kind, name, about })
    }

    /// The answer as the API server wants it.
    pub(super) fn answer(&self, verdict: &Verdict) -> Value {
        let Verdict { causes, warnings } = verdict;
        let mut response = json!({ "uid": self.uid, "allowed": causes.is_empty() });
        if !warnings.is_empty() {
            response["warnings"] = json!(warnings);
        }
        if !causes.is_empty() {
            response["status"] = self.refusal(causes);
        }
        json!({ "apiVersion": VERSION, "kind": KIND, "response": response })
    }

    /// A Status as the API server itself writes it for an object that it finds invalid.
    fn refusal(&self, causes: &[FieldError]) -> Value {
        let said = match causes {
            [one] => one.to_string(),
            many => format!("[{}]", many.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
        };
        let (kind, name) = (&self.kind, &self.name);
        json!({
            "apiVersion": "v1",
            "kind": "Status",
            "status": "Failure",
            "code": 422,
            "reason": "Invalid",
            "message": format!("{kind}.{GROUP} {name:?} is invalid: {said}"),
            "details": {
                "name": name,
                "group": GROUP,
                "kind": kind,
                "causes": causes.iter().map(|cause| json!({
                    "reason": cause.problem.reason(),
                    "message": cause.message(),
                    "field": cause.field,
                })).collect::<Vec<_>>(),
            },
        })
    }
}

/// The namespace of the request holds: the object may name none.
fn read<K: DeserializeOwned>(mut object: Value, namespace: &str) -> Result<Box<K>, serde_json::Error> {
    if object["metadata"].is_object() {
        object["metadata"]["namespace"] = json!(namespace);
    }
    serde_json::from_value(object).map(Box::new)
}

/// The schema let it pass, so it is of a later version: whoever stores it is told.
fn unread(error: serde_json::Error) -> About {
    About::Nothing(Some(format!("pilothouse cannot read it, so only the schema was checked: {error}")))
}

/// What is said to a question.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Empty: it may be stored.
    pub(super) causes: Vec<FieldError>,
    pub(super) warnings: Vec<String>,
}

impl Verdict {
    pub(super) fn of(objections: Objections, references: References) -> Self {
        let Objections { refused, missing, noted } = objections;
        let (causes, told) = match references {
            References::Warn => (refused, [missing, noted].concat()),
            References::Deny => ([refused, missing].concat(), noted),
        };
        Self { causes, warnings: told.iter().map(ToString::to_string).collect() }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::{Value, json};

    use super::{About, Malformed, References, Review, Verdict};
    use crate::operator::{
        field_error::{FieldError, Problem},
        mcp_server::Objections,
    };

    fn asked(kind: &str, operation: &str, object: Value) -> Review {
        let group = "pilothouse.dev";
        let body = json!({
            "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
            "request": {
                "uid": "u-1", "name": "demo", "namespace": "team-a", "operation": operation,
                "kind": {"group": group, "version": "v1alpha1", "kind": kind},
                "object": object, "oldObject": null, "userInfo": {}, "options": {}, "dryRun": true,
            },
        });
        Review::parse(body.to_string().as_bytes()).unwrap()
    }

    fn server(spec: Value) -> Value {
        json!({"apiVersion": "pilothouse.dev/v1alpha1", "kind": "MCPServer", "metadata": {"name": "demo"}, "spec": spec})
    }

    fn objections() -> Objections {
        let error = |field: &str| FieldError::new(field, Problem::NotFound("a".to_owned()), "create it");
        Objections {
            refused: vec![error("spec.b")],
            missing: vec![error("spec.c")],
            noted: vec![error("spec.d")],
        }
    }

    #[test]
    fn what_no_api_server_sends_is_told_so() {
        let cases: [(&[u8], &str); 6] = [
            (b"", "not JSON"),
            (b"{\"apiVersion\": ", "not JSON"),
            (b"[1]", "not JSON"),
            (b"{}", "\"\" of \"\", not AdmissionReview of admission.k8s.io/v1"),
            (b"{\"apiVersion\": \"admission.k8s.io/v1beta1\", \"kind\": \"AdmissionReview\"}", "v1beta1"),
            (b"{\"apiVersion\": \"admission.k8s.io/v1\", \"kind\": \"AdmissionReview\"}", "no request"),
        ];
        for (body, expected) in cases {
            let said = Review::parse(body).unwrap_err().to_string();
            assert!(said.contains(expected), "{said}");
        }
        let deep = "[".repeat(100_000);
        assert!(matches!(Review::parse(deep.as_bytes()), Err(Malformed::Json(_))));
    }

    #[test]
    fn what_is_not_ours_or_cannot_be_read_passes_with_a_word() {
        let warning = |review: Review| match review.about {
            About::Nothing(warning) => warning,
            other => panic!("{other:?}"),
        };
        assert_eq!(warning(asked("MCPServer", "DELETE", Value::Null)), None);
        assert_eq!(warning(asked("MCPServer", "CREATE", Value::Null)), None);
        assert!(
            warning(asked("MCPServer", "CREATE", json!({"spec": 1}))).unwrap().contains("cannot read it")
        );
        assert!(warning(asked("MCPServer", "CREATE", json!("text"))).unwrap().contains("cannot read it"));
        assert!(warning(asked("Pod", "CREATE", json!({}))).unwrap().contains("Pod.pilothouse.dev"));
    }

    #[test]
    fn the_namespace_is_that_of_the_request() {
        let About::Server { server, before } =
            asked("MCPServer", "UPDATE", server(json!({"image": "a"}))).about
        else {
            panic!("a server was expected")
        };
        assert_eq!(server.metadata.namespace.as_deref(), Some("team-a"));
        assert_eq!(before, None);
    }

    #[test]
    fn what_may_come_later_is_warned_of_or_refused() {
        let warned = Verdict::of(objections(), References::Warn);
        assert_eq!(warned.causes.len(), 1);
        assert_eq!(
            warned.warnings,
            ["spec.c: Not found: \"a\": create it", "spec.d: Not found: \"a\": create it"]
        );
        let denied = Verdict::of(objections(), References::Deny);
        assert_eq!((denied.causes.len(), denied.warnings.len()), (2, 1));
    }

    #[test]
    fn a_refusal_is_the_status_that_an_api_server_gives_and_holds_everything() {
        let review = asked("MCPServer", "CREATE", server(json!({"image": "a"})));
        let answer = review.answer(&Verdict::of(objections(), References::Deny));
        let response = &answer["response"];
        assert_eq!((&response["uid"], &response["allowed"]), (&json!("u-1"), &json!(false)));
        let status = &response["status"];
        assert_eq!((&status["code"], &status["reason"]), (&json!(422), &json!("Invalid")));
        assert_eq!(
            status["message"],
            "MCPServer.pilothouse.dev \"demo\" is invalid: [spec.b: Not found: \"a\": create it, spec.c: Not found: \"a\": create it]"
        );
        assert_eq!(
            status["details"]["causes"][1],
            json!({"reason": "FieldValueNotFound", "message": "Not found: \"a\": create it", "field": "spec.c"})
        );
        assert_eq!(review.answer(&Verdict::default())["response"], json!({"uid": "u-1", "allowed": true}));
    }
}
