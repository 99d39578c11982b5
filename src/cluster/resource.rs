//! One kind that the API server knows, and where its objects are.

use serde::Serialize;

use super::ReadError;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Resource {
    /// Empty for the core group.
    pub group: String,
    /// The version that the API server prefers.
    pub version: String,
    pub kind: String,
    /// As in paths, for example `deployments`.
    pub plural: String,
    pub singular: String,
    pub short_names: Vec<String>,
    pub categories: Vec<String>,
    pub verbs: Vec<String>,
    pub namespaced: bool,
}

impl Resource {
    /// `pods`, `deployments.apps`: unique in a cluster, and what `kubectl get` takes.
    pub fn id(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// `v1`, `apps/v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    pub fn can(&self, verb: &str) -> bool {
        self.verbs.iter().any(|known| known == verb)
    }

    /// The path of all objects, of a namespace's, or of one object. A namespace given for a kind without
    /// namespaces is not part of the path.
    ///
    /// # Errors
    /// When a name cannot be one.
    pub fn path(&self, namespace: Option<&str>, name: Option<&str>) -> Result<String, ReadError> {
        let root = if self.group.is_empty() { "/api" } else { "/apis" };
        let mut path = format!("{root}/{}", self.api_version());
        if let Some(namespace) = namespace.filter(|_| self.namespaced) {
            path.push_str("/namespaces/");
            path.push_str(segment(namespace)?);
        }
        path.push('/');
        path.push_str(&self.plural);
        if let Some(name) = name {
            path.push('/');
            path.push_str(segment(name)?);
        }
        Ok(path)
    }
}

fn segment(name: &str) -> Result<&str, ReadError> {
    let legal = !name.is_empty()
        && name != "."
        && name != ".."
        && name.chars().all(|c| c.is_ascii_graphic() && !"/?#%\\\"<>{}|^`".contains(c));
    if legal { Ok(name) } else { Err(ReadError::BadName(name.chars().take(80).collect())) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::Resource;

    #[test]
    fn paths_follow_group_scope_and_name() {
        let mut resource = Resource {
            group: "apps".into(),
            version: "v1".into(),
            plural: "deployments".into(),
            namespaced: true,
            ..Resource::default()
        };
        assert_eq!(resource.path(None, None).unwrap(), "/apis/apps/v1/deployments");
        assert_eq!(
            resource.path(Some("shop"), Some("web")).unwrap(),
            "/apis/apps/v1/namespaces/shop/deployments/web"
        );
        assert!(resource.path(Some("shop"), Some("web/scale")).is_err());
        assert!(resource.path(Some(".."), Some("web")).is_err());
        resource.group.clear();
        resource.namespaced = false;
        assert_eq!(resource.path(Some("ignored"), Some("n")).unwrap(), "/api/v1/deployments/n");
    }
}
