//! `subscriptions/listen` of the modern era: over Streamable HTTP a POST of our own, beside a process by way of rmcp.

use std::sync::Arc;

use rmcp::{
    model::{ServerNotification, SubscriptionFilter},
    service::{Peer, RoleClient, ServiceError},
};

use super::{
    Fault, LARGEST,
    http::{HttpWay, SMALL, body, is_stream, reasons},
    stream::Pace,
};
use crate::gateway::wire::{
    Era, RpcError,
    eras::{self, Spoken},
    events::{Event, Events},
    headers,
    table::{Table, Taken, request},
    text::{Fields, Head, Message, raw},
};

/// Who can subscribe. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) enum Listener {
    Rmcp(Peer<RoleClient>),
    Http { way: HttpWay, table: Arc<Table>, spoken: Spoken },
}

/// What comes of a subscription.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Agreed,
    /// A list has changed.
    Changed,
    Updated(String),
}

/// How a subscription ends.
#[derive(Debug)]
pub(super) enum Over {
    /// It will not agree another time either.
    Refused(String),
    /// It may do so later.
    Broken(String),
    /// The connection has ended.
    Gone,
}

impl Listener {
    /// Subscribes, and hears what comes until it ends.
    pub(super) async fn listen(
        &self,
        filter: SubscriptionFilter,
        heard: &mut (dyn FnMut(Heard) + Send),
    ) -> Over {
        match self {
            Self::Rmcp(peer) => by_rmcp(peer, filter, heard).await,
            Self::Http { way, table, spoken } => match over_http(way, table, spoken, &filter, heard).await {
                Ok(over) => over,
                Err(fault) => Over::Broken(fault.to_string()),
            },
        }
    }
}

async fn by_rmcp(
    peer: &Peer<RoleClient>,
    filter: SubscriptionFilter,
    heard: &mut (dyn FnMut(Heard) + Send),
) -> Over {
    let mut subscription = match peer.listen(filter).await {
        Ok(subscription) => subscription,
        Err(ServiceError::TransportClosed) => return Over::Gone,
        Err(ServiceError::McpError(error)) => return Over::Refused(error.to_string()),
        Err(error) => return Over::Broken(error.to_string()),
    };
    heard(Heard::Agreed);
    while let Ok(Some(said)) = subscription.next().await {
        heard(match said {
            ServerNotification::ResourceUpdatedNotification(updated) => Heard::Updated(updated.params.uri),
            _ => Heard::Changed,
        });
    }
    Over::Broken("the subscription ended".to_owned())
}

async fn over_http(
    way: &HttpWay,
    table: &Arc<Table>,
    spoken: &Spoken,
    filter: &SubscriptionFilter,
    heard: &mut (dyn FnMut(Heard) + Send),
) -> Result<Over, Fault> {
    // No id of a call: those who look for the answers of calls leave it alone.
    let id = format!("l{}", table.token());
    let params = raw(&serde_json::json!({ "notifications": filter }));
    let Ok(prepared) = eras::params(Some(&params), Era::Legacy, spoken, &id) else { return Ok(Over::Gone) };
    let text = request(&id, "subscriptions/listen", prepared.params.as_ref());
    let headers = Head::parse(&text).map(|head| headers::of_request(&head, None)).unwrap_or_default();
    let headers = headers.into_iter().collect();
    // Boxed: what sending takes is not kept while the subscription is open.
    let mut response = Box::pin(way.send(headers, text)).await?;
    if !is_stream(&response) {
        let status = response.status();
        let text = Box::pin(body(response, SMALL, None)).await?;
        return Ok(match refusal(&text) {
            Some(why) => Over::Refused(why),
            None if status.is_client_error() => Over::Refused(format!("HTTP {}", status.as_u16())),
            None => Over::Broken(format!("HTTP {} without a stream", status.as_u16())),
        });
    }
    let (mut events, mut pace) = (Events::new(LARGEST), Pace::default());
    loop {
        let chunk = response.chunk().await.map_err(|error| Fault::Ended(reasons(&error)))?;
        let Some(chunk) = chunk else { return Ok(Over::Broken("its stream was closed".to_owned())) };
        for Event { name, data, .. } in events.push(&chunk)? {
            pace.keep().await;
            if data.is_empty() || name.is_some_and(|name| name != "message") {
                continue;
            }
            match said(&data, &id) {
                Said::News(news) => heard(news),
                Said::End(over) => return Ok(over),
                Said::Other => {
                    if table.take(&data, None) == Taken::Rest {
                        tracing::debug!("a message that belongs to no subscription was skipped");
                    }
                }
            }
        }
    }
}

/// What one message on the stream of the subscription `id` means.
#[derive(Debug)]
enum Said {
    News(Heard),
    End(Over),
    Other,
}

fn said(text: &str, id: &str) -> Said {
    let Ok(head) = Head::parse(text) else { return Said::Other };
    match (head.message(), head.method.as_deref()) {
        (Some(Message::Notification), Some("notifications/subscriptions/acknowledged")) => {
            Said::News(Heard::Agreed)
        }
        (Some(Message::Notification), Some(method)) if method.ends_with("/list_changed") => {
            Said::News(Heard::Changed)
        }
        (Some(Message::Notification), Some("notifications/resources/updated")) => {
            let uri = Fields::of(head.params).ok().and_then(|params| params.get_str("uri"));
            uri.map_or(Said::Other, |uri| Said::News(Heard::Updated(uri)))
        }
        (Some(Message::Response), _) => {
            let answered = head.id.and_then(|id| serde_json::from_str::<String>(id.get()).ok());
            if answered.as_deref() != Some(id) {
                return Said::Other;
            }
            Said::End(match refusal(text) {
                Some(why) => Over::Refused(why),
                None => Over::Broken("the subscription ended".to_owned()),
            })
        }
        _ => Said::Other,
    }
}

/// The server's own error, if it is one.
fn refusal(text: &str) -> Option<String> {
    let error = Head::parse(text).ok()?.error.filter(|error| error.get() != "null")?;
    Some(RpcError(error.to_owned()).message().unwrap_or_else(|| "it refused".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::{Heard, Over, Said, said};

    fn note(method: &str, params: &str) -> String {
        format!(r#"{{"jsonrpc":"2.0","method":"{method}","params":{params}}}"#)
    }

    #[test]
    fn what_a_server_tells_of_itself_is_told_on() {
        let news = |text: &str| match said(text, "lp1") {
            Said::News(news) => Some(news),
            Said::End(_) | Said::Other => None,
        };
        let agreed = note("notifications/subscriptions/acknowledged", "{}");
        assert_eq!(news(&agreed), Some(Heard::Agreed));
        assert_eq!(news(&note("notifications/tools/list_changed", "{}")), Some(Heard::Changed));
        let updated = note("notifications/resources/updated", r#"{"uri":"a://b"}"#);
        assert_eq!(news(&updated), Some(Heard::Updated("a://b".to_owned())));
        assert_eq!(news(&note("notifications/message", "{}")), None);
    }

    #[test]
    fn an_answer_ends_it_and_an_error_for_good() {
        let ended = said(r#"{"jsonrpc":"2.0","id":"lp1","result":{}}"#, "lp1");
        assert!(matches!(ended, Said::End(Over::Broken(_))));
        let refused =
            said(r#"{"jsonrpc":"2.0","id":"lp1","error":{"code":-32601,"message":"no such method"}}"#, "lp1");
        assert!(matches!(refused, Said::End(Over::Refused(why)) if why == "no such method"));
        assert!(matches!(said(r#"{"jsonrpc":"2.0","id":"p1","result":{}}"#, "lp1"), Said::Other));
    }
}
