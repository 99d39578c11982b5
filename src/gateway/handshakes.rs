//! Turns for handshakes: opening very many connections at once would take the whole machine.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::{Notify, Semaphore, SemaphorePermit, oneshot};

/// Handshakes that are under way at once, of all downstreams together.
const AT_ONCE: usize = 32;
/// How long a handshake may keep others waiting for their turn. One that takes longer goes on while nobody waits;
/// otherwise the one that took longest is given up and tried again later. So servers that hang hold nobody up.
const TURN: Duration = Duration::from_secs(2);

/// Cheap to clone; all clones share the turns.
#[derive(Clone, Debug)]
pub(super) struct Handshakes(Arc<Turns>);

#[derive(Debug)]
struct Turns {
    length: Duration,
    free: Semaphore,
    /// Those that have taken longer than a turn, the first of them first. Told, one is given up.
    late: Mutex<VecDeque<oneshot::Sender<()>>>,
    /// One more has.
    grown: Notify,
}

impl Default for Handshakes {
    fn default() -> Self {
        Self::with_turns_of(TURN)
    }
}

impl Handshakes {
    fn with_turns_of(length: Duration) -> Self {
        let free = Semaphore::new(AT_ONCE);
        Self(Arc::new(Turns { length, free, late: Mutex::default(), grown: Notify::new() }))
    }

    /// # Errors
    /// That of the handshake, or one sentence saying that it was given up for others.
    pub(super) async fn in_turn<T>(
        &self,
        handshake: impl Future<Output = Result<T, String>>,
    ) -> Result<T, String> {
        let _turn = self.0.turn().await;
        tokio::pin!(handshake);
        tokio::select! {
            biased;
            done = &mut handshake => return done,
            () = tokio::time::sleep(self.0.length) => {}
        }
        let given_up = self.0.is_late();
        tokio::select! {
            biased;
            done = handshake => done,
            _ = given_up => Err(format!(
                "its handshake took longer than {:?} while {AT_ONCE} were under way and others waited for their turn: it is tried again",
                self.0.length
            )),
        }
    }
}

impl Turns {
    /// None only if the turns were closed, which nobody does.
    async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        if let Ok(turn) = self.free.try_acquire() {
            return Some(turn);
        }
        let turn = self.free.acquire();
        tokio::pin!(turn);
        loop {
            // Begun before the look, so that nobody is missed who becomes late after it.
            let grown = self.grown.notified();
            self.give_one_up();
            tokio::select! {
                biased;
                turn = &mut turn => return turn.ok(),
                () = grown => {}
                // Somebody who has waited for longer had the turn that was given up.
                () = tokio::time::sleep(self.length) => {}
            }
        }
    }

    /// Resolves when the handshake that says so is to be given up.
    fn is_late(&self) -> oneshot::Receiver<()> {
        let (give_up, given_up) = oneshot::channel();
        let mut late = self.late.lock().unwrap_or_else(PoisonError::into_inner);
        late.retain(|other| !other.is_closed());
        late.push_back(give_up);
        drop(late);
        self.grown.notify_waiters();
        given_up
    }

    /// The one that has taken longest, if there is one that is late.
    fn give_one_up(&self) {
        let mut late = self.late.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(give_up) = late.pop_front() {
            // One that has ended meanwhile does not hear it.
            if give_up.send(()).is_ok() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used, clippy::unwrap_used)]

    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    use futures::future::join_all;

    use super::{AT_ONCE, Handshakes};

    const TURN: Duration = Duration::from_millis(500);

    #[derive(Default)]
    struct Seen {
        now: AtomicUsize,
        most: AtomicUsize,
    }

    struct UnderWay<'a>(&'a Seen);

    impl Seen {
        fn begins(&self) -> UnderWay<'_> {
            let now = self.now.fetch_add(1, Ordering::Relaxed) + 1;
            self.most.fetch_max(now, Ordering::Relaxed);
            UnderWay(self)
        }
    }

    impl Drop for UnderWay<'_> {
        fn drop(&mut self) {
            self.0.now.fetch_sub(1, Ordering::Relaxed);
        }
    }

    #[tokio::test]
    async fn never_more_are_under_way_and_those_that_hang_make_room() {
        let (turns, seen) = (Handshakes::with_turns_of(TURN), Seen::default());
        let hangs = || {
            turns.in_turn(async {
                let _under_way = seen.begins();
                std::future::pending::<Result<(), String>>().await
            })
        };
        let quick = async {
            // After all that hang have asked for their turns.
            tokio::task::yield_now().await;
            let begins = || async {
                let _under_way = seen.begins();
                Ok(())
            };
            join_all((0..3 * AT_ONCE).map(|_| turns.in_turn(begins()))).await
        };
        // All of them may have been given up for others in the end.
        let hanging = async {
            join_all((0..3 * AT_ONCE).map(|_| hangs())).await;
            std::future::pending().await
        };
        let both = async {
            tokio::select! {
                () = hanging => Vec::new(),
                done = quick => done,
            }
        };
        let done = tokio::time::timeout(Duration::from_secs(20), both).await.expect("they had their turns");
        assert!(done.iter().all(Result::is_ok), "{done:?}");
        assert_eq!(seen.most.load(Ordering::Relaxed), AT_ONCE);
    }

    #[tokio::test]
    async fn one_that_takes_longer_is_given_up_only_for_others() {
        let turns = Handshakes::with_turns_of(TURN);
        let slow = || {
            turns.in_turn(async {
                tokio::time::sleep(3 * TURN).await;
                Ok(())
            })
        };
        let all = join_all((0..AT_ONCE).map(|_| slow()));
        assert!(all.await.iter().all(Result::is_ok), "nobody waited");
        let (all, other) = futures::join!(join_all((0..AT_ONCE).map(|_| slow())), async {
            tokio::task::yield_now().await;
            turns.in_turn(async { Ok(()) }).await
        });
        other.unwrap();
        let given_up: Vec<_> = all.into_iter().filter_map(Result::err).collect();
        assert!(given_up.len() == 1 && given_up[0].contains("tried again"), "{given_up:?}");
    }
}
