//! A program that speaks MCP over its stdin and stdout. The benchmark of the tools uses this file too.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::process::megabytes;

/// Killed when dropped.
pub(crate) struct Piped {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    answers: Answers,
}

/// What is answered to a server that asks, by method and params.
pub(crate) type Answers = fn(&str, &Value) -> Value;

/// What a tool answered, and what it cost.
pub(crate) struct Called {
    /// The text of its first block.
    pub(crate) text: String,
    /// Bytes of the whole result: text, and the record beside it.
    pub(crate) bytes: usize,
    pub(crate) is_error: bool,
    pub(crate) took: Duration,
}

impl Piped {
    /// Starts it and opens a session.
    pub(crate) fn start(command: &mut Command) -> anyhow::Result<Self> {
        Self::start_asked(command, &json!({}), |_, _| Value::Null)
    }

    /// As a client that can be asked.
    pub(crate) fn start_asked(
        command: &mut Command,
        capabilities: &Value,
        answers: Answers,
    ) -> anyhow::Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
        let stdin = child.stdin.take().context("stdin")?;
        let stdout = BufReader::new(child.stdout.take().context("stdout")?);
        let mut piped = Self { child, stdin, stdout, answers };
        let client = json!({ "name": "test", "version": "1" });
        piped.ask(
            "initialize",
            &json!({ "protocolVersion": "2025-06-18", "capabilities": capabilities, "clientInfo": client }),
        )?;
        writeln!(piped.stdin, r#"{{"jsonrpc":"2.0","method":"notifications/initialized"}}"#)?;
        Ok(piped)
    }

    /// The text of the answer's message.
    pub(crate) fn ask(&mut self, method: &str, params: &Value) -> anyhow::Result<String> {
        let request = json!({ "jsonrpc": "2.0", "id": 7, "method": method, "params": params });
        writeln!(self.stdin, "{request}")?;
        loop {
            let mut line = String::new();
            ensure!(self.stdout.read_line(&mut line)? > 0, "the program ended before it answered {method}");
            // Requests and notifications of the server have a method.
            if line.contains(r#""method":""#) && line.contains(r#""id":"#) {
                let asked: Value = serde_json::from_str(&line)?;
                let answer = (self.answers)(asked["method"].as_str().unwrap_or_default(), &asked["params"]);
                writeln!(self.stdin, "{}", json!({ "jsonrpc": "2.0", "id": asked["id"], "result": answer }))?;
            } else if line.contains(r#""id":7"#) && !line.contains(r#""method":""#) {
                return Ok(line);
            }
        }
    }

    pub(crate) fn call(&mut self, tool: &str, arguments: &Value) -> anyhow::Result<Called> {
        let begun = Instant::now();
        let line = self.ask("tools/call", &json!({ "name": tool, "arguments": arguments }))?;
        let took = begun.elapsed();
        let answer: Value = serde_json::from_str(&line)?;
        let result = &answer["result"];
        let text =
            result["content"][0]["text"].as_str().with_context(|| format!("{tool} answered {line}"))?;
        let record = result.get("structuredContent").map_or(0, |record| record.to_string().len());
        Ok(Called {
            text: text.to_owned(),
            bytes: text.len() + record,
            is_error: result["isError"] == true,
            took,
        })
    }

    /// See [`megabytes`].
    pub(crate) fn memory(&self, what: &str) -> anyhow::Result<f64> {
        megabytes(self.child.id(), what)
    }
}

impl Drop for Piped {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
