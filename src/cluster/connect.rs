//! From a kubeconfig or a pod's own account to clients. Nothing is sent before the first request.

use std::{convert::Infallible, fmt, path::PathBuf, sync::Arc};

use bytes::Bytes;
use http::{Request, Response};
use kube::{
    Client, Config,
    client::Body,
    config::{AuthInfo, InClusterError, KubeConfigOptions, Kubeconfig, KubeconfigError},
};
use tokio::sync::OnceCell;
use tower::{BoxError, Service, ServiceExt, service_fn};

use super::{
    Contexts, Reader,
    identity::Identity,
    transport::{impersonating_nobody, transport},
};

/// What the command line says of the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConnectOptions {
    /// Otherwise `KUBECONFIG`, `~/.kube/config`, or, in a pod, its service account.
    pub kubeconfig: Option<PathBuf>,
    /// Otherwise the kubeconfig's current one.
    pub context: Option<String>,
}

/// A cluster that can be reached, or will be once something is asked of it.
#[derive(Clone)]
pub struct Connection {
    /// What tools read with.
    pub reader: Reader,
    /// All clusters of the kubeconfig, `reader`'s as the one that is meant without a word.
    pub contexts: Contexts,
    /// The process's own rights: for the operator and the fleet, never for tools.
    pub client: Client,
    /// For what is done in the cluster as callers who are named with each request.
    pub acting: Client,
    pub in_cluster: bool,
    /// The namespace of the context, or of the pod.
    pub namespace: String,
    /// For messages.
    pub server: String,
    /// How the API server is reached, without anybody's credentials; none of a recorded cluster.
    pub bare: Option<Config>,
}

impl Connection {
    /// A client of the same API server with no rights but those of the token in this file, which is read again when it
    /// changes. None of a recorded cluster.
    pub fn client_with_token(&self, file: PathBuf) -> Option<Client> {
        self.bare.clone().map(|mut config| {
            config.auth_info.token_file = Some(file.display().to_string());
            own(config)
        })
    }
}

/// The same address and trust, nobody's credentials.
fn bare(config: &Config) -> Config {
    let mut config = config.clone();
    config.auth_info = AuthInfo::default();
    config
}

/// For what is done as a caller, who alone must be named.
fn acting(config: &Config) -> Client {
    own(impersonating_nobody(config))
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("server", &self.server).finish_non_exhaustive()
    }
}

#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error(
        "there is no cluster: give a kubeconfig with --kubeconfig or KUBECONFIG, put one at ~/.kube/config, or serve a recorded cluster with --snapshot DIR"
    )]
    NoCluster,
    #[error("the kubeconfig {path} cannot be used ({reason}): give another with --kubeconfig or KUBECONFIG")]
    Kubeconfig { path: String, reason: String },
    #[error("the kubeconfig {path} has no context `{context}`: it has {known}")]
    NoContext { path: String, context: String, known: String },
    #[error("the kubeconfig {path} has no current context: choose one with --context, it has {known}")]
    NoCurrentContext { path: String, known: String },
    #[error("the service account of this pod cannot be used ({0}): let the pod mount its token")]
    InCluster(#[from] InClusterError),
    #[error("PILOTHOUSE_VIEWER must be the name of a service account: {0}")]
    Viewer(String),
}

const VIEWER: &str = "PILOTHOUSE_VIEWER";
const DEFAULT_VIEWER: &str = "pilothouse-viewer";

/// Reads the configuration; dials, logs in and runs credential plugins only with the first request.
///
/// # Errors
/// One sentence: no configuration, or one that cannot be used.
pub async fn connect(options: &ConnectOptions) -> Result<Connection, ConnectError> {
    let ConnectOptions { kubeconfig, context } = options;
    let path = kubeconfig.clone().or_else(kubeconfig_of_environment);
    match path {
        Some(path) => from_kubeconfig(path, context.as_deref()).await,
        None if std::env::var_os("KUBERNETES_SERVICE_HOST").is_some() => in_cluster(),
        None => Err(ConnectError::NoCluster),
    }
}

/// A given but missing file is an error to be told; `~/.kube/config` is used only where it exists.
fn kubeconfig_of_environment() -> Option<PathBuf> {
    if let Some(given) = std::env::var_os("KUBECONFIG").filter(|given| !given.is_empty()) {
        return Some(given.into());
    }
    let home = std::env::var_os("HOME").map(PathBuf::from)?;
    Some(home.join(".kube/config")).filter(|path| path.is_file())
}

