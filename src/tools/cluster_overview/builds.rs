//! Of the builds of one BuildConfig only the newest counts: an older one that failed is history.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::tools::kinds::{Line, Meta};

/// Takes all Builds, keeps the newest of each BuildConfig.
#[derive(Default)]
pub(super) struct Newest(BTreeMap<(String, String), Known>);

/// When it was made, the Build, and its row.
type Known = (Option<Timestamp>, Box<RawValue>, Line);

const CONFIG: &str = "openshift.io/build-config.name";

impl Newest {
    pub(super) fn add(&mut self, object: &RawValue, line: Line) {
        #[derive(Deserialize)]
        struct Build {
            #[serde(default)]
            metadata: Meta,
        }
        let Ok(Build { metadata }) = serde_json::from_str(object.get()) else { return };
        let of = metadata.labels.get(CONFIG).unwrap_or(&metadata.name).clone();
        let (key, made) = ((metadata.namespace, of), metadata.creation_timestamp);
        if self.0.get(&key).is_none_or(|(known, _, _)| *known < made) {
            self.0.insert(key, (made, object.to_owned(), line));
        }
    }

    pub(super) fn into_lines(self) -> impl Iterator<Item = (Box<RawValue>, Line)> {
        self.0.into_values().map(|(_, object, line)| (object, line))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{json, value::to_raw_value};

    use super::{CONFIG, Newest};
    use crate::tools::kinds::{Facts, View};

    #[test]
    fn an_older_failed_build_is_history() {
        let view = View::built_in("build.openshift.io", "Build").unwrap();
        let mut newest = Newest::default();
        for (name, day, phase) in [
            ("api-1", 1, "Failed"),
            ("api-3", 3, "Complete"),
            ("api-2", 2, "Failed"),
            ("lonely", 1, "Failed"),
        ] {
            let config = name.strip_prefix("api").map_or(name, |_| "api");
            let build = to_raw_value(&json!({
                "metadata": { "name": name, "namespace": "shop", "labels": { CONFIG: config },
                    "creationTimestamp": format!("2026-01-0{day}T00:00:00Z") },
                "status": { "phase": phase } }))
            .unwrap();
            let line = view.line(&build, &Facts::at("2026-02-01T00:00:00Z".parse().unwrap())).unwrap();
            newest.add(&build, line);
        }
        let names: Vec<String> = newest.into_lines().map(|(_, line)| line.name).collect();
        assert_eq!(names, ["api-3", "lonely"]);
    }
}
