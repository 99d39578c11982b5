//! What a list shows of each kind, and when an object of it is unhealthy: one kind a file, all pure.
//!
//! Kinds without a file here are shown by their CRD's columns and their conditions ([`custom`]).

mod access;
mod autoscaler;
mod build;
mod change_request;
mod claim;
mod class;
mod cluster_operator;
mod config;
mod cron_job;
mod custom;
mod daemon_set;
mod deployment;
mod deployment_config;
mod disruption_budget;
mod endpoint_slice;
mod event;
mod exposure;
mod extension;
mod image_stream;
mod ingress;
mod job;
mod json_path;
mod lease;
mod limit_range;
mod namespace;
mod network_policy;
mod node;
mod object;
mod pod;
mod pods;
mod quota;
mod replica_set;
mod route;
mod service;
mod stateful_set;
mod volume;

pub(super) use custom::{Custom, conditions};
pub(super) use event::Event;
pub(super) use object::{Meta, age, duration};
pub(super) use pod::Pod;
pub(super) use pods::Pods;
pub(super) use service::{Endpoints, Service};

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::answer::Rank;

/// What a row is judged by beside the object itself.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) now: Timestamp,
    /// Of the Services' EndpointSlices; `None` when they were not or may not be read.
    pub(super) endpoints: Option<Endpoints>,
    /// `None` when they were not or may not be read.
    pub(super) pods: Option<Pods>,
}

impl Facts {
    pub(super) fn at(now: Timestamp) -> Self {
        Self { now, endpoints: None, pods: None }
    }
}

/// How an object is, and why, in a few words; no words when nothing is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Health {
    pub(super) rank: Rank,
    pub(super) why: String,
}

impl Health {
    pub(super) fn broken(why: impl Into<String>) -> Self {
        Self { rank: Rank::Broken, why: why.into() }
    }

    pub(super) fn warning(why: impl Into<String>) -> Self {
        Self { rank: Rank::Warning, why: why.into() }
    }

    pub(super) fn healthy() -> Self {
        Self { rank: Rank::Healthy, why: String::new() }
    }

    pub(super) fn unknown() -> Self {
        Self { rank: Rank::Neutral, why: String::new() }
    }
}

/// The few fields of a kind that its row needs; everything else of an object is skipped while it is read.
pub(super) trait Shape: DeserializeOwned {
    /// Between name and age.
    const COLUMNS: &'static [&'static str];

    fn meta(&self) -> &Meta;
    fn health(&self, facts: &Facts) -> Health;
    fn cells(&self, facts: &Facts) -> Vec<String>;
}

/// One object as a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) health: Health,
    pub(super) cells: Vec<String>,
    pub(super) age: String,
}

type MakeLine = fn(&RawValue, &Facts) -> Result<Line, serde_json::Error>;

/// How objects of one kind become rows.
pub(super) enum View {
    BuiltIn { columns: &'static [&'static str], line: MakeLine },
    Custom(Custom),
}

impl View {
    /// The view of a kind that has a file here.
    pub(super) fn built_in(group: &str, kind: &str) -> Option<Self> {
        fn of<S: Shape>() -> View {
            View::BuiltIn { columns: S::COLUMNS, line: line::<S> }
        }
        Some(match (group, kind) {
            ("", "Pod") => of::<Pod>(),
            ("", "Service") => of::<Service>(),
            ("", "Node") => of::<node::Node>(),
            ("", "Namespace") | ("project.openshift.io", "Project") => of::<namespace::Namespace>(),
            ("", "PersistentVolume") => of::<volume::Volume>(),
            ("", "ResourceQuota") => of::<quota::Quota>(),
            ("", "LimitRange") => of::<limit_range::LimitRange>(),
            ("", "ServiceAccount") => of::<access::ServiceAccount>(),
            ("", "PersistentVolumeClaim") => of::<claim::Claim>(),
            ("", "ConfigMap" | "Secret") => of::<config::Config>(),
            ("" | "events.k8s.io", "Event") => of::<Event>(),
            ("discovery.k8s.io", "EndpointSlice") => of::<endpoint_slice::EndpointSlice>(),
            ("apps", "Deployment") => of::<deployment::Deployment>(),
            ("apps", "StatefulSet") => of::<stateful_set::StatefulSet>(),
            ("apps", "DaemonSet") => of::<daemon_set::DaemonSet>(),
            ("apps", "ReplicaSet") | ("", "ReplicationController") => of::<replica_set::ReplicaSet>(),
            ("batch", "Job") => of::<job::Job>(),
            ("batch", "CronJob") => of::<cron_job::CronJob>(),
            ("networking.k8s.io", "Ingress") => of::<ingress::Ingress>(),
            ("autoscaling", "HorizontalPodAutoscaler") => of::<autoscaler::Autoscaler>(),
            ("networking.k8s.io", "NetworkPolicy") => of::<network_policy::NetworkPolicy>(),
            ("networking.k8s.io", "IngressClass") => of::<class::IngressClass>(),
            ("storage.k8s.io", "StorageClass") => of::<class::StorageClass>(),
            ("scheduling.k8s.io", "PriorityClass") => of::<class::PriorityClass>(),
            ("policy", "PodDisruptionBudget") => of::<disruption_budget::DisruptionBudget>(),
            ("coordination.k8s.io", "Lease") => of::<lease::Lease>(),
            ("rbac.authorization.k8s.io", "Role" | "ClusterRole") => of::<access::Role>(),
            ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => of::<access::Binding>(),
            ("apiextensions.k8s.io", "CustomResourceDefinition") => of::<extension::Definition>(),
            ("apiregistration.k8s.io", "APIService") => of::<extension::ApiService>(),
            (
                "admissionregistration.k8s.io",
                "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration",
            ) => of::<extension::Webhooks>(),
            ("pilothouse.dev", "ChangeRequest") => of::<change_request::ChangeRequest>(),
            ("route.openshift.io", "Route") => of::<route::Route>(),
            ("image.openshift.io", "ImageStream") => of::<image_stream::ImageStream>(),
            ("build.openshift.io", "BuildConfig") => of::<build::BuildConfig>(),
            ("build.openshift.io", "Build") => of::<build::Build>(),
            ("apps.openshift.io", "DeploymentConfig") => of::<deployment_config::DeploymentConfig>(),
            ("config.openshift.io", "ClusterOperator") => of::<cluster_operator::ClusterOperator>(),
            _ => return None,
        })
    }

    pub(super) fn columns(&self) -> Vec<String> {
        match self {
            Self::BuiltIn { columns, line: _ } => columns.iter().map(|column| (*column).to_owned()).collect(),
            Self::Custom(custom) => custom.columns(),
        }
    }

    /// # Errors
    /// When the object is not what its kind promises.
    pub(super) fn line(&self, object: &RawValue, facts: &Facts) -> Result<Line, serde_json::Error> {
        match self {
            Self::BuiltIn { columns: _, line } => line(object, facts),
            Self::Custom(custom) => custom.line(object, facts),
        }
    }
}

fn line<S: Shape>(object: &RawValue, facts: &Facts) -> Result<Line, serde_json::Error> {
    let shape: S = serde_json::from_str(object.get())?;
    let Meta { namespace, name, creation_timestamp, .. } = shape.meta();
    Ok(Line {
        namespace: namespace.clone(),
        name: name.clone(),
        health: shape.health(facts),
        cells: shape.cells(facts),
        age: age(*creation_timestamp, facts.now),
    })
}

#[cfg(test)]
mod tests;
