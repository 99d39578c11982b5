//! How the server stands in the LiteLLM proxy.

use k8s_openapi::jiff::Timestamp;

use super::conditions::{self, Finding, Holds};
use crate::{
    api::{MCPServer, MCPServerStatus, mcp_server::ConditionType},
    operator::litellm::{FailureKind, Standing},
};

const REGISTERED: &str = "Registered";
const NOT_READY: &str = "NotReady";
const NAME_TAKEN: &str = "NameTaken";
const UNREACHABLE: &str = "ProxyUnreachable";
const REFUSED: &str = "Refused";

/// What is said of a server that wants to be registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::operator::mcp_server) enum Registration {
    NotConfigured,
    /// It cannot be registered as it is declared: why, and what to do.
    Unsupported(&'static str),
    Told {
        /// None: not yet.
        standing: Option<Standing>,
        /// What holds the entries, such as `The LiteLLM proxy`.
        place: String,
    },
}

/// Adds the condition to a status that was assessed without it.
pub(in crate::operator::mcp_server) fn add_registration(
    status: &mut MCPServerStatus,
    server: &MCPServer,
    registration: Registration,
    now: Timestamp,
) {
    let before = server.status.clone().unwrap_or_default();
    let found = vec![finding(&before, registration)];
    let conditions = conditions::merge(&before.conditions, found, server.metadata.generation, now);
    status.conditions.extend(conditions);
}

fn finding(before: &MCPServerStatus, registration: Registration) -> Finding {
    let found = |holds, reason: &str, message: String| Finding {
        type_: ConditionType::LiteLLMRegistered,
        holds,
        reason: reason.to_owned(),
        message,
    };
    match registration {
        Registration::NotConfigured => found(
            Holds::No,
            "NotConfigured",
            "pilothouse's configuration names no LiteLLM proxy: set operator.litellm there, or remove spec.litellm.register.".to_owned(),
        ),
        Registration::Unsupported(why) => found(Holds::No, "Unsupported", why.to_owned()),
        Registration::Told { standing: None, place: _ } => conditions::found(before, ConditionType::LiteLLMRegistered)
            .filter(|told| [REGISTERED, NOT_READY, NAME_TAKEN, UNREACHABLE, REFUSED].contains(&told.reason.as_str()))
            .unwrap_or_else(|| {
                found(Holds::Unknown, "Registering", "The LiteLLM proxy is told of it in a moment.".to_owned())
            }),
        Registration::Told { standing: Some(standing), place } => match standing {
            Standing::There { name } => {
                found(Holds::Yes, REGISTERED, format!("{place} has it under the name {name}."))
            }
            Standing::Gone => found(
                Holds::No,
                NOT_READY,
                "It has no entry in the LiteLLM proxy while it is not Ready: the other conditions say why it is not."
                    .to_owned(),
            ),
            Standing::NameTaken { name, by } => {
                let whose = by.map_or_else(
                    || "which pilothouse did not make".to_owned(),
                    |by| format!("that of MCPServer {by}"),
                );
                found(
                    Holds::No,
                    NAME_TAKEN,
                    format!("{place} has another server under the name {name}, {whose}: set another spec.gateway.prefix, or remove that entry."),
                )
            }
            Standing::Failed(failure) => {
                let reason = match failure.kind {
                    FailureKind::Unreachable => UNREACHABLE,
                    FailureKind::Refused => REFUSED,
                };
                found(Holds::No, reason, failure.message)
            }
        },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use k8s_openapi::jiff::Timestamp;

    use super::{Registration, add_registration};
    use crate::{
        api::MCPServerStatus,
        operator::{
            litellm::{Failure, FailureKind, Standing},
            mcp_server::fixture::server,
        },
    };

    /// `status reason`, and the status that a server would have then.
    fn said(before: Option<MCPServerStatus>, registration: Registration) -> (String, MCPServerStatus) {
        let mut demo = server("{image: a, litellm: {register: true}}");
        demo.status = before;
        let mut status = MCPServerStatus::default();
        add_registration(&mut status, &demo, registration, Timestamp::now());
        let condition = status.conditions.last().unwrap();
        assert!(condition.message.ends_with('.') || condition.reason == "Refused", "{condition:?}");
        (format!("{} {}", condition.status, condition.reason), status)
    }

    fn told(standing: Option<Standing>) -> Registration {
        Registration::Told { standing, place: "The LiteLLM proxy".to_owned() }
    }

    #[test]
    fn each_standing_has_its_reason() {
        let there = Standing::There { name: "demo".to_owned() };
        let taken = Standing::NameTaken { name: "demo".to_owned(), by: None };
        let failed = Standing::Failed(Failure { kind: FailureKind::Refused, message: "no right".to_owned() });
        for (registration, expected) in [
            (Registration::NotConfigured, "False NotConfigured"),
            (Registration::Unsupported("Because."), "False Unsupported"),
            (told(None), "Unknown Registering"),
            (told(Some(there)), "True Registered"),
            (told(Some(Standing::Gone)), "False NotReady"),
            (told(Some(taken)), "False NameTaken"),
            (told(Some(failed)), "False Refused"),
        ] {
            assert_eq!(said(None, registration).0, expected);
        }
    }

    #[test]
    fn a_new_leader_writes_nothing_until_it_knows() {
        let there = || told(Some(Standing::There { name: "demo".to_owned() }));
        let (_, before) = said(None, there());
        let (_, after) = said(Some(before.clone()), told(None));
        assert_eq!(before, after);
        let (_, again) = said(Some(before.clone()), there());
        assert_eq!(before, again);
    }
}
