//! What is this cluster, is it healthy, what is wrong first.

mod builds;
mod problems;

use std::sync::Arc;

use futures::{StreamExt, future::BoxFuture, stream};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use self::{
    builds::Newest,
    problems::{Problem, Problems},
};
use super::{
    CoverageFigure, GitopsCoverage, Tool, answered,
    arguments::{self, Parsed},
    definition::{Definition, Effect, max_tokens, text},
    desk::{Desk, failed},
    kinds::{Facts, Line, Pods, View},
    list_events::{self, Filter},
    list_resources::{self, CELL_CHARS, shortened},
};
use crate::{
    answer::{Answer, Budget, Rank, Table},
    caller::Caller,
    cluster::{ListRequest, ReadError, Resource},
};

pub(super) struct ClusterOverview {
    pub(super) desk: Desk,
    /// Where writes are captured.
    pub(super) gitops: Option<Arc<dyn GitopsCoverage>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    namespace: Option<String>,
    max_tokens: Option<usize>,
}

/// What is looked at, worst cause first: what an earlier one breaks, a later one only shows.
/// Kinds that the cluster has not are left out.
const KINDS: [(&str, &str); 14] = [
    ("", "Node"),
    ("config.openshift.io", "ClusterOperator"),
    ("", "PersistentVolumeClaim"),
    ("", "Pod"),
    ("apps", "Deployment"),
    ("apps", "StatefulSet"),
    ("apps", "DaemonSet"),
    ("image.openshift.io", "ImageStream"),
    ("build.openshift.io", "Build"),
    ("apps.openshift.io", "DeploymentConfig"),
    ("batch", "Job"),
    ("", "Service"),
    ("route.openshift.io", "Route"),
    ("autoscaling", "HorizontalPodAutoscaler"),
];
const AT_ONCE: usize = 4;
const EVENTS: usize = 5;

impl Tool for ClusterOverview {
    fn definition(&self) -> Value {
        Definition {
            name: "cluster_overview",
            title: "Cluster overview",
            description: "Use this first: says what cluster this is, whether it (or one namespace) is healthy, and what is wrong, the worst first with its reason. Pods that fail alike are one row under their workload. Go on with get_logs and get_resource.",
            properties: json!({
                "namespace": text("only this namespace"),
                "max_tokens": max_tokens(),
            }),
            required: &[],
            effect: Effect::Reads,
            output: Some(json!({
                "healthy": { "type": "boolean" },
                "problems": { "type": "array", "items": { "type": "object", "properties": {
                    "object": { "type": "string" }, "why": { "type": "string" } } } },
                "left_out": { "type": "array", "items": { "type": "string" } },
            })),
        }
        .into_value()
    }

    fn call<'a>(&'a self, _caller: &'a Caller, arguments: Option<&'a RawValue>) -> BoxFuture<'a, Answer> {
        answered(self.look(arguments))
    }
}

/// What was found of one kind.
struct Seen {
    kind: String,
    counts: [usize; 4],
    problems: Vec<Problem>,
    /// When it was pods that were looked at.
    pods: Option<Pods>,
}

