//! JSON Web Tokens of an issuer we trust, checked here.

use jsonwebtoken::{
    Algorithm, DecodingKey, Validation, decode, decode_header,
    errors::{Error, ErrorKind},
};
use serde_json::{Map, Value};

use super::{
    bearer,
    challenge::Refusal,
    claims::ClaimRules,
    config::{IssuerConfig, IssuerUrl},
    jwks::Keys,
    until::Until,
};
use crate::caller::Caller;

/// How far the clocks of an issuer and ours may be apart, in seconds.
const LEEWAY: u64 = 10;

/// An issuer whose tokens let in.
#[derive(Clone)]
pub struct Issuer {
    url: IssuerUrl,
    audience: String,
    accepted: Vec<Algorithm>,
    /// Lacks the one algorithm that a token is signed with.
    validation: Validation,
    rules: ClaimRules,
    keys: Keys,
}

impl Issuer {
    /// `ca` are the certificates of the file that `config` names, in PEM.
    ///
    /// # Errors
    /// When the certificates cannot be used.
    pub fn new(config: IssuerConfig, ca: Option<&[u8]>) -> Result<Self, String> {
        let username_prefix = config.username_prefix();
        let IssuerConfig {
            issuer,
            audience,
            jwks_uri,
            algorithms,
            username_claim,
            groups_claim,
            groups_prefix,
            required_scopes,
            ca_file: _,
            ..
        } = config;
        let accepted: Vec<Algorithm> = algorithms.into_iter().map(Algorithm::from).collect();
        let mut validation = Validation::new(Algorithm::RS256);
        validation.algorithms = Vec::new();
        // Without this a token that lacks a claim would pass the check of it.
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        validation.set_issuer(&[issuer.as_str()]);
        validation.set_audience(audience.as_slice());
        validation.validate_nbf = true;
        validation.leeway = LEEWAY;
        let rules =
            ClaimRules { username_claim, username_prefix, groups_claim, groups_prefix, required_scopes };
        let keys = Keys::new(issuer.clone(), jwks_uri, ca)?;
        Ok(Self { url: issuer, audience: audience.first().to_owned(), accepted, validation, rules, keys })
    }

    /// As tokens name it.
    pub(super) fn name(&self) -> &str {
        self.url.as_str()
    }

    pub(super) fn required_scopes(&self) -> &[String] {
        &self.rules.required_scopes
    }

    /// Who the holder of `token` is, and until when.
    pub(super) async fn check(&self, token: &str) -> Result<(Caller, Until), Refusal> {
        let (id, algorithm) = signed_with(token, &self.accepted)?;
        let keys = self.keys.matching(id.as_deref(), algorithm).await?;
        if keys.is_empty() {
            let name = self.name();
            return Err(Refusal::Invalid(format!(
                "the token is signed with a key that {name} does not have"
            )));
        }
        let claims = self.claims(token, algorithm, &keys)?;
        let caller = self.rules.caller(&claims)?;
        Ok((caller, Until::at(bearer::ends(&claims))))
    }

    /// Several keys may have the same id; the signature says which it was.
    fn claims(
        &self,
        token: &str,
        algorithm: Algorithm,
        keys: &[DecodingKey],
    ) -> Result<Map<String, Value>, Refusal> {
        let validation = Validation { algorithms: vec![algorithm], ..self.validation.clone() };
        let mut why = ErrorKind::InvalidSignature;
        for key in keys {
            match decode::<Map<String, Value>>(token, key, &validation) {
                Ok(data) => return Ok(data.claims),
                Err(error) => why = error.into_kind(),
            }
            if !matches!(why, ErrorKind::InvalidSignature) {
                break;
            }
        }
        Err(Refusal::Invalid(sentence(&why, &self.audience)))
    }
}

/// The key id and algorithm that the token's header names.
fn signed_with(token: &str, accepted: &[Algorithm]) -> Result<(Option<String>, Algorithm), Refusal> {
    let accepted_ones = || {
        let names: Vec<String> = accepted.iter().map(|algorithm| format!("{algorithm:?}")).collect();
        names.join(", ")
    };
    let unreadable = |_: Error| {
        Refusal::Invalid(format!("the token's header is not that of one signed with {}", accepted_ones()))
    };
    let header = decode_header(token).map_err(unreadable)?;
    if header.crit.is_some() {
        return Err(Refusal::Invalid(
            "the token has critical extensions, which are not known here".to_owned(),
        ));
    }
    if !accepted.contains(&header.alg) {
        let (one, others) = (header.alg, accepted_ones());
        return Err(Refusal::Invalid(format!("the token is signed with {one:?}, and accepted is {others}")));
    }
    Ok((header.kid, header.alg))
}

/// Why a token does not hold. Nothing of the token is repeated.
fn sentence(why: &ErrorKind, audience: &str) -> String {
    match why {
        ErrorKind::ExpiredSignature => "the token has expired: get a new one".to_owned(),
        ErrorKind::ImmatureSignature => "the token is not valid yet: check the clocks".to_owned(),
        ErrorKind::InvalidAudience => {
            format!("the token is not for the audience `{audience}`: get one that is")
        }
        ErrorKind::InvalidIssuer => "the token is of another issuer".to_owned(),
        ErrorKind::MissingRequiredClaim(claim) => format!("the token has no claim `{claim}`"),
        ErrorKind::InvalidClaimFormat(claim) => format!("the claim `{claim}` of the token cannot be read"),
        ErrorKind::InvalidSignature => "the token's signature is wrong".to_owned(),
        _ => "the token cannot be checked: it is damaged, or not signed with the key it names".to_owned(),
    }
}
