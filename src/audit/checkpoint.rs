//! What a log was at one moment, signed: its name, its size, the root over all its lines (C2SP tlog-checkpoint).

use std::fmt;

use signed_note::{Note, StandardVerifier, Verifier, VerifierList};
use tlog_tiles::{Checkpoint as Head, Hash};

/// The trailer of a commit that carries a checkpoint.
pub const TRAILER: &str = "Audit-Checkpoint";

/// A signed checkpoint of this replica's log.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    point: Point,
    signature: String,
    note: String,
}

/// A size of a log and the root over the lines up to there.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Point {
    pub(super) origin: String,
    pub(super) size: u64,
    pub(super) root: Hash,
}

impl Point {
    /// What is signed.
    pub(super) fn text(&self) -> String {
        let Self { origin, size, root } = self;
        format!("{origin}\n{size}\n{root}\n")
    }
}

/// Why a text is no checkpoint of a log.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unsigned {
    #[error("it is no checkpoint")]
    Malformed,
    #[error("its signature is not of this log's key")]
    Signature,
}

impl Checkpoint {
    /// The name of the log: of this replica's, never another's.
    pub fn origin(&self) -> &str {
        &self.point.origin
    }

    /// How many lines it covers.
    pub fn size(&self) -> u64 {
        self.point.size
    }

    /// The root over them, in base64.
    pub fn root(&self) -> String {
        self.point.root.to_string()
    }

    /// The whole signed note.
    pub fn note(&self) -> &str {
        &self.note
    }

    /// `Audit-Checkpoint: ORIGIN SIZE ROOT SIGNATURE`: one line, for the trailers of a commit. Whoever has the
    /// commit can later ask whether the log still contains this point.
    pub fn trailer(&self) -> String {
        format!("{TRAILER}: {self}")
    }

    pub(super) fn point(&self) -> &Point {
        &self.point
    }

    /// Of a note that was just signed.
    pub(super) fn of(point: Point, note: &Note) -> Result<Self, Unsigned> {
        let note = String::from_utf8(note.to_bytes()).map_err(|_| Unsigned::Malformed)?;
        let signature = note.split_whitespace().last().ok_or(Unsigned::Malformed)?.to_owned();
        Ok(Self { point, signature, note })
    }

    /// Reads a note and checks its signature.
    pub(super) fn parse(note: &[u8], key: &StandardVerifier) -> Result<Self, Unsigned> {
        let text = std::str::from_utf8(note).map_err(|_| Unsigned::Malformed)?;
        let read = Note::from_bytes(note).map_err(|_| Unsigned::Malformed)?;
        let head = Head::from_bytes(read.text()).map_err(|_| Unsigned::Malformed)?;
        let verifiers = VerifierList::new(vec![Box::new(key.clone())]);
        let (verified, _) = read.verify(&verifiers).map_err(|_| Unsigned::Signature)?;
        let name = key.name();
        if head.origin() != name {
            return Err(Unsigned::Signature);
        }
        let line = verified.first().map(signed_note::Signature::to_bytes).ok_or(Unsigned::Signature)?;
        let line = String::from_utf8(line).map_err(|_| Unsigned::Malformed)?;
        let signature = line.split_whitespace().last().ok_or(Unsigned::Malformed)?.to_owned();
        let point = Point { origin: name.to_owned(), size: head.size(), root: *head.hash() };
        Ok(Self { point, signature, note: text.to_owned() })
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { point: Point { origin, size, root }, signature, note: _ } = self;
        write!(f, "{origin} {size} {root} {signature}")
    }
}

/// A checkpoint that somebody kept outside, for example in a commit. Its signature is optional: a point that was seen
/// is evidence without one.
#[derive(Clone, Debug, PartialEq)]
pub struct Anchor {
    pub(super) point: Point,
    signature: Option<String>,
}

#[derive(Debug, thiserror::Error)]
#[error(
    "`{0}` is no anchor: give the trailer as it stands in the commit, `Audit-Checkpoint: ORIGIN SIZE ROOT SIGNATURE`"
)]
pub struct NoAnchor(String);

