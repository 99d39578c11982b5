//! One log read as a stream: its newest lines before a mark are kept, everything else only counted.

use std::{collections::VecDeque, time::Duration};

use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};

use super::{
    digest::Digest,
    grep::{Grep, Role, Sieve},
    merge::Timed,
    private_key::PrivateKey,
    sources::{Source, digest},
};
use crate::{
    answer::Mark,
    cluster::{LogLine, LogRequest, ReadError, Reader},
    redact,
};

/// Lines that are searched or digested of each log.
pub(super) const SEARCHED: usize = 200_000;
/// Of a shown line; the rest of a longer one is counted.
const LINE_BYTES: usize = 2_000;
/// A log grows while its pages are read.
const GROWN: usize = 200;
/// How often a log that grew faster is read again, from further back each time.
const DEEPER: [usize; 4] = [1, 4, 16, 64];
/// For all logs of an answer together.
pub(super) const READING: Duration = Duration::from_secs(20);

/// What is asked of every log.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) since: Option<Timestamp>,
    pub(super) grep: Option<Grep>,
    pub(super) around: usize,
    /// Lines, or matches, of each log.
    pub(super) tail: usize,
    pub(super) timestamps: bool,
}

impl Wanted {
    pub(super) fn request(&self, source: &Source, lines: usize) -> LogRequest {
        LogRequest {
            container: Some(source.container.clone()),
            previous: source.previous,
            tail_lines: Some(lines),
            since_time: self.since,
            timestamps: true,
            ..LogRequest::default()
        }
    }
}

/// A line as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Not before the line in front of it: two streams of a container may be written down out of order.
    at: Timestamp,
    /// Redacted, and cut.
    pub(super) text: String,
    pub(super) role: Role,
    /// Lines between it and the shown one in front of it were left out.
    pub(super) after_gap: bool,
    stamp: Stamp,
    /// With the time in front.
    stamped: bool,
}

/// How a line is known again, and its number among those read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    at: i64,
    line: u32,
    number: usize,
}

impl Timed for Line {
    fn at(&self) -> Timestamp {
        self.at
    }

    fn cost(&self) -> usize {
        // Mark, blank and line end; a gap is a line of its own.
        let time = if self.stamped { self.time().len() + 1 } else { 0 };
        self.text.len() + 5 + time + if self.after_gap { 3 } else { 0 }
    }
}

impl Line {
    pub(super) fn time(&self) -> String {
        format!("{:.3}", self.at)
    }
}

/// What was read of one log.
#[derive(Debug, Default)]
pub(super) struct Read {
    /// In the log's order.
    pub(super) lines: Vec<Line>,
    /// Lines before the mark that were looked at, and those that matched.
    pub(super) seen: usize,
    pub(super) matched: usize,
    /// The log has lines before those looked at, or before those kept.
    pub(super) has_more: bool,
    /// It has none before those looked at.
    pub(super) is_whole: bool,
    /// Why it was not read to its end.
    pub(super) broken: Option<String>,
    /// Lines that were found are not among those kept.
    overflowed: bool,
    first: Option<Stamp>,
    /// So many lines from its end it was read.
    depth: usize,
}

/// Of no line: a mark with it stands before the first line that is not older than its time.
const NO_LINE: u32 = 0;

impl Read {
    /// Where the next page ends when the last `shown` lines are on this one, which ended at `last`.
    pub(super) fn mark(&self, log: u32, shown: usize, last: Option<&Mark>) -> Mark {
        let stamp = match self.lines.len() - shown.min(self.lines.len()) {
            // What was found is shown: what was looked at need not be looked at again.
            0 if self.overflowed => self.lines.first().map(|oldest| oldest.stamp),
            0 => self.first.filter(|_| self.has_more),
            left => match (self.lines.get(left), last) {
                (Some(oldest), _) => Some(oldest.stamp),
                (None, Some(last)) => return *last,
                (None, None) => {
                    let at = self.lines.last().map_or(i64::MIN, |line| line.stamp.at.saturating_add(1));
                    return Mark { log, at, line: NO_LINE, after: 0 };
                }
            },
        };
        let Some(Stamp { at, line, number }) = stamp else {
            return Mark { log, at: i64::MIN, line: NO_LINE, after: 0 };
        };
        let after = u64::try_from(self.depth.saturating_sub(number)).unwrap_or(u64::MAX);
        Mark { log, at, line, after }
    }

