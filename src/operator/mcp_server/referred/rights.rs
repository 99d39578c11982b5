//! Whether objects of a namespace may be read: the API server is asked, nothing is stored.

use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::{Api, Client, api::PostParams};

use super::place::{Place, Store};

/// # Errors
/// When the API server does not answer.
pub(super) async fn may_watch(client: &Client, place: &Place) -> Result<bool, kube::Error> {
    let resource = match place.store {
        Store::ConfigMaps => "configmaps",
        Store::Secrets => "secrets",
    };
    let review = SelfSubjectAccessReview {
        spec: SelfSubjectAccessReviewSpec {
            resource_attributes: Some(ResourceAttributes {
                namespace: Some(place.namespace.clone()),
                resource: Some(resource.to_owned()),
                verb: Some("watch".to_owned()),
                ..ResourceAttributes::default()
            }),
            non_resource_attributes: None,
        },
        ..SelfSubjectAccessReview::default()
    };
    let reviews = Api::<SelfSubjectAccessReview>::all(client.clone());
    let reviewed = reviews.create(&PostParams::default(), &review).await?;
    Ok(reviewed.status.is_some_and(|status| status.allowed))
}
