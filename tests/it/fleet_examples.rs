//! The servers in `examples/servers` work as their manifests say.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
};

use pilothouse::gateway::{Program, Target};
use serde_json::{Value, json};

use crate::fleet_folder::{Watched, named};

/// Starts what the manifest declares, sends the lines and returns the answers.
async fn talk(name: &str, notes: &Path, lines: &[&str]) -> Vec<String> {
    let examples = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/servers"));
    let mut watched = Watched::start(examples);
    let known = watched.until("both are declared", |known| known.len() == 2).await;
    watched.stop().await;
    let declared = known[&named(name)].declared.as_ref().unwrap();
    let Target::Process(Program { command, args, env, directory }) = &declared.target else {
        panic!("{declared:?}")
    };
    let mut process = Command::new(command)
        .args(args)
        .envs(env.iter().map(|(name, value)| (name, value)))
        .env("NOTES_DIR", notes)
        .current_dir(directory.as_ref().unwrap())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = process.stdin.take().unwrap();
    for line in lines {
        writeln!(stdin, "{line}").unwrap();
    }
    drop(stdin);
    let answers = BufReader::new(process.stdout.take().unwrap()).lines().collect::<Result<_, _>>().unwrap();
    assert!(process.wait().unwrap().success());
    answers
}

fn text(answer: &str) -> String {
    let answer: Value = serde_json::from_str(answer).unwrap();
    answer["result"]["content"][0]["text"].as_str().unwrap().to_owned()
}

fn call(tool: &str, arguments: &Value) -> String {
    json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": tool, "arguments": arguments } })
        .to_string()
}

#[tokio::test]
async fn the_protocol_is_kept_and_ids_come_back_as_they_were() {
    let answers = talk(
        "host",
        Path::new("/nowhere"),
        &[
            r#"{"jsonrpc":"2.0","id":"d\"1","method":"server/discover","params":{"_meta":{"a":["}"]}}}"#,
            r#"{"params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"t","version":"0"}}, "method" : "initialize", "id":2.50}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
            r#"{"jsonrpc":"2.0","id":3,"method":"ping"}"#,
            r#"{"jsonrpc":"2.0","id":4,"#,
            r#"{"jsonrpc":"2.0","id":5,"method":"tools/list"}"#,
            r#"{"jsonrpc":"2.0","id":6,"method":"tools/call","params":{"name":"nope"}}"#,
        ],
    )
    .await;
    let [discover, initialize, ping, half, list, nope] = &answers[..] else { panic!("{answers:#?}") };
    assert!(discover.contains(r#""id":"d\"1""#) && discover.contains("-32601"), "{discover}");
    assert!(initialize.contains(r#""id":2.50,"#), "{initialize}");
    let initialize: Value = serde_json::from_str(initialize).unwrap();
    assert_eq!(initialize["result"]["protocolVersion"], "2025-06-18");
    assert_eq!(ping, r#"{"jsonrpc":"2.0","id":3,"result":{}}"#);
    assert!(half.contains("-32700"), "{half}");
    let list: Value = serde_json::from_str(list).unwrap();
    for tool in list["result"]["tools"].as_array().unwrap() {
        assert_eq!(tool["inputSchema"]["type"], "object");
        assert_eq!(tool["annotations"]["readOnlyHint"], true);
    }
    assert!(nope.contains("-32602") && nope.contains("nope"), "{nope}");
}

#[tokio::test]
async fn host_tells_load_and_disk_space() {
    let calls = [
        call("load", &json!({})),
        call("disk", &json!({ "path": "/" })),
        call("disk", &json!({ "path": "not/absolute" })),
        call("disk", &json!({ "path": "/no/such; id" })),
    ];
    let calls: Vec<_> = calls.iter().map(String::as_str).collect();
    let answers = talk("host", Path::new("/nowhere"), &calls).await;
    assert!(text(&answers[0]).contains("load averages") && text(&answers[0]).contains("MiB available"));
    assert!(text(&answers[1]).lines().nth(1).unwrap().ends_with('/'));
    for failed in &answers[2..] {
        assert!(failed.contains(r#""isError":true"#), "{failed}");
    }
}

#[tokio::test]
async fn notes_keep_any_text_and_run_none_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let notes = folder.path().join("new/notes");
    let odd = "café 😀 \"q\" \\ $(touch pwned) `touch pwned` %s\ttab ✓ 'x'";
    let escaped = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"add","arguments":{"text":"\u0063af\u00e9 \ud83d\ude00\n\/"}}}"#;
    let calls = [
        call("list", &json!({})),
        call("add", &json!({ "text": odd })),
        escaped.to_owned(),
        call("add", &json!({})),
        call("list", &json!({ "limit": 2 })),
        call("list", &json!({ "limit": 1 })),
        call("list", &json!({ "limit": "all" })),
    ];
    let calls: Vec<_> = calls.iter().map(String::as_str).collect();
    let answers = talk("notes", &notes, &calls).await;
    assert_eq!(text(&answers[0]), "there are no notes yet");
    assert_eq!(text(&answers[1]), "noted");
    assert!(text(&answers[3]).contains("text is missing"));
    let listed = text(&answers[4]);
    let [first, second] = listed.lines().collect::<Vec<_>>()[..] else { panic!("{listed}") };
    assert!(first.ends_with(odd), "{first}");
    assert!(second.ends_with("café 😀 /"), "{second}");
    assert_eq!(text(&answers[5]), second);
    assert!(text(&answers[6]).contains("from 1 to 1000"));
}
