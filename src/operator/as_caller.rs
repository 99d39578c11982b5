//! Writes of an emergency: sent as the caller, with nobody's rights but the caller's. Nothing here can send a write
//! that is not somebody's: the headers that name the caller are part of what it is made of.

use std::time::Duration;

use http::{Method, Request, header};
use http_body_util::{BodyExt, Limited};
use kube::{Client, client::Body};
use serde::Deserialize;
use serde_json::Value;

use crate::{
    caller::Caller,
    cluster::{CallerHeaders, Resource},
};

/// Admission webhooks may take up to 30 s each; a person waits no longer than this.
const DEADLINE: Duration = Duration::from_secs(20);
/// The object comes back; larger ones are not stored by any API server.
const LARGEST: usize = 4 << 20;
/// By this the API server's audit log tells these writes from all others.
const USER_AGENT: &str = concat!("pilothouse-emergency/", env!("CARGO_PKG_VERSION"));
const FIELD_MANAGER: &str = "pilothouse-emergency";

/// Patches objects as the callers who ask for it. Cheap to clone.
#[derive(Clone)]
pub struct AsCaller {
    client: Client,
}

/// Why an object was not patched; each a sentence without its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AsCallerError {
    #[error("you cannot be named to the API server: {0}")]
    NotNamed(String),
    /// The API server's own words, which name who may not do what.
    #[error("the API server refused it: {0}")]
    Refused(String),
    #[error("the object was changed meanwhile: look at it again, and ask again")]
    Changed,
    #[error("the API server has not answered ({0}): look whether the change is there before you ask again")]
    Unknown(String),
}

impl AsCaller {
    /// `client` may impersonate whoever the installation lets it.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Patches the object by a JSON patch, as the caller; rehearsed, nothing is stored. Returns the object as it is
    /// then.
    ///
    /// # Errors
    /// See [`AsCallerError`]; except for [`AsCallerError::Unknown`] nothing was stored.
    pub async fn patch(
        &self,
        caller: &Caller,
        resource: &Resource,
        (namespace, name): (Option<&str>, &str),
        operations: &[Value],
        rehearse: bool,
    ) -> Result<Value, AsCallerError> {
        let headers = CallerHeaders::of(caller).map_err(AsCallerError::NotNamed)?;
        let path = resource
            .path(namespace, Some(name))
            .map_err(|error| AsCallerError::Refused(error.to_string()))?;
        let dry_run = if rehearse { "&dryRun=All" } else { "" };
        let mut request = Request::builder()
            .method(Method::PATCH)
            .uri(format!("{path}?fieldManager={FIELD_MANAGER}&fieldValidation=Strict{dry_run}"))
            .header(header::CONTENT_TYPE, "application/json-patch+json")
            .header(header::ACCEPT, "application/json")
            .header(header::USER_AGENT, USER_AGENT);
        for (header, value) in headers.iter() {
            request = request.header(header, value);
        }
        let request = request
            .body(Body::from(Value::from(operations.to_vec()).to_string().into_bytes()))
            .map_err(|error| AsCallerError::Refused(error.to_string()))?;
        let sent = async {
            let response = self.client.send(request).await.map_err(|error| error.to_string())?;
            let status = response.status();
            let body = Limited::new(response.into_body(), LARGEST).collect().await;
            Ok::<_, String>((status.as_u16(), body.map_err(|error| error.to_string())?.to_bytes()))
        };
        let answer = tokio::time::timeout(DEADLINE, sent).await;
        let late = || Err(format!("within {} s", DEADLINE.as_secs()));
        let (status, body) = answer.unwrap_or_else(|_| late()).map_err(AsCallerError::Unknown)?;
        judged(status, &body)
    }
}

fn judged(status: u16, body: &[u8]) -> Result<Value, AsCallerError> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Said {
        message: String,
    }
    if (200..300).contains(&status) {
        return serde_json::from_slice(body).map_err(|error| AsCallerError::Unknown(error.to_string()));
    }
    let Said { message } = serde_json::from_slice(body).unwrap_or_default();
    Err(match status {
        // The patch holds the version that was looked at.
        409 => AsCallerError::Changed,
        500.. => AsCallerError::Unknown(format!("{status} {message}")),
        _ if message.is_empty() => AsCallerError::Refused(format!("with status {status}")),
        _ => AsCallerError::Refused(message),
    })
}

#[cfg(test)]
mod tests {
    use super::{AsCallerError, judged};

    #[test]
    fn what_the_api_server_says_is_told_apart() {
        let said =
            |status, message: &str| judged(status, format!("{{\"message\":\"{message}\"}}").as_bytes());
        assert!(judged(200, b"{\"kind\":\"Deployment\"}").is_ok());
        assert_eq!(said(403, "ann may not"), Err(AsCallerError::Refused("ann may not".to_owned())));
        assert_eq!(said(409, "modified"), Err(AsCallerError::Changed));
        assert!(matches!(said(504, "timeout"), Err(AsCallerError::Unknown(_))));
        assert!(matches!(judged(400, b"nonsense"), Err(AsCallerError::Refused(_))));
    }
}
