//! The proxy's own API: `/v1/mcp/server`.

use std::fmt;

use k8s_openapi::api::core::v1::Secret;
use kube::{Api as KubeApi, Client as KubeClient};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Map, Value, json};
use url::Url;

use super::{
    config::{KeySecretRef, KeySource},
    entry::{Dialect, Entry, Mark, Present},
    plan::{Failure, Step},
};
use crate::redact;

const SERVERS: &str = "v1/mcp/server";
/// More of an answer is not read.
const LARGEST: usize = 16 << 20;
/// Of what the proxy says when it refuses.
const SAID: usize = 300;

/// Nothing of it is shown.
#[derive(Clone)]
pub(super) struct Key(String);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

/// The proxy, for one look.
pub(super) struct Proxy<'a> {
    pub(super) base: &'a Url,
    pub(super) http: &'a Client,
    pub(super) key: Key,
}

/// Read anew each time, since keys are exchanged.
pub(super) async fn key(source: &KeySource, client: &KubeClient) -> Result<Key, Failure> {
    let text = match source {
        KeySource::File(path) => tokio::fs::read_to_string(path).await.map_err(|error| {
            Failure::refused(format!(
                "The file {} with the LiteLLM proxy's key (operator.litellm.api.keyFile) cannot be read: {error}",
                path.display()
            ))
        })?,
        KeySource::Secret(KeySecretRef { namespace, name, key }) => {
            let secret = KubeApi::<Secret>::namespaced(client.clone(), namespace).get_opt(name).await;
            let secret = secret.map_err(|error| super::config_map::failure("read", "Secret", namespace, name, &error))?;
            let value = secret.and_then(|secret| secret.data?.remove(key));
            let value = value.ok_or_else(|| {
                Failure::refused(format!(
                    "Secret {namespace}/{name} with the key `{key}`, which operator.litellm.api.keySecretRef names, does not exist: make it with the key of a proxy admin"
                ))
            })?;
            String::from_utf8(value.0).map_err(|_| {
                Failure::refused(format!("The key `{key}` of Secret {namespace}/{name} is no text: write the proxy's key into it"))
            })?
        }
    };
    let key = text.trim().to_owned();
    if key.is_empty() || key.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(Failure::refused(
            "The LiteLLM proxy's key that operator.litellm.api names is empty or more than one word: write the key of a proxy admin there".to_owned(),
        ));
    }
    Ok(Key(key))
}

impl Proxy<'_> {
    pub(super) async fn entries(&self) -> Result<Vec<Present>, Failure> {
        let answer = self.send(Method::GET, SERVERS, None).await?;
        let Value::Array(servers) = answer else {
            return Err(self.refuses(
                "it answers no list of servers: operator.litellm.api.url must be that of a LiteLLM proxy",
            ));
        };
        Ok(servers.into_iter().filter_map(present).collect())
    }

    pub(super) async fn make(&self, step: &Step, owner: &str) -> Result<(), Failure> {
        let mark =
            |server: &crate::fleet::ServerName| Mark { owner: owner.to_owned(), server: server.clone() };
        match step {
            Step::Create { server, entry } => {
                self.send(Method::POST, SERVERS, Some(body(entry, &mark(server), None))).await.map(drop)
            }
            Step::Update { server, present, entry } => self
                .send(Method::PUT, SERVERS, Some(body(entry, &mark(server), Some(present))))
                .await
                .map(drop),
            Step::Delete { server: _, present } => {
                let id: String =
                    percent_encoding::utf8_percent_encode(&present.id, percent_encoding::NON_ALPHANUMERIC)
                        .to_string();
                match self.request(Method::DELETE, &format!("{SERVERS}/{id}"), None).await? {
                    // Somebody was faster.
                    (StatusCode::NOT_FOUND, _) => Ok(()),
                    (status, said) => self.judged(status, &said).map(drop),
                }
            }
        }
    }

    async fn send(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value, Failure> {
        let (status, said) = self.request(method, path, body).await?;
        self.judged(status, &said)?;
        if said.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&said).map_err(|_| {
            self.refuses("it answers something that is no JSON: operator.litellm.api.url must be that of a LiteLLM proxy")
        })
    }

    async fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<(StatusCode, Vec<u8>), Failure> {
        let url = self.base.join(path).map_err(|error| self.unreachable(&error.to_string()))?;
        let mut request = self.http.request(method, url).bearer_auth(&self.key.0);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let mut response = request.send().await.map_err(|error| self.unreachable(&reason(&error)))?;
        let status = response.status();
        let mut said = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|error| self.unreachable(&reason(&error)))? {
            if said.len() + piece.len() > LARGEST {
                return Err(self.unreachable("its answer is larger than 16 MiB"));
            }
            said.extend_from_slice(&piece);
        }
        Ok((status, said))
    }

    fn judged(&self, status: StatusCode, said: &[u8]) -> Result<(), Failure> {
        match status {
            status if status.is_success() => Ok(()),
            // What it says then may hold parts of the key.
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(self
                    .refuses(&format!("it does not take the key ({status}): give it that of a proxy admin")))
            }
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
                Err(self.unreachable(&format!("it answers {status}")))
            }
            status => Err(self.refuses(&format!("{status}: {}", self.words(said)))),
        }
    }

    /// Why, in the proxy's words.
    fn words(&self, said: &[u8]) -> String {
        let value: Value = serde_json::from_slice(said).unwrap_or_default();
        let places = ["/detail/error", "/error/message", "/detail", "/error"];
        let found = places.iter().find_map(|place| value.pointer(place)?.as_str().map(str::to_owned));
        let words = found.unwrap_or_else(|| String::from_utf8_lossy(said).into_owned());
        redact::shown(&words.replace(&self.key.0, "(the key)")).chars().take(SAID).collect()
    }

    fn unreachable(&self, reason: &str) -> Failure {
        Failure::unreachable(format!("The LiteLLM proxy at {} cannot be reached: {reason}", self.base))
    }

    fn refuses(&self, reason: &str) -> Failure {
        Failure::refused(format!("The LiteLLM proxy at {} refuses: {reason}", self.base))
    }
}

