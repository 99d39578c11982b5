//! From what a caller asks to the request that stands for it.

use serde_json::Value;

use super::{
    super::{
        climb,
        config::Repository,
        identity::{Target, clean},
        layers,
        source::{self, NoPlace, Place},
        understand::{self, Understood},
    },
    Home, Room,
    carried::Carried,
    carry::{How, Load},
    id,
    life::{Start, phase, start},
    problem::Problem,
    progress::Stage,
    spec::{self, Cause},
    status, together, words,
};
use crate::{
    answer::Answer,
    api::{ChangeRequest, change_request::ChangePhase},
    audit::Line,
    caller::Caller,
    redact,
    tools::{Proposal, Sought, Trace},
};

impl Room {
    pub(in crate::changes) async fn propose(&self, caller: &Caller, proposal: Proposal) -> Answer {
        let asked =
            format!("{} {}/{}", proposal.kind, proposal.namespace.as_deref().unwrap_or("-"), proposal.name);
        match self.try_propose(caller, proposal, Cause::default()).await {
            Ok((_, answer)) => answer,
            Err(problem) => self.refused(caller, "change/propose", &asked, "Nothing was proposed", &problem),
        }
    }

    /// Says and records why something was not done.
    pub(super) fn refused(
        &self,
        caller: &Caller,
        action: &str,
        asked: &str,
        what: &str,
        problem: &Problem,
    ) -> Answer {
        // What a parser or git quotes may be a secret.
        let problem = redact::text(&problem.to_string()).into_owned();
        let line = Line::now(caller, action, &clean(asked), "refused").with("reason", problem.as_str());
        if let Err(error) = self.audit.queue(line) {
            tracing::error!(%error, "a refused change is not in the audit record");
        }
        Answer::error(format!("{what}: {problem}."))
    }

    /// With the request's id.
    ///
    /// # Errors
    /// When nothing came of it; the request may stand as Failed.
    pub(in crate::changes) async fn try_propose(
        &self,
        caller: &Caller,
        proposal: Proposal,
        cause: Cause,
    ) -> Result<(String, Answer), Problem> {
        if let Some(access) = &self.access {
            access.sees_object(caller, &proposal).await.map_err(Problem::Asked)?;
        }
        let (proposal, climbed) = self.climbed(caller, proposal).await?;
        let (id, mut answer) = self.propose_itself(caller, proposal, cause).await?;
        if let Some(climbed) = climbed {
            answer.text = format!("{climbed}\n{}", answer.text);
        }
        Ok((id, answer))
    }

    /// What makes a Pod or a ReplicaSet in its place, with a sentence that says so.
    ///
    /// # Errors
    /// When the change would not be the same there, or the caller may not see it.
    async fn climbed(
        &self,
        caller: &Caller,
        proposal: Proposal,
    ) -> Result<(Proposal, Option<String>), Problem> {
        let Proposal { kind, namespace, name, .. } = &proposal;
        let target = Target::parse(kind, namespace.clone(), name.clone()).map_err(Problem::Asked)?;
        if !climb::is_made(&target.kind) {
            return Ok((proposal, None));
        }
        let Some(owner) = self.trace(caller, &target).await.owner else { return Ok((proposal, None)) };
        let title = Trace::title(&owner);
        let change = climb::of_owner(&target.kind, proposal.change.clone(), &owner).map_err(|why| {
            Problem::Asked(format!(
                "{target} is made by {title}, which would make it again as it is now, and the same cannot be asked of that ({why}): propose the change of {title}"
            ))
        })?;
        let proposal = climb::renamed(proposal, change, &owner);
        if let Some(access) = &self.access {
            access.sees_object(caller, &proposal).await.map_err(Problem::Asked)?;
        }
        let said = format!("{target} is made by {title}, so this is a change of {title}: that lasts.");
        Ok((proposal, Some(said)))
    }

