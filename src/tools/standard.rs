//! The list of our tools. Those without their backend are not in it.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::{Value, value::RawValue};

use super::{
    ChangeResources, Changes, Emergencies, FleetView, GitopsCoverage, Metrics, Objects, Tool, Toolbox,
    changes::{GetChange, ListChanges, ReviseChange, WithdrawChange},
    check_access::CheckAccess,
    cluster_overview::ClusterOverview,
    desk::{Desk, Office},
    diagnose::Diagnose,
    emergency::{ApplyEmergencyChange, CloseEmergency, GetEmergency, OpenEmergency},
    explain_kind::ExplainKind,
    find_source::FindSource,
    get_helm_release::GetHelmRelease,
    get_logs::GetLogs,
    get_resource::GetResource,
    list_alerts::ListAlerts,
    list_events::ListEvents,
    list_helm_releases::ListHelmReleases,
    list_kinds::ListKinds,
    list_resources::ListResources,
    mcp_servers::{FleetDesk, GetMcpServer, ListMcpServers},
    metrics::MetricsDesk,
    on_cluster::OnCluster,
    on_leader::{Leader, OnLeader},
    propose_change::ProposeChange,
    query_metrics::QueryMetrics,
    resource_tree::ResourceTree,
    rollout_history::RolloutHistory,
    top::Top,
    what_changed::WhatChanged,
};
use crate::{
    answer::{Answer, Budget, Sealer},
    caller::{Caller, Need},
    cluster::Contexts,
    redact,
};

/// What tools are made of.
pub struct Parts {
    /// Of [`Reader::absent`](crate::cluster::Reader::absent) where there is no cluster: the cluster tools then say
    /// how to give one.
    pub contexts: Contexts,
    pub fleet: Option<Arc<dyn FleetView>>,
    pub changes: Option<Arc<dyn Changes>>,
    pub emergencies: Option<Arc<dyn Emergencies>>,
    /// Answers the calls that change something where this process may not; absent where it always may.
    pub leader: Option<Arc<dyn Leader>>,
    pub metrics: Option<Arc<dyn Metrics>>,
    /// Where this process captures writes.
    pub gitops: Option<Arc<dyn GitopsCoverage>>,
    /// Of one answer, unless its call says otherwise.
    pub budget: Budget,
    /// For cursors; replicas share its key.
    pub sealer: Sealer,
}

impl Parts {
    /// The tools that read a cluster, and no others.
    pub fn reading(contexts: Contexts, sealer: Sealer) -> Self {
        Self {
            contexts,
            fleet: None,
            changes: None,
            emergencies: None,
            leader: None,
            metrics: None,
            gitops: None,
            budget: Budget::DEFAULT,
            sealer,
        }
    }
}

/// How a tool is made for one call.
type Make = fn(Desk) -> Box<dyn Tool>;

/// All tools that have their backend. Their answers hold no secrets.
pub fn standard(parts: Parts) -> Toolbox {
    let Parts { contexts, fleet, changes, emergencies, leader, metrics, gitops, budget, sealer } = parts;
    let office = Office { contexts, sealer, budget };
    let mut toolbox = Toolbox { objects: Some(Objects(office.clone())), ..Toolbox::default() };
    let mut add = |tool: Box<dyn Tool>| toolbox.add(Box::new(Outward(tool)));
    let on_cluster: &[Make] = &[
        |desk| Box::new(ListResources(desk)),
        |desk| Box::new(GetResource(desk)),
        |desk| Box::new(ListKinds(desk)),
        |desk| Box::new(GetLogs(desk)),
        |desk| Box::new(ListEvents(desk)),
        |desk| Box::new(RolloutHistory(desk)),
        |desk| Box::new(ListHelmReleases(desk)),
        |desk| Box::new(GetHelmRelease(desk)),
        |desk| Box::new(FindSource(desk)),
        |desk| Box::new(ExplainKind(desk)),
        |desk| Box::new(ResourceTree(desk)),
        |desk| Box::new(CheckAccess(desk)),
        |desk| Box::new(Top(desk)),
        |desk| Box::new(WhatChanged(desk)),
        |desk| Box::new(Diagnose(desk)),
    ];
    let overview = move |desk| Box::new(ClusterOverview { desk, gitops: gitops.clone() }) as Box<dyn Tool>;
    add(Box::new(OnCluster { office: office.clone(), make: overview }));
    for make in on_cluster {
        add(Box::new(OnCluster { office: office.clone(), make: *make }));
    }
    if let Some(metrics) = metrics {
        let (queried, alerting) = (metrics.clone(), metrics);
        let query = move |desk| {
            Box::new(QueryMetrics(MetricsDesk { desk, metrics: queried.clone() })) as Box<dyn Tool>
        };
        let alerts = move |desk| {
            Box::new(ListAlerts(MetricsDesk { desk, metrics: alerting.clone() })) as Box<dyn Tool>
        };
        add(Box::new(OnCluster { office: office.clone(), make: query }));
        add(Box::new(OnCluster { office: office.clone(), make: alerts }));
    }
    if let Some(fleet) = fleet {
        let (listed, shown) = (fleet.clone(), fleet);
        let list =
            move |desk| Box::new(ListMcpServers(FleetDesk { desk, fleet: listed.clone() })) as Box<dyn Tool>;
        let get =
            move |desk| Box::new(GetMcpServer(FleetDesk { desk, fleet: shown.clone() })) as Box<dyn Tool>;
        add(Box::new(OnCluster { office: office.clone(), make: list }));
        add(Box::new(OnCluster { office: office.clone(), make: get }));
    }
    let led = |tool: Box<dyn Tool>| match &leader {
        Some(leader) => Box::new(OnLeader { tool, leader: leader.clone() }) as Box<dyn Tool>,
        None => tool,
    };
    let resources = changes.clone().map(ChangeResources);
    if let Some(changes) = changes {
        add(led(Box::new(ProposeChange { office, changes: changes.clone() })));
        add(led(Box::new(ReviseChange(changes.clone()))));
        add(led(Box::new(WithdrawChange(changes.clone()))));
        add(Box::new(GetChange(changes.clone())));
        add(Box::new(ListChanges(changes)));
    }
    if let Some(emergencies) = emergencies {
        if emergencies.executes() {
            add(led(Box::new(ApplyEmergencyChange(emergencies.clone()))));
        }
        add(led(Box::new(OpenEmergency(emergencies.clone()))));
        add(led(Box::new(CloseEmergency(emergencies.clone()))));
        add(Box::new(GetEmergency(emergencies)));
    }
    toolbox.changes = resources;
    toolbox
}

/// Whatever a tool answers, errors too, passes the redaction on its way out.
struct Outward(Box<dyn Tool>);

impl Tool for Outward {
    fn definition(&self) -> Value {
        self.0.definition()
    }

    fn needs(&self) -> &'static [Need] {
        self.0.needs()
    }

    fn call<'a>(&'a self, caller: &'a Caller, arguments: Option<&'a RawValue>) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            let Answer { text, mut structured, is_error } = self.0.call(caller, arguments).await;
            structured.iter_mut().for_each(redact::value);
            Answer { text: redact::text(&text).into_owned(), structured, is_error }
        })
    }
}
