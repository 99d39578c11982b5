//! How many pods, where, with which volumes and rights.

use super::examples::Examples;

pub(super) const SCALING: Examples = Examples {
    kind: "MCPServer",
    base: "image: a",
    accepted: &[
        "autoscaling: {max: 3}",
        "autoscaling: {min: 2, max: 2, cpu: 50, memory: 120}",
        "autoscaling: {max: 3}, resources: {requests: {cpu: 100m, memory: 64Mi}}",
        "autoscaling: {max: 3, memory: 80}, resources: {limits: {memory: 1Gi}}",
        "scaleToZero: {}",
        "scaleToZero: {idleAfter: 30s, wakeTimeout: 2m}, autoscaling: {max: 3}",
        "disruptionBudget: {minAvailable: 1}",
        "disruptionBudget: {maxUnavailable: 50%}",
    ],
    refused: &[
        (
            "autoscaling: {min: 3, max: 2}",
            "spec.autoscaling.max must not be less than spec.autoscaling.min: raise max or lower min",
        ),
        ("autoscaling: {min: 0, max: 2}", "spec.autoscaling.min must be from 1 to 1000: correct it"),
        ("autoscaling: {max: 1001}", "spec.autoscaling.max must be from 1 to 1000: correct it"),
        ("autoscaling: {max: 2, cpu: 0}", "spec.autoscaling.cpu must be from 1 to 1000: correct it"),
        ("autoscaling: {max: 2, memory: 1001}", "spec.autoscaling.memory must be from 1 to 1000: correct it"),
        (
            "autoscaling: {max: 3}, resources: {requests: {memory: 64Mi}}",
            "spec.autoscaling.cpu is a percentage of spec.resources.requests.cpu, which is missing: set it",
        ),
        (
            "autoscaling: {max: 3, memory: 80}, resources: {limits: {cpu: 1}}",
            "spec.autoscaling.memory is a percentage of spec.resources.requests.memory, which is missing: set it",
        ),
        (
            "scaleToZero: {idleAfter: 1s}",
            "spec.scaleToZero.idleAfter must be a number and a unit, such as 500ms, 60s or 5m, from 10s to 24h: write it that way",
        ),
        (
            "scaleToZero: {wakeTimeout: 2h}",
            "spec.scaleToZero.wakeTimeout must be a number and a unit, such as 500ms, 60s or 5m, from 1s to 1h: write it that way",
        ),
        (
            "disruptionBudget: {}",
            "spec.disruptionBudget must hold exactly one of minAvailable and maxUnavailable: set one of them",
        ),
        (
            "disruptionBudget: {minAvailable: 1, maxUnavailable: 1}",
            "spec.disruptionBudget must hold exactly one of minAvailable and maxUnavailable: set one of them",
        ),
        (
            "disruptionBudget: {minAvailable: -1}",
            "spec.disruptionBudget.minAvailable must be a number of pods or a percentage: write it like 1 or 50%",
        ),
        (
            "disruptionBudget: {maxUnavailable: half}",
            "spec.disruptionBudget.maxUnavailable must be a number of pods or a percentage: write it like 1 or 50%",
        ),
    ],
};

