//! The numbers, and beside them what must hold.

use pilothouse::answer::Table;

use crate::{
    bars::{self, Bars},
    counters::STEPS,
    many::Many,
    real::{Operated, Real},
    record::counted,
};

pub(crate) fn real(real: &Real) -> String {
    let Real { ours, peer, converged, rolled } = real;
    let mut table = Table::new(["one real server", "pilothouse", "ToolHive"]);
    let mut add = |what: &str, cell: &dyn Fn(&Operated) -> String| {
        let theirs = peer.as_ref().map_or_else(|| "not measured".to_owned(), cell);
        table.push(vec![what.to_owned(), cell(ours), theirs]);
    };
    let against = |value: f64, of: fn(&Operated) -> f64| value / of(ours);
    let seconds = |of: fn(&Operated) -> (f64, f64)| {
        move |one: &Operated| {
            let (middle, worst) = of(one);
            format!("{middle:.2} s ({:.1} x), worst {worst:.2} s", middle / of(ours).0)
        }
    };
    add("apply to a pod running", &seconds(|one| one.running));
    add("apply to phase Ready", &seconds(|one| one.ready));
    add("pods", &|one| one.pods.to_string());
    add("memory of the operator, MB", &|one| {
        format!("{:.1} ({:.1} x), peak {:.1}", one.memory, against(one.memory, |ours| ours.memory), one.peak)
    });
    format!(
        "{}a change: in place after {converged:.2} s at most, rolled out after {rolled:.2} s\n",
        table.render()
    )
}

pub(crate) fn many(many: &Many) -> String {
    let Many { servers, changes, quiet, counters, memory, .. } = many;
    let mut table = Table::new(["what", "measured"]);
    let mut add = |what: &str, measured: String| table.push(vec![what.to_owned(), measured]);
    add("servers", servers.to_string());
    add("first apply to the last accepted", format!("{:.1} s", many.applied));
    add("first apply to all in place (ours)", format!("{:.1} s", many.in_place));
    add("one of them, apply to in place", format!("p50 {:.1} s, p99 {:.1} s", many.one.0, many.one.1));
    add("first apply to all Available (the cluster's controllers)", format!("{:.1} s", many.available));
    for step in STEPS {
        let (middle, high) = (counters.millis(step, 0.5), counters.millis(step, 0.99));
        add(&format!("reconcile, {step}"), format!("p50 {middle:.1} ms, p99 {high:.1} ms"));
    }
    add("processor time of a reconcile", format!("{:.2} ms", many.processor));
    add("reconciles that succeeded", format!("{:.2} %", bars::succeeded(counters) * 100.0));
    add("of those that did not", counters.errors().join(", "));
    add("memory before", format!("{:.1} MB", memory.before));
    add("memory peak", format!("{:.1} MB", memory.peak));
    add("memory after", format!("{:.1} MB, {:.1} MB of it data", memory.after, memory.after_data));
    add("requests for an object", format!("{:.1}", each(bars::answered(&many.requests), *servers)));
    add(&format!("writes in {} s of nothing", quiet.as_secs()), bars::written(&many.while_quiet).to_string());
    let written = many.while_quiet.iter().filter(|request| request.writes());
    for (what, count) in counted(written) {
        add(&format!("  {what}"), count.to_string());
    }
    add("reads in it", bars::answered(&many.while_quiet).to_string());
    add("requests for a change", format!("{:.1}", each(bars::answered(&many.for_changes), *changes)));
    add("a change in place", format!("p50 {:.2} s, worst {:.2} s", many.converged.0, many.converged.1));
    let mut text = table.render();
    for (what, requests, of) in
        [("an object", &many.requests, *servers), ("a change", &many.for_changes, *changes)]
    {
        let mut table = Table::new(["requests for", what]);
        for (request, count) in counted(requests.iter()) {
            table.push(vec![request, format!("{:.2}", each(count, of))]);
        }
        text.push('\n');
        text.push_str(&table.render());
    }
    text
}

#[allow(clippy::cast_precision_loss)]
fn each(count: usize, of: usize) -> f64 {
    count as f64 / of.max(1) as f64
}

pub(crate) fn bars(bars: &Bars) -> String {
    let mut table = Table::new(["bar", "measured", "holds"]);
    for (what, measured, holds) in bars.all() {
        table.push(vec![what.clone(), measured.clone(), if *holds { "yes" } else { "NO" }.to_owned()]);
    }
    table.render()
}
