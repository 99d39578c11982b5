//! Alerts: firing first, equal ones of several objects as one, each with its runbook.

mod group;

use std::collections::BTreeSet;

use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{
    Tool, answered,
    arguments::{self, Parsed},
    definition::{Definition, Effect, cursor, flag, max_tokens, text},
    desk::{What, in_namespace},
    list_resources::shortened,
    metrics::{self, AlertState, MetricsDesk, Reach},
};
use crate::{
    answer::{Answer, Selection},
    caller::{Caller, Need},
};

pub(super) struct ListAlerts(pub(super) MetricsDesk);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    namespace: Option<String>,
    name: Option<String>,
    #[serde(default)]
    firing_only: bool,
    cursor: Option<String>,
    max_tokens: Option<usize>,
}

/// Runbook links are long and of no use when cut.
const CELL_CHARS: usize = 400;

impl Tool for ListAlerts {
    fn definition(&self) -> Value {
        Definition {
            name: "list_alerts",
            title: "List alerts",
            description: "Use this to see which alerts fire, since when, on what, and where their runbook is: firing first, worst severity first, then pending, then silenced. Callers who may not list pods everywhere see the alerts of the namespaces whose pods they may read.",
            properties: json!({
                "namespace": text("only alerts of this namespace"),
                "name": text("only alerts of this name"),
                "firing_only": flag("leave out pending and silenced ones"),
                "cursor": cursor(),
                "max_tokens": max_tokens(),
            }),
            required: &[],
            effect: Effect::ReadsOutside,
            output: None,
        }
        .into_value()
    }

    fn needs(&self) -> &'static [Need] {
        metrics::NEEDS
    }

    fn call<'a>(&'a self, caller: &'a Caller, arguments: Option<&'a RawValue>) -> BoxFuture<'a, Answer> {
        answered(self.list(caller, arguments))
    }
}

impl ListAlerts {
    async fn list(&self, caller: &Caller, raw: Option<&RawValue>) -> Result<Answer, Answer> {
        let Parsed { arguments, request } = arguments::parse(&self.definition(), raw)?;
        let Arguments { namespace, name, firing_only, cursor, max_tokens } = arguments;
        let MetricsDesk { desk, metrics } = &self.0;
        let paging = desk.page(caller, &request, cursor.as_deref(), max_tokens)?;
        let reach = Reach::of(desk, caller).await?;
        if let Some(namespace) = &namespace {
            reach.namespace(desk, namespace).await?;
        }
        let mut alerts = metrics.alerts().await.map_err(metrics::told)?;
        let label = metrics.namespace_label();
        alerts.retain(|alert| {
            let of = alert.labels.get(label);
            namespace.as_ref().is_none_or(|namespace| of == Some(namespace))
                && name.as_ref().is_none_or(|name| alert.labels.get("alertname") == Some(name))
                && (!firing_only || alert.state == AlertState::Firing)
        });
        let namespaces: BTreeSet<String> =
            alerts.iter().filter_map(|alert| alert.labels.get(label).cloned()).collect();
        let seen = reach.seen(desk, namespaces).await?;
        alerts.retain(|alert| match alert.labels.get(label) {
            Some(namespace) => seen.contains(namespace),
            // Of a node or the whole cluster.
            None => reach == Reach::Cluster,
        });
        // Alerts are of now, also beside a recorded cluster.
        let now = jiff::Timestamp::now();
        let mut rows = Selection::new(paging.place(), paging.budget());
        group::grouped(&alerts, label).into_iter().for_each(|group| rows.offer(group.row(now)));
        let columns =
            ["STATE", "SEVERITY", "SINCE", "ALERT", "NAMESPACE", "COUNT", "ON", "SUMMARY", "RUNBOOK"];
        let page = rows.page(columns, paging.budget(), |cell| shortened(cell, CELL_CHARS));
        let place = in_namespace(namespace.as_deref());
        let own = match reach {
            Reach::Cluster => "",
            Reach::Namespaces => " among those of namespaces you may read",
        };
        let what = What::of("alert", "groups of alerts", format!("{place}{own}"));
        Ok(Answer::text(paging.text(page, &what, "silenced or always firing", "")))
    }
}
