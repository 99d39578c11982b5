//! Makes an authority and the one certificate that it signs.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose,
};
use time::OffsetDateTime;

use super::life::SKEW;

/// As PEM text.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Issued {
    pub authority: String,
    pub pair: Pair,
}

/// A certificate and its key, as PEM text. Not shown by Debug: the key is a secret.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Pair {
    pub certificate: String,
    pub key: String,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum IssueError {
    #[error("a certificate cannot be made: {0}")]
    Signing(#[from] rcgen::Error),
    #[error("a certificate cannot end {0:?} from now")]
    Date(Duration),
}

/// For a server of these names or addresses. The authority's key is gone afterwards.
///
/// # Errors
/// When a name cannot be in a certificate.
pub(super) fn issue(names: &[String], life: Duration, now: Timestamp) -> Result<Issued, IssueError> {
    let begin = now - SKEW;
    let end = now.checked_add(life).map_err(|_| IssueError::Date(life))?;
    let dated = |mut params: CertificateParams, name: String| {
        let date = |at: Timestamp| {
            OffsetDateTime::from_unix_timestamp(at.as_second()).map_err(|_| IssueError::Date(life))
        };
        (params.not_before, params.not_after) = (date(begin)?, date(end)?);
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        Ok::<_, IssueError>(params)
    };
    // A name of its own: the one before it is trusted too.
    let mut authority = dated(
        CertificateParams::default(),
        format!("pilothouse webhook authority {}", now.as_millisecond()),
    )?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    let authority_key = KeyPair::generate()?;
    let authority_pem = authority.self_signed(&authority_key)?.pem();
    let issuer = Issuer::new(authority, authority_key);
    let mut server = dated(CertificateParams::new(names)?, "pilothouse webhook".to_owned())?;
    server.use_authority_key_identifier_extension = true;
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate()?;
    let certificate = server.signed_by(&key, &issuer)?.pem();
    Ok(Issued { authority: authority_pem, pair: Pair { certificate, key: key.serialize_pem() } })
}
