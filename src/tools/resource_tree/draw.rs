//! A tree as indented text that fits. Pure.

use super::{grow::Node, thing::Relation};
use crate::{answer::Rank, tools::list_resources::shortened};

/// How many healthy siblings of one kind are named, tried in this order until all fits.
const NAMED: [usize; 3] = [3, 1, 0];
const WHY_CHARS: usize = 200;

/// In at most about `bytes`; what is left out is counted.
pub(super) fn draw(tree: &Node, bytes: usize) -> String {
    let drawn = |named: usize| {
        let mut lines = Vec::new();
        lines_of(tree, 0, named, &mut lines);
        lines
    };
    let size = |lines: &[String]| lines.iter().map(|line| line.len() + 1).sum::<usize>();
    let mut lines =
        NAMED.into_iter().map(drawn).find(|lines| size(lines) <= bytes).unwrap_or_else(|| drawn(0));
    let mut left_out = 0;
    // Room for the line that says so.
    while size(&lines) > bytes.saturating_sub(80) && lines.len() > 1 && (left_out > 0 || size(&lines) > bytes)
    {
        lines.pop();
        left_out += 1;
    }
    if left_out > 0 {
        lines.push(format!("{left_out} more lines: raise max_tokens, or ask for an object below"));
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn lines_of(node: &Node, depth: usize, named: usize, lines: &mut Vec<String>) {
    lines.push(format!("{}{}", "  ".repeat(depth), line(node)));
    let mut below: Vec<&Node> = node.below.iter().collect();
    below.sort_by_key(|node| {
        (node.worst().min(Rank::Neutral), !node.holds_asked(), node.relation, &node.kind, &node.name)
    });
    let mut folded: Vec<(Relation, &str, usize)> = Vec::new();
    let mut shown: Vec<(Relation, &str, usize)> = Vec::new();
    for node in below {
        if node.worst() >= Rank::Neutral && !node.holds_asked() && can_fold(node) {
            let count = entry(&mut shown, node);
            if *count >= named {
                *entry(&mut folded, node) += 1;
                continue;
            }
            *count += 1;
        }
        lines_of(node, depth + 1, named, lines);
    }
    for (relation, kind, count) in folded {
        let indent = "  ".repeat(depth + 1);
        let others = if shown.iter().any(|known| (known.0, known.1) == (relation, kind) && known.2 > 0) {
            " more"
        } else {
            ""
        };
        lines.push(format!(
            "{indent}{}{count}{others} {}, nothing wrong",
            relation.words(),
            of_kind(kind, count)
        ));
    }
}

fn of_kind(kind: &str, count: usize) -> String {
    match kind {
        one if count == 1 => one.to_owned(),
        kind if kind.ends_with('s') => format!("{kind}es"),
        kind => kind.strip_suffix('y').map_or_else(|| format!("{kind}s"), |stem| format!("{stem}ies")),
    }
}

/// What uses, selects or exposes is few and what was asked about; what is owned may be thousands.
fn can_fold(node: &Node) -> bool {
    matches!(node.relation, Relation::Owns | Relation::UsedBy | Relation::Selects)
}

fn entry<'a, 'b>(counts: &'b mut Vec<(Relation, &'a str, usize)>, node: &'a Node) -> &'b mut usize {
    let at = counts.iter().position(|known| (known.0, known.1) == (node.relation, node.kind.as_str()));
    let at = at.unwrap_or_else(|| {
        counts.push((node.relation, &node.kind, 0));
        counts.len() - 1
    });
    &mut counts[at].2
}

fn line(node: &Node) -> String {
    let Node { relation, kind, name, how, state, rank, why, asked, below: _ } = node;
    let mut line = format!("{}{kind} {name}", relation.words());
    if !how.is_empty() {
        line.push_str(&format!(" ({how})"));
    }
    let word = match rank {
        Some(Rank::Broken) => "Broken",
        Some(Rank::Warning) => "Warning",
        Some(Rank::Neutral | Rank::Healthy) | None => "",
    };
    let why = shortened(why, WHY_CHARS);
    let said =
        [word, why.as_str()].into_iter().filter(|words| !words.is_empty()).collect::<Vec<_>>().join(": ");
    for words in [shortened(state, WHY_CHARS), said] {
        if !words.is_empty() {
            line.push_str(&format!("  {words}"));
        }
    }
    if *asked && *relation != Relation::Top {
        line.push_str("  <- asked for");
    }
    line
}
