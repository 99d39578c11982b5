//! The key of one log: made with the log, kept beside it, and never used for another.

use std::{
    fmt,
    fs::{self, OpenOptions},
    io::{self, ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use ed25519_dalek::SigningKey;
use signed_note::{
    Note, StandardSigner, StandardVerifier, is_key_name_valid, key_id, new_ed25519_verifier_key,
};

use super::checkpoint::{Checkpoint, Point};

/// The kind of key, as signed notes number them.
const ED25519: u8 = 1;
/// Under what all our logs are named.
const LOGS: &str = "pilothouse.dev/audit";

/// Signs the checkpoints of one log. Its name is the log's.
#[derive(Clone)]
pub(super) struct Key {
    origin: String,
    signer: StandardSigner,
    verifier: StandardVerifier,
    private: String,
    public: String,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.public)
    }
}

impl Key {
    /// The key in `path`; `None` when there is none.
    ///
    /// # Errors
    /// When the file cannot be read or holds no key.
    pub(super) fn read(path: &Path) -> io::Result<Option<Self>> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let named = text.trim().strip_prefix("PRIVATE+KEY+").and_then(|rest| rest.split_once('+'));
        let (origin, secret) = named.ok_or_else(no_key)?;
        let secret = secret.split_once('+').and_then(|(_, secret)| BASE64_STANDARD.decode(secret).ok());
        let seed = secret.as_deref().and_then(|secret| secret.strip_prefix(&[ED25519]));
        let seed = seed.and_then(|seed| seed.try_into().ok()).ok_or_else(no_key)?;
        Self::of_seed(origin, seed).map(Some)
    }

    /// A new key for a new log, on disk when this returns: the private half in `path`, for its owner's eyes only, the
    /// public half in `public`.
    ///
    /// # Errors
    /// When there are no random bytes, or a file cannot be written.
    pub(super) fn create(path: &Path, public: &Path) -> io::Result<Self> {
        let key = Self::of_seed(&origin()?, &random()?)?;
        write(public, &key.public, 0o644)?;
        write(path, &key.private, 0o600)?;
        Ok(key)
    }

    /// Writes the public half where it is missing.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn show(&self, public: &Path) -> io::Result<()> {
        if public.try_exists()? { Ok(()) } else { write(public, &self.public, 0o644) }
    }

    pub(super) fn of_seed(origin: &str, seed: &[u8; 32]) -> io::Result<Self> {
        if !is_key_name_valid(origin) {
            return Err(no_key());
        }
        let verifying = SigningKey::from_bytes(seed).verifying_key();
        let public = new_ed25519_verifier_key(origin, &verifying);
        let id = key_id(origin, &tagged(verifying.as_bytes()));
        let private = format!("PRIVATE+KEY+{origin}+{id:08x}+{}", BASE64_STANDARD.encode(tagged(seed)));
        Ok(Self {
            origin: origin.to_owned(),
            signer: StandardSigner::new(&private).map_err(|_| no_key())?,
            verifier: StandardVerifier::new(&public).map_err(|_| no_key())?,
            private,
            public,
        })
    }

    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    pub(super) fn verifier(&self) -> &StandardVerifier {
        &self.verifier
    }

    /// # Errors
    /// None that a point with this key's name can meet.
    pub(super) fn sign(&self, point: Point) -> io::Result<Checkpoint> {
        let mut note = Note::new(point.text().as_bytes(), &[]).map_err(io::Error::other)?;
        note.add_sigs(&[&self.signer]).map_err(io::Error::other)?;
        Checkpoint::of(point, &note).map_err(io::Error::other)
    }
}

fn tagged(key: &[u8; 32]) -> Vec<u8> {
    [&[ED25519], key.as_slice()].concat()
}

/// Names a new log: the pod where there is one, and a number that no other log has. No host name: checkpoints are
/// made to be published.
fn origin() -> io::Result<String> {
    let pod = std::env::var("POD_NAME").ok();
    let pod = pod.filter(|pod| pod.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte)));
    let number = hex::encode(&random()?[..4]);
    Ok(format!("{LOGS}/{}/{number}", pod.filter(|pod| !pod.is_empty()).as_deref().unwrap_or("local")))
}

fn random() -> io::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes)
        .map_err(|_| io::Error::other("there are no random bytes for its key"))?;
    Ok(bytes)
}

fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    // What a crash has left of an earlier try goes first; a key that signed anything is never replaced.
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()
}

fn no_key() -> io::Error {
    io::Error::other("its key file holds no key: move the file away, a new log is then begun")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt;

    use signed_note::StandardVerifier;

    use super::Key;

    #[test]
    fn a_key_is_kept_for_its_owner_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let (path, public) = (folder.path().join("a.key"), folder.path().join("a.pub"));
        assert!(Key::read(&path).unwrap().is_none());
        let made = Key::create(&path, &public).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let read = Key::read(&path).unwrap().unwrap();
        assert_eq!((read.origin(), &read.public), (made.origin(), &made.public));
        assert!(made.origin().starts_with("pilothouse.dev/audit/"));
        assert!(StandardVerifier::new(std::fs::read_to_string(&public).unwrap().trim()).is_ok());
        assert!(!format!("{made:?}").contains("PRIVATE"));
        let other = Key::create(&folder.path().join("b.key"), &folder.path().join("b.pub")).unwrap();
        assert_ne!(other.origin(), made.origin());
    }

    #[test]
    fn what_is_no_key_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.key");
        for text in ["", "PRIVATE+KEY+a", "PRIVATE+KEY+a+00000000+AAAA"] {
            std::fs::write(&path, text).unwrap();
            assert!(Key::read(&path).unwrap_err().to_string().contains("holds no key"), "{text}");
        }
    }
}
