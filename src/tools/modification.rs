//! The forms in which a call can say what is to change: `propose_change` and `revise_change` take the same.

use serde_json::{Map, Value, json};

use super::Modification;

pub(super) const FORMS: [&str; 5] = ["edits", "merge_patch", "strategic_patch", "json_patch", "replicas"];

/// As a call gives them.
#[derive(Debug, Default)]
pub(super) struct Forms {
    pub(super) edits: Option<Map<String, Value>>,
    pub(super) merge_patch: Option<Value>,
    pub(super) strategic_patch: Option<Value>,
    pub(super) json_patch: Option<Vec<Value>>,
    pub(super) replicas: Option<u32>,
}

impl Forms {
    /// The one that was given, if one was.
    ///
    /// # Errors
    /// One sentence, when several were, or one that changes nothing.
    pub(super) fn one(self) -> Result<Option<Modification>, String> {
        let Self { edits, merge_patch, strategic_patch, json_patch, replicas } = self;
        if edits.as_ref().is_some_and(Map::is_empty) {
            return Err("`edits` is empty: name at least one field path and its new value".to_owned());
        }
        let forms: Vec<(&str, Modification)> = [
            edits.map(|edits| Modification::Edits(edits.into_iter().collect())),
            merge_patch.map(Modification::MergePatch),
            strategic_patch.map(Modification::StrategicPatch),
            json_patch.map(Modification::JsonPatch),
            replicas.map(Modification::Replicas),
        ]
        .into_iter()
        .zip(FORMS)
        .filter_map(|(given, form)| given.map(|given| (form, given)))
        .collect();
        let given: Vec<&str> = forms.iter().map(|(form, _)| *form).collect();
        if given.len() > 1 {
            return Err(format!(
                "give one of {}, not {}: one change has one form",
                FORMS.join(", "),
                given.join(" and ")
            ));
        }
        Ok(forms.into_iter().next().map(|(_, change)| change))
    }
}

/// JSON Schema of the forms, by argument.
pub(super) fn schema() -> Map<String, Value> {
    let object = |description: &str| json!({ "type": "object", "description": description });
    let edits = "new value by field path, null removes: {\"spec.template.spec.containers[name=web].resources.limits.memory\": \"256Mi\"}";
    let items = json!({ "type": "object" });
    let schemas = [
        object(edits),
        object("RFC 7386"),
        object("as of kubectl patch"),
        json!({ "type": "array", "items": items, "description": "RFC 6902" }),
        json!({ "type": "integer", "minimum": 0, "description": "number of pods" }),
    ];
    FORMS.map(str::to_owned).into_iter().zip(schemas).collect()
}

/// These properties and then those.
pub(super) fn together<const N: usize>(parts: [Map<String, Value>; N]) -> Value {
    Value::Object(parts.into_iter().flatten().collect())
}
