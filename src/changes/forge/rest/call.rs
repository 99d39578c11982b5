//! One request, and its answer.

use http::{HeaderMap, Method, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use crate::changes::forge::ForgeError;

/// What happens when a request is carried out twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::changes::forge) enum Effect {
    /// The same as once.
    Same,
    /// There are two of something: it is not repeated before somebody has looked.
    Once,
}

#[derive(Clone, Debug)]
pub(in crate::changes::forge) struct Call {
    method: Method,
    /// Parts of the path; a slash inside one is escaped.
    path: Vec<String>,
    query: Vec<(&'static str, String)>,
    body: Option<Value>,
    effect: Effect,
    accepts: &'static str,
    largest: Option<usize>,
    /// An address beside the API's.
    instead: Option<Url>,
}

impl Call {
    pub(in crate::changes::forge) fn get<'p>(path: impl IntoIterator<Item = &'p str>) -> Self {
        Self::new(Method::GET, path, Effect::Same)
    }

    pub(in crate::changes::forge) fn new<'p>(
        method: Method,
        path: impl IntoIterator<Item = &'p str>,
        effect: Effect,
    ) -> Self {
        Self {
            method,
            path: path.into_iter().map(ToOwned::to_owned).collect(),
            query: Vec::new(),
            body: None,
            effect,
            accepts: "application/json",
            largest: None,
            instead: None,
        }
    }

    pub(in crate::changes::forge) fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.query.push((name, value.to_string()));
        self
    }

    pub(in crate::changes::forge) fn sending(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    /// For an answer that is no JSON, of at most so many bytes.
    pub(in crate::changes::forge) fn archive(mut self, largest: usize) -> Self {
        self.accepts = "*/*";
        self.largest = Some(largest);
        self
    }

    /// Sends it to this address; it must be of the configured host.
    pub(in crate::changes::forge) fn at(mut self, url: Url) -> Self {
        self.instead = Some(url);
        self
    }

    pub(super) fn url(&self, base: &Url) -> Option<Url> {
        let mut url = match &self.instead {
            Some(url) if url.origin() == base.origin() => url.clone(),
            Some(_) => return None,
            None => base.clone(),
        };
        url.path_segments_mut().ok()?.pop_if_empty().extend(&self.path);
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        Some(url)
    }

    /// What is asked for, in messages.
    pub(super) fn about(&self) -> String {
        format!("{} {}", self.method, self.path.join("/"))
    }

    pub(super) fn method(&self) -> &Method {
        &self.method
    }

    pub(super) fn body(&self) -> Option<&Value> {
        self.body.as_ref()
    }

    pub(super) fn effect(&self) -> Effect {
        self.effect
    }

    pub(super) fn accepts(&self) -> &'static str {
        self.accepts
    }

    pub(super) fn largest(&self, usual: usize) -> usize {
        self.largest.unwrap_or(usual)
    }
}

#[derive(Clone, Debug)]
pub(in crate::changes::forge) struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    pub(super) fn new(status: StatusCode, headers: HeaderMap, body: Vec<u8>) -> Self {
        Self { status, headers, body }
    }

    pub(in crate::changes::forge) fn status(&self) -> StatusCode {
        self.status
    }

    pub(in crate::changes::forge) fn is_success(&self) -> bool {
        self.status.is_success()
    }

    pub(in crate::changes::forge) fn is_missing(&self) -> bool {
        self.status == StatusCode::NOT_FOUND
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Whether another page follows this one of `count` items, when `so_far` have come in pages of at most `size`.
    pub(super) fn goes_on(&self, count: usize, so_far: usize, size: usize) -> bool {
        if count == 0 {
            return false;
        }
        if let Some(link) = self.header("link") {
            return link.contains("rel=\"next\"");
        }
        // Gitea's total is at some places that of the page alone. More than was asked for is all there is.
        let total = self.header("x-total-count").and_then(|total| total.parse::<usize>().ok());
        count == size || total.is_some_and(|total| so_far < total)
    }

    pub(in crate::changes::forge) fn bytes(self) -> Vec<u8> {
        self.body
    }

    /// # Errors
    /// When it is not what the API promises: probably something else than the forge answers there.
    pub(in crate::changes::forge) fn json<T: DeserializeOwned>(&self) -> Result<T, ForgeError> {
        serde_json::from_slice(&self.body).map_err(|error| {
            ForgeError::Unsupported(format!(
                "the forge answers what its API does not promise ({error}): check that forge.api is the address of its API"
            ))
        })
    }

    /// Why it is no success, in the forge's words. Not yet fit to be shown.
    pub(super) fn words(&self) -> String {
        let Ok(value) = serde_json::from_slice::<Value>(&self.body) else {
            return format!("HTTP {}", self.status);
        };
        let mut said: Vec<String> = Vec::new();
        for name in ["message", "error", "error_description"] {
            match value.get(name) {
                Some(Value::String(text)) if !text.is_empty() => said.push(text.clone()),
                // GitLab: a list of sentences, or lists of them by field.
                Some(other @ (Value::Array(_) | Value::Object(_))) => texts(other, &mut said),
                _ => {}
            }
        }
        if let Some(errors) = value.get("errors") {
            texts(errors, &mut said);
        }
        if said.is_empty() { format!("HTTP {}", self.status) } else { said.join(", ") }
    }
}

