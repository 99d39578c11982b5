//! What a caller may not use is not there for this caller: not listed, not answered, not hinted at.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use futures::future::BoxFuture;
use pilothouse::{
    caller::{Caller, Proof, Rights, Rule},
    gateway::{Catalogue, Entry, Kind},
    mcp::{
        Access,
        access::{Look, Needs, Sight, Verdict, question},
    },
};
use serde_json::{Value, json};

use crate::stage::{Pipe, Stage};

/// Who may use which entries, by user and name.
#[derive(Default)]
struct Keys {
    given: Mutex<BTreeMap<String, BTreeSet<String>>>,
    /// Why nothing can be found out at the moment.
    down: Mutex<Option<String>>,
}

impl Keys {
    fn give(&self, user: &str, names: &[&str]) {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        self.given.lock().unwrap().insert(user.to_owned(), names);
    }

    fn may(&self, caller: &Caller, name: &str) -> bool {
        let given = self.given.lock().unwrap();
        !caller.is_impersonated() || given.get(&caller.user).is_some_and(|names| names.contains(name))
    }

    fn state(&self) -> Result<(), String> {
        self.down.lock().unwrap().clone().map_or(Ok(()), Err)
    }
}

impl Access for Keys {
    fn sight<'a>(
        &'a self,
        caller: &'a Caller,
        catalogue: &'a Catalogue,
        _: Look,
    ) -> BoxFuture<'a, Result<Sight, String>> {
        let seen = self.state().map(|()| {
            if !caller.is_impersonated() {
                return Sight::everything();
            }
            let kinds = [Kind::Tool, Kind::Prompt, Kind::Resource];
            let all = kinds.into_iter().flat_map(|kind| catalogue.of_kind(kind));
            let rules = all
                .filter(|entry| self.may(caller, &entry.name))
                .map(|entry| Rule::only(&question(entry.kind, &entry.name)));
            let rights = Rights::new(rules.collect());
            Sight::limited(BTreeMap::from([("here".to_owned(), Arc::new(rights))]), Arc::new(Needs::new()))
        });
        Box::pin(std::future::ready(seen))
    }

    fn glimpse(&self, _: &Caller) -> Option<Sight> {
        None
    }

    fn check<'a>(
        &'a self,
        caller: &'a Caller,
        entry: &'a Entry,
        namespace: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Verdict, String>> {
        let verdict = self.state().map(|()| match (self.may(caller, &entry.name), namespace) {
            (true, None | Some("here")) => Verdict::Allowed,
            (true, Some(_)) => Verdict::Elsewhere("you may in here".to_owned()),
            (false, _) => Verdict::Unknown,
        });
        Box::pin(std::future::ready(verdict))
    }

    fn renewal(&self) -> Duration {
        Duration::from_millis(20)
    }
}

fn caller(user: &str) -> Caller {
    Caller { user: user.to_owned(), proof: Proof::Oidc, ..Caller::anonymous() }
}

async fn ask(pipe: &mut Pipe, id: u64, method: &str, params: Value) -> Value {
    let request = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params });
    pipe.write(&request.to_string()).await;
    pipe.answer(id).await
}

