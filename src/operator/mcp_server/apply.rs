//! Makes the children as they are meant, silently: what is as it should be is not written, and not even read when no
//! watch saw it move. Needs the writer.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::apps::v1::Deployment;
use kube::{
    Api, Client, ResourceExt,
    core::{ApiResource, DynamicObject},
};

use super::{
    build::DesiredHash,
    child::{Child, REFERENCES},
    decide::{Remembered, Step, decide},
    kind::Kind,
    memory::Memory,
    owned::{Belonging, belonging},
    served::Served,
    sightings::{ChildName, Sighting, Sightings},
    validate::{Owner, Replicas},
};
use crate::operator::writer::{WriteError, Writer};

#[derive(Debug, thiserror::Error)]
pub(super) enum ApplyError {
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("a child cannot be read: {0}")]
    Read(#[from] kube::Error),
    #[error("a child cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl ApplyError {
    /// What the API server said when it refused, as against not having answered.
    pub(super) fn refusal(&self) -> Option<String> {
        match self {
            Self::Write(WriteError::Refused { what, source }) => match source.as_ref() {
                // Not let in, too slow, too many: that says nothing about the object.
                kube::Error::Api(status) if matches!(status.code, 401 | 408 | 429) => None,
                kube::Error::Api(status) if (400..500).contains(&status.code) => {
                    Some(format!("The API server refuses: {what}: {}", status.message))
                }
                _ => None,
            },
            Self::Write(WriteError::NotLeading | WriteError::Outdated(_)) | Self::Read(_) | Self::Json(_) => {
                None
            }
        }
    }
}

/// How the children stand after an apply.
#[derive(Debug)]
pub(super) struct Applied {
    pub outcome: Outcome,
    /// Declared, and this cluster has no such kind.
    pub missing: BTreeSet<Kind>,
    /// With the status that their operator gave them.
    pub external_secrets: Vec<DynamicObject>,
}

#[derive(Debug, PartialEq)]
pub(super) enum Outcome {
    InPlace(Box<Deployment>),
    /// Children of a former MCPServer of this name are still being deleted.
    Waits,
    /// These have our name and are not ours, such as `Service demo`.
    NamesTaken(Vec<String>),
}

/// What became of one child.
enum Stands {
    /// Not read, since it did not move.
    Untouched,
    InPlace(Box<DynamicObject>),
    Waits,
    NameTaken,
    NoSuchKind,
}

pub(super) struct Applier<'a> {
    pub client: &'a Client,
    pub writer: &'a Writer,
    pub served: &'a Served,
    pub sightings: &'a Sightings,
    pub memory: &'a Memory,
    pub owner: &'a Owner,
}

