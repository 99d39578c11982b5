//! `cluster://CONTEXT/NAMESPACE/KIND/NAME`: an object of a cluster as a resource of ours. Pure.

/// The URI template that clients see. `_` is the current context, and no namespace.
pub(super) const TEMPLATE: &str = "cluster://{context}/{namespace}/{kind}/{name}";
const SCHEME: &str = "cluster://";
const NONE: &str = "_";

/// One object, as a URI names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) context: Option<String>,
    pub(super) namespace: Option<String>,
    /// Kind, plural or short name; `deployments.apps`.
    pub(super) kind: String,
    pub(super) name: String,
}

impl Address {
    /// # Errors
    /// One sentence that says how such a URI looks.
    pub(super) fn parse(uri: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{}` is no address of an object: they look like cluster://_/shop/deployments.apps/web (context, \
                 namespace, kind, name; `_` for the current context and for no namespace)",
                crate::redact::shown(uri)
            )
        };
        let rest = uri.strip_prefix(SCHEME).ok_or_else(wrong)?;
        let parts: Vec<String> = rest.split('/').map(decoded).collect();
        let [context, namespace, kind, name] = parts.as_slice() else { return Err(wrong()) };
        if [context, namespace, kind, name].iter().any(|part| part.is_empty()) {
            return Err(wrong());
        }
        let given = |part: &String| (part != NONE).then(|| part.clone());
        Ok(Self {
            context: given(context),
            namespace: given(namespace),
            kind: kind.clone(),
            name: name.clone(),
        })
    }
}

/// With `%2F` and its like taken back; what is no escape stays.
fn decoded(part: &str) -> String {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = (*first == b'%').then(|| tail.get(..2)).flatten();
        let byte = escaped.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        rest = match byte {
            Some(byte) => {
                bytes.push(byte);
                &tail[2..]
            }
            None => {
                bytes.push(*first);
                tail
            }
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::Address;

    #[test]
    fn an_address_names_context_namespace_kind_and_name() {
        let web = Address::parse("cluster://_/shop/deployments.apps/web").unwrap();
        assert_eq!((web.context, web.namespace.as_deref(), web.name.as_str()), (None, Some("shop"), "web"));
        let node = Address::parse("cluster://kind-a/_/nodes/n%31").unwrap();
        assert_eq!(
            (node.context.as_deref(), node.namespace, node.name.as_str()),
            (Some("kind-a"), None, "n1")
        );
    }

    #[test]
    fn others_are_told_how_one_looks() {
        for uri in [
            "https://x",
            "cluster://",
            "cluster://_/shop/pods",
            "cluster://_/shop//web",
            "cluster://a/b/c/d/e",
        ] {
            assert!(Address::parse(uri).unwrap_err().contains("cluster://_/shop/"), "{uri}");
        }
    }
}
