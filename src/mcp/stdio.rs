//! MCP over this process's stdin and stdout: both eras on one pipe.

use std::{
    io::{self, Read},
    sync::Arc,
    thread,
};

use bytes::Bytes;

use rmcp::{
    RoleServer,
    service::{ServerInitializeError, serve_server_with_ct},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::{io::StreamReader, sync::CancellationToken};

use super::{
    face::Face,
    session::{Revisions, Session, Who},
};
use crate::{caller::Caller, gateway::wire::lines::Lines};

/// Bytes that are read from stdin at once.
const CHUNK: usize = 64 * 1024;

/// This process's stdin, read by a thread of its own: Tokio's would keep the process alive after a shutdown
/// until the client sends or closes something.
///
/// # Errors
/// When no thread can be started.
pub fn stdin() -> io::Result<impl AsyncRead + Send + Unpin + 'static> {
    let (chunks, read) = mpsc::channel::<io::Result<Bytes>>(4);
    thread::Builder::new().name("stdin".to_owned()).spawn(move || {
        let mut stdin = io::stdin().lock();
        loop {
            let mut chunk = vec![0; CHUNK];
            let chunk = match stdin.read(&mut chunk) {
                Ok(0) => return,
                Ok(length) => {
                    chunk.truncate(length);
                    Ok(Bytes::from(chunk))
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            let failed = chunk.is_err();
            if chunks.blocking_send(chunk).is_err() || failed {
                return;
            }
        }
    })?;
    Ok(StreamReader::new(ReceiverStream::new(read)))
}

/// Serves the one client at the other end of the pipes, who is `caller`, until it closes them or `cancel` is
/// cancelled; what it asked before is answered first, for at most 5 s.
///
/// # Errors
/// When the client did not get through its handshake: one sentence.
pub async fn serve<R, W>(
    caller: Caller,
    face: Arc<Face>,
    stdin: R,
    stdout: W,
    cancel: CancellationToken,
) -> Result<(), ServerInitializeError>
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    let lines = Lines::<RoleServer, _>::carrying(stdin, stdout).counting(face.rejections().clone());
    let session = Session::new(face, Who::Fixed(caller), Revisions::All);
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