async fn names(pipe: &mut Pipe, id: u64, list: &str) -> Vec<String> {
    let answer = ask(pipe, id, &format!("{list}/list"), json!({})).await;
    let entries = answer["result"][list].as_array().unwrap_or_else(|| panic!("{answer}")).clone();
    entries.iter().map(|entry| entry["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn lists_hold_what_the_caller_may_use() {
    let keys = Arc::new(Keys::default());
    keys.give("ann", &["odd", "p", "r"]);
    let (stage, props) = Stage::guarded(keys);
    props.show(&[(Kind::Prompt, "p"), (Kind::Prompt, "q"), (Kind::Resource, "r"), (Kind::Resource, "s")]);
    let mut ann = Pipe::open_as(caller("ann"), stage.face.clone());
    ann.initialize().await;
    assert_eq!(names(&mut ann, 1, "tools").await, ["odd"]);
    assert_eq!(names(&mut ann, 2, "prompts").await, ["p"]);
    assert_eq!(names(&mut ann, 3, "resources").await, ["r"]);
    // Whoever started the process is not limited.
    let mut process = Pipe::open(stage.face.clone());
    process.initialize().await;
    assert_eq!(names(&mut process, 1, "tools").await.len(), 4);
}

#[tokio::test]
async fn a_tool_that_may_not_be_called_is_as_unknown_as_one_that_is_not_there() {
    let keys = Arc::new(Keys::default());
    keys.give("ann", &["length"]);
    let (stage, props) = Stage::guarded(keys);
    props.show(&[(Kind::Tool, "secret_one"), (Kind::Prompt, "hidden"), (Kind::Resource, "x://hidden")]);
    let mut ann = Pipe::open_as(caller("ann"), stage.face.clone());
    ann.initialize().await;
    for (id, method, key, hidden, nothing) in [
        (1, "tools/call", "name", "secret_one", "secret_two"),
        (3, "tools/call", "name", "odd", "old"),
        (5, "prompts/get", "name", "hidden", "midden"),
        (7, "resources/read", "uri", "x://hidden", "x://midden"),
    ] {
        let of = async |pipe: &mut Pipe, id, name: &str| {
            let answer = ask(pipe, id, method, json!({ key: name })).await;
            assert!(answer["error"].is_object(), "{answer}");
            answer["error"].to_string().replace(name, "NAME")
        };
        let (there, not) = (of(&mut ann, id, hidden).await, of(&mut ann, id + 1, nothing).await);
        assert_eq!(there, not);
    }
    assert_eq!(props.calls(), 0);
    // A near miss names only what this caller may use.
    let answer = ask(&mut ann, 20, "tools/call", json!({ "name": "lenght" })).await;
    assert!(answer["error"]["message"].as_str().unwrap().contains("length"), "{answer}");
    let answer = ask(&mut ann, 21, "tools/call", json!({ "name": "secret_on" })).await;
    assert!(!answer.to_string().contains("secret_one"), "{answer}");
}

#[tokio::test]
async fn a_namespace_where_the_tool_may_not_be_called_is_told_in_the_answer() {
    let keys = Arc::new(Keys::default());
    keys.give("ann", &["odd"]);
    let (stage, props) = Stage::guarded(keys);
    let mut ann = Pipe::open_as(caller("ann"), stage.face.clone());
    ann.initialize().await;
    let call = |namespace: &str| json!({ "name": "odd", "arguments": { "namespace": namespace } });
    let answer = ask(&mut ann, 1, "tools/call", call("there")).await;
    assert_eq!(answer["result"]["isError"], true, "{answer}");
    assert_eq!(answer["result"]["content"][0]["text"], "you may in here");
    assert_eq!(props.calls(), 0);
    let answer = ask(&mut ann, 2, "tools/call", call("here")).await;
    assert_eq!(answer["result"]["content"][0]["type"], "hologram");
}

#[tokio::test]
async fn when_it_cannot_be_found_out_everything_is_refused_with_the_reason() {
    let keys = Arc::new(Keys::default());
    keys.give("ann", &["odd"]);
    let (stage, props) = Stage::guarded(keys.clone());
    let mut ann = Pipe::open_as(caller("ann"), stage.face.clone());
    ann.initialize().await;
    *keys.down.lock().unwrap() = Some("the API server cannot be reached".to_owned());
    for (id, method, params) in [(1, "tools/list", json!({})), (2, "tools/call", json!({ "name": "odd" }))] {
        let answer = ask(&mut ann, id, method, params).await;
        assert_eq!(answer["error"]["message"], "the API server cannot be reached", "{answer}");
    }
    assert_eq!(props.calls(), 0);
}

#[tokio::test]
async fn a_session_hears_of_new_rights_and_only_of_its_own() {
    let keys = Arc::new(Keys::default());
    keys.give("ann", &["odd"]);
    keys.give("bob", &["odd"]);
    let (stage, _props) = Stage::guarded(keys.clone());
    let mut ann = Pipe::open_as(caller("ann"), stage.face.clone());
    let mut bob = Pipe::open_as(caller("bob"), stage.face.clone());
    for pipe in [&mut ann, &mut bob] {
        pipe.initialize().await;
        // The session watches from here on.
        names(pipe, 1, "tools").await;
    }
    keys.give("ann", &["odd", "length"]);
    let told: Value = serde_json::from_str(&ann.read().await.unwrap()).unwrap();
    assert_eq!(told["method"], "notifications/tools/list_changed");
    keys.give("bob", &["wait"]);
    let told: Value = serde_json::from_str(&bob.read().await.unwrap()).unwrap();
    assert_eq!(told["method"], "notifications/tools/list_changed");
    // Nothing more was said to ann meanwhile: the next line is the answer.
    let request = json!({ "jsonrpc": "2.0", "id": 9, "method": "tools/list", "params": {} });
    ann.write(&request.to_string()).await;
    let next: Value = serde_json::from_str(&ann.read().await.unwrap()).unwrap();
    assert_eq!(next["id"], 9, "{next}");
}
