//! Which findings are causes and which only follow from them.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    cause::Cause,
    finding::{Finding, ObjectRef, Severity},
};

/// A cause with what follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ranked {
    /// Its severity is that of the worst of all.
    pub(super) root: Finding,
    /// Worst first.
    pub(super) symptoms: Vec<Finding>,
}

impl Ranked {
    /// How many objects do not work by it.
    fn reach(&self) -> usize {
        let affected = self.root.affects.iter().chain(self.symptoms.iter().map(|symptom| &symptom.object));
        affected.collect::<BTreeSet<_>>().len()
    }

    /// The worst first, then what reaches farthest; the same for the same findings, in whatever order they came.
    pub(super) fn place(&self) -> String {
        let Self { root: Finding { severity, cause, object, .. }, symptoms: _ } = self;
        let left = 9_999_usize.saturating_sub(self.reach());
        format!("{} {left:04} {} {cause:?}", *severity as u8, object.words())
    }
}

/// Folds symptoms under their causes. Hints are nobody's cause and nobody's symptom.
pub(super) fn rank(findings: Vec<Finding>) -> Vec<Ranked> {
    let findings = merged(findings);
    let explained_by = explanations(&findings);
    let mut group: Vec<Option<usize>> = vec![None; findings.len()];
    for root in roots(&findings, &explained_by) {
        claim(root, &explained_by, &mut group);
    }
    let mut ranked: BTreeMap<usize, Ranked> = BTreeMap::new();
    let mut symptoms = Vec::new();
    for (at, finding) in findings.into_iter().enumerate() {
        match group[at] {
            Some(root) if root != at => symptoms.push((root, finding)),
            _ => {
                ranked.insert(at, Ranked { root: finding, symptoms: Vec::new() });
            }
        }
    }
    for (root, symptom) in symptoms {
        if let Some(ranked) = ranked.get_mut(&root) {
            ranked.root.severity = ranked.root.severity.min(symptom.severity);
            ranked.symptoms.push(symptom);
        }
    }
    let mut ranked: Vec<Ranked> = ranked.into_values().collect();
    ranked.iter_mut().for_each(|ranked| ranked.symptoms.sort_by_key(order));
    ranked.sort_by_cached_key(Ranked::place);
    ranked
}

fn order(finding: &Finding) -> (Severity, u8, ObjectRef, Cause) {
    (finding.severity, depth(finding.cause), finding.object.clone(), finding.cause)
}

/// Findings of one cause about one object are one, with the evidence of the first.
fn merged(findings: Vec<Finding>) -> Vec<Finding> {
    let mut merged: BTreeMap<(ObjectRef, Cause), Finding> = BTreeMap::new();
    for finding in findings {
        let key = (finding.object.clone(), finding.cause);
        match merged.get_mut(&key) {
            None => {
                merged.insert(key, finding);
            }
            Some(known) => merge(known, finding),
        }
    }
    let mut merged: Vec<Finding> = merged.into_values().collect();
    for finding in &mut merged {
        dedup(&mut finding.affects);
        dedup(&mut finding.follows);
    }
    merged.sort_by_key(order);
    merged
}

/// Different ways in which it comes about that are told of one object.
const WAYS: usize = 4;

fn merge(known: &mut Finding, other: Finding) {
    let Finding { severity, cause: _, object: _, mechanism, evidence, affects, follows, confirm: _, change } =
        other;
    known.severity = known.severity.min(severity);
    known.affects.extend(affects);
    known.follows.extend(follows);
    if known.mechanism.contains(&mechanism) || known.mechanism.matches("; ").count() + 1 >= WAYS {
        return;
    }
    known.mechanism = format!("{}; {mechanism}", known.mechanism);
    known.evidence.extend(evidence.into_iter().take(2));
    if !known.change.what.contains(&change.what) {
        known.change.what = format!("{}; {}", known.change.what, change.what);
    }
}

