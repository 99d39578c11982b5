//! Which reviews count.

use super::Review;

/// A verdict as a forge lists it, the oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Given {
    pub(super) review: Review,
    /// Somebody with the right to do so has set it aside.
    pub(super) dismissed: bool,
}

/// The newest verdict of each reviewer, the oldest first. Whose newest was dismissed has none, also when an earlier one
/// was not.
pub(super) fn counting(given: impl IntoIterator<Item = Given>) -> Vec<Review> {
    let mut newest: Vec<Given> = Vec::new();
    for given in given {
        newest.retain(|earlier| earlier.review.user != given.review.user);
        newest.push(given);
    }
    newest.into_iter().filter(|given| !given.dismissed).map(|given| given.review).collect()
}

#[cfg(test)]
mod tests {
    use super::{Given, counting};
    use crate::changes::forge::{Review, Verdict};

    fn given(user: &str, verdict: Verdict, dismissed: bool) -> Given {
        Given { review: Review { user: user.to_owned(), verdict, commit: None, at: None }, dismissed }
    }

    #[test]
    fn the_newest_of_each_counts_unless_it_was_dismissed() {
        let counted = counting([
            given("ann", Verdict::ChangesRequested, false),
            given("bob", Verdict::Approved, false),
            given("ann", Verdict::Approved, false),
            given("eve", Verdict::Approved, false),
            given("eve", Verdict::ChangesRequested, true),
        ]);
        let counted: Vec<_> = counted.iter().map(|review| (review.user.as_str(), review.verdict)).collect();
        assert_eq!(counted, [("bob", Verdict::Approved), ("ann", Verdict::Approved)]);
    }
}
