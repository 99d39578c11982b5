//! What the members of a pool offer together, and which of them answers what. Pure.
//!
//! `README.md` beside this file says why so.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use super::{
    Request,
    catalogue::Kind,
    downstream::ServerName,
    offer::{Offer, Offered},
    uris,
    wire::text::Fields,
};

/// Which servers answer an entry. What is not listed and made by no template is answered by any.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Routes {
    by_entry: HashMap<Asked, BTreeSet<ServerName>>,
    by_template: BTreeMap<String, BTreeSet<ServerName>>,
}

/// One entry, by the name that the server itself gives it.
pub(super) type Asked = (Kind, String);

impl Routes {
    pub(super) fn admits(&self, asked: Option<&Asked>, server: &ServerName) -> bool {
        let Some(asked) = asked else { return true };
        if let Some(by) = self.by_entry.get(asked) {
            return by.contains(server);
        }
        let (kind, uri) = asked;
        let mut makers = self
            .by_template
            .iter()
            .filter(|(template, _)| *kind == Kind::Resource && uris::makes(template, uri))
            .map(|(_, by)| by)
            .peekable();
        makers.peek().is_none() || makers.any(|by| by.contains(server))
    }

    fn add(&mut self, asked: Asked, server: &ServerName) {
        if asked.0 == Kind::ResourceTemplate {
            self.by_template.entry(asked.1.clone()).or_default().insert(server.clone());
        }
        self.by_entry.entry(asked).or_default().insert(server.clone());
    }
}

/// Which entry a request is about, as far as its method tells.
pub(super) fn asked(request: &Request) -> Option<Asked> {
    let (kind, key) = match request.method.as_str() {
        "tools/call" => (Kind::Tool, "name"),
        "prompts/get" => (Kind::Prompt, "name"),
        "resources/read" | "resources/subscribe" | "resources/unsubscribe" => (Kind::Resource, "uri"),
        "completion/complete" => return completed(request),
        _ => return None,
    };
    let name = Fields::of(request.params.as_deref()).ok()?.get_str(key)?;
    Some((kind, name))
}

/// The prompt or the template that a completion is for.
fn completed(request: &Request) -> Option<Asked> {
    let params = Fields::of(request.params.as_deref()).ok()?;
    let reference = Fields::parse(params.get("ref")?.get()).ok()?;
    let prompt = || Some((Kind::Prompt, reference.get_str("name")?));
    let template = || Some((Kind::ResourceTemplate, reference.get_str("uri")?));
    prompt().or_else(template)
}

#[derive(Clone, Debug, Default)]
pub(super) struct Together {
    pub(super) offer: Offer,
    pub(super) routes: Routes,
    /// What of each member is not offered, one sentence each.
    pub(super) left_out: BTreeMap<ServerName, Vec<String>>,
}

/// An entry is offered as the first member that has it defines it, and answered by the members that define it
/// so. A resource is the same whatever is said about it.
pub(super) fn together<'a>(offers: impl IntoIterator<Item = (&'a ServerName, &'a Offer)>) -> Together {
    let mut all = Together::default();
    // The hash of what is offered, and whose it is.
    let mut first: HashMap<Asked, (Arc<str>, &ServerName)> = HashMap::new();
    for (server, offer) in offers {
        // Together they are as old as the oldest.
        all.offer.read_at = [all.offer.read_at, offer.read_at].into_iter().flatten().min();
        let mut left_out = offer.dropped.clone();
        for offered in &offer.entries {
            let Offered { kind, original, raw: _, hash } = offered;
            let asked = (*kind, original.clone());
            let (same_as, by) = first.entry(asked.clone()).or_insert_with(|| {
                all.offer.entries.push(offered.clone());
                (hash.clone(), server)
            });
            let is_same = same_as == hash || matches!(kind, Kind::Resource | Kind::ResourceTemplate);
            if is_same {
                all.routes.add(asked, server);
            } else {
                left_out.push(format!(
                    "`{original}` is defined otherwise by {}, which comes first: it is not called here",
                    by.name
                ));
            }
        }
        all.offer.dropped.extend(left_out.iter().map(|sentence| format!("{}: {sentence}", server.name)));
        all.left_out.insert(server.clone(), left_out);
    }
    all
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{Together, together};
    use crate::gateway::{Kind, ServerName, offer::Offer};

    fn name(name: &str) -> ServerName {
        ServerName { namespace: "shop".to_owned(), name: name.to_owned() }
    }

    fn of(members: &[(&str, Kind, &str)]) -> Together {
        let offers: Vec<(ServerName, Offer)> = members
            .iter()
            .map(|(member, kind, entries)| {
                let mut offer = Offer::default();
                offer.take(*kind, serde_json::from_str(entries).unwrap());
                (name(member), offer)
            })
            .collect();
        together(offers.iter().map(|(name, offer)| (name, offer)))
    }

    fn answers(all: &Together, kind: Kind, entry: &str, member: &str) -> bool {
        all.routes.admits(Some(&(kind, entry.to_owned())), &name(member))
    }

    #[test]
    fn a_tool_is_offered_once_and_called_where_it_is_listed() {
        let all = of(&[
            ("a", Kind::Tool, r#"[{"name":"find"},{"name":"only"}]"#),
            ("b", Kind::Tool, r#"[{"name":"find"}]"#),
        ]);
        let names: Vec<_> = all.offer.entries.iter().map(|entry| entry.original.as_str()).collect();
        assert_eq!(names, ["find", "only"]);
        let call = |tool, member| answers(&all, Kind::Tool, tool, member);
        assert!(call("find", "a") && call("find", "b") && call("only", "a") && !call("only", "b"));
        assert!(call("unheard", "b"), "whoever is asked says that it has no such tool");
        assert!(all.routes.admits(None, &name("b")));
        assert!(all.offer.dropped.is_empty());
    }

    #[test]
    fn a_tool_that_is_defined_otherwise_is_not_called_there_and_that_is_said() {
        let all = of(&[
            ("a", Kind::Tool, r#"[{"name":"find","description":"x"}]"#),
            ("b", Kind::Tool, r#"[{"name":"find","description":"y"}]"#),
        ]);
        assert!(!answers(&all, Kind::Tool, "find", "b"));
        let said = "`find` is defined otherwise by a, which comes first: it is not called here";
        assert_eq!(all.left_out[&name("b")], [said]);
        assert_eq!(all.offer.dropped, [format!("b: {said}")]);
        assert!(all.left_out[&name("a")].is_empty());
    }

    #[test]
    fn a_resource_is_read_wherever_it_is_listed() {
        let all = of(&[
            ("a", Kind::Resource, r#"[{"uri":"x://1","size":1}]"#),
            ("b", Kind::Resource, r#"[{"uri":"x://1","size":2},{"uri":"x://2"}]"#),
        ]);
        assert!(answers(&all, Kind::Resource, "x://1", "b"));
        assert!(!answers(&all, Kind::Resource, "x://2", "a"));
        assert_eq!(all.offer.entries.len(), 2);
    }

    #[test]
    fn a_resource_of_a_template_is_read_where_the_template_is() {
        let all = of(&[
            ("a", Kind::ResourceTemplate, r#"[{"uriTemplate":"x://{id}"}]"#),
            ("b", Kind::ResourceTemplate, r#"[{"uriTemplate":"y://{id}"}]"#),
        ]);
        let reads = |uri, member| answers(&all, Kind::Resource, uri, member);
        assert!(reads("x://1", "a") && !reads("x://1", "b") && reads("y://1", "b") && !reads("y://1", "a"));
        assert!(reads("z://1", "a") && reads("z://1", "b"));
    }
}
