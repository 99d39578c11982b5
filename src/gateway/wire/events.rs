//! Server-sent events out of bytes, as they come: pure, bounded, and forgiving of what servers really send
//! (comments, lines without a colon, any of the three line ends, several `data` lines).

/// One event with data. Events without data (priming events) are given out too, for their id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// Absent means `message`.
    pub name: Option<String>,
    pub id: Option<String>,
    /// Milliseconds after which a client may come back for the rest.
    pub retry: Option<u64>,
    /// The `data` lines joined by `\n`.
    pub data: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    #[error("an event is larger than {limit} bytes")]
    TooLarge { limit: usize },
    #[error("an event is not UTF-8")]
    NotText,
}

/// The state between two chunks of bytes.
#[derive(Debug)]
pub struct Events {
    limit: usize,
    line: Vec<u8>,
    event: Event,
    has_data: bool,
    after_cr: bool,
}

impl Events {
    /// `limit`: most bytes of one line, and of one event's data.
    pub fn new(limit: usize) -> Self {
        Self { limit, line: Vec::new(), event: Event::default(), has_data: false, after_cr: false }
    }

    /// Bytes of the event that has not ended yet.
    pub fn held(&self) -> usize {
        self.line.len() + self.event.data.len()
    }

    /// The events that end within `bytes`.
    ///
    /// # Errors
    /// When an event is too large or not UTF-8; the stream is then of no further use.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<Vec<Event>, EventError> {
        let mut events = Vec::new();
        if self.after_cr && !bytes.is_empty() {
            self.after_cr = false;
            bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
        }
        while let Some(end) = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            self.keep(&bytes[..end])?;
            let line = std::mem::take(&mut self.line);
            events.extend(self.line_ended(&line)?);
            let was_cr = bytes[end] == b'\r';
            bytes = &bytes[end + 1..];
            if was_cr {
                self.after_cr = bytes.is_empty();
                bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
            }
        }
        self.keep(bytes)?;
        Ok(events)
    }

    fn keep(&mut self, part: &[u8]) -> Result<(), EventError> {
        if self.line.len() + part.len() + self.event.data.len() > self.limit {
            return Err(EventError::TooLarge { limit: self.limit });
        }
        self.line.extend_from_slice(part);
        Ok(())
    }

    fn line_ended(&mut self, line: &[u8]) -> Result<Option<Event>, EventError> {
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            let worth = std::mem::take(&mut self.has_data) || event.id.is_some() || event.retry.is_some();
            return Ok(worth.then_some(event));
        }
        let line = std::str::from_utf8(line).map_err(|_| EventError::NotText)?;
        let line = line.strip_prefix('\u{feff}').unwrap_or(line);
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                if self.has_data {
                    self.event.data.push('\n');
                }
                self.has_data = true;
                self.event.data.push_str(value);
            }
            "event" => self.event.name = Some(value.to_owned()),
            "retry" => self.event.retry = value.parse().ok(),
            "id" if !value.contains('\0') => self.event.id = Some(value.to_owned()),
            _ => {}
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{Event, EventError, Events};

    fn all(chunks: &[&str]) -> Vec<Event> {
        let mut events = Events::new(1000);
        chunks.iter().flat_map(|chunk| events.push(chunk.as_bytes()).unwrap()).collect()
    }

    #[test]
    fn data_lines_are_joined_whatever_the_line_ends_and_chunks() {
        let joined = Event { data: "{\n1}".to_owned(), ..Event::default() };
        for end in ["\n", "\r\n", "\r"] {
            let text = [":hello", "data: {", "data:1}", "", ""].join(end);
            assert_eq!(all(&[&text]), std::slice::from_ref(&joined), "{end:?}");
            let chars: Vec<String> = text.chars().map(String::from).collect();
            assert_eq!(
                all(&chars.iter().map(String::as_str).collect::<Vec<_>>()),
                std::slice::from_ref(&joined),
                "{end:?}"
            );
        }
    }

    #[test]
    fn names_and_ids_are_kept_and_odd_lines_skipped() {
        let events = all(&["id: 7\nevent: endpoint\nodd\ndata: /x\n\nid: 8\n\n\n"]);
        assert_eq!(events[0].name.as_deref(), Some("endpoint"));
        assert_eq!(events[0].id.as_deref(), Some("7"));
        assert_eq!(events[1], Event { id: Some("8".to_owned()), ..Event::default() });
        assert_eq!(events.len(), 2);
    }

    #[test]
    fn an_event_over_the_limit_is_an_error() {
        let mut events = Events::new(10);
        assert_eq!(events.push(b"data: 0123456789"), Err(EventError::TooLarge { limit: 10 }));
    }
}
