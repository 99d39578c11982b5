//! The rules of the common library as CEL, each with what breaks it. They are named as its templates are.

/// One template of the library.
pub(super) struct Rule {
    pub(super) name: &'static str,
    /// CEL that holds for a good object; `variables.all` are all containers of a pod.
    pub(super) holds: &'static str,
    /// Where a good object is changed, and to what (YAML; `null` takes it away), so that it breaks the rule.
    pub(super) broken: (&'static str, &'static str),
}

pub(super) const GOOD_POD: &str = "
apiVersion: v1
kind: Pod
metadata:
  name: probe
  labels: {app.kubernetes.io/name: a, app.kubernetes.io/instance: a, app.kubernetes.io/managed-by: a}
spec:
  automountServiceAccountToken: false
  securityContext: {runAsNonRoot: true, runAsUser: 1, runAsGroup: 1, seccompProfile: {type: RuntimeDefault}}
  containers:
  - name: a
    image: example.com/a:1
    ports: [{containerPort: 80}]
    readinessProbe: {tcpSocket: {port: 80}}
    livenessProbe: {tcpSocket: {port: 80}}
    resources: {requests: {cpu: 1m, memory: 1Mi}, limits: {cpu: 1m, memory: 1Mi}}
    securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
";

pub(super) const OF_PODS: &[Rule] = &[
    Rule {
        name: "k8srequiredprobes",
        holds: "object.spec.containers.all(c, has(c.readinessProbe) && has(c.livenessProbe))",
        broken: ("/spec/containers/0/livenessProbe", "null"),
    },
    Rule {
        name: "k8scontainerlimits",
        holds: "variables.all.all(c, ['cpu', 'memory'].all(r, r in c.?resources.?limits.orValue({})))",
        broken: ("/spec/containers/0/resources", "{limits: {memory: 1Mi}}"),
    },
    Rule {
        name: "k8scontainerrequests",
        holds: "variables.all.all(c, ['cpu', 'memory'].all(r, r in c.?resources.?requests.orValue({})))",
        broken: ("/spec/containers/0/resources", "{}"),
    },
    Rule {
        name: "k8srequiredlabels",
        holds: "['app.kubernetes.io/name', 'app.kubernetes.io/instance', 'app.kubernetes.io/managed-by'].all(l, l in object.metadata.?labels.orValue({}))",
        broken: ("/metadata/labels/app.kubernetes.io~1name", "null"),
    },
    Rule {
        name: "k8spspprivilegedcontainer",
        holds: "variables.all.all(c, !c.?securityContext.?privileged.orValue(false))",
        broken: ("/spec/containers/0/securityContext", "{privileged: true}"),
    },
    Rule {
        name: "k8spspallowprivilegeescalationcontainer",
        holds: "variables.all.all(c, !c.?securityContext.?allowPrivilegeEscalation.orValue(true))",
        broken: ("/spec/containers/0/securityContext", "{}"),
    },
    Rule {
        name: "k8spspreadonlyrootfilesystem",
        holds: "variables.all.all(c, c.?securityContext.?readOnlyRootFilesystem.orValue(false))",
        broken: ("/spec/containers/0/securityContext/readOnlyRootFilesystem", "false"),
    },
    Rule {
        name: "k8spspcapabilities",
        holds: "variables.all.all(c, 'ALL' in c.?securityContext.?capabilities.?drop.orValue([]) && size(c.?securityContext.?capabilities.?add.orValue([])) == 0)",
        broken: ("/spec/containers/0/securityContext/capabilities", "{drop: [ALL], add: [NET_ADMIN]}"),
    },
    Rule {
        name: "k8spspallowedusers",
        holds: "object.spec.?securityContext.?runAsNonRoot.orValue(false) && object.spec.?securityContext.?runAsUser.orValue(0) > 0 && object.spec.?securityContext.?runAsGroup.orValue(0) > 0 && variables.all.all(c, c.?securityContext.?runAsUser.orValue(1) > 0)",
        broken: ("/spec/securityContext/runAsGroup", "0"),
    },
    Rule {
        name: "k8spspseccomp",
        holds: "object.spec.?securityContext.?seccompProfile.?type.orValue('') in ['RuntimeDefault', 'Localhost']",
        broken: ("/spec/securityContext/seccompProfile", "{type: Unconfined}"),
    },
    Rule {
        name: "k8spsphostnamespace",
        holds: "!object.spec.?hostPID.orValue(false) && !object.spec.?hostIPC.orValue(false)",
        broken: ("/spec/hostPID", "true"),
    },
    Rule {
        name: "k8spsphostnetworkingports",
        holds: "!object.spec.?hostNetwork.orValue(false) && variables.all.all(c, c.?ports.orValue([]).all(p, p.?hostPort.orValue(0) == 0))",
        broken: ("/spec/containers/0/ports/0/hostPort", "80"),
    },
    Rule {
        name: "k8spsphostfilesystem",
        holds: "object.spec.?volumes.orValue([]).all(v, !has(v.hostPath))",
        broken: ("/spec/volumes", "[{name: a, hostPath: {path: /a}}]"),
    },
    Rule {
        name: "k8spspvolumetypes",
        holds: "object.spec.?volumes.orValue([]).all(v, has(v.configMap) || has(v.emptyDir) || has(v.projected) || has(v.secret) || has(v.downwardAPI) || has(v.persistentVolumeClaim) || has(v.ephemeral) || has(v.csi))",
        broken: ("/spec/volumes", "[{name: a, nfs: {server: a, path: /a}}]"),
    },
    Rule {
        name: "k8spspforbiddensysctls",
        holds: "size(object.spec.?securityContext.?sysctls.orValue([])) == 0",
        broken: ("/spec/securityContext/sysctls", "[{name: net.ipv4.tcp_syncookies, value: '0'}]"),
    },
    Rule {
        name: "k8spspselinux",
        holds: "!has(object.spec.securityContext.seLinuxOptions) && variables.all.all(c, !has(c.securityContext.seLinuxOptions))",
        broken: ("/spec/securityContext/seLinuxOptions", "{level: s0}"),
    },
    Rule {
        name: "k8spspautomountserviceaccounttokenpod",
        holds: "!object.spec.?automountServiceAccountToken.orValue(true)",
        broken: ("/spec/automountServiceAccountToken", "true"),
    },
    Rule {
        name: "k8sdisallowedtags",
        holds: "variables.all.all(c, c.image.matches('@sha256:|:[^/:]+$') && !c.image.endsWith(':latest'))",
        broken: ("/spec/containers/0/image", "example.com/a:latest"),
    },
    Rule {
        name: "k8sdisallowinteractive",
        holds: "variables.all.all(c, !c.?stdin.orValue(false) && !c.?tty.orValue(false))",
        broken: ("/spec/containers/0/tty", "true"),
    },
];

