//! `search_tools` and `call_tool`: what is listed in the place of tools that are too many to list. The face answers
//! them, since it knows which tools the caller sees and how each is called; here is what they say.

use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{
    arguments::{self, Parsed},
    definition::{Definition, Effect, number, text},
};
use crate::answer::{Answer, Budget};

pub const SEARCH: &str = "search_tools";
pub const CALL: &str = "call_tool";

/// Tools shown when the caller does not say how many.
const SHOWN: usize = 5;
const MOST: usize = 20;

/// The definitions of both.
pub fn search_definitions() -> [Value; 2] {
    [search_definition(), call_definition()]
}

fn search_definition() -> Value {
    Definition {
        name: SEARCH,
        title: "Search tools",
        description: "Use this first when no listed tool fits: many more tools of MCP servers can be called here than are listed. Finds them by words of their names, descriptions and arguments, best first, and shows each whole definition. Then use call_tool with the name and the arguments that its inputSchema asks for.",
        properties: json!({
            "query": text("a few words of what the tool should do, for example `create issue`"),
            "limit": number("tools to show, 5 if absent, at most 20", 1),
        }),
        required: &["query"],
        effect: Effect::Reads,
        output: None,
    }
    .into_value()
}

fn call_definition() -> Value {
    let mut definition = Definition {
        name: CALL,
        title: "Call a tool",
        description: "Use this to call a tool that search_tools has found, as if it were listed.",
        properties: json!({
            "name": text("the tool's name as search_tools shows it"),
            "arguments": { "type": "object", "description": "what its inputSchema asks for" },
        }),
        required: &["name"],
        effect: Effect::Acts,
        output: None,
    }
    .into_value();
    // What it does is what the called tool does, which is another one each time.
    definition["annotations"] = json!({ "openWorldHint": true });
    definition
}

/// What is sought.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolSearch {
    query: String,
    #[serde(default)]
    limit: Option<usize>,
}

/// The call inside a `call_tool`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InnerCall {
    pub name: String,
    #[serde(default)]
    pub arguments: Option<Value>,
}

/// # Errors
/// An error answer that says what is wrong with the arguments.
pub fn parse_search(arguments: Option<&RawValue>) -> Result<ToolSearch, Answer> {
    let Parsed { arguments, request: _ } = arguments::parse::<ToolSearch>(&search_definition(), arguments)?;
    if words(&arguments.query).is_empty() {
        return Err(Answer::error(format!("`query` of {SEARCH} has no word: say what the tool should do")));
    }
    Ok(arguments)
}

/// # Errors
/// As [`parse_search`].
pub fn parse_call(arguments: Option<&RawValue>) -> Result<InnerCall, Answer> {
    arguments::parse(&call_definition(), arguments).map(|parsed| parsed.arguments)
}

impl ToolSearch {
    /// The best of these tools (name and definition), as many as the budget holds.
    pub fn answer<'a>(&self, tools: impl Iterator<Item = (&'a str, &'a RawValue)>, budget: Budget) -> Answer {
        let sought = words(&self.query);
        let mut total = 0;
        let mut found: Vec<(Score, &str, &RawValue)> = tools
            .inspect(|_| total += 1)
            .filter_map(|(name, definition)| Some((score(&sought, name, definition)?, name, definition)))
            .collect();
        found.sort_by(|(a, a_name, _), (b, b_name, _)| b.cmp(a).then_with(|| a_name.cmp(b_name)));
        if found.is_empty() {
            return Answer::text(format!(
                "None of {total} tools has any of the words {} in its name, description or arguments: try other words.",
                sought.join(", ")
            ));
        }
        let limit = self.limit.unwrap_or(SHOWN).clamp(1, MOST);
        let mut lines = String::new();
        let mut shown = 0;
        for (_, name, definition) in found.iter().take(limit) {
            let definition = definition.get();
            let is_first = shown == 0;
            if !is_first && lines.len() + definition.len() > budget.bytes() {
                break;
            }
            // One that is larger than all room is named at least.
            if definition.len() > budget.bytes() {
                lines.push_str(&format!("{name}: its definition is larger than this answer may be\n"));
            } else {
                lines.push_str(definition);
                lines.push('\n');
            }
            shown += 1;
        }
        let rest = match found.len() - shown {
            0 => String::new(),
            more => {
                let others: Vec<&str> = found.iter().skip(shown).take(10).map(|(_, name, _)| *name).collect();
                format!(
                    "{more} more match, among them {}: raise `limit` or be more precise.\n",
                    others.join(", ")
                )
            }
        };
        Answer::text(format!("{shown} of {total} tools, best first; call one with {CALL}.\n{lines}{rest}"))
    }
}

/// How many of the words were found, then how well.
type Score = (usize, usize);

