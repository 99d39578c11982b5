//! Who a caller is over HTTP: an issuer's tokens, what is refused and how, and what ends with a token.

use std::sync::Arc;

use futures::{Stream, StreamExt, future::BoxFuture};
use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::{TokenReviewSpec, TokenReviewStatus};
use pilothouse::{
    gateway::{
        Catalogue, Entry, Kind,
        wire::{Raw, RpcError, Up, text::raw},
    },
    mcp::{
        Asked, Auth, HttpSettings, Offer, Own,
        authentication::{
            Issuer, Methods, Reviewer, TokenReviews,
            config::{Audiences, IdentityConfig},
        },
    },
};
use reqwest::{RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};

use crate::{
    identity_issuer::{AUDIENCE, SigningKey, TestIssuer},
    stage::{Served, Stage, initialize, modern, soon},
};

/// Has one tool, which says who calls it.
struct Mirror;

impl Own for Mirror {
    fn offer(&self) -> Offer {
        Offer::default()
    }

    fn answer<'a>(&'a self, asked: Asked<'a>, _up: mpsc::Sender<Up>) -> BoxFuture<'a, Result<Raw, RpcError>> {
        let who = json!({"user": asked.caller.user, "groups": asked.caller.groups});
        Box::pin(std::future::ready(Ok(raw(&json!({"content": [], "structuredContent": who})))))
    }
}

fn tools(names: &[&str]) -> Arc<Catalogue> {
    let tool = |name: &&str| {
        let described = json!({"name": name, "inputSchema": {"type": "object"}});
        Arc::new(Entry::own(Kind::Tool, name, raw(&described)))
    };
    Arc::new(Catalogue::new(0, names.iter().map(tool).collect()))
}

/// A face that trusts one issuer, whose tokens need no scope unless `more` says so.
struct Guarded {
    served: Served,
    issuer: TestIssuer,
    catalogue: watch::Sender<Arc<Catalogue>>,
}

impl Guarded {
    async fn by(keys: &[&SigningKey], more: &str) -> Self {
        let issuer = TestIssuer::start(keys).await;
        let text = format!(
            "oidc: [{{issuer: '{}', audience: '{AUDIENCE}', groupsClaim: groups, {more}}}]",
            issuer.url
        );
        let config: IdentityConfig = serde_saphyr::from_str(&text).unwrap();
        let issuers = config.oidc.into_iter().map(|config| Issuer::new(config, None).unwrap()).collect();
        Self::with(issuer, Methods { issuers, ..Methods::default() }).await
    }

    async fn with(issuer: TestIssuer, methods: Methods) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let catalogue = watch::Sender::new(tools(&["whoami"]));
        let stage = Stage::new(Arc::new(Mirror), catalogue.subscribe());
        let settings = HttpSettings { auth: Auth::Bearer(methods.into()), ..HttpSettings::default() };
        Self { served: Served::open(stage, settings).await, issuer, catalogue }
    }

    fn post(&self, body: String) -> RequestBuilder {
        reqwest::Client::new()
            .post(&self.served.url)
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .body(body)
    }

    async fn call(&self, token: &str) -> Response {
        let request = self
            .post(modern(1, "tools/call", json!({"name": "whoami"})))
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", "tools/call")
            .header("mcp-name", "whoami");
        soon("the answer", request.bearer_auth(token).send()).await.unwrap()
    }

    /// User and groups as the tool saw them.
    async fn who(&self, token: &str) -> Value {
        let answer = self.call(token).await;
        assert_eq!(answer.status(), StatusCode::OK, "{}", answer.text().await.unwrap());
        let mut answer: Value = answer.json().await.unwrap();
        answer["result"]["structuredContent"].take()
    }

    /// Status, challenge and body of a refusal.
    async fn refused(&self, token: &str) -> (StatusCode, String, String) {
        let answer = self.call(token).await;
        let challenge =
            answer.headers().get("www-authenticate").map(|value| value.to_str().unwrap().to_owned());
        (answer.status(), challenge.unwrap_or_default(), answer.text().await.unwrap())
    }

    /// A legacy session of the token's holder.
    async fn session(&self, token: &str) -> String {
        let answer = self.post(initialize(0, "2025-06-18")).bearer_auth(token).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let session = answer.headers()["mcp-session-id"].to_str().unwrap().to_owned();
        let noted = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#.to_owned();
        let noted = self.in_session(noted, &session, token).await;
        assert_eq!(noted.status(), StatusCode::ACCEPTED);
        session
    }

    async fn in_session(&self, body: String, session: &str, token: &str) -> Response {
        self.post(body).header("mcp-session-id", session).bearer_auth(token).send().await.unwrap()
    }

    /// A stream that is opened with GET.
    async fn get(&self, path: &str, session: Option<&str>, token: &str) -> Response {
        let request = reqwest::Client::new()
            .get(format!("{}{path}", self.served.origin))
            .header("accept", "text/event-stream")
            .bearer_auth(token);
        let request = match session {
            Some(session) => request.header("mcp-session-id", session),
            None => request,
        };
        soon("the stream", request.send()).await.unwrap()
    }

    async fn listen(&self, token: &str) -> Response {
        let body = modern(5, "subscriptions/listen", json!({"notifications": {"toolsListChanged": true}}));
        let request = self
            .post(body)
            .header("mcp-protocol-version", "2026-07-28")
            .header("mcp-method", "subscriptions/listen")
            .bearer_auth(token);
        soon("the subscription", request.send()).await.unwrap()
    }
}

