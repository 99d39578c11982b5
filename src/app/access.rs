//! Who may see and call what: the cluster's own access rules, asked as the caller.
//!
//! An entry of an MCP server is granted in the server's namespace, one of our own in any of the [`Places`].

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt, TryStreamExt, future::BoxFuture, stream};
use serde::Deserialize;

use super::fleet_view::JoinedFleet;
use crate::{
    caller::{Caller, Question, Rights, Rule},
    cluster::{
        Reader,
        access::{Age, question_of},
    },
    gateway::{Catalogue, Entry, Kind, Route},
    mcp::{
        Access,
        access::{Look, Needs, Sight, Verdict, question, question_of_server},
    },
    tools::Toolbox,
};

/// Questions of one caller that are open at the same time.
const AT_ONCE: usize = 16;
/// Namespaces that are looked at for one caller; those of servers come last.
const MOST_NAMESPACES: usize = 1_000;
/// Entries of one namespace that are asked for one by one, where the rules cannot be listed.
const MOST_NAMES: usize = 200;

/// What the configuration says of access.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct AccessConfig {
    /// Namespaces in which our own tools can be granted, beside our own, a service account's own, and those of the
    /// MCPServers.
    pub namespaces: Vec<String>,
    /// How long what a caller may see is taken for true, in seconds, 1 to 3,600; a listener hears of a change of
    /// access rules within this time.
    pub renew_seconds: u64,
}

impl Default for AccessConfig {
    fn default() -> Self {
        Self { namespaces: Vec::new(), renew_seconds: 60 }
    }
}

/// Where our own entries can be granted, beside what the configuration and the caller add.
pub(super) struct Places {
    /// The namespace of the pod, or of the kubeconfig's context.
    pub(super) own: String,
    pub(super) fleet: Arc<JoinedFleet>,
}

impl Places {
    /// Without repetition, the most likely first.
    fn of(&self, caller: &Caller, configured: &[String]) -> Vec<String> {
        let first = [Some(self.own.as_str()), caller.home()].into_iter().flatten().map(str::to_owned);
        let mut seen = BTreeSet::new();
        let all = first.chain(configured.iter().cloned()).chain(self.fleet.namespaces());
        all.filter(|namespace| seen.insert(namespace.clone())).take(MOST_NAMESPACES).collect()
    }
}

/// [`Access`] by the rules of the cluster that this process reads.
pub(super) struct ClusterAccess {
    reader: Reader,
    places: Places,
    config: AccessConfig,
    needs: Arc<Needs>,
    /// Own tools that add something: they are granted where they do it.
    adding: BTreeSet<String>,
}

impl ClusterAccess {
    pub(super) fn new(reader: Reader, places: Places, config: AccessConfig, toolbox: &Toolbox) -> Self {
        let mut needs = Needs::new();
        let mut adding = BTreeSet::new();
        for definition in toolbox.definitions() {
            let name = definition["name"].as_str().unwrap_or_default();
            needs.insert(name.to_owned(), toolbox.get(name).map_or(&[], |tool| tool.needs()));
            if definition["annotations"]["readOnlyHint"] != true {
                adding.insert(name.to_owned());
            }
        }
        Self { reader, places, config, needs: Arc::new(needs), adding }
    }

    fn fresh(&self) -> Duration {
        Duration::from_secs(self.config.renew_seconds.clamp(1, 3_600))
    }

    fn as_caller(&self, caller: &Caller) -> Result<Reader, String> {
        self.reader.for_caller(caller).map_err(|error| error.to_string())
    }

    async fn look(&self, caller: &Caller, catalogue: &Catalogue, look: Look) -> Result<Sight, String> {
        if !caller.is_impersonated() {
            return Ok(Sight::everything());
        }
        let reader = self.as_caller(caller)?;
        // A listener looks twice in the time: what it sees is never older than that.
        let age = match look {
            Look::Asked => self.fresh(),
            Look::Listening => self.renewal(),
        };
        let asked = self.places.of(caller, &self.config.namespaces).into_iter().map(|namespace| {
            let reader = &reader;
            async move {
                let rights = self.rights(reader, &namespace, catalogue, age).await?;
                Ok::<_, String>((namespace, rights))
            }
        });
        let rights: BTreeMap<_, _> = stream::iter(asked).buffer_unordered(AT_ONCE).try_collect().await?;
        Ok(Sight::limited(rights, self.needs.clone()))
    }

