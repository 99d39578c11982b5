//! What a server or a pool offers, for its status: in a sentence, and what its tools were.

use std::collections::BTreeMap;

use crate::fleet::Observation;

/// Pins that stand in a status.
const PINS: usize = 1_000;

/// The hashes of its tools as they were, as many as a status may hold; those of `before` while nothing was seen.
pub(super) fn pins(
    observation: Option<&Observation>,
    before: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let pins = observation.map(|seen| &seen.pins).filter(|pins| !pins.is_empty());
    match pins {
        // Those that stand there already come first: new names take no older one's place.
        Some(pins) => {
            let (held, new): (Vec<_>, Vec<_>) = pins.iter().partition(|(tool, _)| before.contains_key(*tool));
            let first = held.into_iter().chain(new).take(PINS);
            first.map(|(tool, hash)| (tool.clone(), hash.to_string())).collect()
        }
        None => before.clone(),
    }
}

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
