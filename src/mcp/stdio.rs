//! MCP over this process's stdin and stdout: both eras on one pipe.

use std::sync::Arc;

use rmcp::{
    RoleServer,
    service::{ServerInitializeError, serve_server_with_ct},
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::{
    face::Face,
    session::{Revisions, Session, Who},
};
use crate::{caller::Caller, gateway::wire::lines::Lines};

/// Serves the one client at the other end of the pipes until it closes them or `cancel` is cancelled; what it
/// asked before is answered first, for at most 5 s.
///
/// # Errors
/// When the client did not get through its handshake: one sentence.
pub async fn serve<R, W>(
    face: Arc<Face>,
    stdin: R,
    stdout: W,
    cancel: CancellationToken,
) -> Result<(), ServerInitializeError>
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    let session = Session::new(face, Who::Fixed(Caller::process()), Revisions::All);
    let lines = Lines::<RoleServer, _>::carrying(stdin, stdout);
    let running = match serve_server_with_ct(session, lines, cancel).await {
        Ok(running) => running,
        // A client that looks and leaves, or a shutdown before the first client: nothing is wrong.
        Err(ServerInitializeError::ConnectionClosed(_) | ServerInitializeError::Cancelled) => return Ok(()),
        Err(error) => return Err(error),
    };
    if let Err(error) = running.waiting().await {
        tracing::warn!(%error, "serving stdio ended badly");
    }
    Ok(())
}
