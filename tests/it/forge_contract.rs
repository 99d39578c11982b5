//! Holds what went over the wire to what GitHub publishes: its OpenAPI description and its GraphQL schema.

use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    process::{Command, Stdio},
    sync::OnceLock,
};

use serde_json::{Map, Value, json};

use crate::parts;

/// A request and its answer.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub(crate) method: String,
    /// As the description writes it: `/repos/{owner}/{repo}/pulls`.
    pub(crate) template: &'static str,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) sent: Option<Value>,
    pub(crate) status: u16,
    pub(crate) said: Value,
}

pub(crate) fn description() -> &'static Value {
    static READ: OnceLock<Value> = OnceLock::new();
    READ.get_or_init(|| {
        let path = parts::forges().join("node_modules/@octokit/openapi/generated/api.github.com.json");
        let text = fs::read_to_string(path).unwrap();
        serde_json::from_str(&text).unwrap()
    })
}

fn operation(template: &str, method: &str) -> Option<&'static Value> {
    description()["paths"].get(template)?.get(method.to_lowercase())
}

fn followed(value: &'static Value) -> &'static Value {
    match value.get("$ref").and_then(Value::as_str) {
        Some(to) => followed(description().pointer(&to[1..]).unwrap_or_else(|| panic!("no {to}"))),
        None => value,
    }
}

/// The example that GitHub gives of an answer.
pub(crate) fn example(template: &str, method: &str, status: u16) -> Value {
    let operation = operation(template, method).unwrap_or_else(|| panic!("no {method} {template}"));
    let answer = followed(&operation["responses"][status.to_string()]);
    let examples = answer["content"]["application/json"]["examples"].as_object().unwrap();
    let mut example = followed(examples.values().next().unwrap());
    // Some refer to an example, some to its value.
    while let Some(value) = example.get("value") {
        example = followed(value);
    }
    let mut example = example.clone();
    mend(&mut example);
    example
}

/// GitHub's examples lack some of what GitHub's description requires.
fn mend(example: &mut Value) {
    match example {
        Value::Array(items) => items.iter_mut().for_each(mend),
        Value::Object(fields) => {
            if fields.contains_key("requested_teams") {
                fields.insert("requested_teams".to_owned(), json!([]));
            }
            if fields.contains_key("forks_count") && !fields.contains_key("language") {
                fields.insert("language".to_owned(), Value::Null);
            }
            fields.values_mut().for_each(mend);
        }
        _ => {}
    }
}

/// All that is not as described: of the operation, its parameters, what was sent and what was said.
pub(crate) fn violations(exchanges: &[Exchange]) -> Vec<String> {
    let mut wrong = BTreeSet::new();
    for Exchange { method, template, query, sent, status, said } in exchanges {
        let about = format!("{method} {template}");
        let Some(operation) = operation(template, method) else {
            wrong.insert(format!("{about} is not described"));
            continue;
        };
        let known: Vec<_> = operation["parameters"]
            .as_array()
            .into_iter()
            .flatten()
            .map(followed)
            .filter(|parameter| parameter["in"] == "query")
            .collect();
        for (name, value) in query {
            let Some(parameter) = known.iter().find(|parameter| parameter["name"] == name.as_str()) else {
                wrong.insert(format!("{about} knows no parameter {name}"));
                continue;
            };
            let fitting = parameter["schema"]["enum"].as_array();
            if fitting.is_some_and(|fitting| !fitting.iter().any(|fits| fits == value.as_str())) {
                wrong.insert(format!("{about}: {name} must not be {value}"));
            }
        }
        if let Some(sent) = sent {
            check(&about, "sent", &operation["requestBody"], sent, &mut wrong);
        }
        match operation["responses"].get(status.to_string()) {
            Some(answer) => check(&about, &status.to_string(), followed(answer), said, &mut wrong),
            None => {
                wrong.insert(format!("{about} never answers {status}"));
            }
        }
    }
    wrong.into_iter().collect()
}

fn check(about: &str, what: &str, described: &Value, value: &Value, wrong: &mut BTreeSet<String>) {
    let schema = &described["content"]["application/json"]["schema"];
    if schema.is_null() {
        if !value.is_null() && described.get("content").is_some() {
            wrong.insert(format!("{about}: {what} has no JSON"));
        }
        return;
    }
    let validator = jsonschema::validator_for(&whole(schema)).unwrap();
    for error in validator.iter_errors(value) {
        let text: String = error.to_string().chars().take(200).collect();
        wrong.insert(format!("{about}: {what} at {}: {text}", error.instance_path()));
    }
}

/// A schema of OpenAPI 3.0 as one of JSON Schema, with all that it refers to.
fn whole(schema: &Value) -> Value {
    let mut own = Map::new();
    let mut wanted: Vec<String> = Vec::new();
    let mut schema = plain(schema, &mut wanted);
    while let Some(name) = wanted.pop() {
        if !own.contains_key(&name) {
            let found = &description()["components"]["schemas"][&name];
            let found = plain(found, &mut wanted);
            own.insert(name, found);
        }
    }
    schema["components"] = json!({"schemas": own});
    schema
}

fn plain(schema: &Value, wanted: &mut Vec<String>) -> Value {
    match schema {
        Value::Array(items) => items.iter().map(|item| plain(item, wanted)).collect(),
        Value::Object(fields) => {
            let mut made: Map<_, _> = fields
                .iter()
                .filter(|(name, _)| !["example", "examples", "discriminator"].contains(&name.as_str()))
                .map(|(name, field)| (name.clone(), plain(field, wanted)))
                .collect();
            if let Some(to) = fields.get("$ref").and_then(Value::as_str) {
                wanted.push(to.rsplit('/').next().unwrap().to_owned());
            }
            if made.remove("nullable") == Some(Value::Bool(true)) {
                return json!({"anyOf": [made, {"type": "null"}]});
            }
            Value::Object(made)
        }
        other => other.clone(),
    }
}

const CHECK_QUERIES: &str = r"
const { buildSchema, parse, validate, getVariableValues } = require('graphql');
const { readFileSync } = require('fs');
const schema = buildSchema(readFileSync('node_modules/@octokit/graphql-schema/schema.graphql', 'utf8'), { assumeValidSDL: true });
const wrong = new Set();
for (const { query, variables } of JSON.parse(readFileSync(0, 'utf8'))) {
    const document = parse(query);
    for (const error of validate(schema, document)) wrong.add(error.message);
    const { errors } = getVariableValues(schema, document.definitions[0].variableDefinitions, variables);
    for (const error of errors ?? []) wrong.add(error.message);
}
console.log(JSON.stringify([...wrong]));
";

/// What of these requests (`query`, `variables`) GitHub's GraphQL schema does not allow.
pub(crate) fn wrong_queries(requests: &[Value]) -> Vec<String> {
    let mut child = Command::new(parts::node())
        .args(["-e", CHECK_QUERIES])
        .current_dir(parts::forges())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(json!(requests).to_string().as_bytes()).unwrap();
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success(), "the queries were not checked");
    serde_json::from_slice(&out.stdout).unwrap()
}

#[test]
fn what_is_not_as_described_is_found() {
    let template = "/repos/{owner}/{repo}/pulls";
    let good = Exchange {
        method: "POST".to_owned(),
        template,
        query: Vec::new(),
        sent: Some(json!({"title": "a", "head": "b", "base": "main"})),
        status: 201,
        said: example(template, "POST", 201),
    };
    assert_eq!(violations(std::slice::from_ref(&good)), Vec::<String>::new());
    let mut bad = vec![good.clone(), good.clone(), good.clone(), good];
    bad[0].sent = Some(json!({"title": "a", "head": 1, "base": "main"}));
    bad[1].said["number"] = json!("one");
    bad[2].query = vec![("colour".to_owned(), "red".to_owned())];
    bad[3].status = 299;
    let found = violations(&bad);
    assert_eq!(found.len(), 4, "{found:#?}");
    let query = "query A($o: GitObjectID!) { repository(owner: $o) { nothing } }";
    assert!(wrong_queries(&[json!({"query": query, "variables": {}})]).len() >= 3);
}
