use super::check;
use crate::tools::diagnose::checks::example::{findings, found};

const WEB: &str = "
kind: Deployment
metadata: { name: web }
spec:
  replicas: 1
  selector: {}
  template: { metadata: { labels: { app: web, tier: front } }, spec: { containers: [{ name: main }] } }
";
const POD: &str = "
---
kind: Pod
metadata: { name: web-1, labels: { app: web, tier: front } }
spec: { nodeName: n1, containers: [{ name: main }] }
status: { phase: Running, conditions: [{ type: Ready, status: 'READY' }], containerStatuses: [
  { name: main, ready: false, image: i, imageID: i, restartCount: 0, state: { running: { startedAt: '2026-01-01T11:00:00Z' } } }] }
";

fn with(parts: &[&str]) -> Vec<String> {
    found(check, &parts.join("\n---\n"))
}

fn service(selector: &str) -> String {
    format!(
        "kind: Service\nmetadata: {{ name: web }}\nspec: {{ selector: {selector}, ports: [{{ port: 80 }}] }}"
    )
}

const INGRESS: &str = "
kind: Ingress
metadata: { name: front }
spec: { rules: [{ host: a.example, http: { paths: [{ path: /, pathType: Prefix, backend: { service: { name: web, port: { number: 80 } } } }] } }] }
";

#[test]
fn a_selector_that_fits_no_pod_is_told_the_nearest_labels() {
    let yaml = [WEB, POD, &service("{ app: wbe, tier: front }")].join("\n---\n").replace("READY", "True");
    let all = findings(check, &yaml);
    assert_eq!(all.len(), 1);
    assert_eq!(
        all[0].mechanism,
        "Service web selects app=wbe,tier=front, and no pod has these labels; nearest is Deployment shop/web: \
         the selector wants app=wbe, the label is app=web"
    );
    assert_eq!(all[0].change.what, "spec.selector: app=web");
    let right = yaml.replace("wbe", "web");
    assert!(found(check, &right).is_empty());
    let only_key = yaml.replace("app: wbe, tier: front", "name: web");
    assert_eq!(findings(check, &only_key)[0].change.what, "spec.selector: app=web instead of name");
}

#[test]
fn services_whose_pods_are_made_otherwise_or_have_ended_are_silent() {
    let rollout = "kind: Rollout\nspec: { template: { metadata: { labels: { app: x } } } }";
    assert!(with(&[&service("{ app: x }"), rollout]).is_empty());
    let ended = "kind: Pod\nmetadata: { name: j, labels: { app: x } }\nstatus: { phase: Succeeded }";
    assert!(with(&[&service("{ app: x }"), ended]).is_empty());
    assert_eq!(with(&[&service("{ app: x }")]), ["ServiceSelectsNothing Service shop/web"]);
    let slice = "
kind: EndpointSlice
addressType: IPv4
metadata: { labels: { kubernetes.io/service-name: web } }
endpoints: [{ addresses: [10.0.0.1] }]";
    assert!(with(&[&service("{ app: x }"), slice]).is_empty());
}

#[test]
fn pods_that_are_not_ready_are_followed() {
    let yaml = [WEB, POD, &service("{ app: web }"), INGRESS].join("\n---\n");
    let all = findings(check, &yaml.replace("READY", "False"));
    assert_eq!(all.len(), 1);
    let follows: Vec<String> = all[0].follows.iter().map(|object| object.words()).collect();
    assert_eq!(follows, ["Pod shop/web-1", "Pod shop/web-1"]);
    assert_eq!(all[0].affects[0].words(), "Ingress shop/front");
    assert!(found(check, &yaml.replace("READY", "True")).is_empty());
    let published =
        yaml.replace("READY", "False").replace("ports:", "publishNotReadyAddresses: true, ports:");
    assert!(found(check, &published).is_empty());
}

#[test]
fn zero_replicas_matter_only_to_those_who_count_on_them() {
    let zero = WEB.replace("replicas: 1", "replicas: 0");
    let web = service("{ app: web }");
    assert!(with(&[&zero, &web]).is_empty());
    assert_eq!(with(&[&zero, &web, INGRESS]), ["ScaledToZeroButUsed Deployment shop/web"]);
    let client = "
kind: Deployment
metadata: { name: front }
spec: { selector: {}, template: { metadata: { labels: { app: front } }, spec: { containers: [
  { name: main, env: [{ name: API_URL, value: 'http://web:80/' }] }] } } }";
    assert_eq!(with(&[&zero, &web, client]), ["ScaledToZeroButUsed Deployment shop/web"]);
    let keda = "apiVersion: keda.sh/v1\nkind: ScaledObject\nspec: { scaleTargetRef: { name: web } }";
    assert!(with(&[&zero, &web, INGRESS, keda]).is_empty());
    let autoscaler = "
kind: HorizontalPodAutoscaler
metadata: { name: web }
spec: { minReplicas: 2, maxReplicas: 4, scaleTargetRef: { kind: Deployment, name: web } }";
    assert_eq!(with(&[&zero, &web, autoscaler]), ["ScaledToZeroButUsed Deployment shop/web"]);
}

#[test]
fn a_workload_that_cannot_make_its_pods_is_followed() {
    let all = findings(check, &[WEB, &service("{ app: web }")].join("\n---\n"));
    assert_eq!(all[0].follows[0].words(), "Deployment shop/web");
}

#[test]
fn endpoints_by_hand_are_missed_only_where_traffic_is_led_to_them() {
    assert!(with(&[&service("{}")]).is_empty());
    assert_eq!(with(&[&service("{}"), INGRESS]), ["ServiceSelectsNothing Service shop/web"]);
}