fn score(sought: &[String], name: &str, definition: &RawValue) -> Option<Score> {
    let definition: Value = serde_json::from_str(definition.get()).unwrap_or_default();
    let in_name = words(name);
    let mut in_text = words(definition["description"].as_str().unwrap_or_default());
    in_text.extend(words(definition["title"].as_str().unwrap_or_default()));
    let mut in_arguments = Vec::new();
    for (argument, schema) in definition["inputSchema"]["properties"].as_object().into_iter().flatten() {
        in_arguments.extend(words(argument));
        in_arguments.extend(words(schema["description"].as_str().unwrap_or_default()));
    }
    let weigh = |word: &String| {
        let of = |there: &[String], weight: usize| {
            let best = there.iter().map(|other| likeness(word, other)).max().unwrap_or(0);
            best * weight
        };
        of(&in_name, 3) + of(&in_text, 2) + of(&in_arguments, 1)
    };
    let weights: Vec<usize> = sought.iter().map(weigh).filter(|weight| *weight > 0).collect();
    (!weights.is_empty()).then(|| (weights.len(), weights.iter().sum()))
}

fn likeness(sought: &str, there: &str) -> usize {
    if sought == there {
        4
    } else if sought.len() >= 3 && there.starts_with(sought) {
        2
    } else if (sought.len() >= 4 && there.contains(sought)) || (there.len() >= 4 && sought.starts_with(there))
    {
        1
    } else {
        0
    }
}

/// Lower case, one for each part of `a_partedName`, without an `s` at the end.
fn words(text: &str) -> Vec<String> {
    let mut found = vec![String::new()];
    let mut was_lower = false;
    for character in text.chars() {
        if !character.is_alphanumeric() || (character.is_uppercase() && was_lower) {
            found.push(String::new());
        }
        was_lower = character.is_lowercase();
        if let Some(word) = found.last_mut().filter(|_| character.is_alphanumeric()) {
            word.extend(character.to_lowercase());
        }
    }
    let without_s = |word: String| match word.strip_suffix('s') {
        Some(stem) if stem.len() >= 3 && !stem.ends_with('s') => stem.to_owned(),
        _ => word,
    };
    found.into_iter().filter(|word| !word.is_empty()).map(without_s).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::{Value, json, value::RawValue};

    use super::{CALL, SEARCH, parse_call, parse_search, search_definitions, words};
    use crate::answer::Budget;

    fn raw(value: &serde_json::Value) -> Box<RawValue> {
        serde_json::value::to_raw_value(value).unwrap()
    }

    fn search(query: &str, limit: usize, budget: usize) -> String {
        let tools = [
            json!({ "name": "github_create_issue", "description": "Opens an issue in a repository." }),
            json!({ "name": "github_list_issues", "description": "Lists what is open." }),
            json!({ "name": "mail_send", "description": "Sends a message.",
                "inputSchema": { "properties": { "recipient": { "description": "whom to write to" } } } }),
            json!({ "name": "timeNow", "description": "Tells the hour." }),
        ];
        among(&tools, query, limit, budget)
    }

    fn among(tools: &[Value], query: &str, limit: usize, budget: usize) -> String {
        let tools: Vec<_> = tools.iter().map(|tool| (tool["name"].as_str().unwrap(), raw(tool))).collect();
        let sought = parse_search(Some(&raw(&json!({ "query": query, "limit": limit })))).unwrap();
        let answer = sought.answer(tools.iter().map(|(name, raw)| (*name, &**raw)), Budget::of(budget));
        answer.into_result().get().to_owned()
    }

    fn at(text: &str, name: &str) -> usize {
        text.find(name).unwrap_or_else(|| panic!("{name} is not in {text}"))
    }

    #[test]
    fn names_weigh_more_than_descriptions_and_arguments_count_too() {
        let found = search("create an issue", 5, 8000);
        assert!(at(&found, "github_create_issue") < at(&found, "github_list_issues"), "{found}");
        assert!(!found.contains("mail_send"), "{found}");
        assert!(search("recipients", 5, 8000).contains("mail_send"));
        assert!(search("what hour is it now", 5, 8000).contains("timeNow"));
        assert!(search("issue", 1, 8000).contains("1 more match, among them github_list_issues"));
        assert!(search("zebra", 5, 8000).contains("None of 4 tools"));
    }

    #[test]
    fn the_answer_keeps_to_its_budget() {
        let tools: Vec<Value> = (0..4)
            .map(|number| json!({ "name": format!("mail_{number}"), "description": "mail ".repeat(400) }))
            .collect();
        let found = among(&tools, "mail", 20, Budget::LEAST);
        assert!(found.contains("larger than this answer may be") && found.contains("more match"), "{found}");
    }

    #[test]
    fn wrong_arguments_are_said() {
        for wrong in
            [json!({}), json!({ "query": "?!" }), json!({ "query": "a", "x": 1 }), json!({ "query": 1 })]
        {
            assert!(parse_search(Some(&raw(&wrong))).is_err(), "{wrong}");
        }
        assert!(parse_call(Some(&raw(&json!({ "name": "a", "arguments": 1 })))).is_err());
        let call = parse_call(Some(&raw(&json!({ "name": "a", "arguments": { "x": 1 } })))).unwrap();
        assert_eq!((call.name.as_str(), call.arguments), ("a", Some(json!({ "x": 1 }))));
    }

    #[test]
    fn words_are_the_parts_of_names() {
        assert_eq!(
            words("getHTTPStatus of_the boxes, pass"),
            ["get", "httpstatu", "of", "the", "boxe", "pass"]
        );
        assert_eq!(search_definitions().map(|tool| tool["name"].clone()), [json!(SEARCH), json!(CALL)]);
    }
}
