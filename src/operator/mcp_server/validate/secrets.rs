//! Secret values: where each is kept and where the server finds it.

use k8s_openapi::api::core::v1::EnvVar;
use serde::Serialize;

use super::InvalidSpec;
use crate::{
    api::{External, MCPServerSpec, SecretKeyRef, mcp_server::SecretEntry},
    operator::field_error::{FieldError, Problem},
};

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(in crate::operator::mcp_server) struct SecretUse {
    pub place: Place,
    pub optional: bool,
    pub source: Source,
}

impl SecretUse {
    pub(in crate::operator::mcp_server) fn is_external(&self) -> bool {
        matches!(self.source, Source::External { .. })
    }
}

/// Where the server finds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(in crate::operator::mcp_server) enum Place {
    Env(String),
    File(String),
}

/// Where it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(in crate::operator::mcp_server) enum Source {
    Secret(SecretKeyRef),
    /// An ExternalSecret brings it. What it asks of the store changes no pod: only the value does.
    External {
        #[serde(skip)]
        asks: Box<External>,
    },
}

pub(super) fn secrets(entries: &[SecretEntry], env: &[EnvVar]) -> Result<Vec<SecretUse>, InvalidSpec> {
    let uses = entries.iter().enumerate().map(|(index, entry)| {
        let SecretEntry { env, file, optional, secret_key_ref, external } = entry;
        let place = match (env, file) {
            (Some(env), None) => Place::Env(env.clone()),
            (None, Some(file)) => Place::File(file.clone()),
            _ => return Err(InvalidSpec::SecretPlace(index)),
        };
        let source = match (secret_key_ref, external) {
            (Some(reference), None) => Source::Secret(reference.clone()),
            (None, Some(external)) => Source::External { asks: Box::new(external.clone()) },
            _ => return Err(InvalidSpec::SecretSource(index)),
        };
        Ok(SecretUse { place, optional: *optional, source })
    });
    let uses: Vec<SecretUse> = uses.collect::<Result<_, _>>()?;
    match twice(entries, env).next() {
        Some((_, name)) => Err(InvalidSpec::SetTwice(name.to_owned())),
        None => Ok(uses),
    }
}

/// Secrets whose variable `env` sets too, each with its place in the list.
fn twice<'a>(entries: &'a [SecretEntry], variables: &'a [EnvVar]) -> impl Iterator<Item = (usize, &'a str)> {
    let named = entries.iter().enumerate().filter_map(|(index, entry)| Some((index, entry.env.as_deref()?)));
    named.filter(|(_, name)| variables.iter().any(|variable| variable.name == *name))
}

/// Every variable that is set by both; [`secrets`] stops at the first.
pub(in crate::operator::mcp_server) fn set_twice(spec: &MCPServerSpec) -> Vec<FieldError> {
    let detail = "spec.env sets this variable too: remove one of them";
    twice(&spec.secrets, &spec.env)
        .map(|(index, name)| {
            let field = format!("spec.secrets[{index}].env");
            FieldError::new(field, Problem::Duplicate(name.to_owned()), detail)
        })
        .collect()
}
