//! `images:` and `replicas:` of a kustomization. Pure.

use serde_json::Value;

use super::candidates::{Level, Wanted};
use crate::changes::{
    edit::Edit,
    layers::{
        Part,
        attempt::{Attempt, fields, key, path},
    },
    path::{Located, Step},
};

/// An image reference in its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Image {
    name: String,
    tag: Option<String>,
    digest: Option<String>,
}

impl Image {
    fn of(text: &str) -> Self {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.to_owned())),
            None => (text, None),
        };
        // A colon before the last slash is a port.
        let from = rest.rfind('/').map_or(0, |at| at + 1);
        let (name, tag) = match rest[from..].find(':') {
            Some(at) => (&rest[..from + at], Some(rest[from + at + 1..].to_owned())),
            None => (rest, None),
        };
        Self { name: name.to_owned(), tag, digest }
    }
}

/// Entries of `images:` that make the image what it is now.
pub(super) fn images(wanted: &Wanted<'_>, level: Level<'_>, attempts: &mut Vec<Attempt>) {
    let is_image = matches!(wanted.located.last(), Some(Located::Key(key)) if key == "image");
    let (Some(old), Some(new), true) =
        (wanted.old().and_then(Value::as_str), wanted.edit.new.as_str(), is_image)
    else {
        return;
    };
    let (old, new) = (Image::of(old), Image::of(new));
    for (index, entry) in level.value["images"].as_array().into_iter().flatten().enumerate() {
        let name = entry["newName"].as_str().or_else(|| entry["name"].as_str());
        if name != Some(old.name.as_str()) {
            continue;
        }
        let field = |name: &str, value: Option<&str>| Edit {
            path: path(&[key("images"), Step::Index(index), key(name)]),
            new: value.map_or(Value::Null, Value::from),
        };
        let mut edits = Vec::new();
        if new.name != old.name {
            edits.push(field("newName", Some(&new.name)));
        }
        if new.tag != old.tag {
            edits.push(field("newTag", new.tag.as_deref()));
        }
        if new.digest != old.digest {
            edits.push(field("digest", new.digest.as_deref()));
        }
        let made = fields(wanted.files, level.file, 0, &edits);
        attempts.push(wanted.attempt(level.file, Part::Images, made));
    }
}

/// Entries of `replicas:` that may mean the object.
pub(super) fn replicas(wanted: &Wanted<'_>, level: Level<'_>, attempts: &mut Vec<Attempt>) {
    let keys = ["spec", "replicas"].map(|key| Located::Key(key.to_owned()));
    if wanted.located != keys {
        return;
    }
    let name = wanted.object["metadata"]["name"].as_str().unwrap_or_default();
    for (index, entry) in level.value["replicas"].as_array().into_iter().flatten().enumerate() {
        if entry["name"].as_str().is_some_and(|entry| name.contains(entry)) {
            let edit = Edit {
                path: path(&[key("replicas"), Step::Index(index), key("count")]),
                new: wanted.edit.new.clone(),
            };
            let made = fields(wanted.files, level.file, 0, &[edit]);
            attempts.push(wanted.attempt(level.file, Part::Replicas, made));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Image;

    #[test]
    fn an_image_has_parts() {
        let parts = |text: &str| {
            let Image { name, tag, digest } = Image::of(text);
            (name, tag.unwrap_or_default(), digest.unwrap_or_default())
        };
        let of = |name: &str, tag: &str, digest: &str| (name.to_owned(), tag.to_owned(), digest.to_owned());
        assert_eq!(parts("web"), of("web", "", ""));
        assert_eq!(parts("reg:5000/a/web"), of("reg:5000/a/web", "", ""));
        assert_eq!(parts("reg:5000/a/web:1.0@sha256:ab"), of("reg:5000/a/web", "1.0", "sha256:ab"));
    }
}
