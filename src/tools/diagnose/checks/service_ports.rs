//! Services that send to a port where nobody listens.
//!
//! A container may listen without declaring it. A number that is not declared is called wrong only where the containers
//! declare another one that no Service uses, or where traffic is led to it, and no setting of theirs speaks of it.

use k8s_openapi::{
    api::core::v1::{Container, PodSpec, Probe, ServicePort},
    apimachinery::pkg::util::intstr::IntOrString,
};

use super::services::selected;
use crate::tools::diagnose::{
    cause::Cause,
    finding::{Evidence, Finding, ObjectRef, Severity},
    look::reference,
    owning::{Workload, workloads},
    picture::Picture,
    ports::{declared, declares, port_named},
    routing::{Way, ways},
    selecting::{Labels, has_all},
    users::users,
};

pub(super) fn check(picture: &Picture, findings: &mut Vec<Finding>) {
    let ways = ways(picture);
    let makers = workloads(picture);
    for service in &picture.services {
        let spec = service.spec.as_ref().filter(|spec| spec.type_.as_deref() != Some("ExternalName"));
        let selector = spec.and_then(|spec| spec.selector.as_ref()).filter(|selector| !selector.is_empty());
        let (Some(spec), Some(selector)) = (spec, selector) else { continue };
        let object = reference("Service", &service.metadata);
        // Without an address of its own, clients go to the pods' ports by themselves.
        let is_headless = spec.cluster_ip.as_deref() == Some("None");
        let backs = behind(picture, &makers, &object.namespace, selector);
        if backs.is_empty() {
            continue;
        }
        for (at, port) in spec.ports.iter().flatten().enumerate() {
            let target = port.target_port.clone().unwrap_or(IntOrString::Int(port.port));
            let case = Case { picture, ways: &ways, object: &object, backs: &backs, at, port };
            findings.extend(match &target {
                IntOrString::String(name) => case.named(name),
                IntOrString::Int(number) if !is_headless => case.numbered(*number),
                IntOrString::Int(_) => None,
            });
        }
    }
}

/// What stands behind a Service.
struct Back<'a> {
    owner: ObjectRef,
    spec: &'a PodSpec,
}

/// By its pods; by what would make them where there are none.
fn behind<'a>(
    picture: &'a Picture,
    makers: &[Workload<'a>],
    namespace: &'a str,
    selector: &'a Labels,
) -> Vec<Back<'a>> {
    let pods = selected(picture, namespace, selector);
    let backs: Vec<Back<'_>> = pods
        .filter_map(|pod| Some(Back { owner: picture.owner_of(pod), spec: pod.spec.as_ref()? }))
        .collect();
    if !backs.is_empty() {
        return backs;
    }
    let mine = |maker: &&Workload<'_>| maker.object.namespace == namespace && has_all(selector, maker.labels);
    makers.iter().filter(mine).map(|maker| Back { owner: maker.object.clone(), spec: maker.spec }).collect()
}

struct Case<'a> {
    picture: &'a Picture,
    ways: &'a [Way],
    object: &'a ObjectRef,
    backs: &'a [Back<'a>],
    at: usize,
    port: &'a ServicePort,
}

impl Case<'_> {
    fn protocol(&self) -> &str {
        self.port.protocol.as_deref().unwrap_or("TCP")
    }

    fn named(&self, name: &str) -> Option<Finding> {
        if self.backs.iter().any(|back| port_named(back.spec, name, self.protocol()).is_some()) {
            return None;
        }
        Some(self.finding(name, &format!("no container declares a {} port of that name", self.protocol())))
    }

    fn numbered(&self, number: i32) -> Option<Finding> {
        let protocol = self.protocol();
        let known = |back: &Back<'_>| declares(back.spec, number, protocol) || speaks_of(back.spec, number);
        let declare = |back: &Back<'_>| {
            declared(back.spec).any(|port| port.protocol.as_deref().unwrap_or("TCP") == protocol)
        };
        if self.backs.iter().any(known) || !self.backs.iter().all(declare) {
            return None;
        }
        let is_used = self.ways.iter().any(|way| way.service == *self.object);
        (is_used || self.unused().is_some())
            .then(|| self.finding(&number.to_string(), "no container declares that port or is told of it"))
    }

    /// A declared port that no Service sends to: the one that was probably meant.
    fn unused(&self) -> Option<String> {
        let first = self.backs.first()?;
        let ports =
            declared(first.spec).filter(|port| port.protocol.as_deref().unwrap_or("TCP") == self.protocol());
        let mut free = ports.filter(|port| {
            let targets = |target: &IntOrString| match target {
                IntOrString::Int(number) => *number == port.container_port,
                IntOrString::String(name) => Some(name) == port.name.as_ref(),
            };
            !self.picture.services.iter().any(|service| {
                service.metadata.namespace.as_ref() == Some(&self.object.namespace)
                    && service.spec.iter().flat_map(|spec| spec.ports.iter().flatten()).any(|other| {
                        targets(&other.target_port.clone().unwrap_or(IntOrString::Int(other.port)))
                    })
            })
        });
        free.next().map(|port| port.name.clone().unwrap_or_else(|| port.container_port.to_string()))
    }

    fn finding(&self, target: &str, why: &str) -> Finding {
        let Self { picture, ways, object, backs, at, port } = self;
        let declared_words = backs.first().map(|back| words(back.spec)).unwrap_or_default();
        let owner = backs.first().map(|back| back.owner.clone()).unwrap_or_default();
        let mechanism = format!(
            "Service {} sends port {} to targetPort {target} of {}, and {why}; declared: {declared_words}",
            object.name,
            port.port,
            owner.words()
        );
        let path = format!("spec.ports[{at}].targetPort");
        let only =
            backs.first().map(|back| declared(back.spec).collect::<Vec<_>>()).filter(|all| all.len() == 1);
        let only = only.map(|all| all[0].name.clone().unwrap_or_else(|| all[0].container_port.to_string()));
        let change = match self.unused().or(only) {
            Some(meant) => format!("{path}: {meant}"),
            None => format!("{path}: a port that the containers listen on ({declared_words})"),
        };
        let confirm =
            format!("get_resource {}: containers[].ports; get_logs says where it listens", owner.words());
        let users = users(picture, ways, object).into_iter().map(|user| user.object);
        Finding::new(Severity::Critical, Cause::ServicePortWrong, object, mechanism, confirm, change)
            .shown_by([
                Evidence::field(object, &path, target),
                Evidence::field(&owner, "spec.containers[].ports", declared_words),
            ])
            .affecting(users)
    }
}

