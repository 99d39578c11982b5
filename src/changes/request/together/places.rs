//! In which repository each part belongs.

use super::{About, Brought, Member, Part, What};
use crate::{
    caller::Caller,
    changes::{
        identity::{Intent, Target, clean},
        layers::{self, Unmapped},
        request::{Home, Room, problem::Problem},
        source::Place,
        understand::{self, Understood},
    },
    redact,
    tools::{Modification, Proposal},
};

/// Where a part belongs, or why that is not clear.
pub(super) enum Placed {
    In(Box<Member>),
    /// No repository is known for it.
    Nowhere(Box<Homeless>),
    Over(Brought),
}

pub(super) struct Homeless {
    pub(super) key: String,
    pub(super) intent: Intent,
    pub(super) what: What,
    pub(super) why: String,
}

impl Homeless {
    /// As one of this repository that a person must map.
    pub(super) fn settle(self, about: About<'_>, home: &Home) -> Member {
        let Self { key, intent, what, why } = self;
        let repository = &home.repository;
        Member {
            key,
            id: Member::id(about, &repository.name, &intent, &what),
            intent,
            what,
            place: Place::search(repository),
            live: None,
            unmapped: Some(Unmapped::person("find", why)),
        }
    }
}

impl Room {
    /// # Errors
    /// What may be otherwise later: a forge or the cluster that does not answer.
    pub(super) async fn placed(
        &self,
        caller: &Caller,
        about: About<'_>,
        part: Part,
    ) -> Result<Placed, Problem> {
        let Part { key, kind, namespace, name, reason, what } = part;
        let intent = match &what {
            What::Fields(edits) => {
                let change = Modification::Edits(edits.clone());
                let proposal = Proposal { kind, namespace, name, change, reason, repository: None };
                let understood = understand::understood(caller, proposal, self.cluster.as_deref()).await;
                let Understood { intent, repository: _ } = understood.map_err(Problem::Asked)?;
                intent
            }
            What::Added(_) | What::Removed => {
                let (kind, group) = match kind.split_once('.') {
                    Some((kind, group)) => (kind.to_owned(), Some(group.to_owned())),
                    None => (kind, None),
                };
                let target = Target { kind, group, namespace, name };
                if let Err(why) = target.refuse_secrets() {
                    return Ok(Placed::Over(Brought::NeedsPerson(why)));
                }
                let reason = redact::text(&clean(&reason)).into_owned();
                Intent { target, edits: Vec::new(), reason }
            }
        };
        let nowhere = |why: String| {
            let homeless = Homeless { key: key.clone(), intent: intent.clone(), what: what.clone(), why };
            Ok(Placed::Nowhere(Box::new(homeless)))
        };
        let (place, live) = match &what {
            What::Fields(_) => match self.ground(caller, &intent.target, None).await {
                Ok(ground) => (ground.place, ground.live),
                Err(Problem::Asked(why)) => return nowhere(why),
                Err(Problem::Unmapped { repository, unmapped }) => {
                    return nowhere(format!("in repository {repository}, {unmapped}"));
                }
                Err(problem) => return Err(problem),
            },
            What::Added(_) => match self.beside(&intent.target).await? {
                Ok(place) => (place, None),
                Err(why) => return nowhere(why),
            },
            What::Removed => match self.holding(&intent.target).await? {
                Holding::One(place) => (*place, None),
                Holding::None => return Ok(Placed::Over(Brought::InGit)),
                Holding::Unclear(why) => return nowhere(why),
            },
        };
        let id = Member::id(about, &place.repository.name, &intent, &what);
        Ok(Placed::In(Box::new(Member { key, id, intent, what, place, live, unmapped: None })))
    }

    /// The only repository that holds manifests of the object's namespace.
    async fn beside(&self, target: &Target) -> Result<Result<Place, String>, Problem> {
        let namespace = target.namespace.as_deref().unwrap_or_default();
        let mut found = Vec::new();
        for home in &self.homes {
            let files = home.forge.snapshot().await?.files;
            if !layers::sources(&files, &home.repository, namespace).is_empty() {
                found.push(&home.repository);
            }
        }
        Ok(match found.as_slice() {
            [one] => Ok(Place::search(one)),
            [] => Err(format!("no configured repository holds manifests of namespace {namespace}")),
            several => {
                let names: Vec<_> = several.iter().map(|one| one.name.as_str()).collect();
                Err(format!("manifests of namespace {namespace} stand in {}", names.join(", ")))
            }
        })
    }

    /// Where Git still has an object that the cluster has no more.
    async fn holding(&self, target: &Target) -> Result<Holding, Problem> {
        // It is gone, so the cluster says nothing of where it came from.
        let mut found = Vec::new();
        for home in &self.homes {
            let place = Place::search(&home.repository);
            let files = home.forge.snapshot().await?.files;
            match layers::holds(&files, &place, target, &self.renderers).await {
                Ok(true) => found.push(place),
                Ok(false) => {}
                Err(unmapped) => {
                    let repository = &home.repository.name;
                    return Ok(Holding::Unclear(format!("in repository {repository}, {unmapped}")));
                }
            }
        }
        Ok(match (found.pop(), found.pop()) {
            (Some(one), None) => Holding::One(Box::new(one)),
            (None, _) => Holding::None,
            (Some(one), Some(other)) => Holding::Unclear(format!(
                "it stands in several repositories ({}, {})",
                other.repository.name, one.repository.name
            )),
        })
    }
}

enum Holding {
    One(Box<Place>),
    None,
    Unclear(String),
}
