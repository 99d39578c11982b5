//! Any other kind: the columns of its CRD, and its health from its conditions and phase.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::{Facts, Health, Line, Meta, age, json_path::JsonPath, object::Condition};

/// How a CRD wants its objects shown.
#[derive(Clone, Debug, Default)]
pub(in crate::tools) struct Custom(Vec<Column>);

#[derive(Clone, Debug)]
struct Column {
    name: String,
    is_date: bool,
    path: Option<JsonPath>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Printer {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    json_path: String,
    #[serde(default)]
    priority: i32,
}

impl Custom {
    /// The columns of `version` in a CustomResourceDefinition that kubectl shows without `-o wide`; the age is
    /// ours already.
    pub(in crate::tools) fn of_crd(crd: &RawValue, version: &str) -> Self {
        #[derive(Deserialize)]
        struct Definition {
            spec: Spec,
        }
        #[derive(Deserialize)]
        struct Spec {
            versions: Vec<Version>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Version {
            name: String,
            #[serde(default)]
            additional_printer_columns: Vec<Printer>,
        }
        let Ok(Definition { spec }) = serde_json::from_str(crd.get()) else { return Self::default() };
        let versions = spec.versions.into_iter().find(|known| known.name == version);
        let printers = versions.map(|version| version.additional_printer_columns).unwrap_or_default();
        let columns = printers
            .into_iter()
            .filter(|printer| printer.priority == 0 && printer.json_path != ".metadata.creationTimestamp")
            .map(|Printer { name, kind, json_path, priority: _ }| Column {
                name: name.to_uppercase(),
                is_date: kind == "date",
                path: JsonPath::parse(&json_path),
            });
        Self(columns.collect())
    }

    pub(super) fn columns(&self) -> Vec<String> {
        self.0.iter().map(|column| column.name.clone()).collect()
    }

    pub(super) fn line(&self, object: &RawValue, facts: &Facts) -> Result<Line, serde_json::Error> {
        #[derive(Deserialize)]
        struct Object {
            #[serde(default)]
            metadata: Meta,
            #[serde(default)]
            status: Value,
        }
        let Object { metadata, status } = serde_json::from_str(object.get())?;
        let whole: Value = if self.0.is_empty() { Value::Null } else { serde_json::from_str(object.get())? };
        let cell = |column: &Column| {
            let shown = column.path.as_ref().map(|path| path.show(&whole)).unwrap_or_default();
            match shown.parse::<Timestamp>() {
                Ok(at) if column.is_date => age(Some(at), facts.now),
                _ => shown,
            }
        };
        Ok(Line {
            health: health(&status),
            cells: self.0.iter().map(cell).collect(),
            age: age(metadata.creation_timestamp, facts.now),
            namespace: metadata.namespace,
            name: metadata.name,
        })
    }
}

/// Conditions that are good when true; their absence says nothing.
const GOOD: [&str; 12] = [
    "Ready",
    "Available",
    "Healthy",
    "Established",
    "Accepted",
    "Synced",
    "Succeeded",
    "Programmed",
    "ResolvedRefs",
    "Verified",
    "Registered",
    "Reconciled",
];
/// Conditions that are bad when true.
const BAD: [&str; 6] = ["Degraded", "Failed", "Stalled", "Error", "ReconcileError", "Failure"];

fn health(status: &Value) -> Health {
    let conditions: Vec<Condition> = status
        .get("conditions")
        .and_then(|conditions| serde_json::from_value(conditions.clone()).ok())
        .unwrap_or_default();
    let words =
        |condition: &Condition| format!("{}={} {}", condition.kind, condition.status, condition.words());
    let is = |condition: &Condition, kinds: &[&str], status: &str| {
        kinds.contains(&condition.kind.as_str()) && condition.status == status
    };
    let broken = conditions.iter().find(|known| is(known, &GOOD, "False") || is(known, &BAD, "True"));
    if let Some(broken) = broken {
        return Health::broken(words(broken));
    }
    match status.get("phase").and_then(Value::as_str) {
        Some(phase @ ("Failed" | "Error" | "Lost")) => return Health::broken(format!("phase {phase}")),
        Some(phase @ ("Degraded" | "Pending")) => return Health::warning(format!("phase {phase}")),
        _ => {}
    }
    if let Some(unknown) = conditions.iter().find(|known| is(known, &GOOD, "Unknown")) {
        return Health::warning(words(unknown));
    }
    if conditions.iter().any(|known| is(known, &GOOD, "True")) {
        Health::healthy()
    } else {
        Health::unknown()
    }
}

/// The conditions of any object, one line each: `Ready=False since 5m Reason: message`.
pub(in crate::tools) fn conditions(object: &Value, now: Timestamp) -> Vec<String> {
    let all = object["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    all.iter()
        .filter_map(|value| {
            let condition: Condition = serde_json::from_value(value.clone()).ok()?;
            let since = value["lastTransitionTime"].as_str().and_then(|at| at.parse::<Timestamp>().ok());
            let since = since.map_or_else(String::new, |at| format!(" for {}", age(Some(at), now)));
            let words = condition.words();
            let words = if words.is_empty() { words } else { format!(" {words}") };
            Some(format!("{}={}{since}{words}", condition.kind, condition.status))
        })
        .collect()
}