fn texts(answer: Response) -> impl Stream<Item = String> + Unpin {
    assert_eq!(answer.status(), StatusCode::OK);
    Box::pin(answer.bytes_stream().map(|bytes| String::from_utf8(bytes.unwrap().to_vec()).unwrap()))
}

#[tokio::test]
async fn a_token_of_the_issuer_makes_its_holder_the_caller() {
    let (curve, rsa) = (SigningKey::es256("curve"), SigningKey::rs256("rsa"));
    let guarded = Guarded::by(&[&curve, &rsa], "groupsPrefix: 'g:'").await;
    let issuer = &guarded.issuer;
    for key in [&curve, &rsa] {
        let claims = issuer.claims_but("ann", json!({"groups": ["team-a"], "aud": ["other", AUDIENCE]}));
        let who = guarded.who(&key.sign(&claims)).await;
        assert_eq!(who, json!({"user": format!("{}#ann", issuer.url), "groups": ["g:team-a"]}));
    }
    assert_eq!(issuer.fetched(), 1, "keys are kept");
}

#[tokio::test]
async fn what_proves_nothing_is_refused_with_its_reason() {
    let (key, other) = (SigningKey::es256("key"), SigningKey::es256("key"));
    let foreign = SigningKey::es384("foreign");
    let guarded = Guarded::by(&[&key, &foreign], "usernamePrefix: ''").await;
    let issuer = &guarded.issuer;
    let good = issuer.claims("ann");
    let but = |changes: Value| key.sign(&issuer.claims_but("ann", changes));
    let now = Timestamp::now().as_second();
    let tampered = {
        let (signed, evil) = (key.sign(&good), key.sign(&issuer.claims("root")));
        let (signed, evil): (Vec<&str>, Vec<&str>) = (signed.split('.').collect(), evil.split('.').collect());
        [signed[0], evil[1], signed[2]].join(".")
    };
    for (what, token, says) in [
        ("expired", but(json!({"exp": now - 60})), "has expired"),
        ("never ending", but(json!({"exp": null})), "no claim `exp`"),
        ("not yet valid", but(json!({"nbf": now + 600})), "not valid yet"),
        ("for others", but(json!({"aud": "https://other.example"})), "not for the audience"),
        ("for nobody", but(json!({"aud": null})), "no claim `aud`"),
        ("of another issuer", but(json!({"iss": "https://other.example"})), "not trusted"),
        ("of no issuer", but(json!({"iss": null})), "not trusted"),
        ("of several issuers", but(json!({"iss": [issuer.url]})), "not trusted"),
        ("of the system", but(json!({"sub": "system:admin"})), "name of the system"),
        ("of the masters", but(json!({"groups": ["system:masters"]})), "group of the system"),
        ("of nobody", but(json!({"sub": null})), "no claim `sub`"),
        ("of another key", other.sign(&good), "signature is wrong"),
        ("tampered with", tampered, "signature is wrong"),
        ("unsigned", key.unsigned(&good), "not that of one signed with"),
        ("symmetric", key.sign_with_the_public_half(&good), "signed with HS256"),
        ("of another algorithm", foreign.sign(&good), "signed with ES384"),
        ("critical", key.sign_with_header(|header| header.crit = Some(vec!["x".into()]), &good), "critical"),
        (
            "of an unknown key",
            key.sign_with_header(|header| header.kid = Some("unknown".into()), &good),
            "does not have",
        ),
        ("static", "0123456789abcdef0123456789abcdef".to_owned(), "none of this installation's"),
    ] {
        let (status, challenge, body) = guarded.refused(&token).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{what}: {body}");
        assert!(
            challenge.contains(r#"error="invalid_token""#) && challenge.contains(says),
            "{what}: {challenge}"
        );
        assert!(body.contains(says), "{what}: {body}");
    }
    assert_eq!(guarded.who(&key.sign(&good)).await["user"], "ann");
}

#[tokio::test]
async fn keys_may_rotate_while_we_run() {
    let (old, new) = (SigningKey::es256("old"), SigningKey::es256("new"));
    let guarded = Guarded::by(&[&old], "").await;
    let claims = guarded.issuer.claims("ann");
    guarded.who(&old.sign(&claims)).await;
    guarded.issuer.publish(&[&new]);
    guarded.who(&new.sign(&claims)).await;
    let (status, _, body) = guarded.refused(&old.sign(&claims)).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "{body}");
    for number in 0..20 {
        let unknown = new.sign_with_header(|header| header.kid = Some(format!("{number}")), &claims);
        assert_eq!(guarded.refused(&unknown).await.0, StatusCode::UNAUTHORIZED);
    }
    assert!(guarded.issuer.fetched() <= 4, "whoever sends odd tokens makes us ask the issuer each time");
}