impl ClusterOverview {
    async fn look(&self, raw: Option<&RawValue>) -> Result<Answer, Answer> {
        let Parsed { arguments, request: _ } = arguments::parse(&self.definition(), raw)?;
        let Arguments { namespace, max_tokens } = arguments;
        let budget = max_tokens.map_or(self.desk.budget, Budget::of);
        let reader = &self.desk.reader;
        let (version, kinds) =
            futures::try_join!(reader.version(), reader.kinds()).map_err(|error| failed(&error))?;
        self.desk.known_namespace(namespace.as_deref()).await?;
        // Services come last: the labels of the pods say what a Service without any was meant to select.
        let (services, others): (Vec<&Resource>, Vec<&Resource>) = KINDS
            .iter()
            .filter_map(|(group, kind)| kinds.of_kind(group, kind))
            .filter(|resource| namespace.is_none() || resource.namespaced)
            .partition(|resource| resource.kind == "Service");
        let looks: Vec<_> =
            others.into_iter().map(|resource| self.kind(resource, namespace.clone(), None)).collect();
        let mut looked: Vec<(String, Result<Seen, ReadError>)> =
            stream::iter(looks).buffered(AT_ONCE).collect().await;
        let mut pods = looked.iter_mut().find_map(|(_, seen)| seen.as_mut().ok()?.pods.take());
        for resource in services {
            looked.push(self.kind(resource, namespace.clone(), pods.take()).await);
        }
        looked.sort_by_key(|(kind, _)| KINDS.iter().position(|(_, known)| known == kind));
        let mut problems = Problems::default();
        let mut counts = Table::new(["KIND", "TOTAL", "BROKEN", "WARNING"]);
        let mut hidden = Vec::new();
        for (kind, seen) in looked {
            match seen {
                Ok(Seen { kind, counts: [broken, warning, neutral, healthy], problems: found, pods: _ }) => {
                    let total = broken + warning + neutral + healthy;
                    counts.push(vec![kind, total.to_string(), broken.to_string(), warning.to_string()]);
                    found.into_iter().for_each(|problem| problems.add(problem));
                }
                Err(
                    error @ (ReadError::Forbidden { .. }
                    | ReadError::NotFound { .. }
                    | ReadError::NotRecorded(_)),
                ) => {
                    hidden.push(format!("{kind}: {error}"));
                }
                Err(error) => return Err(failed(&error)),
            }
        }
        let gitops = self.gitops(namespace.as_deref(), hidden.is_empty());
        let problems = problems.sorted();
        let head = self.head(&version, namespace.as_deref(), &problems);
        let rest = [
            gitops,
            format!("\n{}", counts.render()),
            lines(&hidden, "Not readable"),
            self.events(namespace).await,
        ];
        Ok(answer(&head, &problems, &rest, budget))
    }

    fn head(&self, version: &str, namespace: Option<&str>, problems: &[Problem]) -> String {
        let recorded = self.desk.reader.recorded_at();
        let recorded = recorded.map_or_else(String::new, |at| format!(", as recorded at {at:.0}"));
        let place = namespace.map_or_else(String::new, |namespace| format!(", namespace {namespace}"));
        let server = self.desk.reader.server();
        let broken = problems.iter().filter(|problem| problem.rank == Rank::Broken).count();
        let warnings = problems.len() - broken;
        let verdict = match (broken, warnings) {
            (0, 0) => "Healthy: nothing is wrong in what was looked at.".to_owned(),
            (0, _) => format!("Nothing broken, {warnings} to watch:"),
            (_, 0) => format!("{broken} broken:"),
            _ => format!("{broken} broken, {warnings} to watch:"),
        };
        format!("Kubernetes {version} at {server}{place}{recorded}\n{verdict}\n")
    }

    /// How much came through Git. By name only what a caller sees who may list everything that was asked about.
    fn gitops(&self, namespace: Option<&str>, sees_all: bool) -> String {
        // Of the cluster that this process is of.
        let here = self.gitops.as_ref().filter(|_| self.desk.context.is_empty());
        here.map_or_else(String::new, |gitops| coverage(&gitops.figure(namespace), sees_all))
    }

    async fn kind(
        &self,
        resource: &Resource,
        namespace: Option<String>,
        pods: Option<Pods>,
    ) -> (String, Result<Seen, ReadError>) {
        (resource.kind.clone(), self.seen(resource, namespace, pods).await)
    }

