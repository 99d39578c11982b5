//! As whom a request is sent: impersonation headers. Pure.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};

use crate::caller::{Caller, Proof};

/// The shipped admission policy refuses what carries this extra and would store or act.
const VIA: &str = "impersonate-extra-pilothouse.dev%2fvia";
const SERVICE_ACCOUNTS: &str = "system:serviceaccount:";

/// Headers that every request of a reader carries; none when it reads as whoever its client is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Identity {
    headers: Arc<[(HeaderName, HeaderValue)]>,
}

impl Identity {
    /// Nobody is impersonated.
    pub(super) fn own() -> Self {
        Self::default()
    }

    /// A service account. It needs no group headers: the API server knows its groups.
    ///
    /// # Errors
    /// When the name cannot stand in a header.
    pub(super) fn service_account(namespace: &str, name: &str) -> Result<Self, String> {
        Self::from(vec![(
            HeaderName::from_static("impersonate-user"),
            text(&format!("{SERVICE_ACCOUNTS}{namespace}:{name}"))?,
        )])
    }

    /// The caller, exactly as proven: user, groups and extras.
    ///
    /// # Errors
    /// A reason, when the caller is one that must not be impersonated, or something of it cannot stand in a header.
    pub(super) fn of(caller: &Caller) -> Result<Self, String> {
        let Caller { user, groups, extra, proof } = caller;
        let is_reviewed = *proof == Proof::TokenReview && user.starts_with(SERVICE_ACCOUNTS);
        if user.starts_with("system:") && !is_reviewed {
            return Err(format!("`{user}` is a name of the system and not of a person or service account"));
        }
        let mut headers = vec![(HeaderName::from_static("impersonate-user"), text(user)?)];
        for group in groups {
            // The API server adds these by itself.
            let is_implied = group == "system:authenticated"
                || (is_reviewed && group.starts_with("system:serviceaccounts"));
            if is_implied {
                continue;
            }
            if group.starts_with("system:") {
                return Err(format!("`{group}` is a group of the system"));
            }
            headers.push((HeaderName::from_static("impersonate-group"), text(group)?));
        }
        for (key, values) in extra {
            let key: String = url::form_urlencoded::byte_serialize(key.to_lowercase().as_bytes()).collect();
            let name = HeaderName::from_bytes(format!("impersonate-extra-{key}").to_lowercase().as_bytes())
                .map_err(|_| format!("the extra `{key}` cannot be passed on"))?;
            for value in values {
                headers.push((name.clone(), text(value)?));
            }
        }
        Self::from(headers)
    }

    fn from(mut headers: Vec<(HeaderName, HeaderValue)>) -> Result<Self, String> {
        headers.push((HeaderName::from_static(VIA), HeaderValue::from_static("reader")));
        Ok(Self { headers: headers.into() })
    }

    pub(super) fn headers(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.headers.iter().map(|(name, value)| (name, value))
    }
}

fn text(value: &str) -> Result<HeaderValue, String> {
    HeaderValue::from_str(value)
        .map_err(|_| format!("`{}` cannot stand in a header", crate::redact::shown(value)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;

    use super::Identity;
    use crate::caller::{Caller, Proof};

    fn caller(user: &str, groups: &[&str], proof: Proof) -> Caller {
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        Caller { user: user.to_owned(), groups, extra: BTreeMap::new(), proof }
    }

    fn headers(identity: &Identity) -> Vec<String> {
        identity.headers().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect()
    }

    #[test]
    fn a_person_is_named_with_groups_and_extras() {
        let mut ann = caller("ann", &["team-a", "system:authenticated"], Proof::Oidc);
        ann.extra.insert("example.org/Team".into(), vec!["a".into()]);
        let identity = Identity::of(&ann).unwrap();
        assert_eq!(
            headers(&identity),
            [
                "impersonate-user: ann",
                "impersonate-group: team-a",
                "impersonate-extra-example.org%2fteam: a",
                "impersonate-extra-pilothouse.dev%2fvia: reader",
            ]
        );
    }

    #[test]
    fn nobody_becomes_the_system() {
        assert!(Identity::of(&caller("system:admin", &[], Proof::Oidc)).is_err());
        assert!(Identity::of(&caller("system:serviceaccount:a:b", &[], Proof::Oidc)).is_err());
        assert!(Identity::of(&caller("ann", &["system:masters"], Proof::MappedToken)).is_err());
        let reviewed = caller("system:serviceaccount:a:b", &["system:serviceaccounts:a"], Proof::TokenReview);
        assert_eq!(headers(&Identity::of(&reviewed).unwrap()).len(), 2);
    }
}
