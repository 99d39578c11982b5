//! What installs pilothouse in a cluster, as one YAML stream.

use serde_json::{Value, json};

/// The plain manifests; the CRD comes from the types.
const INSTALLATION: &str = include_str!("../../manifests/pilothouse.yaml");
/// What is added for the webhook.
const WEBHOOK: &str = include_str!("../../manifests/webhook.yaml");
/// What is added for an identity that may only dry-run.
const DRY_RUN: &str = include_str!("../../manifests/dry-run.yaml");
/// What is added for whoever captures writes.
const WITNESS: &str = include_str!("../../manifests/witness.yaml");
/// The end of the configuration in `INSTALLATION`.
const CONFIGURED: &str = "        audience: [pilothouse]\n";
const SERVED: &str = "    operator:\n      webhook: {}\n";
const ASKED: &str = "    changes:\n      dryRun: {serviceAccount: pilothouse/pilothouse-dryrun}\n";
const CAPTURED: &str = "    emergency: {}\n";
const SEPARATOR: &str = "\n---\n";
/// How the pods of the installation are started.
const ARGUMENTS: &str = "args: [serve, ";
/// The rights of the operator.
const OPERATOR: &str = "pilothouse-operator";
/// What tools read with and dry-runs ask with; cluster-wide these would reach into other namespaces.
const VIEWERS: [&str; 3] = ["pilothouse-dryrun", "pilothouse-viewer", "pilothouse-viewer-view"];

#[derive(Debug, thiserror::Error)]
pub enum ManifestsError {
    #[error("the custom resource definitions cannot be written as YAML: {0}")]
    Write(#[from] serde_saphyr::ser::Error),
    #[error("manifests/pilothouse.yaml cannot be read: {0}")]
    Read(String),
    #[error("`{0}` is no name of a namespace: use small letters, digits and -, at most 63, such as team-a")]
    Namespace(String),
}

/// Everything for one `kubectl apply -f`: the CRDs first, since nothing else needs to wait for them.
///
/// # Errors
/// When a CRD cannot be written as YAML, which is a mistake in its types.
pub fn manifests() -> Result<String, serde_saphyr::ser::Error> {
    let crds = crate::api::crds()?;
    Ok(format!("{crds}---\n{INSTALLATION}"))
}

/// As [`manifests`], for an installation that works in these namespaces only: the operator's rights are a Role in
/// each instead of a ClusterRole, and tools see nothing else. The CRDs and the roles by which callers are known
/// have no namespace and stay.
///
/// # Errors
/// When a name is no namespace's, or our own manifests do not parse.
pub fn namespaced_manifests(namespaces: &[String]) -> Result<String, ManifestsError> {
    if let Some(wrong) = namespaces.iter().find(|name| !is_namespace(name)) {
        return Err(ManifestsError::Namespace(wrong.clone()));
    }
    let mut documents = Vec::new();
    for document in INSTALLATION.trim_end().split(SEPARATOR) {
        documents.extend(narrowed(document, namespaces)?);
    }
    let crds = crate::api::crds()?;
    Ok(format!("{crds}---\n{}\n", documents.join(SEPARATOR)))
}

/// What the webhook needs besides the installation.
pub fn webhook_manifests() -> &'static str {
    WEBHOOK
}

/// The manifests of an installation with the webhook: it is served, and the API server asks about objects of these
/// namespaces; of all where none is named.
///
/// # Errors
/// When our own manifests do not parse.
pub fn with_webhook(manifests: &str, namespaces: &[String]) -> Result<String, ManifestsError> {
    let served = manifests.replacen(CONFIGURED, &format!("{CONFIGURED}{SERVED}"), 1);
    if served == manifests {
        return Err(ManifestsError::Read("the ConfigMap does not end in its identity".to_owned()));
    }
    let webhook = WEBHOOK.trim_end().split(SEPARATOR).map(|document| asked_in(document, namespaces));
    let documents: Vec<String> = std::iter::once(served.trim_end().to_owned()).chain(webhook).collect();
    Ok(format!("{}\n", documents.join(SEPARATOR)))
}

/// What dry-runs need besides the installation: an account of their own, and the policy that lets it do nothing else.
pub fn dry_run_manifests() -> &'static str {
    DRY_RUN
}

