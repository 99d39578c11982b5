//! An answer on its way between replicas: lines, each sealed for its place, so that nothing can be left out, put in
//! or cut off unseen.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::letters::Letters;
use crate::answer::SealError;

/// Most of an answer that travels in one line, in bytes.
pub(super) const LARGEST: usize = 64 * 1024;

/// Longest line: sealed and in base64.
const LONGEST_LINE: usize = LARGEST * 2;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// Comes before all data.
    Head(Head),
    Data(Bytes),
    /// The answer takes its time.
    Beat,
    /// Nothing follows; without it an answer was cut off.
    End,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
}

impl Frame {
    fn plain(&self) -> Vec<u8> {
        let (tag, rest) = match self {
            Self::Head(head) => (b'h', serde_json::to_vec(head).unwrap_or_default()),
            Self::Data(data) => (b'd', data.to_vec()),
            Self::Beat => (b'b', Vec::new()),
            Self::End => (b'e', Vec::new()),
        };
        let mut plain = vec![tag];
        plain.extend(rest);
        plain
    }

    fn parse(plain: &[u8]) -> Option<Self> {
        let (tag, rest) = plain.split_first()?;
        Some(match tag {
            b'h' => Self::Head(serde_json::from_slice(rest).ok()?),
            b'd' => Self::Data(Bytes::copy_from_slice(rest)),
            b'b' => Self::Beat,
            b'e' => Self::End,
            _ => return None,
        })
    }
}

/// Of one answer.
pub(super) struct Pen {
    letters: Letters,
    number: String,
    next: u64,
}

impl Pen {
    /// In answer to the letter of that number.
    pub(super) fn new(letters: Letters, number: String) -> Self {
        Self { letters, number, next: 0 }
    }

    /// # Errors
    /// When the system gives no random bytes.
    pub(super) fn line(&mut self, frame: &Frame) -> Result<Bytes, SealError> {
        let mut line = self.letters.seal_part(&self.number, &place(self.next), &frame.plain())?;
        self.next += 1;
        line.push('\n');
        Ok(line.into())
    }
}

/// Takes lines in whatever pieces they come.
pub(super) struct Eye {
    letters: Letters,
    number: String,
    next: u64,
    rest: Vec<u8>,
}

impl Eye {
    pub(super) fn new(letters: Letters, number: String) -> Self {
        Self { letters, number, next: 0, rest: Vec::new() }
    }

    /// # Errors
    /// When a line is not the one that follows.
    pub(super) fn push(&mut self, piece: &[u8]) -> Result<Vec<Frame>, &'static str> {
        const BROKEN: &str = "its answer was not sealed by one of us";
        let mut frames = Vec::new();
        let mut pieces = piece.split_inclusive(|byte| *byte == b'\n');
        for part in &mut pieces {
            self.rest.extend_from_slice(part);
            if self.rest.len() > LONGEST_LINE {
                return Err(BROKEN);
            }
            if !part.ends_with(b"\n") {
                break;
            }
            let line = std::str::from_utf8(&self.rest).map_err(|_| BROKEN)?;
            let plain = self.letters.open_part(&self.number, &place(self.next), line).map_err(|_| BROKEN)?;
            self.next += 1;
            self.rest.clear();
            frames.push(Frame::parse(&plain).ok_or(BROKEN)?);
        }
        Ok(frames)
    }
}

fn place(number: u64) -> String {
    format!("line {number}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use bytes::Bytes;

    use super::{Eye, Frame, Head, LARGEST, Letters, Pen};
    use crate::answer::Sealer;

    fn letters() -> Letters {
        Letters::new(Sealer::with_key(&[7; 32]).unwrap(), "test")
    }

    fn frames() -> Vec<Frame> {
        let headers = vec![("content-type".to_owned(), "text/event-stream".to_owned())];
        let data = |size| Frame::Data(Bytes::from(vec![b'x'; size]));
        vec![Frame::Beat, Frame::Head(Head { status: 200, headers }), data(LARGEST), data(1), Frame::End]
    }

    fn lines() -> Vec<Bytes> {
        let mut pen = Pen::new(letters(), "1".to_owned());
        frames().iter().map(|frame| pen.line(frame).unwrap()).collect()
    }

    #[test]
    fn lines_come_back_as_they_were_in_whatever_pieces() {
        let all = lines().concat();
        for size in [1, 7, 1000, all.len()] {
            let mut eye = Eye::new(letters(), "1".to_owned());
            let mut seen = Vec::new();
            for piece in all.chunks(size) {
                seen.extend(eye.push(piece).unwrap());
            }
            assert_eq!(seen, frames());
        }
    }

    #[test]
    fn a_line_that_is_missing_repeated_or_of_another_answer_is_refused() {
        let lines = lines();
        for order in [vec![0, 2], vec![0, 0], vec![1]] {
            let mut eye = Eye::new(letters(), "1".to_owned());
            let outcome: Result<Vec<_>, _> = order.iter().map(|at| eye.push(&lines[*at])).collect();
            assert!(outcome.is_err(), "{order:?}");
        }
        assert!(Eye::new(letters(), "2".to_owned()).push(&lines[0]).is_err());
        assert!(Eye::new(letters(), "1".to_owned()).push(&vec![b'x'; 3 * LARGEST]).is_err(), "no line ends");
    }
}
