//! Whom a token goes to: a forge whose certificate is trusted, and no host that another one names.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{Router, extract::Request, response::Redirect};
use pilothouse::changes::forge::{Forge, ForgeError};
use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::{
    authority::Authority,
    forge_connect::connect_by,
    forge_gitea_server::Gitea,
    forge_stage::{commit, made},
};

const WEB: &str = "kind: Deployment\nmetadata:\n  name: web\nspec:\n  replicas: 1\n";
const TOKEN: &str = "a-token-that-goes-nowhere";

/// By its API, and by git alone, which pushes.
#[tokio::test]
async fn a_forge_of_an_own_authority_is_trusted_where_that_is_said() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let authority = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    let trusted = authority.write(folder.path(), "ca.pem");
    let another = Authority::new().write(folder.path(), "another.pem");
    let gitea = Gitea::behind_tls(&authority).await;
    let token = gitea.person("pilot", &["write:repository", "write:issue", "read:user"]).await;
    let repository = gitea.repository("deploy", &[("web.yaml", WEB)], &["pilot"]).await;
    let url = format!("{}/{}.git", gitea.address, repository.path);

    for software in ["gitea", "git"] {
        let trusting = |ca: &str| connect_by(&url, &token, &format!("type: {software}{ca}"));
        let (forge, _folder) = trusting(&format!(", caFile: '{trusted}'"));
        let snapshot = forge.snapshot().await.unwrap();
        assert_eq!(snapshot.files["web.yaml"], WEB);
        let branch = format!("pilothouse/{software}");
        let pushed = made(forge.commit(&commit(&snapshot, &branch, &[("web.yaml", "replicas: 2\n")])).await);
        assert_eq!(forge.head(&branch).await, Ok(Some(pushed)));
        assert_eq!(repository.text(&branch, "web.yaml").await, "replicas: 2\n");

        for ca in [String::new(), format!(", caFile: '{another}'")] {
            let (forge, _folder) = trusting(&ca);
            let said = forge.snapshot().await.unwrap_err().to_string();
            let names = said.contains("is not trusted here") && said.contains("in forge.caFile");
            assert!(names && said.contains("deploy"), "{software}: {said}");
        }
    }
}

/// A host that sends everybody to another one, which writes down who comes.
async fn redirecting(status: fn(&str) -> Redirect) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let came = Arc::<Mutex<Vec<String>>>::default();
    let open = async || TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (there, here) = (open().await, open().await);
    let target = format!("http://localhost:{}", there.local_addr().unwrap().port());
    let address = here.local_addr().unwrap();
    let written = came.clone();
    let records = move |request: Request| {
        written.lock().unwrap().push(format!("{} {:?}", request.uri(), request.headers()));
        std::future::ready(())
    };
    tokio::spawn(async move { axum::serve(there, Router::new().fallback(records)).await });
    let sends = move |request: Request| std::future::ready(status(&format!("{target}{}", request.uri())));
    tokio::spawn(async move { axum::serve(here, Router::new().fallback(sends)).await });
    (address, came)
}

#[tokio::test]
async fn a_token_does_not_follow_to_another_host() {
    for status in [Redirect::temporary as fn(&str) -> Redirect, Redirect::permanent, Redirect::to] {
        let (address, came) = redirecting(status).await;
        for software in ["github", "gitlab", "gitea", "forgejo", "git"] {
            let url = format!("http://{address}/team/deploy.git");
            let (forge, _folder): (Arc<dyn Forge>, TempDir) =
                connect_by(&url, TOKEN, &format!("type: {software}"));
            let refused: Vec<ForgeError> =
                vec![forge.snapshot().await.unwrap_err(), forge.head("main").await.unwrap_err()];
            for said in refused.iter().map(ToString::to_string) {
                assert!(said.contains("another address, where the token must not go"), "{software}: {said}");
                assert!(!said.contains(TOKEN), "{said}");
            }
        }
        assert_eq!(*came.lock().unwrap(), Vec::<String>::new());
    }
}
