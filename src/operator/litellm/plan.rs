//! What is to be done in a proxy, as a plain function of what is there and what should be.

use std::collections::{BTreeMap, BTreeSet};

use super::entry::{Dialect, Entry, Mark, Present};
use crate::fleet::ServerName;

/// What is wanted of one server's entry at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    There(Entry),
    /// It is in trouble that may pass: what is there stays as it is.
    AsItIs,
    Gone,
}

/// How a server stands in the proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::operator) enum Standing {
    There {
        name: String,
    },
    Gone,
    /// Its name is that of an entry which is not ours; `by` is the server of ours that has it, if one does.
    NameTaken {
        name: String,
        by: Option<ServerName>,
    },
    /// The proxy, or the API server for it, was not to be told.
    Failed(Failure),
}

/// Why the proxy could not be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::operator) struct Failure {
    pub(in crate::operator) kind: FailureKind,
    /// What, where, what to do.
    pub(in crate::operator) message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::operator) enum FailureKind {
    /// No answer, or no ConfigMap.
    Unreachable,
    /// It answers, and does not do it.
    Refused,
}

impl Failure {
    pub(super) fn unreachable(message: String) -> Self {
        Self { kind: FailureKind::Unreachable, message }
    }

    pub(super) fn refused(message: String) -> Self {
        Self { kind: FailureKind::Refused, message }
    }
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    Delete { server: ServerName, present: Present },
    Update { server: ServerName, present: Present, entry: Entry },
    Create { server: ServerName, entry: Entry },
}

impl Step {
    pub(super) fn verb(&self) -> &'static str {
        match self {
            Self::Delete { .. } => "delete",
            Self::Update { .. } => "update",
            Self::Create { .. } => "create",
        }
    }
}

/// In the order in which it is done: a name is free before it is given to another.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    /// How each server stands once the steps are done.
    pub(super) standings: BTreeMap<ServerName, Standing>,
    /// Servers of entries that bear our mark, of which nobody has told us anything.
    pub(super) unknown: BTreeSet<ServerName>,
}

