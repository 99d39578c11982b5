//! Claims and volumes: what is not there, not bound, lost, used elsewhere, or cannot be mounted.

use k8s_openapi::api::{
    core::v1::{PersistentVolume, PersistentVolumeClaim, PersistentVolumeClaimSpec},
    storage::v1::StorageClass,
};

use super::subject::{Subject, subjects};
use crate::tools::{
    diagnose::{
        cause::Cause,
        finding::{Evidence, Finding, ObjectRef, Severity},
        look::{reference, seconds_old},
        picture::Picture,
        pods::{START_SECONDS, TURN_SECONDS, phase},
        reach::has_all,
    },
    quantity::billionths,
    target::nearest,
};

pub(super) fn check(picture: &Picture, findings: &mut Vec<Finding>) {
    for subject in subjects(picture) {
        findings.extend(missing(&subject));
        findings.extend(not_mounted(&subject));
    }
    for claim in &picture.claims {
        findings.extend(judge(picture, claim));
    }
}

/// Names of the claims that a pod uses, those of its own templates included.
fn claims_of(subject: &Subject<'_>) -> Vec<String> {
    let volumes = subject.spec().into_iter().flat_map(|spec| spec.volumes.iter().flatten());
    let own = |volume: &str| format!("{}-{volume}", subject.this.name);
    volumes
        .filter_map(|volume| match (&volume.persistent_volume_claim, &volume.ephemeral) {
            (Some(claim), _) => Some(claim.claim_name.clone()),
            (None, Some(_)) => Some(own(&volume.name)),
            (None, None) => None,
        })
        .collect()
}

fn missing(subject: &Subject<'_>) -> Vec<Finding> {
    let picture = subject.picture;
    let namespace = subject.this.namespace.as_str();
    let is_known = has_all(picture, "PersistentVolumeClaim", namespace);
    if !is_known
        || phase(subject.pod) != "Pending"
        || seconds_old(&subject.pod.metadata, picture.now) < TURN_SECONDS
    {
        return Vec::new();
    }
    let names = || {
        let claims =
            picture.claims.iter().filter(|claim| claim.metadata.namespace.as_deref() == Some(namespace));
        claims.filter_map(|claim| claim.metadata.name.as_deref())
    };
    let lacking = claims_of(subject).into_iter().filter(|name| !names().any(|known| known == name));
    let tell = |name: String| {
        let near = nearest(&name, names());
        let near = if near.is_empty() { String::new() } else { format!(" (nearest: {})", near.join(", ")) };
        let mechanism = format!(
            "PersistentVolumeClaim {namespace}/{name} does not exist{near}, so its pods cannot start"
        );
        let change = format!(
            "make PersistentVolumeClaim {name}, or name one that exists in {}",
            subject.path("volumes")
        );
        let confirm = format!("list_resources kind=persistentvolumeclaims namespace={namespace}");
        subject
            .finding(Severity::Critical, Cause::ClaimMissing, mechanism, confirm, change)
            .shown_by([subject.field("spec.volumes[].persistentVolumeClaim.claimName", name.as_str())])
            .shown_by(subject.evidence(subject.event(&["FailedScheduling"])))
    };
    lacking.map(tell).collect()
}

/// What the kubelet or the attacher says, where it is not about a ConfigMap or a Secret.
fn not_mounted(subject: &Subject<'_>) -> Option<Finding> {
    if phase(subject.pod) != "Pending" {
        return None;
    }
    let is_reference = |message: &str| {
        let message = message.to_lowercase();
        message.contains("configmap \"")
            || message.contains("secret \"")
            || message.contains("non-existent")
            || message.contains("timed out waiting for the condition")
    };
    let mut events = subject.events().filter(|event| {
        ["FailedMount", "FailedAttachVolume", "FailedMapVolume"].contains(&event.reason.as_str())
            && !is_reference(&event.message)
    });
    let event = events.next()?;
    let claims = claims_of(subject);
    let claims =
        claims.iter().map(|name| ObjectRef::new("PersistentVolumeClaim", &subject.this.namespace, name));
    let evidence = subject.evidence(Some(event));
    if event.message.contains("Multi-Attach") || event.message.contains("already used by pod") {
        let mechanism = format!(
            "its volume is ReadWriteOnce and attached to another node, where another pod uses it: {}",
            event.message
        );
        let change = "one pod at a time (strategy Recreate), pods on one node, or a ReadWriteMany volume";
        let finding = subject.finding(
            Severity::Critical,
            Cause::VolumeInUseElsewhere,
            mechanism,
            subject.get_call(),
            change,
        );
        return Some(finding.shown_by(evidence).following(claims));
    }
    let said = event.message.rsplit("err = ").next().unwrap_or(&event.message);
    let mechanism = format!("a volume of its pods cannot be mounted: {said}");
    let change = format!("{}: a volume that the node can mount", subject.path("volumes"));
    let finding =
        subject.finding(Severity::Critical, Cause::VolumeNotMounted, mechanism, subject.get_call(), change);
    Some(finding.shown_by(evidence).following(claims).following(subject.node()))
}

