//! How Services are reached: from which nodes, through a load balancer, under another name.

use std::{collections::BTreeSet, net::IpAddr};

use k8s_openapi::api::core::v1::{Service, ServiceSpec};

use super::services::selected;
use crate::tools::diagnose::{
    cause::Cause,
    finding::{Evidence, Finding, ObjectRef, Severity},
    look::{reference, seconds_old},
    picture::Picture,
    pods::is_ready,
    reach::has_all,
    routing::ways,
    users::users,
};
use crate::tools::kinds::age;

/// Most cloud providers give one within a minute.
const LOAD_BALANCER_SECONDS: i64 = 60;

pub(super) fn check(picture: &Picture, findings: &mut Vec<Finding>) {
    for service in &picture.services {
        let Some(spec) = &service.spec else { continue };
        let object = reference("Service", &service.metadata);
        findings.extend(match spec.type_.as_deref() {
            Some("ExternalName") => other_name(picture, &object, spec),
            Some("LoadBalancer") => pending(picture, service, &object, spec),
            _ => None,
        });
        findings.extend(local_only(picture, &object, spec));
    }
}

fn pending(picture: &Picture, service: &Service, object: &ObjectRef, spec: &ServiceSpec) -> Option<Finding> {
    let status = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let has_address = status.is_some_and(|status| status.ingress.as_ref().is_some_and(|all| !all.is_empty()));
    let outside = spec.external_ips.as_ref().is_some_and(|all| !all.is_empty());
    let failed = picture.events_of(object).find(|event| event.reason == "SyncLoadBalancerFailed");
    let waited = seconds_old(&service.metadata, picture.now);
    if has_address || outside || (failed.is_none() && waited < LOAD_BALANCER_SECONDS) {
        return None;
    }
    let made = service.metadata.creation_timestamp.as_ref().map(|made| made.0);
    let class = spec.load_balancer_class.as_deref();
    let who = class.map_or_else(String::new, |class| format!(" of class {class}"));
    let mechanism = match failed {
        Some(event) => format!("Service {} gets no load balancer: {}", object.name, event.message),
        None => format!(
            "Service {} waits for a load balancer{who} since {}: nothing in the cluster gives it an address",
            object.name,
            age(made, picture.now)
        ),
    };
    let confirm = format!(
        "list_events in {} of Service {}; look for a load balancer controller",
        object.namespace, object.name
    );
    let change = "install what gives addresses, or spec.type: ClusterIP with an Ingress";
    let finding =
        Finding::new(Severity::Warning, Cause::LoadBalancerPending, object, mechanism, confirm, change);
    let evidence = [Evidence::field(object, "status.loadBalancer.ingress", "none")];
    Some(finding.shown_by(evidence).shown_by(failed.map(|event| picture.event_evidence(event))))
}

fn other_name(picture: &Picture, object: &ObjectRef, spec: &ServiceSpec) -> Option<Finding> {
    let name = spec.external_name.as_deref().unwrap_or_default();
    let why = wrong_name(picture, name)?;
    let mechanism = format!("Service {} stands for {name:?}: {why}", object.name);
    let confirm = format!("get_resource Service {} in {}", object.name, object.namespace);
    let change = "spec.externalName: a host name, without scheme, port or path";
    let cause = Cause::ExternalNameWrong;
    let finding = Finding::new(Severity::Critical, cause, object, mechanism, confirm, change);
    let users = users(picture, &ways(picture), object).into_iter().map(|user| user.object);
    Some(finding.shown_by([Evidence::field(object, "spec.externalName", name)]).affecting(users))
}

fn wrong_name(picture: &Picture, name: &str) -> Option<String> {
    if name.is_empty() {
        return Some("no name at all".to_owned());
    }
    if name.parse::<IpAddr>().is_ok() {
        return Some("an address is no name, no DNS server will resolve it".to_owned());
    }
    if name.contains(['/', ':']) {
        return Some("a name has neither scheme, port nor path".to_owned());
    }
    let inside = name.strip_suffix(".svc.cluster.local").or_else(|| name.strip_suffix(".svc"))?;
    let (service, namespace) = inside.rsplit_once('.')?;
    let there = picture.services.iter().any(|known| {
        known.metadata.name.as_deref() == Some(service)
            && known.metadata.namespace.as_deref() == Some(namespace)
    });
    (!there && has_all(picture, "Service", namespace) && !service.contains('.'))
        .then(|| format!("there is no Service {service} in {namespace}"))
}

