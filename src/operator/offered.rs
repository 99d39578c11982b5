//! What a server or a pool offers, in a sentence for its status.

use crate::fleet::Observation;

pub(super) fn offered(observation: &Observation) -> String {
    let tools = match observation.tools.len() {
        1 => "1 tool is offered.".to_owned(),
        count => format!("{count} tools are offered."),
    };
    let tools = match observation.changed.as_slice() {
        [] => tools,
        [first, ..] => format!(
            "{tools} {} changed since they were registered, the first: {first}.",
            observation.changed.len()
        ),
    };
    let tools = match observation.quarantined.len() {
        0 => tools,
        count => format!("{tools} {count} are not shown, since their definitions are suspicious."),
    };
    match observation.dropped.as_slice() {
        [] => tools,
        [first] => format!("{tools} 1 entry was left out: {first}"),
        [first, ..] => {
            format!("{tools} {} entries were left out, the first: {first}", observation.dropped.len())
        }
    }
}
