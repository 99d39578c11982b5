//! Following a resource of a server: as long as its caller may read it, and beyond the end of the server when one takes
//! its place.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream};

use super::Face;
use crate::{
    caller::Caller,
    gateway::{Catalogue, Route, ServerName, wire::RpcError},
    mcp::{own::Updates, resources},
};

/// What a caller means by a URI that it follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Followed {
    Own,
    Of(Place),
}

/// A resource by its server's own URI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) server: Arc<ServerName>,
    pub(super) original: String,
    /// In a list or made by a template; else it is only guessed whose it is.
    is_listed: bool,
}

impl Place {
    /// Whether what was followed at `before` is followed here from now on.
    fn takes_over(&self, before: &Self) -> bool {
        self.is_listed || self.server == before.server
    }
}

/// How often it is looked again whether a caller may follow what it could not, or not found out.
const AGAIN: Duration = Duration::from_secs(30);

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
        let listed = resources::shown_resource(catalogue, uri, |entry| view.shows(entry)).cloned();
        let is_listed = listed.is_some();
        let found = listed.or_else(|| resources::unlisted(catalogue, uri)).filter(|entry| view.shows(entry));
        Ok(found.map(|entry| match &entry.route {
            Route::Own => Followed::Own,
            Route::Downstream { server, original } => {
                let original = resources::original_uri(&entry, original, uri);
                Followed::Of(Place { server: server.clone(), original, is_listed })
            }
        }))
    }
}

/// The updates that begin with `first`. When its server is gone or the URI has become another's, those of the server
/// that has the resource then, of which one update tells; what a caller may not read any more it is not told of.
pub(super) fn on(face: Arc<Face>, caller: Caller, uri: String, place: Place, first: Updates) -> Updates {
    let following = Following { face, caller, uri, place, updates: first };
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
    place: Place,
    updates: Updates,
}

impl Following {
    /// Nothing when there will be no further catalogue.
    async fn next(&mut self) -> Option<()> {
        let Self { face, caller, uri, place, updates } = self;
        loop {
            let is_over = updates.next().await.is_none();
            let catalogue = face.catalogue();
            let now = match face.followed(&catalogue, caller, uri).await {
                Ok(Some(Followed::Of(now))) => Some(now),
                Ok(_) => None,
                // The one who reads it is told then.
                Err(_) if !is_over => return Some(()),
                Err(_) => None,
            };
            let is_another = now.as_ref().is_some_and(|now| now != place && now.takes_over(place));
            if is_over || is_another {
                (*place, *updates) = anew(face, caller, uri, place).await?;
                return Some(());
            }
            if now.as_ref() == Some(place) {
                return Some(());
            }
        }
    }
}

/// Once a server has the resource again.
async fn anew(face: &Face, caller: &Caller, uri: &str, before: &Place) -> Option<(Place, Updates)> {
    let mut catalogues = face.catalogues().catalogues;
    loop {
        let catalogue = catalogues.borrow_and_update().clone();
        if let Ok(Some(Followed::Of(place))) = face.followed(&catalogue, caller, uri).await
            && place.takes_over(before)
            && let Ok(updates) = face.gateway.updates(&place.server, &place.original)
        {
            return Some((place, updates));
        }
        if let Ok(changed) = tokio::time::timeout(AGAIN, catalogues.changed()).await {
            changed.ok()?;
        }
    }
}
