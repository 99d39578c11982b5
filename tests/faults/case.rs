//! The cases: manifests whose leading comment says what is wrong in them, when it has really happened, and what a
//! diagnosis must name. `README.md` beside this file explains the header.

use std::{collections::BTreeMap, fs, path::PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

/// One file of `broken/` or `alike/`.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    /// Whether something is wrong; else it only looks so.
    pub(crate) is_broken: bool,
    /// The whole file, as it is applied.
    pub(crate) manifests: String,
    pub(crate) head: Head,
}

/// The comment at the top, as YAML.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Head {
    /// What is wrong, in one sentence; for readers.
    pub(crate) what: String,
    /// What the case does itself since no part of the test cluster does it.
    #[allow(dead_code, reason = "read by people")]
    pub(crate) by_hand: Option<String>,
    /// Why a recording cannot show it.
    #[allow(dead_code, reason = "one of the two tests reads it")]
    pub(crate) unrecorded: Option<String>,
    /// Arguments for `diagnose` beside or instead of `namespace`; null takes one away.
    #[serde(default)]
    pub(crate) ask: Map<String, Value>,
    /// The root cause first, which must be named, then what may be named too.
    #[serde(default)]
    pub(crate) expect: Vec<Expected>,
    #[serde(default)]
    pub(crate) steps: Vec<Step>,
    pub(crate) ready: Vec<Condition>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expected {
    /// Words of `src/tools/diagnose/cause.rs`; any of them is right.
    pub(crate) cause: OneOrMany,
    /// `Kind/name`; any of them is right.
    pub(crate) object: OneOrMany,
}

/// Something done to the cluster once it is as `after` says.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Step {
    #[serde(default)]
    pub(crate) after: Vec<Condition>,
    /// Arguments of kubectl, which runs in the case's namespace.
    pub(crate) run: Vec<String>,
}

/// A kind, and what one object of it must have: path to pattern. `log` is no kind but asks for a line.
pub(crate) type Condition = BTreeMap<String, BTreeMap<String, Value>>;

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl OneOrMany {
    pub(crate) fn has(&self, word: &str) -> bool {
        match self {
            Self::One(one) => one == word,
            Self::Many(many) => many.iter().any(|one| one == word),
        }
    }

    pub(crate) fn first(&self) -> &str {
        match self {
            Self::One(one) => one,
            Self::Many(many) => many.first().map_or("", String::as_str),
        }
    }
}

impl Case {
    pub(crate) fn namespace(&self) -> String {
        format!("{}-{}", if self.is_broken { "fault" } else { "alike" }, self.name)
    }

    /// What `diagnose` is asked.
    pub(crate) fn arguments(&self) -> Value {
        let mut arguments = Map::new();
        arguments.insert("namespace".to_owned(), self.namespace().into());
        arguments.extend(self.head.ask.clone());
        arguments.retain(|_, value| !value.is_null());
        Value::Object(arguments)
    }
}

/// Where everything about the faults is kept.
pub(crate) fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/faults")
}

/// Every case, broken ones first, by name. `FAULTS_ONLY=a,b` takes these alone.
pub(crate) fn all() -> Vec<Case> {
    let only = std::env::var("FAULTS_ONLY").unwrap_or_default();
    let only: Vec<&str> = only.split(',').filter(|name| !name.is_empty()).collect();
    let mut cases = Vec::new();
    for (place, is_broken) in [("broken", true), ("alike", false)] {
        let files = fs::read_dir(folder().join(place)).expect("the folder of the cases");
        let mut files: Vec<PathBuf> = files.map(|entry| entry.expect("an entry").path()).collect();
        files.sort();
        for file in files {
            let name = file.file_stem().and_then(|stem| stem.to_str()).expect("a name").to_owned();
            if only.is_empty() || only.contains(&name.as_str()) {
                let manifests = fs::read_to_string(&file).expect("a case can be read");
                let head = head_of(&name, &manifests);
                cases.push(Case { name, is_broken, manifests, head });
            }
        }
    }
    cases
}

fn head_of(name: &str, manifests: &str) -> Head {
    let lines = manifests.lines().map_while(|line| line.strip_prefix("# "));
    let head: Head = serde_saphyr::from_str(&lines.collect::<Vec<_>>().join("\n"))
        .unwrap_or_else(|error| panic!("the comment at the top of {name}: {error}"));
    assert!(!head.what.is_empty() && !head.ready.is_empty(), "{name}: `what` and `ready` must say something");
    head
}