    /// By the rules where they can be listed; what they leave open is asked for.
    async fn rights(
        &self,
        reader: &Reader,
        namespace: &str,
        catalogue: &Catalogue,
        age: Duration,
    ) -> Result<Arc<Rights>, String> {
        let reviewed = reader.rights(namespace, age).await.map_err(|error| error.to_string())?;
        if reviewed.complete {
            return Ok(reviewed.rights.clone());
        }
        let mut rights = Rights::clone(&reviewed.rights);
        // Most callers may use all or none of a kind: then one question is enough.
        let kinds = [Kind::Tool, Kind::Prompt, Kind::Resource];
        let all = kinds.map(|kind| Question { name: None, ..question(kind, "") }.in_namespace(namespace));
        let needs = self.needs.values().flat_map(|needs| needs.iter().copied());
        let needs: BTreeSet<_> = needs.map(|need| (need.verb, need.group, need.resource)).collect();
        let needs = needs.into_iter().map(|(verb, group, resource)| {
            question_of(crate::caller::Need { verb, group, resource }, namespace)
        });
        rights = ask(reader, rights, all.into_iter().chain(needs), age).await?;
        let mut names = Vec::new();
        for entry in
            kinds.into_iter().chain([Kind::ResourceTemplate]).flat_map(|kind| catalogue.of_kind(kind))
        {
            match &entry.route {
                Route::Downstream { server, .. } if server.namespace != namespace => continue,
                Route::Downstream { server, .. } => names.push(question_of_server(server)),
                Route::Own => {}
            }
            names.push(question(entry.kind, &entry.name).in_namespace(namespace));
        }
        names.dedup();
        Ok(Arc::new(ask(reader, rights, names.into_iter().take(MOST_NAMES), age).await?))
    }

    async fn decide(
        &self,
        caller: &Caller,
        entry: &Entry,
        namespace: Option<&str>,
    ) -> Result<Verdict, String> {
        if !caller.is_impersonated() {
            return Ok(Verdict::Allowed);
        }
        let reader = self.as_caller(caller)?;
        let may = async |question: Question| {
            reader.may(&question, Age::Call).await.map_err(|error| error.to_string())
        };
        let allowed =
            async |namespace: &str| may(question(entry.kind, &entry.name).in_namespace(namespace)).await;
        let verdict = |yes: bool| if yes { Verdict::Allowed } else { Verdict::Unknown };
        if let Route::Downstream { server, .. } = &entry.route {
            let yes = allowed(&server.namespace).await? || may(question_of_server(server)).await?;
            return Ok(verdict(yes));
        }
        if let Some(namespace) = namespace
            && allowed(namespace).await?
        {
            return Ok(Verdict::Allowed);
        }
        if namespace != Some(self.places.own.as_str()) && allowed(&self.places.own).await? {
            return Ok(Verdict::Allowed);
        }
        // Neither: is it granted elsewhere?
        let alone = Catalogue::new(0, vec![Arc::new(entry.clone())]);
        let sight = self.look(caller, &alone, Look::Asked).await?;
        let places = sight.namespaces(entry);
        let Some(first) = places.first() else { return Ok(Verdict::Unknown) };
        let name = &entry.name;
        match namespace {
            None if self.adding.contains(name) => Ok(Verdict::Elsewhere(format!(
                "{name} needs a `namespace` here: you may use it in {}",
                named(&places)
            ))),
            None => Ok(verdict(allowed(first).await?)),
            Some(namespace) => Ok(Verdict::Elsewhere(format!(
                "namespace `{}` is not there or you may not use {name} in it: you may in {}",
                crate::redact::shown(namespace),
                named(&places)
            ))),
        }
    }
}

/// The rights with those of these questions that they leave open and that are allowed.
async fn ask(
    reader: &Reader,
    rights: Rights,
    questions: impl Iterator<Item = Question>,
    age: Duration,
) -> Result<Rights, String> {
    let open: Vec<Question> = questions.filter(|question| !rights.answer(question)).collect();
    let asked = open.into_iter().map(|question| async move {
        let yes = reader.may(&question, Age::Shown(age)).await.map_err(|error| error.to_string())?;
        Ok::<_, String>(yes.then(|| Rule::only(&question)))
    });
    let rules: Vec<Option<Rule>> = stream::iter(asked).buffer_unordered(AT_ONCE).try_collect().await?;
    Ok(rules.into_iter().flatten().fold(rights, Rights::and))
}

/// The first few, as text.
fn named(places: &[&str]) -> String {
    let shown = &places[..places.len().min(5)];
    let more = if places.len() > shown.len() { ", ..." } else { "" };
    format!("{}{more}", shown.join(", "))
}

impl Access for ClusterAccess {
    fn sight<'a>(
        &'a self,
        caller: &'a Caller,
        catalogue: &'a Catalogue,
        look: Look,
    ) -> BoxFuture<'a, Result<Sight, String>> {
        Box::pin(self.look(caller, catalogue, look))
    }

    fn glimpse(&self, caller: &Caller) -> Option<Sight> {
        if !caller.is_impersonated() {
            return Some(Sight::everything());
        }
        let reader = self.as_caller(caller).ok()?;
        let places = self.places.of(caller, &self.config.namespaces).into_iter();
        let known = places.filter_map(|namespace| {
            let rights = reader.known_rights(&namespace)?.rights.clone();
            Some((namespace, rights))
        });
        Some(Sight::limited(known.collect(), self.needs.clone()))
    }

    fn check<'a>(
        &'a self,
        caller: &'a Caller,
        entry: &'a Entry,
        namespace: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Verdict, String>> {
        Box::pin(self.decide(caller, entry, namespace))
    }

    /// Half the time that what is seen stays true: asking takes the other half at most.
    fn renewal(&self) -> Duration {
        self.fresh() / 2
    }
}
