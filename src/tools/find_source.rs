//! Which repository, path and revision a live object comes from, by what evidence, and how it stands to it.
//!
//! What an object and its appliers say is judged in [`mark`] and [`origin`], which are pure; here it is read. What
//! nobody says is not known, and is not guessed.

mod finder;
pub(crate) mod mark;
pub(crate) mod origin;

pub use finder::{Applied, AppliedFrom, Sought, SourceFinder, Trace, source_finder};

use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use self::{
    mark::{Applier, Mark, Writer, marks, writers},
    origin::{Origin, Source, listed, of_application, of_flux_release, of_kustomization, source_of},
};
use super::{
    Tool, answered,
    arguments::{self, Parsed},
    definition::{Definition, Effect, text},
    desk::Desk,
    kinds::age,
    list_resources::cell_text,
    owners::title,
};
use crate::{
    answer::Answer,
    caller::Caller,
    cluster::{ListRequest, Resource},
};

pub(super) struct FindSource(pub(super) Desk);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    kind: String,
    name: String,
    namespace: Option<String>,
}

impl Tool for FindSource {
    fn definition(&self) -> Value {
        Definition {
            name: "find_source",
            title: "Find source",
            description: "Use this before proposing a change: says which Git repository, path and revision (or Helm chart) a live object comes from, which tool applies it (Argo CD, Flux, Helm), whether it is in sync, and whether changes by hand are undone. Names its evidence; says so when it is not known.",
            properties: json!({
                "kind": text("kind, plural or short name"),
                "name": text("name of the object"),
                "namespace": text("required for kinds with namespaces"),
            }),
            required: &["kind", "name"],
            effect: Effect::Reads,
            output: Some(json!({
                "known": { "type": "boolean" },
                "origins": { "type": "array", "items": { "type": "object" } },
            })),
        }
        .into_value()
    }

    fn call<'a>(&'a self, _caller: &'a Caller, arguments: Option<&'a RawValue>) -> BoxFuture<'a, Answer> {
        answered(self.find(arguments))
    }
}

/// What applies an applier, and so on: an Application of Applications, a HelmRelease of a Kustomization.
const HOPS: usize = 4;

/// One step from an object to what applies it.
struct Hop {
    /// What it is about, the object that carries the mark.
    of: String,
    marked: String,
    evidence: String,
    origin: Origin,
    /// What applies it, where that is an object that could be read.
    applier: Option<Value>,
}

/// An object with all that is known of where it comes from.
struct Traced {
    object: Value,
    /// What owns it, nearest first.
    owners: Vec<Value>,
    hops: Vec<Hop>,
    notes: Vec<String>,
}

impl FindSource {
    async fn find(&self, raw: Option<&RawValue>) -> Result<Answer, Answer> {
        let Parsed { arguments, request: _ } = arguments::parse(&self.definition(), raw)?;
        let Arguments { kind, name, namespace } = arguments;
        let Traced { object, owners: _, hops, notes } =
            self.trace(&kind, namespace.as_deref(), &name).await?;
        Ok(self.answer(&object, &hops, &notes))
    }

    /// # Errors
    /// An error answer when the object cannot be read.
    async fn trace(&self, kind: &str, namespace: Option<&str>, name: &str) -> Result<Traced, Answer> {
        let resource = self.0.kind(kind).await?;
        let object = self.0.parsed(&resource, namespace, name).await?;
        let mut traced = Traced { object, owners: Vec::new(), hops: Vec::new(), notes: Vec::new() };
        let mut next = Some(traced.object.clone());
        while let Some(object) = next.take().filter(|_| traced.hops.len() < HOPS) {
            let owners = self.0.owners(&object).await;
            traced.notes.extend(owners.lost.map(|lost| format!("An owner cannot be read ({lost}).")));
            let chain: Vec<&Value> = std::iter::once(&object).chain(&owners.found).collect();
            if let Some(hop) = self.hop(&chain, &mut traced.notes).await {
                next.clone_from(&hop.applier);
                traced.hops.push(hop);
            }
            if object == traced.object {
                traced.owners = owners.found;
            }
        }
        Ok(traced)
    }

    /// The topmost of the chain that carries a mark says where all of it comes from.
    async fn hop(&self, chain: &[&Value], notes: &mut Vec<String>) -> Option<Hop> {
        for marked in chain.iter().rev() {
            for mark in marks(marked) {
                let Some((origin, applier)) = self.origin(&mark, marked, notes).await else { continue };
                let of = chain.first().map_or_else(String::new, |object| title(object));
                let evidence = mark.evidence.clone();
                return Some(Hop { of, marked: title(marked), evidence, origin, applier });
            }
        }
        None
    }

