//! The files of `spec.config`.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;

use super::labels;
use crate::{api::mcp_server::Config, operator::mcp_server::validate::Owner};

pub(super) fn build(owner: &Owner, config: &Config, child_labels: &BTreeMap<String, String>) -> ConfigMap {
    ConfigMap {
        metadata: labels::metadata(owner, child_labels),
        data: Some(config.files.clone()),
        ..ConfigMap::default()
    }
}
