//! What callers may see and call. Declared here, implemented in `app` over the cluster's own access rules.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::future::BoxFuture;

use crate::{
    caller::{Caller, Need, Question, Rights},
    gateway::{Catalogue, Entry, Kind, Route, ServerName},
};

/// The virtual resources by which entries are granted stand in this group.
const GROUP: &str = "pilothouse.dev";
const VERB: &str = "call";

/// The question whether a caller may use an entry, in no namespace yet: `call` on `tools`, `prompts` or `resources`
/// of `pilothouse.dev`, by the name or URI that clients use.
pub fn question(kind: Kind, name: &str) -> Question {
    let resource = match kind {
        Kind::Tool => "tools",
        Kind::Prompt => "prompts",
        Kind::Resource | Kind::ResourceTemplate => "resources",
    };
    Question::new(VERB, GROUP, resource).named(name)
}

/// The question whether a caller may use everything of a server: `call` on `mcpservers` of `pilothouse.dev`.
pub fn question_of_server(server: &ServerName) -> Question {
    Question::new(VERB, GROUP, "mcpservers").named(&server.name).in_namespace(&server.namespace)
}

/// Decides about callers who are [impersonated](Caller::is_impersonated); all others see and call everything.
pub trait Access: Send + Sync {
    /// What this caller may use of that catalogue.
    ///
    /// # Errors
    /// One sentence, when it cannot be found out.
    fn sight<'a>(
        &'a self,
        caller: &'a Caller,
        catalogue: &'a Catalogue,
        look: Look,
    ) -> BoxFuture<'a, Result<Sight, String>>;

    /// The same as far as it is known already; nothing otherwise.
    fn glimpse(&self, caller: &Caller) -> Option<Sight>;

    /// Whether this one request may go ahead. `namespace` is the one that its arguments name.
    ///
    /// # Errors
    /// One sentence, when it cannot be found out: the request must then be refused.
    fn check<'a>(
        &'a self,
        caller: &'a Caller,
        entry: &'a Entry,
        namespace: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Verdict, String>>;

    /// How often somebody who listens looks again.
    fn renewal(&self) -> Duration;
}

/// Who looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Somebody who asked for a list.
    Asked,
    /// Somebody who listens and looks again from time to time: what is seen must be newer.
    Listening,
}

/// What comes of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Allowed,
    /// The caller must not learn that there is such an entry.
    Unknown,
    /// The caller knows the entry, and may not use it there: the sentence says so.
    Elsewhere(String),
}

/// What one caller may use.
#[derive(Clone, Debug, Default)]
pub struct Sight(Option<Arc<Limits>>);

/// By namespace what the caller may do there; and what our own entries need.
#[derive(Debug, Default)]
struct Limits {
    rights: BTreeMap<String, Arc<Rights>>,
    needs: Arc<Needs>,
}

/// What our own tools need of the cluster, by name.
pub type Needs = BTreeMap<String, &'static [Need]>;

impl Sight {
    pub fn everything() -> Self {
        Self(None)
    }

    /// Entries of a server are looked up in its namespace, our own in all of these.
    pub fn limited(rights: BTreeMap<String, Arc<Rights>>, needs: Arc<Needs>) -> Self {
        Self(Some(Arc::new(Limits { rights, needs })))
    }

    pub fn shows(&self, entry: &Entry) -> bool {
        let Some(limits) = &self.0 else { return true };
        match &entry.route {
            Route::Own => limits.of_own(entry).next().is_some(),
            Route::Downstream { server, .. } => limits.rights.get(&server.namespace).is_some_and(|rights| {
                rights.answer(&question(entry.kind, &entry.name))
                    || rights.answer(&question_of_server(server))
            }),
        }
    }

    /// The namespaces in which the caller may use one of our own entries; none when nothing is limited.
    pub fn namespaces(&self, own: &Entry) -> Vec<&str> {
        self.0.iter().flat_map(|limits| limits.of_own(own)).collect()
    }
}

