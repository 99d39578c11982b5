//! The list of our tools. Those without their backend are not in it.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::{Value, value::RawValue};

use super::{
    Changes, FleetView, Tool, Toolbox,
    changes::{GetChange, ListChanges, ProposeChange},
    cluster_overview::ClusterOverview,
    desk::Desk,
    get_logs::GetLogs,
    get_resource::GetResource,
    list_events::ListEvents,
    list_kinds::ListKinds,
    list_resources::ListResources,
    mcp_servers::{GetMcpServer, ListMcpServers},
};
use crate::{
    answer::{Answer, Budget, Sealer},
    caller::Caller,
    cluster::Reader,
    redact,
};

/// What tools are made of.
pub struct Parts {
    /// [`Reader::absent`] where there is no cluster: the cluster tools then say how to give one.
    pub reader: Reader,
    pub fleet: Option<Arc<dyn FleetView>>,
    pub changes: Option<Arc<dyn Changes>>,
    /// Of one answer, unless its call says otherwise.
    pub budget: Budget,
    /// For cursors; replicas share its key.
    pub sealer: Sealer,
}

/// All tools that have their backend. Their answers hold no secrets.
pub fn standard(parts: Parts) -> Toolbox {
    let Parts { reader, fleet, changes, budget, sealer } = parts;
    let desk = Desk { reader, sealer, budget };
    let mut toolbox = Toolbox::default();
    let mut add = |tool: Box<dyn Tool>| toolbox.add(Box::new(Outward(tool)));
    add(Box::new(ClusterOverview(desk.clone())));
    add(Box::new(ListResources(desk.clone())));
    add(Box::new(GetResource(desk.clone())));
    add(Box::new(ListKinds(desk.clone())));
    add(Box::new(GetLogs(desk.clone())));
    add(Box::new(ListEvents(desk.clone())));
    if let Some(fleet) = fleet {
        add(Box::new(ListMcpServers { desk: desk.clone(), fleet: fleet.clone() }));
        add(Box::new(GetMcpServer { desk, fleet }));
    }
    if let Some(changes) = changes {
        add(Box::new(ProposeChange(changes.clone())));
        add(Box::new(GetChange(changes.clone())));
        add(Box::new(ListChanges(changes)));
    }
    toolbox
}

/// Whatever a tool answers, errors too, passes the redaction on its way out.
struct Outward(Box<dyn Tool>);

impl Tool for Outward {
    fn definition(&self) -> Value {
        self.0.definition()
    }

    fn call<'a>(&'a self, caller: &'a Caller, arguments: Option<&'a RawValue>) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            let Answer { text, mut structured, is_error } = self.0.call(caller, arguments).await;
            structured.iter_mut().for_each(redact::value);
            Answer { text: redact::text(&text).into_owned(), structured, is_error }
        })
    }
}