fn texts(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::String(text) => into.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| texts(item, into)),
        // GitHub's validation errors say it as message, or as a field and a code.
        Value::Object(fields) => match fields.get("message") {
            Some(message) => texts(message, into),
            None => fields.values().for_each(|field| texts(field, into)),
        },
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Why there is no answer to judge; each a sentence without its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::changes::forge) enum Trouble {
    /// The token is wrong or has no rights.
    Refused(String),
    /// Nothing was done.
    Down(String),
    /// It may have been done.
    Unsure(String),
    /// Nothing that asking again could help.
    Odd(String),
}

impl From<Trouble> for ForgeError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Refused(said) => Self::Refused(said),
            Trouble::Down(said) | Trouble::Unsure(said) => Self::Unavailable(said),
            Trouble::Odd(said) => Self::Unsupported(said),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use http::{HeaderMap, StatusCode};
    use url::Url;

    use super::{Answer, Call};

    #[test]
    fn paths_are_escaped_and_stay_below_the_api() {
        let base = Url::parse("https://x.example/lab/api/v4/").unwrap();
        let url = |call: Call| call.url(&base).map(String::from);
        assert_eq!(
            url(Call::get(["projects", "a/b c", "repository"]).with("refs[]", "x&y")).as_deref(),
            Some("https://x.example/lab/api/v4/projects/a%2Fb%20c/repository?refs%5B%5D=x%26y")
        );
        let graphql = Url::parse("https://x.example/api/graphql").unwrap();
        assert_eq!(url(Call::get([]).at(graphql)).as_deref(), Some("https://x.example/api/graphql"));
        let elsewhere = Url::parse("https://y.example/api/graphql").unwrap();
        assert_eq!(url(Call::get([]).at(elsewhere)), None);
    }

    #[test]
    fn each_forge_says_why_in_its_own_form() {
        let words = |body: &str| {
            Answer::new(StatusCode::UNPROCESSABLE_ENTITY, HeaderMap::new(), body.as_bytes().to_vec()).words()
        };
        for (body, says) in [
            (
                r#"{"message":"Validation Failed","errors":[{"resource":"PullRequest","code":"custom","message":"A pull request already exists for o:b."}]}"#,
                "Validation Failed, A pull request already exists for o:b.",
            ),
            (
                r#"{"message":["Another open merge request already exists for this source branch: !5"]}"#,
                "Another open merge request already exists for this source branch: !5",
            ),
            (r#"{"message":{"base":["is invalid"]}}"#, "is invalid"),
            (
                r#"{"message":"sha does not match [given: a, expected: b]","url":"https://x/api/swagger"}"#,
                "sha does not match [given: a, expected: b]",
            ),
            (
                r#"{"error":"invalid_token","error_description":"Token was revoked."}"#,
                "invalid_token, Token was revoked.",
            ),
            ("<html>", "HTTP 422 Unprocessable Entity"),
        ] {
            assert_eq!(words(body), says);
        }
    }
}