/// `http 8080, 9090/UDP`; `none`.
fn words(spec: &PodSpec) -> String {
    let all: Vec<String> = declared(spec)
        .map(|port| {
            let name = port.name.as_ref().map_or_else(String::new, |name| format!("{name} "));
            let protocol = port.protocol.as_deref().filter(|protocol| *protocol != "TCP");
            let protocol = protocol.map_or_else(String::new, |protocol| format!("/{protocol}"));
            format!("{name}{}{protocol}", port.container_port)
        })
        .collect();
    if all.is_empty() { "none".to_owned() } else { all.join(", ") }
}

/// Whether a container is probed at this number, or has it in its command or settings.
fn speaks_of(spec: &PodSpec, number: i32) -> bool {
    let digits = number.to_string();
    let has = |text: &str| text.split(|c: char| !c.is_ascii_digit()).any(|word| word == digits);
    spec.containers.iter().any(|container| {
        let Container { args, command, env, liveness_probe, readiness_probe, startup_probe, .. } = container;
        let probes = [liveness_probe, readiness_probe, startup_probe];
        args.iter().chain(command).flatten().any(|word| has(word))
            || env.iter().flatten().any(|variable| variable.value.as_deref().is_some_and(has))
            || probes.into_iter().flatten().any(|probe| probed(probe) == Some(&IntOrString::Int(number)))
    })
}

fn probed(probe: &Probe) -> Option<&IntOrString> {
    let http = probe.http_get.as_ref().map(|http| &http.port);
    http.or_else(|| probe.tcp_socket.as_ref().map(|socket| &socket.port))
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tools::diagnose::checks::example::{findings, found};

    fn with(target: &str, container: &str) -> String {
        format!(
            "
kind: Service
metadata: {{ name: web }}
spec: {{ selector: {{ app: web }}, ports: [{{ port: 80, targetPort: {target} }}] }}
---
kind: Deployment
metadata: {{ name: web }}
spec:
  selector: {{}}
  template: {{ metadata: {{ labels: {{ app: web }} }}, spec: {{ containers: [{{ name: main, {container} }}] }} }}
"
        )
    }

    #[test]
    fn a_name_that_no_container_declares() {
        let ports = "ports: [{ name: http, containerPort: 8080 }]";
        let all = findings(check, &with("htttp", ports));
        assert_eq!(
            all[0].mechanism,
            "Service web sends port 80 to targetPort htttp of Deployment shop/web, and no container declares a TCP port \
             of that name; declared: http 8080"
        );
        assert_eq!(all[0].change.what, "spec.ports[0].targetPort: http");
        assert!(found(check, &with("http", ports)).is_empty());
        assert_eq!(found(check, &with("http", "tty: true")), ["ServicePortWrong Service shop/web"]);
    }

    #[test]
    fn a_number_is_wrong_only_where_another_one_is_free() {
        let ports = "ports: [{ containerPort: 8080 }]";
        assert_eq!(found(check, &with("9999", ports)), ["ServicePortWrong Service shop/web"]);
        assert!(found(check, &with("8080", ports)).is_empty());
        assert!(found(check, &with("9999", "tty: true")).is_empty());
        // It is told to listen there.
        assert!(found(check, &with("9999", &format!("{ports}, args: ['--metrics=:9999']"))).is_empty());
        assert!(
            found(check, &with("9999", &format!("{ports}, env: [{{ name: PORT, value: '9999' }}]")))
                .is_empty()
        );
        let probe = "livenessProbe: { httpGet: { port: 9999 } }";
        assert!(found(check, &with("9999", &format!("{ports}, {probe}"))).is_empty());
        // The declared one is served by another Service: this one may be for metrics.
        let other = "---\nkind: Service\nmetadata: { name: other }\nspec: { ports: [{ port: 8080 }] }";
        assert!(found(check, &(with("9999", ports) + other)).is_empty());
        let headless =
            with("9999", ports).replace("selector: { app: web }", "selector: { app: web }, clusterIP: None");
        assert!(found(check, &headless).is_empty());
    }
}
