//! When the pods must be made anew because an object that they refer to has changed.
//!
//! Which version of each object the pods were told of is noted on the Deployment, so that a change is seen that
//! happened while no operator ran. No content is noted, not even as a hash: it may be a secret. An object that is
//! seen for the first time rolls nobody's pods.

use std::collections::BTreeMap;

use k8s_openapi::{api::apps::v1::Deployment, jiff::Timestamp};
use kube::{ResourceExt, core::DynamicObject};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{build::fingerprint, child::REFERENCES};

/// What the pods were told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Told {
    /// Another one makes other pods; none while nothing has changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rotation: Option<String>,
    /// Version by object.
    pub seen: BTreeMap<String, String>,
}

/// What is seen of one object now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sight {
    /// It cannot be read: what was told stands.
    Hidden,
    /// It does not exist. Pods that need it wait for it by themselves.
    Absent { optional: bool },
    /// It may be read only by what it reports, and it has reported no change: what was told stands, and the first
    /// report will be one.
    Quiet,
    Version {
        version: String,
        /// An earlier version whose content is known to be the same.
        same_as: Option<String>,
    },
}

/// Seconds.
const JUST: i64 = 10;
const ABSENT: &str = "absent";
const QUIET: &str = "quiet";

impl Told {
    /// What the Deployment says; a note that cannot be read counts as none.
    pub(super) fn of(deployment: Option<&Deployment>) -> Self {
        let noted = deployment.and_then(|deployment| deployment.annotations().get(REFERENCES));
        noted.and_then(|noted| serde_json::from_str(noted).ok()).unwrap_or_default()
    }

    /// As it is noted; None when there is nothing to say.
    ///
    /// # Errors
    /// When it cannot be written as JSON, which its type does not allow.
    fn note(&self) -> Result<Option<String>, serde_json::Error> {
        if *self == Self::default() {
            return Ok(None);
        }
        serde_json::to_string(self).map(Some)
    }

    /// Writes it on the Deployment that is meant.
    ///
    /// # Errors
    /// As [`Self::note`].
    pub(super) fn note_on(&self, deployment: &mut Deployment) -> Result<(), serde_json::Error> {
        if let Some(note) = self.note()? {
            deployment.annotations_mut().insert(REFERENCES.to_owned(), note);
        }
        Ok(())
    }

    /// What the pods must be told now.
    ///
    /// # Errors
    /// As [`Self::note`].
    pub(super) fn now(&self, sights: &BTreeMap<String, Sight>) -> Result<Self, serde_json::Error> {
        let mut seen = BTreeMap::new();
        let mut changed = false;
        for (object, sight) in sights {
            let before = self.seen.get(object);
            let now = match sight {
                Sight::Hidden | Sight::Absent { optional: false } => before.cloned(),
                Sight::Absent { optional: true } => Some(ABSENT.to_owned()),
                Sight::Quiet => Some(before.cloned().unwrap_or_else(|| QUIET.to_owned())),
                Sight::Version { version, .. } => Some(version.clone()),
            };
            let is_same = match sight {
                Sight::Version { same_as: Some(same), .. } => before == Some(same) || before == now.as_ref(),
                _ => before == now.as_ref(),
            };
            changed |= before.is_some() && !is_same;
            seen.extend(now.map(|now| (object.clone(), now)));
        }
        let rotation = if changed { Some(fingerprint(&seen)?) } else { self.rotation.clone() };
        Ok(Self { rotation, seen })
    }
}

/// Whether an ExternalSecret has asked its store in the last seconds: the event that says that another value came
/// is written at the same time, and may be seen later.
pub(super) fn is_just_refreshed(external: &DynamicObject, now: Timestamp) -> bool {
    let time = external.data.pointer("/status/refreshTime").and_then(Value::as_str);
    let time = time.and_then(|time| time.parse::<Timestamp>().ok());
    time.is_some_and(|time| (0..JUST).contains(&now.duration_since(time).as_secs()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeMap;

    use super::{Sight, Told};

    fn version(version: &str) -> Sight {
        Sight::Version { version: version.to_owned(), same_as: None }
    }

    fn after(told: &Told, sight: Sight) -> Told {
        told.now(&BTreeMap::from([("ConfigMap/a".to_owned(), sight)])).unwrap()
    }

    #[test]
    fn the_first_sight_rolls_nothing_and_a_change_rolls_once() {
        let first = after(&Told::default(), version("1"));
        assert_eq!(first.rotation, None);
        let changed = after(&first, version("2"));
        assert!(changed.rotation.is_some());
        assert_eq!(after(&changed, version("2")), changed, "once");
        assert_eq!(after(&first, version("2")), changed, "also when the note was not stored");
        assert_ne!(after(&changed, version("3")).rotation, changed.rotation);
    }

    #[test]
    fn another_version_with_the_same_content_rolls_nothing() {
        let first = after(&Told::default(), version("1"));
        let same = Sight::Version { version: "2".to_owned(), same_as: Some("1".to_owned()) };
        let now = after(&first, same);
        assert_eq!((now.rotation.clone(), now.seen["ConfigMap/a"].as_str()), (None, "2"));
        let of_another = Sight::Version { version: "4".to_owned(), same_as: Some("3".to_owned()) };
        assert!(after(&now, of_another).rotation.is_some());
    }

    #[test]
    fn what_is_hidden_or_missing_changes_nothing() {
        let first = after(&Told::default(), version("1"));
        assert_eq!(after(&first, Sight::Hidden), first);
        assert_eq!(after(&first, Sight::Absent { optional: false }), first);
        assert_eq!(after(&Told::default(), Sight::Hidden), Told::default());
    }

    #[test]
    fn what_is_optional_counts_when_it_comes_and_goes() {
        let absent = after(&Told::default(), Sight::Absent { optional: true });
        assert_eq!(absent.rotation, None);
        let came = after(&absent, version("1"));
        assert!(came.rotation.is_some());
        assert_ne!(after(&came, Sight::Absent { optional: true }).rotation, came.rotation);
    }

    #[test]
    fn the_first_report_is_a_change_and_its_fading_is_none() {
        let quiet = after(&Told::default(), Sight::Quiet);
        assert_eq!(quiet.rotation, None);
        let reported = after(&quiet, version("7"));
        assert!(reported.rotation.is_some());
        assert_eq!(after(&reported, Sight::Quiet), reported);
    }

    #[test]
    fn what_is_not_referred_to_any_more_is_forgotten() {
        let first = after(&Told::default(), version("1"));
        let none = first.now(&BTreeMap::new()).unwrap();
        assert_eq!(none, Told::default());
        assert_eq!(none.note().unwrap(), None);
    }
}
