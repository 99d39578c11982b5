//! Quotas and limit ranges that keep pods from being made.

use std::sync::LazyLock;

use regex::Regex;

use super::refusals::{Refusal, refusals};
use crate::tools::{
    diagnose::{
        cause::Cause,
        finding::{Evidence, Finding, ObjectRef, Severity},
        look::reference,
        picture::Picture,
    },
    quantity::billionths,
};

static EXCEEDED: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"exceeded quota: ([^,]+), requested: (.+?), used: (.+?), limited: (.+)").ok()
});
static UNSAID: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"failed quota: ([^:]+): must specify (.+)").ok());
static RANGE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?:maximum|minimum) \S+ usage per (?:Container|Pod) is .+|\S+ max limit to request ratio per .+",
    )
    .ok()
});

pub(super) fn check(picture: &Picture, findings: &mut Vec<Finding>) {
    let refusals = refusals(picture);
    for refusal in &refusals {
        findings.extend(quota(refusal).or_else(|| range(picture, refusal)));
    }
    findings.extend(full(picture, findings));
}

fn quota(refusal: &Refusal) -> Option<Finding> {
    let Refusal { workload, message, .. } = refusal;
    let named = |name: &str| ObjectRef::new("ResourceQuota", &workload.namespace, name.trim());
    if let Some(found) = EXCEEDED.as_ref()?.captures(message) {
        let object = named(&found[1]);
        let (wanted, used, hard) = (&found[2], &found[3], &found[4]);
        let mechanism = format!(
            "ResourceQuota {} allows {hard} and {used} is used: the next pod of {}, {wanted}, is refused",
            object.name,
            workload.words()
        );
        let confirm = format!("get_resource ResourceQuota {} in {}: status", object.name, object.namespace);
        let change = format!("spec.hard: more than {hard}; or fewer or smaller pods in {}", object.namespace);
        let finding =
            Finding::new(Severity::Critical, Cause::QuotaExceeded, &object, mechanism, confirm, change);
        let evidence = [refusal.evidence.clone(), Evidence::field(&object, "status.used", used)];
        return Some(finding.shown_by(evidence).affecting(refusal.affected()));
    }
    let found = UNSAID.as_ref()?.captures(message)?;
    let (object, what) = (named(&found[1]), found[2].trim());
    let mechanism = format!(
        "ResourceQuota {} counts what pods ask for, so each must say it: pods of {} are refused until they specify {what}",
        object.name,
        workload.words()
    );
    let confirm = format!("get_resource ResourceQuota {} in {}: spec.hard", object.name, object.namespace);
    let change = format!("resources of its containers: {what}; or a LimitRange that gives defaults");
    let finding = Finding::new(Severity::Critical, Cause::QuotaExceeded, &object, mechanism, confirm, change);
    Some(finding.changing(workload).shown_by([refusal.evidence.clone()]).affecting(refusal.affected()))
}

fn range(picture: &Picture, refusal: &Refusal) -> Option<Finding> {
    let Refusal { workload, message, .. } = refusal;
    let said = RANGE.as_ref()?.find(message)?.as_str().trim_end_matches([']', ' ']);
    let range = picture
        .limit_ranges
        .iter()
        .find(|range| range.metadata.namespace.as_ref() == Some(&workload.namespace));
    let range = range.map(|range| reference("LimitRange", &range.metadata));
    let whose = range
        .as_ref()
        .map_or_else(|| "a LimitRange".to_owned(), |range| format!("LimitRange {}", range.name));
    let mechanism =
        format!("{whose} of {} refuses the pods of {}: {said}", workload.namespace, workload.words());
    let confirm = format!("list_resources limitranges in {}", workload.namespace);
    let change = "resources of its containers, within the range";
    let cause = Cause::LimitRangeViolated;
    let finding = Finding::new(Severity::Critical, cause, workload, mechanism, confirm, change);
    let evidence = range.map(|range| Evidence::field(&range, "spec.limits", said));
    Some(finding.shown_by([refusal.evidence.clone()]).shown_by(evidence).affecting(refusal.affected()))
}

