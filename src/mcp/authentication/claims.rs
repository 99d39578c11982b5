//! From the claims of a verified token to the caller. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::{bearer::words, challenge::Refusal, names};
use crate::caller::{Caller, Proof};

/// Which claims say who somebody is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ClaimRules {
    pub(super) username_claim: String,
    pub(super) username_prefix: String,
    pub(super) groups_claim: Option<String>,
    pub(super) groups_prefix: String,
    pub(super) required_scopes: Vec<String>,
}

impl ClaimRules {
    /// # Errors
    /// [`Refusal::Invalid`] when the claims name nobody who may come in, [`Refusal::Scope`] when a scope is lacking.
    pub(super) fn caller(&self, claims: &Map<String, Value>) -> Result<Caller, Refusal> {
        let Self { username_claim, username_prefix, groups_claim, groups_prefix, required_scopes } = self;
        let name = claims.get(username_claim).and_then(Value::as_str).filter(|name| !name.is_empty());
        let Some(name) = name else {
            return Err(Refusal::Invalid(format!("the token has no claim `{username_claim}`")));
        };
        // As kube-apiserver does: who gave any address as theirs is not yet its owner.
        if username_claim == "email" && claims.get("email_verified").is_some_and(|said| *said != true) {
            return Err(Refusal::Invalid("the token's email address is not verified".to_owned()));
        }
        let user = format!("{username_prefix}{name}");
        let groups = groups_claim.as_ref().and_then(|claim| claims.get(claim));
        let groups: BTreeSet<String> =
            words(groups).iter().map(|group| format!("{groups_prefix}{group}")).collect();
        let groups: Vec<String> = groups.into_iter().collect();
        names::may_come(&user, &groups, Proof::Oidc).map_err(Refusal::Invalid)?;
        let caller = Caller { user, groups, extra: BTreeMap::new(), proof: Proof::Oidc };
        let has = scopes(claims);
        let lacking: Vec<String> =
            required_scopes.iter().filter(|scope| !has.contains(*scope)).cloned().collect();
        if !lacking.is_empty() {
            let (caller, needed) = (Box::new(caller), required_scopes.clone());
            return Err(Refusal::Scope { caller, lacking, needed });
        }
        Ok(caller)
    }
}

/// `scope` as RFC 9068 has it, `scp` as others do.
fn scopes(claims: &Map<String, Value>) -> BTreeSet<String> {
    let said = ["scope", "scp"].into_iter().flat_map(|claim| words(claims.get(claim)));
    said.flat_map(|scopes| scopes.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::{Value, json};

    use super::{ClaimRules, Refusal};
    use crate::caller::{Caller, Proof};

    fn rules() -> ClaimRules {
        ClaimRules {
            username_claim: "sub".into(),
            username_prefix: "corp:".into(),
            groups_claim: Some("groups".into()),
            groups_prefix: "g:".into(),
            required_scopes: vec!["read".into(), "call".into()],
        }
    }

    fn caller(rules: &ClaimRules, claims: &Value) -> Result<Caller, Refusal> {
        rules.caller(claims.as_object().unwrap())
    }

    #[test]
    fn user_and_groups_have_their_prefixes() {
        for scopes in [json!({"scope": "call other read"}), json!({"scp": ["read", "call"]})] {
            let mut claims = json!({"sub": "ann", "groups": ["b", "a", "b"]});
            claims.as_object_mut().unwrap().append(&mut scopes.as_object().unwrap().clone());
            let ann = caller(&rules(), &claims).unwrap();
            assert_eq!((ann.user.as_str(), ann.proof), ("corp:ann", Proof::Oidc));
            assert_eq!(ann.groups, ["g:a", "g:b"]);
        }
    }

    #[test]
    fn one_group_may_stand_alone_and_none_is_none() {
        let rules = ClaimRules { required_scopes: Vec::new(), ..rules() };
        assert_eq!(caller(&rules, &json!({"sub": "a", "groups": "x"})).unwrap().groups, ["g:x"]);
        assert!(caller(&rules, &json!({"sub": "a"})).unwrap().groups.is_empty());
        let none = ClaimRules { groups_claim: None, ..rules };
        assert!(caller(&none, &json!({"sub": "a", "groups": ["x"]})).unwrap().groups.is_empty());
    }

    #[test]
    fn all_scopes_are_needed() {
        let refusal = caller(&rules(), &json!({"sub": "ann", "scope": "read reading"})).unwrap_err();
        let needed = vec!["read".to_owned(), "call".to_owned()];
        assert_eq!(refusal.caller().unwrap().user, "corp:ann");
        let caller = Box::new(refusal.caller().unwrap().clone());
        assert_eq!(refusal, Refusal::Scope { caller, lacking: vec!["call".to_owned()], needed });
    }

    #[test]
    fn nobody_comes_in_without_a_name_or_as_the_system() {
        let rules = ClaimRules {
            required_scopes: Vec::new(),
            username_prefix: String::new(),
            groups_prefix: String::new(),
            ..rules()
        };
        for claims in [
            json!({}),
            json!({"sub": ""}),
            json!({"sub": 7}),
            json!({"sub": "system:admin"}),
            json!({"sub": "system:serviceaccount:a:b"}),
            json!({"sub": "ann", "groups": ["team", "system:masters"]}),
        ] {
            assert!(matches!(caller(&rules, &claims), Err(Refusal::Invalid(_))), "{claims}");
        }
        let email = ClaimRules { username_claim: "email".into(), ..rules };
        assert!(caller(&email, &json!({"email": "a@b", "email_verified": true})).is_ok());
        assert!(caller(&email, &json!({"email": "a@b"})).is_ok());
        for said in [json!(false), json!("true")] {
            assert!(caller(&email, &json!({"email": "a@b", "email_verified": said})).is_err());
        }
    }
}
