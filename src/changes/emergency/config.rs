//! What the installation says of emergencies:
//!
//! ```yaml
//! emergency:
//!   execution: off              # or as-caller: apply_emergency_change is offered
//!   severities: [SEV1, SEV2]
//!   budget: 30m                 # default of one emergency
//!   maxBudget: 1h
//!   reconcileWithin: 1h
//!   reviewWithin: 24h
//!   confirmWithin: 15m
//!   idle: 30m                   # without a write or a call for so long, one closes by itself
//!   coalesce: 15m
//!   settle: 30s
//!   reasonLength: 20
//!   deny: {namespaces: [kube-system], kinds: [Secret, "*.rbac.authorization.k8s.io"]}
//!   people: {users: [], groups: [oncall]}
//!   scope: {namespaces: [shop]} # what is captured: see `capture`
//! ```

use std::time::Duration;

use serde::Deserialize;

use super::{deny::Deny, kinds::KindPattern};
use crate::{
    api::Span,
    caller::Caller,
    changes::capture::{AuditEventsConfig, CaptureConfig, GitopsConfig, ScopeConfig, SystemConfig},
    redact::shown,
};

/// The `emergency` part of the configuration file. Present, be it empty: emergencies can be opened.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct EmergencyConfig {
    pub execution: Execution,
    pub severities: Vec<String>,
    /// Of an emergency that names none.
    pub budget: Span,
    pub max_budget: Span,
    /// From the first write until the reconciliation is proposed.
    pub reconcile_within: Span,
    /// From the first write, or from closing where nothing was written, until a person has reviewed it.
    pub review_within: Span,
    /// From being asked for until the second person has confirmed it.
    pub confirm_within: Span,
    /// An active emergency in which nothing was written and nothing applied for so long closes by itself.
    pub idle: Span,
    /// Unsanctioned writes of one person within this time make one record.
    pub coalesce: Span,
    /// How long writes of before the end may still be told of by slower sources.
    pub settle: Span,
    /// Characters that a reason has at least.
    pub reason_length: usize,
    pub deny: DenyConfig,
    pub people: PeopleConfig,
    /// What is captured.
    pub scope: ScopeConfig,
    pub gitops: GitopsConfig,
    pub system: SystemConfig,
    pub audit_events: Option<AuditEventsConfig>,
}

impl EmergencyConfig {
    /// With what is to be known of capturing apart. Both know what is captured.
    #[must_use]
    pub fn apart(mut self) -> (Self, CaptureConfig) {
        let capture = CaptureConfig {
            scope: self.scope.clone(),
            gitops: std::mem::take(&mut self.gitops),
            system: std::mem::take(&mut self.system),
            audit_events: self.audit_events.take(),
        };
        (self, capture)
    }
}

/// Whether pilothouse applies expected changes itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Execution {
    /// People act with their own tools.
    #[default]
    Off,
    /// `apply_emergency_change` applies an expected change with the caller's rights.
    AsCaller,
}

/// What no emergency may touch.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct DenyConfig {
    pub namespaces: Vec<String>,
    /// `Kind`, `Kind.group` or `*.group`.
    pub kinds: Vec<String>,
}

impl Default for DenyConfig {
    fn default() -> Self {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Self {
            namespaces: owned(&["kube-system", "kube-public", "kube-node-lease"]),
            kinds: owned(&["Secret", "*.rbac.authorization.k8s.io", "*.admissionregistration.k8s.io"]),
        }
    }
}

/// Who may take part. Empty: everybody whom the cluster's roles give the tools.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct PeopleConfig {
    pub users: Vec<String>,
    pub groups: Vec<String>,
}

impl Default for EmergencyConfig {
    fn default() -> Self {
        Self {
            execution: Execution::Off,
            severities: ["critical", "high"].map(str::to_owned).to_vec(),
            budget: Span::minutes(30),
            max_budget: Span::minutes(60),
            reconcile_within: Span::minutes(60),
            review_within: Span::minutes(24 * 60),
            confirm_within: Span::minutes(15),
            idle: Span::minutes(30),
            coalesce: Span::minutes(15),
            settle: Span::seconds(30),
            reason_length: 20,
            deny: DenyConfig::default(),
            people: PeopleConfig::default(),
            scope: ScopeConfig::default(),
            gitops: GitopsConfig::default(),
            system: SystemConfig::default(),
            audit_events: None,
        }
    }
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("emergency.{field} in the configuration: {problem}")]
pub struct EmergencyConfigError {
    field: &'static str,
    problem: String,
}

/// The configuration, checked. Made only by [`Terms::of`].
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Terms {
    pub(super) execution: Execution,
    pub(super) severities: Vec<String>,
    pub(super) budget: Span,
    pub(super) max_budget: Span,
    pub(super) reconcile_within: Duration,
    pub(super) review_within: Duration,
    pub(super) confirm_within: Duration,
    pub(super) idle: Duration,
    pub(super) coalesce: Duration,
    pub(super) settle: Duration,
    pub(super) reason_length: usize,
    pub(super) deny: Deny,
    /// What is captured: an emergency elsewhere would record nothing.
    pub(super) watched: ScopeConfig,
    people: PeopleConfig,
}