/// One of the proxy's list. What it read from its own file cannot be changed by the API and is never ours.
fn present(server: Value) -> Option<Present> {
    let Value::Object(mut fields) = server else { return None };
    let is_fixed = fields.get("is_config").and_then(Value::as_bool) == Some(true);
    if is_fixed {
        fields.remove("mcp_info");
    }
    let text = |key: &str| fields.get(key).and_then(Value::as_str).map(str::to_owned);
    let id = text("server_id")?;
    // Older ones call it `alias` alone.
    let name = text("server_name").or_else(|| text("alias")).unwrap_or_default();
    Some(Present::new(id, name, fields))
}

fn body(entry: &Entry, mark: &Mark, before: Option<&Present>) -> Value {
    let mut body: Map<String, Value> = entry.fields(mark, Dialect::Api, before);
    body.insert("server_name".to_owned(), json!(entry.name));
    if let Some(before) = before {
        body.insert("server_id".to_owned(), json!(before.id));
    }
    Value::Object(body)
}

/// The innermost cause: the outer ones repeat the address.
fn reason(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    if innermost.to_string().is_empty() { error.to_string() } else { innermost.to_string() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use reqwest::{Client, StatusCode};
    use serde_json::json;
    use url::Url;

    use super::{Key, Proxy, present};
    use crate::operator::litellm::plan::FailureKind;

    fn judged(status: u16, said: &str) -> (FailureKind, String) {
        let base = Url::parse("http://litellm.llm.svc:4000/").unwrap();
        let proxy = Proxy { base: &base, http: &Client::new(), key: Key("sk-of-the-master".to_owned()) };
        let failure = proxy.judged(StatusCode::from_u16(status).unwrap(), said.as_bytes()).unwrap_err();
        (failure.kind, failure.message)
    }

    #[test]
    fn a_refusal_is_told_in_the_proxys_words_and_never_with_the_key() {
        let (kind, message) =
            judged(400, r#"{"detail": {"error": "An MCP server with alias 'demo' already exists"}}"#);
        assert_eq!(kind, FailureKind::Refused);
        assert!(message.contains("litellm.llm.svc") && message.contains("alias 'demo' already"), "{message}");
        let (_, message) = judged(401, r#"{"error": {"message": "Received API Key = sk-of-the-master"}}"#);
        assert!(message.contains("proxy admin") && !message.contains("sk-of"), "{message}");
        let (_, message) = judged(500, "oops sk-of-the-master");
        assert!(message.contains("oops") && !message.contains("sk-of"), "{message}");
        assert_eq!(judged(503, "").0, FailureKind::Unreachable);
    }

    #[test]
    fn what_the_proxy_read_from_its_file_is_not_ours() {
        let info = json!({ "pilothouse": { "owner": "pilothouse", "server": "a/demo" } });
        let server = json!({ "server_id": "1", "server_name": "demo", "mcp_info": info });
        assert!(present(server.clone()).unwrap().mark.is_some());
        let mut fixed = server;
        fixed["is_config"] = json!(true);
        assert!(present(fixed).unwrap().mark.is_none());
        assert!(present(json!("?")).is_none());
    }
}
