//! Reading all lists of a server: every page, within limits.

use std::{collections::HashMap, time::Duration};

use futures::future::join_all;
use jiff::Timestamp;
use tokio::sync::mpsc;

use super::{Asked, Link, Way};
use crate::gateway::{
    catalogue::Kind,
    offer::Offer,
    wire::{
        Era, Raw, RpcError,
        text::{Fields, raw},
    },
};

/// For all pages of one list.
const LIST_WITHIN: Duration = Duration::from_secs(10);

/// Pages, entries and bytes of one list.
const PAGES: usize = 200;
const ENTRIES: usize = 10_000;
const BYTES: usize = 64 * 1024 * 1024;

/// All pages of one list.
struct List {
    entries: Vec<Raw>,
    /// The shortest time that one of them holds.
    ttl: Option<Duration>,
}

impl Link {
    /// Everything the server offers. All lists are read at once; one other than that of tools may fail alone.
    ///
    /// # Errors
    /// One sentence when the tools cannot be listed.
    pub(in crate::gateway) async fn list(&self) -> Result<Offer, String> {
        let wanted = Kind::ALL.into_iter().filter(|kind| match kind {
            Kind::Tool => true,
            Kind::Prompt => self.offers.prompts,
            Kind::Resource | Kind::ResourceTemplate => self.offers.resources,
        });
        let lists = join_all(wanted.map(|kind| async move { (kind, self.in_time(kind).await) })).await;
        let mut offer = Offer::read_at(Timestamp::now());
        for (kind, list) in lists {
            match list {
                Ok(List { entries, ttl }) => {
                    offer.take(kind, entries);
                    offer.ttl = [offer.ttl, ttl].into_iter().flatten().min();
                }
                Err(why) if kind == Kind::Tool => return Err(why),
                Err(why) => offer.dropped.push(why),
            }
        }
        if self.spoken.era == Era::Modern && matches!(self.way, Way::Http(_)) {
            offer.drop_misfits();
        }
        Ok(offer)
    }

    async fn in_time(&self, kind: Kind) -> Result<List, String> {
        let late = |_| {
            let (method, limit) = (kind.method(), LIST_WITHIN.as_secs());
            format!("{method} was not answered within {limit} s: see the server's own log")
        };
        tokio::time::timeout(LIST_WITHIN, self.pages(kind)).await.map_err(late)?
    }

    /// All entries of one list; none where the server does not know the method.
    async fn pages(&self, kind: Kind) -> Result<List, String> {
        let method = kind.method();
        let (mut entries, mut bytes) = (Vec::new(), 0);
        let mut ttl = None;
        let mut cursor: Option<Raw> = None;
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
                Ok(Err(error)) if error.code() == Some(RpcError::METHOD_NOT_FOUND) => {
                    return Ok(List { entries, ttl });
                }
                Ok(Err(error)) => {
                    return Err(format!("{method} failed: {}", error.message().unwrap_or_default()));
                }
                Err(fault) => return Err(format!("{method} failed: {fault}")),
            };
            bytes += result.get().len();
            if bytes > BYTES {
                return Err(format!("{method}: the whole list is larger than {BYTES} bytes"));
            }
            let shapeless =
                |_| format!("{method} failed: its result is not an object with a list `{}`", kind.member());
            let fields = Fields::parse(result.get()).map_err(shapeless)?;
            let held = fields.get("ttlMs").and_then(|ttl| ttl.get().parse().ok()).map(Duration::from_millis);
            ttl = [ttl, held].into_iter().flatten().min();
            let page = fields.get(kind.member()).map_or("[]", |page| page.get());
            entries.extend(serde_json::from_str::<Vec<Raw>>(page).map_err(shapeless)?);
            if entries.len() > ENTRIES {
                return Err(format!("{method}: more than {ENTRIES} entries"));
            }
            match fields.get("nextCursor").filter(|next| next.get() != "null") {
                None => return Ok(List { entries, ttl }),
                Some(next) if cursor.as_ref().is_some_and(|cursor| cursor.get() == next.get()) => {
                    return Err(format!("{method}: the same cursor came twice"));
                }
                Some(next) => cursor = Some(next.to_owned()),
            }
        }
        Err(format!("{method}: more than {PAGES} pages"))
    }

    /// These are the tools now: the arguments of some must be repeated in headers.
    pub(in crate::gateway) fn remember_schemas<'a>(&self, tools: impl Iterator<Item = (&'a str, &'a str)>) {
        if self.spoken.era == Era::Legacy {
            return;
        }
        let annotated = tools.filter(|(_, definition)| definition.contains("x-mcp-header"));
        let schemas: HashMap<String, Raw> = annotated
            .filter_map(|(name, definition)| {
                let fields = Fields::parse(definition).ok()?;
                Some((name.to_owned(), raw(fields.get("inputSchema")?)))
            })
            .collect();
        self.schemas.store(schemas.into());
    }
}
