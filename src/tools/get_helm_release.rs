//! One Helm release: how it is, its history, its values and what changed in them.

use futures::future::BoxFuture;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{
    Tool, answered,
    arguments::{self, Parsed},
    definition::{Definition, Effect, cursor, max_tokens, number, text},
    desk::Desk,
    difference::difference,
    get_resource::see,
    helm::{Release, Stored},
    kinds::age,
    list_helm_releases::NEEDS,
    list_resources::{cell_text, shortened},
    rollout_history::listed,
    target::{nearest, nearest_words},
};
use crate::{
    answer::{Answer, Place, Rank, Table, window},
    caller::{Caller, Need},
    cluster::Resource,
    redact,
};

pub(super) struct GetHelmRelease(pub(super) Desk);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Arguments {
    name: String,
    namespace: String,
    revision: Option<u64>,
    cursor: Option<String>,
    max_tokens: Option<usize>,
}

/// Revisions in the history; Helm itself keeps ten.
const HISTORY: usize = 10;
const NOTES_CHARS: usize = 500;

impl Tool for GetHelmRelease {
    fn definition(&self) -> Value {
        Definition {
            name: "get_helm_release",
            title: "Get Helm release",
            description: "Use this to look at one Helm release: status with the reason, history, what changed in its values since the revision before, its notes, and the values the user gave (secrets replaced by a digest). Needs the right to read Secrets.",
            properties: json!({
                "name": text("name of the release"),
                "namespace": text("its namespace"),
                "revision": number("an earlier revision; the newest if absent", 1),
                "cursor": cursor(),
                "max_tokens": max_tokens(),
            }),
            required: &["name", "namespace"],
            effect: Effect::Reads,
            output: None,
        }
        .into_value()
    }

    fn needs(&self) -> &'static [Need] {
        NEEDS
    }

    fn call<'a>(&'a self, caller: &'a Caller, arguments: Option<&'a RawValue>) -> BoxFuture<'a, Answer> {
        answered(self.get(caller, arguments))
    }
}

impl GetHelmRelease {
    async fn get(&self, caller: &Caller, raw: Option<&RawValue>) -> Result<Answer, Answer> {
        let Parsed { arguments, request } = arguments::parse(&self.definition(), raw)?;
        let Arguments { name, namespace, revision, cursor, max_tokens } = arguments;
        let paging = self.0.page(caller, &request, cursor.as_deref(), max_tokens)?;
        let (kept, _) = self.0.helm_revisions(Some(&namespace), Some(&name), None).await?;
        if kept.is_empty() {
            return Err(self.missing(&namespace, &name).await);
        }
        let at = match revision {
            None => 0,
            Some(wanted) => kept.iter().position(|stored| stored.revision == wanted).ok_or_else(|| {
                let kept: Vec<String> = kept.iter().map(|stored| stored.revision.to_string()).collect();
                Answer::error(format!(
                    "release {namespace}/{name} keeps no revision {wanted}: it has {}",
                    kept.join(", ")
                ))
            })?,
        };
        let stored = &kept[at];
        let version = stored.revision.to_string();
        let from = match (paging.place(), paging.version()) {
            (Some(Place::Byte(from)), Some(shown)) if shown == version => Some(*from),
            (Some(_), _) => {
                return Err(Answer::error(format!(
                    "release {namespace}/{name} has a new revision since the last page: call again without `cursor`"
                )));
            }
            (None, _) => None,
        };
        let secrets = self.0.kind("secrets").await?;
        let release = self.0.helm_release(&secrets, stored).await.map_err(Answer::error)?;
        let mut text = String::new();
        if from.is_none() {
            let history = self.history(&secrets, &kept, paging.now()).await;
            let before = match kept.get(at + 1) {
                Some(before) => Some((before.revision, self.0.helm_release(&secrets, before).await)),
                None => None,
            };
            text = head(stored, &release, paging.now());
            text.push_str(&history);
            text.push_str(&changed(&release, before, paging.budget().bytes() / 3));
        }
        let yaml = values(release.config).map_err(Answer::error)?;
        let piece = window(&yaml, from.unwrap_or(0), paging.budget().after(&text));
        text.push_str(piece.text);
        if let Some(next) = piece.next {
            let left = yaml.len() - next;
            text.push_str(&format!("\n{left} more bytes. {}", paging.next(&version, Place::Byte(next))));
        }
        Ok(Answer::text(text))
    }

    async fn missing(&self, namespace: &str, name: &str) -> Answer {
        if let Err(missing) = self.0.known_namespace(Some(namespace)).await {
            return missing;
        }
        let others = self.0.helm_revisions(Some(namespace), None, None).await;
        let mut names: Vec<String> = others
            .map(|(others, _)| others.into_iter().map(|other| other.name).collect())
            .unwrap_or_default();
        names.dedup();
        let near = nearest(name, names.iter().map(String::as_str));
        let rest = match (near.as_slice(), names.as_slice()) {
            ([], []) => ", it has no release at all".to_owned(),
            ([], _) => ": list_helm_releases names them".to_owned(),
            _ => nearest_words(&near),
        };
        Answer::error(format!("there is no Helm release `{name}` in namespace {namespace}{rest}"))
    }

