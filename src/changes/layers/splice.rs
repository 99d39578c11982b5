//! Edits of YAML that field edits do not reach: text inside text, an item more in a list, a document that is a list.
//! As with field edits nothing is believed: the result is read again and must say exactly what was meant.

use serde_json::Value;

use crate::changes::{
    documents,
    edit::{self, Edit},
    path::{FieldPath, Step},
};

/// Replaces the text at `field`, itself YAML, by another that differs in some lines; the lines around stay.
///
/// # Errors
/// When the text is not found as a block, or the file would say something else than meant.
pub(super) fn inner(outer: &str, field: &FieldPath, old: &str, new: &str) -> Result<String, String> {
    let before = documents::parse(outer)?;
    let place = field.locate(&before).map_err(|error| error.to_string())?;
    if place.get(&before).and_then(Value::as_str) != Some(old) {
        return Err(format!("{field} is not the text that was read"));
    }
    let mut expected = before.clone();
    place.apply(&mut expected, &Value::from(new));
    let lines: Vec<&str> = outer.lines().collect();
    let block: Vec<&str> = old.lines().collect();
    let mut found = Vec::new();
    for at in 0..(lines.len() + 1).saturating_sub(block.len()) {
        if let Some(indent) = indent_of(&lines[at..at + block.len()], &block) {
            let mut text: Vec<String> = lines[..at].iter().map(ToString::to_string).collect();
            text.extend(new.lines().map(|line| indented(line, indent)));
            text.extend(lines[at + block.len()..].iter().map(ToString::to_string));
            let mut text = text.join("\n");
            if outer.ends_with('\n') {
                text.push('\n');
            }
            if documents::parse(&text).as_ref() == Ok(&expected) {
                found.push(text);
            }
        }
    }
    match found.as_slice() {
        [one] => Ok(one.clone()),
        // Written in quotes or folded: then the whole text is set anew.
        _ => edit::apply(outer, 0, &[Edit { path: field.clone(), new: Value::from(new) }])
            .map(|edited| edited.text)
            .map_err(|error| error.to_string()),
    }
}

/// How far a block is indented, when it is the text.
fn indent_of(lines: &[&str], block: &[&str]) -> Option<usize> {
    let first = block.first()?;
    let indent = lines.first()?.len().checked_sub(first.len())?;
    let same = lines.iter().zip(block).all(|(line, block)| {
        *line == indented(block, indent) || (block.trim().is_empty() && line.trim().is_empty())
    });
    (same && lines[0][..indent].chars().all(|c| c == ' ')).then_some(indent)
}

fn indented(line: &str, indent: usize) -> String {
    if line.is_empty() { String::new() } else { format!("{}{line}", " ".repeat(indent)) }
}

/// Puts an item behind the last one of the list under a key of the top level; makes the list when there is none.
/// `item` is its YAML, first line without dash. Only lines are added.
///
/// # Errors
/// When the list is not written as a block, or the file would say something else than meant.
pub(super) fn append(text: &str, key: &str, item: &str) -> Result<String, String> {
    let before = documents::parse(text)?;
    let value = documents::parse(item)?;
    let mut expected = before.clone();
    let fields = expected.as_object_mut().ok_or("it is no mapping")?;
    match fields.entry(key.to_owned()).or_insert_with(|| Value::Array(Vec::new())) {
        Value::Array(items) => items.push(value),
        other if other.is_null() => *other = Value::Array(vec![value]),
        _ => return Err(format!("{key} is no list")),
    }
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let head = lines
        .iter()
        .position(|line| line.strip_prefix(key).and_then(|rest| rest.strip_prefix(':')).is_some_and(is_bare));
    let (at, indent) = match head {
        Some(head) => {
            let body = lines[head + 1..]
                .iter()
                .take_while(|line| line.trim().is_empty() || line.starts_with([' ', '-', '#']));
            let last = body.enumerate().filter(|(_, line)| line.starts_with([' ', '-'])).last();
            let end = last.map_or(head + 1, |(at, _)| head + 2 + at);
            let dash = lines[head + 1..end].iter().find(|line| line.trim_start().starts_with("- "));
            (end, dash.map_or(0, |line| line.len() - line.trim_start().len()))
        }
        None if before.get(key).is_some() => return Err(format!("{key} is not written as a block")),
        None => {
            while lines.last().is_some_and(|line| line.trim().is_empty()) {
                lines.pop();
            }
            lines.push(format!("{key}:"));
            (lines.len(), 0)
        }
    };
    let new = item.lines().enumerate().map(|(number, line)| match number {
        0 => indented(&format!("- {line}"), indent),
        _ => indented(line, if line.is_empty() { 0 } else { indent + 2 }),
    });
    let new: Vec<String> = new.collect();
    lines.splice(at..at, new);
    let after = format!("{}\n", lines.join("\n"));
    if documents::parse(&after).as_ref() != Ok(&expected) {
        return Err(format!("an item behind {key} would have meant something else"));
    }
    Ok(after)
}