fn dedup(objects: &mut Vec<ObjectRef>) {
    let mut seen = BTreeSet::new();
    objects.retain(|object| seen.insert(object.clone()));
}

/// For each finding, those that explain it.
fn explanations(findings: &[Finding]) -> Vec<Vec<usize>> {
    let mut by_object: BTreeMap<&ObjectRef, Vec<usize>> = BTreeMap::new();
    for (at, finding) in findings.iter().enumerate().filter(|(_, finding)| finding.severity != Severity::Hint)
    {
        // Two values of one variable explain nothing by themselves: only where they are known to hurt.
        let itself = Some(&finding.object).filter(|_| finding.cause != Cause::EnvironmentShadowed);
        for object in itself.into_iter().chain(&finding.affects) {
            by_object.entry(object).or_default().push(at);
        }
    }
    let follows = |at: usize| -> BTreeSet<usize> {
        let finding = &findings[at];
        if finding.severity == Severity::Hint {
            return BTreeSet::new();
        }
        let explaining = finding.follows.iter().filter_map(|object| by_object.get(object)).flatten();
        explaining.copied().filter(|other| *other != at).collect()
    };
    let all: Vec<BTreeSet<usize>> = (0..findings.len()).map(follows).collect();
    // Two that point at each other: the one nearer to the surface is the symptom.
    let holds = |at: usize, other: usize| {
        let (mine, others) = (findings[at].cause, findings[other].cause);
        explains(others) && (!all[other].contains(&at) || depth(mine) >= depth(others))
    };
    (0..findings.len())
        .map(|at| all[at].iter().copied().filter(|other| holds(at, *other)).collect())
        .collect()
}

/// Those that nothing explains; of a circle that nothing outside explains, the worst.
fn roots(findings: &[Finding], explained_by: &[Vec<usize>]) -> Vec<usize> {
    let mut roots: Vec<usize> = (0..findings.len()).filter(|at| explained_by[*at].is_empty()).collect();
    let mut group = vec![None; findings.len()];
    roots.iter().for_each(|root| claim(*root, explained_by, &mut group));
    while let Some(root) = group.iter().position(Option::is_none) {
        roots.push(root);
        claim(root, explained_by, &mut group);
    }
    // The deepest claims first what several explain.
    roots.sort_by_key(|root| (depth(findings[*root].cause), *root));
    roots
}

/// Gives `root` all that follows from it and that no other root has yet.
fn claim(root: usize, explained_by: &[Vec<usize>], group: &mut [Option<usize>]) {
    let mut next = vec![root];
    while let Some(at) = next.pop() {
        if group[at].is_some() {
            continue;
        }
        group[at] = Some(root);
        let following = (0..explained_by.len()).filter(|other| explained_by[*other].contains(&at));
        next.extend(following.filter(|other| group[*other].is_none()));
    }
}

/// Whether pods can fail by it. Those that only watch over workloads, or count them, break none.
fn explains(cause: Cause) -> bool {
    !matches!(
        cause,
        Cause::AutoscalerTargetMissing
            | Cause::AutoscalerWithoutRequests
            | Cause::AutoscalerWithoutMetrics
            | Cause::AutoscalerAtLimit
            | Cause::DisruptionBudgetBlocks
            | Cause::DisruptionBudgetSelectsNothing
    )
}

