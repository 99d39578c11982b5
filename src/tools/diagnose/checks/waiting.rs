//! Services that a command speaks of.

use super::subject::Subject;
use crate::tools::diagnose::{finding::ObjectRef, look::reference};

/// A Service of the picture whose name stands in `command` as a word of its own: what a command waits for.
pub(super) fn service_in(subject: &Subject<'_>, command: &str) -> Option<ObjectRef> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let words: Vec<&str> = command.split(|c: char| !is_name(c)).collect();
    let services = subject.picture.services.iter().map(|service| reference("Service", &service.metadata));
    services
        .filter(|service| {
            service.namespace == subject.this.namespace && words.contains(&service.name.as_str())
        })
        .max_by_key(|service| service.name.len())
}
