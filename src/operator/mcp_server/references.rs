//! The objects that a server's pods refer to and that are not its children: ConfigMaps and Secrets, and the
//! Secrets that its ExternalSecrets make.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use k8s_openapi::api::core::v1::{EnvFromSource, EnvVar, EnvVarSource};

use super::{
    build::external_name,
    validate::{Owner, Source, Workload},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum What {
    ConfigMap,
    Secret,
    /// A Secret that an ExternalSecret of ours makes, the server's or a DataSource's.
    Brought,
}

/// An object in the server's namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Referent {
    pub what: What,
    pub name: String,
}

/// As it is noted on the Deployment.
impl fmt::Display for Referent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.what {
            What::ConfigMap => "ConfigMap",
            What::Secret => "Secret",
            What::Brought => "ExternalSecret",
        };
        write!(f, "{what}/{}", self.name)
    }
}

/// What of it the pods use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Use {
    pub keys: Keys,
    /// The pods start without it too: then it counts when it comes or goes.
    pub optional: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Keys {
    All,
    Only(BTreeSet<String>),
}

pub(super) type References = BTreeMap<Referent, Use>;

pub(super) fn of(owner: &Owner, workload: &Workload) -> References {
    let mut all = References::new();
    add_environment(&mut all, &workload.env);
    for EnvFromSource { config_map_ref, secret_ref, prefix: _ } in &workload.env_from {
        if let Some(from) = config_map_ref {
            add(&mut all, What::ConfigMap, &from.name, None, from.optional);
        }
        if let Some(from) = secret_ref {
            add(&mut all, What::Secret, &from.name, None, from.optional);
        }
    }
    for one in &workload.secrets {
        let optional = Some(one.optional);
        match &one.source {
            Source::Secret(from) => add(&mut all, What::Secret, &from.name, Some(&from.key), optional),
            Source::External { .. } => {
                add(&mut all, What::Brought, &external_name(owner, &one.place), None, optional);
            }
        }
    }
    all
}

/// What variables take from objects.
pub(super) fn add_environment(all: &mut References, env: &[EnvVar]) {
    for variable in env {
        let Some(EnvVarSource { config_map_key_ref, secret_key_ref, .. }) = &variable.value_from else {
            continue;
        };
        if let Some(from) = config_map_key_ref {
            add(all, What::ConfigMap, &from.name, Some(&from.key), from.optional);
        }
        if let Some(from) = secret_key_ref {
            add(all, What::Secret, &from.name, Some(&from.key), from.optional);
        }
    }
}

/// These Secrets are made by ExternalSecrets.
pub(super) fn bring(all: &mut References, secrets: &BTreeSet<String>) {
    for name in secrets {
        if let Some(used) = all.remove(&Referent { what: What::Secret, name: name.clone() }) {
            all.insert(Referent { what: What::Brought, name: name.clone() }, used);
        }
    }
}

fn add(all: &mut References, what: What, name: &str, key: Option<&String>, optional: Option<bool>) {
    if name.is_empty() {
        return;
    }
    let optional = optional.unwrap_or(false);
    let keys = key.map_or(Keys::All, |key| Keys::Only(BTreeSet::from([key.clone()])));
    let known = all.entry(Referent { what, name: name.to_owned() });
    let known = known.or_insert_with(|| Use { keys: keys.clone(), optional });
    known.optional &= optional;
    match (&mut known.keys, keys) {
        (Keys::Only(known), Keys::Only(more)) => known.extend(more),
        (known, Keys::All) => *known = Keys::All,
        (Keys::All, Keys::Only(_)) => {}
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{Keys, bring, of};
    use crate::operator::mcp_server::{
        fixture::server,
        validate::{Runs, validate},
    };

    #[test]
    fn every_field_that_refers_to_an_object_is_seen() {
        let spec = "{image: a,
            env: [{name: A, valueFrom: {configMapKeyRef: {name: settings, key: a}}},
                  {name: B, valueFrom: {configMapKeyRef: {name: settings, key: b, optional: true}}},
                  {name: C, valueFrom: {secretKeyRef: {name: keys, key: c, optional: true}}}],
            envFrom: [{configMapRef: {name: all}}, {secretRef: {name: keys, optional: true}}],
            secrets: [{env: D, secretKeyRef: {name: other, key: d}},
                      {env: E, external: {store: {name: s}, key: k}}]}";
        let validated = validate(&server(spec), None).unwrap();
        let Runs::Workload(workload) = &validated.runs else { panic!("a workload was expected") };
        let mut all = of(&validated.owner, workload);
        bring(&mut all, &["other".to_owned(), "another".to_owned()].into());
        let said: Vec<String> = all
            .iter()
            .map(|(referent, used)| {
                let keys = match &used.keys {
                    Keys::All => "all".to_owned(),
                    Keys::Only(keys) => keys.iter().cloned().collect::<Vec<_>>().join("+"),
                };
                format!("{referent} {keys} {}", used.optional)
            })
            .collect();
        let brought = &said[3];
        assert!(
            brought.starts_with("ExternalSecret/demo-e-") && brought.ends_with(" all false"),
            "{brought}"
        );
        assert_eq!(
            said[..3],
            ["ConfigMap/all all false", "ConfigMap/settings a+b false", "Secret/keys all true"]
        );
        assert_eq!(said[4..], ["ExternalSecret/other d false"], "its DataSource has it made");
    }
}
