//! From the objects of a namespace to the tree of those that hang together with one of them. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::thing::{Relation, Thing};
use crate::answer::Rank;

/// The objects of one namespace.
#[derive(Clone, Debug, Default)]
pub(super) struct World {
    pub(super) things: Vec<Thing>,
    /// Kind and name of what can be used and is there.
    pub(super) there: BTreeSet<(String, String)>,
    /// Kinds of `there` that could be read: what is not in it is missing.
    pub(super) known: BTreeSet<String>,
}

/// One object in the tree, with what stands below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) relation: Relation,
    pub(super) kind: String,
    pub(super) name: String,
    /// How it is used: `mounted`.
    pub(super) how: &'static str,
    pub(super) state: String,
    pub(super) rank: Option<Rank>,
    pub(super) why: String,
    /// It is what was asked for.
    pub(super) asked: bool,
    pub(super) below: Vec<Self>,
}

impl Node {
    /// The worst of it and of all below.
    pub(super) fn worst(&self) -> Rank {
        let own = self.rank.unwrap_or(Rank::Neutral);
        self.below.iter().map(Self::worst).fold(own, Rank::min)
    }

    pub(super) fn holds_asked(&self) -> bool {
        self.asked || self.below.iter().any(Self::holds_asked)
    }
}

/// The tree around the thing with this uid, from its topmost owner down.
pub(super) fn grow(world: &World, asked: &str) -> Option<Node> {
    let garden = Garden::of(world);
    let mut top = *garden.by_uid.get(asked)?;
    let mut climbed = HashSet::from([top]);
    while let Some(owner) = garden.owner(top).filter(|owner| climbed.insert(*owner)) {
        top = owner;
    }
    let mut grown = HashSet::new();
    Some(garden.node(top, Relation::Top, asked, true, &mut grown))
}

/// The world, with what is looked for in it.
struct Garden<'a> {
    world: &'a World,
    by_uid: HashMap<&'a str, usize>,
    owned: HashMap<usize, Vec<usize>>,
}

type Grown = HashSet<usize>;

impl<'a> Garden<'a> {
    fn of(world: &'a World) -> Self {
        let by_uid: HashMap<&str, usize> = world
            .things
            .iter()
            .enumerate()
            .filter(|(_, thing)| !thing.uid.is_empty())
            .map(|(at, thing)| (thing.uid.as_str(), at))
            .collect();
        let mut owned: HashMap<usize, Vec<usize>> = HashMap::new();
        for (at, thing) in world.things.iter().enumerate() {
            for owner in thing.owners.iter().filter_map(|uid| by_uid.get(uid.as_str())) {
                owned.entry(*owner).or_default().push(at);
            }
        }
        Self { world, by_uid, owned }
    }

