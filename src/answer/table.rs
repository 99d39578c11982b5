//! Aligned columns, as people and models know them from kubectl.

/// A table that grows until it is full. The last column is not padded.
#[derive(Clone, Debug, Default)]
pub struct Table {
    widths: Vec<usize>,
    rows: Vec<Vec<String>>,
    last_column_bytes: usize,
}

const GAP: usize = 2;

impl Table {
    pub fn new<'a>(columns: impl IntoIterator<Item = &'a str>) -> Self {
        let mut table = Self::default();
        table.push(columns.into_iter().map(str::to_owned).collect());
        table
    }

    /// Adds a row; cells past the columns are dropped, missing ones are empty.
    pub fn push(&mut self, cells: Vec<String>) {
        let cells = self.fitted(cells);
        self.widths = self.widened(&cells);
        self.last_column_bytes += cells.last().map_or(0, String::len);
        self.rows.push(cells);
    }

    /// Adds a row unless the table would then have more than `bytes`. A first row is always added.
    pub fn push_within(&mut self, cells: Vec<String>, bytes: usize) -> bool {
        let cells = self.fitted(cells);
        let last = self.last_column_bytes + cells.last().map_or(0, String::len);
        let fits = size(&self.widened(&cells), self.rows.len() + 1, last) <= bytes || self.is_empty();
        if fits {
            self.push(cells);
        }
        fits
    }

    fn fitted(&self, cells: Vec<String>) -> Vec<String> {
        let mut cells: Vec<String> = cells.into_iter().map(|cell| one_line(&cell)).collect();
        if let Some(heading) = self.rows.first() {
            cells.resize(heading.len(), String::new());
        }
        cells
    }

    fn widened(&self, cells: &[String]) -> Vec<usize> {
        let known = self.widths.iter().copied().chain(std::iter::repeat(0));
        cells.iter().zip(known).map(|(cell, width)| width.max(cell.chars().count())).collect()
    }

    /// Rows without the heading.
    pub fn len(&self) -> usize {
        self.rows.len().saturating_sub(1)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// At most this many bytes come out of [`Self::render`] (for ASCII cells).
    pub fn bytes(&self) -> usize {
        size(&self.widths, self.rows.len(), self.last_column_bytes)
    }

    pub fn render(&self) -> String {
        let mut text = String::with_capacity(self.bytes());
        // Columns without any content below the heading say nothing.
        let used: Vec<bool> = (0..self.widths.len())
            .map(|at| self.rows.iter().skip(1).any(|row| !row[at].is_empty()) || self.is_empty())
            .collect();
        let last = used.iter().rposition(|used| *used);
        for row in &self.rows {
            let mut line = String::new();
            for (at, cell) in row.iter().enumerate().filter(|(at, _)| used[*at]) {
                let shown = if cell.is_empty() { "-" } else { cell };
                line.push_str(shown);
                if Some(at) != last {
                    let pad = self.widths[at].max(1) + GAP - shown.chars().count();
                    line.extend(std::iter::repeat_n(' ', pad));
                }
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

fn size(widths: &[usize], rows: usize, last_column_bytes: usize) -> usize {
    let padded: usize = widths.iter().rev().skip(1).map(|width| width.max(&1) + GAP).sum();
    rows * (padded + 2) + last_column_bytes
}

fn one_line(cell: &str) -> String {
    if cell.contains(['\n', '\r', '\t']) {
        cell.split_whitespace().collect::<Vec<_>>().join(" ")
    } else {
        cell.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::Table;

    #[test]
    fn columns_are_aligned_and_empty_ones_left_out() {
        let mut table = Table::new(["NAME", "NOTHING", "WHY"]);
        table.push(vec!["a-long-name".into(), String::new(), "two\nlines".into()]);
        table.push(vec!["b".into(), String::new(), String::new()]);
        assert_eq!(table.render(), "NAME         WHY\na-long-name  two lines\nb            -\n");
        assert!(table.render().len() <= table.bytes());
    }
}
