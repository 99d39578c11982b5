//! How a tool introduces itself.

use serde_json::{Value, json};

use crate::answer::Budget;

/// What a tool does to the world; MCP's annotation hints follow from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Reads the cluster or the fleet and nothing else.
    Reads,
    /// Reads what lies outside, for example a forge.
    ReadsOutside,
    /// Adds something outside that a person must accept; asked twice it is the same.
    Proposes,
    /// Takes away what was proposed; asked twice it is the same.
    Withdraws,
    /// Changes the cluster at once, with the caller's own rights.
    Acts,
}

pub(super) struct Definition {
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    /// Under 1 KB, the use in the first sentence.
    pub(super) description: &'static str,
    /// JSON Schema by argument.
    pub(super) properties: Value,
    pub(super) required: &'static [&'static str],
    pub(super) effect: Effect,
    /// JSON Schema of the structured answer by member, where the answer is a record.
    pub(super) output: Option<Value>,
}

impl Definition {
    /// As MCP's `Tool`.
    pub(super) fn into_value(self) -> Value {
        let Self { name, title, description, properties, required, effect, output } = self;
        let mut schema = json!({ "type": "object", "properties": properties, "additionalProperties": false });
        if !required.is_empty() {
            schema["required"] = json!(required);
        }
        let mut tool = json!({
            "name": name, "title": title, "description": description, "inputSchema": schema,
            "annotations": {
                "readOnlyHint": matches!(effect, Effect::Reads | Effect::ReadsOutside),
                "destructiveHint": matches!(effect, Effect::Withdraws | Effect::Acts),
                "idempotentHint": true,
                "openWorldHint": effect != Effect::Reads,
            },
        });
        if let Some(output) = output {
            tool["outputSchema"] = json!({ "type": "object", "properties": output });
        }
        tool
    }
}

pub(super) fn text(description: &str) -> Value {
    json!({ "type": "string", "description": description })
}

pub(super) fn flag(description: &str) -> Value {
    json!({ "type": "boolean", "description": description })
}

pub(super) fn number(description: &str, least: usize) -> Value {
    json!({ "type": "integer", "minimum": least, "description": description })
}

pub(super) fn cursor() -> Value {
    text("from the last answer, to continue it")
}

pub(super) fn max_tokens() -> Value {
    json!({ "type": "integer", "minimum": Budget::LEAST, "maximum": Budget::MOST, "description": "size of the answer" })
}
