//! Ids of sessions.

#[path = "../../../src/mcp/sessions/ticket.rs"]
mod ticket;

use jiff::Timestamp;

use self::ticket::Ticket;
use crate::{answer::Sealer, caller::Caller};

/// For what ids are sealed.
pub const PURPOSE: &str = "pilothouse session";

/// Whether a text is taken as the id of a session of this caller. Everything is read that it holds, and one that is taken
/// names the same session after it was sealed again.
pub fn opens(id: &str, sealer: &Sealer, caller: &Caller, now: Timestamp) -> bool {
    let Some(ticket) = Ticket::open(id, sealer, caller) else { return false };
    let hello = ticket.hello(now);
    let again = Ticket::new(&ticket.session, &ticket.owner, caller, hello.as_ref());
    let sealed = again.seal(sealer).expect("random bytes");
    let opened = Ticket::open(&sealed, sealer, caller).expect("what was sealed opens");
    assert_eq!((opened.session, opened.owner), (ticket.session, ticket.owner));
    true
}
