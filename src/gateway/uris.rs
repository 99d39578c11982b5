//! URIs of resources that more than one server offers. The oldest server's stays as it is; in a later one's the
//! server stands in the scheme: `ph+NAMESPACE+NAME+URI`. Pure, and reversible.

use super::{
    downstream::ServerName,
    wire::{
        Raw,
        text::{Fields, string},
    },
};

/// Begins every URI that names its server.
const MARK: &str = "ph+";
/// Stands between the names and the server's own URI: a scheme may have it, a name in Kubernetes may not.
const BETWEEN: char = '+';

/// The URI, or URI template, by which clients know `uri` of that server when an older server has it too. Nothing when
/// the server's name cannot stand in a scheme, as no name from Kubernetes does.
pub fn of_server(server: &ServerName, uri: &str) -> Option<String> {
    let ServerName { namespace, name } = server;
    (fits(namespace) && fits(name)).then(|| format!("{MARK}{namespace}{BETWEEN}{name}{BETWEEN}{uri}"))
}

/// The server that such a URI names, and that server's own URI.
pub fn named(uri: &str) -> Option<(ServerName, &str)> {
    let (namespace, rest) = uri.strip_prefix(MARK)?.split_once(BETWEEN)?;
    let (name, own) = rest.split_once(BETWEEN)?;
    let is_one = fits(namespace) && fits(name) && !own.is_empty();
    is_one.then(|| (ServerName { namespace: namespace.to_owned(), name: name.to_owned() }, own))
}

/// RFC 3986 allows letters, digits, `+`, `-` and `.` in a scheme; capitals are no difference there.
fn fits(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.'))
}

/// In lower case; empty when there is none, as in a template that begins with a variable.
pub fn scheme(uri: &str) -> String {
    let is_one =
        |scheme: &&str| scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    uri.split_once(':').map(|(scheme, _)| scheme).filter(is_one).unwrap_or_default().to_ascii_lowercase()
}

/// Whether a URI template can make that URI: its literal parts in their order, something for each variable.
pub fn makes(template: &str, uri: &str) -> bool {
    let mut literals =
        template.split('{').map(|part| part.split_once('}').map_or(part, |(_, literal)| literal));
    let Some(mut rest) = literals.next().and_then(|first| uri.strip_prefix(first)) else { return false };
    let mut variables = false;
    for literal in literals {
        variables = true;
        if literal.is_empty() {
            if rest.is_empty() {
                return false;
            }
            continue;
        }
        // A variable holds at least one character.
        let after_first = rest.char_indices().nth(1).and_then(|(at, _)| rest.get(at..));
        match after_first.and_then(|rest| rest.split_once(literal)) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    // A variable at the end takes the rest.
    rest.is_empty() || (variables && template.ends_with('}'))
}

/// A tool or a result whose `_meta` names the resource that shows it (MCP Apps), with that name as `shown` gives it.
/// Nothing when that changes nothing.
pub fn with_view(raw: &Raw, shown: impl Fn(&str) -> Option<String>) -> Option<Raw> {
    if !raw.get().contains(VIEW) {
        return None;
    }
    let mut fields = Fields::parse(raw.get()).ok()?;
    let meta = fields.get("_meta")?.to_owned();
    let mut meta = Fields::parse(meta.get()).ok()?;
    let (mut ui, mut changed) = (None, false);
    if let Some(of_ui) = meta.get("ui").map(ToOwned::to_owned)
        && let Ok(mut inner) = Fields::parse(of_ui.get())
        && let Some(uri) = inner.get_str(VIEW).and_then(|uri| shown(&uri))
    {
        inner.set(VIEW, string(&uri));
        ui = Some(inner.to_raw());
    }
    if let Some(ui) = ui {
        meta.set("ui", ui);
        changed = true;
    }
    // As it was written before the extension was final.
    if let Some(uri) = meta.get_str(VIEW_BEFORE).and_then(|uri| shown(&uri)) {
        meta.set_str(VIEW_BEFORE, &uri);
        changed = true;
    }
    let meta = changed.then(|| meta.to_raw())?;
    fields.set("_meta", meta);
    Some(fields.to_raw())
}

const VIEW: &str = "resourceUri";
const VIEW_BEFORE: &str = "ui/resourceUri";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{makes, named, of_server, scheme, with_view};
    use crate::gateway::{ServerName, wire::Raw};

    fn server(namespace: &str, name: &str) -> ServerName {
        ServerName { namespace: namespace.to_owned(), name: name.to_owned() }
    }

    #[test]
    fn templates_make_their_uris_and_no_others() {
        assert!(makes("test://template/{id}/data", "test://template/7/data"));
        assert!(makes("file:///{path}", "file:///a/b"));
        assert!(!makes("test://template/{id}/data", "test://template//data"));
        assert!(!makes("test://template/{id}/data", "test://template/7/other"));
        assert!(!makes("test://static", "test://static/x"));
        assert!(!makes("file:///{path}", "http://x"));
    }

    #[test]
    fn a_uri_names_its_server_and_comes_back_as_it_was() {
        for own in
            ["file:///a b+c", "x://1", "file:///{path}", "{+uri}", "just/a/path", "ph+a+b+x://1", "X+y:z"]
        {
            for of in [server("shop", "git"), server("team-a", "git.v2"), server("0", "a-b.c")] {
                let uri = of_server(&of, own).unwrap();
                assert_eq!(named(&uri), Some((of, own)), "{uri}");
            }
        }
        let uri = of_server(&server("team-a", "git.v2"), "file:///{path}").unwrap();
        assert_eq!(uri, "ph+team-a+git.v2+file:///{path}");
        assert_eq!(scheme(&uri), "ph+team-a+git.v2+file");
    }

    #[test]
    fn names_that_no_scheme_can_have_name_nothing() {
        for (namespace, name) in [("", "a"), ("a", ""), ("a+b", "c"), ("a", "b_c"), ("a", "Ä"), ("a", "B")] {
            assert_eq!(of_server(&server(namespace, name), "x://1"), None, "{namespace}/{name}");
        }
        for uri in
            ["x://1", "ph+a", "ph+a+b", "ph+a+b+", "ph++b+x://1", "ph+a_+b+x://1", "PH+a+b+x://1", "ph:x"]
        {
            assert_eq!(named(uri), None, "{uri}");
        }
    }

    #[test]
    fn a_scheme_is_what_stands_before_the_colon() {
        assert_eq!(scheme("File:///x"), "file");
        assert_eq!(scheme("{+uri}:x"), "");
        assert_eq!(scheme("nothing"), "");
    }

    #[test]
    fn the_view_of_a_tool_is_named_as_clients_know_it() {
        let raw = |text: &str| -> Raw { serde_json::value::RawValue::from_string(text.to_owned()).unwrap() };
        let shown = |uri: &str| (uri == "ui://a").then(|| "ph+n+s+ui://a".to_owned());
        let tool = raw(
            r#"{"n":2.50,"_meta":{"z":1e3,"ui":{"resourceUri":"ui://a","x":1.0},"ui/resourceUri":"ui://a"}}"#,
        );
        assert_eq!(
            with_view(&tool, shown).unwrap().get(),
            r#"{"n":2.50,"_meta":{"z":1e3,"ui":{"resourceUri":"ph+n+s+ui://a","x":1.0},"ui/resourceUri":"ph+n+s+ui://a"}}"#
        );
        for other in [r#"{"_meta":{"ui":{"resourceUri":"ui://b"}}}"#, r#"{"resourceUri":"ui://a"}"#, "7"] {
            assert!(with_view(&raw(other), shown).is_none(), "{other}");
        }
    }
}
