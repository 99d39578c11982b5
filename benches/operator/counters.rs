//! What the operator counts and times itself, out of its `/metrics`.

use anyhow::ensure;

/// Steps of a reconcile as its metrics call them.
pub(crate) const STEPS: [&str; 4] = ["dereference", "apply", "status", "all"];

/// One reading.
pub(crate) struct Counters(String);

impl Counters {
    pub(crate) fn new(text: String) -> anyhow::Result<Self> {
        ensure!(
            text.contains("pilothouse_operator_step_seconds_bucket"),
            "the operator's metrics are missing"
        );
        Ok(Self(text))
    }

    /// Reconciles by how they ended.
    pub(crate) fn reconciles(&self, ending: &str) -> f64 {
        self.sum("pilothouse_operator_reconciles_total", &format!("ending=\"{ending}\""))
    }

    /// Reconciles that failed, by reason: those that occurred.
    pub(crate) fn errors(&self) -> Vec<String> {
        let all = self.samples("pilothouse_operator_errors_total", "reason=");
        let occurred = all.filter(|(_, count)| *count > 0.0);
        occurred
            .map(|(labels, count)| format!("{} {count}", labels.rsplit('"').nth(1).unwrap_or(labels)))
            .collect()
    }

    /// Milliseconds at `share` of a step, interpolated within its bucket as Prometheus does. Half a bucket is what it
    /// may be wrong by: bounds double.
    pub(crate) fn millis(&self, step: &str, share: f64) -> f64 {
        let label = format!("step=\"{step}\"");
        let buckets: Vec<(f64, f64)> = self
            .samples("pilothouse_operator_step_seconds_bucket", &label)
            .filter_map(|(labels, count)| {
                let bound = labels.split("le=\"").nth(1)?.split('"').next()?;
                Some((bound.parse().unwrap_or(f64::INFINITY), count))
            })
            .collect();
        let wanted = buckets.last().map_or(0.0, |(_, all)| all * share);
        let (mut from, mut below) = (0.0, 0.0);
        for (bound, count) in buckets {
            if count >= wanted {
                // What took longer than the last bound took at least that.
                let within = if bound.is_finite() && count > below {
                    from + (bound - from) * (wanted - below) / (count - below)
                } else {
                    from
                };
                return within * 1_000.0;
            }
            (from, below) = (bound, count);
        }
        from * 1_000.0
    }

    fn sum(&self, name: &str, label: &str) -> f64 {
        self.samples(name, label).map(|(_, value)| value).sum()
    }

    /// Labels and value of each sample of that name with that label; of MCPServers, where the kind is told.
    fn samples<'a>(&'a self, name: &'a str, label: &'a str) -> impl Iterator<Item = (&'a str, f64)> {
        self.0.lines().filter_map(move |line| {
            let (labels, value) = line.strip_prefix(name)?.strip_prefix('{')?.rsplit_once("} ")?;
            // An exemplar may follow the value.
            let value = value.split(' ').next()?.parse().ok()?;
            let is_of_servers = !labels.contains("kind=") || labels.contains("kind=\"MCPServer\"");
            (is_of_servers && labels.contains(label)).then_some((labels, value))
        })
    }
}
