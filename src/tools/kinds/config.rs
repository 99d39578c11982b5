//! ConfigMaps and Secrets: how much they hold, never what.

use std::collections::BTreeMap;

use serde::{Deserialize, de::IgnoredAny};

use super::{Facts, Health, Meta, Shape};

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Config {
    metadata: Meta,
    #[serde(rename = "type")]
    kind: String,
    data: Option<BTreeMap<String, IgnoredAny>>,
    binary_data: Option<BTreeMap<String, IgnoredAny>>,
}

impl Shape for Config {
    const COLUMNS: &'static [&'static str] = &["TYPE", "KEYS"];

    fn meta(&self) -> &Meta {
        &self.metadata
    }

    fn health(&self, _facts: &Facts) -> Health {
        Health::unknown()
    }

    fn cells(&self, _facts: &Facts) -> Vec<String> {
        let keys = [&self.data, &self.binary_data].into_iter().flatten().map(BTreeMap::len).sum::<usize>();
        vec![self.kind.clone(), keys.to_string()]
    }
}
