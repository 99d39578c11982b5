//! Headers of a remote server come from a Secret, where the role for it is bound, and follow the Secret.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use kube::{Client, Config};
use pilothouse::{
    api::MCPServer,
    fleet::{
        Roster, ServerName,
        cluster::{Cluster, Reach},
    },
    gateway::{Gateway, Kind},
    tools::Toolbox,
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::support::{client, crd, kubectl, namespace::Scratch, wait::until};

const SOON: Duration = Duration::from_secs(60);

/// A real MCP server of ours behind a door that wants this header.
#[derive(Clone)]
struct Door {
    wants: Arc<Mutex<String>>,
    router: Router,
}

async fn pass(State(door): State<Door>, request: Request) -> Response {
    let given = request.headers().get("x-api-key").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if given != *door.wants.lock().unwrap() {
        return (StatusCode::UNAUTHORIZED, Body::empty()).into_response();
    }
    tower::ServiceExt::oneshot(door.router, request).await.into_response()
}

/// Acts as a service account, so that its rights are bound as ours would be.
async fn as_account(namespace: &str) -> Client {
    let mut config: Config = client::config().await;
    config.auth_info.impersonate = Some(format!("system:serviceaccount:{namespace}:reader"));
    Client::try_from(config).unwrap()
}

fn bound(namespace: &str) -> String {
    let bind = |role: &str, rules: &str| {
        format!(
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {{name: {role}, namespace: {namespace}}}\n\
             rules: [{rules}]\n---\n\
             apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {{name: {role}, namespace: {namespace}}}\n\
             roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: {role}}}\n\
             subjects: [{{kind: ServiceAccount, name: reader, namespace: {namespace}}}]\n"
        )
    };
    let fleet = "{apiGroups: [pilothouse.dev], resources: [mcpservers], verbs: [get, list, watch]}, \
                 {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [get, list, watch]}";
    format!(
        "apiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: reader, namespace: {namespace}}}\n---\n{}",
        bind("fleet", fleet)
    )
}

/// As the ClusterRole pilothouse-secrets of the installation.
fn secrets(namespace: &str) -> String {
    let role = "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: secrets, namespace: NAMESPACE}\n\
                rules: [{apiGroups: [''], resources: [secrets], verbs: [get, list, watch]}]\n---\n\
                apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: secrets, namespace: NAMESPACE}\n\
                roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: secrets}\n\
                subjects: [{kind: ServiceAccount, name: reader, namespace: NAMESPACE}]\n";
    role.replace("NAMESPACE", namespace)
}

fn secret(namespace: &str, value: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: far, namespace: {namespace}}}\nstringData: {{key: {value}}}\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_header_comes_from_a_secret_where_it_may_be_read_and_follows_it() {
    crd::established();
    let scratch = Scratch::new("headers");
    let namespace = scratch.name();
    kubectl::apply(&bound(namespace));
    kubectl::apply(&secret(namespace, "first"));

    let folder = tempfile::tempdir().unwrap();
    let audit = pilothouse::audit::Audit::open(folder.path()).unwrap();
    let toolbox = Arc::new(Toolbox::default());
    let own = pilothouse::gateway::Entry::own(
        Kind::Tool,
        "hello",
        pilothouse::gateway::wire::text::raw(
            &json!({ "name": "hello", "inputSchema": { "type": "object" } }),
        ),
    );
    let behind = Arc::new(Gateway::new(vec![own]));
    let face = pilothouse::mcp::Face::showing(behind.catalogues(), behind.clone(), toolbox, audit);
    let router = pilothouse::mcp::http::router(face, pilothouse::mcp::HttpSettings::default());
    let door = Door { wants: Arc::new(Mutex::new("first".to_owned())), router };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let outside = Router::new().fallback(pass).with_state(door.clone());
    tokio::spawn(async move { axum::serve(listener, outside).await });

    let gateway = Arc::new(Gateway::new(Vec::new()));
    let roster = Roster::new(gateway.clone());
    let stop = CancellationToken::new();
    let _end = stop.clone().drop_guard();
    let fleet =
        Cluster::new(as_account(namespace).await, vec![namespace.to_owned()], Reach::Direct, roster.clone());
    tokio::spawn(fleet.run(stop));
    let server: MCPServer = serde_json::from_value(json!({
        "apiVersion": "pilothouse.dev/v1alpha1", "kind": "MCPServer",
        "metadata": { "name": "far", "namespace": namespace },
        "spec": { "remote": {
            "url": format!("http://{address}/mcp"),
            "headersFrom": [{ "name": "X-Api-Key", "secretKeyRef": { "name": "far", "key": "key" } }],
        } },
    }))
    .unwrap();
    kubectl::apply(&serde_json::to_string(&server).unwrap());

    let name = ServerName { namespace: namespace.to_owned(), name: "far".to_owned() };
    let known = roster.known();
    until("it is said what is missing", SOON, || async {
        let declared = known.borrow().get(&name).map(|known| known.declared.clone());
        let why = declared?.err()?.to_string();
        (why.contains("spec.remote.headersFrom `X-Api-Key`") && why.contains("pilothouse-secrets"))
            .then_some(())
    })
    .await;
    assert_eq!(gateway.catalogue().of_kind(Kind::Tool).count(), 0);

    kubectl::apply(&secrets(namespace));
    let listed = async |what: &str| {
        until(what, SOON, || async {
            let seen = gateway.observations().borrow().get(&name).cloned()?;
            (seen.state == pilothouse::gateway::State::Ready && seen.tools.len() == 1).then_some(())
        })
        .await;
    };
    listed("it is connected").await;

    // Rotated on both sides: it is connected to again with the new value.
    *door.wants.lock().unwrap() = "second".to_owned();
    kubectl::apply(&secret(namespace, "second"));
    until("the new value is sent", SOON, || async {
        let request = pilothouse::gateway::Request {
            server: name.clone(),
            method: "tools/list".to_owned(),
            params: None,
            era: pilothouse::gateway::wire::Era::Legacy,
            seats: None,
        };
        gateway.call(request, tokio::sync::mpsc::channel(1).0).await.is_ok().then_some(())
    })
    .await;

    kubectl::run(&["-n", namespace, "delete", "secret", "far"]);
    until("it is said that the Secret is gone", SOON, || async {
        let declared = known.borrow().get(&name).map(|known| known.declared.clone());
        declared?.err()?.to_string().contains("does not exist").then_some(())
    })
    .await;
}
