//! The client on whose behalf a server is called, as far as that server may know it.

use serde_json::value::RawValue;

use super::{
    canonical,
    wire::{
        Raw,
        eras::TASKS,
        text::{Fields, raw},
    },
};
use crate::caller::Caller;

/// What a server may ask its client for.
const QUESTIONS: [&str; 3] = ["elicitation", "sampling", "roots"];

/// Who asks, and what it says of itself.
#[derive(Clone, Debug)]
pub struct Client {
    /// What is kept for one caller is never used for another.
    pub caller: Caller,
    /// As it declared them: an object.
    pub capabilities: Raw,
    /// Its name and version, as it gave them.
    pub info: Option<Raw>,
}

impl Client {
    /// `capabilities` that are no object count as none.
    pub fn new(caller: Caller, capabilities: Option<Raw>, info: Option<Raw>) -> Self {
        let is_object = |value: &Raw| Fields::parse(value.get()).is_ok();
        let capabilities = capabilities.filter(is_object).unwrap_or_else(|| raw(&serde_json::json!({})));
        Self { caller, capabilities, info: info.filter(is_object) }
    }

    /// As a modern request says in its `_meta`.
    pub fn of_request(caller: Caller, params: Option<&RawValue>) -> Self {
        let meta = Fields::of(params).ok().and_then(|params| Some(params.get("_meta")?.to_owned()));
        let meta = Fields::of(meta.as_deref()).unwrap_or_default();
        let said = |name: &str| meta.get(name).map(ToOwned::to_owned);
        Self::new(
            caller,
            said("io.modelcontextprotocol/clientCapabilities"),
            said("io.modelcontextprotocol/clientInfo"),
        )
    }

    /// Whether servers may ask it anything.
    pub(super) fn can_be_asked(&self) -> bool {
        let Ok(declared) = Fields::parse(self.capabilities.get()) else { return false };
        QUESTIONS.iter().any(|what| declared.get(what).is_some_and(|value| value.get().starts_with('{')))
    }

    /// Whether a server with a connection for each client may behave otherwise for this one than for others.
    pub(super) fn is_special(&self) -> bool {
        let declared = Fields::parse(self.capabilities.get()).unwrap_or_default();
        let members = |what| Fields::parse(declared.get(what)?.get()).ok();
        // Tasks are declared with each request, to modern servers alone.
        let is_any = |fields: Fields<'_>| fields.iter().any(|(name, _)| name != TASKS);
        self.can_be_asked() || ["extensions", "experimental"].into_iter().filter_map(members).any(is_any)
    }

    /// Equal for requests that may share what a server keeps for them: those of one caller that declare the same.
    pub(super) fn mark(&self) -> String {
        format!("{}{}", self.caller.fingerprint(), canonical::hash(self.capabilities.get()))
    }

    /// The mark of its caller; nothing for callers who have no name and would count as one.
    pub(super) fn named(&self) -> Option<String> {
        self.caller.has_name().then(|| self.caller.fingerprint())
    }
}

#[cfg(test)]
mod tests {
    use super::Client;
    use crate::{caller::Caller, gateway::wire::text::raw};

    #[test]
    fn a_client_that_declares_it_can_be_asked() {
        let can = |capabilities: serde_json::Value| {
            Client::new(Caller::anonymous(), Some(raw(&capabilities)), None).can_be_asked()
        };
        assert!(can(serde_json::json!({ "elicitation": {} })));
        assert!(can(serde_json::json!({ "roots": { "listChanged": true } })));
        assert!(!can(serde_json::json!({ "experimental": {}, "sampling": null })));
        assert!(!can(serde_json::json!([1])));
    }

    #[test]
    fn a_client_with_extensions_is_not_like_others() {
        let is_special = |capabilities: serde_json::Value| {
            Client::new(Caller::anonymous(), Some(raw(&capabilities)), None).is_special()
        };
        assert!(is_special(serde_json::json!({ "roots": {} })));
        assert!(is_special(serde_json::json!({ "extensions": { "a/b": {} } })));
        assert!(is_special(serde_json::json!({ "experimental": { "x": {} } })));
        assert!(!is_special(serde_json::json!({ "extensions": {}, "experimental": null })));
        assert!(!is_special(serde_json::json!({ "extensions": { "io.modelcontextprotocol/tasks": {} } })));
    }

    #[test]
    fn a_modern_request_says_who_it_is_of() {
        let params = raw(&serde_json::json!({ "_meta": {
            "io.modelcontextprotocol/clientCapabilities": { "sampling": {} },
            "io.modelcontextprotocol/clientInfo": { "name": "c", "version": "1" }
        } }));
        let client = Client::of_request(Caller::anonymous(), Some(&params));
        assert!(client.can_be_asked());
        assert_eq!(
            client.info.map(|info| info.get().to_owned()).as_deref(),
            Some(r#"{"name":"c","version":"1"}"#)
        );
        assert!(!Client::of_request(Caller::anonymous(), None).can_be_asked());
    }
}
