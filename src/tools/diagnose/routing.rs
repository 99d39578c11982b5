//! What leads traffic from outside to a Service: Ingresses, Gateway API routes, OpenShift Routes.

use k8s_openapi::{
    api::{
        core::v1::{Service, ServicePort},
        networking::v1::{Ingress, IngressBackend},
    },
    apimachinery::pkg::util::intstr::IntOrString,
};
use serde_json::Value;

use super::{
    customs::{self, list, text},
    finding::ObjectRef,
    look::reference,
    picture::Picture,
};

/// The group of Gateway, HTTPRoute and their like.
pub(super) const GATEWAY_GROUP: &str = "gateway.networking.k8s.io";
/// The kinds of it that have backends.
pub(super) const GATEWAY_ROUTES: [&str; 5] = ["HTTPRoute", "GRPCRoute", "TCPRoute", "TLSRoute", "UDPRoute"];
/// The group of OpenShift's Route.
pub(super) const ROUTE_GROUP: &str = "route.openshift.io";

/// One way to a Service.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Way {
    /// The Ingress, HTTPRoute or Route.
    pub(super) from: ObjectRef,
    /// Where in it, as a field path.
    pub(super) path: String,
    /// What comes this way: `host/path`, where it says.
    pub(super) traffic: String,
    pub(super) service: ObjectRef,
    pub(super) port: WayPort,
}

/// Which port of the Service is meant.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum WayPort {
    /// Any will do.
    Unsaid,
    /// The port of the Service.
    Service(IntOrString),
    /// The port of the pods (a Route's `targetPort`) or the name of the Service's.
    Target(IntOrString),
}

/// Every way that the picture shows.
pub(super) fn ways(picture: &Picture) -> Vec<Way> {
    let mut all: Vec<Way> = picture.ingresses.iter().flat_map(of_ingress).collect();
    for kind in GATEWAY_ROUTES {
        all.extend(customs::of(picture, GATEWAY_GROUP, kind).flat_map(of_gateway_route));
    }
    all.extend(customs::of(picture, ROUTE_GROUP, "Route").flat_map(of_route));
    all
}

/// The port of `service` that is meant, if it has it.
pub(super) fn find_port<'a>(service: &'a Service, port: &WayPort) -> Option<&'a ServicePort> {
    let mut ports = service.spec.as_ref()?.ports.iter().flatten();
    match port {
        WayPort::Unsaid => ports.next(),
        WayPort::Service(IntOrString::Int(number)) => ports.find(|port| port.port == *number),
        WayPort::Service(IntOrString::String(name)) => ports.find(|port| port.name.as_deref() == Some(name)),
        WayPort::Target(wanted) => ports.find(|port| {
            let target = port.target_port.clone().unwrap_or(IntOrString::Int(port.port));
            let named = matches!(wanted, IntOrString::String(name) if port.name.as_deref() == Some(name));
            named || target == *wanted
        }),
    }
}

/// `80`, `http`.
pub(super) fn port_words(port: &IntOrString) -> String {
    match port {
        IntOrString::Int(number) => number.to_string(),
        IntOrString::String(name) => name.clone(),
    }
}

/// `http 80, 9090`; `none`.
pub(super) fn ports_words(service: &Service) -> String {
    let ports = service.spec.iter().flat_map(|spec| spec.ports.iter().flatten());
    let all: Vec<String> = ports
        .map(|port| match &port.name {
            Some(name) => format!("{name} {}", port.port),
            None => port.port.to_string(),
        })
        .collect();
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}

fn of_ingress(ingress: &Ingress) -> Vec<Way> {
    let from = reference("Ingress", &ingress.metadata);
    let Some(spec) = &ingress.spec else { return Vec::new() };
    let way = |backend: &IngressBackend, path: String, traffic: String| {
        let service = backend.service.as_ref()?;
        let port = service.port.as_ref();
        let named = port.and_then(|port| port.name.clone()).filter(|name| !name.is_empty());
        let port = match (named, port.and_then(|port| port.number)) {
            (Some(name), _) => WayPort::Service(IntOrString::String(name)),
            (None, Some(number)) => WayPort::Service(IntOrString::Int(number)),
            (None, None) => WayPort::Unsaid,
        };
        let service = ObjectRef::new("Service", &from.namespace, &service.name);
        Some(Way { from: from.clone(), path, traffic, service, port })
    };
    let default = spec.default_backend.as_ref();
    let mut all: Vec<Way> = default
        .and_then(|backend| way(backend, "spec.defaultBackend".to_owned(), "everything else".to_owned()))
        .into_iter()
        .collect();
    for (rule_at, rule) in spec.rules.iter().flatten().enumerate() {
        let host = rule.host.as_deref().unwrap_or("*");
        for (path_at, path) in rule.http.iter().flat_map(|http| &http.paths).enumerate() {
            let field = format!("spec.rules[{rule_at}].http.paths[{path_at}].backend.service");
            let traffic = format!("{host}{}", path.path.as_deref().unwrap_or("/"));
            all.extend(way(&path.backend, field, traffic));
        }
    }
    all
}

fn of_gateway_route(route: &Value) -> Vec<Way> {
    let from = customs::reference(route);
    let hosts: Vec<&str> = list(route, "/spec/hostnames").iter().filter_map(Value::as_str).collect();
    let mut all = Vec::new();
    for (rule_at, rule) in list(route, "/spec/rules").iter().enumerate() {
        for (at, backend) in list(rule, "/backendRefs").iter().enumerate() {
            let kind = backend.get("kind").and_then(Value::as_str).unwrap_or("Service");
            if kind != "Service" || !text(backend, "/group").is_empty() {
                continue;
            }
            let namespace = backend.get("namespace").and_then(Value::as_str).unwrap_or(&from.namespace);
            let port = backend.get("port").and_then(Value::as_i64).and_then(|port| i32::try_from(port).ok());
            all.push(Way {
                path: format!("spec.rules[{rule_at}].backendRefs[{at}]"),
                traffic: hosts.join(","),
                service: ObjectRef::new("Service", namespace, text(backend, "/name")),
                port: port.map_or(WayPort::Unsaid, |port| WayPort::Service(IntOrString::Int(port))),
                from: from.clone(),
            });
        }
    }
    all
}

fn of_route(route: &Value) -> Vec<Way> {
    let from = customs::reference(route);
    let port = match route.pointer("/spec/port/targetPort") {
        Some(Value::String(name)) => WayPort::Target(IntOrString::String(name.clone())),
        Some(Value::Number(number)) => {
            let number = number.as_i64().and_then(|number| i32::try_from(number).ok());
            number.map_or(WayPort::Unsaid, |number| WayPort::Target(IntOrString::Int(number)))
        }
        _ => WayPort::Unsaid,
    };
    let first = route.pointer("/spec/to").map(|to| ("spec.to".to_owned(), to));
    let others = list(route, "/spec/alternateBackends").iter().enumerate();
    let others = others.map(|(at, to)| (format!("spec.alternateBackends[{at}]"), to));
    first
        .into_iter()
        .chain(others)
        .filter(|(_, to)| matches!(text(to, "/kind"), "Service" | ""))
        .map(|(path, to)| Way {
            path,
            traffic: format!("{}{}", text(route, "/spec/host"), text(route, "/spec/path")),
            service: ObjectRef::new("Service", &from.namespace, text(to, "/name")),
            port: port.clone(),
            from: from.clone(),
        })
        .collect()
}
