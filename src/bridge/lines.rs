//! Lines of text with a limit.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt};

/// Bytes that are kept of a line that is too long.
const START: usize = 1024;

/// What stood in one line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Without its end.
    Text(String),
    /// Longer than the limit; it was read to its end and thrown away, but for how it began.
    TooLong {
        start: String,
    },
    NotUtf8,
}

/// The next line of at most `limit` bytes; `None` at the end. Memory never exceeds `limit` and one buffer.
///
/// # Errors
/// Those of the reader.
pub(super) async fn next<R: AsyncBufRead + Unpin>(reader: &mut R, limit: usize) -> io::Result<Option<Line>> {
    let mut kept = Vec::new();
    let mut start = None;
    let mut any = false;
    loop {
        let chunk = reader.fill_buf().await?;
        if chunk.is_empty() {
            return Ok(any.then(|| line(kept, start)));
        }
        any = true;
        let end = chunk.iter().position(|byte| *byte == b'\n');
        let part = &chunk[..end.unwrap_or(chunk.len())];
        if kept.len() + part.len() > limit {
            let begun = start.get_or_insert_with(|| std::mem::take(&mut kept));
            begun.extend_from_slice(&part[..part.len().min(START.saturating_sub(begun.len()))]);
            begun.truncate(START);
            begun.shrink_to_fit();
        }
        if start.is_none() {
            kept.extend_from_slice(part);
        }
        let used = part.len() + usize::from(end.is_some());
        reader.consume(used);
        if end.is_some() {
            return Ok(Some(line(kept, start)));
        }
    }
}

fn line(bytes: Vec<u8>, start: Option<Vec<u8>>) -> Line {
    if let Some(start) = start {
        return Line::TooLong { start: String::from_utf8_lossy(&start).into_owned() };
    }
    match String::from_utf8(bytes) {
        Ok(mut text) => {
            if text.ends_with('\r') {
                text.pop();
            }
            Line::Text(text)
        }
        Err(_) => Line::NotUtf8,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::io::BufReader;

    use super::{Line, next};

    #[tokio::test]
    async fn lines_come_whole_and_a_long_one_does_not_hide_the_next() {
        let text: &[u8] = b"one\r\n0123456789\n\n\xff\nlast";
        let mut reader = BufReader::with_capacity(4, text);
        let mut seen = Vec::new();
        while let Some(line) = next(&mut reader, 8).await.unwrap() {
            seen.push(line);
        }
        let text = |line: &str| Line::Text(line.to_owned());
        assert_eq!(
            seen,
            [
                text("one"),
                Line::TooLong { start: "0123456789".to_owned() },
                text(""),
                Line::NotUtf8,
                text("last")
            ]
        );
    }
}
