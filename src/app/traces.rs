//! Spans to an OpenTelemetry collector, as OTLP over HTTP in JSON. Off unless an endpoint is named.
//!
//! The protocol's JSON is a page of code, its crates are some megabytes. What cannot be sent is lost and said once.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::mcp::trace::{Span, Spans};

/// Spans that wait to be sent; those beyond are lost.
const WAITING: usize = 2_048;
/// Most in one request.
const TOGETHER: usize = 512;
/// How long they are gathered.
const EVERY: Duration = Duration::from_secs(5);
const SEND_WITHIN: Duration = Duration::from_secs(10);

/// Where traces go.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct TracesConfig {
    /// Base URL of a collector that takes OTLP over HTTP, for example `http://collector:4318`; `/v1/traces` is
    /// added. `OTEL_EXPORTER_OTLP_ENDPOINT` when absent; without either nothing is sent.
    pub endpoint: Option<Url>,
}

/// Takes spans and sends them on.
pub(super) struct Exporter {
    http: reqwest::Client,
    url: Url,
    spans: mpsc::Receiver<Span>,
}

impl Exporter {
    /// Nothing when no endpoint is named.
    ///
    /// # Errors
    /// When what is named is no URL of a collector.
    pub(super) fn of(config: TracesConfig) -> anyhow::Result<Option<(Spans, Self)>> {
        let named = || std::env::var("OTEL_EXPORTER_OTLP_ENDPOINT").ok().filter(|named| !named.is_empty());
        let endpoint = match (config.endpoint, named()) {
            (Some(endpoint), _) => endpoint,
            (None, Some(named)) => named.parse().context("OTEL_EXPORTER_OTLP_ENDPOINT is not a URL")?,
            (None, None) => return Ok(None),
        };
        let (spans, receiver) = mpsc::channel(WAITING);
        let http =
            reqwest::Client::builder().timeout(SEND_WITHIN).build().context("traces cannot be sent")?;
        Ok(Some((spans, Self { http, url: traces(endpoint)?, spans: receiver })))
    }

    /// Runs until it is stopped; what waits then is sent first.
    pub(super) async fn run(self, stop: CancellationToken) {
        let Self { http, url, mut spans } = self;
        let mut lost = false;
        loop {
            let mut batch = Vec::new();
            let is_over = tokio::select! {
                received = spans.recv_many(&mut batch, TOGETHER) => received == 0,
                () = stop.cancelled() => true,
            };
            if !is_over {
                // A moment for others to come along.
                tokio::select! { () = tokio::time::sleep(EVERY) => {}, () = stop.cancelled() => {} }
            }
            while batch.len() < TOGETHER
                && let Ok(span) = spans.try_recv()
            {
                batch.push(span);
            }
            if !batch.is_empty() {
                let sent = send(&http, &url, &batch).await;
                if let Err(why) = &sent
                    && !lost
                {
                    tracing::warn!(%url, why, spans = batch.len(), "traces are lost: is the collector there?");
                }
                lost = sent.is_err();
            }
            if is_over {
                return;
            }
        }
    }
}

fn traces(endpoint: Url) -> anyhow::Result<Url> {
    let mut url = endpoint;
    if !matches!(url.scheme(), "http" | "https") || url.cannot_be_a_base() {
        bail!("the endpoint of traces is {url}: name an http or https URL");
    }
    let path = format!("{}/v1/traces", url.path().trim_end_matches('/'));
    url.set_path(&path);
    Ok(url)
}

async fn send(http: &reqwest::Client, url: &Url, batch: &[Span]) -> Result<(), String> {
    let response = http
        .post(url.clone())
        .header("content-type", "application/json")
        .body(request(batch).to_string())
        .send()
        .await
        .map_err(|error| error.without_url().to_string())?;
    match response.status() {
        status if status.is_success() => Ok(()),
        status => Err(format!("it answered HTTP {}", status.as_u16())),
    }
}

/// An ExportTraceServiceRequest in OTLP's JSON: ids in hex, times as text.
fn request(batch: &[Span]) -> Value {
    let text = |key: &str, value: &str| json!({ "key": key, "value": { "stringValue": value } });
    let nanos =
        |time: SystemTime| time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos()).to_string();
    let spans: Vec<Value> = batch
        .iter()
        .map(|span| {
            let Span { trace, id, parent, name, method, begin, end, failed } = span;
            json!({
                "traceId": trace, "spanId": id, "parentSpanId": parent.as_deref().unwrap_or_default(),
                "name": name, "kind": 2,
                "startTimeUnixNano": nanos(*begin), "endTimeUnixNano": nanos(*end),
                "attributes": [text("mcp.method.name", method)],
                "status": if *failed { json!({ "code": 2 }) } else { json!({}) },
            })
        })
        .collect();
    json!({ "resourceSpans": [{
        "resource": { "attributes": [
            text("service.name", "pilothouse"), text("service.version", env!("CARGO_PKG_VERSION")),
        ] },
        "scopeSpans": [{ "scope": { "name": "pilothouse" }, "spans": spans }],
    }] })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::{Duration, UNIX_EPOCH};

    use super::{Span, request, traces};

    #[test]
    fn the_path_of_traces_is_added_to_the_endpoint() {
        let of = |url: &str| traces(url.parse().unwrap()).map(|url| url.to_string()).ok();
        assert_eq!(of("http://collector:4318").as_deref(), Some("http://collector:4318/v1/traces"));
        assert_eq!(of("https://x/otlp/").as_deref(), Some("https://x/otlp/v1/traces"));
        assert_eq!(of("ftp://x"), None);
    }

    #[test]
    fn a_span_is_written_as_otlp_wants_it() {
        let begin = UNIX_EPOCH + Duration::from_secs(1);
        let span = Span {
            trace: "4bf92f3577b34da6a3ce929d0e0e4736".to_owned(),
            id: "00f067aa0ba902b7".to_owned(),
            parent: None,
            name: "tools/call git_log".to_owned(),
            method: "tools/call".to_owned(),
            begin,
            end: begin + Duration::from_millis(5),
            failed: true,
        };
        let request = request(&[span]);
        let span = &request["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
        assert_eq!(span["startTimeUnixNano"], "1000000000");
        assert_eq!(span["endTimeUnixNano"], "1005000000");
        assert_eq!(span["status"]["code"], 2);
        assert_eq!(span["parentSpanId"], "");
    }
}