impl Limits {
    fn of_own<'a>(&'a self, entry: &Entry) -> impl Iterator<Item = &'a str> + use<'a> {
        let question = question(entry.kind, &entry.name);
        let needs = (entry.kind == Kind::Tool).then(|| self.needs.get(&entry.name)).flatten();
        let needs = needs.copied().unwrap_or_default();
        let suits =
            move |rights: &Rights| rights.answer(&question) && needs.iter().all(|need| rights.meet(*need));
        self.rights.iter().filter(move |(_, rights)| suits(rights)).map(|(namespace, _)| namespace.as_str())
    }
}

/// Everybody sees and calls everything.
pub(super) struct Open;

impl Access for Open {
    fn sight<'a>(&'a self, _: &'a Caller, _: &'a Catalogue, _: Look) -> BoxFuture<'a, Result<Sight, String>> {
        Box::pin(std::future::ready(Ok(Sight::everything())))
    }

    fn glimpse(&self, _: &Caller) -> Option<Sight> {
        Some(Sight::everything())
    }

    fn check<'a>(
        &'a self,
        _: &'a Caller,
        _: &'a Entry,
        _: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Verdict, String>> {
        Box::pin(std::future::ready(Ok(Verdict::Allowed)))
    }

    fn renewal(&self) -> Duration {
        Duration::from_secs(60)
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use serde_json::json;

    use super::{Needs, Sight, question, question_of_server};
    use crate::{
        caller::{Need, Rights, Rule},
        gateway::{Entry, Kind, Route, ServerName, wire::text::raw},
    };

    fn of(namespace: &str, name: &str) -> Entry {
        let server = ServerName { namespace: namespace.into(), name: "s".into() };
        let route = Route::Downstream { server: server.into(), original: name.into() };
        Entry { route, ..Entry::own(Kind::Tool, name, raw(&json!({ "name": name }))) }
    }

    fn own(name: &str) -> Entry {
        Entry::own(Kind::Tool, name, raw(&json!({ "name": name })))
    }

    fn sight(rights: &[(&str, Vec<Rule>)]) -> Sight {
        const LOG: &[Need] = &[Need { verb: "get", group: "", resource: "pods/log" }];
        let needs = Needs::from([("get_logs".to_owned(), LOG)]);
        let rights: BTreeMap<String, Arc<Rights>> = rights
            .iter()
            .map(|(namespace, rules)| ((*namespace).to_owned(), Arc::new(Rights::new(rules.clone()))))
            .collect();
        Sight::limited(rights, Arc::new(needs))
    }

    #[test]
    fn a_server_can_be_granted_as_a_whole() {
        let server = ServerName { namespace: "a".into(), name: "s".into() };
        let whole = Rule::only(&question_of_server(&server));
        let sight = sight(&[("a", vec![whole.clone()]), ("b", vec![whole])]);
        assert!(sight.shows(&of("a", "x_do")) && sight.shows(&of("a", "x_undo")));
        assert!(!sight.shows(&own("top")), "our own tools are not a server's");
    }

    fn tool(name: &str) -> Rule {
        Rule::only(&question(Kind::Tool, name))
    }

    #[test]
    fn a_servers_tool_counts_in_its_own_namespace() {
        let sight = sight(&[("a", vec![tool("x_do")]), ("b", vec![])]);
        assert!(sight.shows(&of("a", "x_do")));
        assert!(!sight.shows(&of("a", "x_undo")));
        assert!(!sight.shows(&of("b", "x_do")));
        assert!(!sight.shows(&of("c", "x_do")));
    }

    #[test]
    fn an_own_tool_counts_where_its_needs_are_met() {
        let log = Rule {
            verbs: vec!["get".into()],
            api_groups: vec![String::new()],
            resources: vec!["pods/log".into()],
            resource_names: vec![],
        };
        let here = sight(&[("a", vec![tool("get_logs"), tool("top")]), ("b", vec![log.clone()])]);
        assert!(here.shows(&own("top")));
        assert!(!here.shows(&own("get_logs")), "the logs may be read only where the tool may not be called");
        let here = sight(&[("a", vec![]), ("b", vec![log, tool("get_logs")])]);
        assert_eq!(here.namespaces(&own("get_logs")), ["b"]);
    }

    #[test]
    fn no_limits_show_everything_and_no_rights_nothing() {
        assert!(Sight::everything().shows(&of("a", "x")));
        assert!(!sight(&[]).shows(&own("top")));
    }
}
