//! What installs pilothouse in a cluster, as one YAML stream.

/// The plain manifests; the CRD comes from the types.
const INSTALLATION: &str = include_str!("../../manifests/pilothouse.yaml");

/// Everything for one `kubectl apply -f`: the CRDs first, since nothing else needs to wait for them.
///
/// # Errors
/// When a CRD cannot be written as YAML, which is a mistake in its types.
pub fn manifests() -> Result<String, serde_saphyr::ser::Error> {
    let crds = crate::api::crds()?;
    Ok(format!("{crds}---\n{INSTALLATION}"))
}