/// Never in an emergency, whatever the configuration says: the record must not change what it is made of.
const OURS: &str = "*.pilothouse.dev";

impl Terms {
    /// `own_namespace` is where the records are kept; nothing in it is changed in an emergency.
    pub(super) fn of(
        config: EmergencyConfig,
        own_namespace: Option<&str>,
    ) -> Result<Self, EmergencyConfigError> {
        let EmergencyConfig {
            execution,
            severities,
            budget,
            max_budget,
            reconcile_within,
            review_within,
            confirm_within,
            idle,
            coalesce,
            settle,
            reason_length,
            deny: DenyConfig { mut namespaces, kinds },
            people,
            scope: watched,
            // Of capturing.
            gitops: _,
            system: _,
            audit_events: _,
        } = config;
        let wrong = |field, problem: String| Err(EmergencyConfigError { field, problem });
        if severities.is_empty() {
            return wrong(
                "severities",
                "no emergency could be opened: name one, such as critical".to_owned(),
            );
        }
        if max_budget > Span::minutes(60) {
            return wrong("maxBudget", format!("{max_budget} is more than an hour: use at most 1h"));
        }
        if budget > max_budget {
            return wrong("budget", format!("{budget} is more than emergency.maxBudget, {max_budget}"));
        }
        if review_within < reconcile_within {
            return wrong(
                "reviewWithin",
                format!("{review_within} is shorter than emergency.reconcileWithin, {reconcile_within}"),
            );
        }
        namespaces.extend(own_namespace.map(str::to_owned));
        let kinds = kinds.iter().map(String::as_str).chain([OURS]).map(KindPattern::parse);
        Ok(Self {
            execution,
            severities,
            budget,
            max_budget,
            reconcile_within: reconcile_within.duration(),
            review_within: review_within.duration(),
            confirm_within: confirm_within.duration(),
            idle: idle.duration(),
            coalesce: coalesce.duration(),
            settle: settle.duration(),
            reason_length,
            deny: Deny { namespaces, kinds: kinds.collect() },
            watched,
            people,
        })
    }

    /// Reconciling begins this long before its deadline, so that the deadline can be kept without anybody's help.
    pub(super) fn head_start(&self) -> Duration {
        (self.reconcile_within / 10).min(Duration::from_mins(5))
    }

    /// Whether this caller may take part.
    ///
    /// # Errors
    /// One sentence that says why not.
    pub(super) fn admits(&self, caller: &Caller) -> Result<(), String> {
        if !caller.is_impersonated() {
            return Err(format!(
                "an emergency needs people whose names are proven, and `{}` is not: come in over HTTP with a token of your own (docs/identity.md)",
                shown(&caller.user)
            ));
        }
        let PeopleConfig { users, groups } = &self.people;
        let is_named =
            users.contains(&caller.user) || caller.groups.iter().any(|group| groups.contains(group));
        if (users.is_empty() && groups.is_empty()) || is_named {
            return Ok(());
        }
        let named = [users.join(", "), groups.join(", ")];
        Err(format!(
            "you are not among those who run emergencies here ({}): ask one of them",
            named.iter().filter(|names| !names.is_empty()).cloned().collect::<Vec<_>>().join("; groups ")
        ))
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{EmergencyConfig, Terms};
    use crate::caller::{Caller, Proof};

    pub(in crate::changes::emergency) fn terms(yaml: &str) -> Terms {
        Terms::of(serde_saphyr::from_str(yaml).unwrap(), Some("pilothouse")).unwrap()
    }

    pub(in crate::changes::emergency) fn person(name: &str, groups: &[&str]) -> Caller {
        Caller {
            user: name.to_owned(),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
            proof: Proof::Oidc,
            ..Caller::anonymous()
        }
    }

    fn refused(yaml: &str) -> String {
        let read: Result<EmergencyConfig, _> = serde_saphyr::from_str(yaml);
        match read {
            Ok(config) => Terms::of(config, None).unwrap_err().to_string(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_does_not_hold_together_is_said_with_its_field() {
        assert!(refused("severities: []").contains("emergency.severities"));
        assert!(refused("maxBudget: 2h").contains("at most 1h"));
        assert!(refused("{budget: 40m, maxBudget: 20m}").contains("emergency.budget"));
        assert!(refused("{reviewWithin: 10m}").contains("emergency.reviewWithin"));
        assert!(refused("{execution: always}").contains("as-caller"));
        assert!(refused("{denied: {}}").contains("denied"));
    }

    #[test]
    fn only_people_with_a_proven_name_take_part() {
        let open = terms("{}");
        assert!(open.admits(&person("ann", &[])).is_ok());
        assert!(open.admits(&Caller::process()).unwrap_err().contains("a token of your own"));
        let narrow = terms("people: {users: [bob], groups: [oncall]}");
        assert!(narrow.admits(&person("bob", &[])).is_ok());
        assert!(narrow.admits(&person("ann", &["oncall"])).is_ok());
        assert!(narrow.admits(&person("carl", &["dev"])).unwrap_err().contains("bob; groups oncall"));
    }
}
