//! Whose change requests a caller sees, and for which objects a caller may propose one.

use std::fs;

use futures::future::BoxFuture;
use pilothouse::{
    audit::Audit,
    caller::Caller,
    changes::{ChangeRequests, ChangesConfig},
    tools::{ChangeAccess, Changes, Modification, Proposal},
};
use serde_json::json;
use std::sync::Arc;

use crate::{changes_git_server::GitServer, changes_stage::repository};

/// `ann` and `amy` work in shop, `lea` leads there, `bob` works elsewhere.
struct Teams;

impl ChangeAccess for Teams {
    fn sees_others<'a>(
        &'a self,
        caller: &'a Caller,
        namespace: Option<&'a str>,
    ) -> BoxFuture<'a, Result<bool, String>> {
        let sees = caller.user == "lea" && namespace == Some("shop");
        Box::pin(std::future::ready(Ok(sees)))
    }

    fn changes_others<'a>(
        &'a self,
        caller: &'a Caller,
        namespace: Option<&'a str>,
    ) -> BoxFuture<'a, Result<bool, String>> {
        self.sees_others(caller, namespace)
    }

    fn sees_object<'a>(
        &'a self,
        caller: &'a Caller,
        proposal: &'a Proposal,
    ) -> BoxFuture<'a, Result<(), String>> {
        let is_in = ["ann", "amy", "lea"].contains(&caller.user.as_str());
        let namespace = proposal.namespace.clone().unwrap_or_default();
        let seen = if is_in && namespace == "shop" { Ok(()) } else { Err(format!("no {namespace} for you")) };
        Box::pin(std::future::ready(seen))
    }
}

fn caller(user: &str) -> Caller {
    Caller { user: user.to_owned(), ..Caller::static_token() }
}

fn proposal(name: &str) -> Proposal {
    Proposal {
        kind: "Deployment".into(),
        namespace: Some("shop".into()),
        name: name.into(),
        change: Modification::Edits(vec![("spec.replicas".into(), json!(3))]),
        reason: "Too few.".into(),
        repository: None,
    }
}

#[tokio::test]
async fn ones_own_are_seen_and_others_by_whoever_leads_there() {
    let manifest = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: shop}\nspec: {replicas: 2}\n";
    let server = GitServer::start(&[("web.yaml", manifest)]).await;
    let data = tempfile::tempdir().unwrap();
    fs::write(server.folder.path().join("token"), &server.token).unwrap();
    let audit = Audit::open(data.path()).unwrap();
    let config = ChangesConfig {
        repositories: vec![repository("deploy", server.url(), &server)],
        ..ChangesConfig::default()
    };
    let changes = ChangeRequests::guarded(config, data.path(), audit, Arc::new(Teams), None).unwrap();

    // Bob learns neither what stands in the repository nor whether it does.
    let refused: Vec<String> = [
        changes.propose(&caller("bob"), proposal("web")).await,
        changes.propose(&caller("bob"), proposal("webb")).await,
    ]
    .map(|answer| answer.text)
    .into();
    assert_eq!(refused, vec!["Nothing was proposed: no shop for you."; 2]);

    let made = changes.propose(&caller("ann"), proposal("web")).await;
    assert!(!made.is_error, "{}", made.text);
    let id = made.structured.unwrap()["id"].as_str().unwrap().to_owned();
    for (user, sees) in [("ann", true), ("lea", true), ("amy", false), ("bob", false)] {
        let list = changes.list(&caller(user)).await.text;
        let one = changes.get(&caller(user), &id).await;
        assert_eq!(list.contains(&id), sees, "{user}: {list}");
        assert_eq!(!one.is_error, sees, "{user}: {}", one.text);
        assert_eq!(changes.updates(&caller(user), &id).await.is_ok(), sees, "{user} subscribes");
    }
    let other = "0123456789abcdef";
    let (hidden, missing) =
        (changes.get(&caller("bob"), &id).await.text, changes.get(&caller("bob"), other).await.text);
    assert_eq!(hidden.replace(&id, "ID"), missing.replace(other, "ID"));
    // Who may not see others' may still see that the branch is in the way of one's own.
    let again = changes.propose(&caller("amy"), proposal("web")).await;
    assert!(again.text.contains(&id), "{}", again.text);

    // It is taken back by who asked for it, or by who may change others' there.
    let refused = changes.withdraw(&caller("bob"), &id, None).await;
    assert!(refused.is_error && refused.text.contains("there is no change"), "{}", refused.text);
    let taken = changes.withdraw(&caller("lea"), &id, Some("Not now.")).await;
    assert!(!taken.is_error && taken.text.contains("lea withdrew it: Not now."), "{}", taken.text);
    assert!(server.branches().is_empty());
}
