//! How the webhook is served, as the configuration file says it.
//!
//! ```yaml
//! operator:
//!   webhook:                       # `webhook: {}` serves it as by default
//!     address: 0.0.0.0:9443
//!     references: warn             # or deny: of objects that are named and do not exist
//!     configuration: pilothouse    # the ValidatingWebhookConfiguration that is told of our certificate
//!     certificate: {life: 90d}     # our own; or {secretName: ...}, or {folder: ...}
//! ```

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use serde::Deserialize;

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct WebhookConfig {
    /// Where it listens, by TLS.
    pub address: SocketAddr,
    pub references: References,
    pub certificate: CertificateSource,
    /// Name of the ValidatingWebhookConfiguration whose `caBundle` is kept. Not used where the certificate is
    /// somebody else's.
    pub configuration: String,
}

impl Default for WebhookConfig {
    fn default() -> Self {
        Self {
            address: SocketAddr::from(([0, 0, 0, 0], 9443)),
            references: References::default(),
            certificate: CertificateSource::default(),
            configuration: "pilothouse".to_owned(),
        }
    }
}

/// What a reference to an object that does not exist means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum References {
    /// It may come later: the object is stored, and whoever stores it is warned.
    #[default]
    Warn,
    /// The object is refused.
    Deny,
}

/// Where the serving certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Written")]
pub enum CertificateSource {
    /// Made and renewed by the leader, and shared by a Secret.
    Own {
        life: Duration,
        /// What the API server calls us by. Empty: the names of our Service.
        names: Vec<String>,
    },
    /// A Secret of our namespace that somebody else fills, such as cert-manager.
    Secret(String),
    /// A folder with `tls.crt` and `tls.key`.
    Folder(PathBuf),
}

const DEFAULT_LIFE: Duration = Duration::from_hours(90 * 24);

impl Default for CertificateSource {
    fn default() -> Self {
        Self::Own { life: DEFAULT_LIFE, names: Vec::new() }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Written {
    secret_name: Option<String>,
    folder: Option<PathBuf>,
    life: Option<String>,
    names: Option<Vec<String>>,
}

impl TryFrom<Written> for CertificateSource {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let Written { secret_name, folder, life, names } = written;
        let is_foreign = secret_name.is_some() || folder.is_some();
        if is_foreign && (life.is_some() || names.is_some()) {
            return Err("certificate.life and names are of a certificate that is made here: remove them, or secretName and folder".to_owned());
        }
        match (secret_name, folder) {
            (Some(_), Some(_)) => {
                Err("certificate.secretName and folder exclude each other: remove one of them".to_owned())
            }
            (Some(name), None) => Ok(Self::Secret(name)),
            (None, Some(folder)) => Ok(Self::Folder(folder)),
            (None, None) => Ok(Self::Own {
                life: life.as_deref().map_or(Ok(DEFAULT_LIFE), lasting)?,
                names: names.unwrap_or_default(),
            }),
        }
    }
}

/// From 10 s to 10 years.
fn lasting(text: &str) -> Result<Duration, String> {
    let wrong =
        || format!("certificate.life `{text}` is not from 10s to 3650d: write it like 90d, 12h, 30m or 45s");
    let at = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (digits, unit) = text.split_at(at);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let life = Duration::from_secs(number.checked_mul(seconds).ok_or_else(wrong)?);
    let bounds = Duration::from_secs(10)..=Duration::from_hours(3_650 * 24);
    if bounds.contains(&life) { Ok(life) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use super::{CertificateSource, References, WebhookConfig};

    fn parse(text: &str) -> Result<WebhookConfig, String> {
        serde_saphyr::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn an_empty_one_is_served_as_by_default() {
        let config = parse("{}").unwrap();
        assert_eq!((config.address.port(), config.references), (9443, References::Warn));
        assert_eq!(config, WebhookConfig::default());
    }

    #[test]
    fn certificates_come_from_one_place() {
        let own = parse("certificate: {life: 45s, names: [127.0.0.1]}").unwrap().certificate;
        assert!(matches!(own, CertificateSource::Own { life, .. } if life == Duration::from_secs(45)));
        let secret = parse("certificate: {secretName: ours}").unwrap().certificate;
        assert_eq!(secret, CertificateSource::Secret("ours".to_owned()));
        let refused = [
            ("certificate: {secretName: a, folder: /b}", "exclude"),
            ("certificate: {secretName: a, life: 90d}", "remove"),
            ("certificate: {life: 9s}", "10s"),
            ("certificate: {life: 4000d}", "3650d"),
            ("certificate: {life: soon}", "90d"),
            ("certificate: {lifetime: 90d}", "lifetime"),
            ("references: maybe", "maybe"),
        ];
        for (text, expected) in refused {
            let said = parse(text).unwrap_err();
            assert!(said.contains(expected) && said.contains("line "), "{text}: {said}");
        }
    }
}
