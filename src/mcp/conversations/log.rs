//! What was said on one stream to the client: numbered, waiting to be read, and its end once more for a client that
//! comes back with `Last-Event-ID`.

use std::{
    collections::VecDeque,
    fmt,
    task::{Context, Poll, Waker},
};

use rmcp::transport::streamable_http_server::session::ServerSseMessage;

/// Unread events after which those who say more wait for the reader.
const UNREAD: usize = 16;

/// Unread events that are kept while nobody reads. The oldest go first.
const KEPT: usize = 16;

/// Events that were read and may have been lost on the way.
const READ: usize = 4;

/// The number of an event: on the stream of a request, or on the one that is open beside all requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EventId {
    pub(super) index: u64,
    /// The number of the request's stream.
    pub(super) stream: Option<u64>,
}

impl EventId {
    /// Nothing when it is none of ours.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (index, stream) = match text.split_once('/') {
            Some((index, stream)) => (index, Some(stream.parse().ok()?)),
            None => (text, None),
        };
        Some(Self { index: index.parse().ok()?, stream })
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { index, stream } = self;
        match stream {
            Some(stream) => write!(out, "{index}/{stream}"),
            None => write!(out, "{index}"),
        }
    }
}

/// There is one reader at a time: the last that came.
#[derive(Debug)]
struct Reading {
    number: u64,
    waker: Option<Waker>,
}

#[derive(Debug)]
pub(super) struct Log {
    stream: Option<u64>,
    /// The oldest first, each with its id.
    events: VecDeque<ServerSseMessage>,
    /// Index of the next event to be said.
    next: u64,
    /// How many of `events` were read.
    read: usize,
    reading: Option<Reading>,
    /// Those who said something and wait for it to be read.
    speaking: Vec<Waker>,
    over: bool,
}

impl Log {
    /// `first`: index of the first event.
    pub(super) fn new(stream: Option<u64>, first: u64) -> Self {
        Self {
            stream,
            events: VecDeque::new(),
            next: first,
            read: 0,
            reading: None,
            speaking: Vec::new(),
            over: false,
        }
    }

    pub(super) fn push(&mut self, mut event: ServerSseMessage) {
        let id = EventId { index: self.next, stream: self.stream };
        event.event_id = Some(id.to_string());
        self.next += 1;
        self.events.push_back(event);
        self.trim();
        self.wake_reader();
    }

    /// Nothing will follow. The reader still gets what is there.
    pub(super) fn end(&mut self) {
        self.over = true;
        self.wake_reader();
        self.wake_speakers();
    }

    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    pub(super) fn is_read(&self) -> bool {
        self.reading.is_some()
    }

    fn unread(&self) -> usize {
        self.events.len() - self.read
    }

    /// Nobody can want it any more.
    pub(super) fn is_done(&self) -> bool {
        self.over && self.unread() == 0 && self.reading.is_none()
    }

    /// The reader of that number takes the place of the one before.
    pub(super) fn attach(&mut self, number: u64) {
        self.wake_reader();
        self.reading = Some(Reading { number, waker: None });
    }

    /// The same for one that has seen everything up to `index`. Whether the log reaches so far.
    pub(super) fn attach_after(&mut self, number: u64, index: u64) -> bool {
        if index >= self.next {
            return false;
        }
        let first = self.next - self.events.len() as u64;
        let seen = (index + 1).saturating_sub(first);
        self.read = usize::try_from(seen).unwrap_or(usize::MAX).min(self.events.len());
        self.attach(number);
        true
    }

    /// Whether it was still the reader.
    pub(super) fn detach(&mut self, number: u64) -> bool {
        let was = self.reading.as_ref().is_some_and(|reading| reading.number == number);
        if was {
            self.reading = None;
            self.trim();
            self.wake_speakers();
        }
        was
    }

    /// The next event for that reader; nothing when the stream is over or another one reads it.
    pub(super) fn poll_next(&mut self, number: u64, cx: &Context<'_>) -> Poll<Option<ServerSseMessage>> {
        let Some(reading) = self.reading.as_mut().filter(|reading| reading.number == number) else {
            return Poll::Ready(None);
        };
        let Some(event) = self.events.get(self.read).cloned() else {
            if self.over {
                return Poll::Ready(None);
            }
            reading.waker = Some(cx.waker().clone());
            return Poll::Pending;
        };
        self.read += 1;
        self.trim();
        if self.unread() < UNREAD {
            self.wake_speakers();
        }
        Poll::Ready(Some(event))
    }

