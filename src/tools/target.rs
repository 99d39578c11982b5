//! From what a caller calls a thing to the thing.

use serde_json::{Value, value::RawValue};

use super::{
    desk::{Desk, failed},
    kinds::{Custom, View},
};
use crate::{
    answer::Answer,
    cluster::{ListRequest, ReadError, Resource},
};

impl Desk {
    /// The kind a caller means.
    ///
    /// # Errors
    /// An error answer with the nearest kinds.
    pub(super) async fn kind(&self, asked: &str) -> Result<Resource, Answer> {
        let kinds = self.reader.kinds().await.map_err(|error| failed(&error))?;
        kinds.resolve(asked).cloned().map_err(|error| Answer::error(error.to_string()))
    }

    /// How objects of this kind are shown: ours, or the CRD's columns; a CRD that may not be read has none.
    pub(super) async fn view(&self, resource: &Resource) -> View {
        if let Some(view) = View::built_in(&resource.group, &resource.kind) {
            return view;
        }
        View::Custom(self.columns_of_crd(resource).await.unwrap_or_default())
    }

    async fn columns_of_crd(&self, resource: &Resource) -> Option<Custom> {
        if !resource.group.contains('.') {
            return None;
        }
        let kinds = self.reader.kinds().await.ok()?;
        let crds = kinds.of_kind("apiextensions.k8s.io", "CustomResourceDefinition")?;
        let crd = self.reader.get(crds, None, &resource.id()).await.ok()?;
        Some(Custom::of_crd(&crd, &resource.version))
    }

    /// One object.
    ///
    /// # Errors
    /// An error answer; when the object is not there it says what is.
    pub(super) async fn object(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Box<RawValue>, Answer> {
        if !resource.can("get") {
            return Err(Answer::error(format!(
                "objects of kind {} cannot be read one by one",
                resource.kind
            )));
        }
        if resource.namespaced && namespace.is_none() {
            return Err(self.which_namespace(resource, name).await);
        }
        match self.reader.get(resource, namespace, name).await {
            Ok(object) => Ok(object),
            Err(ReadError::NotFound { message }) => {
                Err(self.missing(resource, namespace, name, &message).await)
            }
            Err(error) => Err(failed(&error)),
        }
    }

    /// As [`Desk::object`], parsed.
    ///
    /// # Errors
    /// As [`Desk::object`]; also when it is no object at all.
    pub(super) async fn parsed(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Value, Answer> {
        let raw = self.object(resource, namespace, name).await?;
        serde_json::from_str(raw.get()).map_err(|error| {
            let kind = &resource.kind;
            Answer::error(format!("{kind} {name} came as something that is not an object: {error}"))
        })
    }

    /// An empty answer about a namespace that does not exist is none. Without the right to read namespaces their
    /// absence cannot be told from their silence.
    ///
    /// # Errors
    /// An error answer when it is known not to exist.
    pub(super) async fn known_namespace(&self, namespace: Option<&str>) -> Result<(), Answer> {
        let Some(namespace) = namespace else { return Ok(()) };
        let namespaces = self.kind("namespaces").await?;
        match self.object(&namespaces, None, namespace).await {
            Err(missing) if is_missing(&missing) => Err(missing),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    async fn which_namespace(&self, resource: &Resource, name: &str) -> Answer {
        let request = ListRequest { fields: Some(format!("metadata.name={name}")), ..ListRequest::default() };
        let found = self.reader.names(resource, &request).await.unwrap_or_default();
        let namespaces: Vec<&str> = found.iter().take(5).map(|(namespace, _)| namespace.as_str()).collect();
        let hint = match namespaces.as_slice() {
            [] => format!("no namespace has a {} `{name}` that we may see", resource.kind),
            _ => format!("{} `{name}` is in {}", resource.kind, namespaces.join(", ")),
        };
        Answer::error(format!("a {} needs a `namespace`: {hint}", resource.kind))
    }

    async fn missing(
        &self,
        resource: &Resource,
        namespace: Option<&str>,
        name: &str,
        message: &str,
    ) -> Answer {
        let kind = &resource.kind;
        let place = namespace.filter(|_| resource.namespaced);
        let at = place.map_or_else(String::new, |namespace| format!(" in namespace {namespace}"));
        let mut sentence = format!("there is no {kind} `{name}`{at}");
        // The API server answers the same for a kind that has just gone.
        if !message.contains(name) {
            sentence = format!("{sentence} ({message})");
        }
        let request = ListRequest { namespace: place.map(str::to_owned), ..ListRequest::default() };
        let Ok(names) = self.reader.names(resource, &request).await else { return Answer::error(sentence) };
        let near = nearest(name, names.iter().map(|(_, name)| name.as_str()));
        if !near.is_empty() {
            return Answer::error(format!("{sentence}{}", nearest_words(&near)));
        }
        if let Some(place) = place
            && names.is_empty()
        {
            let rest = self.other_namespaces(place, resource, name).await;
            return Answer::error(format!("{sentence}, it has no {kind} at all{rest}"));
        }
        Answer::error(sentence)
    }

    async fn other_namespaces(&self, namespace: &str, resource: &Resource, name: &str) -> String {
        let Ok(kinds) = self.reader.kinds().await else { return String::new() };
        if let Some(namespaces) = kinds.of_kind("", "Namespace")
            && let Ok(known) = self.reader.names(namespaces, &ListRequest::default()).await
            && !known.iter().any(|(_, known)| known == namespace)
        {
            let near = nearest(namespace, known.iter().map(|(_, name)| name.as_str()));
            return format!("; there is no namespace {namespace}{}", nearest_words(&near));
        }
        let request = ListRequest { fields: Some(format!("metadata.name={name}")), ..ListRequest::default() };
        match self.reader.names(resource, &request).await.unwrap_or_default().first() {
            Some((elsewhere, _)) => format!("; one of that name is in namespace {elsewhere}"),
            None => String::new(),
        }
    }
}

/// Whether it says that something is not there, and not that it could not be read.
pub(super) fn is_missing(answer: &Answer) -> bool {
    answer.is_error && answer.text.starts_with("there is no ")
}

/// `, nearest: a, b`; nothing when nothing is near.
pub(super) fn nearest_words(near: &[&str]) -> String {
    if near.is_empty() { String::new() } else { format!(", nearest: {}", near.join(", ")) }
}

/// Up to three names like the asked one, the nearest first. One that contains it or is contained counts as near.
pub(super) fn nearest<'a>(asked: &str, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut scored: Vec<(f64, &str)> = names
        .map(|name| {
            let within = name.contains(asked) || asked.contains(name);
            (strsim::jaro_winkler(name, asked) + if within { 0.5 } else { 0.0 }, name)
        })
        .filter(|(score, _)| *score > 0.7)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    scored.dedup_by_key(|(_, name)| *name);
    scored.into_iter().take(3).map(|(_, name)| name).collect()
}