    async fn propose_itself(
        &self,
        caller: &Caller,
        proposal: Proposal,
        cause: Cause,
    ) -> Result<(String, Answer), Problem> {
        let Understood { intent, repository: wanted } = self.understood(caller, proposal).await?;
        let ground = self.ground(caller, &intent.target, wanted.as_deref()).await?;
        let repository = &ground.place.repository;
        let home = self.home_of(repository)?;
        let asked = intent.id(&repository.name);
        let asked = match &cause.revises {
            Some(before) => spec::taken_up(&asked, before),
            None => asked,
        };
        // One that was revised into the same intent stands under another id.
        let id = self.revised_into(&asked).await?.unwrap_or_else(|| asked.clone());
        let _turn = self.turn(&id).await?;
        let mut stored = self.shelf.get(&id).await?;
        if start(stored.as_ref().map(status).as_ref()) == Start::Refresh
            && let Some(open) = stored.take()
        {
            // A person may have merged or closed it since the last look.
            stored = Some(self.look(open).await.0);
        }
        if let (Start::Closed, Some(closed)) = (start(stored.as_ref().map(status).as_ref()), &stored) {
            return Err(Problem::Closed(words::closed(closed)));
        }
        if let Some(known) = stored.as_ref().filter(|known| was_revised(known, &asked)) {
            return Err(Problem::Asked(words::revised(known)));
        }
        if let Some(shared) = stored.as_ref().filter(|known| together::is_shared(known)) {
            let note = Some("it came with other changes of the same emergency".to_owned());
            let carried = Carried::Already { request: Box::new(shared.clone()), note };
            return Ok((id.clone(), words::carried(&carried, &intent, &id, repository)));
        }
        let spec = spec::spec(&intent, caller, &repository.name, cause);
        let (place, live) = (&ground.place, ground.live.as_ref());
        let (id_, how) = (id.clone(), How::Ask);
        let load = Load { home, place, live, intent: &intent, caller, id: id_, stored, spec, how };
        let carried = self.carry(load).await?;
        Ok((id.clone(), words::carried(&carried, &intent, &id, repository)))
    }

    /// What is asked, read against the object: the live one, or without a cluster the one in Git.
    pub(super) async fn understood(
        &self,
        caller: &Caller,
        proposal: Proposal,
    ) -> Result<Understood, Problem> {
        let understood = if self.cluster.is_some() || !understand::is_patch(&proposal.change) {
            understand::understood(caller, proposal, self.cluster.as_deref()).await
        } else {
            let manifest = self.manifest(caller, &proposal).await.map_err(|problem| problem.to_string());
            understand::understood_in_git(proposal, manifest)
        };
        understood.map_err(Problem::Asked)
    }

    async fn manifest(&self, caller: &Caller, proposal: &Proposal) -> Result<Value, Problem> {
        let Proposal { kind, namespace, name, change: _, reason: _, repository } = proposal;
        let target = Target::parse(kind, namespace.clone(), name.clone()).map_err(Problem::Asked)?;
        let Ground { place, live: _ } = self.ground(caller, &target, repository.as_deref()).await?;
        let files = self.home_of(&place.repository)?.forge.snapshot().await?.files;
        let manifest = layers::manifest(&files, &place, &target, &self.renderers).await;
        let repository = place.repository.name.clone();
        manifest.map_err(|unmapped| Problem::Unmapped { repository, unmapped })
    }

    /// The open request that was revised until it asks for this.
    async fn revised_into(&self, asked: &str) -> Result<Option<String>, Problem> {
        let requests = self.shelf.list().await?.requests;
        let found = requests.iter().find(|known| {
            let status = status(known);
            status.intent == asked && id(known) != asked && phase(&status).is_open()
        });
        Ok(found.map(|known| id(known).to_owned()))
    }

    /// Where the object is maintained, and how it is now: where its appliers say, or in the only repository that holds
    /// it.
    pub(super) async fn ground(
        &self,
        caller: &Caller,
        target: &Target,
        wanted: Option<&str>,
    ) -> Result<Ground, Problem> {
        Stage::Find.begins();
        let trace = self.trace(caller, target).await;
        let places = self.places(&trace, wanted)?;
        let place = self.choose(target, places).await?;
        let live = Some(trace.object).filter(Value::is_object);
        Ok(Ground { place, live })
    }

