//! What this API server lacks of what we use, said once in the log at start.

use std::time::Duration;

use kube::Client;
use tokio_util::sync::CancellationToken;

/// The API server may not answer yet.
const RETRY: Duration = Duration::from_secs(15);
/// The first version that has everything.
const FULL: Version = Version { major: 1, minor: 30 };
/// The first version that we know to work.
const OLDEST: Version = Version { major: 1, minor: 24 };
const POLICIES: &str = "validatingadmissionpolicies";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Version {
    major: u32,
    minor: u32,
}

impl Version {
    /// `minor` may end in a `+` or more, as some vendors write it.
    fn parse(major: &str, minor: &str) -> Option<Self> {
        let number = |text: &str| text.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok();
        Some(Self { major: number(major)?, minor: number(minor)? })
    }
}

/// What does not work, each a sentence. `has_policies`: the API server knows ValidatingAdmissionPolicies.
fn lacking(version: Version, has_policies: bool) -> Vec<String> {
    let mut lacking = Vec::new();
    let Version { major, minor } = version;
    if version < OLDEST {
        lacking.push(format!(
            "Kubernetes {major}.{minor} is older than {}.{}, the oldest that pilothouse is made for: upgrade it",
            OLDEST.major, OLDEST.minor
        ));
    }
    if version < (Version { major: 1, minor: 25 }) {
        lacking.push(
            "this API server does not evaluate the CEL rules of our CRDs: what they would refuse ends in the condition Accepted instead"
                .to_owned(),
        );
    }
    if !has_policies {
        lacking.push(format!(
            "this API server has no ValidatingAdmissionPolicy (Kubernetes {}.{} and later have): that reading never writes is held by the reader's own check and by RBAC alone, so give pilothouse-viewer no right to write",
            FULL.major, FULL.minor
        ));
    }
    lacking
}

/// Asks until the API server answers, and says what it lacks.
pub(super) async fn say(client: Client, cancel: CancellationToken) {
    loop {
        match look(&client).await {
            Ok((version, lacking)) => {
                for what in &lacking {
                    tracing::warn!(kubernetes = %version, "{what}");
                }
                if lacking.is_empty() {
                    tracing::debug!(kubernetes = %version, "this API server has all that is used");
                }
                return;
            }
            Err(error) => tracing::debug!(%error, "the API server's version is not known yet"),
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(RETRY) => {}
        }
    }
}

async fn look(client: &Client) -> Result<(String, Vec<String>), kube::Error> {
    let info = client.apiserver_version().await?;
    // Asked for, and not guessed from the version: it can be switched off.
    let group = client.list_api_group_resources("admissionregistration.k8s.io/v1").await?;
    let has_policies = group.resources.iter().any(|resource| resource.name == POLICIES);
    let version = Version::parse(&info.major, &info.minor).unwrap_or(FULL);
    Ok((info.git_version, lacking(version, has_policies)))
}

#[cfg(test)]
mod tests {
    use super::{Version, lacking};

    fn of(minor: &str, has_policies: bool) -> Vec<String> {
        lacking(Version::parse("1", minor).unwrap_or(super::FULL), has_policies)
    }

    #[test]
    fn a_full_api_server_lacks_nothing() {
        assert!(of("30", true).is_empty());
        assert!(of("34+", true).is_empty(), "vendors add a plus");
    }

    #[test]
    fn what_is_lacking_is_said() {
        let said = of("29", false);
        assert!(said.len() == 1 && said[0].contains("no ValidatingAdmissionPolicy"), "{said:?}");
        let said = of("24", false);
        assert!(said.len() == 2 && said[0].contains("CEL rules"), "{said:?}");
        assert!(of("23", false)[0].contains("1.23 is older than 1.24"));
        assert_eq!(of("34", false).len(), 1, "the policy can be switched off");
    }
}
