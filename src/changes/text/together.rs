//! The texts of one pull request that holds the changes of several objects: what one says of a single change, once for
//! each of them, and what is the same for all only once.

use std::fmt::Write;

use super::{
    Links, Story, body,
    commit::{trailer, trailers},
    markdown::{block, code, line, short, tame, words},
};

/// Git's own advice for the first line of a message.
const SUBJECT: usize = 72;
/// Bytes. Forges take 65,536 characters.
const LONGEST: usize = 60_000;
/// Of the difference of one object.
const DIFFERENCE: usize = 12_000;
const LEAST_DIFFERENCE: usize = 1_000;

/// What is told of all of them.
pub(in crate::changes) struct Together<'a> {
    /// Of the pull request: its branch ends with it.
    pub(in crate::changes) id: &'a str,
    pub(in crate::changes) emergency: &'a str,
    pub(in crate::changes) incident: Option<&'a str>,
    /// Why, in the words of whoever asked; one sentence or a few.
    pub(in crate::changes) about: &'a str,
    pub(in crate::changes) requested_by: &'a str,
    /// One for each object.
    pub(in crate::changes) stories: &'a [Story<'a>],
    /// Some of them must be put in their place by a person.
    pub(in crate::changes) needs_human_mapping: bool,
    pub(in crate::changes) checkpoint: Option<&'a str>,
}

impl Together<'_> {
    /// Never longer than 72 characters, unless a person must map something.
    pub(in crate::changes) fn title(&self) -> String {
        let objects = match self.stories {
            [one] => one.intent.target.to_string(),
            several => format!("{} objects", several.len()),
        };
        let title = format!("Emergency {}: bring {objects} back to Git", self.emergency);
        let title = short(&tame(&title).replace('\n', " "), SUBJECT);
        if self.needs_human_mapping { format!("To be mapped by a person: {title}") } else { title }
    }

    /// Markdown.
    pub(in crate::changes) fn body(&self) -> String {
        let Self { id, about, requested_by, stories, .. } = self;
        let mut text = format!(
            "<!-- pilothouse:change={id} -->\n{} asks for this; pilothouse made it. It brings into Git what people changed in the cluster past it, as the cluster holds it now. Nothing in the cluster was touched: merge this to keep the changes; to undo them, close this and restore the cluster from Git.\n\n{}\n",
            code(requested_by),
            block("text", &words(about)),
        );
        text.push_str("| Object | Files | Change request |\n|---|---|---|\n");
        for Story { id, intent, files, .. } in *stories {
            let object = code(&intent.target.to_string());
            let _ = writeln!(text, "| {object} | {} | {} |", body::places(files), code(id));
        }
        text.push('\n');
        let end = self.end();
        let mut left = LONGEST.saturating_sub(text.len() + end.len());
        let mut without = 0;
        for (at, story) in stories.iter().enumerate() {
            let share = (left / (stories.len() - at)).clamp(LEAST_DIFFERENCE, DIFFERENCE);
            let section = section(story, share);
            if section.len() <= left {
                left -= section.len();
                text.push_str(&section);
            } else {
                without += 1;
            }
        }
        if without > 0 {
            let _ = write!(
                text,
                "What becomes of {without} more finds no place here: see the files, and `get_change` of each.\n\n"
            );
        }
        text.push_str(&end);
        text.trim_end().to_owned() + "\n"
    }

    fn end(&self) -> String {
        format!(
            "## Rollback\n\nRevert this commit; what applies the repository brings the former state back.\n\n## How to verify\n\n- `get_emergency id={}` tells when all of it is merged and reviewed\n\n{}",
            trailer(self.emergency),
            body::links(self.links(), self.checkpoint)
        )
    }

    fn links(&self) -> Links<'_> {
        Links { request: None, emergency: Some(self.emergency), incident: self.incident }
    }

    /// The message of the commit; its Change-Id is the end of the branch's name.
    pub(in crate::changes) fn message(&self) -> String {
        let mut message = format!("{}\n\n{}\n\n", self.title(), words(self.about));
        for Story { intent, files, .. } in self.stories {
            let _ = writeln!(message, "{}: {}", words(&intent.target.to_string()), words(&files.join(", ")));
        }
        let evidence = self.stories.iter().flat_map(|story| story.evidence);
        message + &trailers(self.id, self.requested_by, self.links(), evidence, self.checkpoint)
    }
}

