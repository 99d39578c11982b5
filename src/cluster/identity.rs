//! As whom a request is sent: impersonation headers. Pure.

use std::sync::Arc;

use http::{HeaderName, HeaderValue};

use crate::{
    caller::{Caller, Proof},
    redact::shown,
};

/// The shipped admission policy refuses what carries this extra and would store or act.
const VIA: &str = "impersonate-extra-pilothouse.dev%2fvia";
const VIA_KEY: &str = "pilothouse.dev/via";
const SERVICE_ACCOUNTS: &str = "system:serviceaccount:";

/// Headers that every request of a reader carries; none when it reads as whoever its client is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
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
            exact(&format!("{SERVICE_ACCOUNTS}{namespace}:{name}"))?,
        )])
    }

    /// The caller, exactly as proven: user, groups and extras.
    ///
    /// # Errors
    /// A reason, when the caller is one that must not be impersonated, or something of it cannot stand in a header.
    pub(super) fn of(caller: &Caller) -> Result<Self, String> {
        Self::from(named(caller)?)
    }

    fn from(mut headers: Vec<(HeaderName, HeaderValue)>) -> Result<Self, String> {
        headers.push((HeaderName::from_static(VIA), HeaderValue::from_static("reader")));
        Ok(Self { headers: headers.into() })
    }

    pub(super) fn headers(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.headers.iter().map(|(name, value)| (name, value))
    }
}

/// What names a caller to the API server, for what is done as this caller; it does not say that a reader sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallerHeaders(Vec<(HeaderName, HeaderValue)>);

impl CallerHeaders {
    /// Of a caller who has proven to be somebody.
    ///
    /// # Errors
    /// A reason, when nobody would be named, or not exactly the caller.
    pub fn of(caller: &Caller) -> Result<Self, String> {
        if !caller.is_impersonated() {
            return Err(format!("`{}` has not proven to be somebody", shown(&caller.user)));
        }
        named(caller).map(Self)
    }

    /// Never empty: it begins with the user.
    pub fn iter(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.0.iter().map(|(name, value)| (name, value))
    }
}

/// The headers of a caller, exactly as proven.
fn named(caller: &Caller) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
    let Caller { user, groups, extra, proof } = caller;
    let home = caller.home();
    if user.starts_with("system:") && home.is_none() {
        return Err(format!(
            "`{}` is a name of the system and not of a person or service account",
            shown(user)
        ));
    }
    let mut headers = vec![(HeaderName::from_static("impersonate-user"), exact(user)?)];
    for group in groups {
        if is_implied(group, home) {
            continue;
        }
        if group.starts_with("system:") {
            return Err(format!("`{}` is a group of the system", shown(group)));
        }
        // Given any group, the API server no longer adds those of the service account.
        if *proof == Proof::TokenReview && home.is_some() {
            return Err(format!("a service account is not in the group `{}`", shown(group)));
        }
        headers.push((HeaderName::from_static("impersonate-group"), exact(group)?));
    }
    for (key, values) in extra {
        let name = extra_header(key)?;
        if values.is_empty() {
            return Err(format!("the extra `{}` has no value", shown(key)));
        }
        for value in values {
            headers.push((name.clone(), exact(value)?));
        }
    }
    Ok(headers)
}

/// Whether the API server adds this group by itself.
fn is_implied(group: &str, home: Option<&str>) -> bool {
    let of_account =
        |home| group == "system:serviceaccounts" || group == format!("system:serviceaccounts:{home}");
    group == "system:authenticated" || home.is_some_and(of_account)
}

/// The header of an extra. The API server takes its name in lower case and undoes the escapes.
fn extra_header(key: &str) -> Result<HeaderName, String> {
    let refused = |why: &str| Err(format!("the extra `{}` {why}", shown(key)));
    if key.chars().any(char::is_uppercase) {
        return refused("has capital letters, which the API server would not get");
    }
    if key == VIA_KEY {
        return refused("is pilothouse's own");
    }
    let mut name = "impersonate-extra-".to_owned();
    for byte in key.bytes() {
        if byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._".contains(&byte) {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("%{byte:02x}"));
        }
    }
    HeaderName::from_bytes(name.as_bytes()).or_else(|_| refused("cannot be passed on"))
}

