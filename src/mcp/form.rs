//! An answer as one JSON object or as a stream of events: whichever the client would rather have.

use std::task::{Context, Poll};

use http::{HeaderMap, Request, header::ACCEPT};
use tower::Service;

/// Two services that differ in how they write an answer that could be either.
#[derive(Clone)]
pub(super) struct Formed<S> {
    pub(super) as_object: S,
    pub(super) as_stream: S,
}

impl<S, B> Service<Request<B>> for Formed<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        match self.as_object.poll_ready(context) {
            Poll::Ready(Ok(())) => self.as_stream.poll_ready(context),
            other => other,
        }
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let chosen =
            if rather_a_stream(request.headers()) { &mut self.as_stream } else { &mut self.as_object };
        chosen.call(request)
    }
}

/// Clients must accept both. The one with the greater weight (RFC 9110, 12.4.2) is preferred, of equal ones that
/// which is named first.
fn rather_a_stream(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let mut accepted: Vec<(&str, f32)> = values.flat_map(|value| value.split(',')).map(weighed).collect();
    // Stable: what weighs the same stays in the order it was named in.
    accepted.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    let known = accepted.iter().find_map(|(form, _)| {
        let is = |name: &str| form.eq_ignore_ascii_case(name);
        (is("application/json") || is("text/event-stream")).then(|| is("text/event-stream"))
    });
    known.unwrap_or(false)
}

/// What has no weight that could be read has the greatest.
fn weighed(range: &str) -> (&str, f32) {
    let mut parts = range.split(';').map(str::trim);
    let form = parts.next().unwrap_or_default();
    let weight = parts.find_map(|parameter| parameter.strip_prefix("q=")?.parse().ok());
    (form, weight.unwrap_or(1.0))
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, header::ACCEPT};

    use super::rather_a_stream;

    fn of(values: &[&'static str]) -> bool {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(ACCEPT, HeaderValue::from_static(value));
        }
        rather_a_stream(&headers)
    }

    #[test]
    fn what_is_named_first_is_preferred() {
        assert!(!of(&["application/json, text/event-stream"]));
        assert!(of(&["text/event-stream, application/json"]));
        assert!(of(&["text/event-stream", "application/json"]));
        assert!(of(&["Text/Event-Stream;charset=utf-8,application/json"]));
    }

    #[test]
    fn a_weight_says_more_than_the_order() {
        assert!(!of(&["text/event-stream;q=0.5, application/json"]));
        assert!(of(&["application/json; q=0.1, text/event-stream; q=0.9"]));
        assert!(of(&["text/event-stream;q=much, application/json;q=0.9"]));
    }

    #[test]
    fn without_a_wish_it_is_an_object() {
        assert!(!of(&[]));
        assert!(!of(&["*/*"]));
        assert!(!of(&[", ,;q=1,"]));
        assert!(!of(&["text/*, application/json"]));
    }
}
