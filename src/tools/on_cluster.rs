//! Each call of a cluster tool gets its own desk: the cluster that it names, read as its caller.

use futures::future::BoxFuture;
use serde_json::{Map, Value, value::RawValue};

use super::{
    Tool,
    definition::text,
    desk::{Desk, Office},
};
use crate::{
    answer::Answer,
    caller::{Caller, Need},
};

/// A tool that is made anew for each call.
pub(super) struct OnCluster<Make> {
    pub(super) office: Office,
    pub(super) make: Make,
}

impl<Make> Tool for OnCluster<Make>
where
    Make: Fn(Desk) -> Box<dyn Tool> + Send + Sync,
{
    /// Where there are several clusters, every tool takes the name of one.
    fn definition(&self) -> Value {
        let mut definition = (self.make)(self.office.empty()).definition();
        let names = self.office.contexts.names();
        if let Some(properties) =
            definition["inputSchema"]["properties"].as_object_mut().filter(|_| !names.is_empty())
        {
            let current = self.office.contexts.current();
            properties.insert(
                "context".to_owned(),
                text(&format!("cluster to read, by kubeconfig context; {current} if absent")),
            );
        }
        definition
    }

    fn needs(&self) -> &'static [Need] {
        (self.make)(self.office.empty()).needs()
    }

    fn call<'a>(&'a self, caller: &'a Caller, arguments: Option<&'a RawValue>) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            let (context, rest) = match context(arguments) {
                Ok(split) => split,
                Err(error) => return error,
            };
            let rest = rest.as_deref().or(arguments);
            match self.office.desk(caller, context.as_deref()).await {
                Ok(desk) => (self.make)(desk).call(caller, rest).await,
                Err(error) => error,
            }
        })
    }
}

/// The named context, and the arguments without it; nothing of both when none is named.
fn context(arguments: Option<&RawValue>) -> Result<(Option<String>, Option<Box<RawValue>>), Answer> {
    let Some(arguments) = arguments.filter(|arguments| arguments.get().contains("\"context\"")) else {
        return Ok((None, None));
    };
    // Whatever is no object is refused by the tool, with its name.
    let Ok(mut given) = serde_json::from_str::<Map<String, Value>>(arguments.get()) else {
        return Ok((None, None));
    };
    let context = match given.shift_remove("context") {
        None => return Ok((None, None)),
        Some(Value::Null) => None,
        Some(Value::String(context)) => Some(context).filter(|context| !context.is_empty()),
        Some(_) => return Err(Answer::error("`context` must be the name of a kubeconfig context, as text")),
    };
    Ok((context, serde_json::value::to_raw_value(&given).ok()))
}