async fn from_kubeconfig(path: PathBuf, context: Option<&str>) -> Result<Connection, ConnectError> {
    let shown = path.display().to_string();
    let unusable = |error: &KubeconfigError| ConnectError::Kubeconfig {
        path: shown.clone(),
        reason: match error {
            KubeconfigError::ReadConfig(source, path) => format!("{}: {source}", path.display()),
            KubeconfigError::Parse(parse) => parse.to_string().lines().next().unwrap_or_default().to_owned(),
            other => other.to_string(),
        },
    };
    let kubeconfig = read(&path).map_err(|error| unusable(&error))?;
    let known: Vec<&str> = kubeconfig.contexts.iter().map(|context| context.name.as_str()).collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    match (context, &kubeconfig.current_context) {
        (Some(context), _) if !kubeconfig.contexts.iter().any(|named| named.name == context) => {
            return Err(ConnectError::NoContext { path: shown, context: context.to_owned(), known });
        }
        (None, None) => return Err(ConnectError::NoCurrentContext { path: shown, known }),
        (None, Some(current)) if !kubeconfig.contexts.iter().any(|named| named.name == *current) => {
            return Err(ConnectError::NoContext { path: shown, context: current.clone(), known });
        }
        _ => {}
    }
    let options = KubeConfigOptions { context: context.map(str::to_owned), ..KubeConfigOptions::default() };
    let config = Config::from_custom_kubeconfig(kubeconfig.clone(), &options)
        .await
        .map_err(|error| unusable(&error))?;
    let (server, namespace) = (config.cluster_url.to_string(), config.default_namespace.clone());
    let (bare, acting) = (Some(bare(&config)), acting(&config));
    let (reader, client) = (Reader::new(shared(config.clone()), &server), own(config));
    let current = context.map(str::to_owned).or(kubeconfig.current_context.clone()).unwrap_or_default();
    let contexts = Contexts::of_kubeconfig(current, reader.clone(), kubeconfig);
    Ok(Connection { reader, contexts, client, in_cluster: false, namespace, server, bare, acting })
}

/// `KUBECONFIG` may name several files; the first to say something wins, as with kubectl.
fn read(path: &std::path::Path) -> Result<Kubeconfig, KubeconfigError> {
    let mut files = std::env::split_paths(path.as_os_str()).filter(|file| !file.as_os_str().is_empty());
    let Some(first) = files.next() else { return Err(KubeconfigError::FindPath) };
    files.try_fold(Kubeconfig::read_from(first)?, |merged, file| merged.merge(Kubeconfig::read_from(file)?))
}

fn in_cluster() -> Result<Connection, ConnectError> {
    let config = Config::incluster()?;
    let (server, namespace) = (config.cluster_url.to_string(), config.default_namespace.clone());
    let viewer = std::env::var(VIEWER).ok().filter(|name| !name.is_empty());
    let viewer = viewer.unwrap_or_else(|| DEFAULT_VIEWER.to_owned());
    let identity = Identity::service_account(&namespace, &viewer).map_err(ConnectError::Viewer)?;
    let (bare, acting) = (Some(bare(&config)), acting(&config));
    let (reader, client) = (Reader::acting(shared(config.clone()), identity, &server), own(config));
    let contexts = Contexts::one(reader.clone());
    Ok(Connection { reader, contexts, client, in_cluster: true, namespace, server, bare, acting })
}

/// What a reader reads with: connections that all requests share.
pub(super) fn shared(config: Config) -> Client {
    lazily(config, transport)
}

/// kube's own, for what writes, and for port forwarding.
fn own(config: Config) -> Client {
    lazily(config, |config| {
        let client = Client::try_from(config.clone())?;
        Ok(service_fn(move |request: Request<Body>| {
            let client = client.clone();
            async move { client.send(request).await }
        }))
    })
}

/// A client that is built with its first request: reading trust roots and running a credential plugin take
/// time that the start of the process must not wait for.
fn lazily<S, B>(config: Config, build: fn(&Config) -> Result<S, kube::Error>) -> Client
where
    S: Service<Request<Body>, Response = Response<B>, Error: Into<BoxError>, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    let namespace = config.default_namespace.clone();
    let (base, config) = (Arc::<OnceCell<S>>::default(), Arc::new(config));
    let service = service_fn(move |request: Request<Body>| {
        let (base, config) = (base.clone(), config.clone());
        async move {
            let built = base.get_or_try_init(|| aside(move || build(&config))).await?.clone();
            built.oneshot(request).await.map_err(Into::into)
        }
    });
    Client::new(service, namespace)
}

/// A credential plugin is run while building: not on a thread that answers others.
async fn aside<S: Send + 'static>(
    build: impl FnOnce() -> Result<S, kube::Error> + Send + 'static,
) -> Result<S, BoxError> {
    let runtime = tokio::runtime::Handle::current();
    let built = tokio::task::spawn_blocking(move || {
        let _inside = runtime.enter();
        build()
    });
    Ok(built.await??)
}

/// A client over a service that answers without a network.
pub(super) fn over<F, Fut>(answer: F) -> Client
where
    F: Fn(Request<Body>) -> Fut + Send + 'static,
    Fut: Future<Output = Response<Body>> + Send + 'static,
{
    let service = service_fn(move |request| {
        let answer = answer(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    Client::new(service, "default")
}
