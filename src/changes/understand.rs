//! From a proposal to an intent, with the object as the cluster has it, or as Git has it.

use serde_json::Value;

use super::identity::Intent;
use crate::{
    caller::Caller,
    tools::{ClusterChecks, Live, Modification, Proposal},
};

/// What was asked for.
pub(super) struct Understood {
    pub(super) intent: Intent,
    /// The repository that was named.
    pub(super) repository: Option<String>,
}

/// Read against the live object; without a cluster, as it stands.
///
/// # Errors
/// One sentence: the object or a field of it is not there, or the change cannot be taken.
pub(super) async fn understood(
    caller: &Caller,
    proposal: Proposal,
    cluster: Option<&dyn ClusterChecks>,
) -> Result<Understood, String> {
    let live = match cluster {
        Some(cluster) => {
            let Proposal { kind, namespace, name, .. } = &proposal;
            Some(cluster.live(caller, kind, namespace.as_deref(), name).await?)
        }
        None => None,
    };
    against(proposal, live.as_ref())
}

/// Read against the object as Git has it, or why that could not be read: patches then stand for what they name.
///
/// # Errors
/// One sentence: the change cannot be taken, or it cannot be told what it means without the object.
pub(super) fn understood_in_git(
    proposal: Proposal,
    manifest: Result<Value, String>,
) -> Result<Understood, String> {
    match manifest {
        Ok(object) => against(proposal, Some(&Live { object, ..Live::default() })),
        Err(unread) => against(proposal, None).map_err(|why| {
            format!("{why} (its manifest could not be read: {unread}; `edits` name fields without it)")
        }),
    }
}

fn against(proposal: Proposal, live: Option<&Live>) -> Result<Understood, String> {
    let (intent, repository) = Intent::parse(proposal, live)?;
    Ok(Understood { intent, repository })
}

/// Whether what it means may depend on the object.
pub(super) fn is_patch(change: &Modification) -> bool {
    match change {
        Modification::MergePatch(_) | Modification::StrategicPatch(_) | Modification::JsonPatch(_) => true,
        Modification::Edits(_) | Modification::Replicas(_) => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::understood_in_git;
    use crate::tools::{Modification, Proposal};

    fn patch(operations: Vec<Value>) -> Proposal {
        Proposal {
            kind: "Deployment".into(),
            namespace: Some("shop".into()),
            name: "web".into(),
            change: Modification::JsonPatch(operations),
            reason: "More.".into(),
            repository: None,
        }
    }

    #[test]
    fn a_patch_is_read_against_the_manifest_where_no_cluster_is() {
        let manifest = json!({ "kind": "Deployment", "spec": { "template": { "spec": { "containers": [
            { "name": "log", "image": "l" }, { "name": "web", "image": "w:1" }] } } } });
        let operation =
            json!({ "op": "replace", "path": "/spec/template/spec/containers/1/image", "value": "w:2" });
        let read = |manifest| understood_in_git(patch(vec![operation.clone()]), manifest);
        let edits = read(Ok(manifest.clone())).map(|understood| understood.intent.edits).unwrap();
        assert_eq!(edits[0].path.to_string(), "spec.template.spec.containers[name=web].image");
        let test = json!({ "op": "test", "path": "/spec/template/spec/containers/1/image", "value": "w:9" });
        let wrong = understood_in_git(patch(vec![test.clone(), operation.clone()]), Ok(manifest));
        assert!(wrong.map(|_| ()).unwrap_err().contains("operation 0"));
        let unread = understood_in_git(patch(vec![test, operation]), Err("it is nowhere".to_owned()));
        assert!(unread.map(|_| ()).unwrap_err().contains("it is nowhere"));
    }
}
