//! The Gateway API: Gateways that no class or controller makes real, and routes that no Gateway takes. The backends of
//! routes are in `backends.rs`.

use serde_json::Value;

use crate::tools::{
    diagnose::{
        cause::Cause,
        customs::{self, Condition, conditions, list, text},
        finding::{Evidence, Finding, ObjectRef, Severity},
        picture::{Picture, Scope},
        reach::looks_at,
        routing::{GATEWAY_GROUP, GATEWAY_ROUTES},
    },
    target,
};

/// A controller takes a new object within seconds.
const TAKEN_SECONDS: i64 = 10;

pub(super) fn check(picture: &Picture, findings: &mut Vec<Finding>) {
    for gateway in
        customs::of(picture, GATEWAY_GROUP, "Gateway").filter(|gateway| is_settled(picture, gateway))
    {
        findings.extend(class_of(picture, gateway).or_else(|| not_ready(picture, gateway)));
    }
    for kind in GATEWAY_ROUTES {
        for route in customs::of(picture, GATEWAY_GROUP, kind).filter(|route| is_settled(picture, route)) {
            findings.extend(parents(picture, route));
        }
    }
}

fn is_settled(picture: &Picture, value: &Value) -> bool {
    let made = text(value, "/metadata/creationTimestamp").parse::<jiff::Timestamp>();
    made.is_ok_and(|made| picture.now.as_second() - made.as_second() >= TAKEN_SECONDS)
}

fn class_of(picture: &Picture, gateway: &Value) -> Option<Finding> {
    let object = customs::reference(gateway);
    let class = text(gateway, "/spec/gatewayClassName");
    let classes: Vec<&str> = customs::of(picture, GATEWAY_GROUP, "GatewayClass")
        .map(|class| text(class, "/metadata/name"))
        .collect();
    // Classes belong to the whole cluster, and are not read with one namespace alone.
    let known = picture.scope == Scope::Cluster || !classes.is_empty();
    if !known || classes.contains(&class) {
        return None;
    }
    let near = target::nearest(class, classes.iter().copied());
    let have = if classes.is_empty() {
        "the cluster has none".to_owned()
    } else {
        format!("there are: {}", classes.join(", "))
    };
    let mechanism = format!(
        "Gateway {} is of class {class}, which does not exist ({have}): nobody makes it real",
        object.name
    );
    let change = match near.first() {
        Some(near) => format!("spec.gatewayClassName: {near}"),
        None => "spec.gatewayClassName: a class that exists".to_owned(),
    };
    let cause = Cause::GatewayClassMissing;
    let finding =
        Finding::new(Severity::Critical, cause, &object, mechanism, "list_resources gatewayclasses", change);
    Some(finding.shown_by([Evidence::field(&object, "spec.gatewayClassName", class)]))
}

fn not_ready(picture: &Picture, gateway: &Value) -> Option<Finding> {
    let object = customs::reference(gateway);
    let of_listeners =
        list(gateway, "/status/listeners").iter().flat_map(|listener| conditions(listener, "/conditions"));
    let bad = |condition: &Condition<'_>| {
        let is_bad = match condition.kind {
            "Accepted" | "Programmed" => condition.status != "True",
            "ResolvedRefs" => condition.status == "False",
            "Conflicted" => condition.status == "True",
            _ => false,
        };
        is_bad && !condition.is_stale(gateway) && condition.seconds(picture.now) >= TAKEN_SECONDS
    };
    let condition = conditions(gateway, "/status/conditions").chain(of_listeners).find(bad)?;
    let state = format!("{}={}", condition.kind, condition.status);
    let mechanism = format!("Gateway {} takes no traffic, {state}: {}", object.name, condition.words());
    let confirm = format!("get_resource Gateway {} in {}: status", object.name, object.namespace);
    let change = "what its controller names; where none answers, install the one of its class";
    let finding =
        Finding::new(Severity::Critical, Cause::GatewayNotReady, &object, mechanism, confirm, change);
    let path = format!("status.conditions[type={}]", condition.kind);
    // A certificate that is missing is told of at the Gateway itself.
    Some(finding.shown_by([Evidence::field(&object, &path, state)]))
}

