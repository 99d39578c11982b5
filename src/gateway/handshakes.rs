//! Turns for handshakes: opening very many connections at once would take the whole machine.

use std::{sync::Arc, time::Duration};

use tokio::sync::Semaphore;

/// Handshakes that are begun at once, of all downstreams together.
const AT_ONCE: usize = 32;
/// How long a handshake keeps others waiting for their turn: one that takes longer waits for its server, and costs
/// nothing meanwhile. So a server that hangs holds nobody up.
const TURN: Duration = Duration::from_millis(500);

/// Cheap to clone; all clones share the turns.
#[derive(Clone, Debug)]
pub(super) struct Handshakes(Arc<Semaphore>);

impl Default for Handshakes {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl Handshakes {
    pub(super) async fn in_turn<T>(&self, handshake: impl Future<Output = T>) -> T {
        // It is never closed.
        let turn = self.0.acquire().await;
        tokio::pin!(handshake);
        tokio::select! {
            done = &mut handshake => done,
            () = tokio::time::sleep(TURN) => {
                drop(turn);
                handshake.await
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used)]

    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    use futures::future::join_all;

    use super::{AT_ONCE, Handshakes};

    #[tokio::test]
    async fn so_many_begin_at_once_and_those_that_hang_make_room() {
        let (turns, begun) = (Handshakes::default(), AtomicUsize::new(0));
        let hangs = || {
            turns.in_turn(async {
                begun.fetch_add(1, Ordering::Relaxed);
                std::future::pending::<()>().await
            })
        };
        let all = join_all((0..2 * AT_ONCE).map(|_| hangs()));
        let quick = turns.in_turn(std::future::ready(()));
        let both = async {
            tokio::select! {
                _ = all => {}
                () = async {
                    tokio::task::yield_now().await;
                    assert_eq!(begun.load(Ordering::Relaxed), AT_ONCE);
                    quick.await;
                } => {}
            }
        };
        tokio::time::timeout(Duration::from_secs(10), both).await.expect("it had its turn");
    }
}
