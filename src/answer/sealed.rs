//! A ring of keys that follow each other, for what is sealed on one replica and opened on another some time later.

use aws_lc_rs::hmac;
use jiff::Timestamp;

use super::{SealError, Sealer};

/// How long one key is used. What it sealed can be opened for as long again.
const KEY_SECONDS: i64 = 24 * 3_600;

/// Each day has a key of its own, made from one root that all replicas have: nobody has to hand keys around, and what
/// is older than two days opens for nobody. Cheap to clone.
#[derive(Clone)]
pub struct Ring(hmac::Key);

impl Ring {
    /// Replicas with the same root open each other's seals.
    pub fn with_root(root: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, root))
    }

    /// Of this process only: what it seals ends with it.
    ///
    /// # Errors
    /// When the system has no random bytes.
    pub fn random() -> Result<Self, SealError> {
        let mut root = [0; 32];
        aws_lc_rs::rand::fill(&mut root).map_err(|_| SealError::NoRandom)?;
        Ok(Self::with_root(&root))
    }

    fn of(&self, day: i64) -> Result<Sealer, SealError> {
        let mut key = [0; 32];
        key.copy_from_slice(hmac::sign(&self.0, format!("seals of day {day}").as_bytes()).as_ref());
        Sealer::with_key(&key)
    }

    /// `purpose` as for [`Sealer::seal`].
    ///
    /// # Errors
    /// When the system has no random bytes.
    pub fn seal(&self, purpose: &str, plain: &[u8], now: Timestamp) -> Result<String, SealError> {
        self.of(day(now))?.seal(purpose, plain)
    }

    /// # Errors
    /// When the text was not sealed by this ring for this purpose, or too long ago.
    pub fn open(&self, purpose: &str, sealed: &str, now: Timestamp) -> Result<Vec<u8>, SealError> {
        let today = day(now);
        // Another replica's clock may be past midnight already.
        let keys = [today, today - 1, today + 1].into_iter();
        keys.filter_map(|day| self.of(day).ok()?.open(purpose, sealed).ok()).next().ok_or(SealError::NotOurs)
    }
}

fn day(now: Timestamp) -> i64 {
    now.as_second().div_euclid(KEY_SECONDS)
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ring")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use jiff::{Timestamp, ToSpan};

    use super::Ring;

    #[test]
    fn keys_follow_each_other_and_replicas_have_the_same_ones() {
        let (one, other) = (Ring::with_root(&[7; 32]), Ring::with_root(&[7; 32]));
        let now = Timestamp::UNIX_EPOCH + 100.hours();
        let sealed = one.seal("state", b"x", now).unwrap();
        for later in [0, 20, 43] {
            assert_eq!(other.open("state", &sealed, now + later.hours()).unwrap(), b"x", "{later} h later");
        }
        assert_eq!(other.open("state", &sealed, now - 1.hour()).unwrap(), b"x", "a clock that is behind");
        assert!(other.open("state", &sealed, now + 72.hours()).is_err(), "its key is gone");
        assert!(other.open("session", &sealed, now).is_err());
        assert!(Ring::random().unwrap().open("state", &sealed, now).is_err());
    }
}
