//! Edits of YAML by whole lines. In block style the lines of an entry are those from its key to the next line that is
//! not indented further; nothing else is looked at.

use std::ops::Range;

use serde_json::Value;

use super::{Change, DocumentError};

/// One more level.
const STEP: usize = 2;

pub(super) fn edited(text: &str, path: &[String], change: &Change) -> Result<String, DocumentError> {
    let mut file = File::of(text);
    match change {
        Change::Put { name, fields } => {
            let servers = file.servers(path)?;
            let lines = |indent: usize| {
                let head = format!("{}{}:", " ".repeat(indent), key(name));
                let inner = " ".repeat(indent + STEP);
                let fields = fields
                    .iter()
                    .map(move |(name, value)| format!("{inner}{}: {}", self::key(name), flow(value)));
                std::iter::once(head).chain(fields).collect::<Vec<_>>()
            };
            match file.key(&servers, name) {
                Some(at) => {
                    let entry = file.block(at, servers.indent, servers.range.end);
                    file.splice(entry, lines(servers.indent));
                }
                None => {
                    let end = file.content_end(&servers.range);
                    file.splice(end..end, lines(servers.indent));
                }
            }
        }
        Change::Remove { name } => {
            let servers = file.servers(path)?;
            if let Some(at) = file.key(&servers, name) {
                let entry = file.block(at, servers.indent, servers.range.end);
                file.splice(entry, Vec::new());
            }
        }
    }
    Ok(file.text())
}

/// No blank line, no comment, no directive and no marker of a document.
pub(super) fn says_something(line: &str) -> bool {
    let said = line.trim();
    !said.is_empty() && !said.starts_with('#') && !line.starts_with("---") && !line.starts_with('%')
}

/// JSON is YAML, on one line.
fn flow(value: &Value) -> String {
    value.to_string()
}

/// Quoted where a reader could take it for something else than text.
fn key(name: &str) -> String {
    let mut chars = name.chars();
    let is_plain = chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_');
    let is_word = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"]
        .iter()
        .any(|word| name.eq_ignore_ascii_case(word));
    if is_plain && !is_word { name.to_owned() } else { flow(&Value::from(name)) }
}

struct File {
    /// Without their ends.
    lines: Vec<String>,
    ending: &'static str,
    /// The last line has an end too.
    is_closed: bool,
}

/// A mapping in block style.
struct Block {
    /// Its lines, without that of its key.
    range: Range<usize>,
    /// Of its keys.
    indent: usize,
}

impl File {
    fn of(text: &str) -> Self {
        let ending = if text.contains("\r\n") { "\r\n" } else { "\n" };
        let is_closed = text.is_empty() || text.ends_with(ending);
        let body = text.strip_suffix(ending).unwrap_or(text);
        let lines =
            if text.is_empty() { Vec::new() } else { body.split(ending).map(str::to_owned).collect() };
        Self { lines, ending, is_closed }
    }

    fn text(&self) -> String {
        let mut text = self.lines.join(self.ending);
        if self.is_closed && !self.lines.is_empty() {
            text.push_str(self.ending);
        }
        text
    }

    fn splice(&mut self, range: Range<usize>, lines: Vec<String>) {
        self.lines.splice(range, lines);
    }

    /// The block at the end of the path, made if need be.
    fn servers(&mut self, path: &[String]) -> Result<Block, DocumentError> {
        let end = self.lines.iter().position(|line| line.starts_with("...")).unwrap_or(self.lines.len());
        let mut block = Block { range: 0..end, indent: 0 };
        for (depth, key) in path.iter().enumerate() {
            let at = match self.key(&block, key) {
                Some(at) => at,
                None => {
                    let at = self.content_end(&block.range);
                    self.splice(at..at, vec![format!("{}{}:", " ".repeat(block.indent), self::key(key))]);
                    block.range.end += 1;
                    at
                }
            };
            if !self.open(at, key) {
                return Err(DocumentError::NotABlock(path[..=depth].join(".")));
            }
            let range = at + 1..self.block(at, block.indent, block.range.end).end;
            let first = self.lines[range.clone()].iter().find(|line| says_something(line));
            let indent = first.map_or(block.indent + STEP, |line| indent(line));
            if indent <= block.indent {
                return Err(DocumentError::NotABlock(path[..=depth].join(".")));
            }
            block = Block { range, indent };
        }
        Ok(block)
    }

    /// The line of a key of the block itself.
    fn key(&self, block: &Block, key: &str) -> Option<usize> {
        block.range.clone().find(|at| {
            let line = &self.lines[*at];
            says_something(line) && indent(line) == block.indent && after_key(line, key).is_some()
        })
    }

    /// Nothing stands on the line of the key but an empty value, which is taken away.
    fn open(&mut self, at: usize, key: &str) -> bool {
        let line = &self.lines[at];
        let Some(rest) = after_key(line, key) else { return false };
        let said = rest.split(" #").next().unwrap_or_default().trim();
        if said.is_empty() || rest.trim_start().starts_with('#') {
            return true;
        }
        if !["{}", "null", "~"].contains(&said) {
            return false;
        }
        let head = line.len() - rest.len();
        let comment = rest.find(" #").map(|from| rest[from..].to_owned()).unwrap_or_default();
        self.lines[at] = format!("{}{comment}", &self.lines[at][..head]);
        true
    }

    /// From the line of a key to the last that says something and is indented further.
    fn block(&self, at: usize, of_key: usize, end: usize) -> Range<usize> {
        let mut last = at;
        for line in at + 1..end {
            let said = &self.lines[line];
            if !says_something(said) {
                continue;
            }
            if indent(said) <= of_key {
                break;
            }
            last = line;
        }
        at..last + 1
    }

    /// After the last line of the range that says something.
    fn content_end(&self, range: &Range<usize>) -> usize {
        let last = range.clone().rev().find(|at| says_something(&self.lines[*at]));
        last.map_or(range.start.max(self.head()), |at| at + 1)
    }

    /// What comes first in a document that says nothing: its marker and comments.
    fn head(&self) -> usize {
        if self.lines.iter().any(|line| says_something(line)) { 0 } else { self.lines.len() }
    }
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// What follows the key and its colon.
fn after_key<'a>(line: &'a str, key: &str) -> Option<&'a str> {
    let said = line.trim_start_matches(' ');
    let quoted = [key.to_owned(), format!("'{key}'"), format!("\"{key}\"")];
    let rest = quoted.iter().find_map(|written| said.strip_prefix(written.as_str()))?;
    let rest = rest.trim_start_matches(' ').strip_prefix(':')?;
    (rest.is_empty() || rest.starts_with([' ', '\t'])).then_some(rest)
}
