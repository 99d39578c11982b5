//! What a client may offer while somebody types the argument of a prompt or of the objects' address.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::Objects;
use crate::{caller::Caller, cluster::ListRequest, tools::desk::Desk};

/// As the protocol says: a completion has at most this many values.
const MOST: usize = 100;

/// What is being typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The argument's name: `context`, `namespace`, `kind`, `name`.
    pub argument: String,
    /// As far as it is typed.
    pub value: String,
    /// The other arguments, where the client says them.
    pub given: BTreeMap<String, String>,
}

/// Values that begin with what is typed, then those that hold it elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Completion {
    values: Vec<String>,
    total: usize,
}

impl Completion {
    fn of(typed: &str, mut known: Vec<String>) -> Self {
        known.sort_unstable();
        known.dedup();
        let typed = typed.to_lowercase();
        let at = |name: &String| name.to_lowercase().find(&typed);
        let mut fitting: Vec<(bool, String)> =
            known.into_iter().filter_map(|name| Some((at(&name)? > 0, name))).collect();
        fitting.sort();
        let total = fitting.len();
        Self { values: fitting.into_iter().take(MOST).map(|(_, name)| name).collect(), total }
    }

    /// As MCP's `CompleteResult`.
    pub fn into_result(self) -> Value {
        let Self { values, total } = self;
        let has_more = total > values.len();
        json!({ "completion": { "values": values, "total": total, "hasMore": has_more } })
    }
}

impl Objects {
    /// What cannot be read completes to nothing: a completion is an offer and not an answer.
    pub async fn complete(&self, caller: &Caller, wanted: &Wanted) -> Completion {
        let Wanted { argument, value, given } = wanted;
        if argument == "context" {
            let mut names: Vec<String> = self.0.contexts.names().into_iter().map(str::to_owned).collect();
            names.push("_".to_owned());
            return Completion::of(value, names);
        }
        let chosen =
            |key: &str| given.get(key).map(String::as_str).filter(|text| !text.is_empty() && *text != "_");
        let Ok(desk) = self.0.desk(caller, chosen("context")).await else { return Completion::default() };
        let known = match argument.as_str() {
            "namespace" => names(&desk, "namespaces", None).await,
            "kind" => kinds(&desk).await,
            "name" => names(&desk, chosen("kind").unwrap_or("deployments.apps"), chosen("namespace")).await,
            _ => Vec::new(),
        };
        Completion::of(value, known)
    }
}

async fn kinds(desk: &Desk) -> Vec<String> {
    let Ok(kinds) = desk.reader.kinds().await else { return Vec::new() };
    kinds.iter().filter(|resource| resource.can("get")).map(|resource| resource.id()).collect()
}

async fn names(desk: &Desk, kind: &str, namespace: Option<&str>) -> Vec<String> {
    let Ok(resource) = desk.kind(kind).await else { return Vec::new() };
    let namespace = namespace.filter(|_| resource.namespaced).map(str::to_owned);
    let request = ListRequest { namespace, ..ListRequest::default() };
    let names = desk.reader.names(&resource, &request).await.unwrap_or_default();
    names.into_iter().map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::Completion;

    #[test]
    fn what_begins_so_comes_before_what_holds_it() {
        let names = ["shop", "workshop", "bar", "Shopping"].map(str::to_owned).to_vec();
        let completion = Completion::of("sho", names);
        assert_eq!(completion.values, ["Shopping", "shop", "workshop"]);
        let many = (0..250).map(|at| format!("n{at:03}")).collect();
        let result = Completion::of("", many).into_result();
        assert_eq!(result["completion"]["total"], 250);
        assert_eq!(result["completion"]["hasMore"], true);
    }
}
