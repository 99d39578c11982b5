//! How an object is with its change. Pure.
//!
//! Objects are judged as the lists judge them, but for one: an autoscaler may be unwell for reasons that its bounds
//! have nothing to do with, metrics that are missing or a load that keeps it at its maximum. It keeps its target
//! within the bounds all the same, and that is what a change of them is about.

use serde_json::Value;

use crate::api::change_request::FieldEdit;

/// How an object is with its change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Health {
    Good,
    Not { why: String },
}

const BOUNDS: [&str; 2] = ["spec.minReplicas", "spec.maxReplicas"];

/// How the autoscaler is with its bounds; nothing where it is about more than the bounds of one.
pub(super) fn of_bounds(object: &Value, edits: &[FieldEdit]) -> Option<Health> {
    let is_bounds = edits.iter().all(|edit| BOUNDS.contains(&edit.path.as_str()));
    if object["kind"] != "HorizontalPodAutoscaler" || edits.is_empty() || !is_bounds {
        return None;
    }
    Some(match lacking(object) {
        None => Health::Good,
        Some(why) => Health::Not { why },
    })
}

fn lacking(object: &Value) -> Option<String> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let condition = |type_: &str| {
        let conditions = status["conditions"].as_array().into_iter().flatten();
        conditions.into_iter().find(|known| known["type"] == type_)
    };
    match condition("AbleToScale") {
        Some(able) if able["status"] == "True" => {}
        Some(able) => {
            let said = able["message"].as_str().unwrap_or("it cannot scale its target");
            return Some(said.to_owned());
        }
        None => return Some("its controller has not looked at it yet".to_owned()),
    }
    // Nobody scales a target that was set to 0.
    if condition("ScalingActive").is_some_and(|active| active["reason"] == "ScalingDisabled") {
        return None;
    }
    let least = spec["minReplicas"].as_u64().unwrap_or(1);
    let most = spec["maxReplicas"].as_u64()?;
    let now = status["currentReplicas"].as_u64().unwrap_or(0);
    (now < least || now > most)
        .then(|| format!("its target has {now} pods, and the bounds are {least} and {most}"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Health, of_bounds};
    use crate::api::change_request::FieldEdit;

    fn autoscaler(current: u64, conditions: Value) -> Value {
        json!({ "kind": "HorizontalPodAutoscaler", "spec": { "minReplicas": 2, "maxReplicas": 3 },
            "status": { "currentReplicas": current, "conditions": conditions } })
    }

    fn edit(path: &str) -> FieldEdit {
        FieldEdit { path: path.to_owned(), new: Some(json!(3)) }
    }

    #[test]
    fn bounds_are_kept_without_metrics_and_at_the_maximum() {
        let able = json!({ "type": "AbleToScale", "status": "True", "reason": "SucceededGetScale" });
        let blind =
            json!({ "type": "ScalingActive", "status": "False", "reason": "FailedGetResourceMetric" });
        let bounds = [edit("spec.maxReplicas"), edit("spec.minReplicas")];
        let of = |object: &Value| of_bounds(object, &bounds);
        assert_eq!(of(&autoscaler(3, json!([able, blind]))), Some(Health::Good));
        let said = |object: &Value| match of(object) {
            Some(Health::Not { why }) => why,
            other => format!("{other:?}"),
        };
        assert!(said(&autoscaler(1, json!([able, blind]))).contains("1 pods"));
        assert!(said(&autoscaler(4, json!([able]))).contains("4 pods"));
        assert!(said(&autoscaler(3, json!([]))).contains("not looked"));
        let lost =
            json!({ "type": "AbleToScale", "status": "False", "message": "deployments web not found" });
        assert!(said(&autoscaler(3, json!([lost]))).contains("not found"));
        let off = json!({ "type": "ScalingActive", "status": "False", "reason": "ScalingDisabled" });
        assert_eq!(of(&autoscaler(0, json!([able, off]))), Some(Health::Good));
    }

    #[test]
    fn another_change_of_an_autoscaler_is_judged_by_all_that_it_says() {
        let object = autoscaler(2, json!([]));
        assert_eq!(
            of_bounds(&object, &[edit("spec.maxReplicas"), edit("spec.metrics[0].resource.name")]),
            None
        );
        assert_eq!(of_bounds(&json!({ "kind": "Deployment" }), &[edit("spec.maxReplicas")]), None);
        assert_eq!(of_bounds(&object, &[]), None);
    }
}
