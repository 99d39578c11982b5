//! Service accounts that lack a right their pods ask for, and bindings to roles that are not there.

use std::{collections::BTreeMap, sync::LazyLock};

use k8s_openapi::api::rbac::v1::{PolicyRule, RoleRef, Subject};
use regex::Regex;

use crate::tools::{
    diagnose::{
        cause::Cause,
        finding::{Evidence, Finding, ObjectRef, Severity},
        look::reference,
        owning::workloads,
        picture::Picture,
        pods::is_unwell,
        reach::has_all,
    },
    target,
};

static DENIED: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r#"[Uu]ser \\?"system:serviceaccount:([a-z0-9.-]+):([a-z0-9.-]+)\\?" cannot ([a-z]+) resource \\?"([^"\\]+)\\?" in API group \\?"([^"\\]*)\\?"(?: in the namespace \\?"([^"\\]+)\\?")?"#,
    )
    .ok()
});

pub(super) fn check(picture: &Picture, findings: &mut Vec<Finding>) {
    findings.extend(denials(picture));
    findings.extend(dangling(picture));
}

/// What was asked for and refused.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Right {
    verb: String,
    /// With its subresource, `pods/log`.
    resource: String,
    group: String,
    /// None for the whole cluster.
    namespace: Option<String>,
}

impl Right {
    fn words(&self) -> String {
        let Self { verb, resource, group, namespace } = self;
        let group = if group.is_empty() { String::new() } else { format!(".{group}") };
        let place =
            namespace.as_ref().map_or_else(|| "in the whole cluster".to_owned(), |name| format!("in {name}"));
        format!("{verb} {resource}{group} {place}")
    }

    /// `{apiGroups: [""], resources: [pods], verbs: [list]}`.
    fn rule(&self) -> String {
        let Self { verb, resource, group, namespace: _ } = self;
        format!("{{apiGroups: [\"{group}\"], resources: [{resource}], verbs: [{verb}]}}")
    }

    fn is_in(&self, rules: Option<&Vec<PolicyRule>>) -> bool {
        let has = |list: &[String], wanted: &str| list.iter().any(|known| known == wanted || known == "*");
        rules.into_iter().flatten().any(|rule| {
            has(&rule.verbs, &self.verb)
                && has(rule.api_groups.as_deref().unwrap_or_default(), &self.group)
                && has(rule.resources.as_deref().unwrap_or_default(), &self.resource)
                // One for single names may not fit the one that was asked for.
                && rule.resource_names.as_ref().is_none_or(Vec::is_empty)
        })
    }
}

/// A service account's refused requests, and where they were seen.
#[derive(Default)]
struct Denials {
    rights: Vec<Right>,
    evidence: Vec<Evidence>,
    affected: Vec<ObjectRef>,
    is_unwell: bool,
}

fn denials(picture: &Picture) -> Vec<Finding> {
    let mut by_account: BTreeMap<ObjectRef, Denials> = BTreeMap::new();
    for log in &picture.logs {
        let pod = picture.pods.iter().find(|pod| {
            pod.metadata.name.as_ref() == Some(&log.pod)
                && pod.metadata.namespace.as_ref() == Some(&log.namespace)
        });
        for line in log.lines.iter().rev() {
            let Some((account, right)) = parse(line) else { continue };
            let denials = by_account.entry(account).or_default();
            let evidence = || Evidence::Log {
                object: ObjectRef::new("Pod", &log.namespace, &log.pod),
                container: log.container.clone(),
                previous: log.previous,
                line: line.clone(),
            };
            denials.add(right, evidence);
            if let Some(pod) = pod {
                denials.affected.extend([picture.owner_of(pod), reference("Pod", &pod.metadata)]);
                denials.is_unwell |= is_unwell(pod, picture.now);
            }
        }
    }
    for event in picture.events.iter().filter(|event| event.is_warning) {
        let Some((account, right)) = parse(&event.message) else { continue };
        let denials = by_account.entry(account).or_default();
        denials.add(right, || picture.event_evidence(event));
        denials.affected.push(event.object.clone());
    }
    by_account.into_iter().filter_map(|(account, denials)| judge(picture, &account, denials)).collect()
}

