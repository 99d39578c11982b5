//! Which kinds the API server knows, and which of them a caller means.

use serde::Deserialize;

use super::Resource;

/// Asks for the aggregated documents (one request for all groups); servers that lack them answer the old lists.
pub(super) const ACCEPT: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";

/// All kinds, core group first, in the API server's order; one entry for each group and plural, in the preferred
/// version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kinds(Vec<Resource>);

/// Why a name given by a caller is not one kind.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum Unresolved {
    #[error("the cluster has no kind `{asked}`{}: `list_kinds` names all", nearest_words(.nearest))]
    Unknown { asked: String, nearest: Vec<String> },
    #[error("`{asked}` is a kind in several groups: say which, {}", .choices.join(" or "))]
    Ambiguous { asked: String, choices: Vec<String> },
}

fn nearest_words(nearest: &[String]) -> String {
    if nearest.is_empty() { String::new() } else { format!(", nearest: {}", nearest.join(", ")) }
}

impl Kinds {
    pub fn iter(&self) -> impl Iterator<Item = &Resource> {
        self.0.iter()
    }

    pub(super) fn of(resources: Vec<Resource>) -> Self {
        let mut kinds: Vec<Resource> = Vec::with_capacity(resources.len());
        for resource in resources {
            let known =
                kinds.iter().any(|known| known.group == resource.group && known.plural == resource.plural);
            if !known {
                kinds.push(resource);
            }
        }
        Self(kinds)
    }

    /// `asked` is a kind, plural, singular or short name, alone or followed by its group (`mcpservers.pilothouse.dev`),
    /// or `group/version/Kind`. Case does not matter.
    ///
    /// # Errors
    /// With the nearest names when there is none, or the choices when there are several.
    pub fn resolve(&self, asked: &str) -> Result<&Resource, Unresolved> {
        let wanted = asked.trim().to_lowercase();
        let (name, group) = parts(&wanted);
        let matching: Vec<&Resource> = self
            .0
            .iter()
            .filter(|resource| {
                is_called(resource, name) && group.is_none_or(|group| in_group(resource, group))
            })
            .collect();
        match matching.as_slice() {
            [] => Err(Unresolved::Unknown { asked: asked.to_owned(), nearest: self.nearest(name) }),
            [one] => Ok(one),
            several => {
                let own: Vec<&&Resource> =
                    several.iter().filter(|resource| is_built_in(&resource.group)).collect();
                match own.first() {
                    Some(first) => Ok(first),
                    None => Err(Unresolved::Ambiguous {
                        asked: asked.to_owned(),
                        choices: several.iter().map(|resource| resource.id()).collect(),
                    }),
                }
            }
        }
    }

    /// The resource of a kind as it stands in owner references.
    pub fn of_kind(&self, group: &str, kind: &str) -> Option<&Resource> {
        self.0.iter().find(|resource| resource.group == group && resource.kind == kind)
    }

    fn nearest(&self, name: &str) -> Vec<String> {
        let mut scored: Vec<(f64, String)> = self
            .0
            .iter()
            .map(|resource| {
                let score = [&resource.plural, &resource.singular]
                    .iter()
                    .map(|known| strsim::jaro_winkler(known, name))
                    .fold(0.0, f64::max);
                (score, resource.id())
            })
            .filter(|(score, _)| *score > 0.75)
            .collect();
        scored.sort_by(|a, b| b.0.total_cmp(&a.0));
        scored.into_iter().take(3).map(|(_, id)| id).collect()
    }
}

/// Name and group of `pods`, `deployments.apps`, `apps/v1/Deployment`, `v1/Pod`.
fn parts(wanted: &str) -> (&str, Option<&str>) {
    match wanted.split('/').collect::<Vec<_>>().as_slice() {
        [group, _version, kind] => return (kind, Some(group)),
        [version, kind] if version.starts_with('v') => return (kind, Some("")),
        [group, kind] => return (kind, Some(group)),
        _ => {}
    }
    match wanted.split_once('.') {
        Some((name, group)) => (name, Some(group)),
        None => (wanted, None),
    }
}

fn is_called(resource: &Resource, name: &str) -> bool {
    resource.plural == name
        || resource.singular == name
        || resource.kind.eq_ignore_ascii_case(name)
        || resource.short_names.iter().any(|short| short == name)
}

/// `v1.apps` is taken for `apps`, as `kubectl` does.
fn in_group(resource: &Resource, group: &str) -> bool {
    resource.group == group
        || group == "core" && resource.group.is_empty()
        || group
            .split_once('.')
            .is_some_and(|(version, rest)| version == resource.version && rest == resource.group)
}

/// Groups of Kubernetes itself, where a bare name means them; metrics are another view of the same names.
fn is_built_in(group: &str) -> bool {
    !group.contains('.')
        || (group.ends_with(".k8s.io") && group != "metrics.k8s.io" && !group.ends_with(".x-k8s.io"))
}

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    items: Vec<Group>,
    /// Of the old `APIVersions`.
    #[serde(default)]
    versions: Vec<String>,
    /// Of the old `APIGroupList`.
    #[serde(default)]
    groups: Vec<OldGroup>,
}

#[derive(Deserialize)]
struct Group {
    #[serde(default)]
    metadata: GroupMeta,
    #[serde(default)]
    versions: Vec<Version>,
}

