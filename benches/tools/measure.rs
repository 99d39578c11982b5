//! The servers, measured side by side.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, Client, api::ListParams};
use serde_json::json;
use tempfile::TempDir;

use crate::{
    piped::{Called, Piped},
    sample::Sample,
    server::{Ask, Server},
    talker,
};

const STARTS: usize = 5;
const GETS: usize = 30;
const LISTS: usize = 5;
/// What the tokens of an answer are reckoned by, alike for all.
const BYTES_A_TOKEN: usize = 4;

/// Namespaces.
#[derive(Clone)]
pub(crate) struct Places {
    pub(crate) few: String,
    pub(crate) many: String,
    pub(crate) talker: String,
}

/// Milliseconds at the median, and tokens.
#[derive(Clone, Copy, Default)]
pub(crate) struct Cost {
    pub(crate) millis: f64,
    pub(crate) tokens: usize,
}

pub(crate) struct Measured {
    pub(crate) name: &'static str,
    /// From the start of the process to the answer of tools/list.
    pub(crate) start: f64,
    pub(crate) tools: usize,
    /// MB, after tools/list.
    pub(crate) idle: f64,
    pub(crate) get: Cost,
    pub(crate) few: Cost,
    pub(crate) many: Cost,
    pub(crate) log: Cost,
    /// MB, after all of it.
    pub(crate) peak: f64,
}

/// A server that was started, and what it has shown so far.
struct Runner<'a> {
    server: &'a Server,
    program: Piped,
    measured: Measured,
    _data: TempDir,
}

impl<'a> Runner<'a> {
    fn start(server: &'a Server) -> anyhow::Result<Self> {
        let data = tempfile::tempdir()?;
        let mut starts = Sample::default();
        let mut tools = 0;
        for _ in 0..STARTS {
            let begun = Instant::now();
            let mut program = Piped::start(&mut server.command(data.path()))?;
            tools = program.ask("tools/list", &json!({}))?.len() / BYTES_A_TOKEN;
            starts.add(begun.elapsed());
        }
        let mut program = Piped::start(&mut server.command(data.path()))?;
        program.ask("tools/list", &json!({}))?;
        let measured = Measured {
            name: server.name,
            start: starts.at(0.5),
            tools,
            idle: program.memory("VmRSS")?,
            get: Cost::default(),
            few: Cost::default(),
            many: Cost::default(),
            log: Cost::default(),
            peak: 0.0,
        };
        Ok(Self { server, program, measured, _data: data })
    }

    fn call(&mut self, ask: Ask, namespace: &str, name: &str) -> anyhow::Result<Called> {
        let (tool, arguments) = self.server.ask(ask, namespace, name);
        let called = self.program.call(tool, &arguments)?;
        ensure!(!called.is_error, "{tool} of {}: {}", self.server.name, called.text);
        Ok(called)
    }
}

/// All servers in turn for every single call: what else the machine does meets them alike.
pub(crate) fn measure(servers: &[Server], places: &Places) -> anyhow::Result<Vec<Measured>> {
    let mut runners = servers.iter().map(Runner::start).collect::<anyhow::Result<Vec<_>>>()?;
    type Place = fn(&mut Measured) -> &mut Cost;
    let asked: [(Ask, &str, &str, usize, Place); 4] = [
        (Ask::Pod, &places.few, "pod-00001", GETS, |row| &mut row.get),
        (Ask::Pods, &places.few, "", LISTS, |row| &mut row.few),
        (Ask::Pods, &places.many, "", LISTS, |row| &mut row.many),
        (Ask::Log, &places.talker, talker::NAME, GETS, |row| &mut row.log),
    ];
    for (ask, namespace, name, times, place) in asked {
        let mut samples: Vec<Sample> = runners.iter().map(|_| Sample::default()).collect();
        // The first one finds out what there is.
        for at in 0..=times {
            for (runner, sample) in runners.iter_mut().zip(&mut samples) {
                let called = runner.call(ask, namespace, name)?;
                place(&mut runner.measured).tokens = called.bytes / BYTES_A_TOKEN;
                if at > 0 {
                    sample.add(called.took);
                }
            }
        }
        for (runner, sample) in runners.iter_mut().zip(&samples) {
            place(&mut runner.measured).millis = sample.at(0.5);
        }
    }
    for runner in &mut runners {
        runner.measured.peak = runner.program.memory("VmHWM")?;
    }
    Ok(runners.into_iter().map(|runner| runner.measured).collect())
}

/// The same list, paged by a client that does nothing else with it: milliseconds at the median.
pub(crate) async fn bare_list(client: &Client, namespace: &str) -> anyhow::Result<f64> {
    let mut sample = Sample::default();
    for _ in 0..LISTS {
        sample.add(paged(client, namespace).await.context("the bare list")?);
    }
    Ok(sample.at(0.5))
}

async fn paged(client: &Client, namespace: &str) -> anyhow::Result<Duration> {
    let begun = Instant::now();
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let mut page = ListParams::default().limit(500);
    loop {
        // Names and versions only: the cost of reading all fields into types is not the API's.
        let path = format!(
            "{}?limit=500{}",
            pods.resource_url(),
            page.continue_token.as_ref().map_or_else(String::new, |next| format!("&continue={next}"))
        );
        let request = http::Request::get(path).body(Vec::new())?;
        let text = client.request_text(request).await?;
        #[derive(serde::Deserialize)]
        struct List<'a> {
            #[serde(borrow)]
            items: Vec<&'a serde_json::value::RawValue>,
            metadata: Head,
        }
        #[derive(serde::Deserialize)]
        struct Head {
            #[serde(rename = "continue", default)]
            next: String,
        }
        let List { items, metadata } = serde_json::from_str(&text)?;
        ensure!(!items.is_empty(), "a page without pods");
        if metadata.next.is_empty() {
            return Ok(begun.elapsed());
        }
        page.continue_token = Some(metadata.next);
    }
}
