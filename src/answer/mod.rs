//! What a tool answers: text a model reads, the typed record beside it, both inside one token budget.

mod budget;
mod cursor;
mod page;
mod seal;
mod sealed;
mod table;
mod window;

pub use budget::Budget;
pub use cursor::{Cursor, CursorError, Mark, Place};
pub use page::{Page, Rank, Row, Selection};
pub use seal::{SealError, Sealer};
pub use sealed::Ring;
pub use table::Table;
pub use window::{Window, window};

use serde_json::{Value, json, value::RawValue};

/// The answer of one of our own tools.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub text: String,
    /// The typed record; must be an object and conform to the tool's `outputSchema`, where it has one.
    pub structured: Option<Value>,
    /// A tool that could not do what was asked says so in `text` and sets this (MCP `isError`).
    pub is_error: bool,
}

impl Answer {
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), structured: None, is_error: false }
    }

    pub fn structured(text: impl Into<String>, structured: Value) -> Self {
        Self { text: text.into(), structured: Some(structured), is_error: false }
    }

    /// `text` is one sentence: what went wrong, where, and what to do.
    pub fn error(text: impl Into<String>) -> Self {
        Self { text: text.into(), structured: None, is_error: true }
    }

    /// As MCP's `CallToolResult`.
    pub fn into_result(self) -> Box<RawValue> {
        let Self { text, structured, is_error } = self;
        let mut result = json!({ "content": [{ "type": "text", "text": text }] });
        if let Some(structured) = structured {
            result["structuredContent"] = structured;
        }
        if is_error {
            result["isError"] = Value::Bool(true);
        }
        serde_json::value::to_raw_value(&result).unwrap_or_else(|_| RawValue::NULL.to_owned())
    }
}

/// `1 line`, `2 lines`.
pub fn counted(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}
