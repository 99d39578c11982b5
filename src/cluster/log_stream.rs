//! A container's log, whole or line by line as it comes: however long it is, a line is then what is held of it.

use std::{pin::Pin, time::Duration};

use http_body_util::BodyExt;
use jiff::Timestamp;
use kube::client::Body;

use super::{ReadError, Reader, Resource, error::reason, reader::query};

/// Of a line; what is longer is cut, and only counted.
const LONGEST_LINE: usize = 16 << 10;
/// A log that was begun and then stays silent for so long is given up.
const SILENCE: Duration = Duration::from_secs(10);

/// Which part of one container's log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogRequest {
    pub container: Option<String>,
    /// The container before its last restart.
    pub previous: bool,
    pub tail_lines: Option<usize>,
    pub since_seconds: Option<u64>,
    /// Whole seconds count.
    pub since_time: Option<Timestamp>,
    /// The API server counts these from the start, not the end: give `tail_lines` too.
    pub limit_bytes: Option<usize>,
    pub timestamps: bool,
}

impl Reader {
    /// A part of a container's log; bytes that are not UTF-8 are replaced.
    ///
    /// # Errors
    /// See [`ReadError`]; a container that has not started answers [`ReadError::Refused`] with 400.
    pub async fn log(&self, namespace: &str, pod: &str, request: &LogRequest) -> Result<String, ReadError> {
        let body = self.read(&log_path(namespace, pod, request)?, "*/*").await?;
        Ok(String::from_utf8_lossy(&body).into_owned())
    }

    /// As [`Self::log`], line by line: for logs of any length.
    ///
    /// # Errors
    /// See [`Self::log`]; the log may break off later, see [`LogStream::next`].
    pub async fn log_lines(
        &self,
        namespace: &str,
        pod: &str,
        request: &LogRequest,
    ) -> Result<LogStream, ReadError> {
        let path = log_path(namespace, pod, request)?;
        let response = self.open_stream(&path, "*/*").await?;
        Ok(LogStream::new(response.into_body(), request.timestamps, self.server()))
    }
}

fn log_path(namespace: &str, pod: &str, request: &LogRequest) -> Result<String, ReadError> {
    let LogRequest { container, previous, tail_lines, since_seconds, since_time, limit_bytes, timestamps } =
        request;
    let pods =
        Resource { version: "v1".into(), plural: "pods".into(), namespaced: true, ..Resource::default() };
    let query = query(&[
        ("container", container.clone()),
        ("tailLines", tail_lines.map(|lines| lines.to_string())),
        ("sinceSeconds", since_seconds.map(|seconds| seconds.to_string())),
        ("sinceTime", since_time.map(|time| format!("{time:.0}"))),
        ("limitBytes", limit_bytes.map(|bytes| bytes.to_string())),
        ("previous", previous.then(|| "true".to_owned())),
        ("timestamps", timestamps.then(|| "true".to_owned())),
    ]);
    Ok(format!("{}/log?{query}", pods.path(Some(namespace), Some(pod))?))
}

/// An open log. Dropping it ends the request.
pub struct LogStream {
    body: Pin<Box<Body>>,
    lines: Splitter,
    ended: bool,
    server: String,
}

/// One line without its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// When it was written; absent when the request did not ask for timestamps.
    pub at: Option<Timestamp>,
    /// Bytes that are not UTF-8 are replaced.
    pub text: String,
    /// Bytes that it has beyond 16 KB and that are not in `text`.
    pub cut: usize,
}

impl LogStream {
    pub(super) fn new(body: Body, timestamps: bool, server: &str) -> Self {
        let lines = Splitter { timestamps, ..Splitter::default() };
        Self { body: Box::pin(body), lines, ended: false, server: server.to_owned() }
    }

    /// The next line; none at the end.
    ///
    /// # Errors
    /// [`ReadError::Timeout`] after ten silent seconds, [`ReadError::Unreachable`] when the log breaks off.
    pub async fn next(&mut self) -> Result<Option<LogLine>, ReadError> {
        loop {
            if let Some(line) = self.lines.pop() {
                return Ok(Some(line));
            }
            if self.ended {
                return Ok(self.lines.rest());
            }
            let server = || self.server.clone();
            let frame = tokio::time::timeout(SILENCE, self.body.frame()).await;
            let frame =
                frame.map_err(|_| ReadError::Timeout { server: server(), seconds: SILENCE.as_secs() })?;
            match frame {
                None => self.ended = true,
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.lines.push(&data);
                    }
                }
                Some(Err(error)) => {
                    return Err(ReadError::Unreachable { server: server(), reason: reason(&error) });
                }
            }
        }
    }
}

