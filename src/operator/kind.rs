//! The kinds of children, as one table: how each is called, in which order they are made, and what others may set
//! on them.

use std::fmt;

use k8s_openapi::api::{
    apps::v1::Deployment,
    autoscaling::v2::HorizontalPodAutoscaler,
    core::v1::{ConfigMap, PersistentVolumeClaim, Service, ServiceAccount},
    networking::v1::{Ingress, NetworkPolicy},
    policy::v1::PodDisruptionBudget,
};
use kube::{Resource, core::ApiResource};

/// In the order in which they are made: what pods use before the pods, what looks at pods after them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    ServiceAccount,
    ConfigMap,
    Claim,
    ExternalSecret,
    NetworkPolicy,
    Service,
    Deployment,
    DisruptionBudget,
    Autoscaler,
    Ingress,
    ServiceMonitor,
}

impl Kind {
    pub(super) const ALL: [Self; 11] = [
        Self::ServiceAccount,
        Self::ConfigMap,
        Self::Claim,
        Self::ExternalSecret,
        Self::NetworkPolicy,
        Self::Service,
        Self::Deployment,
        Self::DisruptionBudget,
        Self::Autoscaler,
        Self::Ingress,
        Self::ServiceMonitor,
    ];

    /// Where it is found in every cluster that we support; None: only where somebody installed it.
    pub(super) fn built_in(self) -> Option<ApiResource> {
        Some(match self {
            Self::ServiceAccount => resource::<ServiceAccount>(),
            Self::ConfigMap => resource::<ConfigMap>(),
            Self::Claim => resource::<PersistentVolumeClaim>(),
            Self::NetworkPolicy => resource::<NetworkPolicy>(),
            Self::Service => resource::<Service>(),
            Self::Deployment => resource::<Deployment>(),
            Self::DisruptionBudget => resource::<PodDisruptionBudget>(),
            Self::Autoscaler => resource::<HorizontalPodAutoscaler>(),
            Self::Ingress => resource::<Ingress>(),
            Self::ExternalSecret | Self::ServiceMonitor => return None,
        })
    }

    /// Group and versions in which somebody may have installed it, the best first.
    pub(super) fn installed_as(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::ExternalSecret => ("external-secrets.io", &["v1", "v1beta1"]),
            Self::ServiceMonitor => ("monitoring.coreos.com", &["v1"]),
            _ => ("", &[]),
        }
    }

    /// As Kubernetes writes it.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::ServiceAccount => "ServiceAccount",
            Self::ConfigMap => "ConfigMap",
            Self::Claim => "PersistentVolumeClaim",
            Self::ExternalSecret => "ExternalSecret",
            Self::NetworkPolicy => "NetworkPolicy",
            Self::Service => "Service",
            Self::Deployment => "Deployment",
            Self::DisruptionBudget => "PodDisruptionBudget",
            Self::Autoscaler => "HorizontalPodAutoscaler",
            Self::Ingress => "Ingress",
            Self::ServiceMonitor => "ServiceMonitor",
        }
    }

    /// Data is not lost because a field was removed: it goes with the MCPServer alone.
    pub(super) fn outlives_its_field(self) -> bool {
        self == Self::Claim
    }

    /// Fields that others set without it being drift, and that an update carries over.
    pub(super) fn set_by_others(self) -> &'static [&'static [&'static str]] {
        match self {
            // OpenShift adds pull secrets to every account.
            Self::ServiceAccount => &[&["secrets"], &["imagePullSecrets"]],
            Self::Deployment => &[&["spec", "replicas"]],
            // Filled in when the claim is bound; they can never change.
            Self::Claim => &[&["spec", "volumeName"], &["spec", "volumeMode"], &["spec", "storageClassName"]],
            _ => &[],
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn resource<K: Resource<DynamicType = ()>>() -> ApiResource {
    ApiResource::erase::<K>(&())
}

#[cfg(test)]
mod tests {
    use super::Kind;

    #[test]
    fn the_table_is_in_order_and_every_kind_can_be_found() {
        assert!(Kind::ALL.is_sorted());
        for kind in Kind::ALL {
            let (group, versions) = kind.installed_as();
            match kind.built_in() {
                Some(resource) => assert_eq!(resource.kind, kind.as_str()),
                None => assert!(group.contains('.') && !versions.is_empty(), "{kind}"),
            }
        }
    }
}
