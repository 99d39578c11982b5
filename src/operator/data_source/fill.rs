//! The variables by which a rendered file, and the server's environment, know the credentials. Needs no client.

use std::collections::BTreeMap;

use super::{secrets, select};
use crate::api::{DataSource, SecretKeyRef};

/// One credential of one source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Variable {
    /// `ORDERS_PASSWORD`; of another namespace `TEAM_B_ORDERS_PASSWORD`.
    pub name: String,
    pub namespace: String,
    pub source: String,
    pub credential: String,
    /// In the source's namespace.
    pub kept: SecretKeyRef,
}

/// One for every credential of every source. Names are told apart by a hash where two would be the same.
pub(crate) fn variables(sources: &[DataSource], own_namespace: &str) -> Vec<Variable> {
    let mut all: Vec<Variable> = Vec::new();
    for source in sources {
        let (namespace, name) = select::place(source);
        for credential in &source.spec.credentials {
            let mut words = vec![name.to_owned(), snake(&credential.name)];
            if namespace != own_namespace {
                words.insert(0, namespace.to_owned());
            }
            all.push(Variable {
                name: shouted(&words.join("_")),
                namespace: namespace.to_owned(),
                source: name.to_owned(),
                credential: credential.name.clone(),
                kept: secrets::place(name, credential),
            });
        }
    }
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for variable in &all {
        *times.entry(variable.name.clone()).or_default() += 1;
    }
    for variable in &mut all {
        if times.get(&variable.name).is_some_and(|times| *times > 1) {
            let whole = format!("{}/{}/{}", variable.namespace, variable.source, variable.credential);
            let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, whole.as_bytes());
            variable.name = format!("{}_{}", variable.name, hex::encode_upper(&hash.as_ref()[..4]));
        }
    }
    all
}

/// `accessKey` as `access_key`.
fn snake(name: &str) -> String {
    let mut words = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            words.push('_');
        }
        words.push(letter);
    }
    words
}

/// As variables are written. A namespace may begin with a digit, a variable not.
fn shouted(words: &str) -> String {
    let shouted: String =
        words.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
    if shouted.starts_with(|c: char| c.is_ascii_digit()) { format!("NS_{shouted}") } else { shouted }
}

/// What the sources are called in the environment of a server without a template: `ORDERS_URL`.
pub(crate) fn url_name(source: &DataSource, own_namespace: &str) -> String {
    let (namespace, name) = select::place(source);
    if namespace == own_namespace {
        shouted(&format!("{name}_URL"))
    } else {
        shouted(&format!("{namespace}_{name}_URL"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{url_name, variables};
    use crate::api::DataSource;

    fn source(namespace: &str, name: &str, credentials: &[&str]) -> DataSource {
        let credentials: Vec<String> = credentials
            .iter()
            .map(|name| format!("{{name: {name}, secretKeyRef: {{name: keys, key: k}}}}"))
            .collect();
        let spec = format!(
            "{{type: api, endpoint: 'https://{name}.test', credentials: [{}]}}",
            credentials.join(",")
        );
        let mut source = DataSource::new(name, serde_saphyr::from_str(&spec).unwrap());
        source.metadata.namespace = Some(namespace.to_owned());
        source
    }

    fn names(sources: &[DataSource]) -> Vec<String> {
        variables(sources, "shop").into_iter().map(|variable| variable.name).collect()
    }

    #[test]
    fn variables_are_named_after_their_source() {
        let sources = [
            source("shop", "orders-db", &["password", "accessKey"]),
            source("team-b", "orders-db", &["password"]),
            source("0ps", "x", &["token"]),
        ];
        assert_eq!(
            names(&sources),
            ["ORDERS_DB_PASSWORD", "ORDERS_DB_ACCESS_KEY", "TEAM_B_ORDERS_DB_PASSWORD", "NS_0PS_X_TOKEN"]
        );
        assert_eq!(url_name(&sources[1], "shop"), "TEAM_B_ORDERS_DB_URL");
    }

    #[test]
    fn equal_names_are_told_apart_and_stay_so() {
        let sources = [source("shop", "a-b", &["c"]), source("shop", "a", &["bC"])];
        let one = names(&sources);
        assert!(one[0].starts_with("A_B_C_") && one[1].starts_with("A_B_C_") && one[0] != one[1], "{one:?}");
        let mut other = names(&[sources[1].clone(), sources[0].clone()]);
        other.reverse();
        assert_eq!(one, other);
    }
}
