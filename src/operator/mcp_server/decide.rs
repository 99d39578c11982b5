//! What to do about one child, as a plain function.

use kube::{Resource, ResourceExt};

use super::{
    build::DesiredHash,
    child::{Child, held_to},
    validate::Owner,
};
use crate::api::MCPServer;

/// What we left behind at our last apply of a child.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Remembered {
    pub uid: String,
    /// [`held_to`] of it.
    pub held_to: String,
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
pub(super) fn decide<K: Child>(
    owner: &Owner,
    live: Option<&K>,
    desired: &K,
    remembered: Option<&Remembered>,
) -> Result<Step, serde_json::Error> {
    let Some(live) = live else { return Ok(Step::Create) };
    match belonging(owner, live) {
        Belonging::Ours => {}
        Belonging::Leaving => return Ok(Step::Wait),
        Belonging::Foreign => return Ok(Step::Foreign),
    }
    let (noted, meant) = (DesiredHash::of(live), DesiredHash::of(desired));
    let inputs_match = noted.as_ref().map(|hash| &hash.inputs) == meant.as_ref().map(|hash| &hash.inputs);
    if !inputs_match {
        return Ok(Step::Replace);
    }
    let known = remembered.filter(|known| Some(&known.uid) == live.meta().uid.as_ref());
    Ok(match known {
        Some(known) if known.held_to == held_to(live, desired)? => Step::Keep,
        Some(_) => Step::Replace,
        None if noted == meant => Step::Rehearse,
        None => Step::Adopt,
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Belonging {
    Ours,
    Leaving,
    Foreign,
}

/// Whether a child that exists belongs to this MCPServer, which is told by its controlling owner's uid.
pub(super) fn belonging<K: Resource>(owner: &Owner, live: &K) -> Belonging {
    let Some(controller) = live.owner_references().iter().find(|owner| owner.controller == Some(true)) else {
        return Belonging::Foreign;
    };
    let is_ours = controller.uid == owner.reference.uid;
    let is_of_a_namesake = controller.kind == MCPServer::kind(&())
        && controller.api_version == MCPServer::api_version(&())
        && controller.name == owner.reference.name;
    if is_ours && live.meta().deletion_timestamp.is_none() {
        Belonging::Ours
    } else if is_ours || is_of_a_namesake {
        Belonging::Leaving
    } else {
        Belonging::Foreign
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use k8s_openapi::api::apps::v1::Deployment;

    use super::{Remembered, Step, decide};
    use crate::operator::mcp_server::{
        build::build,
        child::{held_to, onto},
        fixture::server,
        validate::{Owner, Runs, validate},
    };

    fn desired(spec: &str) -> (Owner, Deployment) {
        let validated = validate(&server(spec), None).unwrap();
        let Runs::Workload(workload) = validated.runs else { panic!("a workload was expected") };
        let children = build(&validated.owner, &workload).unwrap();
        (validated.owner, children.deployment)
    }

    /// As the API server would hand it out.
    fn stored(desired: &Deployment) -> Deployment {
        let mut live = desired.clone();
        live.metadata.uid = Some("uid-of-child".to_owned());
        live.metadata.resource_version = Some("41".to_owned());
        let revision = ("deployment.kubernetes.io/revision".to_owned(), "1".to_owned());
        live.metadata.annotations.as_mut().unwrap().extend([revision]);
        live
    }

    fn remembered(live: &Deployment, desired: &Deployment) -> Remembered {
        Remembered { uid: "uid-of-child".to_owned(), held_to: held_to(live, desired).unwrap() }
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
        live.status = Some(k8s_openapi::api::apps::v1::DeploymentStatus::default());
        live.metadata.annotations.as_mut().unwrap().insert("a/b".into(), "c".into());
        live.metadata.labels.as_mut().unwrap().insert("a/b".into(), "c".into());
        let spec = live.spec.as_mut().unwrap();
        spec.replicas = Some(7);
        let template = spec.template.metadata.as_mut().unwrap().annotations.as_mut().unwrap();
        template.insert("kubectl.kubernetes.io/restartedAt".into(), "now".into());
        assert_eq!(decide(&owner, Some(&live), &desired, Some(&known)).unwrap(), Step::Keep);
    }

    #[test]
    fn a_moved_child_is_replaced() {
        let (owner, desired) = desired("image: a");
        let mut live = stored(&desired);
        let known = remembered(&live, &desired);
        live.spec.as_mut().unwrap().template.spec.as_mut().unwrap().containers[0].image = Some("evil".into());
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
        let spec = live.spec.as_mut().unwrap();
        spec.replicas = Some(7);
        let template = spec.template.metadata.as_mut().unwrap().annotations.as_mut().unwrap();
        template.insert("kubectl.kubernetes.io/restartedAt".into(), "now".into());
        let update = onto(&live, &desired);
        assert_eq!(update.metadata.uid.as_deref(), Some("uid-of-child"));
        assert_eq!(update.metadata.resource_version.as_deref(), Some("41"));
        assert!(update.metadata.annotations.unwrap().contains_key("deployment.kubernetes.io/revision"));
        let spec = update.spec.unwrap();
        assert_eq!(spec.replicas, Some(7));
        let template = spec.template.metadata.unwrap().annotations.unwrap();
        assert_eq!(template["kubectl.kubernetes.io/restartedAt"], "now");
    }
}
