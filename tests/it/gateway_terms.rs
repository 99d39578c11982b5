//! What a manifest says of its server's tools has its effect: on a real server, from the folder to the client.

use std::{
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use pilothouse::{
    caller::{Caller, Proof},
    fleet::{Roster, folder::Folder},
    gateway::{Gateway, Kind, State},
    tools::Toolbox,
};
use serde_json::{Value, json};
use tokio::{io::copy_bidirectional, net::TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{
    authority::Authority,
    bridge_process::until,
    gateway_parts::{everything, everything_over, node},
    stage::{Pipe, Stage},
};

/// server-everything from a manifest, with a face before it.
struct Declared {
    folder: tempfile::TempDir,
    gateway: Arc<Gateway>,
    stage: Stage,
    _stop: DropGuard,
}

impl Declared {
    /// `more` are further lines of the spec; waits until its tools are there.
    async fn everything(more: &str) -> Self {
        let declared = Self::start();
        declared.declare(&format!(
            "transport: stdio\n  command: ['{}', '{}', stdio]\n{more}",
            node(),
            everything()
        ));
        until("its tools are there", async || declared.gateway.catalogue().of_kind(Kind::Tool).count() > 5)
            .await;
        declared
    }

    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let gateway = Arc::new(Gateway::new(Vec::new()));
        let roster = Roster::new(gateway.clone());
        let stop = CancellationToken::new();
        tokio::spawn(Folder::open(folder.path(), roster).unwrap().run(stop.clone()));
        let stage = Stage::over(gateway.clone(), Arc::new(Toolbox::default()), gateway.catalogues());
        Self { folder, gateway, stage, _stop: stop.drop_guard() }
    }

    fn declare(&self, spec: &str) {
        let manifest = format!(
            "apiVersion: pilothouse.dev/v1alpha1\nkind: MCPServer\nmetadata: {{name: every}}\nspec:\n  {spec}\n"
        );
        fs::write(self.folder.path().join("every.yaml"), manifest).unwrap();
    }

    async fn session(&self, caller: Caller) -> Pipe {
        let mut pipe = Pipe::open_as(caller, self.stage.face.clone());
        pipe.initialize().await;
        pipe
    }
}

async fn call(pipe: &mut Pipe, id: u64, tool: &str, arguments: Value) -> Value {
    let params = json!({ "name": tool, "arguments": arguments });
    let request = json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params });
    pipe.write(&request.to_string()).await;
    pipe.answer(id).await
}

async fn tools(pipe: &mut Pipe, id: u64) -> Vec<String> {
    pipe.write(&json!({ "jsonrpc": "2.0", "id": id, "method": "tools/list" }).to_string()).await;
    let answer = pipe.answer(id).await;
    let tools = answer["result"]["tools"].as_array().unwrap_or_else(|| panic!("{answer}")).clone();
    tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
}

fn somebody(user: &str, groups: &[&str]) -> Caller {
    let groups = groups.iter().map(|group| (*group).to_owned()).collect();
    Caller { user: user.to_owned(), groups, proof: Proof::Oidc, ..Caller::anonymous() }
}

#[tokio::test]
async fn a_renamed_tool_is_called_by_its_new_name() {
    let declared = Declared::everything("  gateway: {tools: {rename: {echo: say}}}").await;
    let mut pipe = declared.session(Caller::process()).await;
    let names = tools(&mut pipe, 1).await;
    assert!(
        names.contains(&"every_say".to_owned()) && !names.contains(&"every_echo".to_owned()),
        "{names:?}"
    );
    let answer = call(&mut pipe, 2, "every_say", json!({ "message": "hi" })).await;
    assert_eq!(answer["result"]["content"][0]["text"], "Echo: hi", "{answer}");
    let refused = call(&mut pipe, 3, "every_echo", json!({ "message": "hi" })).await;
    assert!(
        refused["error"]["message"].as_str().unwrap().contains("there is no tool `every_echo`"),
        "{refused}"
    );
}

