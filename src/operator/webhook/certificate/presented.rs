//! What is presented to the API server, in every replica: read again and again, taken over when it changed.

use std::{path::PathBuf, sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use rustls::{
    crypto::CryptoProvider,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};
use tokio_util::sync::CancellationToken;

use super::{issue::Pair, keeper::SECRET, stored::Stored};
use crate::operator::webhook::config::CertificateSource;

/// Nobody is answered until there is one.
#[derive(Debug, Default)]
pub(in crate::operator::webhook) struct Presented(ArcSwapOption<CertifiedKey>);

impl ResolvesServerCert for Presented {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load_full()
    }
}

#[derive(Debug, thiserror::Error)]
enum PresentError {
    #[error("the Secret {0} cannot be read: {1}")]
    Secret(String, Box<kube::Error>),
    #[error("{0} cannot be read: {1}")]
    File(PathBuf, std::io::Error),
    #[error("it is not PEM text: {0}")]
    Pem(#[from] rustls::pki_types::pem::Error),
    #[error("certificate and key do not go together: {0}")]
    Pair(#[from] rustls::Error),
}

impl Presented {
    fn take_over(&self, pair: &Pair, provider: &CryptoProvider) -> Result<(), PresentError> {
        let chain: Vec<CertificateDer<'static>> =
            CertificateDer::pem_slice_iter(pair.certificate.as_bytes()).collect::<Result<_, _>>()?;
        let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes())?;
        self.0.store(Some(Arc::new(CertifiedKey::from_der(chain, key, provider)?)));
        Ok(())
    }
}

/// How often it is read until there is one.
const FIRST: Duration = Duration::from_millis(500);

/// How often it is read.
fn interval(source: &CertificateSource) -> Duration {
    let usual = Duration::from_secs(10);
    match source {
        CertificateSource::Own { life, .. } => (*life / 60).clamp(Duration::from_millis(500), usual),
        CertificateSource::Secret(_) | CertificateSource::Folder(_) => usual,
    }
}

/// Reads it until `cancel`. What cannot be read leaves what is presented as it is, and is said once.
pub(in crate::operator::webhook) async fn follow(
    presented: Arc<Presented>,
    source: CertificateSource,
    client: Client,
    namespace: String,
    provider: Arc<CryptoProvider>,
    cancel: CancellationToken,
) {
    let secrets = Api::<Secret>::namespaced(client, &namespace);
    let (mut taken, mut said) = (None, None);
    while !cancel.is_cancelled() {
        let outcome = match read(&source, &secrets).await {
            Ok(Some(pair)) if taken.as_ref() != Some(&pair) => {
                presented.take_over(&pair, &provider).map(|()| {
                    tracing::info!("the webhook presents a new certificate");
                    taken = Some(pair);
                })
            }
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        };
        let error = outcome.err().map(|error| error.to_string());
        if let Some(error) = error.as_ref().filter(|error| said.as_ref() != Some(*error)) {
            tracing::warn!(error, "the certificate of the webhook cannot be taken over, it is read again");
        }
        said = error;
        // Nobody is answered until there is one.
        let pause = if taken.is_some() { interval(&source) } else { interval(&source).min(FIRST) };
        cancel.run_until_cancelled(tokio::time::sleep(pause)).await;
    }
}

async fn read(source: &CertificateSource, secrets: &Api<Secret>) -> Result<Option<Pair>, PresentError> {
    let name = match source {
        CertificateSource::Own { .. } => SECRET,
        CertificateSource::Secret(name) => name,
        CertificateSource::Folder(folder) => {
            let file = async |name: &str| {
                let path = folder.join(name);
                tokio::fs::read_to_string(&path).await.map_err(|error| PresentError::File(path, error))
            };
            return Ok(Some(Pair { certificate: file("tls.crt").await?, key: file("tls.key").await? }));
        }
    };
    let secret = secrets.get_opt(name).await;
    let secret = secret.map_err(|error| PresentError::Secret(name.to_owned(), Box::new(error)))?;
    Ok(secret.and_then(|secret| Stored::of(&secret).current))
}
