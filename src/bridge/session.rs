//! One session: one server process, and the requests that are open in it.

use std::{
    borrow::Cow,
    io,
    process::ExitStatus,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use futures::{Stream, stream};
use serde_json::value::RawValue;
use tokio::{
    io::{AsyncWriteExt, BufReader},
    process::{ChildStdin, ChildStdout},
    sync::mpsc,
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    child::Child,
    exchange::{Exchange, Hears, Recipient},
    limits::Limits,
    lines::{self, Line},
    outbox::{Outbox, Reader},
    reply,
};
use crate::gateway::wire::{
    Raw, RpcError,
    text::{Fields, Head},
};

/// Bytes of one message, in both directions.
pub(super) const MESSAGE_LIMIT: usize = 16 * 1024 * 1024;
/// Messages of one request, or lines for the process, that wait before the writer has to.
const QUEUE: usize = 64;
/// How long an ended process's last words may take.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// How often an old session is looked at that still has something to do.
const A_MOMENT: Duration = Duration::from_millis(200);
/// A message along with a request waits only alone when it has more bytes than this.
const LARGE: usize = 1024 * 1024;

/// Shared by its requests and the task that owns the process ([`Session::run`]).
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: String,
    /// What whoever asked is told to do when the process has ended.
    advice: &'static str,
    to_process: mpsc::Sender<String>,
    exchange: Mutex<Exchange<mpsc::Sender<Said>>>,
    outbox: Outbox,
    activity: Mutex<Activity>,
    /// Why it was ended, where that is worth a word.
    sentence: OnceLock<String>,
    /// Cancelled by whoever ends the session; the task does the rest.
    pub(super) ended: CancellationToken,
}

/// A message for one request; the last one is its answer.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) text: String,
    pub(super) last: bool,
}

#[derive(Debug)]
struct Activity {
    open: usize,
    last: Instant,
}

/// Why a message cannot be given to the process.
#[derive(Debug)]
pub(super) enum Refused {
    Ended,
    IdInUse,
}

impl Session {
    /// The session and the lines that its task must write to the process.
    pub(super) fn new(
        id: String,
        advice: &'static str,
        ended: CancellationToken,
    ) -> (Arc<Self>, mpsc::Receiver<String>) {
        let (to_process, lines) = mpsc::channel(QUEUE);
        let session = Self {
            id,
            advice,
            to_process,
            exchange: Mutex::new(Exchange::new()),
            outbox: Outbox::default(),
            activity: Mutex::new(Activity { open: 0, last: Instant::now() }),
            sentence: OnceLock::new(),
            ended,
        };
        (Arc::new(session), lines)
    }

    fn exchange(&self) -> MutexGuard<'_, Exchange<mpsc::Sender<Said>>> {
        self.exchange.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn activity(&self) -> MutexGuard<'_, Activity> {
        self.activity.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends it; its open requests fail with `why`.
    pub(super) fn end(&self, why: String) {
        // The first reason stands.
        let _ = self.sentence.set(why);
        self.ended.cancel();
    }

    /// Keeps the session from becoming idle while it lives.
    fn busy(self: &Arc<Self>) -> Busy {
        self.activity().open += 1;
        Busy(Arc::clone(self))
    }

    /// Sends a notification or an answer of the client.
    pub(super) async fn tell(self: &Arc<Self>, head: &Head<'_>, text: &str) -> Result<(), Refused> {
        let _busy = self.busy();
        self.to_process.send(one_line(text)).await.map_err(|_| Refused::Ended)?;
        if head.method.as_deref() == Some("notifications/cancelled") {
            // A cancelled request gets no answer: nothing more is to be waited for.
            let id = Fields::of(head.params)
                .ok()
                .and_then(|params| params.get("requestId").map(ToOwned::to_owned));
            if let Some(id) = id {
                self.exchange().close(&id);
            }
        }
        Ok(())
    }

    /// Sends a request of the client; `hears`: what the server says meanwhile and may go with it.
    pub(super) async fn ask(
        self: &Arc<Self>,
        id: &RawValue,
        head: &Head<'_>,
        text: &str,
        hears: Hears,
    ) -> Result<Asked, Refused> {
        let (to, said) = mpsc::channel(QUEUE);
        self.exchange().open(id, head.params, hears, to).map_err(|_| Refused::IdInUse)?;
        let asked = Asked { said, id: id.to_owned(), busy: self.busy() };
        // Looked at after opening: the task cancels first and fails what is open then.
        if self.ended.is_cancelled() || self.to_process.send(one_line(text)).await.is_err() {
            return Err(Refused::Ended);
        }
        Ok(asked)
    }

