//! What one call really asked of the cluster, gathered while it runs.
//!
//! Tools are given no slot for it: whoever runs a call follows it, and the one door to the API server notes each
//! request where it passes. What a call hands to tasks of its own is not followed.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

use super::Object;

tokio::task_local! {
    static FOLLOWED: Footprint;
}

/// Objects that are remembered of one call; more are counted by nobody.
const MOST: usize = 256;

/// The objects and verbs of one call. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Footprint(Arc<Mutex<Steps>>);

#[derive(Debug, Default)]
struct Steps {
    objects: BTreeSet<(String, Option<String>, String)>,
    verbs: BTreeSet<&'static str>,
}

impl Footprint {
    /// Runs `call`; what is noted meanwhile is kept here.
    pub async fn follow<F: Future>(&self, call: F) -> F::Output {
        FOLLOWED.scope(self.clone(), call).await
    }

    /// What was noted so far.
    pub fn steps(&self) -> (Vec<Object>, Vec<&'static str>) {
        let steps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let object = |(kind, namespace, name): &(String, Option<String>, String)| {
            Object::new(kind, namespace.as_deref(), name)
        };
        (steps.objects.iter().map(object).collect(), steps.verbs.iter().copied().collect())
    }

    fn add(&self, verb: &'static str, kind: &str, namespace: Option<&str>, name: &str) {
        let mut steps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        steps.verbs.insert(verb);
        if steps.objects.len() < MOST {
            steps.objects.insert((kind.to_owned(), namespace.map(str::to_owned), name.to_owned()));
        }
    }
}

/// Notes one request of the call that runs here, if one is followed. An empty name means all of them.
pub fn note(verb: &'static str, kind: &str, namespace: Option<&str>, name: &str) {
    // Outside of calls there is nothing to note: the process reads for itself too.
    let _ = FOLLOWED.try_with(|footprint| footprint.add(verb, kind, namespace, name));
}

#[cfg(test)]
mod tests {
    use super::{Footprint, note};
    use crate::audit::Object;

    #[tokio::test]
    async fn a_call_is_followed_and_nothing_else() {
        note("get", "pods", Some("shop"), "before");
        let (one, other) = (Footprint::default(), Footprint::default());
        let read = async |name: &str| {
            note("list", "pods", Some("shop"), "");
            tokio::task::yield_now().await;
            note("get", "pods", Some("shop"), name);
        };
        tokio::join!(one.follow(read("a")), other.follow(read("b")));
        let (objects, verbs) = one.steps();
        assert_eq!(objects, ["", "a"].map(|name| Object::new("pods", Some("shop"), name)));
        assert_eq!(verbs, ["get", "list"]);
        assert_eq!(other.steps().0[1].name, "b");
    }
}
