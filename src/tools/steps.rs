//! How far a call has come, told while it runs to whoever wants to know.
//!
//! As with what a call asks of the cluster, tools are given no slot for it: whoever runs a call follows it, and what
//! works on it says where it is. A task of its own is given [`Steps::here`] to follow.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use serde::{Deserialize, Serialize};

tokio::task_local! {
    static FOLLOWED: Steps;
}

/// One step of a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Counted from 1.
    pub at: u32,
    pub of: u32,
    /// What is being done now, in a few words without an end: it holds nothing that could be a secret.
    pub said: String,
}

type Tell = dyn Fn(Step) + Send + Sync;

/// Where the steps of one call are told. Clones share them.
#[derive(Clone, Default)]
pub struct Steps(Option<Arc<Listener>>);

struct Listener {
    last: AtomicU32,
    tell: Box<Tell>,
}

impl Steps {
    /// `tell` must not wait.
    pub fn telling(tell: impl Fn(Step) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(Listener { last: AtomicU32::new(0), tell: Box::new(tell) })))
    }

    /// Those of the call that runs here; nobody's where none is followed.
    pub fn here() -> Self {
        FOLLOWED.try_with(Self::clone).unwrap_or_default()
    }

    /// Whether anybody listens.
    pub fn are_wanted(&self) -> bool {
        self.0.is_some()
    }

    /// Runs `call`; what it reaches meanwhile is told here.
    pub async fn follow<F: Future>(&self, call: F) -> F::Output {
        FOLLOWED.scope(self.clone(), call).await
    }

    /// Tells it, unless a later one was told: what is begun anew goes back for nobody.
    pub fn tell(&self, step: Step) {
        let Some(Listener { last, tell }) = self.0.as_deref() else { return };
        if last.fetch_max(step.at, Ordering::Relaxed) < step.at {
            tell(step);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::{Arc, Mutex};

    use super::{Step, Steps};

    fn step(at: u32) -> Step {
        Step { at, of: 3, said: "on it".to_owned() }
    }

    #[tokio::test]
    async fn steps_are_told_forward_only_and_to_who_follows() {
        Steps::here().tell(step(1));
        let told: Arc<Mutex<Vec<u32>>> = Arc::default();
        let kept = told.clone();
        let steps = Steps::telling(move |step| kept.lock().unwrap().push(step.at));
        assert!(steps.are_wanted() && !Steps::here().are_wanted());
        steps
            .follow(async {
                Steps::here().tell(step(1));
                let here = Steps::here();
                let apart =
                    tokio::spawn(async move { here.follow(async { Steps::here().tell(step(2)) }).await });
                apart.await.unwrap();
                Steps::here().tell(step(1));
                Steps::here().tell(step(3));
            })
            .await;
        assert_eq!(*told.lock().unwrap(), [1, 2, 3]);
    }
}
