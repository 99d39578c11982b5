//! A tree as indented lines, and the pages that they make. Pure.
//!
//! The overview comes first: what is unhealthy or was asked for, and of many healthy siblings a few and a count. After
//! it come those that it only counted. A first page is overview alone; a cursor leads through all the rest.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{Context, SHA256};

use super::{grow::Node, thing::Relation};
use crate::{answer::Rank, tools::list_resources::shortened};

/// How many healthy siblings of one kind the overview names, tried in this order until it fits.
const NAMED: [usize; 3] = [3, 1, 0];
const WHY_CHARS: usize = 200;
/// How many states of siblings are told with their count.
const STATES: usize = 3;

/// All lines of a tree.
pub(super) struct Drawing {
    lines: Vec<Line>,
    /// So many of them are the overview.
    overview: usize,
    /// So many healthy siblings of one kind are named in it.
    pub(super) named: usize,
}

struct Line {
    /// The objects above it, topmost first.
    under: String,
    indent: usize,
    text: String,
    /// What it stands for, whatever is said of it.
    key: String,
    about: About,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum About {
    Object,
    /// How many siblings are listed after the overview.
    Count,
    /// One of the siblings that the overview counts, or something below it; which count it was.
    Counted(usize),
}

/// Some lines of a drawing.
pub(super) struct Page {
    pub(super) text: String,
    /// Objects on earlier pages, on this one, and in the whole tree.
    pub(super) before: usize,
    pub(super) shown: usize,
    pub(super) total: usize,
    /// The line that the next page begins with.
    pub(super) next: Option<usize>,
}

/// `named` is what an earlier page has chosen; otherwise the overview shall fit into `bytes` if it can.
pub(super) fn draw(tree: &Node, named: Option<usize>, bytes: usize) -> Drawing {
    if let Some(named) = named {
        return Drawing::of(tree, named);
    }
    let drawings = NAMED.into_iter().map(|named| Drawing::of(tree, named));
    let mut last = None;
    for drawing in drawings {
        if drawing.lines[..drawing.overview].iter().map(Line::size).sum::<usize>() <= bytes {
            return drawing;
        }
        last = Some(drawing);
    }
    last.unwrap_or_else(|| Drawing::of(tree, 0))
}

impl Drawing {
    fn of(tree: &Node, named: usize) -> Self {
        let mut pen = Pen { named, lines: Vec::new(), counted: Vec::new() };
        pen.overview(tree, 0, "");
        let overview = pen.lines.len();
        for Left { node, under, count } in std::mem::take(&mut pen.counted) {
            pen.whole(node, 1, &under, About::Counted(count));
        }
        let Pen { lines, .. } = pen;
        Self { lines, overview, named }
    }

    /// The lines from `from` on that fit into `bytes`, one at least.
    pub(super) fn page(&self, from: usize, bytes: usize) -> Page {
        let Self { lines, overview, named: _ } = self;
        let from = from.min(lines.len());
        let end = if from == 0 { *overview } else { lines.len() };
        let (mut text, mut next) = (String::new(), from);
        for (at, line) in lines.iter().enumerate().take(end).skip(from) {
            let last = at.checked_sub(1).map(|last| lines[last].about);
            let begins = matches!(line.about, About::Counted(_)) && last != Some(line.about);
            let head = match (begins, at == from && from > 0) {
                (true, _) => format!("below {}, the others:\n", line.under),
                (false, true) => format!("below {}:\n", line.under),
                (false, false) => String::new(),
            };
            if next > from && text.len() + head.len() + line.size() > bytes {
                break;
            }
            text.push_str(&format!("{head}{}{}\n", "  ".repeat(line.indent), line.text));
            next = at + 1;
        }
        let objects = |lines: &[Line]| lines.iter().filter(|line| line.about != About::Count).count();
        Page {
            text,
            before: objects(&lines[..from]),
            shown: objects(&lines[from..next]),
            total: objects(lines),
            next: (next < lines.len()).then_some(next),
        }
    }

    /// Of the first lines: equal as long as they stand for the same objects in the same order.
    pub(super) fn digest(&self, lines: usize) -> String {
        let mut context = Context::new(&SHA256);
        for line in self.lines.iter().take(lines) {
            context.update(line.key.as_bytes());
            context.update(b"\n");
        }
        hex::encode(&context.finish().as_ref()[..8])
    }
}

impl Line {
    fn size(&self) -> usize {
        2 * self.indent + self.text.len() + 1
    }
}

/// What is drawn, and what is left for after the overview.
struct Pen<'a> {
    named: usize,
    lines: Vec<Line>,
    counted: Vec<Left<'a>>,
}

