//! Init containers that fail, or that never end.

use super::{
    crashes::{ended, meaning, special},
    names,
    subject::{Subject, subjects},
};
use crate::tools::{
    diagnose::{
        cause::Cause,
        finding::{Finding, Severity},
        picture::Picture,
        pods::Unit,
    },
    kinds::age,
};

/// Longer than this, something that only prepares is looked at.
const PREPARE_SECONDS: i64 = 60;

pub(super) fn check(picture: &Picture, findings: &mut Vec<Finding>) {
    for subject in subjects(picture) {
        for unit in subject.units().into_iter().filter(|unit| unit.is_init && !unit.is_sidecar()) {
            findings.extend(fails(&subject, &unit).or_else(|| hangs(&subject, &unit)));
        }
    }
}

fn fails(subject: &Subject<'_>, unit: &Unit<'_>) -> Option<Finding> {
    // Once it has ended well, what was before is past.
    let is_done = unit.ended().is_some_and(|end| end.exit_code == 0);
    if is_done || !unit.has_failed(subject.picture.now) {
        return None;
    }
    let end = unit.last_end()?;
    if let Some(known) = special(subject, unit, end) {
        return Some(known);
    }
    if names::unresolved(subject, unit.name()).is_some() {
        return None;
    }
    let container = unit.name();
    let mechanism = format!(
        "init container {container} fails with exit {} ({}), so the others never start",
        end.exit_code,
        meaning(end.exit_code)
    );
    let change = format!("what its log complains of; it is {}", subject.path(&unit.path()));
    let confirm = subject.log_call(container, unit.ended().is_none());
    let finding = subject.finding(Severity::Critical, Cause::InitContainerFails, mechanism, confirm, change);
    let evidence = [ended(subject, unit, end)].into_iter().chain(subject.last_line(container));
    let blamed = subject.blames_others(container);
    Some(finding.shown_by(evidence).following([subject.this.clone()]).following(blamed))
}

fn hangs(subject: &Subject<'_>, unit: &Unit<'_>) -> Option<Finding> {
    let since = unit.running_since()?;
    let now = subject.picture.now;
    if now.as_second() - since.as_second() < PREPARE_SECONDS
        || names::unresolved(subject, unit.name()).is_some()
    {
        return None;
    }
    let container = unit.name();
    let words = unit.spec.command.iter().flatten().chain(unit.spec.args.iter().flatten());
    let command: Vec<&str> = words.map(String::as_str).collect();
    let waits_for = super::waiting::service_in(subject, &command.join(" "));
    let what = waits_for.as_ref().map_or_else(
        || "what it waits for does not come".to_owned(),
        |service| format!("it waits for {}", service.words()),
    );
    let mechanism = format!("init container {container} does not end, so the others never start: {what}");
    let change = format!("bring what it waits for, or {}", subject.path(&format!("{}.command", unit.path())));
    let running = format!("since {}", age(Some(since), now));
    let finding = subject
        .finding(
            Severity::Critical,
            Cause::InitContainerHangs,
            mechanism,
            subject.log_call(container, false),
            change,
        )
        .shown_by([subject.field(&format!("{}.state.running", unit.status_path()), running)])
        .shown_by(subject.last_line(container));
    Some(finding.following([subject.this.clone()]).following(waits_for))
}
