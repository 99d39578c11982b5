//! URIs in what servers answer, as clients know them: links, embedded resources, contents that were read. Only where
//! two servers have the same one there is anything to do. Pure.

use serde_json::value::RawValue;

use super::resources;
use crate::gateway::{
    Catalogue, ServerName, uris,
    wire::{
        Raw, RpcError,
        text::{Fields, string},
    },
};

/// A result of that server with every URI of its own that would lead to another server exchanged.
pub(super) fn shown(result: Raw, server: &ServerName, catalogue: &Catalogue) -> Raw {
    if !catalogue.shares_uris(server) || !result.get().contains("uri\"") && !result.get().contains("Uri\"") {
        return result;
    }
    result_with(&result, &|uri| resources::shown_uri(catalogue, server, uri), true).unwrap_or(result)
}

/// The same for an error, which may say which resource is not there.
pub(super) fn shown_error(error: RpcError, server: &ServerName, catalogue: &Catalogue) -> RpcError {
    if !catalogue.shares_uris(server) {
        return error;
    }
    let exchange = |uri: &str| resources::shown_uri(catalogue, server, uri);
    member_with(&error.0, "data", |data| uri_with(data, &exchange)).map_or(error, RpcError)
}

type Exchange<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// Nothing when nothing changes, here and below.
fn result_with(result: &RawValue, exchange: &Exchange<'_>, is_whole: bool) -> Option<Raw> {
    let fields = Fields::parse(result.get()).ok()?;
    let block = |value: &RawValue| block_with(value, exchange);
    let of_message = |value: &RawValue| {
        member_with(value, "content", |content| {
            if content.get().starts_with('[') { items_with(content, &block) } else { block(content) }
        })
    };
    let members: [(&str, Option<Raw>); 4] = [
        ("content", fields.get("content").and_then(|content| items_with(content, &block))),
        ("contents", fields.get("contents").and_then(|all| items_with(all, &|one| uri_with(one, exchange)))),
        ("messages", fields.get("messages").and_then(|all| items_with(all, &of_message))),
        // What a task has come to.
        ("result", fields.get("result").filter(|_| is_whole).and_then(|of| result_with(of, exchange, false))),
    ];
    let mut changed = fields.clone();
    let mut is_changed = false;
    for (member, value) in members {
        if let Some(value) = value {
            changed.set(member, value);
            is_changed = true;
        }
    }
    let changed = is_changed.then(|| changed.to_raw());
    let before = changed.clone().unwrap_or_else(|| result.to_owned());
    uris::with_view(&before, exchange).or(changed)
}

/// One block of content.
fn block_with(block: &RawValue, exchange: &Exchange<'_>) -> Option<Raw> {
    match Fields::parse(block.get()).ok()?.get_str("type")?.as_str() {
        "resource_link" => uri_with(block, exchange),
        "resource" => member_with(block, "resource", |resource| uri_with(resource, exchange)),
        _ => None,
    }
}

fn uri_with(value: &RawValue, exchange: &Exchange<'_>) -> Option<Raw> {
    member_with(value, "uri", |uri| {
        let uri: String = serde_json::from_str(uri.get()).ok()?;
        exchange(&uri).map(|uri| string(&uri))
    })
}

fn member_with(value: &RawValue, member: &str, change: impl Fn(&RawValue) -> Option<Raw>) -> Option<Raw> {
    let mut fields = Fields::parse(value.get()).ok()?;
    let after = change(fields.get(member)?)?;
    fields.set(member, after);
    Some(fields.to_raw())
}

fn items_with(array: &RawValue, change: &dyn Fn(&RawValue) -> Option<Raw>) -> Option<Raw> {
    let items: Vec<&RawValue> = serde_json::from_str(array.get()).ok()?;
    let changed: Vec<Option<Raw>> = items.iter().map(|item| change(item)).collect();
    if changed.iter().all(Option::is_none) {
        return None;
    }
    let items = items
        .iter()
        .zip(&changed)
        .map(|(item, changed)| changed.as_ref().map_or(item.get(), |raw| raw.get()));
    RawValue::from_string(format!("[{}]", items.collect::<Vec<_>>().join(","))).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::result_with;

    fn shown(result: &str) -> Option<String> {
        let result = serde_json::value::RawValue::from_string(result.to_owned()).unwrap();
        let exchange = |uri: &str| uri.strip_prefix("x://").map(|rest| format!("ph+n+s+x://{rest}"));
        result_with(&result, &exchange, true).map(|raw| raw.get().to_owned())
    }

    #[test]
    fn links_and_resources_are_exchanged_wherever_a_result_has_them() {
        for result in [
            r#"{"n":2.50,"content":[{"type":"resource_link","uri":"URI","size":1e3},{"type":"hologram","uri":"x://2"}]}"#,
            r#"{"content":[{"type":"resource","resource":{"uri":"URI","text":"x://2"}}],"isError":false}"#,
            r#"{"contents":[{"uri":"URI","blob":"x"},{"uri":"y://1"}],"ttlMs":5}"#,
            r#"{"messages":[{"role":"user","content":{"type":"resource_link","uri":"URI"}}]}"#,
            r#"{"messages":[{"role":"user","content":[{"type":"resource","resource":{"uri":"URI"}}]}]}"#,
            r#"{"resultType":"complete","status":"completed","result":{"content":[{"type":"resource_link","uri":"URI"}]}}"#,
            r#"{"content":[],"_meta":{"ui":{"resourceUri":"URI"}}}"#,
        ] {
            let before = result.replace("URI", "x://1");
            assert_eq!(shown(&before).unwrap(), result.replace("URI", "ph+n+s+x://1"));
        }
    }

    #[test]
    fn everything_else_is_left_as_it_came() {
        for result in [
            r#"{ "content":[{"type":"resource_link","uri":"y://1"}], "n":18446744073709551617}"#,
            r#"{"content":[{"type":"text","text":"x://1"}],"structuredContent":{"uri":"x://1"}}"#,
            r#"{"contents":[{"uri":7},7],"messages":{},"content":"x://1"}"#,
            r#"{"uri":"x://1"}"#,
            "null",
        ] {
            assert_eq!(shown(result), None, "{result}");
        }
    }
}
