//! The Helm releases, those that failed or hang first.

use std::collections::HashMap;

use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{
    Tool, answered,
    arguments::{self, Parsed},
    definition::{Definition, Effect, cursor, max_tokens, text},
    desk::{Desk, What, in_namespace},
    helm::{Release, Stored},
    kinds::age,
    list_resources::cell_text,
};
use crate::{
    answer::{Answer, Row, Selection},
    caller::{Caller, Need},
};

pub(super) struct ListHelmReleases(pub(super) Desk);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    namespace: Option<String>,
    cursor: Option<String>,
    max_tokens: Option<usize>,
}

pub(super) const NEEDS: &[Need] = &[Need { verb: "list", group: "", resource: "secrets" }];

impl Tool for ListHelmReleases {
    fn definition(&self) -> Value {
        Definition {
            name: "list_helm_releases",
            title: "List Helm releases",
            description: "Use this to see what Helm has installed: each release with chart, version, app version, status and revision; failed and hanging ones first. Needs the right to list Secrets.",
            properties: json!({
                "namespace": text("all namespaces if absent"),
                "cursor": cursor(),
                "max_tokens": max_tokens(),
            }),
            required: &[],
            effect: Effect::Reads,
            output: None,
        }
        .into_value()
    }

    fn needs(&self) -> &'static [Need] {
        NEEDS
    }

    fn call<'a>(&'a self, caller: &'a Caller, arguments: Option<&'a RawValue>) -> BoxFuture<'a, Answer> {
        answered(self.list(caller, arguments))
    }
}

/// Cells before those that are only read for rows that are shown.
const LABELLED: [&str; 4] = ["NAMESPACE", "NAME", "REVISION", "STATUS"];

impl ListHelmReleases {
    async fn list(&self, caller: &Caller, raw: Option<&RawValue>) -> Result<Answer, Answer> {
        let Parsed { arguments, request } = arguments::parse(&self.definition(), raw)?;
        let Arguments { namespace, cursor, max_tokens } = arguments;
        let paging = self.0.page(caller, &request, cursor.as_deref(), max_tokens)?;
        let (mut newest, version) =
            self.0.helm_revisions(namespace.as_deref(), None, paging.version()).await?;
        // The newest revision of each stands first.
        newest.dedup_by(|later, first| (&later.namespace, &later.name) == (&first.namespace, &first.name));
        if newest.is_empty() {
            self.0.known_namespace(namespace.as_deref()).await?;
        }
        let mut rows = Selection::new(paging.place(), paging.budget());
        let mut by_key = HashMap::new();
        for stored in newest {
            let row = row(&stored, paging.now());
            by_key.insert(row.key.clone(), stored);
            rows.offer(row);
        }
        let wanted: Vec<&Stored> =
            rows.showable(paging.budget()).filter_map(|row| by_key.get(&row.key)).collect();
        let secrets = self.0.kind("secrets").await?;
        let read = self.0.helm_releases(&secrets, wanted).await;
        for (row, release) in rows.showable(paging.budget()).zip(read) {
            complete(&mut row.cells, release, paging.now());
        }
        let columns = LABELLED.into_iter().chain(["CHART", "APP-VERSION", "UPDATED", "WHY"]);
        let page = rows.page(columns, paging.budget(), cell_text);
        let place = in_namespace(namespace.as_deref());
        let what = What::of("Helm release", "Helm releases", place);
        Ok(Answer::text(paging.text(page, &what, "deployed", &version)))
    }
}

fn row(stored: &Stored, now: jiff::Timestamp) -> Row {
    let Stored { namespace, name, revision, status, updated, .. } = stored;
    let (rank, why) = stored.health(now);
    Row {
        rank,
        key: format!("{namespace}/{name}"),
        group: namespace.clone(),
        cells: vec![
            namespace.clone(),
            name.clone(),
            revision.to_string(),
            status.clone(),
            String::new(),
            String::new(),
            age(*updated, now),
            why,
        ],
    }
}

/// Adds what only the release itself says.
fn complete(cells: &mut [String], release: Result<Release, String>, now: jiff::Timestamp) {
    let [_, _, _, status, chart, app, updated, why] = cells else { return };
    match release {
        Ok(release) => {
            *chart = release.chart();
            *app = release.chart.metadata.app_version.clone();
            if let Some(deployed) = release.deployed() {
                *updated = age(Some(deployed), now);
            }
            if why.is_empty() && status != "deployed" {
                *why = release.info.description;
            }
        }
        Err(error) if why.is_empty() => *why = error,
        Err(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::{Release, complete};

    #[test]
    fn a_failed_release_says_why() {
        let mut cells: Vec<String> =
            ["shop", "cart", "3", "failed", "", "", "5m", ""].iter().map(|cell| (*cell).to_owned()).collect();
        let mut release = Release::default();
        release.info.description = "timed out".into();
        release.chart.metadata.name = "cart".into();
        release.chart.metadata.version = "1.0".into();
        complete(&mut cells, Ok(release), jiff::Timestamp::UNIX_EPOCH);
        assert_eq!((cells[4].as_str(), cells[7].as_str()), ("cart-1.0", "timed out"));
        complete(&mut cells, Err("gone".into()), jiff::Timestamp::UNIX_EPOCH);
        assert_eq!(cells[7], "timed out");
    }
}
