//! Series as a small table. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::{Series, spark::spark};
use crate::{
    answer::{Budget, Table, counted},
    tools::list_resources::shortened,
};

/// With more differing labels than this, they are one column.
const COLUMNS: usize = 6;
const CELL_CHARS: usize = 80;

/// Labels that are equal in all series, and the names of the others.
fn split(series: &[Series]) -> (BTreeMap<String, String>, Vec<String>) {
    let mut names: BTreeSet<&str> = BTreeSet::new();
    series.iter().for_each(|one| names.extend(one.labels.keys().map(String::as_str)));
    let Some(first) = series.first() else { return (BTreeMap::new(), Vec::new()) };
    let (mut equal, mut differing) = (BTreeMap::new(), Vec::new());
    for name in names {
        match first
            .labels
            .get(name)
            .filter(|value| series.iter().all(|one| one.labels.get(name) == Some(*value)))
        {
            // The query names the metric already.
            Some(_) if name == "__name__" => {}
            Some(value) => drop(equal.insert(name.to_owned(), value.clone())),
            None => differing.push(name.to_owned()),
        }
    }
    (equal, differing)
}

fn label_text(labels: &BTreeMap<String, String>) -> String {
    let pairs: Vec<String> =
        labels.iter().map(|(name, value)| format!("{name}={:?}", shortened(value, CELL_CHARS))).collect();
    pairs.join(", ")
}

fn cells(series: &Series, differing: &[String]) -> Vec<String> {
    if differing.len() <= COLUMNS {
        let cell = |name: &String| {
            series.labels.get(name).map_or_else(String::new, |value| shortened(value, CELL_CHARS))
        };
        return differing.iter().map(cell).collect();
    }
    let own = series.labels.iter().filter(|(name, _)| differing.contains(name));
    vec![label_text(&own.map(|(name, value)| (name.clone(), value.clone())).collect())]
}

/// `values` are the headings of what [`row`] gives for a series.
fn table(
    mut series: Vec<Series>,
    keep_order: bool,
    values: &[&str],
    budget: Budget,
    row: impl Fn(&Series) -> Vec<String>,
) -> String {
    if !keep_order {
        // The greatest last value first: what a reader looks for. NaN last.
        let last = |one: &Series| one.points.last().map_or(f64::NEG_INFINITY, |(_, value)| nan_low(*value));
        series.sort_by(|a, b| last(b).total_cmp(&last(a)).then_with(|| a.labels.cmp(&b.labels)));
    }
    let total = series.len();
    let (equal, differing) = split(&series);
    let mut text = String::new();
    if !equal.is_empty() {
        text.push_str(&format!("in all: {}\n", label_text(&equal)));
    }
    let headings: Vec<&str> = if differing.len() > COLUMNS {
        vec!["LABELS"]
    } else {
        differing.iter().map(String::as_str).collect()
    };
    let mut table = Table::new(headings.into_iter().chain(values.iter().copied()));
    let room = budget.after(&text).without(FOOTER_TOKENS).bytes();
    for one in &series {
        let mut line = cells(one, &differing);
        line.extend(row(one));
        if !table.push_within(line, room) {
            break;
        }
    }
    if table.is_empty() {
        return "No series: nothing matches at that time. Check the metric's name and its labels, for example with \
                count by (__name__) ({__name__=~\".*part.*\"}).\n"
            .to_owned();
    }
    text.push_str(&table.render());
    text.push_str(&selection_note(table.len(), total));
    text
}

const FOOTER_TOKENS: usize = 80;

fn nan_low(value: f64) -> f64 {
    if value.is_nan() { f64::NEG_INFINITY } else { value }
}

/// How many of the series are shown, and how to see the others.
fn selection_note(shown: usize, total: usize) -> String {
    let series = if total == 1 { "1 series".to_owned() } else { format!("{total} series") };
    if shown < total {
        format!(
            "{series}, {shown} shown: aggregate (sum by (...)), narrow the labels, take topk(20, ...), or raise max_tokens\n"
        )
    } else {
        format!("{series}\n")
    }
}

