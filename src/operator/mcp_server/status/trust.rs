//! Whether the tools are what they were when somebody looked at them: what the gateway of this replica has seen.

use super::conditions::{Finding, Holds};
use crate::{api::mcp_server::ConditionType, fleet::Observation};

/// Sentences in the message of a condition.
const SAID: usize = 10;

/// Where there is something to be said.
pub(super) fn findings(observation: Option<&Observation>) -> [Option<Finding>; 2] {
    let Some(Observation { changed, quarantined, .. }) = observation else { return [None, None] };
    let finding = |type_, reason: &str, sentences: &[String]| {
        (!sentences.is_empty()).then(|| Finding {
            type_,
            holds: Holds::Yes,
            reason: reason.to_owned(),
            message: message(sentences),
        })
    };
    [
        finding(ConditionType::ToolsChanged, "DefinitionChanged", changed),
        finding(ConditionType::ToolsQuarantined, "SuspiciousDefinition", quarantined),
    ]
}

fn message(sentences: &[String]) -> String {
    let said = sentences.iter().take(SAID).cloned().collect::<Vec<_>>().join("; ");
    match sentences.len().saturating_sub(SAID) {
        0 => format!("{said}."),
        more => format!("{said}; and {more} more."),
    }
}

#[cfg(test)]
mod tests {
    use super::message;

    #[test]
    fn a_message_names_a_few_and_counts_the_rest() {
        assert_eq!(message(&["a".to_owned(), "b".to_owned()]), "a; b.");
        assert!(message(&vec!["a".to_owned(); 12]).ends_with("a; and 2 more."));
    }
}
