//! Which users and groups may come in at all. Pure.

use crate::caller::Proof;

/// The names that belong to Kubernetes itself begin so.
const SYSTEM: &str = "system:";
const ACCOUNT: &str = "system:serviceaccount:";
const ACCOUNTS: &str = "system:serviceaccounts";

/// # Errors
/// Why not, in one sentence: only the API server's own review may say that somebody is a service account, and
/// nobody else has a name or group of the system.
pub(super) fn may_come(user: &str, groups: &[String], proof: Proof) -> Result<(), String> {
    let is_account = proof == Proof::TokenReview && user.starts_with(ACCOUNT);
    if user.trim().is_empty() {
        return Err("the user's name is empty".to_owned());
    }
    if user.starts_with(SYSTEM) && !is_account {
        return Err(format!("`{user}` is a name of the system and not of a person or service account"));
    }
    let foreign = |group: &&String| {
        let is_implied = proof == Proof::TokenReview && group.as_str() == "system:authenticated";
        let is_accounts = is_account && group.starts_with(ACCOUNTS);
        group.starts_with(SYSTEM) && !is_implied && !is_accounts
    };
    match groups.iter().find(foreign) {
        Some(group) => Err(format!("`{group}` is a group of the system and not of people")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::may_come;
    use crate::caller::Proof;

    fn comes(user: &str, group: &str, proof: Proof) -> bool {
        may_come(user, &[group.to_owned()], proof).is_ok()
    }

    #[test]
    fn names_of_the_system_stay_the_systems() {
        let account = "system:serviceaccount:a:b";
        assert!(comes("ann", "team-a", Proof::Oidc));
        assert!(comes(account, "system:serviceaccounts:a", Proof::TokenReview));
        assert!(comes("ann", "system:authenticated", Proof::TokenReview));
        assert!(!comes(account, "team-a", Proof::Oidc));
        assert!(!comes(account, "system:masters", Proof::TokenReview));
        assert!(!comes("system:admin", "team-a", Proof::TokenReview));
        assert!(!comes("ann", "system:masters", Proof::Oidc));
        assert!(!comes("ann", "system:authenticated", Proof::MappedToken));
        assert!(!comes("ann", "system:serviceaccounts", Proof::TokenReview));
        assert!(!comes(" ", "team-a", Proof::Oidc));
    }
}