#[tokio::test]
async fn an_issuer_that_is_down_lets_nobody_in_and_nobody_out() {
    let key = SigningKey::es256("key");
    let guarded = Guarded::by(&[&key], "").await;
    let token = key.sign(&guarded.issuer.claims("ann"));
    guarded.issuer.is_down(true);
    let answer = guarded.call(&token).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers().contains_key("retry-after"));
    let body = answer.text().await.unwrap();
    assert!(body.contains(&guarded.issuer.url) && body.contains("500"), "{body}");
    guarded.issuer.is_down(false);
    guarded.who(&token).await;
    guarded.issuer.is_down(true);
    guarded.who(&token).await;
}

#[tokio::test]
async fn a_token_without_the_scopes_is_told_all_of_them() {
    let key = SigningKey::es256("key");
    let guarded = Guarded::by(&[&key], "requiredScopes: [cluster:read, cluster:change]").await;
    let token = |scopes: &str| key.sign(&guarded.issuer.claims_but("ann", json!({"scope": scopes})));
    let (status, challenge, body) = guarded.refused(&token("openid cluster:read")).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    for part in [
        r#"error="insufficient_scope""#,
        r#"scope="cluster:read cluster:change""#,
        "resource_metadata=\"http://",
    ] {
        assert!(challenge.contains(part), "{challenge}");
    }
    assert!(body.contains("lacks the scope cluster:change"), "{body}");
    guarded.who(&token("cluster:change cluster:read")).await;
}

