//! Who of all callers something is for. Pure.

use super::{Caller, Proof};

/// Whoever is named in any of the lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audience {
    /// As the API server knows the caller.
    pub groups: Vec<String>,
    /// As the API server knows the caller.
    pub users: Vec<String>,
    /// Each `namespace/name`.
    pub service_accounts: Vec<String>,
}

impl Audience {
    /// The person who started the process reaches everything without us too. Who proved no name is nobody: the holder
    /// of the installation's token, and a caller who proved nothing.
    pub fn admits(&self, caller: &Caller) -> bool {
        let Self { groups, users, service_accounts } = self;
        match caller.proof {
            Proof::Process => true,
            Proof::Anonymous | Proof::StaticToken => false,
            Proof::MappedToken | Proof::TokenReview | Proof::Oidc => {
                let account = caller.user.strip_prefix("system:serviceaccount:");
                let account = account.and_then(|account| account.split_once(':'));
                users.contains(&caller.user)
                    || caller.groups.iter().any(|group| groups.contains(group))
                    || account.is_some_and(|(namespace, name)| {
                        service_accounts.iter().any(|one| one.split_once('/') == Some((namespace, name)))
                    })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Audience;
    use crate::caller::{Caller, Proof};

    fn caller(user: &str, groups: &[&str], proof: Proof) -> Caller {
        let groups = groups.iter().map(|group| (*group).to_owned()).collect();
        Caller { user: user.to_owned(), groups, proof, ..Caller::process() }
    }

    #[test]
    fn who_is_named_in_any_list_is_admitted_and_nobody_else() {
        let audience = Audience {
            groups: vec!["payments".to_owned()],
            users: vec!["ann".to_owned()],
            service_accounts: vec!["shop/bot".to_owned()],
        };
        assert!(audience.admits(&caller("ann", &[], Proof::Oidc)));
        assert!(audience.admits(&caller("bob", &["dev", "payments"], Proof::MappedToken)));
        assert!(audience.admits(&caller("system:serviceaccount:shop:bot", &[], Proof::TokenReview)));
        assert!(!audience.admits(&caller("system:serviceaccount:other:bot", &[], Proof::TokenReview)));
        assert!(!audience.admits(&caller("bob", &["dev"], Proof::Oidc)));
        assert!(!Audience::default().admits(&caller("ann", &["payments"], Proof::Oidc)));
    }

    #[test]
    fn who_proved_no_name_is_nobody() {
        let audience = Audience { users: vec!["static-token".to_owned()], ..Audience::default() };
        assert!(!audience.admits(&Caller::static_token()));
        assert!(!audience.admits(&Caller::anonymous()));
        assert!(audience.admits(&Caller::process()));
    }
}
