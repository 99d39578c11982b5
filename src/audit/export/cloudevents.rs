//! A line as a CloudEvent 1.0: the line itself is its data.

use serde_json::{Value, json};

use super::Recorded;

/// `source` and `id` together name the line for ever: a log never has two lines of one number.
pub(super) fn event(recorded: &Recorded, line: Value, origin: &str) -> Value {
    json!({
        "specversion": "1.0",
        "id": recorded.seq.to_string(),
        "source": origin,
        "type": format!("dev.pilothouse.audit.{}", recorded.action.replace('/', ".")),
        "subject": recorded.target,
        "time": recorded.at,
        "datacontenttype": "application/json",
        "data": line,
    })
}
