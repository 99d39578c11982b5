//! `configMapGenerator:` of a kustomization: literals, files and lists of variables. Pure.

use serde_json::Value;

use super::candidates::{Level, Wanted};
use crate::changes::{
    edit::Edit,
    layers::{
        Part,
        attempt::{Attempt, Made, fields, first_difference, key, path},
    },
    path::{Located, Step},
    source::paths::{base, join},
};

/// The names of what a kustomization generates.
pub(super) fn names(value: &Value) -> impl Iterator<Item = &str> {
    let generated = value["configMapGenerator"].as_array().into_iter().flatten();
    generated.filter_map(|entry| entry["name"].as_str())
}

/// Entries that make the value of a ConfigMap's key.
pub(super) fn literals(wanted: &Wanted<'_>, level: Level<'_>, attempts: &mut Vec<Attempt>) {
    let [Located::Key(data), Located::Key(name)] = wanted.located.as_slice() else { return };
    let Some(new) = wanted.edit.new.as_str() else { return };
    if wanted.object["kind"] != "ConfigMap" || data != "data" {
        return;
    }
    let object = wanted.object["metadata"]["name"].as_str().unwrap_or_default();
    for (index, entry) in level.value["configMapGenerator"].as_array().into_iter().flatten().enumerate() {
        if !entry["name"].as_str().is_some_and(|entry| object.contains(entry)) {
            continue;
        }
        let items = |list: &str| entry[list].as_array().cloned().unwrap_or_default().into_iter().enumerate();
        for (at, literal) in items("literals") {
            if of_variable(literal.as_str().unwrap_or_default()) == Some(name.as_str()) {
                let item =
                    path(&[key("configMapGenerator"), Step::Index(index), key("literals"), Step::Index(at)]);
                let edit = Edit { path: item, new: Value::from(format!("{name}={new}")) };
                let made = fields(wanted.files, level.file, 0, &[edit]);
                attempts.push(wanted.attempt(level.file, Part::Generator, made));
            }
        }
        for file in items("files").filter_map(|(_, item)| of_file(item.as_str()?, name).map(str::to_owned)) {
            let text = join(level.folder, &file).filter(|file| wanted.files.contains_key(file));
            if let Some(file) = text {
                let old = wanted.files.get(&file).map(String::as_str).unwrap_or_default();
                let made = Made::one(&file, new.to_owned(), first_difference(old, new));
                attempts.push(wanted.attempt(&file, Part::Generator, Ok(made)));
            }
        }
        let envs = items("envs").filter_map(|(_, item)| item.as_str().map(str::to_owned));
        for file in envs.chain(entry["env"].as_str().map(str::to_owned)) {
            let Some(file) = join(level.folder, &file) else { continue };
            let Some(old) = wanted.files.get(&file) else { continue };
            if let Some((text, line)) = with_variable(old, name, new) {
                attempts.push(wanted.attempt(&file, Part::Generator, Ok(Made::one(&file, text, line))));
            }
        }
    }
}

fn of_variable(line: &str) -> Option<&str> {
    line.split_once('=').map(|(name, _)| name.trim())
}

/// The file behind a key: `key=path`, or a path that ends with the key.
fn of_file<'a>(item: &'a str, name: &str) -> Option<&'a str> {
    match item.split_once('=') {
        Some((key, file)) => (key == name).then_some(file),
        None => (base(item) == name).then_some(item),
    }
}

/// The text with one variable of another value, and on which line.
fn with_variable(text: &str, name: &str, new: &str) -> Option<(String, usize)> {
    let at = text.lines().position(|line| !line.starts_with('#') && of_variable(line) == Some(name))?;
    if new.contains('\n') {
        return None;
    }
    let lines = text.split_inclusive('\n').enumerate().map(|(number, line)| {
        if number != at {
            return line.to_owned();
        }
        let end = &line[line.trim_end_matches(['\r', '\n']).len()..];
        format!("{name}={new}{end}")
    });
    Some((lines.collect(), at + 1))
}

#[cfg(test)]
mod tests {
    use super::{of_file, with_variable};

    #[test]
    fn variables_and_files_are_told_by_their_key() {
        let text = "# A=0\nA=1\r\nB=2";
        assert_eq!(with_variable(text, "A", "3"), Some(("# A=0\nA=3\r\nB=2".to_owned(), 2)));
        assert_eq!(with_variable(text, "B", "3"), Some(("# A=0\nA=1\r\nB=3".to_owned(), 3)));
        assert_eq!(with_variable(text, "C", "3"), None);
        assert_eq!(of_file("conf/app.conf", "app.conf"), Some("conf/app.conf"));
        assert_eq!(of_file("x=conf/app.conf", "x"), Some("conf/app.conf"));
        assert_eq!(of_file("x=conf/app.conf", "app.conf"), None);
    }
}
