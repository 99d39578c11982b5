//! Why an image cannot be had, from what the kubelet says, in words that stay the same.

/// What a message ends in while no cause is known.
pub(super) const CAUSE_UNKNOWN: &str = ", check its name, its tag and spec.imagePullSecrets";

/// The end of a sentence. `reason` and `message` are those of the waiting container.
pub(super) fn cause(reason: &str, message: &str) -> &'static str {
    let says = |words: &[&str]| words.iter().any(|word| message.contains(word));
    match reason {
        "InvalidImageName" => ": its name is not one of an image, correct spec.image",
        "ErrImageNeverPull" => ": it is not on the node, and spec.imagePullPolicy Never forbids to pull it",
        _ if says(&["nauthorized", "denied", "403 Forbidden", "authorization failed"]) => {
            ": the registry wants to know who asks, or has no such image; name a Secret for it in spec.imagePullSecrets"
        }
        _ if says(&["not found", "manifest unknown"]) => {
            ": the registry has no such image or tag, correct spec.image"
        }
        _ if says(&[
            "no such host",
            "dial tcp",
            "i/o timeout",
            "deadline exceeded",
            "server misbehaving",
        ]) =>
        {
            ": the node does not reach its registry, check the name of the registry and the network"
        }
        _ if says(&["x509", "tls:"]) => ": the node does not trust the certificate of its registry",
        _ if says(&["toomanyrequests", "429"]) => {
            ": the registry lets nobody pull so often, wait or use a mirror"
        }
        _ if says(&["no match for platform", "no matching manifest"]) => {
            ": there is none for the platform of the node"
        }
        _ => CAUSE_UNKNOWN,
    }
}

#[cfg(test)]
mod tests {
    use super::{CAUSE_UNKNOWN, cause};

    #[test]
    fn what_the_kubelet_says_is_told_in_words_that_stay() {
        let host = "failed to do request: Head \"https://registry.invalid/v2/\": dial tcp: lookup registry.invalid: no such host";
        assert!(cause("ErrImagePull", host).contains("does not reach its registry"));
        assert!(cause("ImagePullBackOff", "ErrImagePull: a:1: not found").contains("no such image or tag"));
        assert!(
            cause(
                "ErrImagePull",
                "pull access denied, repository does not exist or may require authorization"
            )
            .contains("imagePullSecrets")
        );
        assert!(cause("ErrImageNeverPull", "").contains("imagePullPolicy"));
        assert_eq!(cause("ImagePullBackOff", "Back-off pulling image \"a:1\""), CAUSE_UNKNOWN);
    }
}
