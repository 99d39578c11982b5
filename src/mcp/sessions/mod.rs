//! Where legacy sessions are, among replicas. README.md says what becomes of a request that reaches the wrong one.

mod answers;
mod calls;
mod elsewhere;
mod home;
mod store;
mod ticket;

pub(super) use answers::not_taken;
pub use elsewhere::{Alone, Cover, Elsewhere, Forwarded, Keeper, Parcel};
pub(super) use home::{Home, at_home, collected};
pub(super) use ticket::Ticket;

use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use rmcp::model::InitializeRequestParams;

use crate::{
    answer::{SealError, Sealer},
    caller::Caller,
    gateway::wire::text::{Fields, Head},
};

/// How sessions are named and where else they may be. Cheap to clone.
#[derive(Clone)]
pub struct Sessions {
    /// Absent where the system gave no random bytes for a key: then no session can be opened.
    sealer: Option<Sealer>,
    elsewhere: Arc<dyn Elsewhere>,
    holder: Option<Holder>,
}

/// Which replica holds the call open that a `requestState` belongs to; nothing where any replica can take it.
pub type Holder = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Put into requests that another replica sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Received {
    /// See [`Cover::adopt`].
    pub(super) adopt: bool,
}

impl Sessions {
    /// Replicas open each other's ids when they have the same key in `sealer`.
    pub fn new(sealer: Sealer, elsewhere: Arc<dyn Elsewhere>) -> Self {
        Self { sealer: Some(sealer), elsewhere, holder: None }
    }

    /// Of one process, with a key of its own.
    pub fn alone() -> Self {
        Self { sealer: Sealer::random().ok(), elsewhere: Arc::new(Alone::default()), holder: None }
    }

    /// The name of this process among all replicas.
    pub fn here(&self) -> &str {
        self.elsewhere.here()
    }

    /// Modern requests that go on with a call that another replica holds open go there.
    pub fn holding(self, holder: Holder) -> Self {
        Self { holder: Some(holder), ..self }
    }

    /// The id that the client gets for a session that was opened here.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub(super) fn name(
        &self,
        session: &str,
        caller: &Caller,
        hello: Option<&InitializeRequestParams>,
    ) -> Result<String, SealError> {
        let sealer = self.sealer.as_ref().ok_or(SealError::NoRandom)?;
        Ticket::new(session, self.elsewhere.here(), caller, hello).seal(sealer)
    }

    /// Nothing when it is not one of ours, or another caller's.
    pub(super) fn open(&self, id: &str, caller: &Caller) -> Option<Ticket> {
        Ticket::open(id, self.sealer.as_ref()?, caller)
    }

    /// The other replica that holds the call open which `body` goes on with.
    fn holder(&self, body: &[u8]) -> Option<String> {
        let holder = self.holder.as_ref()?;
        let text = std::str::from_utf8(body).ok()?;
        // Most requests do not even have the word in them.
        let params = text.contains("requestState").then(|| Head::parse(text).ok()?.params)??;
        let state = Fields::parse(params.get()).ok()?.get_str("requestState")?;
        holder(&state).filter(|holder| holder != self.elsewhere.here())
    }

    pub(super) fn is_here(&self, ticket: &Ticket) -> bool {
        ticket.owner == self.elsewhere.here()
    }

    /// Sends a request to the replica of that name.
    pub(super) async fn pass_on(
        &self,
        replica: &str,
        caller: &Caller,
        parts: &Parts,
        body: &Bytes,
        adopt: bool,
    ) -> Forwarded {
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let cover = Cover { adopt, ..Cover::new(caller.clone(), &parts.method, path, &parts.headers) };
        self.elsewhere.forward(replica, Parcel { cover, body: body.clone() }).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::Sessions;

    #[test]
    fn a_request_goes_to_whoever_holds_its_call() {
        let holder = Arc::new(|state: &str| state.strip_prefix("held by ").map(str::to_owned));
        let sessions = Sessions::alone().holding(holder);
        let with = |state: &str| {
            let params = serde_json::json!({ "name": "x", "requestState": state });
            let request =
                serde_json::json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
            sessions.holder(request.to_string().as_bytes())
        };
        assert_eq!(with("held by replica-2").as_deref(), Some("replica-2"));
        assert_eq!(with(&format!("held by {}", sessions.elsewhere.here())), None, "it is here");
        assert_eq!(with("of the server"), None);
        assert_eq!(sessions.holder(b"{\"requestState\":"), None);
    }
}
