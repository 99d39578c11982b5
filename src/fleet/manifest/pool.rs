//! An MCPPool as a downstream, and an MCPServer as its member.

use kube::ResourceExt;

use super::{Declaration, common, reached_in_cluster};
use crate::{
    api::{MCPPool, MCPServer},
    fleet::secrets::Known,
    gateway::{Downstream, Endpoint, Member, Reached, ServerName, Target, Terms, Transport},
};

/// The name under which a pool is known.
pub(in crate::fleet) fn name(pool: &MCPPool) -> ServerName {
    ServerName { namespace: pool.namespace().unwrap_or_default(), name: pool.name_any() }
}

/// # Errors
/// One sentence that names the field and the fix.
pub(in crate::fleet) fn pool(pool: &MCPPool, members: Vec<Member>) -> Result<Downstream, String> {
    let first = members.iter().find_map(|member| member.reached.as_ref().ok());
    let transport = first.map_or(Transport::StreamableHttp, |reached| reached.transport);
    common(&Declaration::of_pool(pool), transport, Target::Members(members))
}

/// An MCPServer whose usable pods are `endpoints`. Its own settings hold where they concern its pods, and the pool's
/// where it has none.
pub(in crate::fleet) fn member(
    pool: &MCPPool,
    server: &MCPServer,
    endpoints: Vec<Endpoint>,
    secrets: &Known,
) -> Member {
    let mut server = server.clone();
    let gateway = &mut server.spec.gateway;
    gateway.host_header = gateway.host_header.take().or_else(|| pool.spec.gateway.host_header.clone());
    let Terms { stateless, drain, wakes_within, .. } = Declaration::of(&server).terms();
    let reached = reached_in_cluster(&server, endpoints, secrets).map(|(transport, target)| Reached {
        transport,
        target,
        stateless: stateless || pool.spec.gateway.stateless,
        drain,
        // One that somebody stopped does not wake for whoever calls: another one may.
        wakes_within: wakes_within.filter(|_| server.spec.replicas != 0),
    });
    Member { server: super::name(&server), reached }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use serde_json::{Value, json};

    use super::{Known, member, pool};
    use crate::{
        api::{MCPPool, MCPServer},
        gateway::{Member, Reached, Target, Transport},
    };

    fn declared(gateway: Value) -> MCPPool {
        let spec = json!({ "selector": { "matchLabels": { "pool": "search" } }, "gateway": gateway });
        serde_json::from_value(json!({
            "apiVersion": "pilothouse.dev/v1alpha1", "kind": "MCPPool",
            "metadata": { "name": "the-search", "namespace": "tools" }, "spec": spec,
        }))
        .unwrap()
    }

    fn server(spec: Value) -> MCPServer {
        serde_json::from_value(json!({
            "apiVersion": "pilothouse.dev/v1alpha1", "kind": "MCPServer",
            "metadata": { "name": "search-a", "namespace": "tools" }, "spec": spec,
        }))
        .unwrap()
    }

    fn reached(gateway: Value, spec: Value) -> Reached {
        member(&declared(gateway), &server(spec), Vec::new(), &Known::default()).reached.unwrap()
    }

    fn host(reached: &Reached) -> &str {
        let Target::Endpoints { host_header, .. } = &reached.target else { panic!("{reached:?}") };
        host_header
    }

    #[test]
    fn a_members_own_settings_hold_where_they_concern_its_pods() {
        let plain = reached(json!({}), json!({ "image": "x" }));
        assert_eq!((host(&plain), plain.stateless), ("search-a.tools.svc:8080", false));
        assert_eq!(plain.drain, Duration::from_secs(30));
        let shared = json!({ "hostHeader": "pool.example", "stateless": true });
        let of_pool = reached(shared.clone(), json!({ "image": "x" }));
        assert_eq!((host(&of_pool), of_pool.stateless), ("pool.example", true));
        let own = json!({
            "image": "x", "transport": "sse", "gateway": { "hostHeader": "own.example" },
            "rollout": { "drainTimeout": "5m" },
            "scaleToZero": { "idleAfter": "10s", "wakeTimeout": "30s" },
        });
        let own = reached(shared, own);
        assert_eq!((host(&own), own.transport), ("own.example", Transport::Sse));
        assert_eq!((own.drain.as_secs(), own.wakes_within), (300, Some(Duration::from_secs(30))));
    }

    #[test]
    fn one_that_somebody_stopped_is_not_woken() {
        let spec = json!({ "image": "x", "replicas": 0, "scaleToZero": { "idleAfter": "10s" } });
        assert_eq!(reached(json!({}), spec).wakes_within, None);
    }

    #[test]
    fn the_pools_settings_hold_for_its_tools() {
        let gateway = json!({ "callTimeout": "5s", "redact": false, "tools": { "deny": ["rm"] } });
        let found = pool(&declared(gateway), Vec::new()).unwrap();
        assert_eq!((found.prefix.as_str(), found.call_timeout.as_secs()), ("thesearch", 5));
        assert!(!found.terms.redact && !found.tools.permits("rm"));
        assert!(pool(&declared(json!({ "prefix": "A" })), Vec::new()).is_err());
    }

    #[test]
    fn a_member_that_cannot_be_used_says_why_and_stays_one() {
        let broken = member(&declared(json!({})), &server(json!({})), Vec::new(), &Known::default());
        let Member { server, reached } = broken;
        assert_eq!(server.name, "search-a");
        assert!(reached.unwrap_err().contains("spec.image is missing"));
    }
}