    /// Whether something is left when the last `shown` lines are shown.
    pub(super) fn is_left(&self, shown: usize) -> bool {
        self.lines.len() > shown || (self.has_more && self.first.is_some())
    }
}

/// Reads one log up to its mark, or its end.
///
/// # Errors
/// When it cannot be opened; see [`ReadError`]. One that breaks off is read as far as it came.
pub(super) async fn read(
    reader: &Reader,
    source: &Source,
    wanted: &Wanted,
    mark: Option<&Mark>,
    most: usize,
    deadline: Instant,
) -> Result<Read, ReadError> {
    if mark.is_some_and(|mark| mark.line == NO_LINE && mark.at == i64::MIN) {
        return Ok(Read::default());
    }
    // One more than is shown tells whether there is more.
    let base = if wanted.grep.is_some() { SEARCHED } else { wanted.tail + 1 };
    let behind =
        mark.map_or(0, |mark| usize::try_from(mark.after).unwrap_or(usize::MAX).saturating_add(GROWN));
    let mut found = Read::default();
    for factor in DEEPER {
        let depth = base.saturating_mul(factor).saturating_add(behind);
        let mut collector = Collector::new(wanted, mark, most);
        let request = wanted.request(source, depth);
        let broken = each_line(reader, source, &request, deadline, |line| collector.take(line)).await?;
        let is_deep_enough =
            mark.is_none() || (collector.is_past && collector.overflowed) || collector.received < depth;
        found = collector.finish(depth, broken);
        if is_deep_enough || found.broken.is_some() {
            break;
        }
    }
    Ok(found)
}

/// Whether more lines are needed.
pub(super) type Flow = std::ops::ControlFlow<()>;

/// Gives `take` each line of a log while it wants more. Answers why the log was not read to its end, if so.
///
/// # Errors
/// When the log cannot be opened.
pub(super) async fn each_line(
    reader: &Reader,
    source: &Source,
    request: &LogRequest,
    deadline: Instant,
    mut take: impl FnMut(LogLine) -> Flow,
) -> Result<Option<String>, ReadError> {
    let mut log = reader.log_lines(&source.namespace, &source.pod, request).await?;
    loop {
        match timeout_at(deadline, log.next()).await {
            Ok(Ok(Some(line))) => {
                if take(line).is_break() {
                    return Ok(None);
                }
            }
            Ok(Ok(None)) => return Ok(None),
            Ok(Err(error)) => return Ok(Some(error.to_string())),
            Err(_) => {
                let seconds = READING.as_secs();
                return Ok(Some(format!(
                    "reading took longer than {seconds} s: name one pod and container, or give `since`"
                )));
            }
        }
    }
}

/// Keeps the newest lines that are asked for.
struct Collector<'a> {
    wanted: &'a Wanted,
    mark: Option<&'a Mark>,
    /// Bytes kept.
    most: usize,
    sieve: Sieve<Line>,
    key: PrivateKey,
    kept: VecDeque<Line>,
    bytes: usize,
    kept_wanted: usize,
    overflowed: bool,
    /// All lines, those behind the mark too.
    received: usize,
    is_past: bool,
    seen: usize,
    matched: usize,
    latest: Timestamp,
    first: Option<Stamp>,
}

impl<'a> Collector<'a> {
    fn new(wanted: &'a Wanted, mark: Option<&'a Mark>, most: usize) -> Self {
        Self {
            wanted,
            mark,
            most,
            sieve: Sieve::new(wanted.around),
            key: PrivateKey::default(),
            kept: VecDeque::new(),
            bytes: 0,
            kept_wanted: 0,
            overflowed: false,
            received: 0,
            is_past: false,
            seen: 0,
            matched: 0,
            latest: Timestamp::MIN,
            first: None,
        }
    }

    fn take(&mut self, line: LogLine) -> Flow {
        self.received += 1;
        let LogLine { at, text, cut } = line;
        let at = at.unwrap_or(self.latest.max(Timestamp::UNIX_EPOCH));
        if !self.is_past {
            let number = self.seen + 1;
            let stamp = Stamp {
                at: i64::try_from(at.as_nanosecond()).unwrap_or(i64::MAX),
                line: digest(&text),
                number,
            };
            self.is_past = self.mark.is_some_and(|mark| stamp.is_at(mark));
            if !self.is_past {
                self.latest = self.latest.max(at);
                self.look_at(stamp, &text, cut);
            }
        }
        // Behind the mark lines are counted, to know how far back the log was read: not needed when it was enough.
        if self.is_past && self.overflowed { Flow::Break(()) } else { Flow::Continue(()) }
    }

