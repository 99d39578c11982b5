//! From an object up to what made it, by its owner references.

use serde_json::Value;

use super::desk::Desk;

/// Kinds own kinds in a few steps; more is a circle.
const MOST: usize = 8;

/// What stands above an object.
#[derive(Clone, Debug, Default)]
pub(super) struct Owners {
    /// Nearest first.
    pub(super) found: Vec<Value>,
    /// Why there is no more, when the last one names an owner that was not found: `ReplicaSet shop/x: ...`.
    pub(super) lost: Option<String>,
}

impl Desk {
    /// The owner that controls the object, its owner, and so on.
    pub(super) async fn owners(&self, object: &Value) -> Owners {
        let mut owners = Owners::default();
        while owners.found.len() < MOST {
            let below = owners.found.last().unwrap_or(object);
            let Some(reference) = controller(below) else { break };
            let namespace = below["metadata"]["namespace"].as_str();
            match self.owner(reference, namespace).await {
                Ok(owner) => owners.found.push(owner),
                Err(why) => {
                    owners.lost = Some(why);
                    break;
                }
            }
        }
        owners
    }

    async fn owner(&self, reference: &Value, namespace: Option<&str>) -> Result<Value, String> {
        let text = |key: &str| reference[key].as_str().unwrap_or_default();
        let (kind, name) = (text("kind"), text("name"));
        let group = group_of(text("apiVersion"));
        let lost = |why: &str| format!("{kind} {name}: {why}");
        let kinds = self.reader.kinds().await.map_err(|error| lost(&error.to_string()))?;
        let resource = kinds.of_kind(group, kind).ok_or_else(|| lost("the cluster has no such kind"))?;
        let raw =
            self.reader.get(resource, namespace, name).await.map_err(|error| lost(&error.to_string()))?;
        let owner: Value = serde_json::from_str(raw.get()).map_err(|error| lost(&error.to_string()))?;
        if owner["metadata"]["uid"] == reference["uid"] {
            Ok(owner)
        } else {
            Err(lost("it is gone, another has its name"))
        }
    }
}

/// The reference to what controls the object; to its first owner if none does.
pub(super) fn controller(object: &Value) -> Option<&Value> {
    let references = object["metadata"]["ownerReferences"].as_array()?;
    references.iter().find(|one| one["controller"] == true).or(references.first())
}

/// `apps` of `apps/v1`, nothing of `v1`.
pub(super) fn group_of(api_version: &str) -> &str {
    api_version.split_once('/').map_or("", |(group, _)| group)
}

/// `Deployment shop/cart`.
pub(super) fn title(object: &Value) -> String {
    let meta = |key: &str| object["metadata"][key].as_str().unwrap_or_default();
    let kind = object["kind"].as_str().unwrap_or("object");
    match meta("namespace") {
        "" => format!("{kind} {}", meta("name")),
        namespace => format!("{kind} {namespace}/{}", meta("name")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{controller, group_of, title};

    #[test]
    fn the_controlling_owner_counts() {
        let object = json!({ "kind": "Pod", "metadata": { "name": "a", "namespace": "n", "ownerReferences": [
            { "kind": "Node", "name": "x" }, { "kind": "ReplicaSet", "name": "y", "controller": true }] } });
        assert_eq!(controller(&object).map(|one| &one["name"]), Some(&json!("y")));
        assert_eq!(title(&object), "Pod n/a");
        assert_eq!(title(&json!({ "kind": "Node", "metadata": { "name": "n1" } })), "Node n1");
        assert_eq!((group_of("apps/v1"), group_of("v1")), ("apps", ""));
    }
}