    async fn history(&self, secrets: &Resource, kept: &[Stored], now: Timestamp) -> String {
        let read = self.0.helm_releases(secrets, kept.iter().take(HISTORY).collect()).await;
        let mut table = Table::new(["REVISION", "UPDATED", "STATUS", "CHART", "APP-VERSION", "DESCRIPTION"]);
        for (stored, release) in kept.iter().zip(read) {
            let release = release.unwrap_or_else(|error| {
                let mut unread = Release::default();
                unread.info.description = error;
                unread
            });
            let updated = age(release.deployed().or(stored.updated), now);
            let description = shortened(&release.info.description, 120);
            table.push(vec![
                stored.revision.to_string(),
                updated,
                stored.status.clone(),
                release.chart(),
                release.chart.metadata.app_version,
                description,
            ]);
        }
        format!("History:\n{}", table.render())
    }
}

fn head(stored: &Stored, release: &Release, now: Timestamp) -> String {
    let Stored { namespace, name, revision, status, .. } = stored;
    let (rank, why) = stored.health(now);
    let word = match rank {
        Rank::Broken => "Broken: ",
        Rank::Warning => "Warning: ",
        Rank::Neutral | Rank::Healthy => "",
    };
    let said = [why.as_str(), release.info.description.as_str()];
    let said: Vec<&str> = said.into_iter().filter(|words| !words.is_empty()).collect();
    let updated = age(release.deployed().or(stored.updated), now);
    let said = cell_text(&said.join("; "));
    let mut text = format!(
        "{word}{namespace}/{name} is {status}, revision {revision}, chart {}, updated {updated} ago: {said}\n",
        release.chart()
    );
    let notes = release.info.notes.trim();
    if !notes.is_empty() {
        text.push_str(&format!(
            "Notes: {}\n",
            shortened(&notes.split_whitespace().collect::<Vec<_>>().join(" "), NOTES_CHARS)
        ));
    }
    text
}

/// What differs between the values of this revision and the one before.
fn changed(release: &Release, before: Option<(u64, Result<Release, String>)>, bytes: usize) -> String {
    let hidden = |values: &Value| {
        let mut values = values.clone();
        redact::values(&mut values);
        values
    };
    match before {
        None => String::new(),
        Some((revision, Err(error))) => format!("Revision {revision} cannot be read: {error}\n"),
        Some((revision, Ok(before))) => {
            let mut changes = String::new();
            if before.chart() != release.chart() {
                changes =
                    format!("Chart since revision {revision}: {} -> {}\n", before.chart(), release.chart());
            }
            let values = difference(&hidden(&before.config), &hidden(&release.config));
            changes + &listed(&format!("Values since revision {revision}:"), &values, bytes)
        }
    }
}

/// The user's values as YAML, without secrets.
fn values(mut config: Value) -> Result<String, String> {
    if config.as_object().is_none_or(serde_json::Map::is_empty) {
        return Ok("No values were given: those of the chart are used.\n".to_owned());
    }
    see(&mut config);
    redact::values(&mut config);
    let yaml =
        serde_saphyr::to_string(&config).map_err(|error| format!("its values cannot be written: {error}"))?;
    Ok(format!("Values given by the user:\n---\n{yaml}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::{Release, changed, values};

    fn release(config: Value) -> Release {
        Release { config, ..Release::default() }
    }

    #[test]
    fn values_leave_without_their_secrets() {
        let config = json!({ "auth": { "rootPassword": "hunter2-root", "existingSecret": "db" }, "tokens": 3,
            "env": [{ "name": "API_TOKEN", "value": "hunter2-env" }], "image": { "tag": "2" } });
        let yaml = values(config).unwrap();
        assert!(!yaml.contains("hunter2") && yaml.contains("existingSecret: db"), "{yaml}");
        assert!(
            yaml.contains("rootPassword: ") && yaml.contains("<redacted:") && yaml.contains("tokens: 3"),
            "{yaml}"
        );
        assert!(values(Value::Null).unwrap().starts_with("No values"));
    }

    #[test]
    fn what_changed_in_the_values_is_said() {
        let (old, new) = (
            release(json!({ "image": { "tag": "1" }, "db": { "password": "hunter2-a" } })),
            release(json!({ "image": { "tag": "2" }, "db": { "password": "hunter2-b" } })),
        );
        let text = changed(&new, Some((1, Ok(old.clone()))), 2_000);
        assert!(text.contains("Values since revision 1:\n  image.tag: 1 -> 2\n"), "{text}");
        assert!(text.contains("db.password: <redacted:") && !text.contains("hunter2"), "{text}");
        assert_eq!(
            changed(&old, Some((1, Ok(old.clone()))), 2_000),
            "Values since revision 1: no difference\n"
        );
        assert_eq!(changed(&old, None, 2_000), "");
    }
}
