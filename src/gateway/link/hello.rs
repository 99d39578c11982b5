//! The handshake over Streamable HTTP: `server/discover` or `initialize`, as text beside rmcp, which would keep a task
//! and channels of some 100 KB for each connection from then on.

use std::sync::{Arc, OnceLock};

use http::{HeaderMap, HeaderValue};
use reqwest::Response;
use rmcp::model::{
    ClientConfig, DiscoverResult, ErrorCode, InitializeResult, ProtocolVersion, ServerPeerInfo,
};
use serde_json::json;
use tokio::sync::mpsc;

use super::{
    Fault,
    ear::Teller,
    http::{HttpWay, SESSION},
};
use crate::gateway::wire::{
    Era, Raw, RpcError,
    eras::{self, Spoken},
    headers::{self, PROTOCOL_VERSION},
    table::{Table, Unanswered, request},
    text::{Fields, Head, raw},
};

/// The server does not speak the revision of a request, and says in `data.supported` which ones it does.
const UNSUPPORTED_VERSION: i32 = ErrorCode::UNSUPPORTED_PROTOCOL_VERSION.0;

/// A message without an answer.
const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// Who says hello, and over what.
pub(super) struct Hello<'a> {
    pub(super) table: &'a Arc<Table>,
    pub(super) teller: &'a Teller,
    pub(super) us: ClientConfig,
}

impl Hello<'_> {
    /// As the modern era does: there is no session.
    ///
    /// # Errors
    /// One sentence: why it is no modern server.
    pub(super) async fn discover(&self, way: &mut HttpWay) -> Result<ServerPeerInfo, String> {
        let spoken = Spoken { era: Era::Modern, version: ProtocolVersion::LATEST.to_string() };
        speak(way, &spoken.version);
        let said = raw(&json!({ "_meta": {
            "io.modelcontextprotocol/clientCapabilities": self.us.capabilities,
            "io.modelcontextprotocol/clientInfo": self.us.client_info,
        } }));
        let prepared = eras::params(Some(&said), Era::Modern, &spoken, "").map_err(Refused::Error)?;
        let mut asked = self.ask(way, "server/discover", prepared.params.clone()).await;
        // It may have meant a request of an earlier time: what it says it speaks counts.
        if matches!(&asked, Err(Refused::Error(error)) if names(error, &spoken.version)) {
            asked = self.ask(way, "server/discover", prepared.params).await;
        }
        let (result, _) = asked?;
        let result: DiscoverResult =
            serde_json::from_str(result.get()).map_err(|_| shapeless("server/discover"))?;
        if !result.supported_versions.contains(&ProtocolVersion::LATEST) {
            return Err("it speaks no revision of MCP that we speak".to_owned());
        }
        Ok(ServerPeerInfo::from_discover_result(ProtocolVersion::LATEST, result))
    }

    /// As the legacy era does. The session that the server opened is noted in `way`.
    ///
    /// # Errors
    /// One sentence: why it is no legacy server.
    pub(super) async fn initialize(&self, way: &mut HttpWay) -> Result<ServerPeerInfo, String> {
        let (result, session) = self.ask(way, "initialize", Some(raw(&self.us))).await?;
        let result: InitializeResult =
            serde_json::from_str(result.get()).map_err(|_| shapeless("initialize"))?;
        way.session = session;
        speak(way, result.protocol_version.as_str());
        let accepted =
            way.send(HeaderMap::new(), INITIALIZED.to_owned()).await.map_err(|fault| failed(&fault))?;
        if !accepted.status().is_success() {
            let status = accepted.status().as_u16();
            return Err(format!(
                "the handshake failed: notifications/initialized was answered by HTTP {status}"
            ));
        }
        Ok(result.into())
    }

    /// The result of a request, and the name of the session that came with it.
    async fn ask(
        &self,
        way: &HttpWay,
        method: &str,
        params: Option<Raw>,
    ) -> Result<(Raw, Option<Arc<str>>), Refused> {
        let token = self.table.token();
        let text = request(&token, method, params.as_ref());
        let headers = match way.era {
            Era::Modern => Head::parse(&text)
                .map(|head| headers::of_request(&head, None).into_iter().collect())
                .unwrap_or_default(),
            Era::Legacy => HeaderMap::new(),
        };
        let call = self
            .table
            .open(token.clone(), None)
            .map_err(|ended| Refused::Fault(Unanswered::from(ended).into()))?;
        let session = OnceLock::new();
        let feed = async {
            let response = way.send(headers, text).await?;
            if let Some(named) = session_of(&response) {
                // It is asked once.
                let _ = session.set(named);
            }
            way.receive(self.table, self.teller, &token, response).await
        };
        // What it asks before it has answered is refused.
        let (up, _) = mpsc::channel(1);
        let silent = || Fault::Ended("it closed the answer's stream without an answer".to_owned());
        match Box::pin(call.settle(&up, feed, silent)).await {
            Ok(Ok(result)) => {
                self.table.greeted_with(&result);
                Ok((result, session.into_inner()))
            }
            Ok(Err(error)) => Err(Refused::Error(error)),
            Err(fault) => Err(Refused::Fault(fault)),
        }
    }
}

/// From now on in this revision.
fn speak(way: &mut HttpWay, version: &str) {
    if let Ok(version) = HeaderValue::from_str(version) {
        way.headers.insert(PROTOCOL_VERSION, version);
    }
}

fn session_of(response: &Response) -> Option<Arc<str>> {
    Some(response.headers().get(SESSION)?.to_str().ok()?.into())
}

/// Why a request of the handshake has no result.
enum Refused {
    Error(RpcError),
    Fault(Fault),
}

impl From<Refused> for String {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Error(error) => {
                format!("it refused the handshake: {}", error.message().unwrap_or_default())
            }
            Refused::Fault(fault) => failed(&fault),
        }
    }
}

/// Whether the error says that this revision is spoken though another one was heard.
fn names(error: &RpcError, version: &str) -> bool {
    let supported = Fields::parse(error.0.get()).ok().and_then(|error| {
        let data = Fields::parse(error.get("data")?.get()).ok()?;
        serde_json::from_str::<Vec<String>>(data.get("supported")?.get()).ok()
    });
    error.code() == Some(UNSUPPORTED_VERSION)
        && supported.is_some_and(|supported| supported.iter().any(|spoken| spoken == version))
}

fn failed(fault: &Fault) -> String {
    match fault {
        // The reasons alone: nothing was called yet.
        Fault::Ended(why) | Fault::Unreachable(why) => format!("the handshake failed: {why}"),
        fault => format!("it does not answer as an MCP server ({fault})"),
    }
}

fn shapeless(method: &str) -> String {
    format!("it does not answer as an MCP server (its answer to {method} is not what MCP says)")
}

#[cfg(test)]
mod tests {
    use super::{RpcError, UNSUPPORTED_VERSION, names};

    #[test]
    fn a_server_that_speaks_our_revision_all_the_same_is_asked_again() {
        let error = |supported: &[&str]| {
            let data = serde_json::json!({ "supported": supported });
            RpcError::with_data(UNSUPPORTED_VERSION, "not this one", data)
        };
        assert!(names(&error(&["2026-07-28"]), "2026-07-28"));
        assert!(!names(&error(&["2027-01-01"]), "2026-07-28"));
        assert!(!names(&RpcError::new(UNSUPPORTED_VERSION, "not this one"), "2026-07-28"));
        assert!(!names(&RpcError::new(-32601, "no such method"), "2026-07-28"));
    }
}