#[tokio::test]
async fn who_is_not_in_its_access_neither_sees_nor_calls_it() {
    let access = "  gateway: {access: {groups: [payments], users: [ann], serviceAccounts: [shop/bot]}}";
    let declared = Declared::everything(access).await;
    let bot = Caller { proof: Proof::TokenReview, ..somebody("system:serviceaccount:shop:bot", &[]) };
    for (id, caller) in [somebody("ann", &[]), somebody("bob", &["payments"]), bot].into_iter().enumerate() {
        let mut pipe = declared.session(caller).await;
        let answer = call(&mut pipe, id as u64 + 1, "every_echo", json!({ "message": "hi" })).await;
        assert_eq!(answer["result"]["content"][0]["text"], "Echo: hi", "{answer}");
    }
    for caller in [somebody("bob", &["dev"]), Caller::static_token()] {
        let mut pipe = declared.session(caller).await;
        assert_eq!(tools(&mut pipe, 1).await, Vec::<String>::new());
        let refused = call(&mut pipe, 2, "every_echo", json!({ "message": "hi" })).await;
        assert!(refused["error"]["message"].as_str().unwrap().contains("there is no tool"), "{refused}");
    }

    // A session that is open hears of it.
    let mut bob = declared.session(somebody("bob", &["dev"])).await;
    declared.declare(&format!("transport: stdio\n  command: ['{}', '{}', stdio]", node(), everything()));
    while !bob.read().await.unwrap().contains("notifications/tools/list_changed") {}
    assert!(tools(&mut bob, 3).await.contains(&"every_echo".to_owned()));
}

#[tokio::test]
async fn one_call_at_once_means_that_the_next_one_waits() {
    let declared = Declared::everything("  gateway: {maxConcurrentCalls: 1}").await;
    let mut pipe = declared.session(Caller::process()).await;
    let since = Instant::now();
    for id in 1..=3 {
        let params = json!({ "name": "every_trigger-long-running-operation", "arguments": { "duration": 1, "steps": 1 } });
        let request = json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params });
        pipe.write(&request.to_string()).await;
    }
    for id in 1..=3 {
        let answer = pipe.answer(id).await;
        assert!(answer["result"]["isError"] != true, "{answer}");
    }
    assert!(since.elapsed() >= Duration::from_secs(3), "{:?}", since.elapsed());

    let limited = "  gateway: {maxConcurrentCalls: 1, callTimeout: 500ms}";
    let spec = format!("transport: stdio\n  command: ['{}', '{}', stdio]\n{limited}", node(), everything());
    declared.declare(&spec);
    until("the next one is refused", async || {
        let slow = json!({ "duration": 1, "steps": 1 });
        for id in 10..13 {
            let params = json!({ "name": "every_trigger-long-running-operation", "arguments": slow });
            let request = json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params });
            pipe.write(&request.to_string()).await;
        }
        let mut said = String::new();
        // In whatever order they come.
        let mut answers = 0;
        while answers < 3 {
            let line = pipe.read().await.expect("the session is open");
            answers += usize::from(line.contains(r#""id":1"#));
            said.push_str(&line);
        }
        said.contains("already runs 1 calls")
    })
    .await;
}

#[tokio::test]
async fn answers_that_hold_no_secrets_may_be_left_as_they_are() {
    let token = format!("ghp_{}", "a1B2".repeat(9));
    let said = async |declared: &Declared| {
        let mut pipe = declared.session(Caller::process()).await;
        call(&mut pipe, 1, "every_echo", json!({ "message": token })).await.to_string()
    };
    let declared = Declared::everything("  gateway: {redact: false}").await;
    assert!(said(&declared).await.contains(&token));
    declared.declare(&format!("transport: stdio\n  command: ['{}', '{}', stdio]", node(), everything()));
    until("it is taken out", async || {
        let said = said(&declared).await;
        !said.contains(&token) && said.contains("<redacted:")
    })
    .await;
}

#[tokio::test]
async fn a_server_behind_an_authority_of_its_own_is_believed_by_that_one_alone() {
    let (_child, port) = everything_over("streamableHttp").await;
    let (ours, other) = (Authority::new(), Authority::new());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = ours.acceptor("127.0.0.1", &["http/1.1"]);
    tokio::spawn(async move {
        loop {
            let (near, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut near = acceptor.accept(near).await?;
                let mut far = TcpStream::connect(("127.0.0.1", port)).await?;
                copy_bidirectional(&mut near, &mut far).await
            });
        }
    });
    let declared = Declared::start();
    let remote = |pem: &str| {
        let pem = pem.replace('\n', "\n      ");
        let host = format!("localhost:{port}");
        format!(
            "remote:\n    url: https://{address}/mcp\n    caBundle: |\n      {pem}\n  gateway: {{hostHeader: '{host}'}}"
        )
    };
    declared.declare(&remote(&other.pem));
    let observations = declared.gateway.observations();
    until("it is not believed", async || {
        observations.borrow().values().any(|seen| {
            matches!(&seen.state, State::Unreachable { reason } if reason.to_lowercase().contains("certificate"))
        })
    })
    .await;
    declared.declare(&remote(&ours.pem));
    until("it is believed", async || declared.gateway.catalogue().find(Kind::Tool, "every_echo").is_some())
        .await;
    let mut pipe = declared.session(Caller::process()).await;
    let answer = call(&mut pipe, 1, "every_echo", json!({ "message": "hi" })).await;
    assert_eq!(answer["result"]["content"][0]["text"], "Echo: hi", "{answer}");
}