#[tokio::test]
async fn the_challenge_leads_to_the_issuer() {
    let key = SigningKey::es256("key");
    let guarded = Guarded::by(&[&key], "requiredScopes: [cluster:read]").await;
    let origin = &guarded.served.origin;
    for path in ["mcp", "sse"] {
        let answer = reqwest::get(format!("{origin}/{path}")).await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        let challenge = answer.headers()["www-authenticate"].to_str().unwrap().to_owned();
        assert!(!challenge.contains("error="), "nothing was wrong yet: {challenge}");
        assert!(challenge.contains(r#"scope="cluster:read""#), "{challenge}");
        let metadata = challenge.split("resource_metadata=\"").nth(1).unwrap().split('"').next().unwrap();
        let document: Value = reqwest::get(metadata).await.unwrap().json().await.unwrap();
        assert_eq!(document["resource"], format!("{origin}/{path}"));
        assert_eq!(document["authorization_servers"], json!([guarded.issuer.url]));
        assert_eq!(document["scopes_supported"], json!(["cluster:read"]));
    }
    let root = format!("{origin}/.well-known/oauth-protected-resource");
    let document: Value = reqwest::get(&root).await.unwrap().json().await.unwrap();
    assert_eq!(document["resource"], guarded.served.url);
    assert_eq!(reqwest::get(format!("{root}/other")).await.unwrap().status(), StatusCode::NOT_FOUND);
    let foreign = reqwest::Client::new().get(&root).header("host", "evil.example.com").send().await.unwrap();
    assert_eq!(foreign.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn streams_end_with_the_token_they_were_opened_with() {
    let key = SigningKey::es256("key");
    let guarded = Guarded::by(&[&key], "").await;
    let ends = Timestamp::now().as_second() + 3;
    let short = key.sign(&guarded.issuer.claims_but("ann", json!({ "exp": ends })));
    let long = key.sign(&guarded.issuer.claims("ann"));
    let session = guarded.session(&short).await;

    let mut stays = texts(guarded.listen(&long).await);
    let subscription = texts(guarded.listen(&short).await);
    let legacy = texts(guarded.get("/mcp", Some(&session), &short).await);
    let sse = texts(guarded.get("/sse", None, &short).await);
    for (what, stream) in [
        ("the subscription", subscription.collect::<Vec<String>>().await),
        ("the legacy stream", soon("the end of the legacy stream", legacy.collect()).await),
        ("HTTP+SSE", soon("the end of HTTP+SSE", sse.collect()).await),
    ] {
        assert!(Timestamp::now().as_second() >= ends, "{what} ended before its token: {stream:?}");
        if what == "the subscription" {
            let last = stream.concat();
            assert!(
                last.contains(r#""id":5"#) && last.contains("complete"),
                "it ends in its own words: {last}"
            );
        }
    }
    guarded.catalogue.send_replace(tools(&["whoami", "new"]));
    let heard = async {
        while let Some(text) = stays.next().await {
            if text.contains("notifications/tools/list_changed") {
                return;
            }
        }
        panic!("the stream of a token that still holds has ended");
    };
    soon("news over the other stream", heard).await;
}

#[tokio::test]
async fn a_session_outlives_a_renewed_token_and_is_nobody_elses() {
    let key = SigningKey::es256("key");
    let guarded = Guarded::by(&[&key], "").await;
    let token = |user: &str, number: u64| {
        key.sign(&guarded.issuer.claims_but(user, json!({"jti": format!("{number}")})))
    };
    let session = guarded.session(&token("ann", 1)).await;
    let list = || r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#.to_owned();
    let renewed = guarded.in_session(list(), &session, &token("ann", 2)).await;
    assert!(renewed.text().await.unwrap().contains("whoami"));

    let eve = token("eve", 3);
    let answer = guarded.in_session(list(), &session, &eve).await;
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    assert_eq!(guarded.get("/mcp", Some(&session), &eve).await.status(), StatusCode::NOT_FOUND);
    let end = reqwest::Client::new().delete(&guarded.served.url).header("mcp-session-id", &session);
    assert_eq!(end.bearer_auth(&eve).send().await.unwrap().status(), StatusCode::NOT_FOUND);
    let unknown = guarded.get("/mcp", Some("no-such-session"), &eve).await;
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
    let still = guarded.in_session(list(), &session, &token("ann", 4)).await;
    assert!(still.text().await.unwrap().contains("whoami"));
}

/// An API server that does not answer.
struct Unreachable;

impl Reviewer for Unreachable {
    fn review(&self, _spec: TokenReviewSpec) -> BoxFuture<'_, Result<TokenReviewStatus, String>> {
        Box::pin(std::future::ready(Err("no route to host".to_owned())))
    }
}

#[tokio::test]
async fn without_an_api_server_no_service_account_comes_in() {
    let key = SigningKey::es256("key");
    let issuer = TestIssuer::start(&[&key]).await;
    let reviews = Some(TokenReviews::new(Unreachable, Audiences::default()));
    let guarded = Guarded::with(issuer, Methods { reviews, ..Methods::default() }).await;
    let ours = json!({"iss": "https://kubernetes.default.svc", "aud": ["pilothouse"]});
    let answer = guarded.call(&key.sign(&guarded.issuer.claims_but("bot", ours))).await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.headers().contains_key("retry-after"));
    let body = answer.text().await.unwrap();
    assert!(body.contains("the API server cannot review the token now"), "{body}");
    let (status, challenge, _) = guarded.refused(&key.sign(&guarded.issuer.claims("bot"))).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(challenge.contains("--audience pilothouse"), "{challenge}");
}