    fn thing(&self, at: usize) -> &'a Thing {
        &self.world.things[at]
    }

    fn owner(&self, at: usize) -> Option<usize> {
        self.thing(at).owners.iter().find_map(|uid| self.by_uid.get(uid.as_str()).copied())
    }

    fn all(&self) -> impl Iterator<Item = (usize, &'a Thing)> + use<'a> {
        self.world.things.iter().enumerate()
    }

    fn named(&self, kind: &str, name: &str) -> Option<usize> {
        self.all().find(|(_, thing)| thing.kind == kind && thing.name == name).map(|(at, _)| at)
    }

    /// What makes the pods: the workload and not its replica set.
    fn head(&self, mut at: usize) -> usize {
        let mut seen = HashSet::from([at]);
        while let Some(owner) = self.owner(at).filter(|owner| self.thing(*owner).pod_labels.is_some()) {
            if !seen.insert(owner) {
                break;
            }
            at = owner;
        }
        at
    }

    fn is_head(&self, at: usize) -> bool {
        self.thing(at).pod_labels.is_some() && self.head(at) == at
    }

    /// Heads of what has pods that fit.
    fn heads(&self, fits: impl Fn(&Thing) -> bool) -> BTreeSet<usize> {
        let with_pods = self.all().filter(|(_, thing)| thing.pod_labels.is_some() && fits(thing));
        with_pods.map(|(at, _)| self.head(at)).collect()
    }

    /// `whole`: with what selects, uses and governs it; otherwise only what it owns.
    fn node(&self, at: usize, relation: Relation, asked: &str, whole: bool, grown: &mut Grown) -> Node {
        grown.insert(at);
        let thing = self.thing(at);
        let Thing { kind, name, state, rank, why, .. } = thing;
        let mut node = Node {
            relation,
            kind: kind.clone(),
            name: name.clone(),
            how: "",
            state: state.clone(),
            rank: *rank,
            why: why.clone(),
            asked: thing.uid == asked,
            below: Vec::new(),
        };
        let mut next: Vec<(Relation, usize, bool)> = Vec::new();
        next.extend(self.owned.get(&at).into_iter().flatten().map(|owned| (Relation::Owns, *owned, whole)));
        if whole {
            next.extend(self.related(at));
        }
        for (relation, at, whole) in next {
            if !grown.contains(&at) {
                let below = self.node(at, relation, asked, whole, grown);
                node.below.push(below);
            }
        }
        if whole && self.is_head(at) {
            node.below.extend(self.uses(at));
        }
        node
    }

    /// What hangs together with a thing otherwise than by owning; whether that is shown whole.
    fn related(&self, at: usize) -> Vec<(Relation, usize, bool)> {
        let thing = self.thing(at);
        let mut found = Vec::new();
        for (relation, kind, name) in &thing.names {
            found.extend(self.named(kind, name).map(|at| (*relation, at, *relation == Relation::LeadsTo)));
        }
        if let Some(selector) = &thing.selects {
            let heads =
                self.heads(|pods| pods.pod_labels.as_ref().is_some_and(|labels| selector.fits(labels)));
            found.extend(heads.into_iter().map(|head| (Relation::Selects, head, false)));
        }
        if thing.kind == "Service" {
            found.extend(self.naming(at).map(|at| (Relation::ExposedBy, at, false)));
        }
        if ["ConfigMap", "Secret", "PersistentVolumeClaim", "ServiceAccount"].contains(&thing.kind.as_str()) {
            let uses =
                |pods: &Thing| pods.uses.iter().any(|one| one.kind == thing.kind && one.name == thing.name);
            found.extend(self.heads(uses).into_iter().map(|head| (Relation::UsedBy, head, false)));
        }
        if self.is_head(at) {
            found.extend(self.naming(at).map(|at| (Relation::ScaledBy, at, false)));
            let pods = self.pod_labels(at);
            for (at, thing) in self.all() {
                let fits =
                    |selector: &super::thing::Selector| pods.iter().any(|labels| selector.fits(labels));
                if !thing.selects.as_ref().is_some_and(fits) {
                    continue;
                }
                found.push(match thing.kind.as_str() {
                    "Service" => (Relation::SelectedBy, at, true),
                    "PodDisruptionBudget" => (Relation::GuardedBy, at, false),
                    _ => (Relation::LimitedBy, at, false),
                });
            }
        }
        found
    }

    /// Those that name the thing.
    fn naming(&self, at: usize) -> impl Iterator<Item = usize> {
        let Thing { kind, name, .. } = self.thing(at);
        let names = move |(_, of, named): &(Relation, String, String)| of == kind && named == name;
        self.all().filter(move |(_, thing)| thing.names.iter().any(names)).map(|(at, _)| at)
    }

    /// Of the workload's template and of its pods, which need not agree.
    fn pod_labels(&self, at: usize) -> Vec<&'a BTreeMap<String, String>> {
        let mut labels: BTreeSet<&BTreeMap<String, String>> = self.thing(at).pod_labels.iter().collect();
        let mut next = vec![at];
        let mut seen = HashSet::from([at]);
        while let Some(at) = next.pop() {
            for owned in self.owned.get(&at).into_iter().flatten() {
                if seen.insert(*owned) {
                    labels.extend(
                        self.thing(*owned).pod_labels.iter().filter(|_| self.thing(*owned).kind == "Pod"),
                    );
                    next.push(*owned);
                }
            }
        }
        labels.into_iter().collect()
    }

    fn uses(&self, at: usize) -> Vec<Node> {
        let World { things: _, there, known } = self.world;
        let thing = self.thing(at);
        // Claims of a StatefulSet are named by its pods alone.
        let mut uses: BTreeSet<_> = thing.uses.iter().collect();
        for pod in self.owned.get(&at).into_iter().flatten().filter(|pod| self.thing(**pod).kind == "Pod") {
            uses.extend(self.thing(*pod).uses.iter().filter(|one| one.kind == "PersistentVolumeClaim"));
        }
        let nodes = uses.into_iter().map(|one| {
            let found = self.named(one.kind, &one.name).map(|at| self.thing(at));
            let is_there = there.contains(&(one.kind.to_owned(), one.name.clone()));
            let missing = found.is_none() && !is_there && known.contains(one.kind);
            let (rank, state) = match (missing, one.optional) {
                (true, false) => (Some(Rank::Broken), "missing".to_owned()),
                (true, true) => (None, "missing, optional".to_owned()),
                (false, _) => (
                    found.and_then(|thing| thing.rank),
                    found.map(|thing| thing.state.clone()).unwrap_or_default(),
                ),
            };
            Node {
                relation: Relation::Uses,
                kind: one.kind.to_owned(),
                name: one.name.clone(),
                how: one.how,
                state,
                rank,
                why: found.map(|thing| thing.why.clone()).unwrap_or_default(),
                asked: false,
                below: Vec::new(),
            }
        });
        nodes.collect()
    }
}
