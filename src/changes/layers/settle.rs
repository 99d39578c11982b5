//! Trying candidates in order until one renders exactly what was asked.

use futures::future::BoxFuture;
use serde_json::Value;

use super::{
    Changed, Layer, Planned, Unmapped, Verified,
    attempt::{Attempt, Made, Make},
    judge::{Renamed, Verdict, judge, says},
};
use crate::changes::{
    edit::Edit,
    render::{Key, differing},
    shown,
    source::Files,
};

/// A way to render, with its candidates.
pub(super) trait Stage: Send + Sync {
    /// All objects that come out of these files.
    fn render<'a>(&'a self, files: &'a Files) -> BoxFuture<'a, Result<Vec<Value>, String>>;

    /// The candidates for one edit, those that decide first before those that are overridden.
    fn attempts<'a>(
        &'a self,
        files: &'a Files,
        object: &'a Value,
        edit: &'a Edit,
    ) -> BoxFuture<'a, Vec<Attempt>>;

    /// The change of the manifest that holds values.
    fn elsewhere<'a>(
        &'a self,
        files: &'a Files,
        manifest: usize,
        edits: &'a [Edit],
    ) -> BoxFuture<'a, Result<Made, String>>;

    /// Program and version, for the evidence.
    fn by(&self) -> BoxFuture<'_, String>;

    /// Where the object is, when nothing has to be changed.
    fn layer(&self) -> Layer;
}

/// Renderings of one change at most; each takes some tenths of a second.
const MOST_TRIES: usize = 60;

/// Makes the edits one after the other, each at the first candidate that is proven.
///
/// # Errors
/// When no candidate is: with what each of them would have done.
pub(super) async fn settle(
    stage: &dyn Stage,
    files: &Files,
    objects: Vec<Value>,
    target: &Key,
    edits: &[Edit],
) -> Result<Planned, Unmapped> {
    let first = objects.clone();
    let by = stage.by().await;
    let mut state = State { files: files.clone(), objects, target: target.clone(), tries: 0 };
    let mut changed = Vec::new();
    let mut evidence = Vec::new();
    let mut notes = Vec::new();
    let mut open: Vec<Edit> = edits.to_vec();
    loop {
        let object = state.target.find(&state.objects).cloned().unwrap_or_default();
        for Edit { path, .. } in &open {
            path.locate(&object).map_err(|_| lost(path, &object))?;
        }
        open.retain(|edit| !says(&object, &edit.path, &edit.new));
        let Some(edit) = open.first() else { break };
        let Settled { layer, line, done, renamed } = state.settle(stage, &object, edit, &open).await?;
        evidence.push(format!(
            "{layer} decides {}: rendered before and after by {by}, nothing else differs",
            edit.path
        ));
        if let Some(Renamed { from, to, users }) = renamed {
            notes.push(consequence(&from, &to, &users));
        }
        let after = state.target.find(&state.objects).cloned().unwrap_or_default();
        for at in &done {
            changed.push(change(&open[*at], &object, &after, &layer, line));
        }
        open =
            open.into_iter().enumerate().filter(|(at, _)| !done.contains(at)).map(|(_, edit)| edit).collect();
    }
    let differing = differing(&first, &state.objects);
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for (_, old, new) in differing {
        before.extend(old.into_iter().cloned());
        after.extend(new.into_iter().cloned());
    }
    let layer = changed.first().map_or_else(|| stage.layer(), |changed: &Changed| changed.layer.clone());
    let texts = state.files.into_iter().filter(|(path, text)| files.get(path) != Some(text)).collect();
    let verified = Verified::Rendered { by };
    Ok(Planned { files: texts, changed, layer, before, after, evidence, notes, verified })
}

/// The path's own words, of the object without its secrets.
fn lost(path: &crate::changes::path::FieldPath, object: &Value) -> Unmapped {
    let why = path.locate(&shown::document(object)).err();
    let why = why.map_or_else(|| format!("{path} is not in the object"), |lost| lost.to_string());
    Unmapped::asked("edit", format!("in the object as it is rendered, {why}"))
}

