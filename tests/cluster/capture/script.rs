//! What two people do with kubectl, what is done besides, and what of it was written past Git.

use pilothouse::changes::capture::Write;

use crate::support::kubectl;

const WEB: &str = r#"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - {name: web, image: "registry.invalid/web:1", imagePullPolicy: Never, env: [{name: MODE, value: slow}]}
"#;
const LIMITS: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: limits}\ndata: {most: '10'}\n";
const OWNED: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: limits}\ndata: {most: '40'}\n";

pub(super) fn quota(namespace: &str) {
    let quota = "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: few}\nspec: {hard: {count/cronjobs.batch: '0'}}\n";
    kubectl::apply_in(namespace, quota);
}

/// Runs all of it, in order.
pub(super) fn script(namespace: &str) {
    let by = |user: &str, arguments: &[&str]| {
        let user = format!("--as={user}");
        let who = ["-n", namespace, &user, "--as-group=system:masters"];
        kubectl::run(&[&who, arguments].concat())
    };
    let piped = |user: &str, arguments: &[&str], manifest: &str| {
        let user = format!("--as={user}");
        let who = ["-n", namespace, &user, "--as-group=system:masters"];
        kubectl::ask(&[&who, arguments].concat(), manifest)
    };
    piped("ann", &["apply", "-f", "-"], WEB).expect("a Deployment");
    piped("bob", &["create", "-f", "-"], LIMITS).expect("a ConfigMap");
    by("ann", &["set", "image", "deployment/web", "web=registry.invalid/web:2"]);
    by("bob", &["scale", "deployment/web", "--replicas=2"]);
    by("bob", &["patch", "configmap/limits", "--type=merge", "-p", r#"{"data": {"most": "20"}}"#]);
    edit(namespace, "ann", "deployment/web", "s/value: slow/value: fast/");
    by("ann", &["rollout", "restart", "deployment/web"]);
    by("bob", &["label", "deployment/web", "team=shop"]);
    by("bob", &["label", "deployment/web", "team-"]);
    piped("ann", &["apply", "--server-side", "--force-conflicts", "-f", "-"], OWNED).expect("applied");
    // None of these is a write of somebody past Git.
    by("ann", &["set", "image", "deployment/web", "web=registry.invalid/web:9", "--dry-run=server"]);
    by("ann", &["scale", "deployment/web", "--replicas=2"]);
    let argo = "system:serviceaccount:argocd:argocd-application-controller";
    let applied = piped(
        argo,
        &["apply", "--server-side", "--force-conflicts", "--field-manager=argocd-controller", "-f", "-"],
        &OWNED.replace("40", "50"),
    );
    applied.expect("Argo CD applies");
    let hpa = "system:serviceaccount:kube-system:horizontal-pod-autoscaler";
    let scale = r#"{"spec": {"replicas": 3}}"#;
    let autoscaled = ["patch", "deployment/web", "--subresource=scale", "--type=merge", "-p", scale];
    by(hpa, &[&autoscaled[..], &["--field-manager=kube-controller-manager"]].concat());
    let refused = piped("ann", &["create", "cronjob", "late", "--image=a", "--schedule=* * * * *"], "");
    assert!(refused.is_err(), "the quota refuses it");
    by("bob", &["delete", "configmap/limits"]);
}

fn edit(namespace: &str, user: &str, object: &str, sed: &str) {
    let status = kubectl::kubectl()
        .env("KUBE_EDITOR", format!("sed -i '{sed}'"))
        .args(["-n", namespace, &format!("--as={user}"), "--as-group=system:masters", "edit", object])
        .stdout(std::process::Stdio::null())
        .status();
    assert!(status.expect("kubectl can be started").success(), "kubectl edit");
}

/// Of the writes past Git: verb, object, user, manager, and the first field that changed.
pub(super) fn expected(with_users: bool) -> Vec<String> {
    let image = "spec.template.spec.containers[name=web].image";
    let mode = "spec.template.spec.containers[name=web].env[name=MODE].value";
    [
        ("Create web", "ann", "kubectl-client-side-apply", ""),
        ("Create limits", "bob", "kubectl-create", ""),
        ("Update web", "ann", "kubectl-set", image),
        ("Update web", "bob", "kubectl", "spec.replicas"),
        ("Update limits", "bob", "kubectl-patch", "data.most"),
        ("Update web", "ann", "kubectl-edit", mode),
        ("Update web", "ann", "kubectl-rollout", "spec.template.metadata.annotations"),
        ("Update web", "bob", "kubectl-label", "metadata.labels"),
        ("Update web", "bob", "-", "metadata.labels"),
        ("Update limits", "ann", "kubectl", "data.most"),
        ("Delete limits", "bob", "-", ""),
    ]
    .map(|(what, user, manager, field)| line(what, if with_users { user } else { "-" }, manager, field))
    .into()
}

fn line(what: &str, user: &str, manager: &str, field: &str) -> String {
    format!("{what} by {user} with {manager}: {field}")
}

pub(super) fn said(writes: &[Write]) -> Vec<String> {
    let mut writes: Vec<&Write> = writes.iter().collect();
    // A write that was amended stands behind later ones.
    writes.sort_by_key(|write| write.at);
    let words = |write: &&Write| {
        let users = write.users.join(", ");
        line(
            &format!("{:?} {}", write.verb, write.object.name),
            if users.is_empty() { "-" } else { &users },
            write.manager.as_deref().unwrap_or("-"),
            write.fields.first().map_or("", |field| field.path.as_str()),
        )
    };
    writes.iter().map(words).collect()
}
