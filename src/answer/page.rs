//! The best rows after a place: what keeps a list inside its budget and loses nothing.
//!
//! Rows have a total order: rank, then key. A page shows the first rows after a place; the next page begins
//! after the last one shown. As long as all pages see the same rows (one resourceVersion, one `now`), each row
//! is on exactly one page.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Budget, Place, Table};

/// Unhealthy first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Rank {
    Broken,
    Warning,
    /// Nothing is known of this object's health.
    Neutral,
    Healthy,
}

/// One row of a list; key and rank together are unique in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub rank: Rank,
    pub key: String,
    /// What healthy rows are counted by when they are folded, for example the namespace.
    pub group: String,
    pub cells: Vec<String>,
}

/// Takes all rows of a list, one by one, and keeps those that the page can show at most.
#[derive(Debug)]
pub struct Selection {
    after: Option<(Rank, String)>,
    limit: usize,
    kept: BTreeMap<(Rank, String), Row>,
    counts: BTreeMap<Rank, usize>,
    healthy_groups: BTreeMap<String, usize>,
    before: usize,
}

/// Up to this many healthy rows are listed at once; more are folded into counts on the first page.
const HEALTHY_LISTED: usize = 20;
/// No row is shorter: bounds how many can fit.
const LEAST_ROW_BYTES: usize = 12;
/// Nothing that is cut, or redacted, is shorter.
const LEAST_CELL_BYTES: usize = 16;
/// Folded rows are counted for this many groups by name.
const GROUPS_NAMED: usize = 12;

impl Selection {
    pub fn new(after: Option<&Place>, budget: Budget) -> Self {
        let after = match after {
            Some(Place::Row(rank, key)) => Some((*rank, key.clone())),
            Some(Place::Byte(_) | Place::Item(_) | Place::Lines(_)) | None => None,
        };
        Self {
            after,
            limit: budget.bytes() / LEAST_ROW_BYTES + 2,
            kept: BTreeMap::new(),
            counts: BTreeMap::new(),
            healthy_groups: BTreeMap::new(),
            before: 0,
        }
    }

    /// Whether a row of this place can still be on the page.
    fn wants(&self, rank: Rank, key: &str) -> bool {
        let place = (rank, key.to_owned());
        if self.after.as_ref().is_some_and(|after| place <= *after) {
            return false;
        }
        self.kept.len() < self.limit || self.kept.last_key_value().is_some_and(|(last, _)| place < *last)
    }

    pub fn offer(&mut self, row: Row) {
        *self.counts.entry(row.rank).or_default() += 1;
        if row.rank == Rank::Healthy {
            match self.healthy_groups.get_mut(&row.group) {
                Some(count) => *count += 1,
                None => drop(self.healthy_groups.insert(row.group.clone(), 1)),
            }
        }
        let place = (row.rank, row.key.clone());
        if self.after.as_ref().is_some_and(|after| place <= *after) {
            self.before += 1;
            return;
        }
        if self.wants(row.rank, &row.key) {
            self.kept.insert(place, row);
            if self.kept.len() > self.limit {
                self.kept.pop_last();
            }
        }
    }

    pub fn total(&self) -> usize {
        self.counts.values().sum()
    }

    pub fn count(&self, rank: Rank) -> usize {
        self.counts.get(&rank).copied().unwrap_or_default()
    }

    /// The rows that the page can show at most: for cells that are too dear to be read for every row. What
    /// `finish` does to a cell may leave no more of it than [`LEAST_CELL_BYTES`].
    pub fn showable(&mut self, budget: Budget) -> impl Iterator<Item = &mut Row> {
        let (fold, mut left) = (self.folds(), budget.bytes());
        let rows = self.kept.values_mut().filter(move |row| !(fold && row.rank == Rank::Healthy));
        rows.take_while(move |row| {
            let fits = left > 0;
            left = left.saturating_sub(row.cells.iter().map(|cell| cell.len().min(LEAST_CELL_BYTES)).sum());
            fits
        })
    }

    /// Whether healthy rows are only counted on this page.
    fn folds(&self) -> bool {
        self.after.is_none() && self.count(Rank::Healthy) > HEALTHY_LISTED
    }

