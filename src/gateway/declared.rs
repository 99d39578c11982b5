//! What servers declare beside tools, prompts, resources, completions and log messages: extensions, experiments and
//! what nobody knows yet; and what of it clients are told. Pure.

use serde::{Deserialize, Serialize};

use super::wire::{Era, Raw, eras::TASKS, text::Fields};

/// What pilothouse declares itself, or does not pass on as it is.
const OURS: [&str; 5] = ["tools", "prompts", "resources", "completions", "logging"];
/// Extensions with methods that name no entry, so that nobody could say which server they are for.
const WITHHELD: [&str; 1] = ["io.modelcontextprotocol/skills"];
/// Longest declaration that is believed, in bytes.
const LONGEST: usize = 64 * 1024;
/// How deep two servers' settings of the same thing are put together.
const DEPTH: usize = 4;

/// Of one server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Declared {
    era: Era,
    /// Its capabilities, without [`OURS`].
    more: Raw,
}

impl PartialEq for Declared {
    fn eq(&self, other: &Self) -> bool {
        self.era == other.era && self.more.get() == other.more.get()
    }
}

impl Declared {
    /// Nothing when it declares nothing else, or what it declares is no object or far too long.
    pub fn new(era: Era, capabilities: &Raw) -> Option<Self> {
        let mut more = Fields::parse(capabilities.get()).ok()?;
        more.retain(|what| !OURS.contains(&what));
        let is_some = !more.is_empty() && capabilities.get().len() <= LONGEST;
        is_some.then(|| Self { era, more: more.to_raw() })
    }

    /// Whether it may answer such a client with a task: only within one era both know the same tasks.
    pub fn has_tasks(&self, client: Era) -> bool {
        let Ok(more) = Fields::parse(self.more.get()) else { return false };
        let of = |what: &str| more.get(what).map(ToOwned::to_owned);
        self.era == client
            && match client {
                Era::Legacy => of("tasks").is_some_and(|tasks| is_object(&tasks)),
                Era::Modern => of("extensions").is_some_and(|extensions| has(&extensions, TASKS)),
            }
    }

    /// What of it holds for a client of that era.
    fn passed(&self, client: Era) -> Fields<'static> {
        let mut passed = Fields::default();
        for (what, value) in Fields::parse(self.more.get()).unwrap_or_default().iter() {
            let value = match what {
                "extensions" => {
                    let Ok(mut extensions) = Fields::parse(value.get()) else { continue };
                    extensions.retain(|extension| {
                        !WITHHELD.contains(&extension) && (extension != TASKS || self.has_tasks(client))
                    });
                    if extensions.is_empty() {
                        continue;
                    }
                    extensions.to_raw()
                }
                "tasks" => {
                    let Ok(mut tasks) = Fields::parse(value.get()) else { continue };
                    if !self.has_tasks(client) {
                        continue;
                    }
                    // A list would be of one server's tasks, and of everybody's.
                    tasks.remove("list");
                    tasks.to_raw()
                }
                _ => value.to_owned(),
            };
            passed.set(what, value);
        }
        passed
    }
}

/// What a client of that era is told of these servers together: members of an object of capabilities. Where two differ,
/// the first is right.
pub fn together<'a>(all: impl IntoIterator<Item = &'a Declared>, client: Era) -> Raw {
    let all = all.into_iter().map(|declared| declared.passed(client).to_raw());
    all.reduce(|before, next| merged(&before, &next, DEPTH)).unwrap_or_else(|| Fields::default().to_raw())
}

fn merged(first: &Raw, second: &Raw, depth: usize) -> Raw {
    let (Ok(mut both), Ok(second)) = (Fields::parse(first.get()), Fields::parse(second.get())) else {
        return first.clone();
    };
    for (what, value) in second.iter() {
        let value = match both.get(what) {
            None => value.to_owned(),
            Some(before) if depth > 0 => merged(&before.to_owned(), &value.to_owned(), depth - 1),
            Some(_) => continue,
        };
        both.set(what, value);
    }
    both.to_raw()
}

/// Whether an object, as text, has this member and it is an object.
fn has(object: &Raw, member: &str) -> bool {
    Fields::parse(object.get())
        .is_ok_and(|fields| fields.get(member).is_some_and(|value| value.get().starts_with('{')))
}

fn is_object(value: &Raw) -> bool {
    value.get().starts_with('{')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{Declared, together};
    use crate::gateway::wire::{Era, Raw};

    fn raw(json: &str) -> Raw {
        serde_json::value::RawValue::from_string(json.to_owned()).unwrap()
    }

    fn declared(era: Era, json: &str) -> Declared {
        Declared::new(era, &raw(json)).unwrap()
    }

    #[test]
    fn extensions_experiments_and_the_unknown_pass_as_they_came() {
        let server = r#"{"tools":{"listChanged":true},"x-odd":{"n":2.50},"extensions":{"a/b":{"z":1e3,"y":null}},"experimental":{"e":{}},"logging":{}}"#;
        let expected =
            r#"{"x-odd":{"n":2.50},"extensions":{"a/b":{"z":1e3,"y":null}},"experimental":{"e":{}}}"#;
        for (server_era, client) in
            [(Era::Legacy, Era::Modern), (Era::Modern, Era::Legacy), (Era::Modern, Era::Modern)]
        {
            assert_eq!(together([&declared(server_era, server)], client).get(), expected);
        }
        assert!(Declared::new(Era::Modern, &raw(r#"{"tools":{},"prompts":{}}"#)).is_none());
        assert!(Declared::new(Era::Modern, &raw("[1]")).is_none());
    }

    #[test]
    fn what_cannot_be_passed_is_not_promised() {
        let server = r#"{"extensions":{"io.modelcontextprotocol/skills":{},"io.modelcontextprotocol/tasks":{},"x":{}}}"#;
        let modern = declared(Era::Modern, server);
        assert_eq!(
            together([&modern], Era::Modern).get(),
            r#"{"extensions":{"io.modelcontextprotocol/tasks":{},"x":{}}}"#
        );
        assert_eq!(together([&modern], Era::Legacy).get(), r#"{"extensions":{"x":{}}}"#);
        assert!(modern.has_tasks(Era::Modern) && !modern.has_tasks(Era::Legacy));
        let skills = declared(Era::Modern, r#"{"extensions":{"io.modelcontextprotocol/skills":{}}}"#);
        assert_eq!(together([&skills], Era::Modern).get(), "{}");
    }

    #[test]
    fn legacy_tasks_are_for_legacy_clients_and_are_not_listed() {
        let legacy =
            declared(Era::Legacy, r#"{"tasks":{"list":{},"cancel":{},"requests":{"tools":{"call":{}}}}}"#);
        assert_eq!(
            together([&legacy], Era::Legacy).get(),
            r#"{"tasks":{"cancel":{},"requests":{"tools":{"call":{}}}}}"#
        );
        assert_eq!(together([&legacy], Era::Modern).get(), "{}");
        assert!(legacy.has_tasks(Era::Legacy) && !legacy.has_tasks(Era::Modern));
    }

    #[test]
    fn servers_are_put_together_and_the_first_is_right() {
        let one = declared(Era::Modern, r#"{"extensions":{"a":{"x":1.0},"b":{}}}"#);
        let two = declared(Era::Modern, r#"{"extensions":{"a":{"x":2,"y":3},"c":[1]},"z":true}"#);
        assert_eq!(
            together([&one, &two], Era::Modern).get(),
            r#"{"extensions":{"a":{"x":1.0,"y":3},"b":{},"c":[1]},"z":true}"#
        );
        assert_eq!(together([], Era::Modern).get(), "{}");
    }
}
