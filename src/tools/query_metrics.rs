//! PromQL, answered as a small table; over a range, as lines of blocks.

use futures::future::BoxFuture;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{
    Tool, answered,
    arguments::{self, Parsed},
    definition::{Definition, Effect, max_tokens, text},
    metrics::{self, Confined, MetricsDesk, Reach, confined, told},
    window::Window,
};
use crate::{
    answer::{Answer, Budget},
    caller::{Caller, Need},
    redact,
};

pub(super) struct QueryMetrics(pub(super) MetricsDesk);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    query: String,
    namespace: Option<String>,
    range: Option<Window>,
    step: Option<Window>,
    at: Option<String>,
    max_tokens: Option<usize>,
}

/// Blocks of one line.
const STEPS: i64 = 40;
/// With a step of the caller's own.
const MOST_STEPS: i64 = 120;
const LEAST_STEP_SECONDS: i64 = 15;

impl Tool for QueryMetrics {
    fn definition(&self) -> Value {
        Definition {
            name: "query_metrics",
            title: "Query metrics",
            description: "Use this to ask Prometheus with PromQL: the values now, or with `range` their course as one line of blocks a series with min, max and last. With `namespace`, only series of that namespace are seen; callers who may not list pods everywhere must give it. Equal labels stand above the table, the greatest value first.",
            properties: json!({
                "query": text("PromQL, for example sum by (pod) (rate(container_cpu_usage_seconds_total[5m]))"),
                "namespace": text("confines every selector to this namespace"),
                "range": text("course over this long: 1h, 6h, 2d; a single moment if absent"),
                "step": text("between two values of a course: 5m"),
                "at": text("moment, or end of the range, as 2026-01-31T12:00:00Z; now if absent"),
                "max_tokens": max_tokens(),
            }),
            required: &["query"],
            effect: Effect::ReadsOutside,
            output: None,
        }
        .into_value()
    }

    fn needs(&self) -> &'static [Need] {
        metrics::NEEDS
    }

    fn call<'a>(&'a self, caller: &'a Caller, arguments: Option<&'a RawValue>) -> BoxFuture<'a, Answer> {
        answered(self.query(caller, arguments))
    }
}

/// A course: its beginning, end and step in Unix seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Course {
    from: i64,
    to: i64,
    step: i64,
}

impl Course {
    /// # Errors
    /// A sentence when the steps would be too many.
    fn of(range: &Window, step: Option<&Window>, end: i64) -> Result<Self, String> {
        let step = match step {
            Some(step) if range.seconds / step.seconds > MOST_STEPS => {
                return Err(format!(
                    "a range of {} in steps of {} is more than {MOST_STEPS} steps: take a longer step, or leave it out",
                    range.text(),
                    step.text()
                ));
            }
            Some(step) => step.seconds,
            None => (range.seconds / STEPS).max(LEAST_STEP_SECONDS),
        };
        // On multiples of the step, so that two calls one after the other see the same values.
        let to = end - end.rem_euclid(step);
        Ok(Self { from: to - range.seconds / step * step, to, step })
    }

    fn steps(self) -> usize {
        usize::try_from((self.to - self.from) / self.step + 1).unwrap_or(1)
    }
}

impl QueryMetrics {
    async fn query(&self, caller: &Caller, raw: Option<&RawValue>) -> Result<Answer, Answer> {
        let Parsed { arguments, request: _ } = arguments::parse(&self.definition(), raw)?;
        let Arguments { query, namespace, range, step, at, max_tokens } = arguments;
        let budget = max_tokens.map_or(self.0.desk.budget, Budget::of);
        let at = match at {
            None => Timestamp::now(),
            Some(at) => at.parse().map_err(|_| {
                Answer::error(format!(
                    "`at` must be a time like 2026-01-31T12:00:00Z, got `{}`",
                    redact::shown(&at)
                ))
            })?,
        };
        if step.is_some() && range.is_none() {
            return Err(Answer::error("`step` is for a `range`: give both, or neither"));
        }
        let course = range.as_ref().map(|range| Course::of(range, step.as_ref(), at.as_second()));
        let course = course.transpose().map_err(Answer::error)?;
        let sent = self.allowed(caller, &query, namespace.as_deref()).await?;
        // Prometheus' own order has been asked for.
        let keep_order = ["sort", "bottomk"].iter().any(|word| query.contains(word));
        let confined_to =
            if sent == query { String::new() } else { format!("asked: {}\n", redact::shown(&sent)) };
        let (head, body) = match course {
            None => {
                let series = self.0.metrics.instant(&sent, at).await.map_err(told)?;
                let head = format!("{confined_to}at {at:.0}\n");
                let room = budget.after(&head);
                (head, metrics::instant(series, keep_order, room))
            }
            Some(course) => {
                let Course { from, to, step } = course;
                let moment = |seconds: i64| Timestamp::from_second(seconds).unwrap_or(at);
                let (first, last) = (moment(from), moment(to));
                let series = self.0.metrics.range(&sent, first, last, step).await.map_err(told)?;
                let head = format!("{confined_to}{first:.0} to {last:.0}, every {step}s\n");
                let room = budget.after(&head);
                (head, metrics::range(series, keep_order, (from, step, course.steps()), room))
            }
        };
        Ok(Answer::text(format!("{head}{body}")))
    }

    /// The query that this caller may have answered: as it is, or confined to one namespace.
    async fn allowed(&self, caller: &Caller, query: &str, namespace: Option<&str>) -> Result<String, Answer> {
        let reach = Reach::of(&self.0.desk, caller).await?;
        let Some(namespace) = namespace else {
            return match reach {
                Reach::Cluster => Ok(query.to_owned()),
                Reach::Namespaces => Err(Answer::error(
                    "you may not list the pods of all namespaces, so a query must be about one: give `namespace`",
                )),
            };
        };
        reach.namespace(&self.0.desk, namespace).await?;
        match confined(query, self.0.metrics.namespace_label(), namespace) {
            Confined::Query(query) => Ok(query),
            Confined::NotParsed(why) => {
                self.0.metrics.check(query).await.map_err(told)?;
                let why = redact::shown(why.lines().next().unwrap_or_default());
                Err(Answer::error(format!(
                    "this query cannot be confined to namespace {namespace} ({why}): write it with plain selectors and functions"
                )))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Course, Window};

    #[test]
    fn a_course_lies_on_its_steps() {
        let window = |text: &str| Window::parse(text).ok();
        let course = |range: &str, step: Option<&str>| {
            let step = step.and_then(window);
            window(range).map(|range| Course::of(&range, step.as_ref(), 1_000_007))
        };
        let Some(Ok(hour)) = course("1h", None) else { panic!("an hour") };
        assert_eq!((hour.step, hour.to % 90, hour.steps()), (90, 0, 41));
        let Some(Ok(minute)) = course("1m", None) else { panic!("a minute") };
        assert_eq!((minute.step, minute.steps()), (15, 5));
        let Some(Err(sentence)) = course("2d", Some("1m")) else { panic!("too many") };
        assert!(sentence.contains("more than 120 steps"), "{sentence}");
    }
}
