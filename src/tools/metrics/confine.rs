//! A query that can only see one namespace. Pure.

use promql_parser::{
    label::{MatchOp, Matcher, Matchers},
    parser::{Expr, VectorSelector, parse},
};

/// What can be done with a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::tools) enum Confined {
    /// To be sent instead.
    Query(String),
    /// Our parser does not take it, with why; Prometheus may.
    NotParsed(String),
}

/// Deeper queries are nobody's, and walking them takes stack.
const DEEPEST: usize = 100;
/// Counted before parsing, as the parser is not ours to bound.
const LONGEST: usize = 10_000;

/// Functions that see their arguments and nothing else. Not `info()`, which finds series by itself, and nothing that
/// a later parser may come to know.
const FUNCTIONS: [&str; 84] = [
    "abs",
    "absent",
    "absent_over_time",
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atanh",
    "avg_over_time",
    "ceil",
    "changes",
    "clamp",
    "clamp_max",
    "clamp_min",
    "cos",
    "cosh",
    "count_over_time",
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "days_in_month",
    "deg",
    "delta",
    "deriv",
    "double_exponential_smoothing",
    "exp",
    "floor",
    "histogram_avg",
    "histogram_count",
    "histogram_fraction",
    "histogram_quantile",
    "histogram_stddev",
    "histogram_stdvar",
    "histogram_sum",
    "holt_winters",
    "hour",
    "idelta",
    "increase",
    "irate",
    "label_join",
    "label_replace",
    "last_over_time",
    "ln",
    "log10",
    "log2",
    "mad_over_time",
    "max_over_time",
    "min_over_time",
    "minute",
    "month",
    "pi",
    "predict_linear",
    "present_over_time",
    "quantile_over_time",
    "rad",
    "rate",
    "resets",
    "round",
    "scalar",
    "sgn",
    "sin",
    "sinh",
    "sort",
    "sort_by_label",
    "sort_by_label_desc",
    "sort_desc",
    "sqrt",
    "stddev_over_time",
    "stdvar_over_time",
    "sum_over_time",
    "tan",
    "tanh",
    "time",
    "timestamp",
    "ts_of_first_over_time",
    "ts_of_last_over_time",
    "ts_of_max_over_time",
    "ts_of_min_over_time",
    "vector",
    "year",
    "first_over_time",
    "histogram_quantiles",
    "count_values_over_time",
];

/// `query` with `label="namespace"` in each of its selectors.
pub(in crate::tools) fn confined(query: &str, label: &str, namespace: &str) -> Confined {
    confine(query, label, namespace).map_or_else(Confined::NotParsed, Confined::Query)
}

fn confine(query: &str, label: &str, namespace: &str) -> Result<String, String> {
    let nested = query.chars().filter(|c| "([{".contains(*c)).count();
    if query.len() > LONGEST || nested > DEEPEST {
        return Err("it is longer or deeper than can be confined".to_owned());
    }
    let mut tree = parse(query)?;
    let matcher = Matcher::new(MatchOp::Equal, label, namespace);
    each_selector(&mut tree, 0, &mut |selector| {
        let Matchers { matchers, or_matchers } = &mut selector.matchers;
        matchers.push(matcher.clone());
        or_matchers.iter_mut().for_each(|group| group.push(matcher.clone()));
        Ok(())
    })?;
    let printed = tree.to_string();
    // What is sent is the text: it must say what the tree says.
    let mut again = parse(&printed)?;
    let mut selectors = 0;
    each_selector(&mut again, 0, &mut |selector| {
        selectors += 1;
        let Matchers { matchers, or_matchers } = &selector.matchers;
        // Any group of alternatives would have to be confined by itself; nobody has shown that printing keeps that.
        if matchers.contains(&matcher) && or_matchers.is_empty() {
            Ok(())
        } else {
            Err("it has alternatives between matchers (`or`), which cannot be confined".to_owned())
        }
    })?;
    let mut before = 0;
    each_selector(&mut tree, 0, &mut |_| {
        before += 1;
        Ok(())
    })?;
    if before == selectors && same(&tree, &again) {
        Ok(printed)
    } else {
        Err("it cannot be written down again as it was".to_owned())
    }
}

