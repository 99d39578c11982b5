//! Resources that clients follow: which ones of a server, and the news of them. However many clients follow one, its
//! server is asked once over each connection, and again over the next.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use futures::{StreamExt, stream::BoxStream};
use tokio::sync::{broadcast, watch};

/// News that wait for a slow listener; one that misses some is told once for all.
const WAITING: usize = 64;

/// Of one downstream, by the server's own URIs.
#[derive(Debug, Default)]
pub(super) struct Followed {
    /// How many follow each.
    counts: Mutex<BTreeMap<String, usize>>,
    wanted: watch::Sender<BTreeSet<String>>,
    /// Made for the first who follows one: its places take 4 KB.
    news: OnceLock<broadcast::Sender<String>>,
}

impl Followed {
    /// What is to be followed, told when that changes.
    pub(super) fn wanted(&self) -> watch::Receiver<BTreeSet<String>> {
        self.wanted.subscribe()
    }

    /// Whether nobody follows anything.
    pub(super) fn is_empty(&self) -> bool {
        self.wanted.borrow().is_empty()
    }

    /// The server says that this resource has changed.
    pub(super) fn tell(&self, uri: String) {
        if let Some(news) = self.news.get() {
            // Nobody may listen any more.
            let _ = news.send(uri);
        }
    }

    /// News may have been missed: of all that clients follow.
    pub(super) fn tell_all(&self) {
        let wanted = self.wanted.borrow().clone();
        for uri in wanted {
            self.tell(uri);
        }
    }

    /// One item for each change, as long as it is held.
    pub(super) fn follow(self: &Arc<Self>, uri: &str) -> BoxStream<'static, ()> {
        let news = self.news.get_or_init(|| broadcast::Sender::new(WAITING)).subscribe();
        self.count(uri, |count| count + 1);
        let followed = Following { of: self.clone(), uri: uri.to_owned() };
        futures::stream::unfold((news, followed), |(mut news, followed)| async move {
            loop {
                match news.recv().await {
                    Ok(uri) if uri != followed.uri => {}
                    // What was missed may have been this one.
                    Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => {
                        return Some(((), (news, followed)));
                    }
                    Err(broadcast::error::RecvError::Closed) => return None,
                }
            }
        })
        .boxed()
    }

    fn count(&self, uri: &str, change: impl Fn(usize) -> usize) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = change(counts.get(uri).copied().unwrap_or_default());
        if count == 0 {
            counts.remove(uri);
        } else {
            counts.insert(uri.to_owned(), count);
        }
        self.wanted.send_if_modified(|wanted| {
            if count == 0 { wanted.remove(uri) } else { wanted.insert(uri.to_owned()) }
        });
    }
}

struct Following {
    of: Arc<Followed>,
    uri: String,
}

impl Drop for Following {
    fn drop(&mut self) {
        self.of.count(&self.uri, |count| count.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::{FutureExt, StreamExt};

    use super::Followed;

    #[tokio::test]
    async fn a_server_is_asked_while_somebody_follows_and_everybody_hears_of_their_own() {
        let followed = Arc::new(Followed::default());
        let wanted = followed.wanted();
        let (mut one, mut two) = (followed.follow("x://1"), followed.follow("x://2"));
        let other = followed.follow("x://1");
        assert_eq!(wanted.borrow().len(), 2);
        followed.tell("x://1".to_owned());
        assert_eq!(one.next().await, Some(()));
        assert!(two.next().now_or_never().is_none());
        drop(one);
        assert!(wanted.borrow().contains("x://1"), "somebody follows it still");
        drop(other);
        assert!(!wanted.borrow().contains("x://1"));
        for _ in 0..1_000 {
            followed.tell("x://1".to_owned());
        }
        assert_eq!(two.next().await, Some(()), "what was missed may have been its own");
    }
}
