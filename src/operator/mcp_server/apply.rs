//! Makes the children as they are meant, silently: what is as it should be is not written. Needs the writer.

use k8s_openapi::api::apps::v1::Deployment;
use kube::Resource;

use super::{
    build::Children,
    child::{Child, held_to, onto},
    decide::{Belonging, Remembered, Step, belonging, decide},
    dereference::Dereferenced,
    memory::Memory,
    validate::Owner,
};
use crate::operator::writer::{WriteError, Writer};

#[derive(Debug, thiserror::Error)]
pub(super) enum ApplyError {
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("a child cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// How the children stand after an apply.
#[derive(Debug, PartialEq)]
pub(super) enum Applied {
    InPlace(Box<Deployment>),
    /// Children of a former MCPServer of this name are still being deleted.
    Waits,
    /// These have our name and are not ours, such as `Service team-a/demo`.
    NamesTaken(Vec<String>),
}

/// What became of one child.
enum Outcome<K> {
    InPlace(K),
    Waits,
    NameTaken(String),
}

pub(super) struct Applier<'a> {
    pub writer: &'a Writer,
    pub memory: &'a Memory,
    pub owner: &'a Owner,
}

impl Applier<'_> {
    /// # Errors
    /// When the API server does not answer, refuses, or has another version of a child by now.
    pub(super) async fn apply(
        &self,
        live: &Dereferenced,
        desired: &Children,
        replicas: i32,
    ) -> Result<Applied, ApplyError> {
        let Children { service_account, service, deployment } = desired;
        // The Deployment last: its pods use the account, and are found by the Service as soon as they are ready.
        let account = self.child(live.service_account.as_ref(), service_account).await?;
        let service = self.child(live.service.as_ref(), service).await?;
        let mut taken = Vec::new();
        let mut waits = false;
        note_trouble(account, &mut taken, &mut waits);
        note_trouble(service, &mut taken, &mut waits);
        let deployment = match belonging_of(self.owner, live.deployment.as_ref()) {
            // Without account or Service no pods: they would run under what somebody else made.
            Some(Belonging::Ours) | None if !taken.is_empty() || waits => None,
            _ => {
                note_trouble(self.child(live.deployment.as_ref(), deployment).await?, &mut taken, &mut waits)
            }
        };
        if !taken.is_empty() {
            return Ok(Applied::NamesTaken(taken));
        }
        let Some(mut deployment) = deployment.filter(|_| !waits) else { return Ok(Applied::Waits) };
        if deployment.spec.as_ref().and_then(|spec| spec.replicas) != Some(replicas) {
            self.writer.scale(&deployment, replicas).await?;
            if let Some(spec) = &mut deployment.spec {
                spec.replicas = Some(replicas);
            }
        }
        Ok(Applied::InPlace(Box::new(deployment)))
    }

    /// Deletes the children that an MCPServer had which runs nothing any more.
    ///
    /// # Errors
    /// As [`Self::apply`].
    pub(super) async fn remove(&self, live: &Dereferenced) -> Result<(), ApplyError> {
        let Dereferenced { service_account, service, deployment, pods: _, observation: _ } = live;
        self.remove_child(deployment.as_ref()).await?;
        self.remove_child(service.as_ref()).await?;
        self.remove_child(service_account.as_ref()).await?;
        self.memory.forget(&self.owner.name);
        Ok(())
    }

    async fn remove_child<K: Child>(&self, live: Option<&K>) -> Result<(), ApplyError> {
        match live {
            Some(live) if belonging(self.owner, live) == Belonging::Ours => {
                Ok(self.writer.delete(live).await?)
            }
            _ => Ok(()),
        }
    }

    async fn child<K: Child>(&self, live: Option<&K>, desired: &K) -> Result<Outcome<K>, ApplyError> {
        let kind = K::kind(&());
        let remembered = self.memory.recall(&self.owner.name, &kind);
        let step = decide(self.owner, live, desired, remembered.as_ref())?;
        let applied = match (step, live) {
            (Step::Wait, _) => return Ok(Outcome::Waits),
            (Step::Foreign, _) => return Ok(Outcome::NameTaken(format!("{kind} {}", self.owner.name))),
            (Step::Keep, Some(live)) => return Ok(Outcome::InPlace(live.clone())),
            (Step::Adopt, Some(live)) => live.clone(),
            (Step::Rehearse, Some(live)) => self.rehearsed(live, desired).await?,
            (Step::Replace, Some(live)) => self.replaced(live, desired).await?,
            (_, None) | (Step::Create, Some(_)) => self.writer.create(desired).await?,
        };
        self.remember(&kind, &applied, desired)?;
        Ok(Outcome::InPlace(applied))
    }

    async fn replaced<K: Child>(&self, live: &K, desired: &K) -> Result<K, ApplyError> {
        tracing::info!(server = %self.owner.name, kind = %K::kind(&()), "changed or moved: applied");
        Ok(self.writer.replace(&onto(live, desired)).await?)
    }

    /// The API server fills in defaults and rewrites amounts: only it can say whether an update would change
    /// anything.
    async fn rehearsed<K: Child>(&self, live: &K, desired: &K) -> Result<K, ApplyError> {
        let would_be = self.writer.rehearse(&onto(live, desired)).await?;
        if held_to(&would_be, desired)? == held_to(live, desired)? {
            return Ok(live.clone());
        }
        self.replaced(live, desired).await
    }

    fn remember<K: Child>(&self, kind: &str, applied: &K, desired: &K) -> Result<(), ApplyError> {
        let uid = applied.meta().uid.clone().unwrap_or_default();
        let remembered = Remembered { uid, held_to: held_to(applied, desired)? };
        self.memory.remember(&self.owner.name, kind, remembered);
        Ok(())
    }
}

fn belonging_of<K: Resource>(owner: &Owner, live: Option<&K>) -> Option<Belonging> {
    live.map(|live| belonging(owner, live))
}

fn note_trouble<K>(outcome: Outcome<K>, taken: &mut Vec<String>, waits: &mut bool) -> Option<K> {
    match outcome {
        Outcome::InPlace(child) => Some(child),
        Outcome::Waits => {
            *waits = true;
            None
        }
        Outcome::NameTaken(what) => {
            taken.push(what);
            None
        }
    }
}
