//! What two answers to the same call may differ in.

use regex::Regex;
use serde_json::{Value, json};

/// Members that pilothouse puts into the `_meta` of a result.
const OURS: [&str; 1] = [REDACTIONS];
/// How many secrets were taken out of it.
const REDACTIONS: &str = "pilothouse.dev/redactions";
/// Members of every result of the newest revision, which say how it is to be taken.
const OF_THE_REVISION: [&str; 1] = ["resultType"];
/// From here on a number is a moment, in milliseconds.
const MOMENT: f64 = 1e12;

/// How many secrets pilothouse took out of an answer.
pub(super) fn redactions(answer: &Value) -> u64 {
    answer["result"]["_meta"][REDACTIONS].as_u64().unwrap_or_default()
}

/// What is another one each time: moments, ages, ids, versions, and the objects that each side makes for itself.
pub(super) struct Passing(Vec<(Regex, &'static str)>);

impl Passing {
    pub(super) fn new() -> Self {
        let patterns = [
            // A token of a service account, and what stands in its place.
            (r"\beyJ[\w-]+\.[\w-]+\.[\w-]+|<redacted:[0-9a-f]+>", "<redacted>"),
            (r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "…"),
            (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\.\d+)?(Z|[+-]\d\d:?\d\d)?", "…"),
            (r"\w{3} \w{3} \d\d \d{4} \d\d:\d\d:\d\d GMT\S*( \([^)]*\))?", "…"),
            (r"\b\d{1,2}:\d\d:\d\d [AP]M\b", "…"),
            (r"\b(\d+d)?(\d+h)?(\d+m)?\d+s\b", "…"),
            (r#"(resourceVersion"?: )"?\d+"?"#, "$1…"),
            (r"\bkube-api-access-\w+", "…"),
            (r"/tmp/(manifest|patch)-\S+", "…"),
            (r"\b[0-9a-f]{7,40}\b", "…"),
            (r"session \S+", "…"),
            (r"\b(made|more|noted)-[ab]\b", "$1"),
            // Columns are as wide as what stands in them.
            (r" {2,}", "  "),
        ];
        Self(patterns.map(|(pattern, by)| (Regex::new(pattern).expect("a pattern"), by)).to_vec())
    }

    fn taken_out(&self, value: &Value) -> Value {
        match value {
            Value::String(text) => {
                let mut text = text.clone();
                for (pattern, by) in &self.0 {
                    text = pattern.replace_all(&text, *by).into_owned();
                }
                text.into()
            }
            Value::Number(number) if number.as_f64().is_some_and(|number| number >= MOMENT) => "…".into(),
            Value::Array(items) => items.iter().map(|item| self.taken_out(item)).collect(),
            Value::Object(members) => members
                .iter()
                .map(|(key, member)| match key.as_str() {
                    "resourceVersion" => (key.clone(), "…".into()),
                    _ => (key.clone(), self.taken_out(member)),
                })
                .collect(),
            other => other.clone(),
        }
    }

    /// Of an answer, all that the server itself said; of one that `differs` only the kinds of its blocks.
    pub(super) fn said(&self, answer: &Value, differs: bool) -> Value {
        if let Some(error) = answer.get("error") {
            return json!({ "error": self.taken_out(error) });
        }
        let mut result = answer["result"].clone();
        let members =
            result.as_object_mut().unwrap_or_else(|| panic!("neither a result nor an error: {answer}"));
        members.retain(|key, _| !OF_THE_REVISION.contains(&key.as_str()));
        if let Some(meta) = members.get_mut("_meta").and_then(Value::as_object_mut) {
            meta.retain(|key, _| !OURS.contains(&key.as_str()));
        }
        members.retain(|key, member| key != "_meta" || *member != json!({}));
        // Absent, it is false.
        members.entry("isError").or_insert(json!(false));
        if differs {
            let blocks = members["content"].as_array().expect("blocks").iter();
            members["content"] = blocks.map(|block| block["type"].clone()).collect();
        }
        self.taken_out(&result)
    }
}
