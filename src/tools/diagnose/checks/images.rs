//! Images that cannot be had, each with the reason that the registry or the kubelet gives.

use super::subject::{Subject, subjects};
use crate::tools::diagnose::{
    cause::Cause,
    finding::{Finding, ObjectRef, Severity},
    picture::{Picture, SecretFacts},
    pods::Unit,
};

/// Reasons of a container that waits for its image.
const WAITING: [&str; 7] = [
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "ImageInspectError",
    "RegistryUnavailable",
    "SignatureValidationFailed",
];

pub(super) fn check(picture: &Picture, findings: &mut Vec<Finding>) {
    for subject in subjects(picture) {
        for unit in subject.units() {
            findings.extend(judge(&subject, &unit));
        }
    }
}

/// Whether a container waits for its image.
fn waits(unit: &Unit<'_>) -> Option<&'static str> {
    WAITING.into_iter().find(|reason| unit.waits_for(reason))
}

fn judge(subject: &Subject<'_>, unit: &Unit<'_>) -> Option<Finding> {
    let reason = waits(unit)?;
    let image = unit.spec.image.as_deref().unwrap_or_default();
    let message = unit.waiting().and_then(|waiting| waiting.message.clone()).unwrap_or_default();
    let of_image = |event: &&_| {
        let event: &crate::tools::diagnose::picture::EventFacts = event;
        event.reason == "Failed" && event.message.contains("pull") && event.message.contains(image)
    };
    let event = subject.events().find(of_image);
    let said = format!("{message} {}", event.map_or("", |event| event.message.as_str()));
    let (container, field) = (unit.name(), subject.path(&format!("{}.image", unit.path())));
    let why = Why::of(reason, &said);
    let (cause, mechanism) = match why {
        Why::BadName => {
            (Cause::ImageNameInvalid, format!("container {container}: `{image}` is not a valid image name"))
        }
        _ => (Cause::ImageNotPulled, format!("container {container}: image {image} {}", why.words())),
    };
    let pull_secret = missing_pull_secret(subject).filter(|_| why == Why::Refused);
    let mechanism = match &pull_secret {
        Some(secret) => format!("{mechanism}; its imagePullSecret {secret} does not exist"),
        None => mechanism,
    };
    let (confirm, change) = why.next(image, &field, pull_secret.as_ref());
    let waiting = subject.field(&format!("{}.state.waiting.reason", unit.status_path()), reason);
    let finding = subject.finding(Severity::Critical, cause, mechanism, confirm, change);
    let node = subject.node().filter(|_| why == Why::NodeFull);
    Some(finding.shown_by([waiting]).shown_by(subject.evidence(event)).following(node))
}

fn missing_pull_secret(subject: &Subject<'_>) -> Option<String> {
    let ObjectRef { kind: _, namespace, name: _ } = &subject.this;
    let named = subject.spec()?.image_pull_secrets.iter().flatten();
    let missing = |name: &&str| {
        let key = (namespace.clone(), (*name).to_owned());
        subject.picture.secrets.get(&key) == Some(&SecretFacts::Missing)
    };
    named.map(|secret| secret.name.as_str()).find(missing).map(str::to_owned)
}

/// Why an image cannot be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    BadName,
    NotThere,
    Refused,
    Unreachable,
    TooMany,
    NodeFull,
    OtherPlatform,
    NeverPulled,
    Unknown,
}

