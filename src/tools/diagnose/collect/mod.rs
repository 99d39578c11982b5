//! The one bounded set of reads that a picture is made of. First the objects, all kinds at once; then what is known
//! only from them to be worth reading: events, logs, the Secrets that are referred to.

mod backends;
mod custom;
mod events;
mod logs;
mod pods;
mod secrets;
mod source;
mod trim;

use k8s_openapi::api::node::v1::RuntimeClass;

use self::source::Source;
use super::{
    finding::ObjectRef,
    picture::{Picture, Scope},
};
use crate::{cluster::ReadError, tools::desk::Desk};

/// Reads all that is looked at. What cannot be read is named in the picture.
///
/// # Errors
/// When the cluster cannot be asked at all.
pub(super) async fn picture(desk: &Desk, scope: Scope) -> Result<Picture, ReadError> {
    let kinds = desk.reader.kinds().await?;
    let mut picture = Picture::empty(scope, desk.reader.now());
    let namespace = picture.scope.namespace().map(str::to_owned);
    let source = Source::new(&desk.reader, &kinds, namespace, picture.scope.is_of_cluster_alone());
    objects(&source, &mut picture).await;
    {
        let known = &picture;
        let (events, secrets, logs, custom, backends) = tokio::join!(
            events::read(&source, known),
            secrets::read(&source, known),
            logs::read(&source, known),
            custom::read(&source),
            backends::read(&source, known),
        );
        (picture.events, picture.secrets, picture.logs) = (events, secrets, logs);
        (picture.custom, picture.backends) = (custom, backends);
    }
    picture.unread = source.into_unread();
    Ok(picture)
}

async fn objects(source: &Source<'_>, picture: &mut Picture) {
    let now = picture.now;
    let workloads = async {
        tokio::join!(
            pods::read(source, now),
            source.all("apps", "Deployment"),
            source.some("apps", "ReplicaSet", trim::replica_set),
            source.all("apps", "StatefulSet"),
            source.all("apps", "DaemonSet"),
            source.some("batch", "Job", trim::job),
            source.all("batch", "CronJob"),
        )
    };
    let around = async {
        tokio::join!(
            source.all("", "Service"),
            source.all("discovery.k8s.io", "EndpointSlice"),
            source.all("networking.k8s.io", "Ingress"),
            source.all("networking.k8s.io", "NetworkPolicy"),
            source.all("autoscaling", "HorizontalPodAutoscaler"),
            source.all("policy", "PodDisruptionBudget"),
            source.all("", "PersistentVolumeClaim"),
            source.some("", "ConfigMap", trim::config_map),
            source.all("", "ServiceAccount"),
            source.all("", "ResourceQuota"),
            source.all("", "LimitRange"),
            source.all("rbac.authorization.k8s.io", "Role"),
            source.all("rbac.authorization.k8s.io", "RoleBinding"),
        )
    };
    let of_cluster = async {
        tokio::join!(
            source.namespaces(),
            source.some("", "Node", trim::node),
            source.some("", "PersistentVolume", |volume| trim::volume(volume, source.namespace())),
            source.all("storage.k8s.io", "StorageClass"),
            source.all("networking.k8s.io", "IngressClass"),
            source.all("scheduling.k8s.io", "PriorityClass"),
            source.all("rbac.authorization.k8s.io", "ClusterRole"),
            source.some("rbac.authorization.k8s.io", "ClusterRoleBinding", trim::cluster_role_binding),
            source.all("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"),
            source.all("admissionregistration.k8s.io", "MutatingWebhookConfiguration"),
            source.all("apiregistration.k8s.io", "APIService"),
            source.all::<RuntimeClass>("node.k8s.io", "RuntimeClass"),
        )
    };
    let (workloads, around, of_cluster) = tokio::join!(workloads, around, of_cluster);
    let pods;
    (
        pods,
        picture.deployments,
        picture.replica_sets,
        picture.stateful_sets,
        picture.daemon_sets,
        picture.jobs,
        picture.cron_jobs,
    ) = workloads;
    (picture.pods, picture.pods_seen) = pods;
    (
        picture.services,
        picture.endpoint_slices,
        picture.ingresses,
        picture.network_policies,
        picture.autoscalers,
        picture.disruption_budgets,
        picture.claims,
        picture.config_maps,
        picture.service_accounts,
        picture.quotas,
        picture.limit_ranges,
        picture.roles,
        picture.role_bindings,
    ) = around;
    let runtime_classes;
    (
        picture.namespaces,
        picture.nodes,
        picture.volumes,
        picture.storage_classes,
        picture.ingress_classes,
        picture.priority_classes,
        picture.cluster_roles,
        picture.cluster_role_bindings,
        picture.validating_webhooks,
        picture.mutating_webhooks,
        picture.api_services,
        runtime_classes,
    ) = of_cluster;
    picture.runtime_classes =
        runtime_classes.into_iter().filter_map(|class: RuntimeClass| class.metadata.name).collect();
}

/// Why kinds are not read that have nothing to do with what is asked for; nobody is told.
pub(super) const NOT_ASKED: &str = "not asked for";

/// Objects without a namespace that pods have to do with; of others only they themselves are looked at.
const WITH_PODS: [&str; 4] = ["Node", "PersistentVolume", "StorageClass", "PriorityClass"];

impl Scope {
    /// Whether what is asked for has to do with nothing inside of namespaces.
    pub(super) fn is_of_cluster_alone(&self) -> bool {
        match self {
            Self::Object(ObjectRef { kind, namespace, name: _ }) => {
                namespace.is_empty() && !WITH_PODS.contains(&kind.as_str())
            }
            Self::Namespace(_) | Self::Cluster => false,
        }
    }

    /// The one namespace whose objects are read.
    pub(super) fn namespace(&self) -> Option<&str> {
        match self {
            Self::Namespace(namespace) => Some(namespace),
            Self::Object(ObjectRef { kind: _, namespace, name: _ }) if !namespace.is_empty() => {
                Some(namespace)
            }
            Self::Object(_) | Self::Cluster => None,
        }
    }
}
