//! Field edits in one document of a YAML file that leave everything else as it stands.
//!
//! yaml-edit makes the edit; nothing of it is believed. Both texts are read again with the parser that the rest
//! of the program uses, and the edit is refused unless the difference is exactly what was asked, every other
//! document is the same, and every byte outside the field's lines and every comment is still there.

use std::ops::Range;

use serde_json::{Map, Value};
use yaml_edit::{Document as YamlDocument, YamlFile, YamlValue};

use super::{
    documents::{self, line_of},
    ending,
    footprint::Footprint,
    path::{FieldPath, Located, Lost, PathError, Place},
    reach::{self, Field},
    scalar, shown,
};

/// One intended change of a field; `null` removes it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Edit {
    pub(super) path: FieldPath,
    pub(super) new: Value,
}

/// What the edits made of a file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Edited {
    /// The whole file.
    pub(super) text: String,
    /// What really changed; empty when everything was there already.
    pub(super) changed: Vec<Changed>,
}

/// One field that changed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Changed {
    pub(super) path: FieldPath,
    /// Both without secrets, as they stood in the whole document.
    pub(super) old: Option<Value>,
    pub(super) new: Value,
    /// In the edited file, counted from 1.
    pub(super) line: usize,
}

#[derive(Debug, PartialEq, thiserror::Error)]
pub(super) enum EditError {
    #[error(transparent)]
    Lost(#[from] Lost),
    #[error(transparent)]
    Unreadable(#[from] documents::Unreadable),
    #[error("{0}")]
    Refused(String),
}

fn refused(reason: impl Into<String>) -> EditError {
    EditError::Refused(reason.into())
}

/// The file with fields of one of its documents set, as change requests edit it. `edits` are field paths with their
/// new values.
///
/// # Errors
/// One sentence, when a path leads nowhere or the edit cannot be made without touching something else.
pub fn edited(text: &str, document: usize, edits: &[(String, Value)]) -> Result<String, String> {
    let parse = |(path, new): &(String, Value)| {
        let path = path.parse().map_err(|error: PathError| error.to_string())?;
        Ok(Edit { path, new: new.clone() })
    };
    let edits: Vec<Edit> = edits.iter().map(parse).collect::<Result<_, String>>()?;
    let edited = apply(text, document, &edits).map_err(|error| error.to_string())?;
    Ok(edited.text)
}

/// Makes the edits, in their order, in the document at `position` of [`documents::read`].
///
/// # Errors
/// When a path leads nowhere, or the edit cannot be made without touching something else.
pub(super) fn apply(text: &str, position: usize, edits: &[Edit]) -> Result<Edited, EditError> {
    let mut edited = Edited { text: text.to_owned(), changed: Vec::new() };
    for Edit { path, new } in edits {
        let documents = documents::read(&edited.text)?;
        let document =
            documents.get(position).ok_or_else(|| refused("the document is gone after an earlier edit"))?;
        let place = locate(path, &document.value, new)?;
        let old = place.get(&document.value);
        let there = if new.is_null() { old.is_none() } else { old == Some(new) };
        if there {
            continue;
        }
        let old = old.and_then(|_| place.get(&shown::document(&document.value)).cloned());
        let mut expected: Vec<_> = documents.iter().map(|document| document.value.clone()).collect();
        place.apply(&mut expected[position], new);
        let shown_new = place.get(&shown::document(&expected[position])).filter(|_| !new.is_null()).cloned();
        let text = rewrite(&edited.text, document.range.clone(), &place, new, &expected)
            .map_err(|reason| refused(format!("{path} cannot be edited safely: {reason}")))?;
        let line = first_difference(&edited.text, &text);
        // What an earlier edit wrote further down has moved.
        let count = |text: &str| text.matches('\n').count();
        for earlier in edited.changed.iter_mut().filter(|earlier| earlier.line >= line) {
            earlier.line = (earlier.line + count(&text)).saturating_sub(count(&edited.text));
        }
        edited.text = text;
        edited.changed.push(Changed { path: path.clone(), old, new: shown_new.unwrap_or(Value::Null), line });
    }
    Ok(edited)
}

/// What the error names of the document has no secrets in it.
fn locate(path: &FieldPath, document: &Value, new: &Value) -> Result<Place, EditError> {
    path.locate_for(document, new).map_err(|lost| match path.locate(&shown::document(document)) {
        Err(lost) => lost.into(),
        Ok(_) => match lost {
            Lost::NoItem { at, key, value, known: _ } => {
                Lost::NoItem { at, key, value, known: Vec::new() }.into()
            }
            lost => lost.into(),
        },
    })
}

/// The file with the one edit made, in the first way to write it that passes every check.
fn rewrite(
    text: &str,
    range: Range<usize>,
    place: &Place,
    new: &Value,
    expected: &[Value],
) -> Result<String, String> {
    let before = &text[range.clone()];
    let endings = Endings::of(before);
    let before = endings.strip(before);
    let field = reach::field(open(&before)?.as_mapping(), place, &before)?;
    let mut problem = String::new();
    for value in ways(&field, place, new) {
        let file = YamlFile::parse(&before).tree();
        let Some(document) = file.document() else { return Err(NOT_ONE.to_owned()) };
        let Some(footprint) = reach::set(&document, &field, place, value.as_ref()) else {
            return Err("the editor does not find the field".to_owned());
        };
        let after = file.to_string();
        let candidate = format!("{}{}{}", &text[..range.start], endings.restore(&after), &text[range.end..]);
        let verified = match ending::changed(text, &candidate) {
            Some(reason) => Err(reason.to_owned()),
            None => verify(&before, &after, &candidate, &footprint, expected),
        };
        match verified {
            Ok(()) => return Ok(candidate),
            Err(reason) => problem = reason,
        }
    }
    Err(problem)
}

const NOT_ONE: &str = "the editor does not see one document where the parser does";

/// The document as the editor sees it; only if that is all of the text and nothing else.
fn open(text: &str) -> Result<YamlDocument, String> {
    let parsed = YamlFile::parse(text);
    if let Some(error) = parsed.errors().first() {
        return Err(format!("the editor cannot read the document ({error})"));
    }
    let file = parsed.tree();
    let mut documents = file.documents();
    match (documents.next(), documents.next()) {
        (Some(document), None) if file.to_string() == text => Ok(document),
        _ => Err(NOT_ONE.to_owned()),
    }
}

/// The ways to write the value; `None` among them stands for removing the field.
fn ways(field: &Field, place: &Place, new: &Value) -> Vec<Option<YamlValue>> {
    if new.is_null() {
        return vec![None];
    }
    // Missing parents are made as mappings around the value.
    let below = place.steps.len() - 1 - field.depth();
    let value = place.steps.iter().rev().take(below).fold(new.clone(), |inner, step| match step {
        Located::Key(key) => Value::Object(Map::from_iter([(key.clone(), inner)])),
        Located::Index(_) => inner,
    });
    scalar::ways(&value, field.old_style()).into_iter().map(Some).collect()
}

fn verify(
    before: &str,
    after: &str,
    candidate: &str,
    footprint: &Footprint,
    expected: &[Value],
) -> Result<(), String> {
    let split: Vec<_> = documents::read(candidate)
        .map_err(|error| format!("the result would not be YAML ({error})"))?
        .into_iter()
        .map(|document| document.value)
        .collect();
    // The parser that splits the file itself must see the same documents as our split by lines.
    let whole =
        documents::parse_all(candidate).map_err(|error| format!("the result would not be YAML ({error})"))?;
    let said = |values: &[Value]| values.iter().filter(|value| !value.is_null()).cloned().collect::<Vec<_>>();
    if split != expected || said(&whole) != said(expected) {
        return Err("the result would have meant something else than what was asked".to_owned());
    }
    footprint.exceeded(before, after).map_or(Ok(()), |reason| Err(reason.to_owned()))
}

/// Line endings of a document; the editor is given `\n` alone.
enum Endings {
    Lf,
    CrLf,
}

impl Endings {
    fn of(text: &str) -> Self {
        let all = text.matches('\n').count();
        if all > 0 && all == text.matches("\r\n").count() { Self::CrLf } else { Self::Lf }
    }

    fn strip(&self, text: &str) -> String {
        match self {
            Self::Lf => text.to_owned(),
            Self::CrLf => text.replace("\r\n", "\n"),
        }
    }

    fn restore(&self, text: &str) -> String {
        match self {
            Self::Lf => text.to_owned(),
            Self::CrLf => text.replace('\n', "\r\n"),
        }
    }
}

/// The line, counted from 1, at which two texts part.
fn first_difference(before: &str, after: &str) -> usize {
    let same = before.bytes().zip(after.bytes()).take_while(|(before, after)| before == after).count();
    let line = line_of(after, same);
    // What is appended behind a last line without a break starts on the next one.
    if after.as_bytes().get(same) == Some(&b'\n') { line + 1 } else { line }
}