    async fn seen(
        &self,
        resource: &Resource,
        namespace: Option<String>,
        pods: Option<Pods>,
    ) -> Result<Seen, ReadError> {
        let kind = resource.kind.clone();
        let mut counts = [0; 4];
        let mut problems = Vec::new();
        let Some(view) = View::built_in(&resource.group, &kind) else {
            return Ok(Seen { kind, counts, problems, pods: None });
        };
        let mut list = ListRequest { namespace, ..ListRequest::default() };
        let mut facts = Facts { pods, ..Facts::at(self.desk.reader.now()) };
        if kind == "Service" {
            let (endpoints, version) = list_resources::endpoints(&self.desk, &list).await;
            facts.endpoints = endpoints;
            list.at = version;
        }
        let mut labelled = (kind == "Pod").then(Pods::default);
        let mut judge = |object: &RawValue, line: Line| {
            counts[line.health.rank as usize] += 1;
            if line.health.rank <= Rank::Warning {
                problems.push(Problem::of(&kind, object, line));
            }
        };
        let mut builds = (kind == "Build").then(Newest::default);
        let each = |object: &RawValue| {
            if let Some(pods) = &mut labelled {
                pods.add_labels(object);
            }
            let Ok(line) = view.line(object, &facts) else { return };
            match &mut builds {
                Some(builds) => builds.add(object, line),
                None => judge(object, line),
            }
        };
        self.desk.reader.list(resource, &list, each).await?;
        for (build, line) in builds.into_iter().flat_map(Newest::into_lines) {
            judge(&build, line);
        }
        Ok(Seen { kind, counts, problems, pods: labelled })
    }

    /// The newest warnings, which may name what no status shows.
    async fn events(&self, namespace: Option<String>) -> String {
        let filter = Filter { namespace, warnings_only: true, ..Filter::default() };
        let Ok((groups, _)) = list_events::read(&self.desk, &filter, None).await else {
            return String::new();
        };
        let now = self.desk.reader.now();
        let newest: Vec<String> =
            groups.newest(EVENTS).iter().map(|group| group.line_with_object(now)).collect();
        lines(&newest, "Newest warnings")
    }
}

/// `GitOps coverage 24 h: 96 % of 120 writes; 5 past Git: ...`
fn coverage(figure: &CoverageFigure, sees_all: bool) -> String {
    let CoverageFigure { writes, through_git, in_sessions, past } = figure;
    let sanctioned = through_git + in_sessions;
    let left = writes.saturating_sub(sanctioned);
    // Not 100 % while one is missing.
    let Some(percent) = (sanctioned * 100).checked_div(*writes) else { return String::new() };
    let mut line = format!("\nGitOps coverage 24 h: {percent} % of {writes} writes");
    if *in_sessions > 0 {
        line.push_str(&format!(", {in_sessions} in emergency sessions"));
    }
    if left > 0 {
        line.push_str(&format!("; {left} past Git"));
        if sees_all && !past.is_empty() {
            let more = if left > past.len() as u64 { "latest " } else { "" };
            line.push_str(&format!(": {more}{}", past.join(", ")));
        }
    }
    line + "\n"
}

fn lines(lines: &[String], heading: &str) -> String {
    if lines.is_empty() {
        return String::new();
    }
    lines.iter().fold(format!("\n{heading}:\n"), |text, line| format!("{text}  {line}\n"))
}

/// Problems first, all of them if they fit with shorter reasons; then what else fits whole. The record has the
/// same problems.
fn answer(head: &str, problems: &[Problem], rest: &[String], budget: Budget) -> Answer {
    let room = budget.bytes().saturating_sub(head.len());
    let told = WHY_CHARS
        .iter()
        .map(|chars| Told::of(problems, *chars, usize::MAX))
        .find(|told| told.bytes() <= room)
        .unwrap_or_else(|| Told::within(problems, room));
    let (mut text, structured) = (format!("{head}{}", told.text), told.record);
    let mut room = budget.bytes().saturating_sub(text.len() + structured.to_string().len());
    for part in rest {
        if part.len() <= room {
            room -= part.len();
            text.push_str(part);
        }
    }
    Answer::structured(text, structured)
}

/// How long a reason may be, tried in this order until all problems fit.
const WHY_CHARS: [usize; 4] = [CELL_CHARS, 160, 100, 60];
/// Of the line that names problems without their reasons: its other words.
const MORE_BYTES: usize = 60;

/// Problems as text and as record.
struct Told {
    text: String,
    record: Value,
}

