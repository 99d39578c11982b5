//! Ingresses that no controller serves, and two that claim the same place. Their backends are in `backends.rs`, their
//! certificates in `certificates.rs`.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::Ingress;

use crate::tools::{
    diagnose::{
        cause::Cause,
        finding::{Evidence, Finding, ObjectRef, Severity},
        look::{reference, seconds_old},
        picture::Picture,
    },
    target,
};

const DEFAULT_CLASS: &str = "ingressclass.kubernetes.io/is-default-class";
/// How classes were named before they were objects; controllers still take it without one.
const OLD_CLASS: &str = "kubernetes.io/ingress.class";
/// A controller takes a new Ingress within seconds.
const TAKEN_SECONDS: i64 = 10;

pub(super) fn check(picture: &Picture, findings: &mut Vec<Finding>) {
    for ingress in &picture.ingresses {
        findings.extend(class(picture, ingress));
    }
    findings.extend(clashes(picture));
}

fn class(picture: &Picture, ingress: &Ingress) -> Option<Finding> {
    let object = reference("Ingress", &ingress.metadata);
    let status = ingress.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let served = status.is_some_and(|status| status.ingress.as_ref().is_some_and(|all| !all.is_empty()));
    if served
        || picture.unread.contains_key("IngressClass")
        || seconds_old(&ingress.metadata, picture.now) < TAKEN_SECONDS
    {
        return None;
    }
    let names: Vec<&str> =
        picture.ingress_classes.iter().filter_map(|class| class.metadata.name.as_deref()).collect();
    let have = if names.is_empty() {
        "the cluster has none".to_owned()
    } else {
        format!("there are: {}", names.join(", "))
    };
    let wanted = ingress.spec.as_ref().and_then(|spec| spec.ingress_class_name.as_deref());
    let (mechanism, change) = match wanted {
        Some(wanted) if names.contains(&wanted) => return None,
        Some(wanted) => {
            let near = target::nearest(wanted, names.iter().copied());
            let meant = near.first().or_else(|| names.first().filter(|_| names.len() == 1));
            let change = match meant {
                Some(meant) => format!("spec.ingressClassName: {meant}"),
                None => format!(
                    "spec.ingressClassName: a class that exists, or install the controller of {wanted}"
                ),
            };
            let words = format!(
                "Ingress {} is of class {wanted}, which does not exist ({have}): nobody serves it",
                object.name
            );
            (words, change)
        }
        None => {
            let annotated = |key: &str, annotations: Option<&BTreeMap<String, String>>| {
                annotations.is_some_and(|annotations| annotations.contains_key(key))
            };
            let default = picture.ingress_classes.iter().any(|class| {
                let annotations = class.metadata.annotations.as_ref();
                annotations
                    .and_then(|annotations| annotations.get(DEFAULT_CLASS))
                    .is_some_and(|is| is == "true")
            });
            // Where no class exists at all, a controller may well take what has none.
            if default || names.is_empty() || annotated(OLD_CLASS, ingress.metadata.annotations.as_ref()) {
                return None;
            }
            let words = format!(
                "Ingress {} names no class and none is the default ({have}): nobody serves it",
                object.name
            );
            (words, format!("spec.ingressClassName: {}", names.join(" or ")))
        }
    };
    let finding = Finding::new(
        Severity::Critical,
        Cause::IngressClassMissing,
        &object,
        mechanism,
        "list_resources ingressclasses",
        change,
    );
    let value = wanted.unwrap_or("none");
    Some(finding.shown_by([Evidence::field(&object, "spec.ingressClassName", value)]))
}

/// What one path of an Ingress claims: class, host, path, and how the path is meant.
type Place = (String, String, String, String);

