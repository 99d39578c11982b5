//! Bearer tokens that somebody wrote down: the installation's own, and those that stand for a user.

use subtle::{ConditionallySelectable, ConstantTimeEq};

use super::bearer::{Digest, hash};
use crate::caller::Caller;

/// Shortest static token that is accepted, in characters.
const SHORTEST: usize = 16;

/// A bearer token, kept as its SHA-256.
#[derive(Clone)]
pub struct StaticToken(Digest);

impl StaticToken {
    /// # Errors
    /// When the token is shorter than 16 characters or cannot stand in a header.
    pub fn new(token: &str) -> Result<Self, String> {
        if token.len() < SHORTEST || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!(
                "the bearer token must be at least {SHORTEST} printable ASCII characters without spaces: make one with `openssl rand -hex 32`"
            ));
        }
        Ok(Self(hash(token)))
    }
}

/// Static tokens, and who their holders are.
#[derive(Clone, Default)]
pub struct StaticTokens(Vec<(StaticToken, Caller)>);

impl StaticTokens {
    /// The one token of this installation.
    pub fn only(token: StaticToken) -> Self {
        Self(vec![(token, Caller::static_token())])
    }

    /// The holder of `token` is `caller`.
    ///
    /// # Errors
    /// When somebody else has the same token.
    pub fn add(&mut self, token: StaticToken, caller: Caller) -> Result<(), String> {
        if let Some((_, other)) = self.0.iter().find(|(known, _)| known.0 == token.0) {
            let (one, two) = (&other.user, &caller.user);
            return Err(format!("`{one}` and `{two}` have the same static token: give each their own"));
        }
        self.0.push((token, caller));
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes equally long for every token, right or wrong.
    pub(super) fn holder(&self, token: &str) -> Option<&Caller> {
        let given = hash(token);
        let mut found = u32::MAX;
        for (index, (known, _)) in (0_u32..).zip(&self.0) {
            found.conditional_assign(&index, known.0.ct_eq(&given));
        }
        self.0.get(usize::try_from(found).ok()?).map(|(_, caller)| caller)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{StaticToken, StaticTokens};
    use crate::caller::{Caller, Proof};

    #[test]
    fn each_token_has_its_holder() {
        let mut ann = Caller::static_token();
        ann.proof = Proof::MappedToken;
        "ann".clone_into(&mut ann.user);
        let mut tokens = StaticTokens::default();
        let token = |text| StaticToken::new(text).unwrap();
        tokens.add(token("0123456789abcdef"), Caller::static_token()).unwrap();
        tokens.add(token("0123456789abcdeg"), ann.clone()).unwrap();
        assert_eq!(tokens.holder("0123456789abcdef"), Some(&Caller::static_token()));
        assert_eq!(tokens.holder("0123456789abcdeg"), Some(&ann));
        assert_eq!(tokens.holder("0123456789abcdeh"), None);
        assert_eq!(tokens.holder(""), None);
        assert!(tokens.add(token("0123456789abcdef"), ann).unwrap_err().contains("same static token"));
    }

    #[test]
    fn a_short_or_odd_token_is_refused_at_start() {
        assert!(StaticToken::new("short").is_err());
        assert!(StaticToken::new("0123456789 abcdef").is_err());
    }
}