/// Full quotas that have refused nothing yet: the next one will be.
fn full(picture: &Picture, known: &[Finding]) -> Vec<Finding> {
    let full = picture.quotas.iter().filter_map(|quota| {
        let object = reference("ResourceQuota", &quota.metadata);
        if known.iter().any(|finding| finding.object == object) {
            return None;
        }
        let status = quota.status.as_ref()?;
        let (hard, used) = (status.hard.as_ref()?, status.used.as_ref()?);
        let full: Vec<String> = hard
            .iter()
            .filter_map(|(name, hard)| {
                let (most, now) = (billionths(&hard.0)?, billionths(&used.get(name)?.0)?);
                // None at all may be what it is for.
                (most > 0 && now >= most).then(|| format!("{name} {} of {}", used[name].0, hard.0))
            })
            .collect();
        let first = full.first()?;
        let mechanism = format!(
            "ResourceQuota {} is full ({}): whatever needs more will be refused",
            object.name,
            full.join(", ")
        );
        let confirm = format!("get_resource ResourceQuota {} in {}: status", object.name, object.namespace);
        let change = "spec.hard: more, before something must be made anew";
        let finding = Finding::new(Severity::Hint, Cause::QuotaExceeded, &object, mechanism, confirm, change);
        Some(finding.shown_by([Evidence::field(&object, "status.used", first.as_str())]))
    });
    full.collect()
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tools::diagnose::checks::example::{findings, found};

    const NONE: [&str; 0] = [];

    fn with(message: &str, has: u8) -> String {
        format!(
            "
kind: ReplicaSet
metadata: {{ name: web-1, ownerReferences: [{{ apiVersion: apps/v1, kind: Deployment, name: web, uid: u, controller: true }}] }}
spec: {{ replicas: 2, selector: {{}} }}
status: {{ replicas: {has} }}
---
kind: LimitRange
metadata: {{ name: small }}
spec: {{ limits: [] }}
---
kind: Event
object: {{ kind: ReplicaSet, name: web-1 }}
reason: FailedCreate
message: '{message}'
"
        )
    }

    const QUOTA: &str = "Error creating: pods \"web-1-x\" is forbidden: exceeded quota: tight, requested: pods=1, used: pods=2, limited: pods=2";

    #[test]
    fn a_quota_that_refuses() {
        let all = findings(check, &with(QUOTA, 0));
        assert_eq!(all[0].object.words(), "ResourceQuota shop/tight");
        assert_eq!(
            all[0].mechanism,
            "ResourceQuota tight allows pods=2 and pods=2 is used: the next pod of Deployment shop/web, pods=1, is refused"
        );
        // It has all its pods by now.
        assert_eq!(found(check, &with(QUOTA, 2)), NONE);
        let unsaid =
            "Error creating: pods \"x\" is forbidden: failed quota: q: must specify limits.cpu for: main";
        let all = findings(check, &with(unsaid, 0));
        assert_eq!(
            (all[0].object.words(), all[0].change.object.words()),
            ("ResourceQuota shop/q".into(), "Deployment shop/web".into())
        );
    }

    #[test]
    fn a_limit_range_that_refuses() {
        let all = findings(
            check,
            &with(
                "Error creating: pods \"x\" is forbidden: maximum memory usage per Container is 128Mi, but limit is 1Gi",
                0,
            ),
        );
        assert_eq!(
            all[0].mechanism,
            "LimitRange small of shop refuses the pods of Deployment shop/web: maximum memory usage per Container is \
             128Mi, but limit is 1Gi"
        );
    }

    #[test]
    fn a_full_quota_is_only_a_hint() {
        let quota = "kind: ResourceQuota\nmetadata: { name: q }\nstatus: { hard: { pods: '2', services.nodeports: '0' }, used: { pods: '2', services.nodeports: '0' } }";
        let all = findings(check, quota);
        assert_eq!(format!("{:?}", all[0].severity), "Hint");
        assert_eq!(
            all[0].mechanism,
            "ResourceQuota q is full (pods 2 of 2): whatever needs more will be refused"
        );
        assert_eq!(found(check, &quota.replace("used: { pods: '2'", "used: { pods: '1'")), NONE);
    }
}