    pub(super) fn home_of(&self, repository: &Repository) -> Result<&Home, Problem> {
        self.home(&repository.name).ok_or_else(|| {
            Problem::Asked(format!("repository {} is no longer configured: add it again", repository.name))
        })
    }

    /// What the cluster says of where the object comes from; nothing where there is no cluster, or it has no such
    /// object: it may be in Git all the same.
    async fn trace(&self, caller: &Caller, target: &Target) -> Trace {
        let Some(finder) = &self.finder else { return Trace::default() };
        let Target { kind, group, namespace, name } = target;
        let kind = group.as_ref().map_or_else(|| kind.clone(), |group| format!("{kind}.{group}"));
        let sought = Sought { kind, namespace: namespace.clone(), name: name.clone() };
        finder.trace(caller, &sought).await.unwrap_or_else(|why| {
            tracing::info!(%why, object = %target, "the cluster does not say where it comes from; searching");
            Trace::default()
        })
    }

    /// Where the object may be: where its appliers say, or in every configured repository.
    fn places(&self, trace: &Trace, wanted: Option<&str>) -> Result<Vec<Place>, Problem> {
        let all: Vec<_> = self.homes.iter().map(|home| &home.repository).collect();
        if all.is_empty() {
            return Err(Problem::Asked(
                "no repository is configured: add one under changes.repositories in the configuration"
                    .to_owned(),
            ));
        }
        let mut places = source::place(trace, &all)
            .map_err(|(NoPlace::AskOtherwise(why) | NoPlace::Unreachable(why))| Problem::Asked(why))?;
        let Some(wanted) = wanted else { return Ok(places) };
        if self.home(wanted).is_none() {
            let known = names(all.iter().copied());
            return Err(Problem::Asked(format!("there is no repository {wanted:?}; configured are {known}")));
        }
        let known = names(places.iter().map(|place| &place.repository));
        places.retain(|place| place.repository.name == wanted);
        if places.is_empty() {
            return Err(Problem::Asked(format!("it is applied from repository {known}, not from {wanted}")));
        }
        Ok(places)
    }

    /// The only place, or the only one that holds the object.
    async fn choose(&self, target: &Target, mut places: Vec<Place>) -> Result<Place, Problem> {
        if places.len() == 1
            && let Some(only) = places.pop()
        {
            return Ok(only);
        }
        let all = names(places.iter().map(|place| &place.repository));
        let mut holding = Vec::new();
        for place in places {
            // One that cannot be searched might hold it too: then the choice would be a guess.
            let files = self.home_of(&place.repository)?.forge.snapshot().await?.files;
            let held = layers::holds(&files, &place, target, &self.renderers).await;
            let repository = place.repository.name.clone();
            if held.map_err(|unmapped| Problem::Unmapped { repository, unmapped })? {
                holding.push(place);
            }
        }
        let several = names(holding.iter().map(|place| &place.repository));
        match (holding.pop(), holding.len()) {
            (Some(only), 0) => Ok(only),
            (None, _) => Err(Problem::Asked(format!(
                "{target} is in none of the repositories {all}; name one with repository to see what was searched there"
            ))),
            (Some(_), _) => Err(Problem::Asked(format!(
                "{target} stands in several repositories ({several}): name one with repository"
            ))),
        }
    }
}

/// Where an object is maintained, and how it is.
pub(super) struct Ground {
    pub(super) place: Place,
    /// As the cluster has it; absent where it could not be read.
    pub(super) live: Option<Value>,
}

fn names<'a>(repositories: impl Iterator<Item = &'a Repository>) -> String {
    repositories.map(|repository| repository.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// Whether an open request asks for something else than its id stands for.
fn was_revised(known: &ChangeRequest, asked: &str) -> bool {
    let status = status(known);
    phase(&status).is_open()
        && status.phase != Some(ChangePhase::Drafted)
        && known.spec.revises.is_none()
        && !status.intent.is_empty()
        && status.intent != asked
}