    /// Ready when there is room for more, or nobody who reads.
    pub(super) fn poll_room(&mut self, cx: &Context<'_>) -> Poll<()> {
        if self.over || self.reading.is_none() || self.unread() < UNREAD {
            return Poll::Ready(());
        }
        self.speaking.push(cx.waker().clone());
        Poll::Pending
    }

    fn trim(&mut self) {
        let unread = self.unread();
        let kept = if self.reading.is_some() { unread } else { unread.min(KEPT) };
        let most = kept + if unread > kept { 0 } else { READ };
        while self.events.len() > most {
            self.events.pop_front();
            self.read = self.read.saturating_sub(1);
        }
    }

    fn wake_reader(&mut self) {
        if let Some(waker) = self.reading.as_mut().and_then(|reading| reading.waker.take()) {
            waker.wake();
        }
    }

    fn wake_speakers(&mut self) {
        std::mem::take(&mut self.speaking).into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::task::{Context, Poll, Waker};

    use rmcp::transport::streamable_http_server::session::ServerSseMessage;

    use super::{EventId, KEPT, Log, UNREAD};

    fn cx() -> Context<'static> {
        Context::from_waker(Waker::noop())
    }

    fn say(log: &mut Log, count: usize) {
        (0..count).for_each(|_| log.push(ServerSseMessage::default()));
    }

    /// The ids that the reader gets now.
    fn read(log: &mut Log, number: u64) -> Vec<String> {
        let mut ids = Vec::new();
        while let Poll::Ready(Some(event)) = log.poll_next(number, &cx()) {
            ids.push(event.event_id.unwrap());
        }
        ids
    }

    #[test]
    fn ids_are_read_as_they_are_written() {
        for id in [EventId { index: 0, stream: None }, EventId { index: 7, stream: Some(12) }] {
            assert_eq!(EventId::parse(&id.to_string()), Some(id));
        }
        for odd in ["", "x", "1/", "/1", "-1", "1/2/3"] {
            assert_eq!(EventId::parse(odd), None, "{odd}");
        }
    }

    #[test]
    fn what_was_said_before_a_reader_came_waits_for_it() {
        let mut log = Log::new(Some(3), 0);
        say(&mut log, 2);
        log.attach(1);
        assert_eq!(read(&mut log, 1), ["0/3", "1/3"]);
        assert!(log.poll_next(1, &cx()).is_pending());
        log.end();
        assert!(matches!(log.poll_next(1, &cx()), Poll::Ready(None)));
    }

    #[test]
    fn a_client_that_comes_back_gets_what_followed_and_not_twice() {
        let mut log = Log::new(None, 1);
        log.attach(1);
        say(&mut log, 3);
        assert_eq!(read(&mut log, 1), ["1", "2", "3"]);
        log.detach(1);
        say(&mut log, 1);
        assert!(log.attach_after(2, 2));
        assert_eq!(read(&mut log, 2), ["3", "4"]);
        assert!(!log.attach_after(3, 9), "there was no such event");
        log.detach(2);
        say(&mut log, 1);
        log.attach(4);
        assert_eq!(read(&mut log, 4), ["5"], "a new stream gets what nobody read");
    }

    #[test]
    fn the_last_reader_gets_everything_and_the_one_before_ends() {
        let mut log = Log::new(Some(0), 0);
        log.attach(1);
        log.attach(2);
        say(&mut log, 1);
        assert!(matches!(log.poll_next(1, &cx()), Poll::Ready(None)));
        assert_eq!(read(&mut log, 2), ["0/0"]);
        assert!(!log.detach(1));
        assert!(log.is_read());
    }

    #[test]
    fn little_is_kept_while_nobody_reads_and_after_it_was_read() {
        let mut log = Log::new(None, 1);
        say(&mut log, 1_000);
        assert!(log.events.len() <= KEPT, "{}", log.events.len());
        log.attach(1);
        assert_eq!(read(&mut log, 1).len(), KEPT);
        say(&mut log, 1);
        read(&mut log, 1);
        assert!(log.events.len() < 6, "{}", log.events.len());
    }

    #[test]
    fn those_who_speak_wait_for_a_slow_reader_but_not_for_none() {
        let mut log = Log::new(None, 1);
        say(&mut log, UNREAD);
        assert!(log.poll_room(&cx()).is_ready());
        log.attach(1);
        assert!(log.poll_room(&cx()).is_pending());
        let _ = log.poll_next(1, &cx());
        assert!(log.poll_room(&cx()).is_ready());
    }

    #[test]
    fn a_stream_is_done_when_its_end_was_read() {
        let mut log = Log::new(Some(0), 0);
        log.attach(1);
        say(&mut log, 1);
        log.end();
        assert!(!log.is_done());
        read(&mut log, 1);
        log.detach(1);
        assert!(log.is_done());
    }
}