    /// The page. Always has at least one row when one is left, whatever the budget. Cells are `finish`ed only
    /// for rows that are shown, which are few of all that were offered.
    pub fn page<'a>(
        self,
        columns: impl IntoIterator<Item = &'a str>,
        budget: Budget,
        finish: impl Fn(&str) -> String,
    ) -> Page {
        let total = self.total();
        let healthy = self.count(Rank::Healthy);
        let fold = self.folds();
        let left = total - self.before;
        let mut table = Table::new(columns);
        let mut last = None;
        for (place, row) in self.kept {
            if fold && place.0 == Rank::Healthy {
                break;
            }
            let cells = row.cells.iter().map(|cell| finish(cell)).collect();
            if !table.push_within(cells, budget.bytes()) {
                break;
            }
            last = Some(place);
        }
        let shown = table.len();
        let folded = fold && shown == left - healthy;
        let next = if folded {
            Some(Place::Row(Rank::Healthy, String::new()))
        } else if shown < left {
            last.map(|(rank, key)| Place::Row(rank, key))
        } else {
            None
        };
        let folded = folded.then(|| groups(healthy, &self.healthy_groups));
        Page { table: (shown > 0).then(|| table.render()), shown, before: self.before, total, folded, next }
    }
}

fn groups(healthy: usize, groups: &BTreeMap<String, usize>) -> String {
    if groups.len() == 1 && groups.contains_key("") {
        return healthy.to_string();
    }
    let mut by_count: Vec<_> = groups.iter().collect();
    by_count.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    let named: Vec<String> =
        by_count.iter().take(GROUPS_NAMED).map(|(group, count)| format!("{group} {count}")).collect();
    let rest = by_count.len().saturating_sub(GROUPS_NAMED);
    let rest = if rest == 0 { String::new() } else { format!(" and {rest} more") };
    format!("{healthy} ({}{rest})", named.join(", "))
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// With its heading; `None` without rows.
    pub table: Option<String>,
    pub shown: usize,
    /// Rows on earlier pages.
    pub before: usize,
    pub total: usize,
    /// Counts of the healthy rows that are left to the next page.
    pub folded: Option<String>,
    pub next: Option<Place>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use proptest::{collection::btree_set, prop_assert, prop_assert_eq, proptest};

    use super::{Budget, Rank, Row, Selection};

    fn row(rank: u8, name: &str) -> Row {
        let rank = [Rank::Broken, Rank::Warning, Rank::Neutral, Rank::Healthy][usize::from(rank)];
        Row { rank, key: name.into(), group: "shop".into(), cells: vec![name.into(), format!("{rank:?}")] }
    }

    proptest! {
        #[test]
        fn pages_together_hold_each_row_once(
            rows in btree_set((0_u8..4, "[a-z]{1,30}"), 0..300), tokens in 0_usize..1_500
        ) {
            let budget = Budget::of(tokens);
            let mut seen = Vec::new();
            let mut after = None;
            for _ in 0..=rows.len() + 1 {
                let mut selection = Selection::new(after.as_ref(), budget);
                rows.iter().for_each(|(rank, name)| selection.offer(row(*rank, name)));
                let page = selection.page(["NAME", "RANK"], budget, str::to_owned);
                let table = page.table.unwrap_or_default();
                prop_assert!(table.len() <= budget.bytes() || page.shown == 1);
                for line in table.lines().skip(1) {
                    let mut words = line.split_whitespace();
                    seen.push((words.next().unwrap().to_owned(), words.next().unwrap().to_owned()));
                }
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            prop_assert!(after.is_none());
            let distinct: BTreeSet<_> = seen.iter().cloned().collect();
            prop_assert_eq!(distinct.len(), seen.len());
            prop_assert_eq!(seen.len(), rows.len());
        }
    }

    #[test]
    fn many_healthy_rows_are_counted_first_and_listed_after() {
        let fill = |selection: &mut Selection| {
            (0..50).for_each(|at| selection.offer(row(3, &format!("fine{at:02}"))));
            selection.offer(row(0, "bad"));
        };
        let mut first = Selection::new(None, Budget::DEFAULT);
        fill(&mut first);
        let page = first.page(["NAME", "RANK"], Budget::DEFAULT, str::to_owned);
        assert_eq!((page.shown, page.total), (1, 51));
        assert_eq!(page.folded.as_deref(), Some("50 (shop 50)"));
        let mut second = Selection::new(page.next.as_ref(), Budget::DEFAULT);
        fill(&mut second);
        let page = second.page(["NAME", "RANK"], Budget::DEFAULT, str::to_owned);
        assert_eq!((page.shown, page.before, page.next), (50, 1, None));
    }
}