impl Applier<'_> {
    /// `deployment` is the one that exists, as it was read.
    ///
    /// # Errors
    /// When the API server does not answer, refuses, or has another version of a child by now.
    pub(super) async fn apply(
        &self,
        children: &[Child],
        deployment: Option<&DynamicObject>,
        replicas: Replicas,
    ) -> Result<Applied, ApplyError> {
        let seen = self.sightings.of(&self.owner.name);
        let mut taken = Vec::new();
        let mut waits = false;
        let mut in_place = None;
        let mut missing = BTreeSet::new();
        let mut external_secrets = Vec::new();
        for child in children {
            let is_deployment = child.kind == Kind::Deployment;
            let stands = if is_deployment {
                let is_foreign = deployment
                    .is_some_and(|live| belonging(self.owner, &live.metadata) == Belonging::Foreign);
                if (waits || !taken.is_empty()) && !is_foreign {
                    // Without account, files or Service no pods: they would run with what somebody else made.
                    continue;
                }
                self.read_child(child, deployment.cloned()).await?
            } else {
                self.child(child, seen.get(&ChildName::of(child))).await?
            };
            match stands {
                Stands::Untouched => {}
                Stands::InPlace(live) if is_deployment => in_place = Some(live),
                Stands::InPlace(live) if child.kind == Kind::ExternalSecret => external_secrets.push(*live),
                Stands::InPlace(_) => {}
                Stands::Waits => waits = true,
                Stands::NameTaken => taken.push(format!("{} {}", child.kind, child.name())),
                Stands::NoSuchKind => {
                    missing.insert(child.kind);
                }
            }
        }
        self.remove_undeclared(children, &seen).await?;
        let outcome = match in_place {
            _ if !taken.is_empty() => Outcome::NamesTaken(taken),
            Some(live) if !waits => Outcome::InPlace(Box::new(self.scaled(*live, replicas).await?)),
            _ => Outcome::Waits,
        };
        Ok(Applied { outcome, missing, external_secrets })
    }

    async fn scaled(&self, live: DynamicObject, replicas: Replicas) -> Result<Deployment, ApplyError> {
        let mut deployment: Deployment = serde_json::from_value(serde_json::to_value(live)?)?;
        let now = deployment.spec.as_ref().and_then(|spec| spec.replicas);
        let wanted = replicas.wanted(now);
        if now != Some(wanted) {
            self.writer.scale(&deployment, wanted).await?;
            if let Some(spec) = &mut deployment.spec {
                spec.replicas = Some(wanted);
            }
        }
        Ok(deployment)
    }

    /// Deletes the children that an MCPServer had which runs nothing any more; `deployment` as it was read.
    ///
    /// # Errors
    /// As [`Self::apply`].
    pub(super) async fn remove(&self, deployment: Option<&DynamicObject>) -> Result<(), ApplyError> {
        let mut seen = self.sightings.of(&self.owner.name);
        if let Some(live) = deployment {
            let name = ChildName {
                kind: Kind::Deployment,
                namespace: live.namespace().unwrap_or_default(),
                name: live.name_any(),
            };
            seen.entry(name).or_insert(Sighting { uid: String::new(), version: String::new() });
        }
        self.remove_undeclared(&[], &seen).await
    }

    async fn remove_undeclared(
        &self,
        declared: &[Child],
        seen: &BTreeMap<ChildName, Sighting>,
    ) -> Result<(), ApplyError> {
        let declared: BTreeSet<ChildName> = declared.iter().map(ChildName::of).collect();
        let mut known: BTreeSet<ChildName> = seen.keys().cloned().collect();
        known.extend(self.memory.children(&self.owner.name));
        let left = known.difference(&declared).filter(|child| !child.kind.outlives_its_field());
        // What looks at pods goes before the pods, and these before what they use.
        for child in left.collect::<Vec<_>>().into_iter().rev() {
            let Some(resource) = self.served.known(child.kind) else { continue };
            if let Some(live) = self.read(&resource, &child.namespace, &child.name).await?
                && belonging(self.owner, &live.metadata) == Belonging::Ours
            {
                tracing::info!(server = %self.owner.name, kind = %child.kind, name = child.name, "not declared any more: deleted");
                self.writer.delete_child(&resource, &live).await?;
            }
            self.memory.forget_child(&self.owner.name, child);
        }
        Ok(())
    }

    async fn child(&self, child: &Child, seen: Option<&Sighting>) -> Result<Stands, ApplyError> {
        let remembered = self.memory.recall(&self.owner.name, &ChildName::of(child));
        // The status of an ExternalSecret is asked for each time.
        let is_read = child.kind == Kind::ExternalSecret;
        if !is_read && remembered.is_some_and(|known| known.is_unmoved(seen, child)) {
            return Ok(Stands::Untouched);
        }
        let Some(resource) = self.served.find(child.kind).await? else { return Ok(Stands::NoSuchKind) };
        let live = self.read(&resource, child.namespace(), child.name()).await?;
        self.read_child(child, live).await
    }

    async fn read_child(&self, child: &Child, live: Option<DynamicObject>) -> Result<Stands, ApplyError> {
        let Some(resource) = self.served.find(child.kind).await? else { return Ok(Stands::NoSuchKind) };
        let name = ChildName::of(child);
        let remembered = self.memory.recall(&self.owner.name, &name);
        let step = decide(self.owner, live.as_ref(), child, remembered.as_ref())?;
        let applied = match (step, live) {
            (Step::Wait, Some(live)) => {
                if live.namespace().as_ref() != Some(&self.owner.name.namespace) {
                    // No garbage collector comes by there.
                    self.writer.delete_child(&resource, &live).await?;
                }
                return Ok(Stands::Waits);
            }
            (Step::Wait, None) => return Ok(Stands::Waits),
            (Step::Foreign, _) => return Ok(Stands::NameTaken),
            (Step::Keep | Step::Adopt, Some(live)) => self.told(child, &resource, live).await?,
            (Step::Rehearse, Some(live)) => self.rehearsed(child, &resource, live).await?,
            (Step::Replace, Some(live)) => self.replaced(child, &resource, &live).await?,
            (_, None) | (Step::Create, Some(_)) => {
                let created = self.writer.create_child(&resource, &child.served_as(&resource)).await?;
                let Some(created) = created else {
                    self.served.is_gone(child.kind);
                    return Ok(Stands::NoSuchKind);
                };
                created
            }
        };
        let remembered = Remembered {
            uid: applied.uid().unwrap_or_default(),
            version: applied.resource_version().unwrap_or_default(),
            held_to: child.held_to(&applied)?,
            meant: DesiredHash::of(&child.object),
        };
        self.memory.remember(&self.owner.name, name, remembered);
        Ok(Stands::InPlace(Box::new(applied)))
    }

    async fn replaced(
        &self,
        child: &Child,
        resource: &ApiResource,
        live: &DynamicObject,
    ) -> Result<DynamicObject, ApplyError> {
        tracing::info!(server = %self.owner.name, kind = %child.kind, name = child.name(), "changed or moved: applied");
        Ok(self.writer.replace_child(resource, &child.onto(live)).await?)
    }

    /// The API server fills in defaults and rewrites amounts: only it can say whether an update would change
    /// anything.
    async fn rehearsed(
        &self,
        child: &Child,
        resource: &ApiResource,
        live: DynamicObject,
    ) -> Result<DynamicObject, ApplyError> {
        let would_be = self.writer.rehearse_child(resource, &child.onto(&live)).await?;
        if child.held_to(&would_be)? == child.held_to(&live)? {
            return self.told(child, resource, live).await;
        }
        self.replaced(child, resource, &live).await
    }

    /// What pods were told of the objects they refer to is noted on a Deployment that needs no other change.
    async fn told(
        &self,
        child: &Child,
        resource: &ApiResource,
        mut live: DynamicObject,
    ) -> Result<DynamicObject, ApplyError> {
        let meant = child.object.annotations().get(REFERENCES);
        if live.annotations().get(REFERENCES) == meant {
            return Ok(live);
        }
        match meant {
            Some(meant) => live.annotations_mut().insert(REFERENCES.to_owned(), meant.clone()),
            None => live.annotations_mut().remove(REFERENCES),
        };
        Ok(self.writer.note_child(resource, &live).await?)
    }

    async fn read(
        &self,
        resource: &ApiResource,
        namespace: &str,
        name: &str,
    ) -> Result<Option<DynamicObject>, ApplyError> {
        let api = Api::<DynamicObject>::namespaced_with(self.client.clone(), namespace, resource);
        Ok(api.get_opt(name).await?)
    }
}
