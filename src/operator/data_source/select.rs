//! Which DataSources an MCPServer is connected to. Needs no client.

use std::collections::BTreeSet;

use crate::api::{DataSource, mcp_server::DataSources};

/// The sources that are used, and names in the spec that led to none.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Selection {
    /// Sorted by namespace and name, the server's own namespace first.
    pub sources: Vec<DataSource>,
    /// Names of `matchNames` that no source has that may be used.
    pub unmatched: Vec<String>,
}

/// The namespaces that are looked into for a server of `namespace`.
pub(crate) fn namespaces(spec: &DataSources, namespace: &str) -> BTreeSet<String> {
    if spec.namespaces.is_empty() {
        BTreeSet::from([namespace.to_owned()])
    } else {
        spec.namespaces.iter().cloned().collect()
    }
}

/// Of `all`, those that `spec` selects and a server of `namespace` may use. A source that does not allow it is
/// told apart from one that does not exist by nothing: otherwise a label would be enough to list the sources of
/// another namespace.
pub(crate) fn select(spec: &DataSources, namespace: &str, all: Vec<DataSource>) -> Selection {
    let wanted = namespaces(spec, namespace);
    let mut sources: Vec<DataSource> = all
        .into_iter()
        .filter(|source| source.metadata.deletion_timestamp.is_none())
        .filter(|source| wanted.contains(place(source).0))
        .filter(|source| matches(spec, source) && allows(source, namespace))
        .collect();
    sources.sort_by(|one, other| key(one, namespace).cmp(&key(other, namespace)));
    let is_there = |name: &&String| sources.iter().any(|source| place(source).1 == name.as_str());
    let unmatched = spec.match_names.iter().filter(|name| !is_there(name)).cloned().collect();
    Selection { sources, unmatched }
}

/// Namespace and name.
pub(crate) fn place(source: &DataSource) -> (&str, &str) {
    let metadata = &source.metadata;
    (metadata.namespace.as_deref().unwrap_or_default(), metadata.name.as_deref().unwrap_or_default())
}

fn key<'a>(source: &'a DataSource, own: &str) -> (bool, &'a str, &'a str) {
    let (namespace, name) = place(source);
    (namespace != own, namespace, name)
}

fn matches(spec: &DataSources, source: &DataSource) -> bool {
    let labels = source.metadata.labels.as_ref();
    let has = |key: &String, value: &String| labels.and_then(|labels| labels.get(key)) == Some(value);
    let by_name = spec.match_names.is_empty() || spec.match_names.iter().any(|name| name == place(source).1);
    // CEL asks for one of both; an older object without either selects nothing.
    let selects = !spec.match_names.is_empty() || !spec.match_labels.is_empty();
    selects && by_name && spec.match_labels.iter().all(|(key, value)| has(key, value))
}

fn allows(source: &DataSource, namespace: &str) -> bool {
    let allowed = &source.spec.allowed_namespaces;
    place(source).0 == namespace || allowed.iter().any(|allowed| allowed == "*" || allowed == namespace)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{place, select};
    use crate::api::DataSource;

    fn source(namespace: &str, name: &str, labels: &str, allowed: &str) -> DataSource {
        let spec = format!("{{type: database, endpoint: 'redis://{name}', allowedNamespaces: {allowed}}}");
        let mut source = DataSource::new(name, serde_saphyr::from_str(&spec).unwrap());
        source.metadata.namespace = Some(namespace.to_owned());
        source.metadata.labels = Some(serde_saphyr::from_str(labels).unwrap());
        source
    }

    fn all() -> Vec<DataSource> {
        vec![
            source("shop", "orders", "{team: shop, tier: a}", "[]"),
            source("shop", "cache", "{team: shop, tier: b}", "[]"),
            source("other", "billing", "{team: shop}", "[shop]"),
            source("other", "wages", "{team: shop}", "[]"),
            source("open", "public", "{team: shop}", "['*']"),
        ]
    }

    fn selected(spec: &str) -> (Vec<String>, Vec<String>) {
        let selection = select(&serde_saphyr::from_str(spec).unwrap(), "shop", all());
        let names = selection.sources.iter().map(|source| format!("{}/{}", place(source).0, place(source).1));
        (names.collect(), selection.unmatched)
    }

    #[test]
    fn labels_and_names_must_both_match() {
        assert_eq!(selected("{matchLabels: {team: shop}}").0, ["shop/cache", "shop/orders"]);
        assert_eq!(selected("{matchLabels: {team: shop, tier: a}}").0, ["shop/orders"]);
        assert_eq!(
            selected("{matchLabels: {tier: b}, matchNames: [orders]}"),
            (vec![], vec!["orders".to_owned()])
        );
        assert_eq!(selected("{}").0, [""; 0]);
    }

    #[test]
    fn another_namespace_must_allow_it_and_is_not_listed_otherwise() {
        let everywhere = "namespaces: [shop, other, open]";
        let (sources, unmatched) = selected(&format!("{{matchLabels: {{team: shop}}, {everywhere}}}"));
        assert_eq!(sources, ["shop/cache", "shop/orders", "open/public", "other/billing"]);
        assert_eq!(unmatched, [""; 0]);
        let (sources, unmatched) = selected(&format!("{{matchNames: [wages, none, public], {everywhere}}}"));
        assert_eq!(
            (sources, unmatched),
            (vec!["open/public".to_owned()], vec!["wages".to_owned(), "none".to_owned()])
        );
    }

    #[test]
    fn without_namespaces_only_its_own_is_looked_into() {
        assert_eq!(selected("{matchNames: [billing]}").0, [""; 0]);
    }
}