    /// What the applier itself says; nothing when a mark that needs proof has none.
    async fn origin(
        &self,
        mark: &Mark,
        object: &Value,
        notes: &mut Vec<String>,
    ) -> Option<(Origin, Option<Value>)> {
        let Mark { applier, namespace, name, evidence: _, needs_proof } = mark;
        let (group, kind) = match applier {
            Applier::ArgoCd => ("argoproj.io", "Application"),
            Applier::FluxKustomization => ("kustomize.toolkit.fluxcd.io", "Kustomization"),
            Applier::FluxHelmRelease => ("helm.toolkit.fluxcd.io", "HelmRelease"),
            Applier::Helm => return Some((self.helm(object, namespace.as_deref(), name).await, None)),
        };
        let found = match self.applier(group, kind, namespace.as_deref(), name).await {
            Ok(found) => found,
            Err(_) if *needs_proof => return None,
            Err(why) => {
                let place = namespace.as_ref().map_or_else(String::new, |namespace| format!("{namespace}/"));
                let by = format!("{kind} {place}{name}");
                notes.push(format!("{by} cannot be read: {why}."));
                let tool = if *applier == Applier::ArgoCd { "Argo CD" } else { "Flux" };
                return Some((Origin { tool, by, ..Origin::default() }, None));
            }
        };
        // Several may have the name: the one that lists the object is meant.
        let proven =
            found.iter().position(|one| *applier != Applier::ArgoCd || listed(one, object).is_some());
        let at = match proven {
            Some(at) => at,
            None if *needs_proof => return None,
            None if found.len() == 1 => {
                notes.push(format!("{kind} {name} does not list this object (yet, or any more)."));
                0
            }
            None => {
                notes.push(format!("There are {} {kind}s {name}, and none lists this object.", found.len()));
                return None;
            }
        };
        let applier_object = found.into_iter().nth(at)?;
        let origin = match applier {
            Applier::ArgoCd => of_application(&applier_object, object),
            Applier::FluxKustomization => {
                of_kustomization(&applier_object, self.flux_source(&applier_object).await.as_ref())
            }
            Applier::FluxHelmRelease | Applier::Helm => {
                of_flux_release(&applier_object, self.flux_source(&applier_object).await.as_ref())
            }
        };
        Some((origin, Some(applier_object)))
    }