/// The text as a header's value, which the API server must read as it stands.
fn exact(value: &str) -> Result<HeaderValue, String> {
    // Blanks at the ends are taken away on the way, and nothing is nobody.
    if value.is_empty() || value.trim() != value {
        return Err(format!("`{}` is empty or has blanks at its ends", shown(value)));
    }
    HeaderValue::from_bytes(value.as_bytes())
        .map_err(|_| format!("`{}` cannot stand in a header", shown(value)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;

    use super::{CallerHeaders, Identity};
    use crate::caller::{Caller, Proof};

    fn caller(user: &str, groups: &[&str], proof: Proof) -> Caller {
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        Caller { user: user.to_owned(), groups, extra: BTreeMap::new(), proof }
    }

    fn headers(identity: &Identity) -> Vec<String> {
        identity
            .headers()
            .map(|(name, value)| format!("{name}: {}", str::from_utf8(value.as_bytes()).unwrap()))
            .collect()
    }

    #[test]
    fn a_person_is_named_with_groups_and_extras() {
        let mut ann = caller("ann", &["team-a", "system:authenticated"], Proof::Oidc);
        ann.extra.insert("example.org/team name".into(), vec!["Ä b".into(), "c".into()]);
        let identity = Identity::of(&ann).unwrap();
        assert_eq!(
            headers(&identity),
            [
                "impersonate-user: ann",
                "impersonate-group: team-a",
                "impersonate-extra-example.org%2fteam%20name: Ä b",
                "impersonate-extra-example.org%2fteam%20name: c",
                "impersonate-extra-pilothouse.dev%2fvia: reader",
            ]
        );
    }

    #[test]
    fn who_acts_is_named_and_is_no_reader() {
        let ann = caller("ann", &["team-a"], Proof::Oidc);
        let headers = CallerHeaders::of(&ann).unwrap();
        let named: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(named, ["impersonate-user", "impersonate-group"]);
        assert!(
            CallerHeaders::of(&Caller::process()).is_err()
                && CallerHeaders::of(&Caller::static_token()).is_err()
        );
        assert!(CallerHeaders::of(&caller("system:admin", &[], Proof::Oidc)).is_err());
    }

    #[test]
    fn nobody_becomes_the_system() {
        assert!(Identity::of(&caller("system:admin", &[], Proof::Oidc)).is_err());
        assert!(Identity::of(&caller("system:serviceaccount:a:b", &[], Proof::Oidc)).is_err());
        assert!(Identity::of(&caller("ann", &["system:masters"], Proof::MappedToken)).is_err());
        assert!(Identity::of(&caller("ann", &["system:serviceaccounts:a"], Proof::Oidc)).is_err());
        let other = caller("system:serviceaccount:a:b", &["system:serviceaccounts:c"], Proof::TokenReview);
        assert!(Identity::of(&other).is_err());
        let reviewed = caller("system:serviceaccount:a:b", &["system:serviceaccounts:a"], Proof::TokenReview);
        assert_eq!(headers(&Identity::of(&reviewed).unwrap()).len(), 2);
    }

    #[test]
    fn what_would_change_on_the_way_is_refused() {
        for (key, values) in [
            ("example.org/Team", vec!["a"]),
            ("example.org/team", vec![" a"]),
            ("example.org/team", vec![]),
            ("example.org/team", vec!["a\nb"]),
            ("pilothouse.dev/via", vec!["reader"]),
        ] {
            let mut ann = caller("ann", &[], Proof::Oidc);
            ann.extra.insert(key.into(), values.iter().map(|value| (*value).to_owned()).collect());
            assert!(Identity::of(&ann).is_err(), "{key} {values:?}");
        }
        assert!(Identity::of(&caller("", &[], Proof::Oidc)).is_err());
    }
}
