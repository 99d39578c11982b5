//! Requests about tasks that servers have begun in the place of an answer.

use std::sync::Arc;

use serde_json::{json, value::RawValue};

use super::{Admitted, Asking, Face, fields, required};
use crate::{
    gateway::{
        Kind, Route, unknown_task,
        wire::{
            Era, Raw, RpcError,
            eras::{CAPABILITIES, TASKS},
            text::Fields,
        },
    },
    mcp::own::Asked,
};

impl Face {
    /// Whether any server answers clients of that era with tasks.
    pub(super) fn offers_tasks(&self, era: Era) -> bool {
        self.catalogue().declares().any(|declared| declared.has_tasks(era))
    }

    /// Of a task of this caller, as long as it may call the tool that began it: every other is unknown.
    pub(super) async fn of_task(&self, asked: Asked<'_>, asking: Asking) -> Result<Raw, RpcError> {
        let params = fields(asked.params)?;
        let id = required(&params, "taskId")?;
        if asked.era == Era::Modern && !declares_tasks(&params) {
            return Err(missing());
        }
        let begun = self.gateway.task(&id, asked.caller);
        let (server, tool) = begun.ok_or_else(|| unknown_task(&id))?;
        let catalogue = self.catalogue();
        let began = Route::Downstream { server: Arc::new(server), original: tool };
        let entry = catalogue.of_kind(Kind::Tool).find(|entry| entry.route == began);
        let name = entry.map(|entry| entry.name.clone()).ok_or_else(|| unknown_task(&id))?;
        let asked = Asked { name: &name, ..asked };
        let entry = match self.admit(&catalogue, entry, Kind::Tool, &asked).await {
            Ok(Admitted::To(entry)) => entry,
            Ok(Admitted::Answered(_)) => return Err(unknown_task(&id)),
            Err(error) if error.code() == Some(RpcError::INVALID_PARAMS) => return Err(unknown_task(&id)),
            Err(error) => return Err(error),
        };
        let params = params.to_raw();
        self.downstream(entry, asked, params, asking).await
    }
}

/// Whether the client says with this request that it follows tasks.
fn declares_tasks(params: &Fields<'_>) -> bool {
    fn member(value: &RawValue, name: &str) -> Option<Raw> {
        Some(Fields::parse(value.get()).ok()?.get(name)?.to_owned())
    }
    let declared = || {
        let capabilities = member(params.get("_meta")?, CAPABILITIES)?;
        member(&member(&capabilities, "extensions")?, TASKS)
    };
    declared().is_some_and(|settings| settings.get().starts_with('{'))
}

fn missing() -> RpcError {
    let message = format!(
        "requests about tasks are for clients that declare the extension {TASKS}: declare it in _meta"
    );
    let data = json!({ "requiredCapabilities": { "extensions": { (TASKS): {} } } });
    RpcError::with_data(RpcError::MISSING_CAPABILITY, &message, data)
}