pub(super) fn plan(
    owner: &str,
    dialect: Dialect,
    present: &[Present],
    wishes: &BTreeMap<ServerName, Wish>,
) -> Plan {
    let mut plan = Plan::default();
    let (mut deletes, mut updates, mut creates) = (Vec::new(), Vec::new(), Vec::new());
    // Names that are not to be had, with the server of ours that has them.
    let mut names: BTreeMap<&str, Option<&ServerName>> = BTreeMap::new();
    let mut ours: BTreeMap<&ServerName, Vec<&Present>> = BTreeMap::new();
    for one in present {
        match &one.mark {
            Some(Mark { owner: by, server }) if by == owner => ours.entry(server).or_default().push(one),
            Some(_) | None => {
                names.insert(&one.name, None);
            }
        }
    }
    for (server, entries) in &ours {
        let delete =
            |present: &&Present| Step::Delete { server: (*server).clone(), present: (*present).clone() };
        match wishes.get(*server) {
            None => {
                plan.unknown.insert((*server).clone());
                names.extend(entries.iter().map(|one| (one.name.as_str(), Some(*server))));
            }
            Some(Wish::Gone) => deletes.extend(entries.iter().map(delete)),
            Some(Wish::AsItIs) => {
                names.extend(entries.iter().map(|one| (one.name.as_str(), Some(*server))));
            }
            // One that was made twice, or under another name, is one too many.
            Some(Wish::There(entry)) => {
                let kept = entries.iter().position(|one| one.name == entry.name);
                let others = entries.iter().enumerate().filter(|(at, _)| Some(*at) != kept);
                deletes.extend(others.map(|(_, one)| delete(one)));
                if kept.is_some() {
                    names.insert(&entry.name, Some(*server));
                }
            }
        }
    }
    for (server, wish) in wishes {
        let own = ours.get(server).map(Vec::as_slice).unwrap_or_default();
        let standing = match wish {
            Wish::Gone => Standing::Gone,
            Wish::AsItIs => match own.first() {
                Some(one) => Standing::There { name: one.name.clone() },
                None => Standing::Gone,
            },
            Wish::There(entry) => match own.iter().find(|one| one.name == entry.name) {
                Some(one) => {
                    if !one.says(entry, dialect) {
                        let (server, present, entry) = (server.clone(), (*one).clone(), entry.clone());
                        updates.push(Step::Update { server, present, entry });
                    }
                    Standing::There { name: entry.name.clone() }
                }
                None => match names.get(entry.name.as_str()) {
                    Some(by) => Standing::NameTaken { name: entry.name.clone(), by: by.cloned() },
                    None => {
                        names.insert(&entry.name, Some(server));
                        creates.push(Step::Create { server: server.clone(), entry: entry.clone() });
                        Standing::There { name: entry.name.clone() }
                    }
                },
            },
        };
        plan.standings.insert(server.clone(), standing);
    }
    plan.steps = deletes.into_iter().chain(updates).chain(creates).collect();
    plan
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Map, Value, json};

    use super::{Plan, Standing, Step, Wish, plan};
    use crate::{
        fleet::ServerName,
        operator::litellm::entry::{Dialect, Entry, Mark, Present, Transport},
    };

    fn server(name: &str) -> ServerName {
        ServerName { namespace: "team-a".to_owned(), name: name.to_owned() }
    }

    fn entry(name: &str) -> Entry {
        Entry {
            name: name.to_owned(),
            url: format!("http://{name}.team-a.svc:8080/mcp"),
            transport: Transport::Http,
            description: String::new(),
            groups: Vec::new(),
        }
    }

    fn ours(owner: &str, id: &str, of: &str, name: &str) -> Present {
        let mark = Mark { owner: owner.to_owned(), server: server(of) };
        let fields = entry(name).fields(&mark, Dialect::Api, None);
        Present::new(id.to_owned(), name.to_owned(), fields)
    }

    fn foreign(name: &str) -> Present {
        let fields: Map<String, Value> = Map::from_iter([("url".to_owned(), json!("http://x"))]);
        Present::new(format!("id-of-{name}"), name.to_owned(), fields)
    }

    fn planned(present: &[Present], wishes: &[(&str, Wish)]) -> Plan {
        let wishes: BTreeMap<_, _> = wishes.iter().map(|(name, wish)| (server(name), wish.clone())).collect();
        plan("pilothouse", Dialect::Api, present, &wishes)
    }

    fn steps(plan: &Plan) -> Vec<String> {
        let said = |step: &Step| match step {
            Step::Delete { server, present } => format!("delete {} of {}", present.id, server.name),
            Step::Update { present, entry, .. } => format!("update {} to {}", present.id, entry.url),
            Step::Create { server, entry } => format!("create {} for {}", entry.name, server.name),
        };
        plan.steps.iter().map(said).collect()
    }

    #[test]
    fn what_is_missing_is_made_and_what_is_right_is_left_alone() {
        let wishes = [("demo", Wish::There(entry("demo")))];
        assert_eq!(steps(&planned(&[foreign("github")], &wishes)), ["create demo for demo"]);
        let there = [foreign("github"), ours("pilothouse", "1", "demo", "demo")];
        let done = planned(&there, &wishes);
        assert!(done.steps.is_empty());
        assert_eq!(done.standings[&server("demo")], Standing::There { name: "demo".to_owned() });
    }

    #[test]
    fn what_moved_is_put_right_and_doubles_go() {
        let mut moved = ours("pilothouse", "1", "demo", "demo");
        moved.fields.insert("url".to_owned(), json!("http://elsewhere"));
        let there = [moved, ours("pilothouse", "2", "demo", "demo"), ours("pilothouse", "3", "demo", "old")];
        let done = planned(&there, &[("demo", Wish::There(entry("demo")))]);
        assert_eq!(
            steps(&done),
            ["delete 2 of demo", "delete 3 of demo", "update 1 to http://demo.team-a.svc:8080/mcp"]
        );
    }

    #[test]
    fn a_foreign_name_is_told_and_not_taken() {
        let of_another = ours("other-cluster", "1", "demo", "demo");
        for there in [foreign("demo"), of_another] {
            let done = planned(&[there], &[("demo", Wish::There(entry("demo")))]);
            assert!(done.steps.is_empty(), "{done:?}");
            assert!(matches!(&done.standings[&server("demo")], Standing::NameTaken { by: None, .. }));
            assert!(done.unknown.is_empty());
        }
    }

    #[test]
    fn two_of_ours_with_one_name_are_told_apart_and_a_freed_name_is_given_on() {
        let two = [("a", Wish::There(entry("same"))), ("b", Wish::There(entry("same")))];
        let done = planned(&[], &two);
        assert_eq!(steps(&done), ["create same for a"]);
        assert!(
            matches!(&done.standings[&server("b")], Standing::NameTaken { by: Some(by), .. } if by.name == "a")
        );
        let there = [ours("pilothouse", "1", "b", "same")];
        let done = planned(&there, &two);
        assert!(done.steps.is_empty(), "whoever has it keeps it: {done:?}");
        assert!(
            matches!(&done.standings[&server("a")], Standing::NameTaken { by: Some(by), .. } if by.name == "b")
        );
        let done = planned(&there, &[("a", Wish::There(entry("same"))), ("b", Wish::Gone)]);
        assert_eq!(steps(&done), ["delete 1 of b", "create same for a"]);
    }

    #[test]
    fn trouble_that_may_pass_changes_nothing() {
        let mut moved = ours("pilothouse", "1", "demo", "demo");
        moved.fields.insert("url".to_owned(), json!("http://before"));
        let done = planned(&[moved], &[("demo", Wish::AsItIs), ("never", Wish::AsItIs)]);
        assert!(done.steps.is_empty());
        assert_eq!(done.standings[&server("demo")], Standing::There { name: "demo".to_owned() });
        assert_eq!(done.standings[&server("never")], Standing::Gone);
    }

    #[test]
    fn an_entry_of_a_server_that_nobody_told_of_is_asked_about_first() {
        let done = planned(&[ours("pilothouse", "1", "lost", "lost")], &[]);
        assert!(done.steps.is_empty());
        assert_eq!(done.unknown.into_iter().collect::<Vec<_>>(), [server("lost")]);
    }
}
