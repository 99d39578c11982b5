//! One GET, with the credentials in its Authorization header. Redirects are not followed: whoever is redirected to
//! would get them too. Of the answer only the status is looked at.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{
    HeaderValue, Request, StatusCode,
    header::{ACCEPT, AUTHORIZATION, CONNECTION, HOST, USER_AGENT},
};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use super::dial::Dial;
use crate::operator::data_source::{
    credentials::Credentials,
    outcome::{Outcome, Reason},
    target::Target,
};

pub(super) async fn check(dial: &Dial, target: &Target, credentials: &Credentials) -> Outcome {
    let request = match request(target, credentials) {
        Ok(request) => request,
        Err(why) => return Outcome::refused(Reason::CredentialsMissing, why),
    };
    let line = match dial.line(target).await {
        Ok(line) => line,
        Err(error) => return error.outcome(target),
    };
    let exchange = async {
        let (mut sender, connection) = http1::handshake(TokioIo::new(line)).await?;
        let mut answer = std::pin::pin!(sender.send_request(request));
        let mut connection = std::pin::pin!(connection);
        tokio::select! {
            biased;
            answer = &mut answer => answer,
            ended = &mut connection => {
                // It may have ended with the answer.
                ended?;
                answer.await
            }
        }
    };
    match exchange.await {
        Ok(answer) => judged(answer.status(), target, credentials),
        Err(error) => Outcome::away(
            Reason::NotReachable,
            format!("{} does not answer as an HTTP server ({error}).", target.place()),
        ),
    }
}

fn request(target: &Target, credentials: &Credentials) -> Result<Request<Empty<Bytes>>, String> {
    let unusable = "the credentials hold characters that a header cannot: correct the Secrets that \
                    spec.credentials names, often it is a line end";
    let authorization = match (credentials.get("token"), credentials.get("username")) {
        (Some(token), _) => Some(format!("Bearer {token}")),
        (None, Some(user)) => {
            let password = credentials.get("password").unwrap_or_default();
            Some(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
        }
        (None, None) => None,
    };
    let default_port = if target.tls.is_some() { 443 } else { 80 };
    let host = if target.port == default_port { target.host.to_string() } else { target.place() };
    let mut request = Request::get(if target.path.is_empty() { "/" } else { &target.path })
        .header(HOST, host)
        .header(USER_AGENT, concat!("pilothouse/", env!("CARGO_PKG_VERSION")))
        .header(ACCEPT, "*/*")
        .header(CONNECTION, "close")
        .body(Empty::new())
        .map_err(|error| format!("spec.healthCheck.path or spec.endpoint cannot be asked for ({error})"))?;
    if let Some(authorization) = authorization {
        let mut value = HeaderValue::from_str(&authorization).map_err(|_| unusable.to_owned())?;
        value.set_sensitive(true);
        request.headers_mut().insert(AUTHORIZATION, value);
    }
    Ok(request)
}

fn judged(status: StatusCode, target: &Target, credentials: &Credentials) -> Outcome {
    let path = target.path.split('?').next().unwrap_or("/");
    let words = format!("{} answers {path} with {status}", target.place());
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN if credentials.is_empty() => {
            Outcome::asks(target, "credentials")
        }
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Outcome::refused(
            Reason::CredentialsRefused,
            format!("{words}: correct the Secrets that spec.credentials names."),
        ),
        _ if status.is_success() || status.is_redirection() => {
            if credentials.is_empty() && target.has_credentials {
                Outcome::not_tried(target)
            } else {
                Outcome::In(format!("an HTTP server ({})", status.as_u16()))
            }
        }
        StatusCode::NOT_FOUND => Outcome::partly(
            Reason::NotAsExpected,
            format!("{words}: set spec.healthCheck.path to a path that answers."),
        ),
        _ => Outcome::partly(Reason::NotAsExpected, format!("{words}.")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use http::StatusCode;

    use super::{judged, request};
    use crate::operator::data_source::{
        credentials::Credentials,
        outcome::{Outcome, Reason},
        target::Target,
    };

    fn target(spec: &str) -> Target {
        Target::parse(&serde_saphyr::from_str(spec).unwrap(), "shop").unwrap()
    }

    fn known(values: &[(&str, &str)]) -> Credentials {
        values.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    const API: &str = "{type: api, endpoint: 'https://api.test:8443/v1?key=a', credentials: [{name: token, secretKeyRef: {name: a, key: b}}]}";

    #[test]
    fn credentials_go_into_one_header() {
        let api = target(API);
        let asked = request(&api, &known(&[("token", "tok-1")])).unwrap();
        assert_eq!(asked.headers()["authorization"], "Bearer tok-1");
        assert_eq!(
            (asked.uri().to_string().as_str(), &asked.headers()["host"]),
            ("/v1?key=a", &"api.test:8443".parse().unwrap())
        );
        let asked = request(&api, &known(&[("username", "me"), ("password", "pass")])).unwrap();
        assert_eq!(asked.headers()["authorization"], "Basic bWU6cGFzcw==");
        let why = request(&api, &known(&[("token", "tok-1\n")])).unwrap_err();
        assert!(why.contains("line end") && !why.contains("tok-1"), "{why}");
    }

    #[test]
    fn a_status_is_what_it_means() {
        let api = target(API);
        let token = known(&[("token", "tok-1")]);
        let reason = |status, known: &Credentials| match judged(status, &api, known) {
            Outcome::In(_) => Reason::Connected,
            Outcome::Partly(finding) | Outcome::Away(finding) | Outcome::Refused(finding) => finding.reason,
        };
        assert_eq!(reason(StatusCode::OK, &token), Reason::Connected);
        assert_eq!(reason(StatusCode::FOUND, &token), Reason::Connected);
        assert_eq!(reason(StatusCode::UNAUTHORIZED, &token), Reason::CredentialsRefused);
        assert_eq!(reason(StatusCode::UNAUTHORIZED, &Credentials::default()), Reason::CredentialsNotTried);
        assert_eq!(reason(StatusCode::OK, &Credentials::default()), Reason::CredentialsNotTried);
        assert_eq!(reason(StatusCode::SERVICE_UNAVAILABLE, &token), Reason::NotAsExpected);
    }
}
