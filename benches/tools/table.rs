//! The numbers side by side; ratios are to ours.

use pilothouse::answer::Table;

use crate::measure::{Cost, Measured};

/// `bare` is the list of many pods by a client alone, in milliseconds.
pub(crate) fn table(rows: &[Measured], bare: f64) -> String {
    let names = rows.iter().map(|row| row.name);
    let mut table = Table::new(std::iter::once("").chain(names));
    let mut add = |what: &str, cell: &dyn Fn(&Measured) -> String| {
        table.push(std::iter::once(what.to_owned()).chain(rows.iter().map(cell)).collect());
    };
    let Some(ours) = rows.first() else { return String::new() };
    add("start to tools/list", &|row| ratio(row.start, ours.start));
    add("tools/list, tokens", &|row| row.tools.to_string());
    add("memory idle, MB", &|row| format!("{:.1}", row.idle));
    let mut both = |what: &str, of: fn(&Measured) -> Cost| {
        add(&format!("{what}, p50"), &|row| ratio(of(row).millis, of(ours).millis));
        add(&format!("{what}, tokens"), &|row| of(row).tokens.to_string());
    };
    both("get one pod", |row| row.get);
    both("list 250 pods", |row| row.few);
    both("list 5,000 pods", |row| row.many);
    both("logs", |row| row.log);
    add("peak memory, MB", &|row| format!("{:.1}", row.peak));
    let against = ours.many.millis / bare;
    format!("{}list 5,000 pods: {bare:.0} ms by a bare client, ours {against:.2} x that", table.render())
}

fn ratio(millis: f64, ours: f64) -> String {
    format!("{millis:.1} ms ({:.2} x)", millis / ours)
}
