//! A pod as something to judge: whose it is, where its template stands, and what is told of it.

use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{Pod, PodSpec},
};

use crate::tools::diagnose::{
    cause::Cause,
    finding::{Evidence, Finding, ObjectRef, Severity},
    look::{controller, reference},
    picture::{EventFacts, LogFacts, Picture},
    pods::{Unit, is_ending, phase, units},
};

pub(super) struct Subject<'a> {
    pub(super) picture: &'a Picture,
    pub(super) pod: &'a Pod,
    pub(super) this: ObjectRef,
    /// What findings are told of: the top of the makers, where the change is made.
    pub(super) owner: ObjectRef,
    makers: Vec<ObjectRef>,
}

/// All pods that are neither done nor on their way out.
pub(super) fn subjects(picture: &Picture) -> impl Iterator<Item = Subject<'_>> {
    let pods = picture.pods.iter().filter(|pod| !is_ending(pod) && phase(pod) != "Succeeded");
    pods.map(|pod| Subject::of(picture, pod)).filter(|subject| !subject.is_past())
}

impl<'a> Subject<'a> {
    fn of(picture: &'a Picture, pod: &'a Pod) -> Self {
        let this = reference("Pod", &pod.metadata);
        let makers = picture.makers_of(pod);
        let owner = makers.last().cloned().unwrap_or_else(|| this.clone());
        Self { picture, pod, this, owner, makers }
    }