impl Why {
    fn of(reason: &str, said: &str) -> Self {
        match reason {
            "InvalidImageName" => return Self::BadName,
            "ErrImageNeverPull" => return Self::NeverPulled,
            _ => {}
        }
        let said = said.to_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
        if has(&["invalid reference format", "couldn't parse image"]) {
            Self::BadName
        } else if has(&["toomanyrequests", "too many requests", "429 "]) {
            Self::TooMany
        } else if has(&["no space left"]) {
            Self::NodeFull
        } else if has(&["no match for platform", "exec format"]) {
            Self::OtherPlatform
        } else if has(&[
            "dial tcp",
            "no such host",
            "connection refused",
            "i/o timeout",
            "x509",
            "tls",
            "server gave http response",
            "deadline exceeded",
            "network is unreachable",
            "connection reset",
            "503 ",
            "502 ",
        ]) {
            Self::Unreachable
        } else if has(&[
            "unauthorized",
            "authorization",
            "denied",
            "forbidden",
            "401 ",
            "403 ",
            "no basic auth",
        ]) {
            Self::Refused
        } else if has(&["not found", "manifest unknown", "does not exist", "notfound"]) {
            Self::NotThere
        } else {
            Self::Unknown
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::BadName => "has a name that is none",
            Self::NotThere => "does not exist in its registry (wrong name or tag)",
            Self::Refused => "cannot be pulled: the registry refuses access",
            Self::Unreachable => "cannot be pulled: its registry cannot be reached from the node",
            Self::TooMany => "cannot be pulled: the registry limits how often it is asked",
            Self::NodeFull => "cannot be pulled: the node's disk is full",
            Self::OtherPlatform => "has no variant for the node's platform",
            Self::NeverPulled => "is not on the node, and imagePullPolicy is Never",
            Self::Unknown => "cannot be pulled",
        }
    }

    /// How to be certain, and what would mend it.
    fn next(self, image: &str, field: &str, pull_secret: Option<&String>) -> (String, String) {
        let confirm = match self {
            Self::NeverPulled => "list the node's images, or look for where else this image runs".to_owned(),
            Self::BadName => format!("read {field}: registry/path:tag, lower case"),
            _ => format!("ask the registry from outside: crane manifest {image}"),
        };
        let change = match (self, pull_secret) {
            (Self::Refused, Some(secret)) => {
                format!("make the Secret {secret} (type kubernetes.io/dockerconfigjson)")
            }
            (Self::Refused, None) => {
                "give the pods an imagePullSecret that may pull it, or fix the name".to_owned()
            }
            (Self::Unreachable, _) => format!("{field}: a registry that nodes reach, or mend the way to it"),
            (Self::NodeFull, _) => "free disk on the node".to_owned(),
            (Self::TooMany, _) => "pull through a mirror, or log in to the registry".to_owned(),
            (Self::NeverPulled, _) => {
                format!("{}: IfNotPresent", field.replace(".image", ".imagePullPolicy"))
            }
            _ => format!("{field}: an image that exists"),
        };
        (confirm, change)
    }
}

#[cfg(test)]
mod tests {
    use super::{Why, check};
    use crate::tools::diagnose::checks::example::findings;

    #[test]
    fn reasons_are_told_apart() {
        for (reason, said, why) in [
            ("InvalidImageName", "", Why::BadName),
            ("ErrImageNeverPull", "", Why::NeverPulled),
            ("ErrImagePull", "failed to resolve reference \"a/b:1\": a/b:1: not found", Why::NotThere),
            (
                "ErrImagePull",
                "pull access denied, repository does not exist or may require authorization",
                Why::Refused,
            ),
            ("ErrImagePull", "dial tcp 127.0.0.1:5999: connect: connection refused", Why::Unreachable),
            ("ImagePullBackOff", "toomanyrequests: You have reached your pull rate limit", Why::TooMany),
            ("ImagePullBackOff", "Back-off pulling image", Why::Unknown),
        ] {
            assert_eq!(Why::of(reason, said), why, "{said}");
        }
    }

    #[test]
    fn it_is_told_of_the_workload_with_the_image_and_the_field() {
        let found = findings(
            check,
            r#"
kind: Pod
metadata:
  name: pay-1
  labels: { pod-template-hash: "1" }
  ownerReferences: [{ apiVersion: apps/v1, kind: ReplicaSet, name: pay-1, uid: u, controller: true }]
spec: { containers: [{ name: main, image: "reg/pay:9" }] }
status:
  phase: Pending
  containerStatuses:
    - { name: main, ready: false, restartCount: 0, image: "", imageID: "", state: { waiting: { reason: ImagePullBackOff } } }
---
kind: Event
object: { kind: Pod, name: pay-1 }
reason: Failed
message: 'Failed to pull image "reg/pay:9": reg/pay:9: not found'
"#,
        );
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].object.words(), "Deployment shop/pay");
        assert_eq!(found[0].evidence.len(), 2);
        assert!(found[0].mechanism.contains("reg/pay:9 does not exist"), "{}", found[0].mechanism);
        assert!(found[0].change.what.starts_with("spec.template.spec.containers[name=main].image"));
    }
}
