//! The account of the pods: it may do nothing, and no token is mounted unless that is asked for.

use std::collections::BTreeMap;

use k8s_openapi::{api::core::v1::ServiceAccount, apimachinery::pkg::apis::meta::v1::ObjectMeta};

use super::labels;
use crate::operator::mcp_server::{child::listed, validate::Owner};

pub(super) fn build(
    owner: &Owner,
    annotations: &BTreeMap<String, String>,
    child_labels: &BTreeMap<String, String>,
) -> ServiceAccount {
    let annotations = listed(annotations);
    ServiceAccount {
        metadata: ObjectMeta {
            annotations: (!annotations.is_empty()).then_some(annotations),
            ..labels::metadata(owner, child_labels)
        },
        // The pod says whether it gets one.
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}
