//! Which resource a URI means, and how a server's own URIs are shown. Pure.

use std::sync::Arc;

use serde_json::value::RawValue;

use crate::gateway::{Catalogue, Entry, Kind, Route, ServerName, uris};

/// The resource of that URI, or the template that makes such URIs; whether the caller may see it is not asked here.
pub(super) fn resource<'a>(catalogue: &'a Catalogue, uri: &str) -> Option<&'a Arc<Entry>> {
    of_uri(catalogue, uri).next()
}

/// The same among what `shows` lets through: one that a caller may not see stands in nobody's way. The first of all
/// where none is shown.
pub(super) fn shown_resource<'a>(
    catalogue: &'a Catalogue,
    uri: &str,
    shows: impl Fn(&Entry) -> bool,
) -> Option<&'a Arc<Entry>> {
    of_uri(catalogue, uri).find(|entry| shows(entry)).or_else(|| resource(catalogue, uri))
}

/// Whether several servers could answer that URI, so that it depends on the caller which one is meant.
pub(super) fn is_contested(catalogue: &Catalogue, uri: &str) -> bool {
    let mut all = of_uri(catalogue, uri).map(|entry| entry.route.server());
    let first = all.next();
    first.is_some_and(|first| all.any(|server| server != first))
}

/// Ours alone, where there is one: no server answers in our place, whatever it offers.
fn of_uri<'a>(catalogue: &'a Catalogue, uri: &str) -> impl Iterator<Item = &'a Arc<Entry>> {
    let all = || {
        let templates = catalogue.of_kind(Kind::ResourceTemplate);
        let makes = templates.filter(move |template| uris::makes(&template.name, uri));
        catalogue.find(Kind::Resource, uri).into_iter().chain(makes)
    };
    let own = all().find(|entry| entry.route == Route::Own);
    let others = if own.is_none() { Some(all()) } else { None };
    own.into_iter().chain(others.into_iter().flatten())
}

/// A resource that is in no list, as results may link to one: of the server that the URI names, or of the only one
/// whose resources have its scheme.
pub(super) fn unlisted(catalogue: &Catalogue, uri: &str) -> Option<Arc<Entry>> {
    let named = uris::named(uri).and_then(|(server, own)| only(catalogue, uri, own, Some(&server)));
    named.or_else(|| only(catalogue, uri, uri, None))
}

/// As a resource of the only server that has resources with the scheme of `own`; of this one, where one is named.
fn only(catalogue: &Catalogue, uri: &str, own: &str, named: Option<&ServerName>) -> Option<Arc<Entry>> {
    let wanted = Some(uris::scheme(own)).filter(|scheme| !scheme.is_empty())?;
    let mut resources = resources(catalogue)
        .filter(|(_, _, own)| uris::scheme(own) == wanted)
        .filter(|(_, server, _)| named.is_none() || server.map(AsRef::as_ref) == named);
    let (first, server, _) = resources.next()?;
    let server = server?;
    resources.all(|(_, other, _)| other == Some(server)).then(|| {
        Arc::new(Entry {
            kind: Kind::Resource,
            name: uri.to_owned(),
            raw: RawValue::NULL.to_owned(),
            hash: Arc::default(),
            route: Route::Downstream { server: server.clone(), original: own.to_owned() },
            exposure: first.exposure.clone(),
        })
    })
}

/// All resources and templates, each with its server and that server's own URI; ours are of no server.
fn resources(catalogue: &Catalogue) -> impl Iterator<Item = (&Arc<Entry>, Option<&Arc<ServerName>>, &str)> {
    let all = catalogue.of_kind(Kind::Resource).chain(catalogue.of_kind(Kind::ResourceTemplate));
    all.map(|entry| match &entry.route {
        Route::Own => (entry, None, entry.name.as_str()),
        Route::Downstream { server, original } => (entry, Some(server), original.as_str()),
    })
}

/// How clients know a URI that a result of this server has: as it came, unless it is the server's own and leads to
/// another one.
pub(super) fn shown_uri(catalogue: &Catalogue, server: &ServerName, uri: &str) -> Option<String> {
    let other = uris::of_server(server, uri)?;
    let is_its =
        |entry: &Entry| matches!(&entry.route, Route::Downstream { server: of, .. } if **of == *server);
    let finds = |uri: &str| catalogue.find(Kind::Resource, uri).is_some_and(|entry| is_its(entry));
    if finds(uri) {
        return None;
    }
    if finds(&other) {
        return Some(other);
    }
    let of_another = resource(catalogue, uri).is_some_and(|entry| !is_its(entry));
    let mut own =
        resources(catalogue).filter(|(_, of, _)| of.is_some_and(|of| **of == *server)).map(|(_, _, own)| own);
    (of_another && own.any(|template| uris::makes(template, uri))).then_some(other)
}