/// The parser forgets how numbers and durations were written, so that texts are compared after one more round.
fn same(tree: &Expr, again: &Expr) -> bool {
    tree.to_string() == again.to_string()
}

/// All of them, those in parameters of aggregations too, which the crate's own walk leaves out.
fn each_selector(
    tree: &mut Expr,
    depth: usize,
    change: &mut impl FnMut(&mut VectorSelector) -> Result<(), String>,
) -> Result<(), String> {
    if depth > 2 * DEEPEST {
        return Err("it is deeper than can be confined".to_owned());
    }
    let depth = depth + 1;
    match tree {
        Expr::VectorSelector(selector) => change(selector),
        Expr::MatrixSelector(matrix) => change(&mut matrix.vs),
        Expr::Aggregate(aggregate) => {
            if let Some(parameter) = &mut aggregate.param {
                each_selector(parameter, depth, change)?;
            }
            each_selector(&mut aggregate.expr, depth, change)
        }
        Expr::Unary(unary) => each_selector(&mut unary.expr, depth, change),
        Expr::Binary(binary) => {
            each_selector(&mut binary.lhs, depth, change)?;
            each_selector(&mut binary.rhs, depth, change)
        }
        Expr::Paren(paren) => each_selector(&mut paren.expr, depth, change),
        Expr::Subquery(subquery) => each_selector(&mut subquery.expr, depth, change),
        Expr::Call(call) if !FUNCTIONS.contains(&call.func.name) => {
            Err(format!("{}() may read more than its arguments", call.func.name))
        }
        Expr::Call(call) => {
            call.args.args.iter_mut().try_for_each(|argument| each_selector(argument, depth, change))
        }
        Expr::NumberLiteral(_) | Expr::StringLiteral(_) => Ok(()),
        Expr::Extension(_) => Err("it holds something that is not PromQL".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Confined, confined};

    fn query(text: &str) -> String {
        match confined(text, "namespace", "shop") {
            Confined::Query(query) => query,
            Confined::NotParsed(why) => panic!("{text}: {why}"),
        }
    }

    #[test]
    fn every_selector_is_confined() {
        for (text, selectors) in [
            ("up", 1),
            ("{__name__=~\".+\"}", 1),
            ("up{namespace=\"other\"}", 1),
            ("up{namespace=~\"a|b\"} or up", 2),
            ("sum by (pod) (rate(http_requests_total{code=\"500\"}[5m] offset 1h)) / on (pod) up", 2),
            ("max_over_time(sum(up)[1h:5m])", 1),
            // The parameter of an aggregation is a query too.
            ("topk(scalar(count(secret_metric)), up)", 2),
            ("quantile(scalar(secret_metric), up)", 2),
            ("label_replace(up, \"a\", \"$1\", \"b\", \"(.*)\")", 1),
            ("-up @ 1700000000", 1),
            ("absent(up) unless (up > bool 1)", 2),
            ("histogram_quantile(0.9, sum by (le) (rate(x_bucket[5m])))", 1),
            ("count_values(\"version\", build_info)", 1),
        ] {
            let confined = query(text);
            assert_eq!(confined.matches("namespace=\"shop\"").count(), selectors, "{confined}");
        }
        assert_eq!(query("vector(1)"), "vector(1)");
        assert!(query("up{namespace=\"other\"}").contains("namespace=\"other\""));
    }

    #[test]
    fn what_is_not_understood_is_not_confined() {
        for text in ["up{", "info(up)", "rate(", "{a=\"1\" or b=\"2\"}", "sum by", "", &"(".repeat(5_000)] {
            assert!(matches!(confined(text, "namespace", "shop"), Confined::NotParsed(_)), "{text}");
        }
    }

    #[test]
    fn a_value_cannot_break_out_of_its_quotes() {
        let Confined::Query(query) = confined("up", "namespace", "a\"} or secret{b=\"") else {
            panic!("is confined")
        };
        assert_eq!(query, "up{namespace=\"a\\\"} or secret{b=\\\"\"}");
    }
}
