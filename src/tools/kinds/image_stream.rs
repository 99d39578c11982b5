//! OpenShift's ImageStreams: their tags, and the imports that failed.

use jiff::Timestamp;
use serde::Deserialize;

use super::{Facts, Health, Meta, Shape, age, object::Condition};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ImageStream {
    metadata: Meta,
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    docker_image_repository: String,
    tags: Option<Vec<Tag>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Tag {
    tag: String,
    // Newest first.
    items: Option<Vec<Image>>,
    conditions: Vec<Condition>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Image {
    created: Option<Timestamp>,
}

const TAGS_NAMED: usize = 6;

impl Shape for ImageStream {
    const COLUMNS: &'static [&'static str] = &["REPOSITORY", "TAGS", "UPDATED"];

    fn meta(&self) -> &Meta {
        &self.metadata
    }

    fn health(&self, _facts: &Facts) -> Health {
        let failed = self.tags().iter().find_map(|tag| {
            let import = Condition::find(&tag.conditions, "ImportSuccess");
            Some((tag, import.filter(|known| known.status == "False")?))
        });
        match failed {
            // Earlier images of the tag can still be pulled.
            Some((tag, import)) if tag.items.as_ref().is_some_and(|items| !items.is_empty()) => {
                Health::warning(format!("tag {} is not imported anew: {}", tag.tag, import.words()))
            }
            Some((tag, import)) => {
                Health::broken(format!("tag {} cannot be imported: {}", tag.tag, import.words()))
            }
            None if self.tags().is_empty() => Health::unknown(),
            None => Health::healthy(),
        }
    }

    fn cells(&self, facts: &Facts) -> Vec<String> {
        let tags = self.tags();
        let mut named: Vec<&str> = tags.iter().take(TAGS_NAMED).map(|tag| tag.tag.as_str()).collect();
        let more = tags.len().saturating_sub(TAGS_NAMED);
        let rest = format!("and {more} more");
        if more > 0 {
            named.push(&rest);
        }
        let newest =
            tags.iter().flat_map(|tag| tag.items.iter().flatten()).filter_map(|item| item.created).max();
        vec![self.status.docker_image_repository.clone(), named.join(","), age(newest, facts.now)]
    }
}

impl ImageStream {
    fn tags(&self) -> &[Tag] {
        self.status.tags.as_deref().unwrap_or_default()
    }
}
