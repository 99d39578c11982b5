//! The ExternalSecret of a source: made, kept as it is meant, and taken away when no credential is external any
//! more. Needs the writer.

use std::collections::BTreeMap;

use kube::{
    Api, Resource, ResourceExt,
    core::{ApiResource, DynamicObject, ObjectMeta, TypeMeta},
};

use super::{Context, Error, secrets, select, status::Synced};
use crate::{
    api::{DataSource, data_source::DataSourceCondition},
    operator::{
        external_secret::{self, KIND_MISSING, Progress, Wanted, progress},
        kind::Kind,
        writer::WriteError,
    },
};

pub(super) const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Value of [`MANAGED_BY`].
pub(super) const MANAGER: &str = "pilothouse";
/// Value of `app.kubernetes.io/component`.
pub(super) const COMPONENT: &str = "data-source";

/// How the ExternalSecret of a source stands.
#[derive(Debug)]
pub(super) enum Kept {
    /// No credential is external.
    NotWanted,
    KindMissing,
    /// One of this name belongs to somebody else, who may fill the Secret as well.
    NameTaken(String),
    /// One of a former source of this name is being deleted.
    Leaving(String),
    Refused(String),
    InPlace(Box<DynamicObject>),
}

/// The ExternalSecret that was last found to be as it is meant.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Remembered {
    uid: Option<String>,
    /// Moves with its spec alone.
    generation: Option<i64>,
    meant: DynamicObject,
}

impl Kept {
    /// For the condition SecretsSynced.
    pub(super) fn synced(&self) -> Option<Synced> {
        let no = |reason, message| Some(Synced { yes: false, reason, message });
        match self {
            Self::NotWanted => None,
            Self::KindMissing => no("KindMissing", KIND_MISSING.to_owned()),
            Self::NameTaken(name) => no(
                "NamesTaken",
                format!(
                    "ExternalSecret {name} exists already and belongs to somebody else: delete it or give the DataSource another name."
                ),
            ),
            Self::Leaving(name) => no(
                "Waiting",
                format!("ExternalSecret {name} of a former DataSource of this name is still being deleted."),
            ),
            Self::Refused(said) => no("Refused", format!("The API server refuses: {said}.")),
            Self::InPlace(live) => match progress(std::slice::from_ref(live)) {
                Progress::Failed(why) => {
                    no("NotSynced", format!("{why}; check its store and the keys in spec.credentials."))
                }
                Progress::Waiting(said) => no("Waiting", said),
                Progress::Synced(message) => Some(Synced { yes: true, reason: "Synced", message }),
            },
        }
    }

    /// Its operator has not answered yet.
    pub(super) fn waits(&self) -> bool {
        self.synced().is_some_and(|synced| synced.reason == "Waiting")
    }

    /// Somebody may put right what nobody tells us of.
    pub(super) fn is_to_be_looked_for(&self) -> bool {
        matches!(self, Self::KindMissing | Self::NameTaken(_) | Self::Leaving(_) | Self::Refused(_))
    }
}

/// # Errors
/// When the API server does not answer, or has another version of it by now.
pub(super) async fn keep(context: &Context, source: &DataSource) -> Result<Kept, Error> {
    let Some(meant) = meant(source) else {
        if told_of_one(source) {
            remove(context, source).await?;
        }
        return Ok(Kept::NotWanted);
    };
    let Some(resource) = context.served.find(Kind::ExternalSecret).await? else {
        return Ok(Kept::KindMissing);
    };
    let name = meant.name_any();
    let applied = match read(context, source, &resource).await? {
        None => {
            let types = TypeMeta { api_version: resource.api_version.clone(), kind: resource.kind.clone() };
            let new = DynamicObject { types: Some(types), ..meant.clone() };
            match context.writer.create_child(&resource, &new).await {
                Ok(None) => {
                    context.served.is_gone(Kind::ExternalSecret);
                    return Ok(Kept::KindMissing);
                }
                Ok(Some(created)) => Ok(created),
                Err(error) => Err(error),
            }
        }
        Some(live) => match belonging(source, &live) {
            Belonging::Foreign => return Ok(Kept::NameTaken(name)),
            Belonging::Leaving => return Ok(Kept::Leaving(name)),
            Belonging::Ours => hold(context, source, &resource, &meant, live).await,
        },
    };
    match applied {
        Ok(live) => {
            let remembered = Remembered { uid: live.uid(), generation: live.metadata.generation, meant };
            context.memory.keeps(source, remembered);
            Ok(Kept::InPlace(Box::new(live)))
        }
        Err(WriteError::Refused { source, .. }) if refusal(&source).is_some() => {
            Ok(Kept::Refused(refusal(&source).unwrap_or_default()))
        }
        Err(error) => Err(Error::External(error)),
    }
}

