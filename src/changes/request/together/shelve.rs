//! The requests of a pull request that holds several, on the shelf.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::bring::{Job, Ready};
use crate::{
    api::{
        ChangeRequest, ChangeRequestSpec, ChangeRequestStatus,
        change_request::{ChangePhase, ChangeTarget},
    },
    changes::{
        identity::Target,
        request::{
            Room,
            askers::note,
            carry::{describe, proposed},
            conditions::{said, time},
            id,
            keeping::Write,
            life::phase,
            problem::Problem,
            status,
        },
    },
};

/// The kind takes no longer names.
const LONGEST: usize = 256;

fn note_all(now: &mut ChangeRequestStatus, requested_by: &str, people: &BTreeSet<String>) {
    note(now, requested_by, people.iter().filter(|name| name.chars().count() <= LONGEST));
}

impl Room {
    /// Which commit is ours is not known from here until it was made: a process that ends in between must not take its
    /// own for somebody else's.
    pub(super) async fn unsure(&self, shelved: &[ChangeRequest]) -> Result<(), Problem> {
        for known in shelved {
            let _turn = self.turn(id(known)).await?;
            let Some(known) = self.shelf.get(id(known)).await? else { continue };
            let mut now = status(&known);
            if phase(&now).is_open() && !now.commit.is_empty() {
                now.commit.clear();
                let before = known.status.clone();
                let unsure = ChangeRequest { status: Some(now), ..known };
                self.keep(before.as_ref(), &unsure, Write::Status).await?;
            }
        }
        Ok(())
    }

    /// Every member has its request, open; those that are members no more are withdrawn. `common` is what all have in
    /// common: commit, content and pull request.
    pub(super) async fn shelve(
        &self,
        job: Job<'_>,
        common: &ChangeRequestStatus,
        ready: &[Ready],
        shelved: &[ChangeRequest],
    ) -> Result<(), Problem> {
        for one in ready {
            self.shelve_one(job, common, one).await?;
        }
        for left in shelved.iter().filter(|known| !ready.iter().any(|one| one.member.id == id(known))) {
            let _turn = self.turn(id(left)).await?;
            let Some(left) = self.shelf.get(id(left)).await? else { continue };
            let mut now = status(&left);
            if !phase(&now).is_open() {
                continue;
            }
            now.phase = Some(ChangePhase::Withdrawn);
            now.times.ended = Some(time(Timestamp::now()));
            now.message = said(
                "It was undone or changed once more in the cluster, so the pull request holds it no longer.",
            );
            let before = left.status.clone();
            let left = ChangeRequest { status: Some(now), ..left };
            self.keep(before.as_ref(), &left, Write::Status).await?;
        }
        Ok(())
    }

    /// Notes people who had a hand in a change, and of whom that was not known before.
    ///
    /// # Errors
    /// When the request cannot be read or kept now.
    pub(in crate::changes) async fn note_people(
        &self,
        change: &str,
        people: &BTreeSet<String>,
    ) -> Result<(), Problem> {
        let _turn = self.turn(change).await?;
        let Some(known) = self.shelf.get(change).await? else { return Ok(()) };
        let mut now = status(&known);
        note_all(&mut now, &known.spec.requested_by, people);
        let before = known.status.clone();
        if before.as_ref().is_none_or(|before| before.asked_by != now.asked_by) {
            let noted = ChangeRequest { status: Some(now), ..known };
            self.keep(before.as_ref(), &noted, Write::Status).await?;
        }
        Ok(())
    }

    async fn shelve_one(
        &self,
        job: Job<'_>,
        common: &ChangeRequestStatus,
        ready: &Ready,
    ) -> Result<(), Problem> {
        let Ready { member, draft } = ready;
        let repository = &job.home.repository;
        let Target { kind, group, namespace, name } = member.intent.target.clone();
        let spec = ChangeRequestSpec {
            target: ChangeTarget { kind, group, namespace, name },
            edits: draft.edits.clone(),
            whole: member.what.whole(),
            reason: draft.reason.clone(),
            evidence: vec![format!("EmergencyChange {}", job.about.emergency)],
            requested_by: job.caller.user.clone(),
            repository: Some(repository.name.clone()),
            emergency: Some(job.about.emergency.to_owned()),
            revises: None,
        };
        let _turn = self.turn(&member.id).await?;
        let stored = self.shelf.get(&member.id).await?;
        let mut now = stored.as_ref().map(status).unwrap_or_default();
        let was_open = matches!(now.phase, Some(ChangePhase::Proposed | ChangePhase::Approved));
        describe(&mut now, draft, repository, job.base, job.branch());
        note_all(&mut now, &spec.requested_by, job.about.people);
        now.intent = match member.what.whole() {
            None => member.intent.id(&repository.name),
            Some(_) => member.id.clone(),
        };
        let is_same = now.commit == common.commit && now.pull_request == common.pull_request;
        now.commit.clone_from(&common.commit);
        now.content.clone_from(&common.content);
        now.pull_request.clone_from(&common.pull_request);
        now.times.drafted.get_or_insert_with(|| time(Timestamp::now()));
        // What was approved stays so as long as it is the same commit.
        if !(was_open && is_same) {
            proposed(&mut now, was_open, &repository.branch, job.home.forge.has_pull_requests());
        }
        let Some(stored) = stored else {
            let mut request = ChangeRequest::new(&member.id, spec);
            request.metadata.namespace = Some(self.place_of(&request.spec.target).to_owned());
            request.status = Some(now);
            self.keep(None, &request, Write::New).await?;
            return Ok(());
        };
        let write = if stored.spec == spec { Write::Status } else { Write::Spec };
        let before = stored.status.clone();
        let request = ChangeRequest { spec, status: Some(now), ..stored };
        self.keep(before.as_ref(), &request, write).await?;
        Ok(())
    }
}
