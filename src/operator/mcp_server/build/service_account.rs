//! The account of the pods: it may do nothing, and no token is mounted.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ServiceAccount;

use super::labels;
use crate::operator::mcp_server::validate::Owner;

pub(super) fn build(owner: &Owner, child_labels: &BTreeMap<String, String>) -> ServiceAccount {
    ServiceAccount {
        metadata: labels::metadata(owner, child_labels),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}
