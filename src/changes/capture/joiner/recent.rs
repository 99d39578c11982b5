//! Ids that came before, as many as fit.

use std::collections::{BTreeSet, VecDeque};

#[derive(Debug)]
pub(super) struct Recent {
    most: usize,
    known: BTreeSet<String>,
    order: VecDeque<String>,
}

impl Recent {
    pub(super) fn new(most: usize) -> Self {
        Self { most, known: BTreeSet::new(), order: VecDeque::new() }
    }

    /// Whether it comes for the first time; it does not from then on.
    pub(super) fn is_new(&mut self, id: &str) -> bool {
        if !self.known.insert(id.to_owned()) {
            return false;
        }
        self.order.push_back(id.to_owned());
        if self.order.len() > self.most
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }
}
