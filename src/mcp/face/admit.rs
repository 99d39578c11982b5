//! Who may use what: an entry that a caller may not use is as unknown to it as one that is not there.

use std::sync::Arc;

use super::Face;
use crate::{
    answer::Answer,
    gateway::{
        Catalogue, Entry, Kind,
        wire::{Era, Raw, RpcError},
    },
    mcp::{access::Verdict, outgoing, own::Asked, params::namespace},
};

impl Face {
    /// Lets the request through to its entry when this caller may use it. An entry that the caller may not use is as
    /// unknown as one that is not there.
    ///
    /// # Errors
    /// When there is none for this caller, or it cannot be found out.
    pub(super) async fn admit<'a>(
        &self,
        catalogue: &Arc<Catalogue>,
        entry: Option<&'a Arc<Entry>>,
        kind: Kind,
        asked: &Asked<'_>,
    ) -> Result<Admitted<'a>, RpcError> {
        let Some(entry) = entry else { return Err(self.unknown(catalogue, kind, asked, "unknown").await) };
        if !entry.admits(asked.caller) {
            return Err(self.unknown(catalogue, kind, asked, "refused").await);
        }
        if !asked.caller.is_impersonated() {
            return Ok(Admitted::To(entry));
        }
        let namespace = namespace(asked.params);
        match self.outlook.access.check(asked.caller, entry, namespace.as_deref()).await {
            Ok(Verdict::Allowed) => Ok(Admitted::To(entry)),
            Ok(Verdict::Unknown) => Err(self.unknown(catalogue, kind, asked, "refused").await),
            Ok(Verdict::Elsewhere(sentence)) => {
                outgoing::refuse(&self.audit, asked, "refused")?;
                match kind {
                    Kind::Tool => Ok(Admitted::Answered(Answer::error(sentence).into_result())),
                    _ => Err(RpcError::new(RpcError::INVALID_PARAMS, &sentence)),
                }
            }
            Err(why) => {
                outgoing::refuse(&self.audit, asked, "refused")?;
                Err(RpcError::new(RpcError::INTERNAL, &why))
            }
        }
    }

    async fn unknown(
        &self,
        catalogue: &Arc<Catalogue>,
        kind: Kind,
        asked: &Asked<'_>,
        decision: &str,
    ) -> RpcError {
        if let Err(refused) = outgoing::refuse(&self.audit, asked, decision) {
            return refused;
        }
        let view = match self.view(catalogue.clone(), asked.caller).await {
            Ok(view) => view,
            Err(error) => return error,
        };
        let name = asked.name;
        let (what, list) = match kind {
            Kind::Tool => ("tool", "tools/list"),
            Kind::Prompt => ("prompt", "prompts/list"),
            Kind::Resource => ("resource", "resources/list"),
            Kind::ResourceTemplate => ("resource template", "resources/templates/list"),
        };
        let nearest = view.nearest(kind, name);
        let hint = if nearest.is_empty() {
            format!("{list} has all of them")
        } else {
            format!("did you mean {}?", nearest.join(", "))
        };
        let code = match (kind, asked.era) {
            (Kind::Resource, Era::Legacy) => RpcError::RESOURCE_NOT_FOUND,
            _ => RpcError::INVALID_PARAMS,
        };
        let message = format!("there is no {what} `{name}`: {hint}");
        if kind == Kind::Resource {
            return RpcError::with_data(code, &message, serde_json::json!({ "uri": name }));
        }
        RpcError::new(code, &message)
    }
}

/// What comes of a request for an entry.
pub(super) enum Admitted<'a> {
    To(&'a Entry),
    /// With why it goes no further.
    Answered(Raw),
}