impl Denials {
    fn add(&mut self, right: Right, evidence: impl FnOnce() -> Evidence) {
        if !self.rights.contains(&right) {
            self.rights.push(right);
            self.evidence.push(evidence());
        }
    }
}

fn parse(text: &str) -> Option<(ObjectRef, Right)> {
    let found = DENIED.as_ref()?.captures(text)?;
    let account = ObjectRef::new("ServiceAccount", &found[1], &found[2]);
    let namespace = found.get(6).map(|namespace| namespace.as_str().to_owned());
    let [verb, resource, group] = [3, 4, 5].map(|at| found[at].to_owned());
    Some((account, Right { verb, resource, group, namespace }))
}

fn judge(picture: &Picture, account: &ObjectRef, denials: Denials) -> Option<Finding> {
    let Denials { mut rights, mut evidence, affected, is_unwell } = denials;
    // Given since the line was written: history.
    rights.retain(|right| !is_granted(picture, account, right));
    let first = rights.first()?;
    let words: Vec<String> = rights.iter().take(4).map(Right::words).collect();
    let near = near(picture, account, first);
    let near_words = near.as_ref().map_or_else(String::new, |(words, _)| format!("; {words}"));
    let who = affected.first().map_or_else(String::new, |who| format!(" of {}", who.words()));
    let mechanism = format!("ServiceAccount {}{who} may not {}{near_words}", account.name, words.join(", "));
    let kind =
        if first.namespace.is_some() { "Role and RoleBinding" } else { "ClusterRole and ClusterRoleBinding" };
    let rules: Vec<String> = rights.iter().take(4).map(Right::rule).collect();
    let change = format!("a {kind} for it with {}", rules.join(", "));
    let confirm = format!(
        "kubectl auth can-i {} {} --as=system:serviceaccount:{}:{}{}",
        first.verb,
        first.resource,
        account.namespace,
        account.name,
        first.namespace.as_ref().map_or_else(String::new, |namespace| format!(" -n {namespace}"))
    );
    // A program that goes on without may not need it.
    let severity = if is_unwell { Severity::Critical } else { Severity::Warning };
    let finding = Finding::new(severity, Cause::AccessDenied, account, mechanism, confirm, change);
    evidence.truncate(3);
    let (_, more) = near.unzip();
    // A binding that names a missing role is the cause of this.
    let bindings =
        bindings(picture).into_iter().filter(|binding| binding.binds(account)).map(|binding| binding.object);
    Some(
        finding.shown_by(evidence).shown_by(more).affecting(affected).following(bindings.collect::<Vec<_>>()),
    )
}

/// A RoleBinding or ClusterRoleBinding.
struct Binding<'a> {
    object: ObjectRef,
    role: &'a RoleRef,
    subjects: &'a [Subject],
}

impl Binding<'_> {
    fn binds(&self, account: &ObjectRef) -> bool {
        self.subjects.iter().any(|subject| match subject.kind.as_str() {
            "ServiceAccount" => {
                let namespace = subject.namespace.as_deref().unwrap_or(&self.object.namespace);
                subject.name == account.name && namespace == account.namespace
            }
            "Group" => {
                let all = format!("system:serviceaccounts:{}", account.namespace);
                subject.name == all
                    || ["system:serviceaccounts", "system:authenticated"].contains(&subject.name.as_str())
            }
            _ => subject.name == format!("system:serviceaccount:{}:{}", account.namespace, account.name),
        })
    }

    /// The rules of the role that it names; none where the role is not there.
    fn rules<'p>(&self, picture: &'p Picture) -> Option<&'p Vec<PolicyRule>> {
        if self.role.kind == "ClusterRole" {
            let role = picture
                .cluster_roles
                .iter()
                .find(|role| role.metadata.name.as_ref() == Some(&self.role.name))?;
            return role.rules.as_ref();
        }
        let role = picture.roles.iter().find(|role| {
            role.metadata.name.as_ref() == Some(&self.role.name)
                && role.metadata.namespace.as_ref() == Some(&self.object.namespace)
        })?;
        role.rules.as_ref()
    }
}

