//! The leader's part: makes certificates, keeps them in the Secret, and tells the API server whom to trust.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_STANDARD};
use k8s_openapi::{
    api::{admissionregistration::v1::ValidatingWebhookConfiguration, core::v1::Secret},
    jiff::Timestamp,
};
use kube::{
    Api, Client,
    core::{ApiResource, DynamicObject},
};
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{
    issue::{IssueError, issue},
    life::{Standing, Step, decide},
    stored::{Stored, read},
};
use crate::operator::writer::{WriteError, Writer};

/// The Secret that holds the certificate, and the Service by which the API server reaches us.
pub(super) const SECRET: &str = "pilothouse-webhook";

/// Reads with its own client and writes with the leader's writer.
pub(in crate::operator) struct Keeper {
    client: Client,
    namespace: String,
    /// The one by which we are asked, and the one by which we are told who writes what; each may be missing.
    configurations: [String; 2],
    life: Duration,
    names: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
enum KeepError {
    #[error("it cannot be read: {0}")]
    Read(#[from] kube::Error),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error(transparent)]
    Issue(#[from] IssueError),
    #[error("it cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// What the API server has been told.
enum Told {
    /// Of everything, since then.
    All(Instant),
    No,
}

impl Keeper {
    /// Without names, those of our Service.
    pub(in crate::operator::webhook) fn new(
        client: Client,
        namespace: &str,
        configuration: &str,
        life: Duration,
        names: &[String],
    ) -> Self {
        let names = if names.is_empty() {
            ["svc", "svc.cluster.local"].map(|end| format!("{SECRET}.{namespace}.{end}")).to_vec()
        } else {
            names.to_vec()
        };
        let configurations = [configuration.to_owned(), format!("{configuration}-witness")];
        Self { client, namespace: namespace.to_owned(), configurations, life, names }
    }

    /// Until the term as leader ends.
    pub(in crate::operator::webhook) async fn run(&self, writer: &Writer, term: &CancellationToken) {
        let mut ticks = tokio::time::interval(
            (self.life / 60).clamp(Duration::from_millis(250), Duration::from_secs(30)),
        );
        let (mut told, mut said) = (Told::No, None);
        while term.run_until_cancelled(ticks.tick()).await.is_some() {
            // Several steps may follow each other at once.
            let error = loop {
                match self.step(writer, &mut told).await {
                    Ok(Step::Rest) => break None,
                    Ok(step) => tracing::info!(?step, "the certificate of the webhook is renewed"),
                    // Read again at the next tick.
                    Err(KeepError::Write(WriteError::Outdated(_) | WriteError::NotLeading)) => break None,
                    Err(error) => break Some(error.to_string()),
                }
            };
            if let Some(error) = error.as_ref().filter(|error| said.as_ref() != Some(*error)) {
                tracing::warn!(error, "the certificate of the webhook cannot be kept, trying again");
            }
            said = error;
        }
    }

    /// Does one step, and says which.
    async fn step(&self, writer: &Writer, told: &mut Told) -> Result<Step, KeepError> {
        let secrets =
            Api::<DynamicObject>::namespaced_with(self.client.clone(), &self.namespace, &secret_kind());
        let held = secrets.get_opt(SECRET).await?;
        let stored = match &held {
            Some(held) => Stored::of(&serde_json::from_value::<Secret>(serde_json::to_value(held)?)?),
            None => Stored::default(),
        };
        let configurations = self.configurations().await?;
        match (&*told, configurations.iter().all(|one| is_told(one, &stored.authorities))) {
            (Told::All(_), true) => {}
            (Told::No, true) => *told = Told::All(Instant::now()),
            (_, false) => *told = Told::No,
        }
        let trusted_for = match told {
            Told::All(since) => Some(since.elapsed()),
            Told::No => None,
        };
        let dates = |pair: &Option<super::issue::Pair>| {
            let read = read(&pair.as_ref()?.certificate)?;
            let is_for_us = self.names.iter().all(|name| read.names.contains(name));
            is_for_us.then_some(read.dates)
        };
        let now = Timestamp::now();
        let standing = Standing { current: dates(&stored.current), next: dates(&stored.next), trusted_for };
        let step = decide(&standing, now);
        let new = || issue(&self.names, self.life, now);
        match step {
            Step::Issue => self.store(writer, held, &stored.issued(new()?, now)).await?,
            Step::Prepare => self.store(writer, held, &stored.prepared(new()?, now)).await?,
            Step::Switch => self.store(writer, held, &stored.switched()).await?,
            Step::Publish => {
                for configuration in
                    configurations.into_iter().filter(|one| !is_told(one, &stored.authorities))
                {
                    let trusting = trusting(configuration, &stored.authorities);
                    writer.replace_everywhere(&configuration_kind(), &trusting).await?;
                }
            }
            Step::Rest => {}
        }
        Ok(step)
    }

    /// Those that are there.
    async fn configurations(&self) -> Result<Vec<DynamicObject>, kube::Error> {
        let api = Api::<DynamicObject>::all_with(self.client.clone(), &configuration_kind());
        let [asked, told] = &self.configurations;
        let mut found: Vec<DynamicObject> = api.get_opt(asked).await?.into_iter().collect();
        match api.get_opt(told).await {
            Ok(configuration) => found.extend(configuration),
            // Its role comes with it.
            Err(kube::Error::Api(status)) if status.code == 403 => {}
            Err(error) => return Err(error),
        }
        Ok(found)
    }

    async fn store(
        &self,
        writer: &Writer,
        held: Option<DynamicObject>,
        stored: &Stored,
    ) -> Result<(), KeepError> {
        let kind = secret_kind();
        let is_new = held.is_none();
        let mut secret = held.unwrap_or_else(|| DynamicObject::new(SECRET, &kind).within(&self.namespace));
        secret.data["data"] = serde_json::to_value(stored.data())?;
        if is_new {
            writer.create_child(&kind, &secret).await?;
        } else {
            writer.replace_child(&kind, &secret).await?;
        }
        Ok(())
    }
}

fn secret_kind() -> ApiResource {
    ApiResource::erase::<Secret>(&())
}

fn configuration_kind() -> ApiResource {
    ApiResource::erase::<ValidatingWebhookConfiguration>(&())
}

/// Whether every webhook trusts exactly these.
fn is_told(configuration: &DynamicObject, authorities: &str) -> bool {
    let bundle = json!(BASE64_STANDARD.encode(authorities));
    webhooks(configuration).all(|webhook| webhook["clientConfig"]["caBundle"] == bundle)
}

fn webhooks(configuration: &DynamicObject) -> impl Iterator<Item = &Value> {
    configuration.data["webhooks"].as_array().into_iter().flatten()
}

fn trusting(mut configuration: DynamicObject, authorities: &str) -> DynamicObject {
    let bundle = json!(BASE64_STANDARD.encode(authorities));
    for webhook in configuration.data["webhooks"].as_array_mut().into_iter().flatten() {
        webhook["clientConfig"]["caBundle"] = bundle.clone();
    }
    configuration
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use kube::core::DynamicObject;
    use serde_json::json;

    use super::{is_told, trusting};

    #[test]
    fn every_webhook_of_the_configuration_is_told_and_nothing_else_changes() {
        let before: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": "pilothouse"},
            "webhooks": [
                {"name": "a.b.c", "futureField": 1, "clientConfig": {"url": "https://a"}},
                {"name": "d.e.f", "clientConfig": {"caBundle": "old"}}],
        }))
        .unwrap();
        assert!(!is_told(&before, "PEM"));
        let after = trusting(before, "PEM");
        assert!(is_told(&after, "PEM") && !is_told(&after, "PEM2"));
        assert_eq!(after.data["webhooks"][0]["futureField"], 1);
        assert_eq!(after.data["webhooks"][0]["clientConfig"]["url"], "https://a");
    }
}
