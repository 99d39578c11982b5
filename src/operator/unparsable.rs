//! An object of ours that does not parse, such as one stored under another version of its CRD: an event and a log line;
//! what it owns stays as it is, and the others go on.

use kube::{
    Resource,
    core::{DeserializeGuard, error_boundary::InvalidObject},
};

use super::{
    events::Happening,
    writer::{WriteError, Writer},
};

/// Reason of the event.
const REASON: &str = "SpecNotParsed";

/// # Errors
/// When the event cannot be written.
pub(super) async fn report<K>(writer: &Writer, invalid: &InvalidObject) -> Result<(), WriteError>
where
    K: Resource<DynamicType = ()>,
{
    let about = DeserializeGuard::<K>(Err(invalid.clone())).object_ref(&());
    let kind = K::kind(&());
    let namespace = about.namespace.as_deref().unwrap_or_default();
    let name = about.name.as_deref().unwrap_or_default();
    let note = format!(
        "{kind} {namespace}/{name} cannot be read and is left as it is: {}; correct its spec and apply it again",
        invalid.error
    );
    tracing::warn!(%kind, object = %format_args!("{namespace}/{name}"), error = %invalid.error, "cannot be read and is left as it is");
    writer.tell(&about, &Happening::warning(REASON, note)).await
}