pub(super) const STORAGE: Examples = Examples {
    kind: "MCPServer",
    base: "image: a",
    accepted: &[
        "storage: [{mountPath: /data, claimName: shared, readOnly: true, subPath: a/b}, {mountPath: /tmp, emptyDir: {sizeLimit: 1Gi, medium: Memory}}]",
        "storage: [{mountPath: /a, size: 1.5Gi}, {mountPath: /b, size: 1000000000, storageClassName: fast, accessMode: ReadWriteMany}, {mountPath: /c, emptyDir: {}}]",
    ],
    refused: &[
        (
            "storage: [{mountPath: /data}]",
            "spec.storage[] must hold exactly one of claimName (a claim that exists), emptyDir (gone with the pod) and size (a claim of its own): set one of them",
        ),
        (
            "storage: [{mountPath: /data, emptyDir: {}, size: 1Gi}]",
            "spec.storage[] must hold exactly one of claimName (a claim that exists), emptyDir (gone with the pod) and size (a claim of its own): set one of them",
        ),
        (
            "storage: [{mountPath: /data, claimName: a, accessMode: ReadWriteOnce}]",
            "spec.storage[].storageClassName and accessMode describe a claim of its own: set size, or remove them",
        ),
        (
            "storage: [{mountPath: data, emptyDir: {}}]",
            "spec.storage[].mountPath must be an absolute path without `:`, spaces, `.` or `..`, with no / at its end and outside /proc, /sys, /dev and /bridge-bin: write it like /data",
        ),
        (
            "storage: [{mountPath: /a/../etc, emptyDir: {}}]",
            "spec.storage[].mountPath must be an absolute path without `:`, spaces, `.` or `..`, with no / at its end and outside /proc, /sys, /dev and /bridge-bin: write it like /data",
        ),
        (
            "storage: [{mountPath: /proc, emptyDir: {}}]",
            "spec.storage[].mountPath must be an absolute path without `:`, spaces, `.` or `..`, with no / at its end and outside /proc, /sys, /dev and /bridge-bin: write it like /data",
        ),
        (
            "storage: [{mountPath: /data, claimName: A}]",
            "spec.storage[].claimName must be the name of a PersistentVolumeClaim, lowercase letters, digits, dashes and dots: correct it",
        ),
        (
            "storage: [{mountPath: /data, size: big}]",
            "spec.storage[].size must be a number of bytes: write it like 10Gi",
        ),
        (
            "storage: [{mountPath: /data, size: 0}]",
            "spec.storage[].size must be a number of bytes: write it like 10Gi",
        ),
        (
            "storage: [{mountPath: /data, emptyDir: {sizeLimit: 1GB}}]",
            "spec.storage[].emptyDir.sizeLimit must be a number of bytes: write it like 1Gi",
        ),
        (
            "storage: [{mountPath: /data, size: 1Gi, storageClassName: 'a b'}]",
            "spec.storage[].storageClassName must be the name of a StorageClass, lowercase letters, digits, dashes and dots: correct it",
        ),
        (
            "storage: [{mountPath: /data, claimName: a, subPath: ../b}]",
            "spec.storage[].subPath must be a path inside the volume, without / at its begin or end and without . or ..: write it like team-a/cache",
        ),
        (
            "storage: [{mountPath: /etc/mcp, emptyDir: {}}], config: {files: {a: b}}",
            "spec.config.mountPath is also the mountPath of a spec.storage entry: choose another for one of them",
        ),
    ],
};

pub(super) const PLACEMENT: Examples = Examples {
    kind: "MCPServer",
    base: "image: a",
    accepted: &[
        "nodeSelector: {kubernetes.io/arch: arm64, empty: ''}, tolerations: [{key: gpu, operator: Exists, effect: NoSchedule}], podAntiAffinity: required",
        "podAntiAffinity: preferred, affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: a, operator: In, values: [b]}]}]}}}",
        "affinity: {podAntiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 1, podAffinityTerm: {topologyKey: zone, labelSelector: {matchLabels: {a: b}}}}]}}",
        "topologySpreadConstraints: [{maxSkew: 1, topologyKey: topology.kubernetes.io/zone, whenUnsatisfiable: ScheduleAnyway}]",
        "podLabels: {team: search, example.com/tier: '1'}, podAnnotations: {example.com/a: 'any text at all'}",
    ],
    refused: &[
        (
            "podAntiAffinity: required, affinity: {podAntiAffinity: {}}",
            "spec.podAntiAffinity and spec.affinity.podAntiAffinity exclude each other: remove one of them",
        ),
        (
            "nodeSelector: {arch: 'a b'}",
            "spec.nodeSelector must be labels, at most 63 letters, digits, dashes, dots and underscores on each side, beginning and ending with a letter or digit: write them like team: search",
        ),
        (
            "tolerations: [{key: gpu, operator: exists}]",
            "spec.tolerations must have the operator Exists or Equal and the effect NoSchedule, PreferNoSchedule or NoExecute: correct them",
        ),
        (
            "topologySpreadConstraints: [{maxSkew: 0, topologyKey: zone, whenUnsatisfiable: DoNotSchedule}]",
            "spec.topologySpreadConstraints must have a maxSkew of at least 1 and whenUnsatisfiable DoNotSchedule or ScheduleAnyway: correct them",
        ),
        (
            "podLabels: {-team: a}",
            "spec.podLabels must be labels, at most 63 letters, digits, dashes, dots and underscores on each side, beginning and ending with a letter or digit: write them like team: search",
        ),
        (
            "podLabels: {app.kubernetes.io/name: a}",
            "spec.podLabels must not begin with app.kubernetes.io/ or pilothouse.dev/, which pilothouse sets itself: remove them",
        ),
        (
            "podAnnotations: {pilothouse.dev/config-hash: a}",
            "spec.podAnnotations must not begin with pilothouse.dev/, which pilothouse sets itself: remove them",
        ),
        (
            "podAnnotations: {container.apparmor.security.beta.kubernetes.io/server: unconfined}",
            "spec.podAnnotations must not choose AppArmor or seccomp profiles, since pods here keep to Pod Security restricted: use spec.security.seccompProfile",
        ),
    ],
};

