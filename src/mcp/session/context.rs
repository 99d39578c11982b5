//! What came along with a message, beside what rmcp reads of it.

use http::request::Parts;
use rmcp::{
    ErrorData, RoleServer,
    model::{ErrorCode, Extensions, ProtocolVersion},
    service::RequestContext,
};

use crate::{
    gateway::wire::{Era, carrier::Carried},
    mcp::words,
};

pub(super) fn parts(extensions: &Extensions) -> Option<&Parts> {
    extensions.get::<Parts>()
}

/// Lines put the carried request into the message, the HTTP edge into the HTTP request.
pub(super) fn carried(extensions: &Extensions) -> Option<Carried> {
    extensions.get::<Carried>().or_else(|| parts(extensions)?.extensions.get::<Carried>()).cloned()
}

/// A lifecycle request whose params are not what its type says: rmcp takes it for a custom one.
pub(super) fn untyped(method: &str, context: &RequestContext<RoleServer>) -> ErrorData {
    match era(context) {
        // There is no initialize or ping in the modern era.
        Era::Modern => {
            ErrorData::new(ErrorCode::METHOD_NOT_FOUND, format!("there is no {method} here"), None)
        }
        Era::Legacy => {
            ErrorData::invalid_params(format!("the params of {method} are not what MCP says they are"), None)
        }
    }
}

pub(super) fn era(context: &RequestContext<RoleServer>) -> Era {
    words::era_of(context.meta.protocol_version().as_ref().map(ProtocolVersion::as_str))
}
