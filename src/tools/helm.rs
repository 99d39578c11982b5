//! Helm's releases, as Helm itself keeps them: one Secret a revision.

use std::{
    collections::BTreeMap,
    io::{BufReader, Read},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use flate2::read::GzDecoder;
use futures::{StreamExt, stream};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::{
    desk::{Desk, failed},
    kinds::age,
};
use crate::{
    answer::{Answer, Rank},
    cluster::{ListRequest, ReadError, Resource},
};

/// No release that fits into a Secret unpacks to more, unless it is made to.
const LARGEST: u64 = 32 << 20;
/// Releases are large; few are read at once.
const AT_ONCE: usize = 6;
/// What is under way longer than this has been interrupted.
const UNDER_WAY: i64 = 15 * 60;

/// One revision, as far as the Secret's labels tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) revision: u64,
    pub(super) status: String,
    pub(super) updated: Option<Timestamp>,
    secret: String,
}

impl Stored {
    /// What is no revision of a release is none.
    fn of(secret: &RawValue) -> Option<Self> {
        #[derive(Deserialize)]
        struct Secret {
            metadata: Meta,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase", default)]
        #[derive(Default)]
        struct Meta {
            name: String,
            namespace: String,
            labels: BTreeMap<String, String>,
            creation_timestamp: Option<Timestamp>,
        }
        let Secret { metadata } = serde_json::from_str(secret.get()).ok()?;
        let label = |key: &str| metadata.labels.get(key).cloned();
        let modified = label("modifiedAt").and_then(|at| Timestamp::from_second(at.parse().ok()?).ok());
        Some(Self {
            revision: label("version")?.parse().ok()?,
            name: label("name")?,
            status: label("status").unwrap_or_default(),
            updated: modified.or(metadata.creation_timestamp),
            namespace: metadata.namespace,
            secret: metadata.name,
        })
    }

    /// How the release is when this is its newest revision.
    pub(super) fn health(&self, now: Timestamp) -> (Rank, String) {
        let since = self.updated.map_or(0, |at| now.as_second() - at.as_second());
        match self.status.as_str() {
            "deployed" => (Rank::Healthy, String::new()),
            "failed" => (Rank::Broken, String::new()),
            status if status.starts_with("pending-") || status == "uninstalling" => {
                let word = age(self.updated, now);
                if since > UNDER_WAY {
                    (
                        Rank::Broken,
                        format!("{status} for {word}: interrupted, no other helm command will start"),
                    )
                } else {
                    (Rank::Warning, format!("{status} for {word}"))
                }
            }
            _ => (Rank::Neutral, String::new()),
        }
    }
}

/// One revision, whole but for its templates and manifest.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Release {
    pub(super) info: Info,
    pub(super) chart: Chart,
    /// What the user gave; the chart's own values are not in it.
    pub(super) config: Value,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Info {
    pub(super) last_deployed: Option<String>,
    pub(super) description: String,
    pub(super) status: String,
    pub(super) notes: String,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Chart {
    pub(super) metadata: ChartMetadata,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ChartMetadata {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) app_version: String,
    pub(super) home: String,
    pub(super) sources: Vec<String>,
}

impl Release {
    /// `cart-1.4.2`.
    pub(super) fn chart(&self) -> String {
        let ChartMetadata { name, version, .. } = &self.chart.metadata;
        format!("{name}-{version}")
    }

    pub(super) fn deployed(&self) -> Option<Timestamp> {
        self.info.last_deployed.as_deref()?.parse().ok()
    }

    /// Out of the Secret that holds it.
    ///
    /// # Errors
    /// With what is not as Helm writes it.
    fn of(secret: &RawValue) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Secret {
            #[serde(default)]
            data: BTreeMap<String, String>,
        }
        let Secret { data } = serde_json::from_str(secret.get()).map_err(|error| error.to_string())?;
        let packed = data.get("release").ok_or("it has no `release`")?;
        // Once by the API server, once by Helm.
        let packed = STANDARD.decode(packed).map_err(|error| error.to_string())?;
        let packed = STANDARD.decode(packed).map_err(|error| error.to_string())?;
        let unpacked: Box<dyn Read> = if packed.starts_with(&[0x1f, 0x8b]) {
            Box::new(GzDecoder::new(packed.as_slice()))
        } else {
            Box::new(packed.as_slice())
        };
        serde_json::from_reader(BufReader::new(unpacked.take(LARGEST))).map_err(|error| error.to_string())
    }
}

impl Desk {
    /// Every kept revision of these releases, the newest first, and the version of the state they are of.
    ///
    /// # Errors
    /// An error answer when the Secrets cannot be read.
    pub(super) async fn helm_revisions(
        &self,
        namespace: Option<&str>,
        name: Option<&str>,
        at: Option<String>,
    ) -> Result<(Vec<Stored>, String), Answer> {
        let secrets = self.kind("secrets").await?;
        let labels = name.map_or_else(|| "owner=helm".to_owned(), |name| format!("owner=helm,name={name}"));
        let namespace = namespace.map(str::to_owned);
        let request = ListRequest { namespace, labels: Some(labels), fields: None, at };
        let mut revisions = Vec::new();
        let each = |secret: &RawValue| revisions.extend(Stored::of(secret));
        let version = self.reader.list_metadata(&secrets, &request, each).await.map_err(|error| match error {
            ReadError::Forbidden { message } => Answer::error(format!(
                "Helm keeps its releases in Secrets, which may not be listed here ({message}): give a `namespace` where you may, or ask for the right"
            )),
            other => failed(&other),
        })?;
        revisions.sort_by(|a: &Stored, b: &Stored| {
            (&a.namespace, &a.name, b.revision).cmp(&(&b.namespace, &b.name, a.revision))
        });
        Ok((revisions, version))
    }