/// What the API server said of the object itself, as against not having answered.
fn refusal(error: &kube::Error) -> Option<String> {
    match error {
        kube::Error::Api(status) if matches!(status.code, 400 | 403 | 422) => {
            Some(status.message.trim_end_matches('.').to_owned())
        }
        _ => None,
    }
}

/// The API server fills in defaults: only it can say whether an update would change anything.
async fn hold(
    context: &Context,
    source: &DataSource,
    resource: &ApiResource,
    meant: &DynamicObject,
    live: DynamicObject,
) -> Result<DynamicObject, WriteError> {
    let has_labels = meant.labels().iter().all(|(key, value)| live.labels().get(key) == Some(value));
    let now = Remembered { uid: live.uid(), generation: live.metadata.generation, meant: meant.clone() };
    if has_labels && context.memory.external(source).as_ref() == Some(&now) {
        return Ok(live);
    }
    let update = onto(meant, &live);
    let would_be = context.writer.rehearse_child(resource, &update).await?;
    if has_labels && would_be.data.get("spec") == live.data.get("spec") {
        return Ok(live);
    }
    context.writer.replace_child(resource, &update).await
}

/// What others noted on it stays.
fn onto(meant: &DynamicObject, live: &DynamicObject) -> DynamicObject {
    let mut labels = live.labels().clone();
    labels.extend(meant.labels().clone());
    DynamicObject {
        types: live.types.clone(),
        metadata: ObjectMeta {
            labels: Some(labels),
            owner_references: meant.metadata.owner_references.clone(),
            ..live.metadata.clone()
        },
        data: meant.data.clone(),
    }
}

/// None where no credential is external.
fn meant(source: &DataSource) -> Option<DynamicObject> {
    let (namespace, name) = select::place(source);
    let external = source.spec.credentials.iter().filter_map(|credential| {
        credential.external.as_ref().map(|asks| Wanted { key: &credential.name, asks })
    });
    let wanted: Vec<Wanted<'_>> = external.collect();
    let (first, others) = wanted.split_first()?;
    let labels = [
        ("app.kubernetes.io/component", COMPONENT),
        ("app.kubernetes.io/instance", name),
        (MANAGED_BY, MANAGER),
        ("app.kubernetes.io/part-of", MANAGER),
    ];
    let metadata = ObjectMeta {
        name: Some(secrets::brought(name)),
        namespace: Some(namespace.to_owned()),
        labels: Some(BTreeMap::from(labels.map(|(key, value)| (key.to_owned(), value.to_owned())))),
        owner_references: Some(source.controller_owner_ref(&()).into_iter().collect()),
        ..ObjectMeta::default()
    };
    Some(external_secret::build(metadata, *first, others))
}

/// The status speaks of one as long as it was not seen that it is gone.
fn told_of_one(source: &DataSource) -> bool {
    let conditions = source.status.iter().flat_map(|status| &status.conditions);
    conditions.into_iter().any(|condition| condition.type_ == DataSourceCondition::SecretsSynced.as_str())
}

async fn remove(context: &Context, source: &DataSource) -> Result<(), Error> {
    let Some(resource) = context.served.find(Kind::ExternalSecret).await? else { return Ok(()) };
    match read(context, source, &resource).await? {
        Some(live) if belonging(source, &live) == Belonging::Ours => {
            tracing::info!(source = %live.name_any(), "no credential is external any more: its ExternalSecret is deleted");
            context.writer.delete_child(&resource, &live).await.map_err(Error::External)
        }
        _ => Ok(()),
    }
}

