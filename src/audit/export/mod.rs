//! Lines of the record in the words of other systems. Pure; lines that cannot be read are errors, never left out.

mod cloudevents;
mod ocsf;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::canonical::canonical;

/// What lines can be turned into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// OCSF API Activity (class 6003), schema 1.3.
    Ocsf,
    /// CloudEvents 1.0, structured JSON.
    CloudEvents,
}

/// Why a line cannot be exported.
#[derive(Debug, thiserror::Error)]
#[error("it is no line of an audit record ({0}): run `pilothouse audit verify` on the file")]
pub struct NotALine(String);

impl From<serde_json::Error> for NotALine {
    fn from(error: serde_json::Error) -> Self {
        Self(error.to_string())
    }
}

/// A line as it was read back; those of the older form lack much of it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Recorded {
    seq: u64,
    at: jiff::Timestamp,
    caller: String,
    proof: Option<String>,
    groups: Option<Value>,
    action: String,
    target: String,
    arguments_digest: Option<String>,
    call: Option<String>,
    #[serde(default)]
    objects: Vec<Touched>,
    #[serde(default)]
    verbs: Vec<String>,
    outcome: Option<Value>,
    decision: String,
    #[serde(default)]
    facts: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
struct Touched {
    kind: String,
    namespace: Option<String>,
    name: String,
}

/// `line`, without its break, as one line of `format`. `origin` is the log's name.
///
/// # Errors
/// When it is not a line of a record.
pub fn export(line: &str, origin: &str, format: Format) -> Result<String, NotALine> {
    let recorded: Recorded = serde_json::from_str(line)?;
    let value = match format {
        Format::Ocsf => ocsf::activity(&recorded, origin),
        Format::CloudEvents => cloudevents::event(&recorded, serde_json::from_str(line)?, origin),
    };
    Ok(canonical(&value)?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::Value;

    use super::{Format, export};
    use crate::{
        audit::{
            Call, Line, Object, Outcome,
            chain::{tests::older, text},
        },
        caller::Caller,
    };

    const ORIGIN: &str = "pilothouse.dev/audit/local/00c0ffee";

    fn line() -> String {
        let line = Line::now(&Caller::process(), "change/push", "Deployment shop/web", "allowed")
            .on(Object::new("Deployment", Some("shop"), "web"))
            .verbs(["push"])
            .of_call(&Call::next())
            .left(Outcome { tokens: 12, redactions: 1 })
            .with("branch", "pilothouse/1");
        text(7, &line).unwrap()
    }

    fn exported(line: &str, format: Format) -> Value {
        let text = export(line, ORIGIN, format).unwrap();
        assert!(!text.contains('\n'));
        serde_json::from_str(&text).unwrap()
    }

    /// What OCSF 1.3 requires of API Activity and of the objects in it.
    #[test]
    fn an_activity_has_all_that_ocsf_requires() {
        for line in [line(), older(1).concat().trim().to_owned()] {
            let activity = exported(&line, Format::Ocsf);
            for required in ["activity_id", "category_uid", "class_uid", "severity_id", "time", "type_uid"] {
                assert!(activity[required].is_i64(), "{required}: {activity}");
            }
            let (class, id) =
                (activity["class_uid"].as_i64().unwrap(), activity["activity_id"].as_i64().unwrap());
            assert_eq!((class, activity["category_uid"].as_i64()), (6003, Some(6)));
            assert_eq!(activity["type_uid"].as_i64(), Some(class * 100 + id));
            assert!(
                activity["actor"]["user"]["name"].is_string() && activity["api"]["operation"].is_string()
            );
            assert!(activity["metadata"]["version"].is_string());
            assert!(activity["metadata"]["product"]["vendor_name"].is_string());
            assert!(activity["src_endpoint"]["name"].is_string());
            assert!(activity["time"].as_i64().unwrap() > 1_700_000_000_000, "milliseconds: {activity}");
        }
        let activity = exported(&line(), Format::Ocsf);
        assert_eq!(activity["resources"][0]["name"], "web");
        assert_eq!(activity["resources"][0]["namespace"], "shop");
        assert_eq!(activity["metadata"]["uid"], format!("{ORIGIN}#7"));
        assert_eq!((activity["activity_id"].as_i64(), activity["status_id"].as_i64()), (Some(3), Some(1)));
    }

    #[test]
    fn an_event_has_the_attributes_of_cloudevents() {
        let event = exported(&line(), Format::CloudEvents);
        assert_eq!((&event["specversion"], &event["id"]), (&"1.0".into(), &"7".into()));
        assert_eq!(
            (&event["source"], &event["type"]),
            (&ORIGIN.into(), &"dev.pilothouse.audit.change.push".into())
        );
        assert_eq!(event["subject"], "Deployment shop/web");
        assert_eq!(event["datacontenttype"], "application/json");
        assert_eq!(event["data"]["facts"]["branch"], "pilothouse/1");
        assert!(event["time"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
    }

    #[test]
    fn what_is_no_line_is_not_left_out() {
        let refused = export("{\"seq\":1", ORIGIN, Format::Ocsf).unwrap_err().to_string();
        assert!(refused.contains("audit verify"), "{refused}");
    }
}
