//! From a kubeconfig's words to a service that carries a reader's requests, all callers' over the same connections.
//! The decisions stand in README.md beside this file.

mod dial;
mod lanes;

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use kube::{
    Config,
    client::{Body, ConfigExt, retry::RetryPolicy},
    config::AuthInfo,
};
use tower::{
    BoxError, Layer, ServiceBuilder, ServiceExt, retry::RetryLayer, service_fn, util::BoxCloneSyncService,
};
use tower_http::decompression::DecompressionLayer;

use dial::Dial;
use lanes::{Lanes, PING_OF_CALLS, PING_OF_STREAMS};

/// Carries requests to one cluster. Clones share connections.
///
/// Only for requests that store nothing: one whose connection broke is sent a second time.
pub(super) type Transport =
    BoxCloneSyncService<Request<Body>, Response<UnsyncBoxBody<Bytes, BoxError>>, BoxError>;

/// What a request is; an extension of it. Without, it is a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Traffic {
    /// Answered and read at once.
    Call,
    /// A watch or a log: long, and read at the pace of whoever wants it.
    Stream,
}

/// The same, without whom the kubeconfig itself would impersonate: where a caller is named, nobody else may be.
pub(super) fn impersonating_nobody(config: &Config) -> Config {
    let mut config = config.clone();
    let AuthInfo { impersonate, impersonate_groups, impersonate_uid, impersonate_user_extra, .. } =
        &mut config.auth_info;
    (*impersonate, *impersonate_groups, *impersonate_uid, *impersonate_user_extra) = (None, None, None, None);
    config
}

/// Runs a credential plugin where the kubeconfig has one, and so takes its time. Nothing is dialled.
///
/// # Errors
/// When what the kubeconfig says of login, trust or proxy cannot be used.
pub(super) fn transport(config: &Config) -> Result<Transport, kube::Error> {
    let dial = Dial::new(config)?;
    let calls = Lanes::new(dial.clone(), PING_OF_CALLS);
    let streams = Lanes::new(dial, PING_OF_STREAMS);
    let roads = Arc::new((calls, streams));
    let send = service_fn(move |request: Request<Body>| {
        let roads = roads.clone();
        async move {
            let (calls, streams) = &*roads;
            match request.extensions().get() {
                Some(Traffic::Stream) => streams.send(request).await,
                Some(Traffic::Call) | None => calls.send(request).await,
            }
        }
    });
    let own = config.extra_headers_layer()?.layer(send.clone());
    let others = impersonating_nobody(config).extra_headers_layer()?.layer(send);
    // Headers are added to those that are there: a caller would be given the groups of whom the kubeconfig impersonates.
    let send = service_fn(move |request: Request<Body>| {
        let (own, others) = (own.clone(), others.clone());
        async move {
            match request.headers().contains_key("impersonate-user") {
                true => others.oneshot(request).await,
                false => own.oneshot(request).await,
            }
        }
    });
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .layer(DecompressionLayer::new().gzip(!config.disable_compression))
        .option_layer(config.default_retry.then(|| RetryLayer::new(RetryPolicy::server_retry())))
        .option_layer(config.auth_layer()?)
        .map_err(BoxError::from)
        .service(send);
    let service = service.map_response(|response: Response<_>| {
        response.map(|body| BodyExt::map_err(body, BoxError::from).boxed_unsync())
    });
    Ok(BoxCloneSyncService::new(service))
}