impl Told {
    /// All with a reason for as long as the table has less than `bytes`, the record not counted.
    fn of(problems: &[Problem], chars: usize, bytes: usize) -> Self {
        let mut table = Table::new(["OBJECT", "WHY"]);
        let mut record = Vec::new();
        for problem in problems {
            let (object, why) = (problem.object(), shortened(&problem.why, chars));
            if !table.push_within(vec![object.clone(), why.clone()], bytes) {
                break;
            }
            record.push(json!({ "object": object, "why": why }));
        }
        let text = if problems.is_empty() { String::new() } else { table.render() };
        Self { text, record: json!({ "healthy": problems.is_empty(), "problems": record }) }
    }

    /// As many as fit with a short reason, the others by name alone, in about `bytes`.
    fn within(problems: &[Problem], bytes: usize) -> Self {
        let [.., chars] = WHY_CHARS;
        // The record says the problems again; a third of the room is for names.
        let mut told = Self::of(problems, chars, bytes / 3);
        let count = told.record["problems"].as_array().map_or(0, Vec::len);
        let (mut named, mut room) = (Vec::new(), bytes.saturating_sub(told.bytes() + MORE_BYTES));
        for object in problems[count..].iter().map(Problem::object) {
            let cost = 2 * object.len() + "\"\",, ".len();
            if cost > room {
                break;
            }
            room -= cost;
            named.push(object);
        }
        let left = problems.len() - count;
        let unnamed = match left - named.len() {
            0 => String::new(),
            unnamed => format!(" and {unnamed} not named"),
        };
        let names = named.join(", ");
        told.text.push_str(&format!("and {left} more, raise max_tokens for why: {names}{unnamed}\n"));
        told.record["left_out"] = json!(named);
        told
    }

    fn bytes(&self) -> usize {
        self.text.len() + self.record.to_string().len()
    }
}

#[cfg(test)]
mod tests {
    use super::{Budget, CoverageFigure, Problem, answer, coverage};
    use crate::answer::Rank;

    #[test]
    fn the_coverage_is_one_line_that_names_only_to_whom_may_see() {
        let mut figure = CoverageFigure {
            writes: 120,
            through_git: 110,
            in_sessions: 5,
            past: vec!["Deployment shop/web by ann".to_owned()],
        };
        assert_eq!(
            coverage(&figure, true),
            "\nGitOps coverage 24 h: 95 % of 120 writes, 5 in emergency sessions; 5 past Git: latest Deployment shop/web by ann\n"
        );
        assert!(!coverage(&figure, false).contains("shop"));
        figure = CoverageFigure { writes: 3, through_git: 3, ..CoverageFigure::default() };
        assert_eq!(coverage(&figure, true), "\nGitOps coverage 24 h: 100 % of 3 writes\n");
        assert_eq!(coverage(&CoverageFigure::default(), true), "");
    }

    fn problems(count: usize, why: usize) -> Vec<Problem> {
        (0..count)
            .map(|at| Problem::named(Rank::Broken, "Deployment", &format!("d{at:03}"), &"x".repeat(why)))
            .collect()
    }

    #[test]
    fn reasons_are_shortened_before_a_problem_is_left_out() {
        let answer = answer("head\n", &problems(4, 250), &[], Budget::of(Budget::LEAST));
        for at in 0..4 {
            assert!(answer.text.contains(&format!("Deployment shop/d00{at}  xxx")), "{}", answer.text);
        }
        assert!(!answer.text.contains("more"), "{}", answer.text);
    }

    #[test]
    fn problems_that_do_not_fit_are_named() {
        for count in [5, 12, 20, 40, 400] {
            for tokens in [400, 1_000] {
                let budget = Budget::of(tokens);
                let answer = answer("head\n", &problems(count, 250), &[], budget);
                let record = answer.structured.unwrap_or_default();
                assert!(answer.text.len() + record.to_string().len() <= budget.bytes(), "{}", answer.text);
                let listed = answer.text.matches("Deployment shop/d").count();
                let unnamed = count - listed;
                if unnamed > 0 {
                    assert!(answer.text.contains(&format!("and {unnamed} not named")), "{}", answer.text);
                    assert!(answer.text.contains("raise max_tokens"), "{}", answer.text);
                }
                assert!(listed >= count.min(8), "{count} {tokens}\n{}", answer.text);
            }
        }
    }
}
