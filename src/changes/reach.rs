//! Reaching a field in yaml-edit's tree, and setting it there.

use std::ops::Range;

use yaml_edit::{
    Document, Mapping, ScalarStyle, ScalarValue, Sequence, SyntaxKind, YamlNode, YamlValue, lex,
};

use super::{
    footprint::Footprint,
    path::{Located, Place},
    scalar::OldStyle,
};

/// What stands where the edit is made.
#[derive(Debug)]
pub(super) struct Field {
    /// How many steps lead to the mapping or list that is changed.
    depth: usize,
    footprint: Kind,
    style: OldStyle,
    /// The line of the parent's key, where removing its only field writes `{}` or `[]`.
    emptied: Option<usize>,
    /// The line of the next field, where removing the first one of a list item moves it behind the dash.
    joined: Option<usize>,
}

#[derive(Debug)]
enum Kind {
    /// A new field in a block mapping.
    New,
    /// A new field in a mapping that stands, or starts, on these lines; comments there stay.
    NewOn(Range<usize>),
    /// A scalar in place of a scalar.
    Scalar(Range<usize>),
    /// Anything else.
    Whole(Range<usize>),
}

impl Field {
    /// The position of the step whose value is set; later steps do not exist yet.
    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    pub(super) fn old_style(&self) -> OldStyle {
        self.style
    }

    fn footprint(&self, removing: bool) -> Footprint {
        match &self.footprint {
            Kind::Scalar(lines) | Kind::Whole(lines) if removing && self.joined.is_some() => {
                let end = self.joined.map_or(lines.end, |next| lines.end.max(next + 1));
                Footprint::Join { lines: lines.start..end, gone: lines.clone() }
            }
            Kind::Scalar(lines) | Kind::Whole(lines) if removing => {
                Footprint::Replace(self.emptied.unwrap_or(lines.start)..lines.end)
            }
            Kind::New => Footprint::Insert,
            Kind::NewOn(lines) => Footprint::Rewrite(lines.clone()),
            Kind::Scalar(lines) => Footprint::Rewrite(lines.clone()),
            Kind::Whole(lines) => Footprint::Replace(lines.clone()),
        }
    }
}

/// Looks at the field before anything is changed.
///
/// # Errors
/// When the way there is not the document's own text: an alias, a merge key, a tag, an anchor that others use.
pub(super) fn field(root: Option<Mapping>, place: &Place, text: &str) -> Result<Field, String> {
    let anchors = Anchors::of(text);
    let mut here = YamlNode::Mapping(root.ok_or("its document is not a mapping")?);
    let present = place.steps.len() - place.missing();
    let mut above = 0;
    for (depth, step) in place.steps.iter().enumerate() {
        let last = depth + 1 == place.steps.len();
        match entry(&here, step) {
            Some(Entry { range, value }) => {
                // A key with nothing behind it has no value node.
                let Some(value) = value else { return Ok(filled(depth, range, text)) };
                anchors.check(&range, &value, last)?;
                if last {
                    let emptied = is_alone(&here).then(|| lines(&(above..above), text).start);
                    let joined = joined(&here, &range, text);
                    return Ok(Field { emptied, joined, ..existing(depth, range, &value, text) });
                }
                if depth + 1 == present && is_null(&value) {
                    return Ok(filled(depth, range, text));
                }
                above = range.start;
                here = value;
            }
            None if depth < present => {
                return Err("its value comes from a YAML merge key (<<) or a key that is not text; edit it there by hand".to_owned());
            }
            None => return Ok(added(depth, &here, text)),
        }
    }
    Err("the path is empty".to_owned())
}

/// Makes the change; `None` removes. Returns what it may touch, or nothing when the field is not there.
pub(super) fn set(
    document: &Document,
    field: &Field,
    place: &Place,
    value: Option<&YamlValue>,
) -> Option<Footprint> {
    let mut here = YamlNode::Mapping(document.as_mapping()?);
    for step in &place.steps[..field.depth] {
        here = entry(&here, step)?.value?;
    }
    match (place.steps.get(field.depth)?, &here) {
        (Located::Key(key), YamlNode::Mapping(mapping)) => match value {
            Some(value) => mapping.set(key.as_str(), value),
            None => drop(mapping.remove(key.as_str())?),
        },
        (Located::Index(index), YamlNode::Sequence(items)) => match value {
            Some(value) if *index == items.len() => items.push(value),
            Some(value) => items.set(*index, value).then_some(())?,
            None => drop(items.remove(*index)?),
        },
        _ => return None,
    }
    Some(field.footprint(value.is_none()))
}

struct Entry {
    /// In bytes of the document.
    range: Range<usize>,
    value: Option<YamlNode>,
}

fn entry(node: &YamlNode, step: &Located) -> Option<Entry> {
    match (node, step) {
        (YamlNode::Mapping(mapping), Located::Key(key)) => {
            let entry = mapping.find_entry_by_key(key.as_str())?;
            let position = entry.byte_range();
            Some(Entry { range: position.start as usize..position.end as usize, value: entry.value_node() })
        }
        (YamlNode::Sequence(items), Located::Index(index)) => {
            let value = Sequence::get(items, *index)?;
            Some(Entry { range: bytes(&value), value: Some(value) })
        }
        _ => None,
    }
}

