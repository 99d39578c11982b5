//! Sealed text: what we give a client to hand back, unreadable and unforgeable for it.

use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// AES-256-GCM with one key. Cheap to clone. Replicas that shall open each other's seals share the key.
#[derive(Clone)]
pub struct Sealer {
    key: Arc<RandomizedNonceKey>,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SealError {
    #[error("the system gave no random bytes for a key: try again")]
    NoRandom,
    #[error("the sealed text is not one of ours, or was cut or changed")]
    NotOurs,
}

impl Sealer {
    /// With a key of this process only: what it seals ends with it.
    ///
    /// # Errors
    /// When the system has no random bytes.
    pub fn random() -> Result<Self, SealError> {
        let mut key = [0; 32];
        aws_lc_rs::rand::fill(&mut key).map_err(|_| SealError::NoRandom)?;
        Self::with_key(&key)
    }

    /// # Errors
    /// Never in practice: the key has the right length by type.
    pub fn with_key(key: &[u8; 32]) -> Result<Self, SealError> {
        let key = RandomizedNonceKey::new(&AES_256_GCM, key).map_err(|_| SealError::NoRandom)?;
        Ok(Self { key: Arc::new(key) })
    }

    /// `purpose` keeps a text sealed for one use from being opened for another.
    ///
    /// # Errors
    /// When the system has no random bytes.
    pub fn seal(&self, purpose: &str, plain: &[u8]) -> Result<String, SealError> {
        let mut sealed = plain.to_vec();
        let nonce = self
            .key
            .seal_in_place_append_tag(Aad::from(purpose.as_bytes()), &mut sealed)
            .map_err(|_| SealError::NoRandom)?;
        let mut all = nonce.as_ref().to_vec();
        all.append(&mut sealed);
        Ok(URL_SAFE_NO_PAD.encode(all))
    }

    /// # Errors
    /// When the text was not sealed with this key for this purpose.
    pub fn open(&self, purpose: &str, sealed: &str) -> Result<Vec<u8>, SealError> {
        let all = URL_SAFE_NO_PAD.decode(sealed.trim()).map_err(|_| SealError::NotOurs)?;
        let (nonce, rest) = all.split_at_checked(aws_lc_rs::aead::NONCE_LEN).ok_or(SealError::NotOurs)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError::NotOurs)?;
        let mut rest = rest.to_vec();
        let plain = self
            .key
            .open_in_place(nonce, Aad::from(purpose.as_bytes()), &mut rest)
            .map_err(|_| SealError::NotOurs)?;
        Ok(plain.to_vec())
    }
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{SealError, Sealer};

    #[test]
    fn only_the_same_key_and_purpose_open_a_seal() {
        let ours = Sealer::random().unwrap();
        let sealed = ours.seal("cursor", b"hello").unwrap();
        assert_eq!(ours.open("cursor", &sealed).unwrap(), b"hello");
        assert_eq!(ours.open("session", &sealed), Err(SealError::NotOurs));
        assert_eq!(Sealer::random().unwrap().open("cursor", &sealed), Err(SealError::NotOurs));
        assert_eq!(ours.open("cursor", &sealed[..sealed.len() - 2]), Err(SealError::NotOurs));
        assert_eq!(ours.open("cursor", "%%%"), Err(SealError::NotOurs));
    }

    #[test]
    fn a_shared_key_opens_on_another_replica() {
        let sealed = Sealer::with_key(&[7; 32]).unwrap().seal("cursor", b"x").unwrap();
        assert_eq!(Sealer::with_key(&[7; 32]).unwrap().open("cursor", &sealed).unwrap(), b"x");
    }
}