    /// What a revision holds.
    ///
    /// # Errors
    /// One sentence saying why it cannot be read.
    pub(super) async fn helm_release(&self, secrets: &Resource, stored: &Stored) -> Result<Release, String> {
        let Stored { namespace, secret, .. } = stored;
        let raw =
            self.reader.get(secrets, Some(namespace), secret).await.map_err(|error| error.to_string())?;
        Release::of(&raw).map_err(|error| format!("Secret {secret} is not as Helm writes it: {error}"))
    }

    /// As [`Desk::helm_release`], several at once, in their order.
    pub(super) async fn helm_releases(
        &self,
        secrets: &Resource,
        stored: Vec<&Stored>,
    ) -> Vec<Result<Release, String>> {
        let reads: Vec<_> = stored.into_iter().map(|stored| self.helm_release(secrets, stored)).collect();
        stream::iter(reads).buffered(AT_ONCE).collect().await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io::Write;

    use base64::{Engine, engine::general_purpose::STANDARD};
    use flate2::{Compression, write::GzEncoder};
    use serde_json::{Value, json, value::to_raw_value};

    use super::{Release, Stored};
    use crate::answer::Rank;

    fn secret(release: &[u8]) -> Value {
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(release).unwrap();
        let packed = STANDARD.encode(STANDARD.encode(packed.finish().unwrap()));
        json!({ "metadata": { "name": "sh.helm.release.v1.cart.v3", "namespace": "shop",
                "labels": { "owner": "helm", "name": "cart", "version": "3", "status": "failed", "modifiedAt": "1767225600" } },
            "data": { "release": packed } })
    }

    #[test]
    fn a_release_is_read_out_of_its_secret() {
        let release = json!({ "name": "cart", "version": 3,
            "info": { "status": "failed", "description": "timed out", "last_deployed": "2026-01-01T00:00:00.5+01:00" },
            "chart": { "metadata": { "name": "cart", "version": "1.4.2", "appVersion": "7" }, "templates": [{ "data": "x" }] },
            "config": { "image": { "tag": "2" } }, "manifest": "---" });
        let raw = to_raw_value(&secret(release.to_string().as_bytes())).unwrap();
        let read = Release::of(&raw).unwrap();
        assert_eq!((read.chart().as_str(), read.info.description.as_str()), ("cart-1.4.2", "timed out"));
        assert_eq!(read.config, json!({ "image": { "tag": "2" } }));
        assert!(read.deployed().is_some());
        let stored = Stored::of(&raw).unwrap();
        assert_eq!((stored.revision, stored.name.as_str()), (3, "cart"));
        assert_eq!(stored.health("2026-01-01T00:01:00Z".parse().unwrap()).0, Rank::Broken);
    }

    #[test]
    fn what_is_no_release_is_said_and_not_unpacked_without_end() {
        let none = to_raw_value(&json!({ "data": {} })).unwrap();
        assert_eq!(Release::of(&none).unwrap_err(), "it has no `release`");
        let odd = to_raw_value(&secret(b"not json")).unwrap();
        assert!(Release::of(&odd).is_err());
        // 64 MB of blanks pack into little.
        let bomb = to_raw_value(&secret(&vec![b' '; 64 << 20])).unwrap();
        assert!(Release::of(&bomb).unwrap_err().contains("EOF"));
    }

    #[test]
    fn what_is_under_way_too_long_was_interrupted() {
        let mut stored = Stored::of(&to_raw_value(&secret(b"")).unwrap()).unwrap();
        stored.status = "pending-upgrade".into();
        let (rank, why) = stored.health("2026-01-01T00:05:00Z".parse().unwrap());
        assert_eq!((rank, why.as_str()), (Rank::Warning, "pending-upgrade for 5m"));
        let (rank, why) = stored.health("2026-01-01T02:00:00Z".parse().unwrap());
        assert!(rank == Rank::Broken && why.contains("interrupted"), "{why}");
    }
}