/// Values of one moment.
pub(in crate::tools) fn instant(series: Vec<Series>, keep_order: bool, budget: Budget) -> String {
    table(series, keep_order, &["VALUE"], budget, |one| {
        vec![one.points.last().map_or_else(String::new, |(_, value)| number(*value))]
    })
}

/// Values over time: a line of blocks each.
pub(in crate::tools) fn range(
    series: Vec<Series>,
    keep_order: bool,
    (from, step, steps): (i64, i64, usize),
    budget: Budget,
) -> String {
    let text = table(series, keep_order, &["OVER TIME", "MIN", "MAX", "LAST"], budget, |one| {
        let finite = || one.points.iter().map(|(_, value)| *value).filter(|value| value.is_finite());
        let least = finite().fold(f64::INFINITY, f64::min);
        let most = finite().fold(f64::NEG_INFINITY, f64::max);
        let last = one.points.last().map_or(f64::NAN, |(_, value)| *value);
        let line = spark(&one.points, from as f64, step as f64, steps);
        vec![line, number(least), number(most), number(last)]
    });
    format!("{} from old to new, each line scaled to its own min and max\n{text}", counted(steps, "step"))
}

/// Six significant digits: enough to compare by, few to read.
fn number(value: f64) -> String {
    if !value.is_finite() {
        return match value {
            _ if value.is_nan() => "NaN",
            _ if value > 0.0 => "+Inf",
            _ => "-Inf",
        }
        .to_owned();
    }
    let size = value.abs();
    if value == value.trunc() && size < 1e15 {
        return format!("{value:.0}");
    }
    if !(1e-4..1e15).contains(&size) {
        return format!("{value:.3e}");
    }
    let digits = (5 - size.log10().floor() as i32).clamp(0, 9) as usize;
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::{Budget, Series, instant, number, range};

    fn series(pod: &str, values: &[f64]) -> Series {
        let labels = [("__name__", "up"), ("job", "web"), ("pod", pod)];
        Series {
            labels: labels.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            points: values.iter().enumerate().map(|(at, value)| (60.0 * at as f64, *value)).collect(),
        }
    }

    #[test]
    fn what_is_equal_is_said_once_and_the_greatest_comes_first() {
        let text = instant(
            vec![series("a", &[1.0]), series("b", &[2.5]), series("c", &[f64::NAN])],
            false,
            Budget::DEFAULT,
        );
        assert_eq!(text, "in all: job=\"web\"\npod  VALUE\nb    2.5\na    1\nc    NaN\n3 series\n");
        let kept = instant(vec![series("a", &[1.0]), series("b", &[2.5])], true, Budget::DEFAULT);
        assert!(kept.find("a ") < kept.find("b "), "{kept}");
        assert!(instant(Vec::new(), false, Budget::DEFAULT).starts_with("No series"));
        let plain =
            instant(vec![Series { points: vec![(0.0, 7.0)], ..Series::default() }], false, Budget::DEFAULT);
        assert_eq!(plain, "VALUE\n7\n1 series\n");
    }

    #[test]
    fn time_is_a_line_of_blocks() {
        let text = range(vec![series("a", &[1.0, 4.0, 2.0])], false, (0, 60, 3), Budget::DEFAULT);
        assert!(text.contains("▁█▃"), "{text}");
        assert!(text.contains("1    4    2"), "{text}");
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let many = (0..500).map(|at| series(&format!("pod-{at}"), &[f64::from(at)])).collect();
        let text = instant(many, false, Budget::of(600));
        assert!(text.len() <= Budget::of(600).bytes(), "{}", text.len());
        assert!(text.contains("500 series, ") && text.contains("topk(20, ...)"), "{text}");
        assert!(text.contains("pod-499"), "{text}");
    }

    #[test]
    fn numbers_are_short() {
        let shown = [0.1 + 0.2, 1_503_238_553.0, 0.000_012_34, 123.456_789, 1e18, f64::INFINITY].map(number);
        assert_eq!(shown, ["0.3", "1503238553", "1.234e-5", "123.457", "1.000e18", "+Inf"]);
    }
}