/// The manifests of an installation whose changes are dry-run first, in these namespaces; in all where none is named.
/// Which account does that is said in the configuration, see `changes.dryRun`.
///
/// # Errors
/// When our own manifests do not parse.
pub fn with_dry_run(manifests: &str, namespaces: &[String]) -> Result<String, ManifestsError> {
    let asked = manifests.replacen(CONFIGURED, &format!("{CONFIGURED}{ASKED}"), 1);
    if asked == manifests {
        return Err(ManifestsError::Read("the ConfigMap does not end in its identity".to_owned()));
    }
    let mut documents = vec![asked.trim_end().to_owned()];
    for document in DRY_RUN.trim_end().split(SEPARATOR) {
        if namespaces.is_empty() {
            documents.push(document.to_owned());
        } else {
            documents.extend(narrowed(document, namespaces)?);
        }
    }
    Ok(format!("{}\n", documents.join(SEPARATOR)))
}

/// What the API server needs to tell who writes what, besides [`webhook_manifests`].
pub fn witness_manifests() -> &'static str {
    WITNESS
}

/// [`with_webhook`] and, besides, the API server tells who writes what in these namespaces.
///
/// # Errors
/// As [`with_webhook`].
pub fn with_witness(manifests: &str, namespaces: &[String]) -> Result<String, ManifestsError> {
    let manifests = with_webhook(manifests, namespaces)?;
    let manifests = manifests.replacen(SERVED, &format!("{SERVED}{CAPTURED}"), 1);
    let witness = WITNESS.trim_end().split(SEPARATOR).map(|document| asked_in(document, namespaces));
    let documents: Vec<String> = std::iter::once(manifests.trim_end().to_owned()).chain(witness).collect();
    Ok(format!("{}\n", documents.join(SEPARATOR)))
}

/// A webhook's configuration, so that it is asked about these namespaces only; all where none is named.
fn asked_in(document: &str, namespaces: &[String]) -> String {
    let is_configuration = document.contains("\nkind: ValidatingWebhookConfiguration\n");
    if !is_configuration || namespaces.is_empty() {
        return document.to_owned();
    }
    let narrow = json!([{ "key": "kubernetes.io/metadata.name", "operator": "In", "values": namespaces }]);
    format!("{document}\n  namespaceSelector: {{\"matchExpressions\": {narrow}}}")
}

fn is_namespace(name: &str) -> bool {
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    (1..=63).contains(&name.len())
        && name.chars().all(|c| is_word(c) || c == '-')
        && name.starts_with(is_word)
        && name.ends_with(is_word)
}

/// One document, or as many as there are namespaces.
fn narrowed(document: &str, namespaces: &[String]) -> Result<Vec<String>, ManifestsError> {
    let object: Value =
        serde_saphyr::from_str(document).map_err(|error| ManifestsError::Read(error.to_string()))?;
    let (kind, name) = (object["kind"].as_str(), object["metadata"]["name"].as_str());
    match (kind, name) {
        (Some("ClusterRole"), Some(OPERATOR)) => in_each(&object, "Role", namespaces),
        (Some("ClusterRoleBinding"), Some(OPERATOR)) => {
            let mut binding = object;
            binding["roleRef"]["kind"] = json!("Role");
            in_each(&binding, "RoleBinding", namespaces)
        }
        // A role for the whole cluster, bound in a namespace, gives its rights there.
        (Some("ClusterRoleBinding"), Some(name)) if VIEWERS.contains(&name) => {
            in_each(&object, "RoleBinding", namespaces)
        }
        (Some("StatefulSet"), Some("pilothouse")) => {
            let only = format!("{ARGUMENTS}--namespace, \"{}\", ", namespaces.join(","));
            let narrow = document.replace(ARGUMENTS, &only);
            if narrow == document {
                return Err(ManifestsError::Read(format!("the StatefulSet has no `{ARGUMENTS}`")));
            }
            Ok(vec![narrow])
        }
        _ => Ok(vec![document.to_owned()]),
    }
}

fn in_each(object: &Value, kind: &str, namespaces: &[String]) -> Result<Vec<String>, ManifestsError> {
    let of_namespace = |namespace: &String| {
        let mut object = object.clone();
        object["kind"] = json!(kind);
        object["metadata"]["namespace"] = json!(namespace);
        Ok(serde_saphyr::to_string(&object)?.trim_end().to_owned())
    };
    namespaces.iter().map(of_namespace).collect()
}