fn bindings(picture: &Picture) -> Vec<Binding<'_>> {
    let local = picture.role_bindings.iter().map(|binding| Binding {
        object: reference("RoleBinding", &binding.metadata),
        role: &binding.role_ref,
        subjects: binding.subjects.as_deref().unwrap_or_default(),
    });
    let global = picture.cluster_role_bindings.iter().map(|binding| Binding {
        object: reference("ClusterRoleBinding", &binding.metadata),
        role: &binding.role_ref,
        subjects: binding.subjects.as_deref().unwrap_or_default(),
    });
    local.chain(global).collect()
}

fn is_granted(picture: &Picture, account: &ObjectRef, right: &Right) -> bool {
    bindings(picture).iter().any(|binding| {
        let reaches = binding.object.namespace.is_empty()
            || right.namespace.as_ref() == Some(&binding.object.namespace);
        reaches && binding.binds(account) && right.is_in(binding.rules(picture))
    })
}

/// What comes nearest to granting it: a role that has the rule and is bound to others, or its own role without the rule.
fn near(picture: &Picture, account: &ObjectRef, right: &Right) -> Option<(String, Evidence)> {
    let all = bindings(picture);
    let here = |binding: &&Binding<'_>| {
        binding.object.namespace.is_empty() || right.namespace.as_ref() == Some(&binding.object.namespace)
    };
    let mut own = all.iter().filter(here).filter(|binding| {
        binding.subjects.iter().any(|subject| subject.kind == "ServiceAccount") && binding.binds(account)
    });
    if let Some(binding) = own.next() {
        let rules =
            binding.rules(picture).map_or_else(|| "no such role".to_owned(), |rules| rules_words(rules));
        let role = format!("{} {}", binding.role.kind, binding.role.name);
        let words = format!("its {role} (by {}) gives only {rules}", binding.object.words());
        return Some((words, Evidence::field(&binding.object, "roleRef", role)));
    }
    let others = all.iter().filter(here).find(|binding| {
        let accounts = binding.subjects.iter().any(|subject| {
            subject.kind == "ServiceAccount"
                && (subject.name == account.name || subject.namespace.as_ref() == Some(&account.namespace))
        });
        accounts && right.is_in(binding.rules(picture))
    })?;
    let subject = others.subjects.first()?;
    let bound =
        format!("{} {}/{}", subject.kind, subject.namespace.as_deref().unwrap_or_default(), subject.name);
    let words = format!("{} gives it to {bound} instead", others.object.words());
    Some((words, Evidence::field(&others.object, "subjects[0]", bound)))
}

/// `get,list pods; get secrets`.
fn rules_words(rules: &[PolicyRule]) -> String {
    let one = |rule: &PolicyRule| {
        let resources = rule.resources.as_deref().unwrap_or_default().join(",");
        format!("{} {resources}", rule.verbs.join(","))
    };
    let words: Vec<String> = rules.iter().take(4).map(one).collect();
    if words.is_empty() { "nothing".to_owned() } else { words.join("; ") }
}