pub(super) const GOOD_SERVICE: &str = "
apiVersion: v1
kind: Service
metadata: {name: probe, labels: {app.kubernetes.io/name: a}}
spec: {type: ClusterIP, ports: [{port: 80}]}
";

pub(super) const OF_SERVICES: &[Rule] = &[
    Rule {
        name: "k8sblocknodeport",
        holds: "object.spec.type != 'NodePort'",
        broken: ("/spec/type", "NodePort"),
    },
    Rule {
        name: "k8sblockloadbalancer",
        holds: "object.spec.type != 'LoadBalancer'",
        broken: ("/spec/type", "LoadBalancer"),
    },
    Rule {
        name: "k8sexternalips",
        holds: "size(object.spec.?externalIPs.orValue([])) == 0",
        broken: ("/spec/externalIPs", "[203.0.113.1]"),
    },
];

pub(super) const GOOD_INGRESS: &str = "
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: probe, labels: {app.kubernetes.io/name: a}}
spec:
  tls: [{hosts: [a.example.com], secretName: a}]
  rules:
  - host: a.example.com
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: a, port: {number: 80}}}}]}
";

pub(super) const OF_INGRESSES: &[Rule] = &[
    Rule {
        name: "k8shttpsonly",
        holds: "size(object.spec.?tls.orValue([])) > 0",
        broken: ("/spec/tls", "null"),
    },
    Rule {
        name: "k8sblockwildcardingress",
        holds: "object.spec.?rules.orValue([]).all(r, r.?host.orValue('*') != '*' && !r.?host.orValue('*').startsWith('*.'))",
        broken: ("/spec/rules/0/host", "'*.example.com'"),
    },
];