/// Nothing but a comment behind a key.
fn is_bare(rest: &str) -> bool {
    let rest = rest.trim();
    rest.is_empty() || rest.starts_with('#')
}

/// A field edit in a document that is a list: `steps` begin with a position.
///
/// # Errors
/// As of [`edit::apply`].
pub(super) fn in_list(text: &str, steps: &[Step], new: &Value) -> Result<String, String> {
    // A list at the left margin is the same under a key.
    const HEAD: &str = "items:\n";
    let body = text.strip_prefix("---\n").unwrap_or(text);
    let start = text.len() - body.len();
    let wrapped = format!("{HEAD}{body}");
    let path = [Step::Key("items".to_owned())].into_iter().chain(steps.iter().cloned()).collect();
    let edit = Edit { path: FieldPath::from_steps(path), new: new.clone() };
    let edited = edit::apply(&wrapped, 0, &[edit]).map_err(|error| error.to_string())?;
    let after = edited.text.strip_prefix(HEAD).ok_or("the list could not be told from its surroundings")?;
    let after = format!("{}{after}", &text[..start]);
    let (meant, said) = (documents::parse(&edited.text)?, documents::parse(&after)?);
    if meant["items"] == said {
        Ok(after)
    } else {
        Err("the list would have meant something else".to_owned())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::{append, in_list, inner};
    use crate::changes::path::{FieldPath, Step};

    #[test]
    fn text_inside_text_keeps_its_surroundings() {
        let outer = "# top\npatches:\n# why\n- patch: |-\n    kind: Deployment\n    spec:\n      replicas: 2 # two\n  target: {kind: Deployment}\n- path: x.yaml\n";
        let field: FieldPath = "patches[0].patch".parse().unwrap();
        let old = "kind: Deployment\nspec:\n  replicas: 2 # two";
        let after = inner(outer, &field, old, &old.replace("2 #", "3 #")).unwrap();
        assert_eq!(after, outer.replace("replicas: 2 #", "replicas: 3 #"));
    }

    #[test]
    fn an_item_more_only_adds_lines() {
        let item = "path: new.yaml";
        let kept = "resources:\n- a.yaml\npatches: # ours\n  - path: x.yaml\n  # last\n  - path: y.yaml\n\nimages: []\n";
        assert_eq!(
            append(kept, "patches", item).unwrap(),
            kept.replace("y.yaml\n", "y.yaml\n  - path: new.yaml\n")
        );
        assert_eq!(
            append("resources:\n- a.yaml\n", "patches", item).unwrap(),
            "resources:\n- a.yaml\npatches:\n- path: new.yaml\n"
        );
        assert!(append("patches: [{path: x.yaml}]\n", "patches", item).unwrap_err().contains("block"));
    }

    #[test]
    fn a_document_that_is_a_list_is_edited_too() {
        let text = "# why\n- op: replace\n  path: /spec/replicas\n  value: 2 # two\n";
        let after = in_list(text, &[Step::Index(0), Step::Key("value".into())], &json!(3)).unwrap();
        assert_eq!(after, text.replace("value: 2", "value: 3"));
    }
}
