//! Ways that lead to a Service that is not there, or to a port that it has not.

use std::collections::BTreeMap;

use crate::tools::{
    diagnose::{
        cause::Cause,
        finding::{Evidence, Finding, ObjectRef, Severity},
        look::reference,
        picture::Picture,
        reach::has_all,
        routing::{Way, WayPort, find_port, port_words, ports_words, ways},
    },
    target,
};

pub(super) fn check(picture: &Picture, findings: &mut Vec<Finding>) {
    // One finding for all paths of one object that lead the same way.
    let mut together: BTreeMap<(ObjectRef, ObjectRef, String), Vec<Way>> = BTreeMap::new();
    for way in ways(picture) {
        let key = (way.from.clone(), way.service.clone(), format!("{:?}", way.port));
        together.entry(key).or_default().push(way);
    }
    for ways in together.values() {
        if let Some(way) = ways.first().filter(|way| has_all(picture, "Service", &way.service.namespace)) {
            findings.extend(judge(picture, way, ways));
        }
    }
}

fn judge(picture: &Picture, way: &Way, all: &[Way]) -> Option<Finding> {
    let service = picture.services.iter().find(|known| reference("Service", &known.metadata) == way.service);
    let Some(service) = service else { return Some(missing(picture, way, all)) };
    let is_alias = service.spec.as_ref().is_some_and(|spec| spec.type_.as_deref() == Some("ExternalName"));
    if is_alias || find_port(service, &way.port).is_some() {
        return None;
    }
    let (WayPort::Service(port) | WayPort::Target(port)) = &way.port else { return None };
    let (port, ports) = (port_words(port), ports_words(service));
    let is_target = matches!(way.port, WayPort::Target(_));
    let kind_of_port = if is_target { "target port" } else { "port" };
    let mechanism = format!(
        "{} {} leads {} to {kind_of_port} {port} of Service {}, which has only: {ports}",
        way.from.kind,
        way.from.name,
        traffic(all),
        way.service.name
    );
    let cause = if way.from.kind == "Ingress" { Cause::IngressPortWrong } else { Cause::RoutePortWrong };
    let path = if is_target { "spec.port.targetPort".to_owned() } else { format!("{}.port", way.path) };
    let confirm =
        format!("get_resource Service {} in {}: spec.ports", way.service.name, way.service.namespace);
    let change = format!("{path}: one of {ports}");
    let finding = Finding::new(Severity::Critical, cause, &way.from, mechanism, confirm, change);
    Some(finding.shown_by([
        Evidence::field(&way.from, &path, port),
        Evidence::field(&way.service, "spec.ports", ports),
    ]))
}

fn missing(picture: &Picture, way: &Way, all: &[Way]) -> Finding {
    let Way { from, path, service, .. } = way;
    let there =
        picture.services.iter().filter(|known| known.metadata.namespace.as_ref() == Some(&service.namespace));
    let near = target::nearest(&service.name, there.filter_map(|known| known.metadata.name.as_deref()));
    let mechanism = format!(
        "{} {} leads {} to Service {}, which does not exist in {}{}",
        from.kind,
        from.name,
        traffic(all),
        service.name,
        service.namespace,
        near.first().map_or_else(String::new, |near| format!("; nearest is {near}"))
    );
    let cause =
        if from.kind == "Ingress" { Cause::IngressBackendMissing } else { Cause::RouteBackendMissing };
    let confirm = format!("list_resources services in {}", service.namespace);
    let change = match near.first() {
        Some(near) => format!("{path}.name: {near}"),
        None => format!("{path}.name: a Service that exists, or make Service {}", service.name),
    };
    let finding = Finding::new(Severity::Critical, cause, from, mechanism, confirm, change);
    finding.shown_by([Evidence::field(from, &format!("{path}.name"), service.name.as_str())])
}

/// `a.example/, a.example/x and 3 more paths`; `traffic` where it does not say.
fn traffic(all: &[Way]) -> String {
    let said: Vec<&str> =
        all.iter().map(|way| way.traffic.as_str()).filter(|said| !said.is_empty()).collect();
    match said.as_slice() {
        [] => "traffic".to_owned(),
        [first] => (*first).to_owned(),
        [first, second] => format!("{first} and {second}"),
        [first, second, rest @ ..] => format!("{first}, {second} and {} more", rest.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tools::diagnose::checks::example::{findings, found};

    const SERVICE: &str = "
kind: Service
metadata: { name: web }
spec: { ports: [{ name: http, port: 80, targetPort: 8080 }] }
---
";

    fn ingress(name: &str, port: &str) -> String {
        let backend = format!("backend: {{ service: {{ name: {name}, port: {port} }} }}");
        let paths = format!(
            "{{ path: /, pathType: Prefix, {backend} }}, {{ path: /x, pathType: Prefix, {backend} }}"
        );
        format!(
            "{SERVICE}kind: Ingress\nmetadata: {{ name: front }}\nspec: {{ rules: [{{ host: a.example, http: {{ paths: [{paths}] }} }}] }}"
        )
    }

    #[test]
    fn an_ingress_to_a_missing_service_or_port() {
        let all = findings(check, &ingress("webb", "{ number: 80 }"));
        assert_eq!(all.len(), 1);
        assert_eq!(
            all[0].mechanism,
            "Ingress front leads a.example/ and a.example/x to Service webb, which does not exist in shop; nearest is web"
        );
        let all = findings(check, &ingress("web", "{ number: 8080 }"));
        assert_eq!(
            all[0].mechanism,
            "Ingress front leads a.example/ and a.example/x to port 8080 of Service web, which has only: http 80"
        );
        assert!(found(check, &ingress("web", "{ number: 80 }")).is_empty());
        assert!(found(check, &ingress("web", "{ name: http }")).is_empty());
    }

    #[test]
    fn gateway_routes_and_openshift_routes() {
        let http = |name: &str, port: u16| {
            format!(
                "{SERVICE}apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {{ name: r }}\nspec: {{ rules: [{{ backendRefs: [{{ name: {name}, port: {port} }}] }}] }}"
            )
        };
        assert_eq!(found(check, &http("gone", 80)), ["RouteBackendMissing HTTPRoute shop/r"]);
        assert_eq!(found(check, &http("web", 81)), ["RoutePortWrong HTTPRoute shop/r"]);
        assert!(found(check, &http("web", 80)).is_empty());
        let route = |name: &str, port: &str| {
            format!(
                "{SERVICE}apiVersion: route.openshift.io/v1\nkind: Route\nmetadata: {{ name: r }}\nspec: {{ to: {{ kind: Service, name: {name} }}, port: {{ targetPort: {port} }} }}"
            )
        };
        assert_eq!(found(check, &route("gone", "http")), ["RouteBackendMissing Route shop/r"]);
        assert_eq!(found(check, &route("web", "https")), ["RoutePortWrong Route shop/r"]);
        for right in ["http", "8080"] {
            assert!(found(check, &route("web", right)).is_empty());
        }
    }

    #[test]
    fn services_of_namespaces_that_were_not_looked_at_are_not_missed() {
        let far = "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: { name: r }\nspec: { rules: [{ backendRefs: [{ name: x, namespace: far, port: 80 }] }] }";
        assert!(found(check, far).is_empty());
    }
}
