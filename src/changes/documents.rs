//! The documents of one YAML file, as slices of its text.
//!
//! `---` and `...` at the start of a line end a document wherever they stand: YAML forbids such lines inside
//! scalars. So lines are enough to split by; [`super::edit`] checks that the parser agrees.

use std::ops::Range;

use serde_json::Value;

/// One document: where its text stands in the file, and what it says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Document {
    /// In bytes, without the marker lines around it.
    pub(super) range: Range<usize>,
    pub(super) value: Value,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("document {number} is not YAML that we read: {reason}")]
pub(super) struct Unreadable {
    /// Counted from 1.
    pub(super) number: usize,
    pub(super) reason: String,
}

/// All documents that say something.
///
/// # Errors
/// When one of them is not YAML, or has a key twice.
pub(super) fn read(text: &str) -> Result<Vec<Document>, Unreadable> {
    let mut documents = Vec::new();
    for (at, range) in split(text).into_iter().enumerate() {
        let value = parse(&text[range.clone()]).map_err(|reason| Unreadable { number: at + 1, reason })?;
        documents.push(Document { range, value });
    }
    Ok(documents)
}

/// One document's text as a value.
///
/// # Errors
/// The parser's reason, on one line.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    serde_saphyr::from_str(text).map_err(|error: serde_saphyr::Error| first_line(&error.to_string()))
}

/// All documents of a file as values, split by the parser itself.
///
/// # Errors
/// The parser's reason, on one line.
pub(super) fn parse_all(text: &str) -> Result<Vec<Value>, String> {
    serde_saphyr::from_multiple(text).map_err(|error: serde_saphyr::Error| first_line(&error.to_string()))
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

fn split(text: &str) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut start = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
    let mut at = start;
    for line in text[start..].split_inclusive('\n') {
        let end = at + line.len();
        if marker(line, "---") {
            ranges.push(start..at);
            // What may follow the dashes on their line belongs to the document that they open.
            start = at + 3;
        } else if marker(line, "...") {
            ranges.push(start..at);
            start = end;
        }
        at = end;
    }
    ranges.push(start..text.len());
    ranges.retain(|range| text[range.clone()].lines().any(says_something));
    ranges
}

fn marker(line: &str, dashes: &str) -> bool {
    line.strip_prefix(dashes).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

/// Comments, directives and blank lines do not.
fn says_something(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with('#') && !line.starts_with('%')
}

/// The line, counted from 1, on which a byte stands.
pub(super) fn line_of(text: &str, byte: usize) -> usize {
    text.as_bytes().iter().take(byte).filter(|byte| **byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use serde_json::json;

    use super::read;

    #[test]
    fn finds_every_document_where_it_stands() {
        let text = "# top\n---\n# one\na: 1\n--- # two\nb: |\n  x\n  --- not a marker\n...\n---\n\n---\nc: 3";
        let documents = read(text).unwrap();
        let said: Vec<_> = documents.iter().map(|document| document.value.clone()).collect();
        assert_eq!(said, [json!({"a": 1}), json!({"b": "x\n--- not a marker\n"}), json!({"c": 3})]);
        assert_eq!(&text[documents[0].range.clone()], "\n# one\na: 1\n");
        assert_eq!(&text[documents[2].range.clone()], "\nc: 3");
    }

    #[test]
    fn says_which_document_is_broken() {
        let refused = read("a: 1\n---\nb: [\n").unwrap_err();
        assert_eq!(refused.number, 2);
        let refused = read("a: 1\na: 2\n").unwrap_err();
        assert!(refused.reason.to_lowercase().contains("duplicate"), "{refused}");
    }
}
