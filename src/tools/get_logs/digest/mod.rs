//! Which kinds of lines there are: lines become templates, equal templates are counted, like ones become one.
//!
//! After Drain (He and others, 2017): templates of one length and level are compared word by word, and what differs
//! becomes a wildcard. However many lines come, a few hundred templates are held.

mod level;
mod mask;
mod text;

pub(super) use text::text;

use std::{borrow::Cow, collections::HashMap};

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::redact;
use level::{Level, is_level_key, level, of_word};
use mask::{WILD, mask};

/// Templates that are held; lines of others are only counted.
const TEMPLATES: usize = 400;
/// Masked lines whose template is known without looking.
const KNOWN: usize = 4_000;
/// Of a template; the rest of a longer line is not compared.
const WORDS: usize = 60;
const TEMPLATE_BYTES: usize = 600;
const EXAMPLE_BYTES: usize = 400;
/// Templates that share fewer of their words are of two kinds.
const ALIKE_PERCENT: usize = 70;
/// Shorter ones must be equal: in few words each one counts.
const SHORTEST_LIKE: usize = 4;

/// One kind of line.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Template {
    level: Level,
    words: Vec<String>,
    count: usize,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    /// The first line of it, redacted.
    example: String,
    /// Indented lines below its lines: stack traces.
    below: usize,
    /// Logs that have it.
    logs: usize,
}

/// All kinds of lines of one log, or of several.
#[derive(Debug, Default)]
pub(super) struct Digest {
    templates: Vec<Template>,
    known: HashMap<String, usize>,
    by_shape: HashMap<(Level, usize), Vec<usize>>,
    lines: usize,
    /// Lines whose template is not held.
    others: usize,
    /// What indented lines belong to.
    current: Option<usize>,
}

impl Digest {
    /// Takes the next line of a log.
    pub(super) fn add(&mut self, at: Option<Timestamp>, line: &str) {
        if line.trim().is_empty() {
            return;
        }
        self.lines += 1;
        if let Some(current) = self.current.filter(|_| is_below(line)) {
            self.templates[current].below += 1;
            return;
        }
        let (stated, said) = said(line);
        let masked = mask(&said);
        let masked = match stated {
            Some(stated) => format!("{} {masked}", stated.word()),
            None => masked,
        };
        let found = self.known.get(&masked).copied().or_else(|| self.template(line));
        self.current = found;
        let Some(found) = found else {
            self.others += 1;
            return;
        };
        self.remember(masked, found);
        let template = &mut self.templates[found];
        template.count += 1;
        template.first = earlier(template.first, at);
        template.last = template.last.max(at);
    }

    /// The template of a line that was not seen before; none when there are too many.
    fn template(&mut self, line: &str) -> Option<usize> {
        // Redacted before it is masked: half a secret has no shape any more.
        let line = redact::text(line);
        let (stated, said) = said(&line);
        let words = words(&mask(&said));
        let level = stated.unwrap_or_else(|| level(&said));
        self.place(Template {
            level,
            words,
            count: 0,
            first: None,
            last: None,
            example: cut(line.trim(), EXAMPLE_BYTES).into_owned(),
            below: 0,
            logs: 1,
        })
    }

    /// The held template that this one is like, or this one from now on.
    fn place(&mut self, new: Template) -> Option<usize> {
        let shape = (new.level, new.words.len());
        let alike = self.by_shape.get(&shape).into_iter().flatten().copied();
        if let Some(found) = alike.into_iter().find(|at| are_alike(&self.templates[*at].words, &new.words)) {
            generalize(&mut self.templates[found].words, &new.words);
            return Some(found);
        }
        if self.templates.len() >= TEMPLATES {
            return None;
        }
        let at = self.templates.len();
        self.by_shape.entry(shape).or_default().push(at);
        self.templates.push(new);
        Some(at)
    }

    fn remember(&mut self, masked: String, found: usize) {
        if self.known.len() >= KNOWN {
            self.known.clear();
        }
        self.known.entry(masked).or_insert(found);
    }

    /// Adds what another log has.
    pub(super) fn absorb(&mut self, other: Self) {
        let Self { templates, known: _, by_shape: _, lines, others, current: _ } = other;
        self.lines += lines;
        self.others += others;
        self.known.clear();
        self.current = None;
        for template in templates {
            let Template { count, first, last, below, logs, .. } = template;
            let empty = Template { count: 0, first: None, last: None, below: 0, logs: 0, ..template };
            match self.place(empty) {
                None => self.others += count + below,
                Some(at) => {
                    let held = &mut self.templates[at];
                    held.count += count;
                    held.below += below;
                    held.logs += logs;
                    held.first = earlier(held.first, first);
                    held.last = held.last.max(last);
                }
            }
        }
    }
}

fn earlier(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// Whether a line goes on with the one before it.
fn is_below(line: &str) -> bool {
    line.starts_with([' ', '\t']) || line.starts_with("Caused by:") || line.starts_with("... ")
}

/// The words of a structured line that say something, and its level where it states one.
fn said(line: &str) -> (Option<Level>, Cow<'_, str>) {
    let plain = (None, Cow::Borrowed(line));
    let Some(Ok(object)) =
        line.trim().starts_with('{').then(|| serde_json::from_str::<Map<String, Value>>(line))
    else {
        return plain;
    };
    let text = |names: &[&str]| {
        let found = names.iter().find_map(|name| object.get(*name)?.as_str());
        found.filter(|text| !text.is_empty())
    };
    let stated = object.iter().find(|(key, _)| is_level_key(key));
    let stated = stated.and_then(|(_, value)| of_word(&value.as_str()?.to_ascii_uppercase()));
    let message = text(&["msg", "message", "@message", "log", "event", "text"]);
    let error = text(&["error", "err", "exception", "reason"]);
    match (message, error) {
        (Some(message), Some(error)) => (stated, format!("{message}: {error}").into()),
        (Some(only), None) | (None, Some(only)) => (stated, only.to_owned().into()),
        (None, None) => (stated, plain.1),
    }
}

fn words(masked: &str) -> Vec<String> {
    let mut words: Vec<String> =
        cut(masked, TEMPLATE_BYTES).split(' ').take(WORDS).map(str::to_owned).collect();
    if words.len() == WORDS {
        words.push("…".to_owned());
    }
    words
}

fn are_alike(held: &[String], new: &[String]) -> bool {
    if held == new {
        return true;
    }
    let is_first_equal = held.first() == new.first();
    if held.len() < SHORTEST_LIKE || !is_first_equal {
        return false;
    }
    let same = held.iter().zip(new).filter(|(held, new)| *held == WILD || held == new).count();
    let solid = held.iter().zip(new).filter(|(held, new)| *held != WILD && held == new).count();
    same * 100 >= held.len() * ALIKE_PERCENT && solid * 2 >= held.len()
}

fn generalize(held: &mut [String], new: &[String]) {
    for (held, new) in held.iter_mut().zip(new) {
        if held != new {
            WILD.clone_into(held);
        }
    }
}

fn cut(text: &str, most: usize) -> Cow<'_, str> {
    if text.len() <= most {
        return text.into();
    }
    format!("{} …", &text[..text.floor_char_boundary(most)]).into()
}

#[cfg(test)]
mod tests;