/// The downstream's own spelling of a URI that a template made: the literal beginnings are exchanged.
pub(super) fn original_uri(entry: &Entry, original: &str, uri: &str) -> String {
    if entry.kind == Kind::Resource {
        return original.to_owned();
    }
    let literal = |template: &str| template.split('{').next().unwrap_or_default().to_owned();
    match uri.strip_prefix(&literal(&entry.name)) {
        Some(rest) => format!("{}{rest}", literal(original)),
        None => uri.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::Arc;

    use super::{is_contested, original_uri, resource, shown_resource, shown_uri, unlisted};
    use crate::{
        gateway::{Catalogue, Entry, Kind, Route, ServerName},
        mcp::view::tests::entry,
    };

    #[test]
    fn a_template_that_is_not_shown_stands_before_no_other() {
        let template = |name: &str, server: &str| {
            let server = ServerName { namespace: "shop".to_owned(), name: server.to_owned() }.into();
            let route = Route::Downstream { server, original: name.to_owned() };
            Arc::new(Entry { route, ..entry(Kind::ResourceTemplate, name) })
        };
        let entries =
            vec![template("a://{x}", "one"), template("a://b/{y}", "two"), template("c://{z}", "one")];
        let catalogue = Catalogue::new(0, entries);
        let found = |uri: &str, hidden: &str| {
            let found = shown_resource(&catalogue, uri, |entry| entry.name != hidden);
            found.map(|entry| entry.name.clone())
        };
        assert_eq!(found("a://b/1", "a://{x}").as_deref(), Some("a://b/{y}"));
        assert_eq!(found("a://b/1", "a://b/{y}").as_deref(), Some("a://{x}"));
        assert_eq!(
            found("c://1", "c://{z}").as_deref(),
            Some("c://{z}"),
            "that it is not theirs is said later"
        );
        assert!(is_contested(&catalogue, "a://b/1") && !is_contested(&catalogue, "a://2"));

        let ours = entry(Kind::ResourceTemplate, "a://{z}/{y}").into();
        let catalogue = Catalogue::new(0, vec![template("a://b/{y}", "two"), ours]);
        let found = |shown: bool| {
            let found = shown_resource(&catalogue, "a://b/1", |entry| shown || entry.route != Route::Own);
            found.unwrap().name.clone()
        };
        assert_eq!([found(true), found(false)], ["a://{z}/{y}", "a://{z}/{y}"], "nobody answers for us");
    }

    #[test]
    fn a_linked_resource_is_of_the_only_server_with_its_scheme() {
        let of = |name: &str, server: &str| {
            let server = ServerName { namespace: "shop".to_owned(), name: server.to_owned() }.into();
            let route = Route::Downstream { server, original: name.to_owned() };
            Arc::new(Entry { route, ..entry(Kind::Resource, name) })
        };
        let mut entries = vec![of("a://1", "one"), of("b://1", "one"), of("b://2", "two")];
        entries.push(Arc::new(entry(Kind::Resource, "c://1")));
        let catalogue = Catalogue::new(0, entries);
        let found = unlisted(&catalogue, "A://2").unwrap();
        assert!(
            matches!(&found.route, Route::Downstream { server, original } if server.name == "one" && original == "A://2")
        );
        for nobody_s in ["b://3", "c://2", "d://1", "a"] {
            assert!(unlisted(&catalogue, nobody_s).is_none(), "{nobody_s}");
        }
    }

    #[test]
    fn a_uri_that_leads_to_another_server_names_its_own() {
        let of = |kind: Kind, name: &str, server: &str, original: &str| {
            let server = ServerName { namespace: "shop".to_owned(), name: server.to_owned() }.into();
            let route = Route::Downstream { server, original: original.to_owned() };
            Arc::new(Entry { route, ..entry(kind, name) })
        };
        let catalogue = Catalogue::new(
            0,
            vec![
                of(Kind::Resource, "a://1", "old", "a://1"),
                of(Kind::Resource, "ph+shop+new+a://1", "new", "a://1"),
                of(Kind::Resource, "a://2", "new", "a://2"),
                of(Kind::ResourceTemplate, "f:///{path}", "old", "f:///{path}"),
                of(Kind::ResourceTemplate, "ph+shop+new+f:///{path}", "new", "f:///{path}"),
                Arc::new(entry(Kind::ResourceTemplate, "cluster://{name}")),
            ],
        );
        let [old, new] =
            ["old", "new"].map(|name| ServerName { namespace: "shop".to_owned(), name: name.to_owned() });
        assert_eq!(shown_uri(&catalogue, &new, "a://1").as_deref(), Some("ph+shop+new+a://1"));
        assert_eq!(shown_uri(&catalogue, &new, "f:///x").as_deref(), Some("ph+shop+new+f:///x"));
        for stays in ["a://2", "a://3", "https://x/y", "cluster://x"] {
            assert_eq!(shown_uri(&catalogue, &new, stays), None, "{stays}");
        }
        for stays in ["a://1", "f:///x", "a://2"] {
            assert_eq!(shown_uri(&catalogue, &old, stays), None, "{stays}");
        }
        assert!(catalogue.shares_uris(&old) && catalogue.shares_uris(&new));

        // Known by that name before the older server left, and not listed at all.
        let alone = Catalogue::new(0, vec![of(Kind::Resource, "a://1", "new", "a://1")]);
        assert!(!alone.shares_uris(&new));
        for uri in ["ph+shop+new+a://1", "ph+shop+new+a://9"] {
            let found = unlisted(&alone, uri).unwrap();
            let own = uri.strip_prefix("ph+shop+new+").unwrap().to_owned();
            assert_eq!(found.route, Route::Downstream { server: new.clone().into(), original: own });
        }
        assert!(unlisted(&alone, "ph+shop+old+a://1").is_none());
        assert!(unlisted(&alone, "ph+shop+new+b://1").is_none());
        let template = resource(&catalogue, "ph+shop+new+f:///x").unwrap();
        assert_eq!(original_uri(template, "f:///{path}", "ph+shop+new+f:///x"), "f:///x");
    }

    #[test]
    fn a_uri_goes_back_to_the_downstreams_spelling() {
        let template = entry(Kind::ResourceTemplate, "p+file:///{path}");
        assert_eq!(original_uri(&template, "file:///{path}", "p+file:///x"), "file:///x");
    }
}
