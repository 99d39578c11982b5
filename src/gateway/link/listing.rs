//! Reading all lists of a server: every page, within limits.

use std::{collections::HashMap, time::Duration};

use tokio::sync::mpsc;

use super::{Asked, Link};
use crate::gateway::{
    catalogue::Kind,
    offer::Offer,
    wire::{
        Era, Raw, RpcError,
        text::{Fields, raw},
    },
};

/// For all lists of one server together.
const LIST_DEADLINE: Duration = Duration::from_secs(10);

/// Pages of one list, entries of one list, and bytes of all lists.
const PAGES: usize = 200;
const ENTRIES: usize = 10_000;
const BYTES: usize = 64 * 1024 * 1024;

impl Link {
    /// Everything the server offers. A list other than that of tools may fail alone.
    ///
    /// # Errors
    /// One sentence when the tools cannot be listed, or all lists together take longer than the deadline.
    pub(in crate::gateway) async fn list(&self) -> Result<Offer, String> {
        let listing = async {
            let mut offer = Offer::default();
            let mut bytes = 0;
            for kind in Kind::ALL {
                let wanted = match kind {
                    Kind::Tool => true,
                    Kind::Prompt => self.offers.prompts,
                    Kind::Resource | Kind::ResourceTemplate => self.offers.resources,
                };
                if !wanted {
                    continue;
                }
                match self.pages(kind, &mut offer, &mut bytes).await {
                    Ok(()) => {}
                    Err(why) if kind == Kind::Tool => return Err(why),
                    Err(why) => offer.dropped.push(why),
                }
            }
            Ok(offer)
        };
        let offer = tokio::time::timeout(LIST_DEADLINE, listing).await.map_err(|_| {
            format!("its lists did not come within {} s: see the server's own log", LIST_DEADLINE.as_secs())
        })??;
        self.remember_schemas(&offer);
        Ok(offer)
    }

    async fn pages(&self, kind: Kind, offer: &mut Offer, bytes: &mut usize) -> Result<(), String> {
        let method = kind.method();
        let mut cursor: Option<Raw> = None;
        let mut count = 0;
        for _ in 0..PAGES {
            let params = cursor.as_ref().map(|cursor| {
                let mut params = Fields::default();
                params.set("cursor", cursor.clone());
                params.to_raw()
            });
            let (up, _nobody) = mpsc::channel(1);
            let asked = Asked { method, params: params.as_ref(), era: Era::Legacy };
            let result = match self.call(asked, &up).await {
                Ok(Ok(result)) => result,
                Ok(Err(error)) if error.code() == Some(RpcError::METHOD_NOT_FOUND) => return Ok(()),
                Ok(Err(error)) => {
                    return Err(format!("{method} failed: {}", error.message().unwrap_or_default()));
                }
                Err(fault) => return Err(format!("{method} failed: {fault}")),
            };
            *bytes += result.get().len();
            if *bytes > BYTES {
                return Err(format!("{method}: all lists together are larger than {BYTES} bytes"));
            }
            let shapeless =
                |_| format!("{method} failed: its result is not an object with `{}`", kind.member());
            let fields = Fields::parse(result.get()).map_err(shapeless)?;
            let page = fields.get(kind.member()).map_or("[]", |page| page.get());
            let page: Vec<Raw> = serde_json::from_str(page).map_err(shapeless)?;
            let before = count;
            count += page.len();
            if count > ENTRIES {
                return Err(format!("{method}: more than {ENTRIES} entries"));
            }
            offer.take(kind, before, page);
            match fields.get("nextCursor").filter(|next| next.get() != "null") {
                None => return Ok(()),
                Some(next) if cursor.as_ref().is_some_and(|cursor| cursor.get() == next.get()) => {
                    return Err(format!("{method}: the same cursor came twice"));
                }
                Some(next) => cursor = Some(next.to_owned()),
            }
        }
        Err(format!("{method}: more than {PAGES} pages"))
    }

    fn remember_schemas(&self, offer: &Offer) {
        let annotated = offer.entries.iter().filter(|entry| {
            self.spoken.era == Era::Modern
                && entry.kind == Kind::Tool
                && entry.raw.get().contains("x-mcp-header")
        });
        let schemas: HashMap<String, Raw> = annotated
            .filter_map(|entry| {
                let fields = Fields::parse(entry.raw.get()).ok()?;
                Some((entry.original.clone(), raw(fields.get("inputSchema")?)))
            })
            .collect();
        self.schemas.store(schemas.into());
    }
}
