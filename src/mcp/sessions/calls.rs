//! Calls of each session that are open here: a replica that leaves keeps a session until they have ended.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Calls(Arc<Mutex<HashMap<String, usize>>>);

impl Calls {
    fn table(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Held until the answer has left.
    pub(super) fn begin(&self, session: &str) -> OpenCall {
        *self.table().entry(session.to_owned()).or_default() += 1;
        OpenCall { calls: self.clone(), session: session.to_owned() }
    }

    pub(super) fn has_any(&self, session: &str) -> bool {
        self.table().contains_key(session)
    }
}

pub(super) struct OpenCall {
    calls: Calls,
    session: String,
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        let mut table = self.calls.table();
        if let Some(count) = table.get_mut(&self.session) {
            *count -= 1;
            if *count == 0 {
                table.remove(&self.session);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Calls;

    #[test]
    fn a_session_has_calls_until_the_last_has_ended() {
        let calls = Calls::default();
        let (first, second) = (calls.begin("s"), calls.begin("s"));
        drop(first);
        assert!(calls.has_any("s") && !calls.has_any("t"));
        drop(second);
        assert!(!calls.has_any("s"));
    }
}
