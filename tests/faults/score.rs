//! How well a diagnosis of the cases is: what must be named is, nothing else is, and at what cost.

use std::{fmt::Write as _, time::Duration};

use pilothouse::answer::{Answer, Budget};
use serde_json::Value;

use super::case::Case;

/// Named causes that are right, of all that are named.
const PRECISION: f64 = 0.95;
/// Of the middle answer, text and record together.
const TOKENS: usize = 1_500;

/// What was answered about one case, judged.
#[derive(Debug)]
pub(crate) struct Verdict {
    name: String,
    is_broken: bool,
    /// The root cause that must be named.
    wanted: String,
    found: bool,
    /// `Cause Kind/name`, the expected ones and the others.
    right: Vec<String>,
    wrong: Vec<String>,
    tokens: usize,
    took: Duration,
}

impl Verdict {
    pub(crate) fn of(case: &Case, answer: &Answer, took: Duration) -> Self {
        assert!(!answer.is_error, "{}: {}", case.name, answer.text);
        let record = answer.structured.as_ref().unwrap_or(&Value::Null);
        let expected = &case.head.expect;
        let named = named(record);
        let is = |at: usize, (cause, object): &(String, String)| {
            expected[at].cause.has(cause) && expected[at].object.has(object)
        };
        let (right, wrong): (Vec<_>, Vec<_>) =
            named.iter().partition(|told| (0..expected.len()).any(|at| is(at, told)));
        let words = |told: Vec<&(String, String)>| {
            told.into_iter().map(|(cause, object)| format!("{cause} {object}")).collect()
        };
        let structured = answer.structured.as_ref().map(Value::to_string).unwrap_or_default();
        Self {
            name: case.name.clone(),
            is_broken: case.is_broken,
            wanted: expected
                .first()
                .map(|first| format!("{} {}", first.cause.first(), first.object.first()))
                .unwrap_or_default(),
            found: !case.is_broken || named.iter().any(|told| is(0, told)),
            right: words(right),
            wrong: words(wrong),
            tokens: Budget::estimate(&answer.text) + Budget::estimate(&structured),
            took,
        }
    }

    fn is_well(&self) -> bool {
        self.found && self.wrong.is_empty()
    }
}

/// What an answer names as root causes, hints left out: cause and `Kind/name`.
fn named(record: &Value) -> Vec<(String, String)> {
    let findings = record["findings"].as_array().map(Vec::as_slice).unwrap_or_default();
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let of = |finding: &Value| {
        let object = &finding["object"];
        (word(&finding["cause"]), format!("{}/{}", word(&object["kind"]), word(&object["name"])))
    };
    findings.iter().filter(|finding| finding["severity"] != "hint").map(of).collect()
}

/// All verdicts together.
pub(crate) struct Score {
    verdicts: Vec<Verdict>,
    /// How long listing the pods of a case's namespace took, the middle one.
    listing: Option<Duration>,
}

impl Score {
    pub(crate) fn new(verdicts: Vec<Verdict>, listings: &[Duration]) -> Self {
        Self { verdicts, listing: middle(listings.to_vec()) }
    }

    fn recall(&self) -> f64 {
        let broken = self.verdicts.iter().filter(|verdict| verdict.is_broken);
        let (all, found) =
            broken.fold((0, 0), |(all, found), verdict| (all + 1, found + usize::from(verdict.found)));
        share(found, all)
    }

    fn precision(&self) -> f64 {
        let broken = self.verdicts.iter().filter(|verdict| verdict.is_broken);
        let (right, wrong) = broken.fold((0, 0), |(right, wrong), verdict| {
            (right + verdict.right.len(), wrong + verdict.wrong.len())
        });
        share(right, right + wrong)
    }

    fn false_alarms(&self) -> usize {
        self.verdicts.iter().filter(|verdict| !verdict.is_broken && !verdict.wrong.is_empty()).count()
    }

    fn tokens(&self) -> usize {
        middle(self.verdicts.iter().map(|verdict| verdict.tokens).collect()).unwrap_or_default()
    }