/// One that the overview only counts.
struct Left<'a> {
    node: &'a Node,
    under: String,
    /// In which line.
    count: usize,
}

impl<'a> Pen<'a> {
    fn line(&mut self, node: &Node, indent: usize, under: &str, about: About) -> String {
        let Node { relation, kind, name, .. } = node;
        let key = format!("{indent} {}{kind} {name}", relation.words());
        self.lines.push(Line { under: under.to_owned(), indent, text: line(node), key, about });
        if under.is_empty() { format!("{kind} {name}") } else { format!("{under} > {kind} {name}") }
    }

    fn overview(&mut self, node: &'a Node, depth: usize, under: &str) {
        let own = self.line(node, depth, under, About::Object);
        let mut counts: Vec<Count<'a>> = Vec::new();
        for node in sorted(node) {
            if node.worst() >= Rank::Neutral && !node.holds_asked() && can_fold(node) {
                let at = Count::of(&mut counts, node);
                let count = &mut counts[at];
                if count.named >= self.named {
                    count.left.push(node);
                    continue;
                }
                count.named += 1;
            }
            self.overview(node, depth + 1, &own);
        }
        for Count { relation, kind, named, left } in counts.into_iter().filter(|count| !count.left.is_empty())
        {
            let others = if named > 0 { " more" } else { "" };
            let (count, well) = (left.len(), wellness(&left));
            let text = format!("{}{count}{others} {}, {well}", relation.words(), of_kind(kind, count));
            let key = format!("{} {}{kind}", depth + 1, relation.words());
            let count = self.lines.len();
            self.lines.push(Line { under: own.clone(), indent: depth + 1, text, key, about: About::Count });
            self.counted.extend(left.into_iter().map(|node| Left { node, under: own.clone(), count }));
        }
    }

    fn whole(&mut self, node: &Node, indent: usize, under: &str, about: About) {
        let own = self.line(node, indent, under, about);
        for node in sorted(node) {
            self.whole(node, indent + 1, &own, about);
        }
    }
}

/// Healthy siblings of one kind.
struct Count<'a> {
    relation: Relation,
    kind: &'a str,
    named: usize,
    left: Vec<&'a Node>,
}

impl<'a> Count<'a> {
    fn of(counts: &mut Vec<Self>, node: &'a Node) -> usize {
        let same = |count: &Self| count.relation == node.relation && count.kind == node.kind;
        counts.iter().position(same).unwrap_or_else(|| {
            counts.push(Self { relation: node.relation, kind: &node.kind, named: 0, left: Vec::new() });
            counts.len() - 1
        })
    }
}

fn sorted(node: &Node) -> Vec<&Node> {
    let mut below: Vec<&Node> = node.below.iter().collect();
    below.sort_by_cached_key(|node| {
        let Node { relation, kind, name, .. } = node;
        (node.worst().min(Rank::Neutral), !node.holds_asked(), *relation, kind.clone(), name.clone())
    });
    below
}

/// What is said of siblings that are only counted. Of some it is not known yet whether they will be well, such as pods
/// that were just made: then it is said how they are.
fn wellness(counted: &[&Node]) -> String {
    fn is_open(node: &Node) -> bool {
        node.rank == Some(Rank::Neutral) || node.below.iter().any(is_open)
    }
    if !counted.iter().any(|node| is_open(node)) {
        return "nothing wrong".to_owned();
    }
    let mut states: BTreeMap<&str, usize> = BTreeMap::new();
    for node in counted.iter().filter(|node| !node.state.is_empty()) {
        *states.entry(node.state.as_str()).or_default() += 1;
    }
    let mut states: Vec<(&str, usize)> = states.into_iter().collect();
    states.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let named =
        states.iter().take(STATES).map(|(state, count)| format!("{count} {}", shortened(state, WHY_CHARS)));
    let named = named.collect::<Vec<_>>().join(", ");
    let more = if states.len() > STATES { ", ..." } else { "" };
    let states = if named.is_empty() { named } else { format!(" ({named}{more})") };
    format!("nothing known to be wrong{states}")
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
