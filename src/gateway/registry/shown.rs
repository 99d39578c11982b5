//! What of the servers' entries is shown, and under which names. Pure.

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use super::Server;
use crate::gateway::{
    canonical,
    catalogue::{Entry, Kind, Route},
    downstream::ServerName,
    names,
    observation::ToolSummary,
    offer::Offered,
    uris,
    wire::text::{Fields, string},
};

/// Who has which name, of those that have been looked at: nobody's server means pilothouse itself.
pub(super) struct Claims<'a>(HashMap<(Kind, Cow<'a, str>), Option<&'a ServerName>>);

/// What one server shows.
#[derive(Default)]
pub(super) struct Claimed {
    pub(super) entries: Vec<Arc<Entry>>,
    /// One sentence for each entry that is not shown.
    pub(super) dropped: Vec<String>,
}

impl<'a> Claims<'a> {
    pub(super) fn of(own: &'a [Arc<Entry>]) -> Self {
        Self(own.iter().map(|entry| ((entry.kind, Cow::from(entry.name.as_str())), None)).collect())
    }

    fn holder(&self, kind: Kind, name: &str) -> Option<Option<&'a ServerName>> {
        self.0.get(&(kind, Cow::from(name))).copied()
    }

    /// Takes the names of a server's entries. One that another has already drops its entry alone; a resource's URI is
    /// exchanged for one that names this server.
    pub(super) fn claim(
        &mut self,
        server: &'a ServerName,
        offered: impl Iterator<Item = &'a Arc<Entry>>,
    ) -> Claimed {
        let mut claimed = Claimed::default();
        let mut exchanged = HashMap::new();
        for entry in offered {
            let Some(by) = self.holder(entry.kind, &entry.name) else {
                self.0.insert((entry.kind, Cow::from(entry.name.as_str())), Some(server));
                claimed.entries.push(entry.clone());
                continue;
            };
            let is_resource = matches!(entry.kind, Kind::Resource | Kind::ResourceTemplate);
            let other = is_resource.then(|| uris::of_server(server, &entry.name)).flatten();
            match other.filter(|uri| self.holder(entry.kind, uri).is_none()) {
                Some(uri) => {
                    claimed.entries.push(Arc::new(renamed(entry, &uri)));
                    exchanged.insert(entry.name.as_str(), uri.clone());
                    self.0.insert((entry.kind, Cow::from(uri)), Some(server));
                }
                None => {
                    let by = by.map_or_else(|| "pilothouse itself".to_owned(), ToString::to_string);
                    claimed.dropped.push(format!("`{}` is already offered by {by}: dropped", entry.name));
                }
            }
        }
        if !exchanged.is_empty() {
            for tool in claimed.entries.iter_mut().filter(|entry| entry.kind == Kind::Tool) {
                if let Some(raw) = uris::with_view(&tool.raw, |uri| exchanged.get(uri).cloned()) {
                    // Clients know it otherwise now; the digits that people read stay.
                    let hash = format!("{}{}", tool.hash, canonical::hash(raw.get())).into();
                    *tool = Arc::new(Entry { raw, hash, ..Entry::clone(tool) });
                }
            }
        }
        claimed
    }
}

/// The entry under another name. Offered entries are objects; were one not, it would stay as it came.
fn renamed(entry: &Entry, name: &str) -> Entry {
    let mut entry = entry.clone();
    if let Ok(mut fields) = Fields::parse(entry.raw.get()) {
        fields.set(entry.kind.key(), string(name));
        entry.raw = fields.to_raw();
    }
    name.clone_into(&mut entry.name);
    entry
}

impl Server {
    /// All that it offers, as clients see it. They name the server once, together.
    pub(super) fn shown(&self, name: &ServerName, offered: Vec<Offered>) -> Vec<Arc<Entry>> {
        let name = Arc::new(name.clone());
        let mut shown = Vec::with_capacity(offered.len());
        shown.extend(offered.into_iter().map(|offered| self.shown_as(&plain(&name, offered))));
        shown
    }

    /// The entry as clients see it, unless another server has its name.
    pub(super) fn shown_as(&self, entry: &Entry) -> Arc<Entry> {
        let name = match entry.kind {
            Kind::Tool => names::shown(&self.prefix, self.policy.name(entry.original())),
            Kind::Prompt => names::shown(&self.prefix, entry.original()),
            Kind::Resource | Kind::ResourceTemplate => entry.name.clone(),
        };
        let entry = if name == entry.name { entry.clone() } else { renamed(entry, &name) };
        Arc::new(Entry { exposure: self.exposure.clone(), ..entry })
    }
}

/// An entry under the server's own name.
fn plain(server: &Arc<ServerName>, offered: Offered) -> Entry {
    let Offered { kind, original, raw, hash } = offered;
    let route = Route::Downstream { server: server.clone(), original: original.clone() };
    Entry { kind, name: original, raw, hash, route, exposure: Arc::default() }
}

/// Of a hash, where people read it.
const SHOWN_DIGITS: usize = 12;

pub(super) fn summary(entry: &Entry) -> ToolSummary {
    ToolSummary {
        name: entry.name.clone(),
        hash: entry.hash.chars().take(SHOWN_DIGITS).collect(),
        // A token is about four characters of JSON.
        tokens: u32::try_from(entry.raw.get().len().div_ceil(4)).unwrap_or(u32::MAX),
    }
}