impl std::fmt::Debug for LogStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogStream").field("server", &self.server).finish_non_exhaustive()
    }
}

/// Pieces of bytes in, lines out.
#[derive(Debug, Default)]
struct Splitter {
    timestamps: bool,
    buffer: Vec<u8>,
    /// Where the next line begins.
    from: usize,
    /// Bytes of the line that has begun and that are not kept.
    cut: usize,
}

impl Splitter {
    fn push(&mut self, data: &[u8]) {
        self.buffer.drain(..self.from);
        self.from = 0;
        self.buffer.extend_from_slice(data);
    }

    fn pop(&mut self) -> Option<LogLine> {
        let rest = self.buffer.get(self.from..).unwrap_or_default();
        if let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line = self.line(end);
            self.from += end + 1;
            self.cut = 0;
            return Some(line);
        }
        let long = rest.len().saturating_sub(LONGEST_LINE);
        if long > 0 {
            self.cut += long;
            self.buffer.truncate(self.from + LONGEST_LINE);
        }
        None
    }

    /// What came after the last line end.
    fn rest(&mut self) -> Option<LogLine> {
        let left = self.buffer.len() - self.from;
        let line = (left > 0).then(|| self.line(left));
        self.from = self.buffer.len();
        line
    }

    fn line(&self, length: usize) -> LogLine {
        let kept = length.min(LONGEST_LINE);
        let bytes = &self.buffer[self.from..self.from + kept];
        let text = String::from_utf8_lossy(bytes.strip_suffix(b"\r").unwrap_or(bytes));
        let stamped = text.split_once(' ').filter(|_| self.timestamps);
        let stamped = stamped.and_then(|(time, rest)| Some((time.parse().ok()?, rest.to_owned())));
        let cut = self.cut + (length - kept);
        match stamped {
            Some((at, text)) => LogLine { at: Some(at), text, cut },
            None => LogLine { at: None, text: text.into_owned(), cut },
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prop_assert_eq, proptest};

    use super::{LONGEST_LINE, LogLine, Splitter};

    fn split(timestamps: bool, pieces: &[&[u8]]) -> Vec<LogLine> {
        let mut lines = Splitter { timestamps, ..Splitter::default() };
        let mut found = Vec::new();
        for piece in pieces {
            lines.push(piece);
            found.extend(std::iter::from_fn(|| lines.pop()));
        }
        found.extend(lines.rest());
        found
    }

    proptest! {
        #[test]
        fn lines_do_not_depend_on_the_pieces_they_come_in(
            lines in vec("[a-zä ]{0,20}", 0..20), cuts in vec(1_usize..9, 1..200)
        ) {
            let text = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
            let (mut rest, mut pieces) = (text.as_bytes(), Vec::new());
            for cut in cuts {
                let (piece, left) = rest.split_at(cut.min(rest.len()));
                pieces.push(piece);
                rest = left;
            }
            pieces.push(rest);
            let found: Vec<String> = split(false, &pieces).into_iter().map(|line| line.text).collect();
            prop_assert_eq!(found, lines);
        }
    }

    #[test]
    fn a_line_without_an_end_is_held_no_longer_than_it_may_be() {
        let piece = vec![b'x'; 10_000];
        let mut lines = Splitter::default();
        for _ in 0..100 {
            lines.push(&piece);
            assert_eq!(lines.pop(), None);
            assert!(lines.buffer.len() <= LONGEST_LINE);
        }
        lines.push(b"\nnext\n");
        let long = lines.pop();
        assert_eq!(
            long.map(|line| (line.text.len(), line.cut)),
            Some((LONGEST_LINE, 1_000_000 - LONGEST_LINE))
        );
        assert_eq!(lines.pop().map(|line| (line.text, line.cut)), Some(("next".to_owned(), 0)));
    }

    #[test]
    fn the_time_of_a_line_is_taken_off_only_where_it_was_asked_for() {
        let text: &[u8] = b"2026-11-21T12:46:00.5Z hello\r\n2026-11-21T12:46:01Z \nno time\n";
        let found: Vec<_> = split(true, &[text]).into_iter().map(|line| (line.at, line.text)).collect();
        let at = |text: &str| text.parse().ok();
        assert_eq!(
            found,
            [
                (at("2026-11-21T12:46:00.5Z"), "hello".to_owned()),
                (at("2026-11-21T12:46:01Z"), String::new()),
                (None, "no time".to_owned()),
            ]
        );
        assert_eq!(split(false, &[text])[0].text, "2026-11-21T12:46:00.5Z hello");
    }
}
