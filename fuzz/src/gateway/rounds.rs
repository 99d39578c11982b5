//! `requestState`: sealed for a request, and opened for it again.

#[path = "../../../src/gateway/rounds/questions.rs"]
mod questions;
#[path = "../../../src/gateway/rounds/state.rs"]
mod state;

use jiff::Timestamp;

use super::{Request, wire::Raw};
use crate::answer::Ring;

/// For what the ring seals states.
pub const PURPOSE: &str = "request-state";

/// Whether a text is taken as the state of this request.
pub fn opens(ring: &Ring, sealed: &str, request: &Request, now: Timestamp) -> bool {
    // Who holds the call is asked first, before anybody knows whose it is.
    let _ = state::owner(ring, sealed, now);
    state::open(ring, sealed, &state::Bound::to(request), now).is_ok()
}

/// The state that a server's own text becomes.
pub fn sealed(ring: &Ring, inner: &str, request: &Request, now: Timestamp) -> Option<String> {
    let inner = state::Inner::OfServer(inner.to_owned());
    state::seal(ring, inner, state::Bound::to(request), now).ok()
}

/// What a server's result asks, and what a client's params answer.
pub fn looked_through(value: &Raw) {
    if let Ok(Some(asks)) = questions::InputRequired::parse(value) {
        let answers: Vec<_> = asks.questions.into_iter().map(|(key, _)| (key, value.clone())).collect();
        let again = questions::again(Some(value), &answers, asks.state);
        assert_eq!(questions::responses(Some(&again)).len(), distinct(&answers), "{again}");
    }
    let _ = (questions::responses(Some(value)), questions::token(Some(value)));
    let _ = questions::plain(Some(questions::with_state(value, "s")));
}

fn distinct(answers: &[(String, Raw)]) -> usize {
    answers.iter().map(|(key, _)| key).collect::<std::collections::BTreeSet<_>>().len()
}