struct Case<'a> {
    picture: &'a Picture,
    claim: &'a PersistentVolumeClaim,
    spec: &'a PersistentVolumeClaimSpec,
    object: ObjectRef,
}

fn judge(picture: &Picture, claim: &PersistentVolumeClaim) -> Option<Finding> {
    if claim.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let object = reference("PersistentVolumeClaim", &claim.metadata);
    let case = Case { picture, claim, spec: claim.spec.as_ref()?, object };
    match claim.status.as_ref()?.phase.as_deref()? {
        "Lost" => Some(case.lost()),
        "Pending" if seconds_old(&claim.metadata, picture.now) > TURN_SECONDS => case.pending(),
        _ => None,
    }
}

impl Case<'_> {
    fn users(&self) -> Vec<ObjectRef> {
        let mut users = Vec::new();
        for subject in
            subjects(self.picture).filter(|subject| subject.this.namespace == self.object.namespace)
        {
            if claims_of(&subject).contains(&self.object.name) {
                users.extend([subject.this, subject.owner]);
            }
        }
        users
    }

    fn finding(&self, cause: Cause, mechanism: String, path: &str, value: &str, change: &str) -> Finding {
        let users = self.users();
        // Nothing waits for it: it may be prepared for later.
        let severity = if users.is_empty() { Severity::Warning } else { Severity::Critical };
        let ObjectRef { kind: _, namespace, name } = &self.object;
        let confirm = format!("get_resource kind=PersistentVolumeClaim namespace={namespace} name={name}");
        let event = self
            .picture
            .events_of(&self.object)
            .find(|event| event.is_warning || event.reason == "FailedBinding");
        Finding::new(severity, cause, &self.object, mechanism, confirm, change)
            .shown_by([Evidence::field(&self.object, path, value)])
            .shown_by(event.map(|event| self.picture.event_evidence(event)))
            .affecting(users)
    }

    fn lost(&self) -> Finding {
        let volume = self.spec.volume_name.as_deref().unwrap_or_default();
        let mechanism =
            format!("it is bound to PersistentVolume {volume}, which is gone: its data is lost to it");
        self.finding(
            Cause::ClaimLost,
            mechanism,
            "status.phase",
            "Lost",
            "restore the volume, or make the claim anew",
        )
        .following([ObjectRef::new("PersistentVolume", "", volume)])
    }

    fn pending(&self) -> Option<Finding> {
        let Self { picture, spec, .. } = self;
        let named = spec.storage_class_name.as_deref();
        let name = match named {
            Some("") => {
                return self.unbound_by_hand("storageClassName is empty, so it needs a volume made by hand");
            }
            Some(name) => name,
            None => {
                return self.unbound_by_hand("it names no storage class and the cluster has no default one");
            }
        };
        if !picture.has_read("StorageClass") {
            return self.by_event();
        }
        let Some(class) =
            picture.storage_classes.iter().find(|class| class.metadata.name.as_deref() == Some(name))
        else {
            return self.without_class(name);
        };
        self.of_class(class)
    }

    fn without_class(&self, name: &str) -> Option<Finding> {
        // Volumes made by hand may have the name of a class that is none.
        if self.fitting().is_some() {
            return None;
        }
        let classes = self.picture.storage_classes.iter().filter_map(|class| class.metadata.name.as_deref());
        let known: Vec<&str> = classes.collect();
        let known = if known.is_empty() {
            "there is none".to_owned()
        } else {
            format!("there is {}", known.join(", "))
        };
        let mechanism = format!("StorageClass {name} does not exist ({known}), so it gets no volume");
        let change = format!("make StorageClass {name}, or make the claim anew with a class that exists");
        Some(self.finding(Cause::StorageClassMissing, mechanism, "spec.storageClassName", name, &change))
    }

    fn of_class(&self, class: &StorageClass) -> Option<Finding> {
        let name = class.metadata.name.as_deref().unwrap_or_default();
        let failed = self.picture.events_of(&self.object).find(|event| event.reason == "ProvisioningFailed");
        if let Some(failed) = failed {
            let mechanism = format!("no volume of class {name} can be made for it: {}", failed.message);
            let change = "what the provisioner asks for";
            return Some(self.finding(
                Cause::ClaimNotBound,
                mechanism,
                "spec.storageClassName",
                name,
                change,
            ));
        }
        // A class without provisioner has only the volumes made by hand.
        if class.provisioner == "kubernetes.io/no-provisioner" {
            let is_wanted = class.volume_binding_mode.as_deref() != Some("WaitForFirstConsumer")
                || !self.users().is_empty();
            return is_wanted
                .then(|| self.unbound_by_hand(&format!("class {name} makes no volumes by itself")))
                .flatten();
        }
        let waits_for_pod = class.volume_binding_mode.as_deref() == Some("WaitForFirstConsumer");
        let is_asked = self
            .claim
            .metadata
            .annotations
            .as_ref()
            .is_some_and(|is| is.contains_key("volume.kubernetes.io/selected-node"));
        if waits_for_pod && !is_asked {
            return None;
        }
        if seconds_old(&self.claim.metadata, self.picture.now) < START_SECONDS {
            return None;
        }
        let mechanism =
            format!("provisioner {} of class {name} has not made a volume for it", class.provisioner);
        let change = "run the provisioner, or use a class whose provisioner runs";
        Some(self.finding(Cause::ClaimNotBound, mechanism, "status.phase", "Pending", change))
    }

    fn by_event(&self) -> Option<Finding> {
        let event = self.picture.events_of(&self.object).find(|event| event.is_warning)?;
        let cause = if event.message.contains("storageclass") && event.message.contains("not found") {
            Cause::StorageClassMissing
        } else {
            Cause::ClaimNotBound
        };
        let mechanism = format!("it gets no volume: {}", event.message);
        Some(self.finding(cause, mechanism, "status.phase", "Pending", "a class or volume that fits"))
    }

    fn unbound_by_hand(&self, why: &str) -> Option<Finding> {
        if !self.picture.has_read("PersistentVolume") {
            return self.by_event();
        }
        if self.fitting().is_some() {
            return None;
        }
        let near = self.nearly();
        let near = near.map_or_else(
            || ", and there is none that is free".to_owned(),
            |why| format!(", and none that is free fits: {why}"),
        );
        let class = self.spec.storage_class_name.as_deref().unwrap_or("none");
        let mechanism = format!("{why}{near}");
        let change = "a volume that fits (class, size, access mode), or a storage class that makes them";
        Some(self.finding(Cause::ClaimNotBound, mechanism, "spec.storageClassName", class, change))
    }

    fn free(&self) -> impl Iterator<Item = &PersistentVolume> {
        let mine = |volume: &&PersistentVolume| {
            let claim = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref());
            claim.is_none_or(|claim| {
                claim.name.as_deref() == Some(&self.object.name)
                    && claim.namespace.as_deref() == Some(&self.object.namespace)
            })
        };
        self.picture.volumes.iter().filter(mine)
    }

    fn fitting(&self) -> Option<&PersistentVolume> {
        self.free().find(|volume| self.unfit(volume).is_none())
    }

    /// Why the nearest free volume does not fit.
    fn nearly(&self) -> Option<String> {
        let of_class = |volume: &&PersistentVolume| {
            let class = volume.spec.as_ref().and_then(|spec| spec.storage_class_name.as_deref());
            class.unwrap_or_default() == self.spec.storage_class_name.as_deref().unwrap_or_default()
        };
        let near = self.free().find(of_class).or_else(|| self.free().next())?;
        let name = near.metadata.name.as_deref().unwrap_or_default();
        self.unfit(near).map(|why| format!("PersistentVolume {name} {why}"))
    }

    fn unfit(&self, volume: &PersistentVolume) -> Option<String> {
        let has = volume.spec.as_ref()?;
        let class = has.storage_class_name.as_deref().unwrap_or_default();
        let wanted_class = self.spec.storage_class_name.as_deref().unwrap_or_default();
        if class != wanted_class {
            return Some(format!("is of class `{class}`, not `{wanted_class}`"));
        }
        let wanted =
            self.spec.resources.as_ref().and_then(|resources| resources.requests.as_ref()?.get("storage"));
        let size = has.capacity.as_ref().and_then(|capacity| capacity.get("storage"));
        if let (Some(wanted), Some(size)) = (wanted, size)
            && billionths(&size.0) < billionths(&wanted.0)
        {
            return Some(format!("has {}, not the {} that is asked for", size.0, wanted.0));
        }
        let modes: Vec<&String> = has.access_modes.iter().flatten().collect();
        let lacking = self.spec.access_modes.iter().flatten().find(|mode| !modes.contains(mode));
        lacking.map(|mode| format!("cannot be used {mode}"))
    }
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::tools::diagnose::checks::example::{findings, found};

    const CLAIM: &str = r#"
