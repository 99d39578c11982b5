//! What the API server asks the webhook before it stores something: who wants what in place of what. Only digests are
//! kept of the contents, so that a sighting holds no value and may go from replica to replica.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    content::{content, fingerprint},
    scope::Scope,
    write::ObjectRef,
};

/// One question, for something in scope that would be stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Asked {
    pub(super) at: Timestamp,
    /// The API server's own id of the question.
    pub(super) review: String,
    pub(super) object: ObjectRef,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) uid: Option<String>,
    pub(super) user: String,
    /// The version that it was to replace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) before: Option<String>,
    /// Of the content that it was to replace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) found: Option<String>,
    pub(super) wanted: Wanted,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Wanted {
    /// Its fingerprint.
    Content(String),
    /// By the subresource `scale`, which shows nothing else of the object.
    Replicas(i64),
    Gone,
}

#[derive(Deserialize)]
struct Body {
    request: Request,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    uid: String,
    resource: Plural,
    #[serde(default)]
    sub_resource: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    namespace: String,
    operation: String,
    user_info: User,
    #[serde(default)]
    object: Value,
    #[serde(default)]
    old_object: Value,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Deserialize)]
struct Plural {
    #[serde(default)]
    group: String,
    resource: String,
}

#[derive(Deserialize)]
struct User {
    #[serde(default)]
    username: String,
}

impl Asked {
    /// `None` for what is out of scope, a dry run, or about nothing that people write.
    ///
    /// # Errors
    /// When it is no AdmissionReview.
    pub(super) fn parse(
        body: &[u8],
        scope: &Scope,
        now: Timestamp,
    ) -> Result<Option<Self>, serde_json::Error> {
        let Body { request } = serde_json::from_slice(body)?;
        let Request {
            uid: review,
            resource: Plural { group, resource },
            sub_resource,
            name,
            namespace,
            operation,
            user_info: User { username: user },
            object,
            old_object,
            dry_run,
        } = request;
        if dry_run {
            return Ok(None);
        }
        let wanted = match (operation.as_str(), sub_resource.as_str()) {
            ("CREATE" | "UPDATE", "") => Wanted::Content(fingerprint(&content(&object).to_string())),
            ("UPDATE", "scale") => Wanted::Replicas(object["spec"]["replicas"].as_i64().unwrap_or_default()),
            ("DELETE", "") => Wanted::Gone,
            _ => return Ok(None),
        };
        let of = |object: &Value, key: &str| object["metadata"][key].as_str().map(str::to_owned);
        // Deletes of a whole collection name each object only here.
        let named = Some(name).filter(|name| !name.is_empty());
        let named = named.or_else(|| of(&object, "name")).or_else(|| of(&old_object, "name"));
        let Some(name) = named else { return Ok(None) };
        let Some(about) = scope.object(&group, &resource, Some(&namespace), &name) else { return Ok(None) };
        let found = (sub_resource.is_empty() && old_object.is_object())
            .then(|| fingerprint(&content(&old_object).to_string()));
        Ok(Some(Self {
            at: now,
            review,
            object: about,
            uid: of(&old_object, "uid").or_else(|| of(&object, "uid")),
            user,
            before: of(&old_object, "resourceVersion"),
            found,
            wanted,
        }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use jiff::Timestamp;
    use serde_json::{Value, json};

    use super::{Asked, Wanted};
    use crate::changes::capture::joiner_fixture::scope;

    fn parse(request: &Value) -> Option<Asked> {
        let body = json!({ "request": request }).to_string();
        Asked::parse(body.as_bytes(), &scope(), Timestamp::UNIX_EPOCH).unwrap()
    }

    fn request(operation: &str) -> Value {
        json!({
            "uid": "r1", "kind": {"group": "apps", "version": "v1", "kind": "Deployment"},
            "resource": {"group": "apps", "version": "v1", "resource": "deployments"},
            "name": "web", "namespace": "shop", "operation": operation, "userInfo": {"username": "ann", "groups": ["g"]},
            "object": {"metadata": {"name": "web", "uid": "u", "resourceVersion": "6"}, "spec": {"replicas": 2}},
            "oldObject": {"metadata": {"name": "web", "uid": "u", "resourceVersion": "6"}, "spec": {"replicas": 1}},
            "dryRun": false })
    }

    #[test]
    fn a_question_says_who_wants_what_in_place_of_what_and_holds_no_value() {
        let asked = parse(&request("UPDATE")).unwrap();
        assert_eq!(
            (asked.user.as_str(), asked.before.as_deref(), asked.uid.as_deref()),
            ("ann", Some("6"), Some("u"))
        );
        assert!(matches!(&asked.wanted, Wanted::Content(wanted) if Some(wanted) != asked.found.as_ref()));
        let told = serde_json::to_string(&asked).unwrap();
        assert!(!told.contains("replicas\":2"), "{told}");
        assert_eq!(serde_json::from_str::<Asked>(&told).unwrap(), asked);
    }

    #[test]
    fn scale_says_a_number_and_delete_nothing() {
        let mut scale = request("UPDATE");
        scale["subResource"] = json!("scale");
        assert_eq!(parse(&scale).unwrap().wanted, Wanted::Replicas(2));
        let mut delete = request("DELETE");
        delete["object"] = Value::Null;
        delete["name"] = json!("");
        let asked = parse(&delete).unwrap();
        assert_eq!((asked.wanted, asked.object.name.as_str()), (Wanted::Gone, "web"));
    }

    #[test]
    fn dry_runs_other_kinds_and_other_subresources_are_nothing() {
        let with = |key: &str, value: Value| {
            let mut request = request("UPDATE");
            request[key] = value;
            parse(&request)
        };
        assert!(with("dryRun", json!(true)).is_none());
        assert!(with("subResource", json!("status")).is_none());
        assert!(with("operation", json!("CONNECT")).is_none());
        assert!(with("resource", json!({"group": "", "version": "v1", "resource": "pods"})).is_none());
        assert!(Asked::parse(b"{}", &scope(), Timestamp::UNIX_EPOCH).is_err());
    }
}
