//! What pods that are not ready leave behind besides their status: the last words of a container that ended, and
//! what a failing probe found. Needs a client. Reading less than there is changes a message, never a decision.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use k8s_openapi::api::core::v1::{Event, Pod};
use kube::{
    Api, Client,
    api::{ListParams, LogParams},
};

use super::status::{Crash, Evidence, FailedProbe, Probing, crash, last_line, probe_failure, probing};
use crate::fleet::ServerName;

/// Lines of a log, from its end.
const LINES: i64 = 30;
const LOG_BYTES: i64 = 16 * 1024;
/// Events of one pod about its probes: one for each container and probe.
const EVENTS: u32 = 20;

/// The last words heard of each server, so that a log is read once for each crash. Lost at a restart.
#[derive(Debug, Default)]
pub(super) struct LastWords(Mutex<HashMap<ServerName, (Crash, Option<String>)>>);

impl LastWords {
    /// The inner `None`: it said nothing.
    fn recall(&self, server: &ServerName, crash: &Crash) -> Option<Option<String>> {
        let heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        heard.get(server).filter(|(of, _)| of == crash).map(|(_, words)| words.clone())
    }

    /// Answers the words to show: those from before, when only their numbers differ. A line that begins with the
    /// time would otherwise be written to the status at each crash.
    fn apply(&self, server: &ServerName, crash: Crash, words: Option<String>) -> Option<String> {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = heard.remove(server).and_then(|(_, words)| words);
        let words = match (before, words) {
            (Some(before), Some(words)) if alike(&before, &words) => Some(before),
            (_, words) => words,
        };
        heard.insert(server.clone(), (crash, words.clone()));
        words
    }

    pub(super) fn forget(&self, server: &ServerName) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(server);
    }
}

/// The same text but for its numbers.
fn alike(a: &str, b: &str) -> bool {
    let skeleton = |text: &str| -> String { text.chars().filter(|c| !c.is_ascii_digit()).collect() };
    skeleton(a) == skeleton(b)
}

/// At most one log and one list of events.
pub(super) async fn gather(
    client: &Client,
    server: &ServerName,
    pods: &[Pod],
    last_words: &LastWords,
) -> Evidence {
    let last_words = match crash(pods) {
        Some(crash) => match last_words.recall(server, &crash) {
            Some(words) => words,
            None => {
                let words = read_last_words(client, server, &crash).await;
                last_words.apply(server, crash, words)
            }
        },
        None => None,
    };
    let probe = match probing(pods) {
        Some(probing) => read_probe(client, server, &probing).await,
        None => None,
    };
    Evidence { last_words, probe }
}

async fn read_last_words(client: &Client, server: &ServerName, crash: &Crash) -> Option<String> {
    let params = LogParams {
        container: Some(crash.container.clone()),
        previous: crash.has_restarted,
        tail_lines: Some(LINES),
        limit_bytes: Some(LOG_BYTES),
        ..LogParams::default()
    };
    match Api::<Pod>::namespaced(client.clone(), &server.namespace).logs(&crash.pod, &params).await {
        Ok(log) => last_line(&log),
        // Its node may be gone, or the right to read logs was taken away: the message goes without.
        Err(error) => {
            tracing::debug!(%server, pod = %crash.pod, %error, "the log of a container that ended cannot be read");
            None
        }
    }
}

async fn read_probe(client: &Client, server: &ServerName, probing: &Probing) -> Option<FailedProbe> {
    let of_pod = format!("involvedObject.uid={},reason=Unhealthy", probing.pod_uid);
    let params = ListParams::default().fields(&of_pod).limit(EVENTS);
    match Api::<Event>::namespaced(client.clone(), &server.namespace).list(&params).await {
        Ok(events) => probe_failure(&events.items, probing),
        Err(error) => {
            tracing::debug!(%server, %error, "the events of a pod cannot be read");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Crash, LastWords};
    use crate::fleet::ServerName;

    fn server() -> ServerName {
        ServerName { namespace: "team-a".to_owned(), name: "demo".to_owned() }
    }

    fn crash(restarts: i32) -> Crash {
        Crash {
            pod: "demo-x".to_owned(),
            pod_uid: "1".to_owned(),
            container: "server".to_owned(),
            restarts,
            has_restarted: true,
        }
    }

    fn said(words: &str) -> Option<String> {
        Some(words.to_owned())
    }

    #[test]
    fn a_log_is_read_once_for_each_crash() {
        let heard = LastWords::default();
        assert_eq!(heard.recall(&server(), &crash(1)), None);
        heard.apply(&server(), crash(1), said("boom"));
        assert_eq!(heard.recall(&server(), &crash(1)), Some(said("boom")));
        assert_eq!(heard.recall(&server(), &crash(2)), None, "it crashed again");
        heard.forget(&server());
        assert_eq!(heard.recall(&server(), &crash(1)), None);
    }

    #[test]
    fn words_that_differ_in_numbers_stay_the_same() {
        let heard = LastWords::default();
        let first = said("12:00:01 no route to 10.0.0.7");
        assert_eq!(heard.apply(&server(), crash(1), first.clone()), first);
        assert_eq!(heard.apply(&server(), crash(2), said("12:00:59 no route to 10.0.0.7")), first);
        assert_eq!(heard.apply(&server(), crash(3), said("DB_URL is missing")), said("DB_URL is missing"));
    }
}
