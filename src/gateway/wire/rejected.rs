//! Messages that were not taken, counted by why: those of clients at the face, those of servers at their links.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::value::RawValue;

/// Why a message was not taken. The whole set: it is a label of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It is not UTF-8 or not JSON.
    InvalidJson,
    /// It is JSON, but no message of JSON-RPC 2.0 as MCP has them.
    WrongShape,
    /// Several messages in one array.
    Batch,
    TooLarge,
    /// An answer to a request that nobody made.
    UnknownId,
    /// The HTTP method, the media types or a header of MCP are not what the transport asks for.
    Headers,
    /// It names a session that is not open, or not this caller's.
    Session,
    /// It was cut off, or came too slowly.
    Unfinished,
}

impl Reason {
    pub const ALL: [Self; 8] = [
        Self::InvalidJson,
        Self::WrongShape,
        Self::Batch,
        Self::TooLarge,
        Self::UnknownId,
        Self::Headers,
        Self::Session,
        Self::Unfinished,
    ];

    /// Of a text that is no JSON object.
    pub fn of_unreadable(text: &str) -> Self {
        let is_json = serde_json::from_str::<&RawValue>(text).is_ok();
        match text.trim_ascii_start().starts_with('[') {
            _ if !is_json => Self::InvalidJson,
            true => Self::Batch,
            false => Self::WrongShape,
        }
    }

    /// As the metric's label has it.
    pub fn word(self) -> &'static str {
        match self {
            Self::InvalidJson => "invalid-json",
            Self::WrongShape => "wrong-shape",
            Self::Batch => "batch",
            Self::TooLarge => "too-large",
            Self::UnknownId => "unknown-id",
            Self::Headers => "headers",
            Self::Session => "session",
            Self::Unfinished => "unfinished",
        }
    }
}

/// How many messages of one side were not taken, since the process began.
#[derive(Debug, Default)]
pub struct Rejections([AtomicU64; Reason::ALL.len()]);

impl Rejections {
    pub fn count(&self, reason: Reason) {
        if let Some(count) = self.0.get(reason as usize) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub fn of(&self, reason: Reason) -> u64 {
        self.0.get(reason as usize).map_or(0, |count| count.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::{Reason, Rejections};

    #[test]
    fn every_reason_has_a_count_of_its_own() {
        let rejections = Rejections::default();
        for (times, reason) in Reason::ALL.into_iter().enumerate() {
            (0..times).for_each(|_| rejections.count(reason));
        }
        for (times, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(rejections.of(reason), times as u64, "{}", reason.word());
        }
    }
}