fn parents(picture: &Picture, route: &Value) -> Option<Finding> {
    let object = customs::reference(route);
    let gateways: Vec<ObjectRef> =
        customs::of(picture, GATEWAY_GROUP, "Gateway").map(customs::reference).collect();
    let mut named = Vec::new();
    for parent in list(route, "/spec/parentRefs") {
        let kind = parent.get("kind").and_then(Value::as_str).unwrap_or("Gateway");
        if kind != "Gateway" {
            continue;
        }
        let namespace = parent.get("namespace").and_then(Value::as_str).unwrap_or(&object.namespace);
        let gateway = ObjectRef::new("Gateway", namespace, text(parent, "/name"));
        if looks_at(picture, namespace) && !gateways.contains(&gateway) {
            return Some(without_gateway(&object, &gateway, &gateways));
        }
        named.push(gateway);
    }
    let refused = list(route, "/status/parents").iter().find_map(|parent| {
        conditions(parent, "/conditions").find(|condition| {
            ["Accepted", "ResolvedRefs"].contains(&condition.kind)
                && condition.status == "False"
                && !condition.is_stale(route)
        })
    })?;
    let state = format!("{}=False", refused.kind);
    let mechanism =
        format!("{} {} is not taken by its Gateway, {state}: {}", object.kind, object.name, refused.words());
    let confirm =
        format!("get_resource {} {} in {}: status.parents", object.kind, object.name, object.namespace);
    let change = "what the Gateway names: its listeners' allowedRoutes, the route's hostnames or backendRefs";
    let finding =
        Finding::new(Severity::Critical, Cause::RouteNotAdmitted, &object, mechanism, confirm, change);
    // A backend that is missing is told of at the route itself, and is why its references do not resolve.
    let itself = (refused.kind == "ResolvedRefs").then(|| object.clone());
    let path = format!("status.parents[].conditions[type={}].status", refused.kind);
    Some(finding.shown_by([Evidence::field(&object, &path, "False")]).following(named).following(itself))
}

fn without_gateway(object: &ObjectRef, gateway: &ObjectRef, known: &[ObjectRef]) -> Finding {
    let near = target::nearest(&gateway.name, known.iter().map(|known| known.name.as_str()));
    let near_words = near.first().map_or_else(String::new, |near| format!("; nearest is {near}"));
    let mechanism = format!(
        "{} {} hangs on Gateway {}/{}, which does not exist{near_words}: no traffic comes to it",
        object.kind, object.name, gateway.namespace, gateway.name
    );
    let change = match near.first() {
        Some(near) => format!("spec.parentRefs[].name: {near}"),
        None => "spec.parentRefs: a Gateway that exists".to_owned(),
    };
    let confirm = "list_resources gateways.gateway.networking.k8s.io";
    let finding = Finding::new(Severity::Critical, Cause::GatewayMissing, object, mechanism, confirm, change);
    finding.shown_by([Evidence::field(object, "spec.parentRefs[].name", gateway.name.as_str())])
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tools::diagnose::checks::example::{findings, found};

    const NONE: [&str; 0] = [];
    const API: &str = "apiVersion: gateway.networking.k8s.io/v1\n";

    fn gateway(status: &str) -> String {
        format!(
            "{API}kind: Gateway\nmetadata: {{ name: front }}\nspec: {{ gatewayClassName: envoy }}\nstatus: {status}\n---\n"
        )
    }

    fn route(parent: &str, status: &str) -> String {
        format!(
            "{API}kind: HTTPRoute\nmetadata: {{ name: web }}\nspec: {{ parentRefs: [{{ name: {parent} }}] }}\nstatus: {status}\n---\n"
        )
    }

    #[test]
    fn gateways_and_their_classes() {
        let class = format!("{API}kind: GatewayClass\nmetadata: {{ name: envoy-gateway }}\n---\n");
        let all = findings(check, &(class.clone() + &gateway("{}")));
        assert_eq!(all[0].change.what, "spec.gatewayClassName: envoy-gateway");
        assert_eq!(found(check, &gateway("{}")), NONE);
        let refused =
            gateway("{ conditions: [{ type: Programmed, status: 'False', reason: AddressNotAssigned }] }");
        assert_eq!(found(check, &refused), ["GatewayNotReady Gateway shop/front"]);
        assert_eq!(found(check, &refused.replace("'False'", "'True'")), NONE);
    }

    #[test]
    fn routes_and_their_gateways() {
        let all = findings(check, &(gateway("{}") + &route("frnt", "{}")));
        assert_eq!(
            all[0].mechanism,
            "HTTPRoute web hangs on Gateway shop/frnt, which does not exist; nearest is front: no traffic comes to it"
        );
        assert_eq!(found(check, &(gateway("{}") + &route("front", "{}"))), NONE);
        let refused = "{ parents: [{ conditions: [{ type: Accepted, status: 'False', reason: NotAllowedByListeners }] }] }";
        assert_eq!(
            found(check, &(gateway("{}") + &route("front", refused))),
            ["RouteNotAdmitted HTTPRoute shop/web"]
        );
    }
}