    pub(super) fn spec(&self) -> Option<&'a PodSpec> {
        self.pod.spec.as_ref()
    }

    pub(super) fn units(&self) -> Vec<Unit<'a>> {
        units(self.pod)
    }

    /// The Job that made it.
    pub(super) fn job(&self) -> Option<&'a Job> {
        let made = self.makers.first().filter(|maker| maker.kind == "Job")?;
        self.picture.jobs.iter().find(|job| reference("Job", &job.metadata) == *made)
    }

    /// What has failed before what made it succeeded is past; so is a failed pod that was replaced, unless it tells of
    /// its node.
    fn is_past(&self) -> bool {
        if phase(self.pod) != "Failed" {
            return false;
        }
        let Some(job) = self.job() else {
            let is_replaced = !self.makers.is_empty() && self.this.kind == "Pod";
            let tells = self.pod.status.as_ref().is_some_and(|status| status.reason.is_some());
            return is_replaced && !tells && self.owner.kind != "Job" && self.owner.kind != "CronJob";
        };
        job.status.as_ref().is_some_and(|status| status.completion_time.is_some())
            || self.has_succeeded_since(job)
    }

    /// Whether a later run of the CronJob went well.
    fn has_succeeded_since(&self, job: &Job) -> bool {
        if self.owner.kind != "CronJob" {
            return false;
        }
        let cron =
            self.picture.cron_jobs.iter().find(|cron| reference("CronJob", &cron.metadata) == self.owner);
        let succeeded = cron.and_then(|cron| cron.status.as_ref()?.last_successful_time.as_ref());
        let began = job.status.as_ref().and_then(|status| status.start_time.as_ref());
        let ended = |job: &'a Job| job.status.as_ref().and_then(|status| status.completion_time.as_ref());
        let siblings = self.picture.jobs.iter().filter(|job| {
            job.metadata.namespace.as_deref() == Some(&self.owner.namespace)
                && controller(&job.metadata).is_some_and(|maker| maker.name == self.owner.name)
        });
        let succeeded = siblings.filter_map(ended).chain(succeeded).max();
        succeeded.zip(began).is_some_and(|(succeeded, began)| succeeded.0 > began.0)
    }

    /// Told of the owner; affects the pod and all that made it.
    pub(super) fn finding(
        &self,
        severity: Severity,
        cause: Cause,
        mechanism: impl Into<String>,
        confirm: impl Into<String>,
        change: impl Into<String>,
    ) -> Finding {
        let between = self.makers.iter().filter(|maker| **maker != self.owner).cloned();
        Finding::new(severity, cause, &self.owner, mechanism, confirm, change)
            .affecting([self.this.clone()])
            .affecting(between)
    }

    /// Where a field of the pod's spec stands in its owner.
    pub(super) fn path(&self, field: &str) -> String {
        let prefix = match self.owner.kind.as_str() {
            "Pod" => "spec",
            "CronJob" => "spec.jobTemplate.spec.template.spec",
            _ => "spec.template.spec",
        };
        format!("{prefix}.{field}")
    }

    pub(super) fn field(&self, path: &str, value: impl Into<String>) -> Evidence {
        Evidence::field(&self.this, path, value)
    }

    /// Newest first.
    pub(super) fn events(&self) -> impl Iterator<Item = &'a EventFacts> {
        let (this, uid) = (self.this.clone(), self.pod.metadata.uid.clone().unwrap_or_default());
        self.picture.events.iter().filter(move |event| {
            event.object == this && (event.uid.is_empty() || uid.is_empty() || event.uid == uid)
        })
    }

    /// The newest event with one of these reasons.
    pub(super) fn event(&self, reasons: &[&str]) -> Option<&'a EventFacts> {
        self.events().find(|event| reasons.contains(&event.reason.as_str()))
    }

    pub(super) fn evidence(&self, event: Option<&EventFacts>) -> Option<Evidence> {
        event.map(|event| self.picture.event_evidence(event))
    }

    pub(super) fn log(&self, container: &str) -> Option<&'a LogFacts> {
        self.picture.log_of(&self.this, container)
    }

    /// The last line that a container wrote.
    pub(super) fn last_line(&self, container: &str) -> Option<Evidence> {
        let log = self.log(container)?;
        let line = telling(&log.lines)?;
        Some(self.line(log, line))
    }

    pub(super) fn line(&self, log: &LogFacts, line: &str) -> Evidence {
        Evidence::Log {
            object: self.this.clone(),
            container: log.container.clone(),
            previous: log.previous,
            line: line.to_owned(),
        }
    }

    /// The call that shows a container's log.
    pub(super) fn log_call(&self, container: &str, previous: bool) -> String {
        let ObjectRef { kind: _, namespace, name } = &self.this;
        let previous = if previous { " previous=true" } else { "" };
        format!("get_logs namespace={namespace} name={name} container={container}{previous}")
    }

    pub(super) fn get_call(&self) -> String {
        let ObjectRef { kind: _, namespace, name } = &self.this;
        format!("get_resource kind=Pod namespace={namespace} name={name}")
    }

    /// What keeps the owner from those that it needs, where a container's log tells that it cannot reach somebody.
    pub(super) fn blames_others(&self, container: &str) -> Option<ObjectRef> {
        let log = self.log(container)?;
        let blames = log.lines.iter().rev().take(10).any(|line| {
            let line = line.to_lowercase();
            UNREACHED.iter().any(|words| line.contains(words))
        });
        blames.then(|| self.owner.clone())
    }

    /// Where it runs.
    pub(super) fn node(&self) -> Option<ObjectRef> {
        let node = self.spec()?.node_name.as_deref().filter(|node| !node.is_empty())?;
        Some(ObjectRef::new("Node", "", node))
    }
}

/// What clients say when nobody answers them.
const UNREACHED: [&str; 9] = [
    "refuse",
    "timed out",
    "timeout",
    "unreachable",
    "no route to host",
    "reset by peer",
    "unavailable",
    "cannot reach",
    "could not connect",
];

const TELLING: [&str; 8] = ["error", "fatal", "panic", "exception", "cannot", "can't", "failed", "denied"];

/// Of the last lines the one that says most: the last with a word of failure, else the last.
fn telling(lines: &[String]) -> Option<&str> {
    let is_telling = |line: &&String| {
        let line = line.to_lowercase();
        TELLING.iter().any(|word| line.contains(word))
    };
    let last = lines.iter().rev().take(10).find(is_telling).or_else(|| lines.last());
    last.map(String::as_str)
}