kind: PersistentVolumeClaim
metadata: { name: data }
spec: { storageClassName: fast, accessModes: [ReadWriteOnce], resources: { requests: { storage: 1Gi } } }
status: { phase: Pending }
"#;

    #[test]
    fn a_class_that_is_not_there() {
        let all = findings(check, CLAIM);
        assert_eq!(
            all[0].mechanism,
            "StorageClass fast does not exist (there is none), so it gets no volume"
        );
        let by_hand = CLAIM.replace("fast", "\"\"");
        assert_eq!(found(check, &by_hand), ["ClaimNotBound PersistentVolumeClaim shop/data"]);
    }

    #[test]
    fn a_claim_that_is_lost_or_missing() {
        let lost = CLAIM.replace("Pending", "Lost");
        assert_eq!(found(check, &lost), ["ClaimLost PersistentVolumeClaim shop/data"]);
        let pod = r#"
kind: Pod
metadata: { name: p }
spec: { containers: [], volumes: [{ name: v, persistentVolumeClaim: { claimName: dta } }] }
status: { phase: Pending }
"#;
        let bound = CLAIM.replace("Pending", "Bound");
        let all = findings(check, &format!("{pod}---{bound}"));
        assert_eq!(all.len(), 1);
        assert!(all[0].mechanism.contains("shop/dta does not exist (nearest: data)"), "{}", all[0].mechanism);
    }
}