fn consequence(from: &Key, to: &Key, users: &[Key]) -> String {
    let users: Vec<_> = users.iter().map(ToString::to_string).collect();
    let users = match users.as_slice() {
        [] => String::new(),
        users => format!(", and with it what names it: {}", users.join(", ")),
    };
    format!("the generated name of {from} becomes {}{users}", to.name)
}

fn change(edit: &Edit, before: &Value, after: &Value, layer: &Layer, line: usize) -> Changed {
    let (before, after) = (shown::document(before), shown::document(after));
    let value = |object: &Value| edit.path.locate(object).ok().and_then(|place| place.get(object).cloned());
    let new = if edit.new.is_null() { Value::Null } else { value(&after).unwrap_or_default() };
    Changed { path: edit.path.clone(), old: value(&before), new, layer: layer.clone(), line }
}

/// The files as far as they are changed, and what is rendered of them.
struct State {
    files: Files,
    objects: Vec<Value>,
    target: Key,
    tries: usize,
}

/// One candidate that was proven.
struct Settled {
    layer: Layer,
    line: usize,
    /// The edits that it made, by position.
    done: Vec<usize>,
    renamed: Option<Renamed>,
}

impl State {
    async fn settle(
        &mut self,
        stage: &dyn Stage,
        object: &Value,
        edit: &Edit,
        open: &[Edit],
    ) -> Result<Settled, Unmapped> {
        let mut tried: Vec<String> = Vec::new();
        for Attempt { mut layer, make } in stage.attempts(&self.files, object, edit).await {
            let made = match make {
                Make::Made(made) => made,
                Make::Elsewhere { manifest, edits } => {
                    let made = stage.elsewhere(&self.files, manifest, &edits).await;
                    // Which file holds the manifest is known only now.
                    if let (Ok(made), Layer::HelmValues { file, .. }) = (&made, &mut layer)
                        && let Some(path) = made.texts.keys().next()
                    {
                        file.clone_from(path);
                    }
                    made
                }
            };
            let Made { texts, line } = match made {
                Ok(made) => made,
                Err(why) => {
                    tried.push(format!("{layer}: {why}"));
                    continue;
                }
            };
            if self.tries >= MOST_TRIES {
                tried.push("there are more candidates than are tried".to_owned());
                break;
            }
            self.tries += 1;
            let mut files = self.files.clone();
            files.extend(texts);
            let after = match stage.render(&files).await {
                Ok(after) => after,
                Err(why) => {
                    tried.push(format!("{layer}: {why}"));
                    continue;
                }
            };
            match judge(&self.objects, &after, &self.target, open, 0) {
                Verdict::Done { edits: done, renamed } => {
                    if let Some(Renamed { to, .. }) = &renamed {
                        self.target = to.clone();
                    }
                    (self.files, self.objects) = (files, after);
                    return Ok(Settled { layer, line, done, renamed });
                }
                Verdict::Other(why) => tried.push(format!("{layer} {why}")),
            }
        }
        Err(unproven(edit, &tried))
    }
}

fn unproven(edit: &Edit, tried: &[String]) -> Unmapped {
    const SHOWN: usize = 6;
    let path = &edit.path;
    if tried.is_empty() {
        return Unmapped::person(
            "verify",
            format!(
                "nothing in the repository was found that decides {path}: it is written in a template, or made by what is not followed"
            ),
        );
    }
    let mut said: Vec<_> = tried.iter().take(SHOWN).cloned().collect();
    if tried.len() > SHOWN {
        said.push(format!("and {} more", tried.len() - SHOWN));
    }
    let why = format!("no change was found that renders exactly {path} as asked: {}", said.join("; "));
    Unmapped::person("verify", why)
}
