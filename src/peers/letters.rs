//! Letters between replicas: sealed with the key that they share, good for a minute and once. Nobody without the key
//! can write one or read one.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::answer::{SealError, Sealer};

/// How far the clocks of two nodes may be apart.
const SKEW: SignedDuration = SignedDuration::from_secs(60);

/// How long the number of a letter is remembered: longer than it is good.
const REMEMBERED: Duration = Duration::from_secs(180);

/// Writes and opens letters of one purpose. Clones remember together which were opened.
#[derive(Clone)]
pub struct Letters {
    sealer: Sealer,
    purpose: &'static str,
    taken: Arc<Mutex<HashMap<String, Instant>>>,
}

#[derive(Serialize, Deserialize)]
struct Letter<T> {
    at: Timestamp,
    number: String,
    content: T,
}

/// A letter that was opened for the first time, in its time.
#[derive(Debug)]
pub struct Opened<T> {
    /// What is sealed in answer names it, and is good for this letter alone.
    pub number: String,
    pub content: T,
}

impl Letters {
    pub fn new(sealer: Sealer, purpose: &'static str) -> Self {
        Self { sealer, purpose, taken: Arc::default() }
    }

    /// The letter's number, and the letter.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn write<T: Serialize>(&self, content: &T, now: Timestamp) -> Result<(String, String), SealError> {
        let number = uuid::Uuid::new_v4().simple().to_string();
        let letter = Letter { at: now, number: number.clone(), content };
        let plain = serde_json::to_vec(&letter).map_err(|_| SealError::NoRandom)?;
        Ok((number, self.sealer.seal(self.purpose, &plain)?))
    }

    /// # Errors
    /// Why it is refused.
    pub fn open<T: DeserializeOwned>(&self, sealed: &str, now: Timestamp) -> Result<Opened<T>, &'static str> {
        let plain = self.sealer.open(self.purpose, sealed).ok();
        let letter = plain.and_then(|plain| serde_json::from_slice::<Letter<T>>(&plain).ok());
        let Letter { at, number, content } = letter.ok_or("this was not sealed by one of us")?;
        if at.duration_until(now).abs() > SKEW {
            return Err("this is older than a minute, or the clocks of the nodes are apart");
        }
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        // Seldom: it looks at all of them.
        if taken.len().is_power_of_two() {
            taken.retain(|_, at| at.elapsed() < REMEMBERED);
        }
        if taken.insert(number.clone(), Instant::now()).is_some() {
            return Err("this was sent before");
        }
        Ok(Opened { number, content })
    }

    /// Seals part of what belongs to the letter of that number.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn seal_part(&self, number: &str, part: &str, plain: &[u8]) -> Result<String, SealError> {
        self.sealer.seal(&self.purpose_of(number, part), plain)
    }

    /// # Errors
    /// When it is not that part of that letter.
    pub fn open_part(&self, number: &str, part: &str, sealed: &str) -> Result<Vec<u8>, SealError> {
        self.sealer.open(&self.purpose_of(number, part), sealed)
    }

    fn purpose_of(&self, number: &str, part: &str) -> String {
        format!("{}, {part} of {number}", self.purpose)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use jiff::{SignedDuration, Timestamp};

    use super::Letters;
    use crate::answer::Sealer;

    #[test]
    fn a_letter_is_good_once_for_its_purpose_and_for_a_minute() {
        let sealer = Sealer::with_key(&[7; 32]).unwrap();
        let letters = Letters::new(sealer.clone(), "hello");
        let now = Timestamp::now();
        let (number, sealed) = letters.write(&"text", now).unwrap();
        let open = |letters: &Letters| letters.open::<String>(&sealed, now);
        assert!(open(&Letters::new(sealer, "goodbye")).is_err());
        let other = Letters::new(Sealer::with_key(&[8; 32]).unwrap(), "hello");
        assert!(open(&other).is_err());
        let late = letters.open::<String>(&sealed, now + SignedDuration::from_secs(61));
        assert!(late.is_err());
        let opened = open(&letters).unwrap();
        assert_eq!((opened.number, opened.content.as_str()), (number, "text"));
        assert_eq!(open(&letters).unwrap_err(), "this was sent before");
    }

    #[test]
    fn a_part_belongs_to_its_letter_and_place() {
        let letters = Letters::new(Sealer::with_key(&[7; 32]).unwrap(), "hello");
        let sealed = letters.seal_part("1", "body", b"x").unwrap();
        assert_eq!(letters.open_part("1", "body", &sealed).unwrap(), b"x");
        assert!(letters.open_part("2", "body", &sealed).is_err());
        assert!(letters.open_part("1", "part 0", &sealed).is_err());
    }
}
