//! Who counts on a Service: what routes to it, and workloads that name it in their settings.

use k8s_openapi::api::core::v1::{Container, PodSpec};

use super::{
    finding::{Evidence, ObjectRef},
    owning::workloads,
    picture::Picture,
    routing::Way,
};

/// One that counts on it.
pub(super) struct User {
    pub(super) object: ObjectRef,
    pub(super) evidence: Evidence,
}

/// Of this Service. Workloads without pods count on nothing.
pub(super) fn users(picture: &Picture, ways: &[Way], service: &ObjectRef) -> Vec<User> {
    let routes = ways.iter().filter(|way| way.service == *service).map(|way| User {
        object: way.from.clone(),
        evidence: Evidence::field(&way.from, &way.path, service.name.as_str()),
    });
    let workloads = workloads(picture).into_iter().filter(|workload| workload.replicas != Some(0));
    let workloads = workloads.filter_map(|workload| {
        let (path, value) = mention(workload.spec, service, &workload.object.namespace)?;
        Some(User { evidence: Evidence::field(&workload.object, &path, value), object: workload.object })
    });
    routes.chain(workloads).collect()
}

/// Where containers are told to go to this Service: the field, and what it says.
fn mention(spec: &PodSpec, service: &ObjectRef, from: &str) -> Option<(String, String)> {
    spec.containers.iter().find_map(|container| {
        let Container { name, env, args, command, .. } = container;
        let variables = env.iter().flatten().find_map(|variable| {
            let value = variable.value.as_deref()?;
            let is_host = variable.name.split('_').any(|word| HOST_WORDS.contains(&word));
            let exactly = is_host && value == service.name && from == service.namespace;
            (exactly || is_address(value, service, from))
                .then(|| (format!("containers[name={name}].env[name={}]", variable.name), value.to_owned()))
        });
        let words = || {
            let lists = [("args", args), ("command", command)];
            lists.into_iter().find_map(|(field, words)| {
                let word = words.iter().flatten().find(|word| is_address(word, service, from))?;
                Some((format!("containers[name={name}].{field}"), word.clone()))
            })
        };
        variables.or_else(words)
    })
}

/// Words in the name of a variable that holds a host name.
const HOST_WORDS: [&str; 8] = ["HOST", "HOSTNAME", "ADDR", "ADDRESS", "URL", "ENDPOINT", "SERVER", "SERVICE"];

/// Whether the text has the Service's name in the place of a host: `http://web`, `web:80`, `web.shop.svc`.
fn is_address(text: &str, service: &ObjectRef, from: &str) -> bool {
    let ObjectRef { kind: _, namespace, name } = service;
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    text.match_indices(name.as_str()).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + name.len()..]);
        if before.ends_with(is_name) {
            return false;
        }
        let with_namespace = after.strip_prefix('.').and_then(|rest| rest.strip_prefix(namespace.as_str()));
        if let Some(rest) = with_namespace {
            return rest.is_empty() || rest.starts_with(".svc") || rest.starts_with([':', '/']);
        }
        let port = after.strip_prefix(':').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        let url = before.ends_with("://") || before.ends_with('@');
        from == namespace && (port || (url && !after.starts_with(is_name)))
    })
}

#[cfg(test)]
mod tests {
    use super::{ObjectRef, is_address};

    #[test]
    fn a_host_is_told_from_a_word() {
        let web = ObjectRef::new("Service", "shop", "web");
        for text in [
            "http://web",
            "http://web/x",
            "web:8080",
            "amqp://u:p@web:1",
            "web.shop",
            "web.shop.svc:80",
            "--to=web:1",
        ] {
            assert!(is_address(text, &web, "shop"), "{text}");
        }
        for text in [
            "web",
            "web-app:80",
            "my-web:80",
            "http://web.example.com",
            "web:latest",
            "web.shopping",
            "http://webs",
        ] {
            assert!(!is_address(text, &web, "shop"), "{text}");
        }
        assert!(!is_address("http://web", &web, "other") && is_address("http://web.shop/", &web, "other"));
    }
}