fn clashes(picture: &Picture) -> Vec<Finding> {
    let mut claims: BTreeMap<Place, Vec<&Ingress>> = BTreeMap::new();
    for ingress in picture.ingresses.iter().filter(|ingress| !shares_on_purpose(ingress)) {
        let Some(spec) = &ingress.spec else { continue };
        let class = spec.ingress_class_name.clone().unwrap_or_default();
        for rule in spec.rules.iter().flatten() {
            let host = rule.host.clone().unwrap_or_default();
            for path in rule.http.iter().flat_map(|http| &http.paths) {
                let place = (
                    class.clone(),
                    host.clone(),
                    path.path.clone().unwrap_or_default(),
                    path.path_type.clone(),
                );
                claims.entry(place).or_default().push(ingress);
            }
        }
    }
    let mut told: Vec<(ObjectRef, ObjectRef)> = Vec::new();
    let mut findings = Vec::new();
    for ((_, host, path, _), mut all) in claims {
        // The older one was there first, and is what most controllers keep to.
        all.sort_by_key(|ingress| ingress.metadata.creation_timestamp.as_ref().map(|made| made.0));
        let Some((first, later)) = all.split_first() else { continue };
        let first_object = reference("Ingress", &first.metadata);
        for ingress in later {
            let object = reference("Ingress", &ingress.metadata);
            let pair = (first_object.clone(), object.clone());
            if object == first_object || told.contains(&pair) {
                continue;
            }
            let host = if host.is_empty() { "*" } else { host.as_str() };
            let place = format!("{host}{path}");
            let mechanism = format!(
                "{} claims {place}, which {} claims too: one of them gets no traffic",
                object.words(),
                first_object.words()
            );
            let confirm = "list_resources ingresses: hosts and paths";
            let change = "another host or path, or take one of the two away";
            let finding =
                Finding::new(Severity::Warning, Cause::IngressClash, &object, mechanism, confirm, change);
            findings.push(finding.shown_by([
                Evidence::field(&object, "spec.rules[].host", place.as_str()),
                Evidence::field(&first_object, "spec.rules[].host", place.as_str()),
            ]));
            told.push(pair);
        }
    }
    findings
}

/// Canaries, parts of a merged Ingress, and the short-lived ones that prove a domain is ours.
fn shares_on_purpose(ingress: &Ingress) -> bool {
    let meta = &ingress.metadata;
    let annotated = meta.annotations.iter().flatten().any(|(key, value)| {
        (key.ends_with("/canary") && value == "true")
            || key.ends_with("mergeable-ingress-type")
            || key.contains("/canary-")
    });
    let solver =
        meta.labels.as_ref().is_some_and(|labels| labels.contains_key("acme.cert-manager.io/http01-solver"));
    annotated || solver
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tools::diagnose::checks::example::{findings, found};

    const CLASS: &str = "kind: IngressClass\nmetadata: { name: nginx }\n---\n";

    fn ingress(name: &str, spec: &str) -> String {
        format!("kind: Ingress\nmetadata: {{ name: {name} }}\nspec: {{ {spec} }}\n---\n")
    }

    #[test]
    fn a_class_that_nobody_serves() {
        let all = findings(check, &(CLASS.to_owned() + &ingress("front", "ingressClassName: ngnix")));
        assert_eq!(
            all[0].mechanism,
            "Ingress front is of class ngnix, which does not exist (there are: nginx): nobody serves it"
        );
        assert_eq!(all[0].change.what, "spec.ingressClassName: nginx");
        let fires = |yaml: String| !found(check, &yaml).is_empty();
        assert!(fires(ingress("front", "ingressClassName: x")));
        assert!(fires(CLASS.to_owned() + &ingress("front", "")));
        assert!(!fires(CLASS.to_owned() + &ingress("front", "ingressClassName: nginx")));
        assert!(!fires(ingress("front", "")));
        let default = CLASS.replace(
            "name: nginx",
            "name: nginx, annotations: { ingressclass.kubernetes.io/is-default-class: 'true' }",
        );
        assert!(!fires(default + &ingress("front", "")));
        let served = "kind: Ingress\nmetadata: { name: a }\nspec: { ingressClassName: x }\nstatus: { loadBalancer: { ingress: [{ ip: 1.1.1.1 }] } }";
        assert!(!fires(served.to_owned()));
    }

    #[test]
    fn one_place_claimed_twice() {
        let rule = |path: &str| {
            format!(
                "rules: [{{ host: a.example, http: {{ paths: [{{ path: {path}, pathType: Prefix, backend: {{}} }}] }} }}]"
            )
        };
        let two = ingress("one", &rule("/")) + &ingress("two", &rule("/"));
        assert_eq!(found(check, &two), ["IngressClash Ingress shop/two"]);
        assert!(found(check, &(ingress("one", &rule("/")) + &ingress("two", &rule("/x")))).is_empty());
        let canary = two
            .replace("name: two", "name: two, annotations: { nginx.ingress.kubernetes.io/canary: 'true' }");
        assert!(found(check, &canary).is_empty());
    }
}