    /// What the server says of its own accord, until the session ends or somebody else listens.
    pub(super) fn listen(self: &Arc<Self>) -> Listening {
        Listening { reader: self.outbox.reader(), busy: self.busy() }
    }

    /// Owns the process until one of the two, or the client's patience, ends; then ends the other.
    pub(super) async fn run(
        self: Arc<Self>,
        mut child: Child,
        stdin: ChildStdin,
        stdout: ChildStdout,
        lines: mpsc::Receiver<String>,
        limits: &Limits,
    ) {
        let why = {
            let mut read = std::pin::pin!(self.read(stdout));
            tokio::select! {
                () = self.ended.cancelled() => {
                    self.sentence.get().cloned().unwrap_or_else(|| "the session was ended".to_owned())
                }
                why = write(stdin, lines) => why,
                () = self.idle(limits.idle) => format!("nothing was asked for {} s", limits.idle.as_secs()),
                () = self.aged(limits.life) => format!("its process was {} s old", limits.life.as_secs()),
                // Mostly its end comes with that of its stdout, and says more.
                why = &mut read => match tokio::time::timeout(LAST_WORDS, child.ended()).await {
                    Ok(status) => end_of(status),
                    Err(_) => why,
                },
                status = child.ended() => {
                    // Its children may hold its stdout open, so the end of that is not waited for long.
                    if tokio::time::timeout(LAST_WORDS, &mut read).await.is_err() {
                        tracing::debug!("stdout of an ended server process is still open");
                    }
                    end_of(status)
                }
            }
        };
        self.ended.cancel();
        tracing::info!(session = %self.id, %why, "session ends");
        let failed = self.exchange().close_all();
        self.fail(failed, &format!("{why}: {}", self.advice));
        child.stop().await;
    }

    /// Hands on every line of the process; returns why there are no more.
    async fn read(&self, stdout: ChildStdout) -> String {
        let mut reader = BufReader::new(stdout);
        loop {
            match lines::next(&mut reader, MESSAGE_LIMIT).await {
                Ok(Some(Line::Text(text))) => self.deliver(text).await,
                Ok(Some(Line::TooLong { start })) => {
                    tracing::warn!(session = %self.id, limit = MESSAGE_LIMIT, "message too large, skipped");
                    let failed = self.exchange().close_asker(&start);
                    self.fail(
                        failed,
                        &format!(
                            "the server sent a message of more than {MESSAGE_LIMIT} bytes: ask for less"
                        ),
                    );
                }
                Ok(Some(Line::NotUtf8)) => {
                    tracing::warn!(session = %self.id, "line on stdout is not UTF-8, skipped");
                }
                Ok(None) => return "the server process closed its stdout".to_owned(),
                Err(error) => return format!("the server process cannot be read ({error})"),
            }
        }
    }

    async fn deliver(&self, text: String) {
        if text.trim().is_empty() {
            return;
        }
        let recipient = {
            let head = envelope(&text);
            let message = head.as_ref().ok().and_then(|head| Some((head, head.message()?)));
            let Some((head, kind)) = message else {
                tracing::warn!(session = %self.id, line = %start_of(&text), "line on stdout is no message, skipped");
                return;
            };
            self.exchange().recipient(head, kind)
        };
        let unread = match recipient {
            // An asker who left needs no answer.
            Recipient::Answer(to) => {
                // In a task of its own: an asker who does not read must not hold up the others.
                tokio::spawn(async move { drop(to.send(Said { text, last: true }).await) });
                return;
            }
            Recipient::Along(to) if text.len() > LARGE && to.capacity() < to.max_capacity() => {
                tracing::warn!(session = %self.id, "an asker does not read, a large notification is dropped");
                None
            }
            Recipient::Along(to) => match to.try_send(Said { text, last: false }) {
                Ok(()) => None,
                Err(mpsc::error::TrySendError::Closed(said)) => Some(said.text),
                Err(mpsc::error::TrySendError::Full(_)) => {
                    tracing::warn!(session = %self.id, "an asker does not read, a notification is dropped");
                    None
                }
            },
            Recipient::Stream => Some(text),
            Recipient::Nobody => {
                tracing::debug!(session = %self.id, "answer that nobody waits for");
                return;
            }
        };
        if let Some(text) = unread
            && self.outbox.push(text)
        {
            tracing::warn!(session = %self.id, "the client does not read its stream, the oldest message is lost");
        }
    }