fn section(story: &Story<'_>, difference: usize) -> String {
    let mut text = format!(
        "## {}\n\n{}\n",
        code(&story.intent.target.to_string()),
        block("text", &words(&story.intent.reason))
    );
    if !story.changed.is_empty() {
        text.push_str(&body::fields(story.changed));
    }
    let whole = body::difference(story);
    let cut = body::cut(&whole, difference);
    let rest = if cut.len() < whole.len() { "\n… the rest is in the files of this change" } else { "" };
    let shown = format!("{cut}{rest}");
    let _ = write!(text, "{}\nDecided by {}.\n\n", block("diff", &shown), line(story.layer));
    text.push_str(&body::checks(story.checks));
    let _ = write!(text, "Risk: {}. {}\n\n", line(&super::risk_words(story)), body::lost(story));
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::{Story, Together};
    use crate::changes::{
        identity::{Intent, Target},
        text::Links,
    };

    fn intent(name: &str) -> Intent {
        let target = Target {
            kind: "ConfigMap".into(),
            group: None,
            namespace: Some("shop".into()),
            name: name.into(),
        };
        Intent { target, edits: Vec::new(), reason: format!("ann made it @team {name}") }
    }

    fn object(name: &str, lines: usize) -> Value {
        let data = "line\n".repeat(lines);
        json!({ "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": name, "namespace": "shop" }, "data": { "a": data } })
    }

    fn told(count: usize, lines: usize) -> (String, String, String) {
        let intents: Vec<Intent> = (0..count).map(|number| intent(&format!("c{number}"))).collect();
        let objects: Vec<Value> = (0..count).map(|number| object(&format!("c{number}"), lines)).collect();
        let files = ["shop/c.yaml".to_owned()];
        let stories: Vec<Story<'_>> = intents
            .iter()
            .zip(&objects)
            .map(|(intent, object)| Story {
                id: "00ff",
                intent,
                requested_by: "pilothouse",
                changed: &[],
                files: &files,
                layer: "the manifest in shop/c.yaml",
                evidence: &[],
                before: &[],
                after: std::slice::from_ref(object),
                checks: &[],
                pods: None,
                checkpoint: None,
                links: Links::default(),
            })
            .collect();
        let together = Together {
            id: "0123456789abcdef",
            emergency: "inc-7-abc",
            incident: Some("INC-7"),
            about: "checkout is down\n\nChange-Id: forged",
            requested_by: "pilothouse",
            stories: &stories,
            needs_human_mapping: false,
            checkpoint: Some("p 1 abc"),
        };
        (together.title(), together.body(), together.message())
    }

    #[test]
    fn each_object_has_its_part_and_what_is_the_same_is_said_once() {
        let (title, body, message) = told(3, 1);
        assert_eq!(title, "Emergency inc-7-abc: bring 3 objects back to Git");
        for part in [
            "## `ConfigMap shop/c0`",
            "## `ConfigMap shop/c2`",
            "| `ConfigMap shop/c1` |",
            "+kind: ConfigMap",
        ] {
            assert!(body.contains(part), "{part}: {body}");
        }
        assert_eq!(body.matches("## Rollback").count(), 1);
        let end = message.rsplit("\n\n").next().unwrap();
        assert!(end.starts_with("Change-Id: 0123456789abcdef\n"), "{message}");
        assert!(end.contains("Emergency: inc-7-abc") && end.contains("Incident: INC-7"), "{message}");
        assert_eq!(told(1, 1).0, "Emergency inc-7-abc: bring ConfigMap shop/c0 back to Git");
    }

    #[test]
    fn a_hundred_objects_fit_into_what_forges_take() {
        let (_, body, _) = told(100, 2000);
        assert!(body.len() <= 62_000, "{}", body.len());
        assert!(body.contains("more finds no place here") && body.contains("## Rollback"));
    }
}
