use super::check;
use crate::tools::diagnose::checks::example::{findings, found};

/// A Service, its pods, and a workload that is set to use it.
const SHOP: &str = "
kind: Service
metadata: { name: web }
spec: { selector: { app: web }, ports: [{ port: 80, targetPort: http }] }
---
kind: Deployment
metadata: { name: web }
spec: { selector: {}, template: { metadata: { labels: { app: web } }, spec: { containers: [
  { name: main, ports: [{ name: http, containerPort: 8080 }] }] } } }
---
kind: Deployment
metadata: { name: front }
spec: { selector: {}, template: { metadata: { labels: { app: front } }, spec: { containers: [
  { name: main, env: [{ name: API_URL, value: 'http://web' }] }] } } }
---
kind: Pod
metadata: { name: front-1, labels: { app: front }, ownerReferences: [{ apiVersion: v1, kind: ReplicaSet, name: front-abc, uid: u, controller: true }] }
";

fn policy(name: &str, spec: &str) -> String {
    format!("\n---\nkind: NetworkPolicy\nmetadata: {{ name: {name} }}\nspec: {{ {spec} }}")
}

fn deny() -> String {
    policy("deny-all", "podSelector: {}, policyTypes: [Ingress]")
}

fn allow(from: &str, port: &str) -> String {
    policy(
        "allow",
        &format!(
            "podSelector: {{ matchLabels: {{ app: web }} }}, ingress: [{{ from: [{from}], ports: [{{ port: {port} }}] }}]"
        ),
    )
}

const FRONT: &str = "{ podSelector: { matchLabels: { app: front } } }";

#[test]
fn a_deny_without_an_allow_blocks_what_the_service_is_for() {
    let all = findings(check, &(SHOP.to_owned() + &deny()));
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!(
        all[0].mechanism,
        "NetworkPolicy deny-all lets nothing in and no other policy does: nothing may reach port http of Deployment \
         shop/web, which Service web leads to (as the policies are written)"
    );
    assert_eq!(found(check, SHOP), [""; 0]);
}

#[test]
fn a_deny_with_a_fitting_allow_is_as_it_should_be() {
    for port in ["8080", "http"] {
        let fine = SHOP.to_owned() + &deny() + &allow(FRONT, port);
        assert_eq!(found(check, &fine), [""; 0], "{port}");
    }
    let elsewhere = "{ namespaceSelector: { matchLabels: { team: x } } }, { podSelector: { matchLabels: { app: front } } }";
    assert_eq!(found(check, &(SHOP.to_owned() + &allow(elsewhere, "8080"))), [""; 0]);
    assert_eq!(
        found(check, &(SHOP.to_owned() + &allow("{ ipBlock: { cidr: 10.0.0.0/8 } }", "8080"))),
        [""; 0]
    );
}

#[test]
fn an_allow_that_fits_nobody_or_another_port() {
    let typo = allow("{ podSelector: { matchLabels: { app: frnot } } }", "8080");
    let all = findings(check, &(SHOP.to_owned() + &deny() + &typo));
    assert!(
        all[0].mechanism.starts_with(
            "NetworkPolicy allow lets in only pods app=frnot, which no pod is; nearest is Deployment shop/front: the \
             selector wants app=frnot, the label is app=front: nothing may reach"
        ),
        "{}",
        all[0].mechanism
    );
    let all = findings(check, &(SHOP.to_owned() + &allow(FRONT, "80")));
    assert!(
        all[0].mechanism.starts_with("NetworkPolicy allow lets in only on port 80:"),
        "{}",
        all[0].mechanism
    );
    assert_eq!(all[0].change.what, "spec.ingress[].ports: http");
}

#[test]
fn one_who_is_set_to_use_it_and_may_not() {
    let other = "{ podSelector: { matchLabels: { app: web } } }";
    let all = findings(check, &(SHOP.to_owned() + &allow(other, "8080")));
    assert_eq!(
        all[0].mechanism,
        "NetworkPolicy allow lets in to Deployment shop/web only pods app=web on 8080: Deployment shop/front is set to \
         use Service web and may not reach port http (as the policies are written)"
    );
    let out = |to: &str| {
        let dns = "{ ports: [{ port: 53, protocol: UDP }] }";
        SHOP.to_owned()
            + &policy(
                "out",
                &format!(
                    "podSelector: {{ matchLabels: {{ app: front }} }}, policyTypes: [Egress], egress: [{dns}, {{ to: [{to}] }}]"
                ),
            )
    };
    assert_eq!(
        found(check, &out("{ podSelector: { matchLabels: { app: db } } }")),
        ["NetworkPolicyBlocks NetworkPolicy shop/out"]
    );
    assert_eq!(found(check, &out("{ podSelector: { matchLabels: { app: web } } }")), [""; 0]);
}

#[test]
fn egress_without_dns_matters_to_those_who_ask_for_names() {
    let to_web =
        "egress: [{ to: [{ podSelector: { matchLabels: { app: web } } }], ports: [{ port: 8080 }] }]";
    let out = policy(
        "out",
        &format!("podSelector: {{ matchLabels: {{ app: front }} }}, policyTypes: [Egress], {to_web}"),
    );
    let all = findings(check, &(SHOP.to_owned() + &out));
    assert_eq!(all.len(), 1, "{all:?}");
    assert!(all[0].mechanism.contains("not to DNS (port 53)"), "{}", all[0].mechanism);
    // Nothing out at all, and nothing shows that it wants out.
    let quiet = SHOP.replace("http://web", "none");
    let nothing = policy("out", "podSelector: { matchLabels: { app: front } }, policyTypes: [Egress]");
    assert_eq!(found(check, &(quiet.clone() + &nothing)), [""; 0]);
    let log = "\n---\nkind: Log\npod: front-1\nlines: ['wget: bad address web']";
    let all = found(check, &(quiet + &nothing + log));
    assert!(all.is_empty() || all == ["NetworkPolicyBlocks NetworkPolicy shop/out"]);
}
