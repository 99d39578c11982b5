//! Everything that a diagnosis is made from: one bounded set of reads, as values. Checks see nothing else.
//!
//! Objects are the API's own types without `managedFields`. Of pods, all that are unwell are here and a few of the
//! well ones of each owner: checks must not conclude anything from how many there are.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::api::{
    admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration},
    apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet},
    autoscaling::v2::HorizontalPodAutoscaler,
    batch::v1::{CronJob, Job},
    core::v1::{
        ConfigMap, LimitRange, Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod, ResourceQuota,
        Service, ServiceAccount,
    },
    discovery::v1::EndpointSlice,
    networking::v1::{Ingress, IngressClass, NetworkPolicy},
    policy::v1::PodDisruptionBudget,
    rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding},
    scheduling::v1::PriorityClass,
    storage::v1::StorageClass,
};
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration::v1::APIService;
use serde_json::Value;

use super::finding::ObjectRef;

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    Cluster,
    Namespace(String),
    /// One workload, pod, Service... and what hangs together with it.
    Object(ObjectRef),
}

/// What was seen. A kind that could not be read is empty and named in `unread`.
#[derive(Debug)]
pub(super) struct Picture {
    pub(super) now: Timestamp,
    pub(super) scope: Scope,
    /// Kinds (`ConfigMap`) that could not be read, or not to their end, each with why: nothing may be concluded from
    /// the absence of such objects.
    pub(super) unread: BTreeMap<&'static str, String>,

    pub(super) pods: Vec<Pod>,
    pub(super) deployments: Vec<Deployment>,
    pub(super) replica_sets: Vec<ReplicaSet>,
    pub(super) stateful_sets: Vec<StatefulSet>,
    pub(super) daemon_sets: Vec<DaemonSet>,
    pub(super) jobs: Vec<Job>,
    pub(super) cron_jobs: Vec<CronJob>,
    pub(super) services: Vec<Service>,
    pub(super) endpoint_slices: Vec<EndpointSlice>,
    pub(super) ingresses: Vec<Ingress>,
    pub(super) network_policies: Vec<NetworkPolicy>,
    pub(super) autoscalers: Vec<HorizontalPodAutoscaler>,
    pub(super) disruption_budgets: Vec<PodDisruptionBudget>,
    pub(super) claims: Vec<PersistentVolumeClaim>,
    pub(super) config_maps: Vec<ConfigMap>,
    pub(super) service_accounts: Vec<ServiceAccount>,
    pub(super) quotas: Vec<ResourceQuota>,
    pub(super) limit_ranges: Vec<LimitRange>,
    pub(super) roles: Vec<Role>,
    pub(super) role_bindings: Vec<RoleBinding>,

    pub(super) namespaces: Vec<Namespace>,
    pub(super) nodes: Vec<Node>,
    pub(super) volumes: Vec<PersistentVolume>,
    pub(super) storage_classes: Vec<StorageClass>,
    pub(super) ingress_classes: Vec<IngressClass>,
    pub(super) priority_classes: Vec<PriorityClass>,
    pub(super) cluster_roles: Vec<ClusterRole>,
    pub(super) cluster_role_bindings: Vec<ClusterRoleBinding>,
    pub(super) validating_webhooks: Vec<ValidatingWebhookConfiguration>,
    pub(super) mutating_webhooks: Vec<MutatingWebhookConfiguration>,
    pub(super) api_services: Vec<APIService>,
    pub(super) runtime_classes: BTreeSet<String>,

    /// Secrets that were referred to and read or found missing; values never stay here, only the names of keys and,
    /// of TLS Secrets, when the certificate ends.
    pub(super) secrets: BTreeMap<(String, String), SecretFacts>,
    /// Custom resources and OpenShift's kinds of the namespaces looked at, whole, by `Kind` of their group.
    pub(super) custom: Vec<Value>,
    /// Newest first.
    pub(super) events: Vec<EventFacts>,
    /// Last lines of containers that are unwell, and of the last minutes of some that are well.
    pub(super) logs: Vec<LogFacts>,
    /// The Services that serve webhooks and aggregated APIs, by namespace and name, wherever they are.
    pub(super) backends: BTreeMap<(String, String), BackendFacts>,
    pub(super) pods_seen: PodsSeen,
}

/// How many pods there were, whatever is kept of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PodsSeen {
    pub(super) all: usize,
    /// Unwell ones that are not in the picture because enough others of their owner are.
    pub(super) unwell_left_out: usize,
}

/// What stands behind a webhook or an aggregated API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BackendFacts {
    Missing,
    /// We may not read it.
    Unknown,
    There {
        ready_endpoints: usize,
    },
}

/// What may be known of a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SecretFacts {
    Missing,
    /// We may not read it.
    Unknown,
    There {
        keys: BTreeSet<String>,
        certificate_ends: Option<Timestamp>,
    },
}

/// One group of equal events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EventFacts {
    pub(super) object: ObjectRef,
    /// Of the object; empty where the event does not say.
    pub(super) uid: String,
    pub(super) is_warning: bool,
    pub(super) reason: String,
    pub(super) message: String,
    pub(super) count: u32,
    pub(super) last: Option<Timestamp>,
}

/// The end of one container's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LogFacts {
    pub(super) namespace: String,
    pub(super) pod: String,
    pub(super) container: String,
    pub(super) previous: bool,
    /// Oldest first.
    pub(super) lines: Vec<String>,
}

impl Picture {
    /// With nothing in it: what reads are added to, and what tests begin with.
    pub(super) fn empty(scope: Scope, now: Timestamp) -> Self {
        Self {
            now,
            scope,
            unread: BTreeMap::new(),
            pods: Vec::new(),
            deployments: Vec::new(),
            replica_sets: Vec::new(),
            stateful_sets: Vec::new(),
            daemon_sets: Vec::new(),
            jobs: Vec::new(),
            cron_jobs: Vec::new(),
            services: Vec::new(),
            endpoint_slices: Vec::new(),
            ingresses: Vec::new(),
            network_policies: Vec::new(),
            autoscalers: Vec::new(),
            disruption_budgets: Vec::new(),
            claims: Vec::new(),
            config_maps: Vec::new(),
            service_accounts: Vec::new(),
            quotas: Vec::new(),
            limit_ranges: Vec::new(),
            roles: Vec::new(),
            role_bindings: Vec::new(),
            namespaces: Vec::new(),
            nodes: Vec::new(),
            volumes: Vec::new(),
            storage_classes: Vec::new(),
            ingress_classes: Vec::new(),
            priority_classes: Vec::new(),
            cluster_roles: Vec::new(),
            cluster_role_bindings: Vec::new(),
            validating_webhooks: Vec::new(),
            mutating_webhooks: Vec::new(),
            api_services: Vec::new(),
            runtime_classes: BTreeSet::new(),
            secrets: BTreeMap::new(),
            custom: Vec::new(),
            events: Vec::new(),
            logs: Vec::new(),
            backends: BTreeMap::new(),
            pods_seen: PodsSeen::default(),
        }
    }
}
