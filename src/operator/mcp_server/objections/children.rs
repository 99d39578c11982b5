//! Objects that stand where a server's children would be, or that would move them. Needs a client; stores nothing.

use futures::future::join_all;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::{
    Api, Client, ResourceExt,
    api::ListParams,
    core::{ApiResource, DynamicObject, GroupVersionKind},
};

use crate::operator::{
    field_error::{FieldError, Problem},
    kind::Kind,
    mcp_server::{
        build::{Around, build},
        child::Child,
        owned::{Belonging, belonging},
        validate::{Owner, Workload},
    },
};

/// Children that exist and are not ours.
pub(super) async fn taken(
    client: &Client,
    owner: &Owner,
    workload: &Workload,
    own_namespace: &str,
) -> Vec<FieldError> {
    let built = build(
        owner,
        workload,
        &Around { own_namespace, rotation: None, sources: None, own_image: None, running: None },
    );
    let children = built.and_then(|children| children.list()).unwrap_or_else(|error| {
        tracing::warn!(server = %owner.name, %error, "its children cannot be written as JSON");
        Vec::new()
    });
    let foreign = children.iter().map(|child| async move {
        is_foreign(client, owner, child).await.then(|| {
            let Child { kind, .. } = child;
            let what = format!("{kind} {}/{}", child.namespace(), child.name());
            FieldError::new(
                "metadata.name",
                Problem::Invalid(owner.name.name.clone()),
                format!(
                    "{what} exists already and belongs to somebody else: delete it or give this MCPServer another name"
                ),
            )
        })
    });
    join_all(foreign).await.into_iter().flatten().collect()
}

async fn is_foreign(client: &Client, owner: &Owner, child: &Child) -> bool {
    let resource = resource(child.kind);
    let api = Api::<DynamicObject>::namespaced_with(client.clone(), child.namespace(), &resource);
    match api.get_metadata_opt(child.name()).await {
        Ok(found) => found.is_some_and(|found| belonging(owner, &found.metadata) == Belonging::Foreign),
        Err(error) => {
            tracing::debug!(%error, kind = %child.kind, name = child.name(), "not known whose it is");
            false
        }
    }
}

/// A kind that is not served answers as an object that is not there.
fn resource(kind: Kind) -> ApiResource {
    kind.built_in().unwrap_or_else(|| {
        let (group, versions) = kind.installed_as();
        let version = versions.first().copied().unwrap_or("v1");
        ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind.as_str()))
    })
}

/// An autoscaler that is not ours and scales our Deployment: each would undo what the other does.
pub(in crate::operator::mcp_server) async fn foreign_autoscaler(
    client: &Client,
    owner: &Owner,
) -> Option<FieldError> {
    let api = Api::<HorizontalPodAutoscaler>::namespaced(client.clone(), &owner.name.namespace);
    let all = match api.list(&ListParams::default()).await {
        Ok(all) => all.items,
        Err(error) => {
            tracing::debug!(%error, "not known who scales what");
            return None;
        }
    };
    let name = all.iter().find(|one| scales(one, owner))?.name_any();
    let ours = &owner.name.name;
    Some(FieldError::new(
        "spec.autoscaling",
        Problem::Forbidden,
        format!(
            "HorizontalPodAutoscaler {}/{name} scales the Deployment {ours}, whose pods this MCPServer sets: let it scale the MCPServer {ours}, or delete it",
            owner.name.namespace
        ),
    ))
}

fn scales(autoscaler: &HorizontalPodAutoscaler, owner: &Owner) -> bool {
    let target = autoscaler.spec.as_ref().map(|spec| &spec.scale_target_ref);
    target.is_some_and(|target| target.kind == "Deployment" && target.name == owner.name.name)
        && belonging(owner, &autoscaler.metadata) == Belonging::Foreign
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::scales;
    use crate::operator::mcp_server::{fixture::server, validate::validate};

    #[test]
    fn an_autoscaler_of_the_mcp_server_itself_is_welcome() {
        let owner = validate(&server("image: a"), None).unwrap().owner;
        let of = |kind: &str, name: &str| {
            serde_json::from_value(json!({
                "metadata": {"name": "theirs", "namespace": "team-a"},
                "spec": {"maxReplicas": 3, "scaleTargetRef": {"kind": kind, "name": name}},
            }))
            .unwrap()
        };
        assert!(scales(&of("Deployment", "demo"), &owner));
        assert!(!scales(&of("MCPServer", "demo"), &owner));
        assert!(!scales(&of("Deployment", "other"), &owner));
    }
}
