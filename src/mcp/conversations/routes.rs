//! On which stream a message goes to the client: that of the request it belongs to, or the one beside all requests.

use std::collections::HashMap;

use rmcp::{
    model::{
        CancelledNotificationParam, ClientJsonRpcMessage, ClientNotification, GetExtensions, GetMeta,
        JsonRpcMessage, ProgressToken, RequestId, ServerJsonRpcMessage, ServerNotification,
    },
    service::OriginatingRequestId,
};

/// Where a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Course {
    /// On the stream of that number; it is the last there when `ends`.
    Request {
        stream: u64,
        ends: bool,
    },
    Beside,
    /// It answers a request that nobody waits for any more.
    Nowhere,
}

/// The requests that are open, by what messages say of them.
#[derive(Debug, Default)]
pub(super) struct Routes {
    requests: HashMap<RequestId, u64>,
    tokens: HashMap<ProgressToken, u64>,
}

impl Routes {
    pub(super) fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    pub(super) fn open(&mut self, stream: u64, request: RequestId, token: Option<ProgressToken>) {
        self.requests.insert(request, stream);
        if let Some(token) = token {
            self.tokens.insert(token, stream);
        }
    }

    pub(super) fn close(&mut self, stream: u64) {
        self.requests.retain(|_, known| *known != stream);
        self.tokens.retain(|_, known| *known != stream);
        // An idle session holds nothing.
        if self.requests.is_empty() {
            *self = Self::default();
        }
    }

    pub(super) fn of(&self, request: &RequestId) -> Option<u64> {
        self.requests.get(request).copied()
    }

    pub(super) fn course(&self, message: &ServerJsonRpcMessage) -> Course {
        let along = |stream: Option<u64>| {
            stream.map_or(Course::Beside, |stream| Course::Request { stream, ends: false })
        };
        let answer = |request: Option<&RequestId>| {
            let stream = request.and_then(|request| self.of(request));
            stream.map_or(Course::Nowhere, |stream| Course::Request { stream, ends: true })
        };
        match message {
            JsonRpcMessage::Request(request) => {
                let cause = request.request.extensions().get::<OriginatingRequestId>();
                along(cause.and_then(|OriginatingRequestId(cause)| self.of(cause)))
            }
            JsonRpcMessage::Notification(notification) => match &notification.notification {
                ServerNotification::ProgressNotification(progress) => {
                    along(self.tokens.get(&progress.params.progress_token).copied())
                }
                ServerNotification::CancelledNotification(cancelled) => {
                    let CancelledNotificationParam { request_id, .. } = &cancelled.params;
                    along(request_id.as_ref().and_then(|request| self.of(request)))
                }
                _ => Course::Beside,
            },
            JsonRpcMessage::Response(response) => answer(Some(&response.id)),
            JsonRpcMessage::Error(error) => answer(error.id.as_ref()),
        }
    }
}

/// The id of a request, and the token under which it wants to hear of its progress.
pub(super) fn named(message: &ClientJsonRpcMessage) -> Option<(RequestId, Option<ProgressToken>)> {
    let JsonRpcMessage::Request(request) = message else { return None };
    Some((request.id.clone(), request.request.get_meta().get_progress_token()))
}

/// The request that a client takes back.
pub(super) fn taken_back(message: &ClientJsonRpcMessage) -> Option<&RequestId> {
    let JsonRpcMessage::Notification(notification) = message else { return None };
    match &notification.notification {
        ClientNotification::CancelledNotification(cancelled) => cancelled.params.request_id.as_ref(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rmcp::model::{
        ErrorData, NumberOrString, PingRequest, ProgressNotification, ProgressNotificationParam,
        ProgressToken, RequestId, ServerJsonRpcMessage, ServerNotification, ServerRequest, ServerResult,
    };
    use rmcp::{model::GetExtensions, service::OriginatingRequestId};

    use super::{Course, Routes};

    fn progress(token: i64) -> ServerJsonRpcMessage {
        let token = ProgressToken(NumberOrString::Number(token));
        let params = ProgressNotificationParam::new(token, 1.0);
        ServerJsonRpcMessage::notification(ServerNotification::ProgressNotification(
            ProgressNotification::new(params),
        ))
    }

    fn question(cause: Option<i64>) -> ServerJsonRpcMessage {
        let mut ping = ServerRequest::PingRequest(PingRequest {
            method: Default::default(),
            extensions: Default::default(),
        });
        if let Some(cause) = cause {
            ping.extensions_mut().insert(OriginatingRequestId(RequestId::Number(cause)));
        }
        ServerJsonRpcMessage::request(ping, RequestId::Number(1_000))
    }

    #[test]
    fn everything_of_a_request_goes_on_its_stream_and_its_answer_ends_it() {
        let mut routes = Routes::default();
        routes.open(7, RequestId::Number(1), Some(ProgressToken(NumberOrString::Number(5))));
        let along = Course::Request { stream: 7, ends: false };
        assert_eq!(routes.course(&progress(5)), along);
        assert_eq!(routes.course(&question(Some(1))), along);
        let answer = ServerJsonRpcMessage::response(ServerResult::empty(()), RequestId::Number(1));
        assert_eq!(routes.course(&answer), Course::Request { stream: 7, ends: true });
        let error = ErrorData::internal_error("x", None);
        let error = ServerJsonRpcMessage::error(error, Some(RequestId::Number(1)));
        assert_eq!(routes.course(&error), Course::Request { stream: 7, ends: true });
        routes.close(7);
        assert!(routes.is_empty());
        assert_eq!(routes.course(&answer), Course::Nowhere);
        assert_eq!(routes.course(&progress(5)), Course::Beside);
    }

    #[test]
    fn what_belongs_to_no_request_goes_beside() {
        let mut routes = Routes::default();
        routes.open(7, RequestId::Number(1), None);
        assert_eq!(routes.course(&progress(5)), Course::Beside);
        assert_eq!(routes.course(&question(None)), Course::Beside);
        assert_eq!(routes.course(&question(Some(2))), Course::Beside, "that request is over");
    }
}