/// Traffic from inside stays on its node, and there are clients on nodes without an endpoint.
fn local_only(picture: &Picture, object: &ObjectRef, spec: &ServiceSpec) -> Option<Finding> {
    let selector = spec.selector.as_ref().filter(|selector| !selector.is_empty())?;
    if spec.internal_traffic_policy.as_deref() != Some("Local") {
        return None;
    }
    let node = |pod: &k8s_openapi::api::core::v1::Pod| pod.spec.as_ref()?.node_name.clone();
    let backs: Vec<_> = selected(picture, &object.namespace, selector).collect();
    // A pod on every node is what this policy is for.
    let everywhere = backs.iter().any(|pod| picture.owner_of(pod).kind == "DaemonSet");
    let covered: BTreeSet<String> =
        backs.iter().filter(|pod| is_ready(pod)).filter_map(|pod| node(pod)).collect();
    if everywhere || covered.is_empty() {
        return None;
    }
    let clients: BTreeSet<ObjectRef> = users(picture, &ways(picture), object)
        .into_iter()
        .map(|user| user.object)
        .filter(|user| !matches!(user.kind.as_str(), "Ingress" | "Route"))
        .collect();
    let far: Vec<(ObjectRef, ObjectRef, String)> = picture
        .pods
        .iter()
        .filter_map(|pod| {
            let owner = picture.owner_of(pod);
            let on = node(pod).filter(|on| !covered.contains(on) && clients.contains(&owner))?;
            Some((owner, reference("Pod", &pod.metadata), on))
        })
        .collect();
    let (owner, pod, on) = far.first()?;
    let have: Vec<&str> = covered.iter().map(String::as_str).collect();
    let have = have.join(", ");
    let mechanism = format!(
        "Service {} has internalTrafficPolicy Local and endpoints on {have} only: {} on {on} gets no answer from it",
        object.name,
        pod.words()
    );
    let confirm = format!("list_resources pods in {}, and on which nodes they are", object.namespace);
    let change = "spec.internalTrafficPolicy: Cluster, or a pod of it on every node";
    let cause = Cause::ServiceTrafficPolicyLocal;
    let finding = Finding::new(Severity::Critical, cause, object, mechanism, confirm, change);
    let evidence = [
        Evidence::field(object, "spec.internalTrafficPolicy", "Local"),
        Evidence::field(pod, "spec.nodeName", on.as_str()),
    ];
    Some(finding.shown_by(evidence).affecting([owner.clone(), pod.clone()]))
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tools::diagnose::checks::example::{findings, found};

    #[test]
    fn a_load_balancer_that_never_comes() {
        let with = |made: &str, status: &str| {
            format!(
                "kind: Service\nmetadata: {{ name: web, creationTimestamp: '{made}' }}\nspec: {{ type: LoadBalancer }}\nstatus: {status}"
            )
        };
        let all = findings(check, &with("2026-01-01T11:00:00Z", "{}"));
        assert_eq!(
            all[0].mechanism,
            "Service web waits for a load balancer since 60m: nothing in the cluster gives it an address"
        );
        assert!(found(check, &with("2026-01-01T11:59:30Z", "{}")).is_empty());
        assert!(
            found(check, &with("2026-01-01T11:00:00Z", "{ loadBalancer: { ingress: [{ ip: 1.2.3.4 }] } }"))
                .is_empty()
        );
        let failed = "\n---\nkind: Event\nobject: { kind: Service, name: web }\nreason: SyncLoadBalancerFailed\nmessage: no quota";
        let all = findings(check, &(with("2026-01-01T11:59:30Z", "{}") + failed));
        assert_eq!(all[0].mechanism, "Service web gets no load balancer: no quota");
    }

    #[test]
    fn a_name_that_is_none() {
        let with = |name: &str| {
            found(
                check,
                &format!(
                    "kind: Service\nmetadata: {{ name: db }}\nspec: {{ type: ExternalName, externalName: '{name}' }}"
                ),
            )
        };
        for wrong in
            ["", "10.0.0.1", "http://db.example.com", "db.example.com:5432", "db2.shop.svc.cluster.local"]
        {
            assert_eq!(with(wrong), ["ExternalNameWrong Service shop/db"], "{wrong}");
        }
        for right in ["db.example.com", "db.shop.svc.cluster.local", "x.elsewhere.svc.cluster.local"] {
            assert!(with(right).is_empty(), "{right}");
        }
    }

    #[test]
    fn traffic_that_stays_on_its_node_is_missed_by_clients_on_another() {
        let with = |client_node: &str, owner: &str| {
            format!(
                "
kind: Service
metadata: {{ name: web }}
spec: {{ selector: {{ app: web }}, internalTrafficPolicy: Local, ports: [{{ port: 80 }}] }}
---
kind: Pod
metadata: {{ name: web-1, labels: {{ app: web }}{owner} }}
spec: {{ nodeName: n1, containers: [] }}
status: {{ phase: Running, conditions: [{{ type: Ready, status: 'True' }}] }}
---
kind: Deployment
metadata: {{ name: front }}
spec: {{ selector: {{}}, template: {{ spec: {{ containers: [{{ name: main, env: [{{ name: API_URL, value: 'http://web' }}] }}] }} }} }}
---
kind: ReplicaSet
metadata: {{ name: front-1, ownerReferences: [{{ apiVersion: v1, kind: Deployment, name: front, uid: u, controller: true }}] }}
---
kind: Pod
metadata: {{ name: front-1-x, ownerReferences: [{{ apiVersion: v1, kind: ReplicaSet, name: front-1, uid: v, controller: true }}] }}
spec: {{ nodeName: {client_node}, containers: [] }}
"
            )
        };
        assert_eq!(found(check, &with("n2", "")), ["ServiceTrafficPolicyLocal Service shop/web"]);
        assert!(found(check, &with("n1", "")).is_empty());
        let daemon =
            ", ownerReferences: [{ apiVersion: v1, kind: DaemonSet, name: web, uid: w, controller: true }]";
        assert!(found(check, &with("n2", daemon)).is_empty());
    }
}
