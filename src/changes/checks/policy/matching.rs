//! Which objects a policy is about. Pure.

use serde::Deserialize;

use crate::changes::checks::pairs::Pair;

/// Absent or empty means all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Matching {
    /// `Deployment`, or with its group `Deployment.apps`.
    kinds: Vec<String>,
    /// Names; one may end in `*`. Objects without a namespace are met by none of them.
    namespaces: Vec<String>,
}

impl Matching {
    pub(super) fn meets(&self, pair: &Pair<'_>) -> bool {
        let Self { kinds, namespaces } = self;
        let (version, kind) = pair.api();
        let group = version.split_once('/').map_or("", |(group, _)| group);
        let is_kind = |wanted: &String| match wanted.split_once('.') {
            Some((name, of)) => name.eq_ignore_ascii_case(kind) && of == group,
            None => wanted.eq_ignore_ascii_case(kind),
        };
        let is_namespace = |wanted: &String| match (wanted.strip_suffix('*'), pair.namespace()) {
            (Some(beginning), Some(own)) => own.starts_with(beginning),
            (None, Some(own)) => wanted == own,
            (_, None) => false,
        };
        (kinds.is_empty() || kinds.iter().any(is_kind))
            && (namespaces.is_empty() || namespaces.iter().any(is_namespace))
    }
}