    fn look_at(&mut self, stamp: Stamp, text: &str, cut: usize) {
        self.seen += 1;
        self.first.get_or_insert(stamp);
        let text = redact::visible(text);
        let is_key = self.key.holds(&text);
        let is_wanted = match &self.wanted.grep {
            None => true,
            Some(grep) => !is_key && grep.finds(&text),
        };
        self.matched += usize::from(is_wanted);
        let near = self.wanted.grep.is_some() && self.wanted.around > 0;
        if !is_wanted && !near {
            return;
        }
        let text =
            if is_key { "<redacted: of a private key>".to_owned() } else { shown(&text, cut, self.most) };
        let line = Line {
            at: self.latest,
            text,
            role: Role::Wanted,
            after_gap: false,
            stamp,
            stamped: self.wanted.timestamps,
        };
        for (role, line) in self.sieve.pass(line, is_wanted) {
            self.keep(Line { role, ..line });
        }
    }

    fn keep(&mut self, mut line: Line) {
        let before = self.kept.back().map(|before| before.stamp.number + 1);
        line.after_gap = self.wanted.around > 0 && before.is_some_and(|before| before != line.stamp.number);
        self.bytes += line.cost();
        self.kept_wanted += usize::from(line.role == Role::Wanted);
        self.kept.push_back(line);
        // The newest line stays, whatever its length.
        while self.kept.len() > 1 && (self.bytes > self.most || self.kept_wanted > self.wanted.tail) {
            let Some(oldest) = self.kept.pop_front() else { break };
            self.bytes -= oldest.cost();
            self.kept_wanted -= usize::from(oldest.role == Role::Wanted);
            self.overflowed = true;
        }
        // What stood around a match that is gone says nothing.
        let next = self.kept.iter().skip(1).position(|line| line.after_gap).map(|at| at + 1);
        if let Some(next) = next.filter(|_| self.overflowed)
            && self.kept.iter().take(next).all(|line| line.role == Role::Around)
        {
            let orphans = self.kept.drain(..next);
            self.bytes -= orphans.map(|line| line.cost()).sum::<usize>();
        }
    }

    fn finish(self, depth: usize, broken: Option<String>) -> Read {
        let mut lines: Vec<Line> = self.kept.into();
        if let Some(mark) = self.mark.filter(|_| !self.is_past) {
            // The log was begun anew since: what is left of it is only what is older.
            lines.retain(|line| line.stamp.at < mark.at);
        }
        let is_whole = self.received < depth;
        let has_more = self.overflowed || !is_whole;
        let Self { seen, matched, overflowed, first, .. } = self;
        Read { lines, seen, matched, has_more, is_whole, broken, overflowed, first, depth }
    }
}

impl Stamp {
    fn is_at(&self, mark: &Mark) -> bool {
        if mark.line == NO_LINE { self.at >= mark.at } else { (self.at, self.line) == (mark.at, mark.line) }
    }
}

/// A line without secrets, and cut when it is long.
fn shown(text: &str, cut: usize, most: usize) -> String {
    let text = redact::text(text);
    let room = LINE_BYTES.min(most / 4).max(40);
    if text.len() <= room && cut == 0 {
        return text.into_owned();
    }
    let end = text.floor_char_boundary(room);
    format!("{} … {} more bytes of this line", &text[..end], text.len() - end + cut)
}

/// Puts the lines of one log into a digest. Answers why it was not read to its end, if so.
///
/// # Errors
/// When it cannot be opened.
pub(super) async fn digest_of(
    reader: &Reader,
    source: &Source,
    wanted: &Wanted,
    deadline: Instant,
    into: &mut Digest,
) -> Result<Option<String>, ReadError> {
    let mut key = PrivateKey::default();
    let request = wanted.request(source, SEARCHED);
    each_line(reader, source, &request, deadline, |LogLine { at, text, cut: _ }| {
        let text = redact::visible(&text);
        let is_wanted = wanted.grep.as_ref().is_none_or(|grep| grep.finds(&text));
        if !key.holds(&text) && is_wanted {
            into.add(at, &text);
        }
        Flow::Continue(())
    })
    .await
}