fn existing(depth: usize, range: Range<usize>, value: &YamlNode, text: &str) -> Field {
    let all = range.start.min(bytes(value).start)..range.end.max(bytes(value).end);
    let lines = lines(&all, text);
    match value {
        YamlNode::Scalar(scalar) => Field {
            depth,
            footprint: if scalar.is_block() { Kind::Whole(lines) } else { Kind::Scalar(lines) },
            style: Some(ScalarValue::from_scalar(scalar).style()),
            emptied: None,
            joined: None,
        },
        _ => Field { depth, footprint: Kind::Whole(lines), style: None, emptied: None, joined: None },
    }
}

/// A key whose value is empty gets one.
fn filled(depth: usize, range: Range<usize>, text: &str) -> Field {
    Field {
        depth,
        footprint: Kind::NewOn(lines(&range, text)),
        style: Some(ScalarStyle::Plain),
        emptied: None,
        joined: None,
    }
}

fn added(depth: usize, parent: &YamlNode, text: &str) -> Field {
    let in_place = match parent {
        YamlNode::Mapping(mapping) => mapping.is_flow_style() || mapping.is_empty(),
        YamlNode::Sequence(items) => items.is_flow_style() || items.is_empty(),
        _ => true,
    };
    let footprint = if in_place { Kind::NewOn(lines(&bytes(parent), text)) } else { Kind::New };
    Field { depth, footprint, style: None, emptied: None, joined: None }
}

/// The line, counted from 0, of the field after the first one, when that stands behind the dash of a list item.
fn joined(parent: &YamlNode, first: &Range<usize>, text: &str) -> Option<usize> {
    let YamlNode::Mapping(mapping) = parent else { return None };
    let mut entries = mapping.entries().map(|entry| entry.byte_range().start as usize);
    let is_first = entries.next() == Some(first.start);
    let next = entries.next().filter(|_| is_first)?;
    let line = text.get(..first.start)?.rsplit('\n').next()?;
    line.trim_end().ends_with('-').then(|| lines(&(next..next), text).start)
}

fn is_alone(parent: &YamlNode) -> bool {
    match parent {
        YamlNode::Mapping(mapping) => mapping.len() == 1,
        YamlNode::Sequence(items) => items.len() == 1,
        _ => false,
    }
}

fn is_null(node: &YamlNode) -> bool {
    node.as_scalar().is_some_and(yaml_edit::Scalar::is_null)
}

fn bytes(node: &YamlNode) -> Range<usize> {
    let position = node.byte_range();
    position.start as usize..position.end as usize
}

/// The lines, counted from 0, on which something of the range stands.
fn lines(range: &Range<usize>, text: &str) -> Range<usize> {
    let line = |byte: usize| text.as_bytes().iter().take(byte).filter(|byte| **byte == b'\n').count();
    let end = text.get(range.clone()).map_or(range.end, |inside| range.start + inside.trim_end().len());
    line(range.start)..line(end) + 1
}

/// Anchors that some alias uses, by where they stand.
struct Anchors {
    used: Vec<(Range<usize>, String)>,
    /// Tokens that may stand between an anchor and what it names.
    gaps: Vec<Range<usize>>,
}

impl Anchors {
    fn of(text: &str) -> Self {
        let mut at = 0;
        let mut anchors = Vec::new();
        let mut aliases = Vec::new();
        let mut gaps = Vec::new();
        for (kind, token) in lex(text) {
            let range = at..at + token.len();
            at = range.end;
            match kind {
                SyntaxKind::ANCHOR => anchors.push((range, token.trim_start_matches('&').to_owned())),
                SyntaxKind::REFERENCE => aliases.push(token.trim_start_matches('*').to_owned()),
                SyntaxKind::WHITESPACE
                | SyntaxKind::NEWLINE
                | SyntaxKind::INDENT
                | SyntaxKind::COMMENT
                | SyntaxKind::TAG => gaps.push(range),
                _ => {}
            }
        }
        anchors.retain(|(_, name)| aliases.contains(name));
        Self { used: anchors, gaps }
    }

    /// `range` is the whole entry, key included. Only what is replaced (`last`) may not hold an anchor inside.
    fn check(&self, range: &Range<usize>, value: &YamlNode, last: bool) -> Result<(), String> {
        match value {
            YamlNode::Alias(alias) => {
                return Err(format!(
                    "it is the YAML alias *{}, shared with other places; edit the anchor by hand",
                    alias.name()
                ));
            }
            YamlNode::TaggedNode(_) => {
                return Err("it carries a YAML tag, whose meaning we do not know; edit it by hand".to_owned());
            }
            YamlNode::Scalar(_) | YamlNode::Mapping(_) | YamlNode::Sequence(_) => {}
        }
        let bytes = bytes(value);
        for (anchor, name) in &self.used {
            let inside = range.start <= anchor.start && anchor.end <= bytes.end.max(range.end);
            if self.names(anchor, bytes.start) || (last && inside) {
                return Err(format!(
                    "it stands in the YAML anchor &{name}, so other places that use *{name} would change with it; edit it by hand"
                ));
            }
        }
        Ok(())
    }

    /// Whether the anchor is the one of the node that starts at `start`.
    fn names(&self, anchor: &Range<usize>, start: usize) -> bool {
        let mut at = anchor.end;
        for gap in self.gaps.iter().skip_while(|gap| gap.start < anchor.end) {
            if gap.start != at || at >= start {
                break;
            }
            at = gap.end;
        }
        anchor.start == start || (anchor.end <= start && at >= start)
    }
}
