//! The recorded broken shop, and our tools on a recorded cluster.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use pilothouse::{
    answer::{Answer, Sealer},
    caller::Caller,
    cluster::{Contexts, Reader, recorded},
    tools::{ClusterOutcomes, FleetView, Parts, ServerRow, SourceFinder, Toolbox, source_finder, standard},
};
use serde_json::{Value, value::to_raw_value};

pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/snapshots/broken-shop")
}

pub(crate) fn shop() -> Reader {
    recorded::open(&folder()).unwrap().reader
}

/// A cluster alone, with a key of its own for cursors.
pub(crate) fn parts(reader: Reader) -> Parts {
    Parts::reading(Contexts::one(reader), Sealer::random().unwrap())
}

/// Our tools on the recording in this folder.
pub(crate) fn tools_on(dir: &Path) -> Toolbox {
    standard(parts(recorded::open(dir).unwrap().reader))
}

/// What says where the objects of the recording in this folder come from.
pub(crate) fn finder_on(dir: &Path) -> Arc<dyn SourceFinder> {
    let Parts { contexts, budget, sealer, .. } = parts(recorded::open(dir).unwrap().reader);
    source_finder(contexts, budget, sealer)
}

/// What says how the objects of the recording in this folder are.
pub(crate) fn outcomes_on(dir: &Path) -> ClusterOutcomes {
    let Parts { contexts, sealer, .. } = parts(recorded::open(dir).unwrap().reader);
    ClusterOutcomes::new(contexts, sealer)
}

pub(crate) async fn call(tools: &Toolbox, caller: &Caller, tool: &str, arguments: Value) -> Answer {
    tools.get(tool).unwrap().call(caller, Some(&to_raw_value(&arguments).unwrap())).await
}

/// The cursor that an answer ends with, if there is more.
pub(crate) fn cursor(text: &str) -> Option<String> {
    text.split("cursor=").nth(1).and_then(|rest| rest.split_whitespace().next()).map(str::to_owned)
}

/// Two downstream servers, one of them silent.
pub(crate) struct Fleet;

impl FleetView for Fleet {
    fn servers(&self) -> Vec<ServerRow> {
        let server = |name: &str, state: &str, reason: &str| ServerRow {
            namespace: "tools".into(),
            name: name.into(),
            prefix: name.into(),
            state: state.into(),
            reason: reason.into(),
            transport: "streamable-http".into(),
            server: Some("time 1.0 (2025-11-25)".into()),
            tools: vec![(format!("{name}_now"), 120), (format!("{name}_convert"), 200)],
            calls: 7,
            errors: 1,
            endpoints: 1,
            dropped: Vec::new(),
            figures: None,
            members: Vec::new(),
        };
        vec![
            server("clock", "Ready", ""),
            server("git", "Unreachable", "connection refused, password=hunter22"),
        ]
    }
}
