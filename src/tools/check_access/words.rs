//! What is said about an access question. Pure.

use std::collections::BTreeSet;

use serde_json::json;

use super::rbac::{Grant, MASTERS, Rbac, RoleRef, Subject, account, verbs};
use crate::{answer::Answer, caller::Question, cluster::access::Decision, redact::shown};

/// Bindings, roles, and subjects that are named.
const NAMED: usize = 8;
const ROLES: usize = 4;
const VERBS: [&str; 8] = ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"];

/// The decision.
pub(super) struct Verdict {
    pub(super) allowed: bool,
    /// The authorizer's words.
    pub(super) reason: String,
    /// From roles and bindings alone, not by the API server.
    pub(super) local: bool,
}

impl Verdict {
    pub(super) fn of(decision: Decision) -> Self {
        let Decision { allowed, reason, evaluation_error: _ } = decision;
        // For a no it may name roles that are missing.
        let reason = if allowed { reason } else { String::new() };
        Self { allowed, reason, local: false }
    }
}

pub(super) struct Finding<'a> {
    pub(super) question: &'a Question,
    pub(super) namespaced: bool,
    pub(super) subject: &'a Subject,
    pub(super) verdict: Verdict,
    pub(super) rbac: &'a Rbac,
}

pub(super) fn answer(finding: &Finding<'_>) -> Answer {
    let Finding { question, namespaced, subject, verdict, rbac } = finding;
    let (own, foreign): (Vec<Grant>, Vec<Grant>) =
        rbac.grants(question, subject).into_iter().partition(|grant| !grant.to.is_empty());
    let what = thing(question, *namespaced);
    let user = shown(&subject.user);
    let mut text = match verdict.allowed {
        true => format!("Yes: {user} may {what}.\n"),
        false => format!("No: {user} may not {what}.\n"),
    };
    let mut by: Vec<String> = own.iter().map(|grant| given(grant, &grant.to)).collect();
    if verdict.allowed && by.is_empty() {
        by.extend(Some(shown(&verdict.reason)).filter(|reason| !reason.is_empty()));
        if subject.is_master() {
            by.push(format!("group {MASTERS}, which may do everything"));
        }
    }
    by.truncate(NAMED);
    by.iter().filter(|_| verdict.allowed).for_each(|by| text.push_str(&format!("Given by: {by}\n")));
    let mut roles = Vec::new();
    if !verdict.allowed {
        by.clear();
        text.push_str(&why_not(finding));
        let suitable = rbac.suitable(question);
        roles = suitable.iter().take(ROLES).map(|found| named(&found.role)).collect();
        if let Some(least) = suitable.first() {
            text.push_str(&format!(
                "Roles that would give it, the one that gives least first: {}\n",
                roles.join(", ")
            ));
            text.push_str(&format!("To give it: {}\n", command(question, subject, &least.role)));
        } else if rbac.unread.contains(&"clusterroles") {
            text.push_str("Which role would give it cannot be said: you may not list clusterroles.\n");
        } else {
            text.push_str(&format!("No role gives it: one is needed that lets {}.\n", rule(question)));
        }
    }
    let all: BTreeSet<String> = own
        .iter()
        .chain(&foreign)
        .flat_map(|grant| {
            let out = if verdict.allowed { &grant.others[..] } else { &[] };
            let out = if grant.to.is_empty() { &grant.others[..] } else { out };
            out.iter().map(|bound| shown(&bound.shown()))
        })
        .collect();
    let others: Vec<String> = all.iter().take(NAMED).cloned().collect();
    if !others.is_empty() {
        let more = all.len().saturating_sub(others.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        text.push_str(&format!("Others who may: {}{more}\n", others.join(", ")));
    }
    text.push_str(&limits(finding));
    Answer::structured(
        text,
        json!({ "allowed": verdict.allowed, "by": by, "roles": roles, "others": others }),
    )
}

/// `get pods/log in namespace shop`.
fn thing(question: &Question, namespaced: bool) -> String {
    let Question { verb, group, resource, namespace, name } = question;
    let dot = if group.is_empty() { "" } else { "." };
    let (base, part) =
        resource.split_once('/').map_or((resource.as_str(), None), |(base, part)| (base, Some(part)));
    let part = part.map_or_else(String::new, |part| format!("/{part}"));
    let name = name.as_ref().map_or_else(String::new, |name| format!(" `{}`", shown(name)));
    let place = match namespace {
        Some(namespace) => format!(" in namespace {}", shown(namespace)),
        None if namespaced => " in all namespaces at once".to_owned(),
        None => String::new(),
    };
    shown(&format!("{verb} {base}{dot}{group}{part}{name}{place}"))
}

/// What the subject may do with the kind all the same.
fn why_not(finding: &Finding<'_>) -> String {
    let Finding { question, namespaced, subject, verdict: _, rbac } = finding;
    let rights = rbac.of(subject, question.namespace.as_deref());
    let may = verbs(&rights, question, &VERBS);
    let mut text = String::new();
    if !may.is_empty() {
        text.push_str(&format!("With these, {} may only {}.\n", shown(&subject.user), may.join(", ")));
    }
    if question.name.is_none() && *namespaced && question.namespace.is_none() {
        text.push_str("A role bound in one namespace counts only there: name a `namespace`.\n");
    }
    text
}

fn limits(finding: &Finding<'_>) -> String {
    let Finding { verdict, rbac, .. } = finding;
    let mut text = String::new();
    if !rbac.unread.is_empty() {
        text.push_str(&format!(
            "You may not list {}: what they give is not in this answer.\n",
            rbac.unread.join(", ")
        ));
    }
    if verdict.local {
        text.push_str("This follows from roles and bindings alone; the API server was not asked.\n");
    }
    text
}

/// `RoleBinding shop/devs (ClusterRole view, to Group devs)`.
fn given(grant: &Grant, to: &[super::rbac::Bound]) -> String {
    let to: Vec<String> = to.iter().map(super::rbac::Bound::shown).collect();
    shown(&format!("{} ({}, to {})", grant.binding, named(&grant.role), to.join(", ")))
}

fn named(role: &RoleRef) -> String {
    shown(&format!("{} {}", role.kind, role.name))
}

fn rule(question: &Question) -> String {
    let Question { verb, group, resource, .. } = question;
    let group = if group.is_empty() { String::new() } else { format!(" of group {group}") };
    shown(&format!("{verb} {resource}{group}"))
}

/// The command that whoever may bind roles would type.
fn command(question: &Question, subject: &Subject, role: &RoleRef) -> String {
    let kind = match role.kind.as_str() {
        "Role" => "role",
        _ => "clusterrole",
    };
    let to = match account(&subject.user) {
        Some((namespace, name)) => format!("--serviceaccount={namespace}:{name}"),
        None => format!("--user={}", quoted(&subject.user)),
    };
    let role = quoted(&role.name);
    let binding = match &question.namespace {
        Some(namespace) => format!("-n {} create rolebinding", quoted(namespace)),
        None => "create clusterrolebinding".to_owned(),
    };
    format!("kubectl {binding} NAME --{kind}={role} {to}")
}

/// As one word of a shell.
fn quoted(word: &str) -> String {
    let word = shown(word);
    let plain = word.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:@/".contains(c));
    if plain && !word.is_empty() { word } else { format!("'{}'", word.replace('\'', r"'\''")) }
}