/// How near to the surface: 0 is a fact about the world, more is what becomes of it.
fn depth(cause: Cause) -> u8 {
    match cause {
        Cause::ServiceWithoutReadyPods | Cause::DisruptionBudgetBlocks | Cause::AutoscalerWithoutMetrics => 8,
        Cause::AutoscalerAtLimit => 8,
        Cause::IngressBackendMissing => 9,
        Cause::RolloutStuck | Cause::DaemonSetIncomplete | Cause::JobsKeepFailing => 7,
        Cause::JobFailed | Cause::JobDeadlineExceeded => 6,
        Cause::ReadinessProbeFails => 5,
        Cause::LivenessProbeFails | Cause::StartupProbeFails => 4,
        Cause::InitContainerHangs => 4,
        Cause::ContainerCrashes | Cause::InitContainerFails => 3,
        Cause::OutOfMemory | Cause::PodEvicted | Cause::VolumeNotMounted => 2,
        Cause::NameResolutionFails => 2,
        Cause::ResourcesInsufficient | Cause::ClaimNotBound => 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::{Cause, Finding, ObjectRef, Severity, rank};

    fn pod(name: &str) -> ObjectRef {
        ObjectRef::new("Pod", "shop", name)
    }

    fn finding(severity: Severity, cause: Cause, kind: &str, name: &str) -> Finding {
        Finding::new(
            severity,
            cause,
            &ObjectRef::new(kind, "shop", name),
            format!("{cause:?}"),
            "look",
            "mend",
        )
    }

    #[test]
    fn symptoms_fold_under_their_cause_through_others() {
        let findings = vec![
            finding(Severity::Critical, Cause::IngressBackendMissing, "Ingress", "web")
                .following([ObjectRef::new("Service", "shop", "web")]),
            finding(Severity::Critical, Cause::ServiceWithoutReadyPods, "Service", "web")
                .following([pod("web-1")]),
            finding(Severity::Warning, Cause::SecretMissing, "Deployment", "web").affecting([pod("web-1")]),
            finding(Severity::Critical, Cause::ServicePortWrong, "Service", "other"),
        ];
        let ranked = rank(findings);
        let causes: Vec<_> = ranked.iter().map(|ranked| ranked.root.cause).collect();
        assert_eq!(causes, [Cause::SecretMissing, Cause::ServicePortWrong]);
        assert_eq!(ranked[0].root.severity, Severity::Critical);
        let symptoms: Vec<_> = ranked[0].symptoms.iter().map(|symptom| symptom.cause).collect();
        assert_eq!(symptoms, [Cause::ServiceWithoutReadyPods, Cause::IngressBackendMissing]);
    }

    #[test]
    fn equal_findings_are_one_and_hints_explain_nothing() {
        let crash = |name: &str| {
            finding(Severity::Critical, Cause::ContainerCrashes, "Deployment", "web")
                .affecting([pod(name)])
                .following([ObjectRef::new("Deployment", "shop", "web")])
        };
        let hint = finding(Severity::Hint, Cause::ProbesMissing, "Deployment", "web");
        let ranked = rank(vec![crash("a"), hint, crash("b")]);
        assert_eq!(ranked.len(), 2);
        assert_eq!(ranked[0].root.affects, [pod("a"), pod("b")]);
        assert_eq!(ranked[0].root.mechanism, "ContainerCrashes");
        assert!(ranked[0].symptoms.is_empty());
    }

    #[test]
    fn a_circle_hides_nothing() {
        let one = finding(Severity::Warning, Cause::ServicePortWrong, "Service", "a").following([pod("b")]);
        let two = finding(Severity::Critical, Cause::ClaimLost, "Pod", "b")
            .following([ObjectRef::new("Service", "shop", "a")]);
        let ranked = rank(vec![one, two]);
        assert_eq!(ranked.len(), 1);
        assert_eq!(ranked[0].root.cause, Cause::ClaimLost);
        assert_eq!(ranked[0].symptoms.len(), 1);
    }

    #[test]
    fn of_two_that_blame_each_other_the_deeper_is_the_cause() {
        let crash = finding(Severity::Critical, Cause::ContainerCrashes, "Deployment", "web");
        let ready = finding(Severity::Critical, Cause::ReadinessProbeFails, "Deployment", "web");
        let [crash, ready] = [crash, ready].map(|f| f.affecting([pod("a")]).following([pod("a")]));
        let ranked = rank(vec![ready, crash]);
        assert_eq!(ranked.len(), 1);
        assert_eq!(ranked[0].root.cause, Cause::ContainerCrashes);
    }
}
