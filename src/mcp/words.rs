//! The words that every result of ours has in the modern era, and a legacy one has not.

use serde_json::json;

use crate::gateway::wire::{
    Era, Raw,
    headers::FIRST_MODERN,
    text::{Fields, raw, string},
};

/// How long a client may keep a list, in milliseconds. Lists follow the catalogue at once, and clients were
/// seen that answer from what they kept even after they were told of a change.
pub(super) const LIST_TTL: u64 = 0;

/// A result of ours in the words of the asking client. Answers of downstreams come translated already.
pub(super) fn spoken(result: Raw, method: &str, era: Era) -> Raw {
    if era == Era::Legacy {
        return result;
    }
    let Ok(mut fields) = Fields::parse(result.get()) else { return result };
    if fields.get("resultType").is_none() {
        fields.set("resultType", string("complete"));
    }
    let complete = fields.get_str("resultType").as_deref() == Some("complete");
    let ttl = match method {
        "tools/list" | "prompts/list" | "resources/list" | "resources/templates/list" => Some(LIST_TTL),
        "resources/read" => Some(0),
        _ => None,
    };
    if let Some(ttl) = ttl.filter(|_| complete) {
        if fields.get("ttlMs").is_none() {
            fields.set("ttlMs", raw(&ttl));
        }
        // What a caller sees depends on who it is.
        if fields.get("cacheScope").is_none() {
            fields.set("cacheScope", string("private"));
        }
    }
    let mut meta = fields.get("_meta").and_then(|meta| Fields::parse(meta.get()).ok()).unwrap_or_default();
    if meta.get(SERVER_INFO).is_none() {
        meta.set(SERVER_INFO, raw(&json!({ "name": NAME, "version": VERSION })));
        let meta = meta.to_raw();
        fields.set("_meta", meta);
    }
    fields.to_raw()
}

pub(super) const NAME: &str = "pilothouse";
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");
const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";

/// The era of a revision, as requests name it in their `_meta`. Dates compare as text.
pub(super) fn era_of(version: Option<&str>) -> Era {
    match version {
        Some(version) if version >= FIRST_MODERN => Era::Modern,
        _ => Era::Legacy,
    }
}

#[cfg(test)]
mod tests {
    use super::spoken;
    use crate::gateway::wire::{Era, text::raw};

    #[test]
    fn a_legacy_result_stays_as_it_is() {
        let result = raw(&serde_json::json!({"tools": []}));
        assert_eq!(spoken(result.clone(), "tools/list", Era::Legacy).get(), result.get());
    }

    #[test]
    fn a_modern_list_says_how_long_it_holds_and_for_whom() {
        let out = spoken(raw(&serde_json::json!({"tools": []})), "tools/list", Era::Modern);
        assert!(out.get().contains(r#""resultType":"complete","ttlMs":0,"cacheScope":"private""#), "{out}");
    }

    #[test]
    fn a_question_is_not_cached() {
        let result = raw(&serde_json::json!({"resultType": "input_required", "inputRequests": {}}));
        assert!(!spoken(result, "resources/read", Era::Modern).get().contains("ttlMs"));
    }
}