async fn read(
    context: &Context,
    source: &DataSource,
    resource: &ApiResource,
) -> Result<Option<DynamicObject>, kube::Error> {
    let (namespace, name) = select::place(source);
    let api = Api::<DynamicObject>::namespaced_with(context.client.clone(), namespace, resource);
    api.get_opt(&secrets::brought(name)).await
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Belonging {
    Ours,
    Leaving,
    Foreign,
}

fn belonging(source: &DataSource, live: &DynamicObject) -> Belonging {
    let owners = live.owner_references();
    let Some(owner) = owners.iter().find(|owner| owner.controller == Some(true)) else {
        return Belonging::Foreign;
    };
    let is_namesake =
        owner.kind == DataSource::kind(&()) && Some(&owner.name) == source.metadata.name.as_ref();
    if Some(&owner.uid) == source.metadata.uid.as_ref() {
        if live.metadata.deletion_timestamp.is_none() { Belonging::Ours } else { Belonging::Leaving }
    } else if is_namesake {
        Belonging::Leaving
    } else {
        Belonging::Foreign
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use kube::core::DynamicObject;
    use serde_json::json;

    use super::{Belonging, Kept, belonging, meant, onto};
    use crate::api::DataSource;

    fn source(credentials: &str) -> DataSource {
        let spec = format!("{{type: database, endpoint: 'redis://cache', credentials: {credentials}}}");
        let mut source = DataSource::new("cache", serde_saphyr::from_str(&spec).unwrap());
        source.metadata.namespace = Some("shop".to_owned());
        source.metadata.uid = Some("u1".to_owned());
        source
    }

    const BOTH: &str = "[{name: username, secretKeyRef: {name: a, key: u}}, {name: password, external: {store: {name: vault}, key: k}}]";

    #[test]
    fn only_external_credentials_are_asked_for() {
        assert_eq!(meant(&source("[{name: password, secretKeyRef: {name: a, key: p}}]")), None);
        let made = meant(&source(BOTH)).unwrap();
        assert_eq!(made.metadata.name.as_deref(), Some("cache-datasource"));
        assert_eq!(made.metadata.owner_references.as_ref().unwrap()[0].uid, "u1");
        let keys = made.data["spec"]["data"].as_array().unwrap();
        assert_eq!((keys.len(), keys[0]["secretKey"].as_str()), (1, Some("password")));
    }

    #[test]
    fn what_belongs_to_somebody_else_is_not_taken() {
        let source = source(BOTH);
        let ours = meant(&source).unwrap();
        assert_eq!(belonging(&source, &ours), Belonging::Ours);
        let mut leaving = ours.clone();
        leaving.metadata.owner_references.as_mut().unwrap()[0].uid = "u0".to_owned();
        assert_eq!(belonging(&source, &leaving), Belonging::Leaving);
        leaving.metadata.owner_references.as_mut().unwrap()[0].name = "another".to_owned();
        assert_eq!(belonging(&source, &leaving), Belonging::Foreign);
        leaving.metadata.owner_references = None;
        assert_eq!(belonging(&source, &leaving), Belonging::Foreign);
    }

    #[test]
    fn an_update_is_of_exactly_what_was_read_and_keeps_what_others_noted() {
        let live: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "external-secrets.io/v1", "kind": "ExternalSecret",
            "metadata": {"name": "cache-datasource", "resourceVersion": "7", "labels": {"team": "a"}},
            "spec": {"data": []},
        }))
        .unwrap();
        let update = onto(&meant(&source(BOTH)).unwrap(), &live);
        assert_eq!(update.metadata.resource_version.as_deref(), Some("7"));
        let labels = update.metadata.labels.unwrap();
        assert_eq!((labels["team"].as_str(), labels["app.kubernetes.io/instance"].as_str()), ("a", "cache"));
        assert_eq!(update.data["spec"]["data"].as_array().unwrap().len(), 1);
    }

    #[test]
    fn the_condition_says_what_to_do() {
        let said = |kept: Kept| kept.synced().map(|it| format!("{} {}: {}", it.yes, it.reason, it.message));
        assert_eq!(said(Kept::NotWanted), None);
        assert!(said(Kept::KindMissing).unwrap().contains("install the External Secrets Operator"));
        assert!(
            said(Kept::NameTaken("a".to_owned())).unwrap().starts_with("false NamesTaken: ExternalSecret a")
        );
        let with = |status: serde_json::Value| {
            let live = json!({"metadata": {"name": "a"}, "status": status});
            said(Kept::InPlace(Box::new(serde_json::from_value(live).unwrap()))).unwrap()
        };
        assert!(with(json!({})).starts_with("false Waiting"));
        let failed = json!({"conditions": [{"type": "Ready", "status": "False", "message": "no such key."}]});
        assert_eq!(
            with(failed),
            "false NotSynced: ExternalSecret a has no value: no such key; check its store and the keys in spec.credentials."
        );
        let ready = json!({"conditions": [{"type": "Ready", "status": "True"}]});
        assert!(with(ready).starts_with("true Synced"));
    }
}