    /// The appliers of that name, in any namespace when it is not known.
    async fn applier(
        &self,
        group: &str,
        kind: &str,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Vec<Value>, String> {
        let kinds = self.0.reader.kinds().await.map_err(|error| error.to_string())?;
        let resource =
            kinds.of_kind(group, kind).ok_or_else(|| format!("the cluster has no kind {kind}.{group}"))?;
        if let Some(namespace) = namespace {
            return self.named(resource, namespace, name).await.map(|one| vec![one]);
        }
        let request = ListRequest { fields: Some(format!("metadata.name={name}")), ..ListRequest::default() };
        let mut found = Vec::new();
        let each = |object: &RawValue| found.extend(serde_json::from_str::<Value>(object.get()).ok());
        self.0.reader.list(resource, &request, each).await.map_err(|error| error.to_string())?;
        if found.is_empty() { Err("there is none of that name".to_owned()) } else { Ok(found) }
    }

    async fn named(&self, resource: &Resource, namespace: &str, name: &str) -> Result<Value, String> {
        let raw =
            self.0.reader.get(resource, Some(namespace), name).await.map_err(|error| error.to_string())?;
        serde_json::from_str(raw.get()).map_err(|error| error.to_string())
    }

    async fn flux_source(&self, applier: &Value) -> Option<Value> {
        let (kind, namespace, name) = source_of(applier)?;
        let kinds = self.0.reader.kinds().await.ok()?;
        let resource = kinds.of_kind("source.toolkit.fluxcd.io", &kind)?;
        let mut source = self.named(resource, &namespace, &name).await.ok()?;
        source["kind"] = Value::String(kind);
        Some(source)
    }

    /// Helm keeps the chart, and not where it was taken from.
    async fn helm(&self, object: &Value, namespace: Option<&str>, name: &str) -> Origin {
        let namespace = namespace.or(object["metadata"]["namespace"].as_str()).unwrap_or_default();
        let mut origin = Origin {
            tool: "Helm",
            by: format!("Helm release {namespace}/{name}"),
            notes: vec![
                "Helm does not keep which repository the chart came from, nor who ran it: ask whoever installs it"
                    .to_owned(),
            ],
            ..Origin::default()
        };
        let kept = self.0.helm_revisions(Some(namespace), Some(name), None).await.map(|(kept, _)| kept);
        let (Ok(kept), Ok(secrets)) = (kept, self.0.kind("secrets").await) else {
            let chart = object["metadata"]["labels"]["helm.sh/chart"].as_str().unwrap_or_default().to_owned();
            origin.sources.push(Source { chart, ..Source::default() });
            return origin;
        };
        let Some(stored) = kept.first() else {
            origin.notes.push("the release is gone: nothing applies this object any more".to_owned());
            return origin;
        };
        origin.sync = format!("revision {} {}", stored.revision, stored.status);
        if let Ok(release) = self.0.helm_release(&secrets, stored).await {
            let metadata = release.chart.metadata;
            origin.sources.push(Source {
                chart: metadata.name,
                applied: metadata.version,
                ..Source::default()
            });
            let said: Vec<String> = metadata.sources.into_iter().chain([metadata.home]).collect();
            if let Some(home) = said.into_iter().find(|home| !home.is_empty()) {
                origin.notes.push(format!(
                    "the chart names {home} as its home, which need not be where it came from"
                ));
            }
        }
        origin
    }

    fn answer(&self, object: &Value, hops: &[Hop], notes: &[String]) -> Answer {
        let mut text = String::new();
        let mut record = Vec::new();
        for hop in hops {
            text.push_str(&words(hop));
            record.push(recorded(hop));
        }
        if hops.is_empty() {
            text = format!(
                "Not known where {} comes from: neither it nor its owners carry a mark of Argo CD, Flux or Helm.\n",
                title(object)
            );
            text.push_str(&self.written(object));
        }
        for note in notes {
            text.push_str(&format!("{}\n", cell_text(note)));
        }
        let known =
            hops.iter().any(|hop| hop.origin.sources.iter().any(|source| !source.repository.is_empty()));
        Answer::structured(text, json!({ "known": known, "origins": record }))
    }

    /// Who wrote it, which is no source but the best hint there is.
    fn written(&self, object: &Value) -> String {
        let now = self.0.reader.now();
        let writers: Vec<String> = writers(object)
            .into_iter()
            .take(3)
            .map(|Writer { manager, is_apply, at }| {
                let how = if is_apply { " (server-side apply)" } else { "" };
                let at = at.map_or_else(String::new, |at| format!(" {} ago", age(Some(at), now)));
                cell_text(&format!("{manager}{how}{at}"))
            })
            .collect();
        let applied = &object["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"];
        let mut text = String::new();
        if !writers.is_empty() {
            text.push_str(&format!("Written by {}, by its field managers.\n", writers.join(", ")));
        }
        if applied.is_string() {
            text.push_str("It was applied with kubectl, from a file that the cluster does not know.\n");
        }
        text
    }
}

fn words(hop: &Hop) -> String {
    let Hop { of, marked, evidence, origin, applier: _ } = hop;
    let Origin { tool, by, sources, sync, reverts, notes } = origin;
    let mut text = format!("{of} is applied by {tool}: {by}\n");
    for source in sources {
        let Source { repository, path, chart, revision, applied } = source;
        let parts = [
            ("repository", repository),
            ("path", path),
            ("chart", chart),
            ("revision", revision),
            ("in the cluster", applied),
        ];
        let parts = parts.iter().filter(|(_, value)| !value.is_empty());
        let parts: Vec<String> = parts.map(|(name, value)| format!("{name} {}", cell_text(value))).collect();
        if !parts.is_empty() {
            text.push_str(&format!("  source: {}\n", parts.join(", ")));
        }
    }
    if !sync.is_empty() {
        text.push_str(&format!("  state: {}\n", cell_text(sync)));
    }
    if *reverts {
        text.push_str("  changes by hand are undone: change the source\n");
    }
    let owner = if of == marked { String::new() } else { format!(", which owns {of}") };
    text.push_str(&format!("  evidence: {} on {marked}{owner}\n", cell_text(evidence)));
    notes.iter().for_each(|note| text.push_str(&format!("  note: {}\n", cell_text(note))));
    text
}

fn recorded(hop: &Hop) -> Value {
    let Hop { of, marked, evidence, origin, applier: _ } = hop;
    let Origin { tool, by, sources, sync, reverts, notes: _ } = origin;
    let sources: Vec<Value> = sources
        .iter()
        .map(|Source { repository, path, chart, revision, applied }| {
            json!({ "repository": repository, "path": path, "chart": chart, "revision": revision, "applied": applied })
        })
        .collect();
    json!({ "object": of, "tool": tool, "by": by, "sources": sources, "sync": sync, "reverts": reverts,
        "evidence": cell_text(&format!("{evidence} on {marked}")) })
}
