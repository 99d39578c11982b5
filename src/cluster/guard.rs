//! What the reader's door lets through: promise P1 in one function.

use http::Method;

/// Subresources that act although they may be opened with GET.
const ACTING: [&str; 4] = ["exec", "attach", "portforward", "proxy"];

/// Whether the request stores nothing and starts nothing: a read, or a review.
pub(super) fn is_read(method: &Method, path: &str) -> bool {
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let acts = subresource(&segments).is_some_and(|subresource| ACTING.contains(&subresource));
    match *method {
        Method::GET => !acts,
        Method::POST => is_review(&segments),
        _ => false,
    }
}

/// What a read of objects asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked<'a> {
    pub(super) verb: &'static str,
    /// As in the path, with group and subresource: `pods/log`, `deployments.apps`.
    pub(super) resource: String,
    pub(super) namespace: Option<&'a str>,
    /// Empty for a list.
    pub(super) name: &'a str,
}

/// What the read of `uri` asks for; `None` when it is of no objects: reviews, kinds, schemas.
pub(super) fn asked(uri: &str) -> Option<Asked<'_>> {
    let (path, query) = uri.split_once('?').unwrap_or((uri, ""));
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    let (group, rest) = match segments.as_slice() {
        ["api", _, rest @ ..] => ("", rest),
        ["apis", "authorization.k8s.io" | "authentication.k8s.io", ..] => return None,
        ["apis", group, _, rest @ ..] => (*group, rest),
        _ => return None,
    };
    let (namespace, rest) = match rest {
        ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (Some(*namespace), rest),
        rest => (None, rest),
    };
    let (resource, name, subresource) = match rest {
        [resource] => (resource, "", None),
        [resource, name] => (resource, *name, None),
        [resource, name, subresource, ..] => (resource, *name, Some(subresource)),
        [] => return None,
    };
    let resource = match group {
        "" => (*resource).to_owned(),
        group => format!("{resource}.{group}"),
    };
    let resource = subresource.map_or(resource.clone(), |subresource| format!("{resource}/{subresource}"));
    let watches = query.split('&').any(|pair| pair == "watch=true" || pair == "watch=1");
    let verb = match name {
        _ if watches => "watch",
        "" => "list",
        _ => "get",
    };
    Some(Asked { verb, resource, namespace, name })
}

/// Only in the two groups whose reviews store nothing: any group may have a kind that is called so.
fn is_review(segments: &[&str]) -> bool {
    match segments {
        ["apis", "authorization.k8s.io" | "authentication.k8s.io", _, kind]
        | ["apis", "authorization.k8s.io", _, "namespaces", _, kind] => kind.ends_with("reviews"),
        _ => false,
    }
}

/// Of `/api/v1[/namespaces/NS]/KIND/NAME/SUBRESOURCE...` and `/apis/GROUP/VERSION/...` alike.
fn subresource<'a>(segments: &[&'a str]) -> Option<&'a str> {
    let rest = match segments {
        ["api", _, rest @ ..] | ["apis", _, _, rest @ ..] => rest,
        _ => return None,
    };
    let rest = match rest {
        ["namespaces", _, rest @ ..] if rest.len() >= 2 => rest,
        rest => rest,
    };
    match rest {
        // The old form of proxying: /api/v1/proxy/...
        ["proxy", ..] => Some("proxy"),
        [_, _, subresource, ..] => Some(subresource),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::{Asked, asked, is_read};

    #[test]
    fn reads_and_reviews_pass() {
        for path in [
            "/api/v1/namespaces/shop/pods/web/log",
            "/api/v1/pods",
            "/api/v1/nodes/n1",
            "/apis/apps/v1/namespaces/shop/deployments/proxy",
            "/version",
        ] {
            assert!(is_read(&Method::GET, path), "{path}");
        }
        assert!(is_read(&Method::POST, "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"));
        assert!(is_read(
            &Method::POST,
            "/apis/authorization.k8s.io/v1/namespaces/shop/localsubjectaccessreviews"
        ));
    }

    #[test]
    fn what_stores_or_acts_does_not() {
        for path in [
            "/api/v1/namespaces/shop/pods/web/exec",
            "/api/v1/namespaces/shop/pods/web/attach",
            "/api/v1/namespaces/shop/pods/web/portforward",
            "/api/v1/namespaces/shop/services/web/proxy/admin",
            "/api/v1/nodes/n1/proxy/run",
            "/api/v1/proxy/namespaces/shop/pods/web",
        ] {
            assert!(!is_read(&Method::GET, path), "{path}");
        }
        assert!(!is_read(&Method::POST, "/api/v1/namespaces/shop/configmaps"));
        assert!(!is_read(&Method::POST, "/apis/example.com/v1/namespaces/shop/reviews"));
        for method in [Method::PUT, Method::PATCH, Method::DELETE] {
            assert!(!is_read(&method, "/api/v1/namespaces/shop/configmaps/x"));
        }
    }

    #[test]
    fn a_read_says_what_it_asks_for() {
        let told = |uri| {
            asked(uri).map(|Asked { verb, resource, namespace, name }| {
                format!("{verb} {resource} {} {name}", namespace.unwrap_or("-"))
            })
        };
        for (uri, expected) in [
            ("/api/v1/namespaces/shop/pods/web/log?tailLines=9", "get pods/log shop web"),
            ("/api/v1/pods?limit=500", "list pods - "),
            ("/api/v1/namespaces/shop", "get namespaces - shop"),
            ("/apis/apps/v1/namespaces/shop/deployments?watch=true", "watch deployments.apps shop "),
            ("/apis/apps/v1/namespaces/shop/deployments/web", "get deployments.apps shop web"),
        ] {
            assert_eq!(told(uri).as_deref(), Some(expected), "{uri}");
        }
        for uri in ["/version", "/apis", "/api/v1", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"]
        {
            assert_eq!(told(uri), None, "{uri}");
        }
    }
}
