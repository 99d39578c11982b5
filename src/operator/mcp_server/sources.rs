//! The DataSources of one server: found, rendered, and the copy of credentials kept. Needs a client and the writer.

use k8s_openapi::api::{apps::v1::Deployment, core::v1::Secret};
use kube::{
    Api,
    core::{ApiResource, DynamicObject},
};
use serde_json::Value;

use super::{
    Context,
    apply::ApplyError,
    child::Child,
    dereference::Dereferenced,
    kind::Kind,
    owned::{Belonging, belonging},
    validate::{InvalidSpec, Owner},
};
use crate::{
    api::MCPServer,
    fleet::ServerName,
    operator::{
        data_source::{self, ConnectError, ConnectedSources, FILL_CONTAINER, Gathered, object_name},
        writer::WriteError,
    },
};

/// What a server is connected to.
#[derive(Debug, Default)]
pub(super) struct Sources {
    pub connected: ConnectedSources,
    /// What could not be used, a sentence each.
    pub troubles: Vec<String>,
}

/// None where the spec names no sources.
///
/// # Errors
/// When the API server does not answer. A template that gives no file is an [`InvalidSpec`].
pub(super) async fn find(
    context: &Context,
    name: &ServerName,
    server: &MCPServer,
    live: &Dereferenced,
) -> Result<Result<Option<Sources>, InvalidSpec>, kube::Error> {
    let Some(spec) = &server.spec.data_sources else { return Ok(Ok(None)) };
    let image = live.init_image(FILL_CONTAINER).or(context.own_image.as_deref());
    if spec.template.is_some() && image.is_none() {
        return Ok(Err(InvalidSpec::NoFillImage));
    }
    let Gathered { usable, troubles } = data_source::gather(&context.client, name, spec).await?;
    Ok(match data_source::connect(name, spec, &usable, image.unwrap_or_default()) {
        Ok(connected) => Ok(Some(Sources { connected, troubles })),
        Err(ConnectError::Render(why)) => Err(InvalidSpec::Sources(why.to_string())),
        Err(ConnectError::Json(error)) => return Err(kube::Error::SerdeError(error)),
    })
}

/// Keeps the copied credentials as they are meant, before the pods that use them. Secrets are not watched: the
/// copy is read each time there is one, or was one. The answer is why it cannot be kept.
///
/// # Errors
/// When the API server does not answer or has another version by now.
pub(super) async fn keep_copy(
    context: &Context,
    owner: &Owner,
    meant: Option<&Secret>,
    deployment: Option<&Deployment>,
) -> Result<Result<(), InvalidSpec>, ApplyError> {
    let ServerName { namespace, name } = &owner.name;
    let secret = object_name(name);
    if meant.is_none() && !deployment.is_some_and(|live| refers_to(live, &secret)) {
        return Ok(Ok(()));
    }
    let not_allowed = || {
        InvalidSpec::Sources(format!(
            "credentials of DataSources of other namespaces cannot be kept in the Secret {namespace}/{secret}: bind the ClusterRole pilothouse-shared-sources in {namespace} to the service account of pilothouse"
        ))
    };
    let resource = ApiResource::erase::<Secret>(&());
    let api = Api::<DynamicObject>::namespaced_with(context.client.clone(), namespace, &resource);
    let live = match api.get_opt(&secret).await {
        Ok(live) => live,
        Err(kube::Error::Api(status)) if status.is_forbidden() => {
            return Ok(if meant.is_some() { Err(not_allowed()) } else { Ok(()) });
        }
        Err(error) => return Err(error.into()),
    };
    let meant = match meant {
        Some(meant) => Some(Child::new(Kind::ConfigMap, meant)?),
        None => None,
    };
    let written = match (meant, live) {
        (None, None) => Ok(()),
        (None, Some(live)) if belonging(owner, &live.metadata) == Belonging::Ours => {
            context.writer.delete_child(&resource, &live).await
        }
        (None, Some(_)) => Ok(()),
        (Some(meant), None) => {
            context.writer.create_child(&resource, &meant.served_as(&resource)).await.map(drop)
        }
        (Some(meant), Some(live)) => {
            if belonging(owner, &live.metadata) != Belonging::Ours {
                return Ok(Err(InvalidSpec::Sources(format!(
                    "Secret {namespace}/{secret} exists already and belongs to somebody else: delete it or give this MCPServer another name"
                ))));
            }
            if data(&live) == data(&meant.object) {
                Ok(())
            } else {
                context.writer.replace_child(&resource, &meant.onto(&live)).await.map(drop)
            }
        }
    };
    match written {
        Ok(()) => Ok(Ok(())),
        Err(WriteError::Refused { source, .. }) if matches!(source.as_ref(), kube::Error::Api(status) if status.is_forbidden()) => {
            Ok(Err(not_allowed()))
        }
        Err(error) => Err(error.into()),
    }
}

fn data(secret: &DynamicObject) -> Option<&Value> {
    secret.data.get("data")
}

/// Whether the pods take something from this Secret.
fn refers_to(deployment: &Deployment, secret: &str) -> bool {
    let pod = deployment.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    let containers =
        pod.into_iter().flat_map(|pod| pod.init_containers.iter().flatten().chain(&pod.containers));
    let env = containers.flat_map(|container| container.env.iter().flatten());
    let mut named = env
        .filter_map(|variable| variable.value_from.as_ref()?.secret_key_ref.as_ref())
        .map(|from| from.name.as_str());
    named.any(|name| name == secret)
}