#[derive(Default, Deserialize)]
struct GroupMeta {
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct Version {
    version: String,
    #[serde(default)]
    resources: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    resource: String,
    #[serde(default)]
    response_kind: KindName,
    #[serde(default)]
    scope: String,
    #[serde(default)]
    singular_resource: String,
    #[serde(default)]
    verbs: Vec<String>,
    #[serde(default)]
    short_names: Vec<String>,
    #[serde(default)]
    categories: Vec<String>,
}

#[derive(Default, Deserialize)]
struct KindName {
    #[serde(default)]
    kind: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OldGroup {
    preferred_version: OldVersion,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OldVersion {
    group_version: String,
}

/// What a discovery document says.
pub(super) enum Discovered {
    Resources(Vec<Resource>),
    /// The server has no aggregated documents: read these paths, each an `APIResourceList`.
    Paths(Vec<String>),
}

/// # Errors
/// When the text is not a discovery document.
pub(super) fn parse(text: &[u8]) -> Result<Discovered, serde_json::Error> {
    let document: Document = serde_json::from_slice(text)?;
    if document.kind == "APIVersions" {
        return Ok(Discovered::Paths(
            document.versions.iter().map(|version| format!("/api/{version}")).collect(),
        ));
    }
    if document.kind == "APIGroupList" {
        let path = |group: &OldGroup| format!("/apis/{}", group.preferred_version.group_version);
        return Ok(Discovered::Paths(document.groups.iter().map(path).collect()));
    }
    let mut resources = Vec::new();
    for group in document.items {
        for version in group.versions {
            for entry in version.resources {
                let Entry {
                    resource,
                    response_kind,
                    scope,
                    singular_resource,
                    verbs,
                    short_names,
                    categories,
                } = entry;
                resources.push(Resource {
                    group: group.metadata.name.clone(),
                    version: version.version.clone(),
                    kind: response_kind.kind,
                    plural: resource,
                    singular: singular_resource,
                    short_names,
                    categories,
                    verbs,
                    namespaced: scope == "Namespaced",
                });
            }
        }
    }
    Ok(Discovered::Resources(resources))
}

/// The resources of an old `APIResourceList`, without subresources.
///
/// # Errors
/// When the text is not such a list.
pub(super) fn parse_old(text: &[u8]) -> Result<Vec<Resource>, serde_json::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct List {
        group_version: String,
        #[serde(default)]
        resources: Vec<Old>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Old {
        name: String,
        #[serde(default)]
        singular_name: String,
        #[serde(default)]
        namespaced: bool,
        kind: String,
        #[serde(default)]
        verbs: Vec<String>,
        #[serde(default)]
        short_names: Vec<String>,
        #[serde(default)]
        categories: Vec<String>,
    }
    let list: List = serde_json::from_slice(text)?;
    let (group, version) = list.group_version.split_once('/').unwrap_or(("", &list.group_version));
    let resources = list.resources.into_iter().filter(|old| !old.name.contains('/')).map(|old| {
        let Old { name, singular_name, namespaced, kind, verbs, short_names, categories } = old;
        let singular = if singular_name.is_empty() { kind.to_lowercase() } else { singular_name };
        Resource {
            group: group.to_owned(),
            version: version.to_owned(),
            kind,
            plural: name,
            singular,
            short_names,
            categories,
            verbs,
            namespaced,
        }
    });
    Ok(resources.collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{Kinds, Resource, Unresolved};

    fn resource(group: &str, kind: &str, plural: &str, short: &[&str]) -> Resource {
        Resource {
            group: group.into(),
            version: "v1".into(),
            kind: kind.into(),
            plural: plural.into(),
            singular: kind.to_lowercase(),
            short_names: short.iter().map(|short| (*short).to_owned()).collect(),
            ..Resource::default()
        }
    }

    fn kinds() -> Kinds {
        Kinds::of(vec![
            resource("", "Pod", "pods", &["po"]),
            resource("", "Event", "events", &["ev"]),
            resource("events.k8s.io", "Event", "events", &["ev"]),
            resource("apps", "Deployment", "deployments", &["deploy"]),
            resource("metrics.k8s.io", "PodMetrics", "pods", &[]),
            resource("pilothouse.dev", "MCPServer", "mcpservers", &["phs"]),
            resource("mcp.x-k8s.io", "MCPServer", "mcpservers", &[]),
        ])
    }

    #[test]
    fn a_kind_is_found_by_all_its_names() {
        let kinds = kinds();
        for (asked, id) in [
            ("pods", "pods"),
            ("Pod", "pods"),
            ("po", "pods"),
            ("events", "events"),
            ("DEPLOY", "deployments.apps"),
            ("deployment.apps", "deployments.apps"),
            ("deployments.v1.apps", "deployments.apps"),
            ("apps/v1/Deployment", "deployments.apps"),
            ("v1/Pod", "pods"),
            ("phs", "mcpservers.pilothouse.dev"),
            ("MCPServer.pilothouse.dev", "mcpservers.pilothouse.dev"),
            ("pods.metrics.k8s.io", "pods.metrics.k8s.io"),
        ] {
            assert_eq!(kinds.resolve(asked).unwrap().id(), id, "{asked}");
        }
    }

    #[test]
    fn a_name_that_is_none_or_two_says_what_there_is() {
        let kinds = kinds();
        let unknown = kinds.resolve("deploymnet").unwrap_err();
        assert!(unknown.to_string().contains("nearest: deployments.apps"), "{unknown}");
        let Unresolved::Ambiguous { choices, .. } = kinds.resolve("mcpserver").unwrap_err() else {
            unreachable!("two groups have the kind")
        };
        assert_eq!(choices, ["mcpservers.pilothouse.dev", "mcpservers.mcp.x-k8s.io"]);
    }
}
