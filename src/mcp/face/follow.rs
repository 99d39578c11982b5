//! Following a resource of a server: as long as its caller may read it, and beyond the end of the server when one takes
//! its place.

use std::sync::Arc;

use futures::{StreamExt, stream};

use super::Face;
use crate::{
    caller::Caller,
    gateway::{Catalogue, Route, ServerName, wire::RpcError},
    mcp::{own::Updates, resources},
};

/// What a caller means by a URI that it follows.
pub(super) enum Followed {
    Own,
    /// By the server's own URI.
    Of {
        server: Arc<ServerName>,
        original: String,
    },
}

impl Face {
    /// Nothing when this caller has no such resource.
    ///
    /// # Errors
    /// When it cannot be found out what this caller may see.
    pub(super) async fn followed(
        &self,
        catalogue: &Arc<Catalogue>,
        caller: &Caller,
        uri: &str,
    ) -> Result<Option<Followed>, RpcError> {
        let view = self.view(catalogue.clone(), caller).await?;
        let unlisted = resources::unlisted(catalogue, uri);
        let found = resources::shown_resource(catalogue, uri, |entry| view.shows(entry));
        let found = found.or(unlisted.as_ref()).filter(|entry| view.shows(entry));
        Ok(found.map(|entry| match &entry.route {
            Route::Own => Followed::Own,
            Route::Downstream { server, original } => Followed::Of {
                server: server.clone(),
                original: resources::original_uri(entry, original, uri),
            },
        }))
    }

    async fn may_read(&self, caller: &Caller, uri: &str) -> bool {
        matches!(self.followed(&self.catalogue(), caller, uri).await, Ok(Some(_)))
    }
}

/// The updates that begin with `first`. When its server is gone, those of the server that has the resource next, of
/// which one update tells; what a caller may not read any more it is not told of.
pub(super) fn on(face: Arc<Face>, caller: Caller, uri: String, first: Updates) -> Updates {
    let following = Following { face, caller, uri, updates: first };
    stream::unfold(following, |mut following| async move {
        following.next().await?;
        Some(((), following))
    })
    .boxed()
}

struct Following {
    face: Arc<Face>,
    caller: Caller,
    uri: String,
    updates: Updates,
}

impl Following {
    /// Nothing when there will be no further catalogue.
    async fn next(&mut self) -> Option<()> {
        loop {
            if self.updates.next().await.is_none() {
                self.updates = anew(&self.face, &self.caller, &self.uri).await?;
                return Some(());
            }
            if self.face.may_read(&self.caller, &self.uri).await {
                return Some(());
            }
        }
    }
}

/// Once a server has the resource again.
async fn anew(face: &Face, caller: &Caller, uri: &str) -> Option<Updates> {
    let mut catalogues = face.catalogues().catalogues;
    loop {
        let catalogue = catalogues.borrow_and_update().clone();
        if let Ok(Some(Followed::Of { server, original })) = face.followed(&catalogue, caller, uri).await
            && let Ok(updates) = face.gateway.updates(&server, &original)
        {
            return Some(updates);
        }
        catalogues.changed().await.ok()?;
    }
}
