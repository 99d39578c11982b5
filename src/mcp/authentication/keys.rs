//! The keys of an issuer, and which of them may have signed a token. Pure.

use std::time::{Duration, Instant};

use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey,
    jwk::{AlgorithmParameters, Jwk, PublicKeyUse},
};
use serde::Deserialize;
use serde_json::Value;

/// Keys of one issuer that are looked at; the biggest ones publish about a dozen.
const MOST: usize = 100;

/// Public keys as an issuer published them.
pub(super) struct KeySet(Vec<Key>);

struct Key {
    id: Option<String>,
    /// Whether it is for this algorithm alone.
    only: Option<Algorithm>,
    key: DecodingKey,
}

impl KeySet {
    /// Of a JSON Web Key Set. A key that cannot be used for checking signatures is left out alone.
    ///
    /// # Errors
    /// When it is no such set.
    pub(super) fn parse(text: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Document {
            keys: Vec<Value>,
        }
        let Document { keys } =
            serde_json::from_slice(text).map_err(|error| format!("it is no JSON Web Key Set: {error}"))?;
        Ok(Self(keys.into_iter().take(MOST).filter_map(usable).collect()))
    }

    /// Keys by which a token with this `kid` and algorithm may be signed. Without a `kid` there must be no choice.
    pub(super) fn matching(&self, id: Option<&str>, algorithm: Algorithm) -> Vec<&DecodingKey> {
        let fits = |key: &&Key| {
            key.key.family() == algorithm.family() && key.only.is_none_or(|only| only == algorithm)
        };
        let found: Vec<&Key> = self.0.iter().filter(fits).collect();
        let found = match id {
            Some(_) => found.into_iter().filter(|key| key.id.as_deref() == id).collect(),
            None if found.len() == 1 => found,
            None => Vec::new(),
        };
        found.into_iter().map(|key| &key.key).collect()
    }
}

fn usable(jwk: Value) -> Option<Key> {
    let jwk: Jwk = serde_json::from_value(jwk).ok()?;
    let signs = jwk.common.public_key_use.as_ref().is_none_or(|usage| *usage == PublicKeyUse::Signature);
    let is_public = !matches!(jwk.algorithm, AlgorithmParameters::OctetKey(_));
    let only = match jwk.common.key_algorithm {
        Some(algorithm) => Some(Algorithm::try_from(algorithm).ok()?),
        None => None,
    };
    let key = DecodingKey::from_jwk(&jwk).ok()?;
    (signs && is_public && key.family() != AlgorithmFamily::Hmac).then(|| Key {
        id: jwk.common.key_id,
        only,
        key,
    })
}

/// How often an issuer may be asked for its keys: a few times at once, since keys may change twice in a row, and
/// then seldom, since anybody can send tokens with key ids that do not exist.
#[derive(Debug)]
pub(super) struct Allowance {
    left: u32,
    since: Instant,
}

impl Allowance {
    const MOST: u32 = 3;
    const REGAINED: Duration = Duration::from_secs(10);

    pub(super) fn new(now: Instant) -> Self {
        Self { left: Self::MOST, since: now }
    }

    /// Whether it may be asked now; if so, that is one less.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        while self.left < Self::MOST && now.saturating_duration_since(self.since) >= Self::REGAINED {
            self.left += 1;
            self.since += Self::REGAINED;
        }
        if self.left == Self::MOST {
            self.since = now;
        }
        let may = self.left > 0;
        self.left = self.left.saturating_sub(1);
        may
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::{Duration, Instant};

    use jsonwebtoken::Algorithm;
    use serde_json::{Value, json};

    use super::{Allowance, KeySet};

    fn ec(id: &str) -> Value {
        // The example of RFC 7517, appendix A.1.
        json!({"kty": "EC", "crv": "P-256", "kid": id, "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
            "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"})
    }

    fn set(keys: &[Value]) -> KeySet {
        KeySet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
    }

    #[test]
    fn a_key_is_found_by_id_and_algorithm() {
        let keys = set(&[ec("a"), ec("b")]);
        assert_eq!(keys.matching(Some("a"), Algorithm::ES256).len(), 1);
        assert!(keys.matching(Some("c"), Algorithm::ES256).is_empty());
        assert!(keys.matching(Some("a"), Algorithm::RS256).is_empty());
        assert!(keys.matching(None, Algorithm::ES256).is_empty(), "which of the two?");
        assert_eq!(set(&[ec("a")]).matching(None, Algorithm::ES256).len(), 1);
    }

    #[test]
    fn secrets_and_keys_for_other_uses_are_no_keys() {
        let secret = json!({"kty": "oct", "k": "c2VjcmV0", "kid": "a"});
        let mut encrypts = ec("a");
        encrypts["use"] = json!("enc");
        let mut other = ec("a");
        other["alg"] = json!("ES384");
        let keys = set(&[secret, encrypts, other, json!({"kty": "new"}), json!(7)]);
        for algorithm in [Algorithm::ES256, Algorithm::HS256] {
            assert!(keys.matching(Some("a"), algorithm).is_empty());
        }
        assert!(KeySet::parse(b"<html>").is_err());
    }

    #[test]
    fn an_issuer_is_asked_seldom() {
        let start = Instant::now();
        let mut allowance = Allowance::new(start);
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!([0, 0, 0, 0].map(|s| allowance.take(at(s))), [true, true, true, false]);
        assert_eq!([9, 10, 11, 19].map(|s| allowance.take(at(s))), [false, true, false, false]);
        assert_eq!([100, 100, 100, 100].map(|s| allowance.take(at(s))), [true, true, true, false]);
    }
}
