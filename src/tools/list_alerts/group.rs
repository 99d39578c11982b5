//! Alerts of one rule and namespace as one row. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::{
    answer::{Rank, Row},
    tools::{
        kinds::age,
        metrics::{Alert, AlertState},
    },
};

/// Alerts that differ only in what they are about.
#[derive(Debug, PartialEq)]
pub(super) struct Group<'a> {
    name: &'a str,
    namespace: &'a str,
    severity: &'a str,
    state: AlertState,
    alerts: Vec<&'a Alert>,
}

/// Objects of a group that are named.
const NAMED: usize = 4;
/// What an alert of several objects is told apart by, the first that differs.
const OBJECTS: [&str; 12] = [
    "pod",
    "deployment",
    "statefulset",
    "daemonset",
    "job_name",
    "persistentvolumeclaim",
    "horizontalpodautoscaler",
    "service",
    "node",
    "instance",
    "container",
    "job",
];
/// Rules that fire by design, to show that alerting works, or to hold others back.
const ALWAYS: [&str; 3] = ["Watchdog", "DeadMansSwitch", "InfoInhibitor"];

pub(super) fn grouped<'a>(alerts: &'a [Alert], namespace_label: &str) -> Vec<Group<'a>> {
    let mut groups: BTreeMap<(AlertState, &str, &str, &str), Vec<&Alert>> = BTreeMap::new();
    for alert in alerts {
        let label = |name: &str| alert.labels.get(name).map_or("", String::as_str);
        let key = (alert.state, label("alertname"), label(namespace_label), label("severity"));
        groups.entry(key).or_default().push(alert);
    }
    groups
        .into_iter()
        .map(|((state, name, namespace, severity), alerts)| Group {
            name,
            namespace,
            severity,
            state,
            alerts,
        })
        .collect()
}

impl Group<'_> {
    pub(super) fn row(self, now: Timestamp) -> Row {
        let since = self.alerts.iter().filter_map(|alert| alert.since).min();
        let annotation = |names: &[&str]| {
            let of = |alert: &Alert| names.iter().find_map(|name| alert.annotations.get(*name).cloned());
            self.alerts.iter().find_map(|alert| of(alert)).unwrap_or_default()
        };
        let state = match self.state {
            AlertState::Firing => "firing",
            AlertState::Pending => "pending",
            AlertState::Silenced => "silenced",
        };
        let oldest = since.map_or(i64::MAX, Timestamp::as_second);
        let Self { name, namespace, severity, .. } = self;
        Row {
            rank: self.rank(),
            key: format!("{} {oldest:020} {name} {namespace} {severity}", self.order()),
            group: name.to_owned(),
            cells: vec![
                state.to_owned(),
                severity.to_owned(),
                age(since, now),
                name.to_owned(),
                namespace.to_owned(),
                self.alerts.len().to_string(),
                self.objects(),
                annotation(&["summary", "description", "message"]),
                annotation(&["runbook_url", "runbook"]),
            ],
        }
    }

    fn rank(&self) -> Rank {
        match self.state {
            AlertState::Firing if ALWAYS.contains(&self.name) => Rank::Healthy,
            AlertState::Firing if ["critical", "page", "error", "high"].contains(&self.severity) => {
                Rank::Broken
            }
            AlertState::Firing => Rank::Warning,
            AlertState::Pending => Rank::Neutral,
            AlertState::Silenced => Rank::Healthy,
        }
    }

    /// Within a rank: worse words first.
    fn order(&self) -> u8 {
        match self.severity {
            "critical" | "page" => 0,
            "error" | "high" => 1,
            "warning" => 2,
            "" => 3,
            "info" | "low" => 4,
            "none" => 5,
            _ => 3,
        }
    }

    /// `pod=a, b and 3 more`: what tells the alerts apart, or what the one is about.
    fn objects(&self) -> String {
        let values = |label: &str| -> Vec<&str> {
            let mut values: Vec<&str> =
                self.alerts.iter().filter_map(|alert| alert.labels.get(label).map(String::as_str)).collect();
            values.sort_unstable();
            values.dedup();
            values
        };
        let several = self.alerts.len() > 1;
        let telling = OBJECTS.into_iter().find(|label| values(label).len() > usize::from(several));
        let Some(label) = telling.or_else(|| OBJECTS.into_iter().find(|label| !values(label).is_empty()))
        else {
            return String::new();
        };
        let values = values(label);
        let named = values[..values.len().min(NAMED)].join(", ");
        let more = values.len().saturating_sub(NAMED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{label}={named}{more}")
    }
}

#[cfg(test)]
mod tests {
    use jiff::{Timestamp, ToSpan};

    use super::{Alert, AlertState, grouped};
    use crate::answer::Rank;

    fn alert(labels: &[(&str, &str)], state: AlertState, minute: i64) -> Alert {
        let owned = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        Alert {
            labels: owned(labels),
            annotations: owned(&[("summary", "It crashes"), ("runbook_url", "https://runbooks.test/crash")]),
            state,
            since: Some(Timestamp::UNIX_EPOCH + minute.minutes()),
        }
    }

    #[test]
    fn alerts_of_one_rule_are_one_row_and_firing_comes_first() {
        let labels = |pod: &'static str| {
            [
                ("alertname", "Crash"),
                ("namespace", "shop"),
                ("severity", "critical"),
                ("pod", pod),
                ("job", "kubelet"),
            ]
        };
        let alerts = [
            alert(&[("alertname", "Watchdog"), ("severity", "none")], AlertState::Firing, 0),
            alert(&labels("b"), AlertState::Firing, 3),
            alert(&labels("a"), AlertState::Firing, 2),
            alert(&labels("c"), AlertState::Pending, 4),
            alert(&[("alertname", "Disk"), ("node", "n1"), ("severity", "warning")], AlertState::Firing, 1),
        ];
        let now = Timestamp::UNIX_EPOCH + 10.minutes();
        let mut rows: Vec<_> =
            grouped(&alerts, "namespace").into_iter().map(|group| group.row(now)).collect();
        rows.sort_by_key(|row| (row.rank, row.key.clone()));
        let names: Vec<&str> = rows.iter().map(|row| row.cells[3].as_str()).collect();
        assert_eq!(names, ["Crash", "Disk", "Crash", "Watchdog"]);
        assert_eq!(
            rows[0].cells,
            [
                "firing",
                "critical",
                "8m",
                "Crash",
                "shop",
                "2",
                "pod=a, b",
                "It crashes",
                "https://runbooks.test/crash"
            ]
        );
        assert_eq!(rows[1].cells[6], "node=n1");
        assert_eq!((rows[2].rank, rows[3].rank), (Rank::Neutral, Rank::Healthy));
    }
}
