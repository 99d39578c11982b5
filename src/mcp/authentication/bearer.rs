//! The token of a request, and what it looks like before anybody has believed it.

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use http::{HeaderMap, header};
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::challenge::Refusal;

/// Longest token that is looked at, in bytes. A service account's has about one thousand.
const LONGEST: usize = 16 * 1024;

/// A token by which it can be found again without being kept.
pub(super) type Digest = [u8; 32];

/// SHA-256.
pub(super) fn hash(token: &str) -> Digest {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    out
}

/// The bearer token of the request.
///
/// # Errors
/// [`Refusal::Missing`] when there is none, [`Refusal::Malformed`] when it is not clear which it is.
pub(super) fn token(headers: &HeaderMap) -> Result<&str, Refusal> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let first = given.next().ok_or(Refusal::Missing)?;
    if given.next().is_some() {
        return Err(Refusal::Malformed("there are two Authorization headers: send one"));
    }
    let token = first.to_str().ok().and_then(|value| value.split_once(' '));
    let Some((_, token)) = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")) else {
        return Err(Refusal::Missing);
    };
    let token = token.trim();
    match token.len() {
        0 => Err(Refusal::Missing),
        1..=LONGEST => Ok(token),
        _ => Err(Refusal::Malformed("the bearer token is longer than 16 KiB: no token is")),
    }
}

/// What a JSON Web Token says of itself. Good for choosing who checks it and for refusing it, never for letting
/// anybody in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Peek {
    pub(super) issuer: Option<String>,
    pub(super) audiences: Vec<String>,
    pub(super) ends: Option<Timestamp>,
}

/// `None` when the token does not look like a JSON Web Token.
pub(super) fn peek(token: &str) -> Option<Peek> {
    let mut parts = token.split('.');
    let (header, payload, _signature) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    object(header)?.get("alg")?;
    let claims = object(payload)?;
    Some(Peek {
        issuer: claims.get("iss").and_then(Value::as_str).map(str::to_owned),
        audiences: words(claims.get("aud")),
        ends: ends(&claims),
    })
}

fn object(part: &str) -> Option<Map<String, Value>> {
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

/// One text or many.
pub(super) fn words(claim: Option<&Value>) -> Vec<String> {
    match claim {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

/// When claims say that their token ends.
pub(super) fn ends(claims: &Map<String, Value>) -> Option<Timestamp> {
    let seconds = claims.get("exp")?.as_f64()?;
    // A float becomes the nearest integer there is; what lies beyond the calendar is its end.
    Some(Timestamp::from_second(seconds as i64).unwrap_or(Timestamp::MAX))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
    use http::{HeaderMap, HeaderValue, header};
    use serde_json::{Value, json};

    use super::{LONGEST, Refusal, peek, token};

    fn with(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn jwt(header: &Value, claims: &Value) -> String {
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.c2ln", part(header), part(claims))
    }

    #[test]
    fn one_bearer_token_is_taken_and_nothing_else() {
        assert_eq!(token(&with(&["Bearer abc"])), Ok("abc"));
        assert_eq!(token(&with(&["bearer  abc "])), Ok("abc"));
        for nothing in [&[][..], &["Basic abc"], &["Bearer"], &["Bearer "]] {
            assert_eq!(token(&with(nothing)), Err(Refusal::Missing), "{nothing:?}");
        }
        assert!(matches!(token(&with(&["Bearer abc", "Bearer abd"])), Err(Refusal::Malformed(_))));
        let long = format!("Bearer {}", "a".repeat(LONGEST + 1));
        assert!(matches!(token(&with(&[&long])), Err(Refusal::Malformed(_))));
    }

    #[test]
    fn a_jwt_is_known_by_its_look() {
        let claims = json!({"iss": "https://i", "aud": ["a", "b"], "exp": 1_700_000_000.5});
        let seen = peek(&jwt(&json!({"alg": "RS256"}), &claims)).unwrap();
        assert_eq!(seen.issuer.as_deref(), Some("https://i"));
        assert_eq!(seen.audiences, ["a", "b"]);
        assert_eq!(seen.ends.unwrap().as_second(), 1_700_000_000);
        let far = peek(&jwt(&json!({"alg": "RS256"}), &json!({"aud": "a", "exp": 1e300}))).unwrap();
        assert_eq!((far.audiences, far.ends), (vec!["a".to_owned()], Some(jiff::Timestamp::MAX)));
        for other in ["abc", "a.b.c", "0123456789abcdef0123456789abcdef", ""] {
            assert_eq!(peek(other), None, "{other}");
        }
        assert_eq!(peek(&jwt(&json!({}), &json!({}))), None);
    }
}