    /// Everything that is not as it should be, one line a case; empty when the bar is held.
    pub(crate) fn misses(&self) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for verdict in self.verdicts.iter().filter(|verdict| !verdict.is_well()) {
            let Verdict { name, is_broken, wanted, found, right, wrong, tokens: _, took: _ } = verdict;
            let wanted = match (is_broken, found) {
                (true, true) => format!("{wanted} is named"),
                (true, false) => format!("{wanted} is NOT named"),
                (false, _) => "nothing is wrong".to_owned(),
            };
            lines.push(format!("{name}: {wanted}; right: {}; wrong: {}", list(right), list(wrong)));
        }
        lines
    }

    /// Whether the bar is held.
    pub(crate) fn holds(&self) -> bool {
        self.recall() >= 1.0
            && self.precision() >= PRECISION
            && self.false_alarms() == 0
            && self.tokens() <= TOKENS
    }

    /// Totals first, then a line a case; a Markdown table whose columns are aligned. Without `times`, nothing in it
    /// changes from run to run.
    pub(crate) fn table(&self) -> String {
        let well = |is_broken: bool| self.verdicts.iter().filter(move |one| one.is_broken == is_broken);
        let took = middle(self.verdicts.iter().map(|verdict| verdict.took).collect()).unwrap_or_default();
        let mut rows = vec![
            ["".to_owned(), "bar".to_owned(), "reached".to_owned()],
            [
                format!("recall, {} faults", well(true).count()),
                "1.00".to_owned(),
                format!("{:.2}", self.recall()),
            ],
            ["precision".to_owned(), format!(">= {PRECISION}"), format!("{:.2}", self.precision())],
            [
                format!("false alarms, {} look-alikes", well(false).count()),
                "0".to_owned(),
                self.false_alarms().to_string(),
            ],
            ["tokens of the middle answer".to_owned(), format!("<= {TOKENS}"), self.tokens().to_string()],
            [
                "tokens of the largest answer".to_owned(),
                String::new(),
                self.verdicts.iter().map(|verdict| verdict.tokens).max().unwrap_or_default().to_string(),
            ],
            ["time of the middle answer".to_owned(), String::new(), format!("{} ms", took.as_millis())],
        ];
        if let Some(listing) = self.listing {
            let ratio = took.as_secs_f64() / listing.as_secs_f64().max(0.000_001);
            let text = format!("{ratio:.1}");
            rows.push([
                "the same, as a multiple of listing the namespace's pods".to_owned(),
                String::new(),
                text,
            ]);
        }
        let mut text = markdown(&rows);
        text.push('\n');
        let mut rows = vec![["case", "verdict", "named as root causes", "tokens", "ms"].map(str::to_owned)];
        for verdict in &self.verdicts {
            let Verdict { name, is_broken, wanted: _, found, right, wrong, tokens, took } = verdict;
            let judged = match (is_broken, found, wrong.is_empty()) {
                (true, true, true) => "found",
                (true, true, false) => "found, and more",
                (true, false, _) => "MISSED",
                (false, _, true) => "silent",
                (false, _, false) => "FALSE ALARM",
            };
            let mut named = right.clone();
            named.extend(wrong.iter().map(|wrong| format!("**{wrong}**")));
            rows.push([
                name.clone(),
                judged.to_owned(),
                named.join(", "),
                tokens.to_string(),
                took.as_millis().to_string(),
            ]);
        }
        text.push_str(&markdown(&rows));
        text
    }
}

/// The first row is the heading.
fn markdown<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> String {
    let mut widths = [3; COLUMNS];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for (at, row) in rows.iter().enumerate() {
        for (width, cell) in widths.iter().zip(row) {
            let _ = write!(text, "| {cell:width$} ");
        }
        text.push_str("|\n");
        if at == 0 {
            widths.iter().for_each(|width| text.push_str(&format!("|{}", "-".repeat(width + 2))));
            text.push_str("|\n");
        }
    }
    text
}

fn list(words: &[String]) -> String {
    if words.is_empty() { "nothing".to_owned() } else { words.join(", ") }
}

fn share(part: usize, whole: usize) -> f64 {
    let number = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    if whole == 0 { 1.0 } else { number(part) / number(whole) }
}

fn middle<T: Ord + Copy>(mut values: Vec<T>) -> Option<T> {
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}
