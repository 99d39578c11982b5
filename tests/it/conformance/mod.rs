//! The official conformance suite, against a fixture and against the production face, both on our transports.

mod content;
mod fixture;
mod questions;
mod suite;

use std::sync::Arc;

use pilothouse::{
    audit::Audit,
    gateway::Gateway,
    mcp::{self, Face, HttpSettings, Own},
    tools::Toolbox,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use suite::Suite;

/// A face on a loopback port until it is dropped.
struct Served {
    url: String,
    stop: CancellationToken,
    _audit: tempfile::TempDir,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn serve(make: impl FnOnce(Audit) -> Arc<Face>) -> Served {
    let folder = tempfile::tempdir().unwrap();
    let face = make(Audit::open(folder.path()).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let router = mcp::http::router(face, HttpSettings::default());
    let stop = CancellationToken::new();
    tokio::spawn(mcp::listener::serve(listener, router, stop.clone()));
    Served { url, stop, _audit: folder }
}

async fn fixture() -> Served {
    serve(|audit| {
        let (own, catalogues) = fixture::Fixture::new();
        Face::showing(catalogues, Arc::new(Gateway::new(Vec::new())), Arc::new(own), audit)
    })
    .await
}

async fn production() -> Served {
    serve(|audit| {
        let own: Arc<dyn Own> = Arc::new(Toolbox::default());
        Face::new(Arc::new(Gateway::new(Vec::new())), own, audit)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fixture_passes_the_legacy_requirements() {
    let served = fixture().await;
    let outcome = Suite::requirements("2025-11-25").run(&served.url).await;
    assert_eq!((outcome.passed, outcome.failed), (83, 0), "{outcome}");
    assert!(outcome.exited_well, "{outcome}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fixture_passes_the_modern_requirements() {
    let served = fixture().await;
    let outcome = Suite::requirements("2026-07-28").run(&served.url).await;
    assert!(outcome.exited_well, "{outcome}");
    assert_eq!(outcome.failed, 0, "{outcome}");
}