    /// Answers requests with an error.
    fn fail(&self, requests: Vec<(Raw, mpsc::Sender<Said>)>, message: &str) {
        for (id, to) in requests {
            let text = reply::error_text(Some(&*id), RpcError::INTERNAL, message);
            if to.try_send(Said { text, last: true }).is_err() {
                tracing::debug!(session = %self.id, "an asker left or does not read");
            }
        }
    }

    /// Returns when it is older than `limit` and no request is open.
    async fn aged(&self, limit: Duration) {
        tokio::time::sleep(limit).await;
        while !self.exchange().is_empty() {
            tokio::time::sleep(A_MOMENT).await;
        }
    }

    /// Returns when nothing was open for `limit`.
    async fn idle(&self, limit: Duration) {
        loop {
            let since = {
                let activity = self.activity();
                if activity.open > 0 { Instant::now() } else { activity.last }
            };
            let until = since + limit;
            if until <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }
}

fn end_of(status: io::Result<ExitStatus>) -> String {
    match status {
        Ok(status) => format!("the server process ended ({status})"),
        Err(error) => format!("the server process was lost ({error})"),
    }
}

async fn write(mut stdin: ChildStdin, mut lines: mpsc::Receiver<String>) -> String {
    while let Some(line) = lines.recv().await {
        if let Err(error) = stdin.write_all(line.as_bytes()).await {
            return format!("the server process does not read its stdin ({error})");
        }
    }
    "nobody is left to ask".to_owned()
}

/// One JSON-RPC object; also refuses an array, whose elements would pass for the members of one.
pub(super) fn envelope(text: &str) -> Result<Head<'_>, String> {
    if !text.trim_start().starts_with('{') {
        return Err("it is no object; batches are not supported, send one message at a time".to_owned());
    }
    Head::parse(text).map_err(|error| error.to_string())
}

/// A message as a line. Between JSON tokens line breaks are legal and mean a space; inside strings they cannot
/// stand.
fn one_line(text: &str) -> String {
    let mut line = if text.contains(['\n', '\r']) {
        Cow::Owned(text.replace(['\n', '\r'], " "))
    } else {
        Cow::Borrowed(text)
    }
    .into_owned();
    line.push('\n');
    line
}

fn start_of(text: &str) -> String {
    text.chars().take(200).collect()
}

#[derive(Debug)]
struct Busy(Arc<Session>);

impl Drop for Busy {
    fn drop(&mut self) {
        let mut activity = self.0.activity();
        activity.open -= 1;
        activity.last = Instant::now();
    }
}

/// A request under way. Dropping it forgets the request; whatever the server still says to it goes nowhere.
#[derive(Debug)]
pub(super) struct Asked {
    said: mpsc::Receiver<Said>,
    id: Raw,
    busy: Busy,
}

impl Asked {
    /// `None`: the request was cancelled.
    pub(super) async fn next(&mut self) -> Option<Said> {
        self.said.recv().await
    }
}

impl Asked {
    /// What comes, until the answer.
    pub(super) fn into_stream(self) -> impl Stream<Item = Said> + Send {
        stream::unfold(Some(self), |asked| async {
            let mut asked = asked?;
            let said = asked.next().await?;
            let rest = (!said.last).then_some(asked);
            Some((said, rest))
        })
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.busy.0.exchange().close(&self.id);
    }
}

/// Somebody who reads the session's own stream.
#[derive(Debug)]
pub(super) struct Listening {
    reader: Reader,
    busy: Busy,
}

impl Listening {
    /// `None`: the session ended, or somebody else reads now.
    pub(super) async fn next(&mut self) -> Option<String> {
        let session = &self.busy.0;
        tokio::select! {
            biased;
            () = session.ended.cancelled() => None,
            message = session.outbox.next(self.reader) => message,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::one_line;

    #[test]
    fn a_pretty_printed_message_becomes_one_line() {
        assert_eq!(one_line("{\r\n  \"a\": \"x\\ny\"\n}"), "{    \"a\": \"x\\ny\" }\n");
    }
}
