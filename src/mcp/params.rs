//! What every request must bring along, read from its params.

use serde_json::value::RawValue;

use crate::gateway::wire::{RpcError, text::Fields};

/// Longest name or URI that a request may be for, in bytes of JSON.
const LONGEST_NAME: usize = 4_096;

/// The namespace that the arguments name.
pub(super) fn namespace(params: Option<&RawValue>) -> Option<String> {
    let params = Fields::of(params).ok()?;
    let arguments = Fields::parse(params.get("arguments")?.get()).ok()?;
    arguments.get_str("namespace").filter(|namespace| !namespace.is_empty())
}

/// # Errors
/// When they are there and no object.
pub(super) fn fields(params: Option<&RawValue>) -> Result<Fields<'_>, RpcError> {
    Fields::of(params).map_err(|error| {
        RpcError::new(RpcError::INVALID_PARAMS, &format!("params are not an object: {error}"))
    })
}

/// The text that this member must be.
///
/// # Errors
/// When it is missing, longer than any name, or none.
pub(super) fn required(params: &Fields<'_>, key: &str) -> Result<String, RpcError> {
    let wrong = |what: &str| RpcError::new(RpcError::INVALID_PARAMS, &format!("params.{key} {what}"));
    let value = params.get(key).ok_or_else(|| wrong("is missing"))?;
    // It is compared with every name and stands in the record.
    if value.get().len() > LONGEST_NAME {
        return Err(wrong(&format!("is longer than {LONGEST_NAME} bytes: no name or URI here is")));
    }
    serde_json::from_str(value.get()).map_err(|_| wrong("is not a string"))
}
