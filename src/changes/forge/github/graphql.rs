//! The two things that are asked over GraphQL.

use std::fmt::Write;

use http::Method;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use url::Url;

use super::GitHub;
use crate::changes::forge::{
    ForgeError,
    hosted::Attempt,
    rest::{Answer, Call, Effect},
};

const MOVE: &str =
    "mutation Move($input: UpdateRefsInput!) { updateRefs(input: $input) { clientMutationId } }";

impl GitHub {
    /// The texts of files by their ids, in their order; none for what is no text.
    pub(super) async fn texts_of(&self, ids: &[&str]) -> Result<Vec<Option<String>>, ForgeError> {
        let (owner, name) = self.project.split_once('/').unwrap_or_default();
        let (query, mut variables) = texts(ids);
        variables.insert("owner".to_owned(), json!(owner));
        variables.insert("name".to_owned(), json!(name));
        let answer = self.rest.expect(&self.graphql(Effect::Same, &query, Value::Object(variables))?).await?;
        let Reply { data, errors } = answer.json()?;
        if !errors.is_empty() {
            return Err(ForgeError::Unavailable(format!(
                "{} did not give the texts of files ({}): ask again later",
                self.rest.where_(),
                self.rest.said(&answer)
            )));
        }
        let repository = data.get("repository").cloned().unwrap_or_default();
        Ok((0..ids.len())
            .map(|number| Some(repository.get(format!("t{number}"))?.get("text")?.as_str()?.to_owned()))
            .collect())
    }

    /// Moves a branch, if it still is where it was expected.
    pub(super) async fn move_branch(
        &self,
        name: &str,
        expected: &str,
        commit: &str,
    ) -> Result<Attempt<()>, ForgeError> {
        let repository: Node = self.rest.expect(&self.get_of("")).await?.json()?;
        let update = json!({"name": name, "beforeOid": expected, "afterOid": commit, "force": true});
        let input = json!({"input": {"repositoryId": repository.node_id, "refUpdates": [update]}});
        let call = self.graphql(Effect::Once, MOVE, input)?;
        let read = |answer: &Answer| {
            let Reply { data: _, errors } = answer.json()?;
            Ok((!errors.is_empty()).then(|| self.rest.said(answer)))
        };
        Ok(match Attempt::of(&self.rest, &call, read).await? {
            // What stands against it is said with 200.
            Attempt::Done(Some(said)) => Attempt::No(said),
            other => other.map(drop),
        })
    }

    fn graphql(&self, effect: Effect, query: &str, variables: Value) -> Result<Call, ForgeError> {
        let url = endpoint(self.rest.base()).ok_or_else(|| {
            ForgeError::Unsupported(format!(
                "{} has no address for GraphQL: check forge.api",
                self.rest.where_()
            ))
        })?;
        let body = json!({"query": query, "variables": variables});
        Ok(Call::new(Method::POST, [], effect).at(url).sending(body))
    }
}

/// github.com has it below the API, GitHub Enterprise (`/api/v3`) beside it.
fn endpoint(api: &Url) -> Option<Url> {
    match api.path().strip_suffix("v3/") {
        Some(_) => api.join("../graphql").ok(),
        None => api.join("graphql").ok(),
    }
}

/// One query for many files, and its variables.
fn texts(ids: &[&str]) -> (String, Map<String, Value>) {
    let (mut heads, mut fields) = (String::new(), String::new());
    let mut variables = Map::new();
    for (number, id) in ids.iter().enumerate() {
        // Writing to a string cannot fail.
        let _ = write!(heads, ", $o{number}: GitObjectID!");
        let _ = write!(fields, " t{number}: object(oid: $o{number}) {{ ... on Blob {{ text }} }}");
        variables.insert(format!("o{number}"), json!(id));
    }
    let query = format!(
        "query Texts($owner: String!, $name: String!{heads}) {{ repository(owner: $owner, name: $name) {{{fields} }} }}"
    );
    (query, variables)
}

#[derive(Deserialize)]
struct Reply {
    #[serde(default)]
    data: Value,
    #[serde(default)]
    errors: Vec<Value>,
}

#[derive(Deserialize)]
struct Node {
    node_id: String,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use url::Url;

    use super::{endpoint, texts};

    #[test]
    fn graphql_is_where_each_kind_of_github_has_it() {
        for (api, expected) in [
            ("https://api.github.com/", "https://api.github.com/graphql"),
            ("https://ghe.example.com/api/v3/", "https://ghe.example.com/api/graphql"),
        ] {
            assert_eq!(endpoint(&Url::parse(api).unwrap()).unwrap().as_str(), expected);
        }
    }

    #[test]
    fn one_query_asks_for_many_texts() {
        let (query, variables) = texts(&["aa", "bb"]);
        assert_eq!(
            query,
            "query Texts($owner: String!, $name: String!, $o0: GitObjectID!, $o1: GitObjectID!) { repository(owner: $owner, name: $name) { t0: object(oid: $o0) { ... on Blob { text } } t1: object(oid: $o1) { ... on Blob { text } } } }"
        );
        assert_eq!(variables["o1"], "bb");
    }
}
