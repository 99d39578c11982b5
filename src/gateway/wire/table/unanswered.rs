//! Why calls have no answer.

/// The connection ended, in one sentence: why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended(pub String);

/// Why a call has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unanswered {
    Ended(Ended),
    /// What came as its answer is none, in one sentence: why.
    Malformed(String),
}

impl From<Ended> for Unanswered {
    fn from(ended: Ended) -> Self {
        Self::Ended(ended)
    }
}
