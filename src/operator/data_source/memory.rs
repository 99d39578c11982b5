//! What is remembered of each source between two looks at it, for one term as leader.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use kube::ResourceExt;

use super::{external::Remembered, named, phase::Course};
use crate::{api::DataSource, fleet::ServerName};

#[derive(Debug, Default)]
pub(super) struct Memory(Mutex<HashMap<ServerName, Known>>);

#[derive(Debug, Default)]
struct Known {
    /// Another source of this name begins anew.
    uid: Option<String>,
    course: Option<Course>,
    /// Of the Secrets with which it was last checked.
    versions: Option<Vec<String>>,
    external: Option<Remembered>,
}

impl Memory {
    fn of<T>(&self, source: &DataSource, work: impl FnOnce(&mut Known) -> T) -> T {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all.entry(named(source)).or_default();
        if known.uid != source.uid() {
            *known = Known { uid: source.uid(), ..Known::default() };
        }
        work(known)
    }

    /// How its checks went, or else what its status tells.
    pub(super) fn course(&self, source: &DataSource) -> Course {
        let known = self.of(source, |known| known.course);
        known.unwrap_or_else(|| Course::resumed(source.status.as_ref().and_then(|status| status.phase)))
    }

    pub(super) fn checked(&self, source: &DataSource, course: Course, versions: Vec<String>) {
        self.of(source, |known| {
            known.course = Some(course);
            known.versions = Some(versions);
        });
    }

    /// Whether its Secrets are those of the last check. What a former leader used is not known: it counts as these.
    pub(super) fn is_of(&self, source: &DataSource, versions: &[String]) -> bool {
        self.of(source, |known| known.versions.get_or_insert_with(|| versions.to_vec()) == versions)
    }

    pub(super) fn external(&self, source: &DataSource) -> Option<Remembered> {
        self.of(source, |known| known.external.clone())
    }

    pub(super) fn keeps(&self, source: &DataSource, external: Remembered) {
        self.of(source, |known| known.external = Some(external));
    }

    pub(super) fn forget(&self, name: &ServerName) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{Course, Memory};
    use crate::api::{DataSource, data_source::DataSourcePhase};

    fn source(uid: &str) -> DataSource {
        let spec = serde_saphyr::from_str("{type: database, endpoint: 'redis://cache'}").unwrap();
        let mut source = DataSource::new("cache", spec);
        source.metadata.uid = Some(uid.to_owned());
        source
    }

    #[test]
    fn secrets_that_moved_are_seen_and_a_new_source_begins_anew() {
        let memory = Memory::default();
        let versions = |version: &str| vec![version.to_owned()];
        assert!(memory.is_of(&source("a"), &versions("1")), "what a former leader used is not known");
        assert!(!memory.is_of(&source("a"), &versions("2")));
        let failed = Course { phase: Some(DataSourcePhase::Failed), failures: 2 };
        memory.checked(&source("a"), failed, versions("2"));
        assert!(memory.is_of(&source("a"), &versions("2")));
        assert_eq!(memory.course(&source("a")), failed);
        assert_eq!(memory.course(&source("b")), Course::default());
    }
}