/// Bindings whose role is not there give nothing to anybody.
fn dangling(picture: &Picture) -> Vec<Finding> {
    let accounts: Vec<ObjectRef> = workloads(picture)
        .iter()
        .map(|maker| {
            let name = maker.spec.service_account_name.as_deref().unwrap_or("default");
            ObjectRef::new("ServiceAccount", &maker.object.namespace, name)
        })
        .collect();
    let dangling = bindings(picture).into_iter().filter_map(|binding| {
        let Binding { object, role, .. } = &binding;
        let names: Vec<&str> = if role.kind == "ClusterRole" {
            if picture.unread.contains_key("ClusterRole") || picture.cluster_roles.is_empty() {
                return None;
            }
            picture.cluster_roles.iter().filter_map(|role| role.metadata.name.as_deref()).collect()
        } else {
            if !has_all(picture, "Role", &object.namespace) {
                return None;
            }
            let here = picture
                .roles
                .iter()
                .filter(|role| role.metadata.namespace.as_ref() == Some(&object.namespace));
            here.filter_map(|role| role.metadata.name.as_deref()).collect()
        };
        if names.contains(&role.name.as_str()) {
            return None;
        }
        let bound: Vec<&ObjectRef> = accounts.iter().filter(|account| binding.binds(account)).collect();
        // Those of the cluster are not for this namespace unless they bind an account of it.
        if bound.is_empty()
            && object.namespace.is_empty()
            && !matches!(picture.scope, crate::tools::diagnose::picture::Scope::Cluster)
        {
            return None;
        }
        let near = target::nearest(&role.name, names.into_iter());
        let near_words = near.first().map_or_else(String::new, |near| format!("; nearest is {near}"));
        let mechanism = format!(
            "{} gives the rights of {} {}, which does not exist{near_words}",
            object.words(),
            role.kind,
            role.name
        );
        let confirm = format!("list_resources {} {}", role.kind, object.namespace);
        let change = match near.first() {
            Some(near) => format!("make it anew with roleRef.name: {near} (a roleRef cannot be changed)"),
            None => format!("make {} {}", role.kind, role.name),
        };
        let finding = Finding::new(Severity::Warning, Cause::RoleMissing, object, mechanism, confirm, change);
        let value = format!("{} {}", role.kind, role.name);
        Some(
            finding
                .shown_by([Evidence::field(object, "roleRef", value)])
                .affecting(bound.into_iter().cloned().collect::<Vec<_>>()),
        )
    });
    dangling.collect()
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tools::diagnose::checks::example::{findings, found};

    const NONE: [&str; 0] = [];

    const LOG: &str = r#"
kind: Pod
metadata: { name: web-1 }
spec: { containers: [], serviceAccountName: web }
status: { phase: Running }
---
kind: Log
pod: web-1
lines: ['pods is forbidden: User "system:serviceaccount:shop:web" cannot list resource "pods" in API group "" in the namespace "shop"']
---
"#;

    fn role(verb: &str, subject: &str) -> String {
        format!(
            "
kind: Role
metadata: {{ name: reader }}
rules: [{{ apiGroups: [''], resources: [pods], verbs: [{verb}] }}]
---
kind: RoleBinding
metadata: {{ name: reads }}
roleRef: {{ apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader }}
subjects: [{{ kind: ServiceAccount, name: {subject}, namespace: shop }}]
"
        )
    }

    #[test]
    fn a_right_that_is_missing_is_told_with_the_rule_that_would_give_it() {
        let all = findings(check, LOG);
        assert_eq!(all[0].object.words(), "ServiceAccount shop/web");
        assert_eq!(all[0].mechanism, "ServiceAccount web of Pod shop/web-1 may not list pods in shop");
        assert_eq!(
            all[0].change.what,
            "a Role and RoleBinding for it with {apiGroups: [\"\"], resources: [pods], verbs: [list]}"
        );
        let all = findings(check, &(LOG.to_owned() + &role("get", "web")));
        assert!(
            all[0].mechanism.ends_with("; its Role reader (by RoleBinding shop/reads) gives only get pods")
        );
        let all = findings(check, &(LOG.to_owned() + &role("list", "wbe")));
        assert!(
            all[0]
                .mechanism
                .ends_with("; RoleBinding shop/reads gives it to ServiceAccount shop/wbe instead")
        );
    }

    #[test]
    fn a_right_that_was_given_since_is_history() {
        assert_eq!(found(check, &(LOG.to_owned() + &role("list", "web"))), NONE);
    }

    #[test]
    fn a_binding_to_a_role_that_is_not_there() {
        let all = role("get", "web").replace("kind: Role, name: reader", "kind: Role, name: readers");
        let all = findings(check, &all);
        assert_eq!(all.len(), 1);
        assert_eq!(
            all[0].mechanism,
            "RoleBinding shop/reads gives the rights of Role readers, which does not exist; nearest is reader"
        );
        assert_eq!(found(check, &role("get", "web")), NONE);
    }
}