impl Anchor {
    /// # Errors
    /// When `text` is not a trailer that [`Checkpoint::trailer`] made.
    pub fn parse(text: &str) -> Result<Self, NoAnchor> {
        let wrong = || NoAnchor(text.chars().take(200).collect());
        let words = text.trim().strip_prefix(TRAILER).map_or(text, |rest| rest.trim_start_matches(':'));
        let mut words = words.split_whitespace();
        let (Some(origin), Some(size), Some(root)) = (words.next(), words.next(), words.next()) else {
            return Err(wrong());
        };
        let (signature, None) = (words.next().map(str::to_owned), words.next()) else { return Err(wrong()) };
        let size = size.parse().map_err(|_| wrong())?;
        let root = Hash::parse_hash(root).map_err(|_| wrong())?;
        Ok(Self { point: Point { origin: origin.to_owned(), size, root }, signature })
    }

    /// The log it is of.
    pub fn origin(&self) -> &str {
        &self.point.origin
    }

    /// Whether it is signed by `key`; also when it carries no signature.
    pub(super) fn is_of(&self, key: &StandardVerifier) -> bool {
        let Some(signature) = &self.signature else { return true };
        let note = format!("{}\n— {} {signature}\n", self.point.text(), self.point.origin);
        Checkpoint::parse(note.as_bytes(), key).is_ok()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{Anchor, Checkpoint, Point, Unsigned};
    use crate::audit::{key::Key, tree::leaf};

    fn key(origin: &str) -> Key {
        Key::of_seed(origin, &[7; 32]).unwrap()
    }

    fn signed(size: u64) -> (Key, Checkpoint) {
        let key = key("pilothouse.dev/audit/test");
        let checkpoint = key.sign(Point { origin: key.origin().to_owned(), size, root: leaf(b"x") }).unwrap();
        (key, checkpoint)
    }

    #[test]
    fn a_checkpoint_is_read_back_as_it_was_signed() {
        let (key, checkpoint) = signed(42);
        assert_eq!(Checkpoint::parse(checkpoint.note().as_bytes(), key.verifier()), Ok(checkpoint.clone()));
        let lines: Vec<_> = checkpoint.note().lines().collect();
        assert_eq!(lines[..2], ["pilothouse.dev/audit/test", "42"]);
        assert!(lines[4].starts_with("— pilothouse.dev/audit/test "), "{lines:?}");
    }

    #[test]
    fn another_key_size_or_text_is_refused() {
        let (key, checkpoint) = signed(42);
        let other = Key::of_seed("pilothouse.dev/audit/test", &[8; 32]).unwrap();
        let parse = |note: &str, key: &Key| Checkpoint::parse(note.as_bytes(), key.verifier()).unwrap_err();
        assert_eq!(parse(checkpoint.note(), &other), Unsigned::Signature);
        assert_eq!(parse(&checkpoint.note().replace("\n42\n", "\n41\n"), &key), Unsigned::Signature);
        assert_eq!(parse("", &key), Unsigned::Malformed);
    }

    #[test]
    fn a_trailer_is_one_line_and_comes_back_as_an_anchor() {
        let (key, checkpoint) = signed(42);
        let trailer = checkpoint.trailer();
        assert!(
            trailer.starts_with("Audit-Checkpoint: pilothouse.dev/audit/test 42 ") && !trailer.contains('\n')
        );
        let anchor = Anchor::parse(&trailer).unwrap();
        assert!(anchor.is_of(key.verifier()) && anchor.point == *checkpoint.point());
        assert!(!anchor.is_of(Key::of_seed(key.origin(), &[8; 32]).unwrap().verifier()));
        let bare = trailer.rsplit_once(' ').unwrap().0.strip_prefix("Audit-Checkpoint: ").unwrap();
        assert_eq!(Anchor::parse(bare).unwrap().point, anchor.point);
        for wrong in ["", "Audit-Checkpoint:", "a 1", "a b c", "a 1 c", &format!("{trailer} more")] {
            assert!(Anchor::parse(wrong).is_err(), "{wrong}");
        }
    }
}
