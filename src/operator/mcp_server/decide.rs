//! What to do about one child, as a plain function.

use kube::core::DynamicObject;

use super::{
    build::DesiredHash,
    child::Child,
    owned::{Belonging, belonging},
    sightings::Sighting,
    validate::Owner,
};

/// What we left behind at our last apply of a child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Remembered {
    pub uid: String,
    /// The resourceVersion at which it was last found to be as it should.
    pub version: String,
    /// [`Child::held_to`] of it.
    pub held_to: String,
    /// The hash of the child that was meant.
    pub meant: Option<DesiredHash>,
}

impl Remembered {
    /// Whether a child is as we left it, by its version alone.
    pub(super) fn is_unmoved(&self, seen: Option<&Sighting>, child: &Child) -> bool {
        let is_same = seen.is_some_and(|seen| seen.uid == self.uid && seen.version == self.version);
        is_same && self.meant == DesiredHash::of(&child.object)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Create,
    /// It says something else than is desired, or it moved since our last apply.
    Replace,
    /// Nothing is remembered: see what an update would change, and only then do it.
    Rehearse,
    /// Another version of pilothouse built it from the same MCPServer: left as it is, remembered so.
    Adopt,
    /// As it should be.
    Keep,
    /// It is being deleted, or belongs to an MCPServer of this name that is gone: its deletion is waited for.
    Wait,
    /// It has our name and is not ours: not taken over.
    Foreign,
}

/// # Errors
/// When the child cannot be written as JSON.
pub(super) fn decide(
    owner: &Owner,
    live: Option<&DynamicObject>,
    desired: &Child,
    remembered: Option<&Remembered>,
) -> Result<Step, serde_json::Error> {
    let Some(live) = live else { return Ok(Step::Create) };
    match belonging(owner, &live.metadata) {
        Belonging::Ours => {}
        Belonging::Leaving => return Ok(Step::Wait),
        Belonging::Foreign => return Ok(Step::Foreign),
    }
    let (noted, meant) = (DesiredHash::of(live), DesiredHash::of(&desired.object));
    let inputs_match = noted.as_ref().map(|hash| &hash.inputs) == meant.as_ref().map(|hash| &hash.inputs);
    if !inputs_match {
        return Ok(Step::Replace);
    }
    let known = remembered.filter(|known| Some(&known.uid) == live.metadata.uid.as_ref());
    Ok(match known {
        Some(known) if known.held_to == desired.held_to(live)? => Step::Keep,
        Some(_) => Step::Replace,
        None if noted == meant => Step::Rehearse,
        None => Step::Adopt,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use kube::core::DynamicObject;
    use serde_json::json;

    use super::{Remembered, Step, decide};
    use crate::operator::mcp_server::{
        build::{DesiredHash, children_of},
        child::Child,
        fixture::server,
        kind::Kind,
        sightings::Sighting,
        validate::{Owner, validate},
    };

    fn of_kind(spec: &str, kind: Kind) -> (Owner, Child) {
        let server = server(spec);
        let owner = validate(&server, None).unwrap().owner;
        let children = children_of(&server).list().unwrap();
        (owner, children.into_iter().find(|child| child.kind == kind).unwrap())
    }

    fn desired(spec: &str) -> (Owner, Child) {
        of_kind(spec, Kind::Deployment)
    }

    /// As the API server would hand it out.
    fn stored(desired: &Child) -> DynamicObject {
        let mut live = desired.object.clone();
        live.metadata.uid = Some("uid-of-child".to_owned());
        live.metadata.resource_version = Some("41".to_owned());
        let revision = ("deployment.kubernetes.io/revision".to_owned(), "1".to_owned());
        live.metadata.annotations.as_mut().unwrap().extend([revision]);
        live
    }

    fn remembered(live: &DynamicObject, desired: &Child) -> Remembered {
        Remembered {
            uid: "uid-of-child".to_owned(),
            version: "41".to_owned(),
            held_to: desired.held_to(live).unwrap(),
            meant: DesiredHash::of(&desired.object),
        }
    }

    #[test]
    fn a_missing_child_is_created() {
        let (owner, desired) = desired("image: a");
        assert_eq!(decide(&owner, None, &desired, None).unwrap(), Step::Create);
    }

    #[test]
    fn an_unmoved_child_is_kept() {
        let (owner, desired) = desired("image: a");
        let live = stored(&desired);
        let known = remembered(&live, &desired);
        assert_eq!(decide(&owner, Some(&live), &desired, Some(&known)).unwrap(), Step::Keep);
    }

    #[test]
    fn status_scale_restarts_and_foreign_notes_are_no_drift() {
        let (owner, desired) = desired("image: a");
        let mut live = stored(&desired);
        let known = remembered(&live, &desired);
        live.data["status"] = json!({"replicas": 1});
        live.metadata.annotations.as_mut().unwrap().insert("a/b".into(), "c".into());
        live.metadata.labels.as_mut().unwrap().insert("a/b".into(), "c".into());
        live.data["spec"]["replicas"] = json!(7);
        live.data["spec"]["template"]["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"] =
            json!("now");
        assert_eq!(decide(&owner, Some(&live), &desired, Some(&known)).unwrap(), Step::Keep);
    }

    #[test]
    fn a_moved_child_is_replaced() {
        let (owner, desired) = desired("image: a");
        let mut live = stored(&desired);
        let known = remembered(&live, &desired);
        live.data["spec"]["template"]["spec"]["containers"][0]["image"] = json!("evil");
        assert_eq!(decide(&owner, Some(&live), &desired, Some(&known)).unwrap(), Step::Replace);
    }

    #[test]
    fn another_spec_replaces_it() {
        let (owner, before) = desired("image: a");
        let (_, after) = desired("image: b");
        let live = stored(&before);
        let known = remembered(&live, &before);
        assert_eq!(decide(&owner, Some(&live), &after, Some(&known)).unwrap(), Step::Replace);
    }

    #[test]
    fn after_a_restart_the_same_build_is_rehearsed_and_another_build_is_left_alone() {
        let (owner, desired) = desired("image: a");
        let mut live = stored(&desired);
        assert_eq!(decide(&owner, Some(&live), &desired, None).unwrap(), Step::Rehearse);
        let note =
            live.metadata.annotations.as_mut().unwrap().get_mut("pilothouse.dev/desired-hash").unwrap();
        let inputs = note.split_once('.').unwrap().0.to_owned();
        *note = format!("{inputs}.0123456789abcdef");
        assert_eq!(decide(&owner, Some(&live), &desired, None).unwrap(), Step::Adopt);
    }

    #[test]
    fn a_child_that_is_not_ours_is_not_taken_over() {
        let (owner, desired) = desired("image: a");
        let mut live = stored(&desired);
        live.metadata.owner_references = None;
        assert_eq!(decide(&owner, Some(&live), &desired, None).unwrap(), Step::Foreign);
    }

    #[test]
    fn a_child_of_a_former_namesake_is_waited_for() {
        let (owner, desired) = desired("image: a");
        let mut live = stored(&desired);
        live.metadata.owner_references.as_mut().unwrap()[0].uid = "uid-before".to_owned();
        assert_eq!(decide(&owner, Some(&live), &desired, None).unwrap(), Step::Wait);
    }

    #[test]
    fn an_update_names_the_object_it_means_and_keeps_what_others_set() {
        let (_, desired) = desired("image: a");
        let mut live = stored(&desired);
        live.data["spec"]["replicas"] = json!(7);
        live.data["spec"]["template"]["metadata"]["annotations"]["kubectl.kubernetes.io/restartedAt"] =
            json!("now");
        let update = desired.onto(&live);
        assert_eq!(update.metadata.uid.as_deref(), Some("uid-of-child"));
        assert_eq!(update.metadata.resource_version.as_deref(), Some("41"));
        assert!(update.metadata.annotations.unwrap().contains_key("deployment.kubernetes.io/revision"));
        assert_eq!(update.data["spec"]["replicas"], 7);
        let template = &update.data["spec"]["template"]["metadata"]["annotations"];
        assert_eq!(template["kubectl.kubernetes.io/restartedAt"], "now");
    }

    #[test]
    fn an_annotation_that_leaves_the_spec_leaves_the_child_and_the_pods() {
        let (_, before) = desired("{image: a, podAnnotations: {a/b: c, d/e: f}}");
        let (_, after) = desired("{image: a, podAnnotations: {d/e: f}}");
        let mut live = stored(&before);
        live.data["spec"]["template"]["metadata"]["annotations"]["x/y"] = json!("z");
        let update = after.onto(&live);
        let of_pods = &update.data["spec"]["template"]["metadata"]["annotations"];
        assert_eq!((&of_pods["d/e"], &of_pods["x/y"], of_pods.get("a/b")), (&json!("f"), &json!("z"), None));
        let account = |spec| of_kind(spec, Kind::ServiceAccount).1;
        let before = account("{image: a, serviceAccount: {annotations: {role/arn: one, other: two}}}");
        let mut live = stored(&before);
        live.metadata.annotations.as_mut().unwrap().insert("theirs".into(), "kept".into());
        let update = account("{image: a, serviceAccount: {annotations: {other: two}}}").onto(&live);
        let annotations = update.metadata.annotations.unwrap();
        assert!(annotations.contains_key("theirs") && annotations.contains_key("other"));
        assert!(!annotations.contains_key("role/arn"), "{annotations:?}");
    }

    #[test]
    fn a_claim_keeps_what_its_binding_filled_in() {
        let (_, desired) = of_kind("{image: a, storage: [{mountPath: /data, size: 2Gi}]}", Kind::Claim);
        let mut live = stored(&desired);
        live.data["spec"]["volumeName"] = json!("pv-1");
        live.data["spec"]["storageClassName"] = json!("standard");
        live.data["spec"]["resources"]["requests"]["storage"] = json!("1Gi");
        let update = desired.onto(&live);
        assert_eq!(update.data["spec"]["volumeName"], "pv-1");
        assert_eq!(update.data["spec"]["storageClassName"], "standard");
        assert_eq!(update.data["spec"]["resources"]["requests"]["storage"], "2Gi");
    }

    #[test]
    fn a_child_that_no_watch_saw_move_is_not_read_again() {
        let (_, desired) = desired("image: a");
        let known = remembered(&stored(&desired), &desired);
        let seen = |version: &str| Sighting { uid: "uid-of-child".to_owned(), version: version.to_owned() };
        assert!(known.is_unmoved(Some(&seen("41")), &desired));
        assert!(!known.is_unmoved(Some(&seen("42")), &desired));
        assert!(!known.is_unmoved(None, &desired));
        assert!(!known.is_unmoved(Some(&seen("41")), &super::tests::desired("image: b").1));
    }
}
