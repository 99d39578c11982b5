//! How far a picture reaches: only where it does, what is not in it is not there.

use super::picture::{Picture, Scope};

/// Whether the namespaces that were looked at include this one.
pub(super) fn looks_at(picture: &Picture, namespace: &str) -> bool {
    match &picture.scope {
        Scope::Cluster => true,
        Scope::Namespace(seen) => seen == namespace,
        Scope::Object(object) => object.namespace == namespace,
    }
}

/// Whether all objects of this kind (`Service`) in this namespace are here, so that one that is not is missing.
pub(super) fn has_all(picture: &Picture, kind: &str, namespace: &str) -> bool {
    looks_at(picture, namespace) && !picture.unread.contains_key(kind)
}