pub(super) const SECURITY: Examples = Examples {
    kind: "MCPServer",
    base: "image: a",
    accepted: &[
        "security: {}",
        "security: {runAsUser: 1000, runAsGroup: 0, fsGroup: 1000, supplementalGroups: [1, 2], readOnlyRootFilesystem: false, mountServiceAccountToken: true}",
        "security: {seccompProfile: {type: RuntimeDefault}}",
        "security: {seccompProfile: {type: Localhost, localhostProfile: profiles/mcp.json}}",
        "serviceAccount: {name: existing}",
        "serviceAccount: {create: false}",
        "serviceAccount: {create: true, annotations: {eks.amazonaws.com/role-arn: 'arn:aws:iam::1:role/a'}}",
    ],
    refused: &[
        (
            "security: {runAsUser: 0}",
            "spec.security.runAsUser must be from 1 to 2147483647, since pods here never run as root: choose another user, such as 65532",
        ),
        ("security: {runAsGroup: -1}", "spec.security.runAsGroup must be from 0 to 2147483647: correct it"),
        ("security: {fsGroup: -1}", "spec.security.fsGroup must be from 0 to 2147483647: correct it"),
        (
            "security: {supplementalGroups: [-1]}",
            "spec.security.supplementalGroups must be from 0 to 2147483647: correct them",
        ),
        (
            "security: {seccompProfile: {type: Localhost}}",
            "spec.security.seccompProfile.localhostProfile goes with the type Localhost and only with it: set both or remove it",
        ),
        (
            "security: {seccompProfile: {type: Localhost, localhostProfile: /etc/a.json}}",
            "spec.security.seccompProfile.localhostProfile must be a path under the kubelet's folder for profiles: write it like profiles/mcp.json",
        ),
        (
            "security: {seccompProfile: {type: Unconfined}}",
            "Unsupported value: \"Unconfined\": supported values: \"RuntimeDefault\", \"Localhost\"",
        ),
        (
            "serviceAccount: {name: a, create: true}",
            "spec.serviceAccount.name is an account that exists, so create excludes it: remove one of them",
        ),
        (
            "serviceAccount: {name: a, annotations: {b: c}}",
            "spec.serviceAccount.annotations are set on the account that is made for the server: annotate the existing account itself, or remove name and create",
        ),
        (
            "serviceAccount: {name: 'a b'}",
            "spec.serviceAccount.name must be the name of a ServiceAccount, lowercase letters, digits, dashes and dots: correct it",
        ),
    ],
};

#[tokio::test]
async fn how_many_pods() {
    SCALING.hold().await;
}

#[tokio::test]
async fn which_volumes() {
    STORAGE.hold().await;
}

#[tokio::test]
async fn where_pods_run() {
    PLACEMENT.hold().await;
}

#[tokio::test]
async fn which_rights_pods_have() {
    SECURITY.hold().await;
}
