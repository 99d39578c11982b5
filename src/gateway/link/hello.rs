//! The handshake over Streamable HTTP: `server/discover` or `initialize`, as text beside rmcp, which would keep a task
//! and channels of some 100 KB for each connection from then on.

use std::sync::{Arc, OnceLock};

use http::{HeaderMap, HeaderValue};
use reqwest::Response;
use rmcp::model::{ClientConfig, DiscoverResult, InitializeResult, ProtocolVersion, ServerPeerInfo};
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
    table::{Table, request},
    text::{Head, raw},
};

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
        let prepared =
            eras::params(Some(&said), Era::Modern, &spoken, "").map_err(|error| refused(&error))?;
        let (result, _) = self.ask(way, "server/discover", prepared.params).await?;
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
    ) -> Result<(Raw, Option<Arc<str>>), String> {
        let token = self.table.token();
        let text = request(&token, method, params.as_ref());
        let headers = match way.era {
            Era::Modern => Head::parse(&text)
                .map(|head| headers::of_request(&head, None).into_iter().collect())
                .unwrap_or_default(),
            Era::Legacy => HeaderMap::new(),
        };
        let call = self.table.open(token.clone(), None).map_err(|ended| failed(&Fault::from(ended)))?;
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
            Ok(Ok(result)) => Ok((result, session.into_inner())),
            Ok(Err(error)) => Err(refused(&error)),
            Err(fault) => Err(failed(&fault)),
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

fn refused(error: &RpcError) -> String {
    format!("it refused the handshake: {}", error.message().unwrap_or_default())
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
