//! Jobs that have failed, CronJobs whose runs fail or never come, and sidecars that keep a Job from its end.

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::{CronJob, Job, JobCondition};

use super::{
    crashes::{ended, meaning},
    subject::{Subject, subjects},
};
use crate::{
    answer::counted,
    tools::diagnose::{
        cause::Cause,
        finding::{Evidence, Finding, ObjectRef, Severity},
        look::{controller, reference, seconds_old},
        picture::Picture,
        pods::{phase, units},
    },
};

/// After the last of its work a Job ends within seconds.
const END_SECONDS: i64 = 15;
/// Skipped runs that are more than a slow one.
const SKIPPED: u32 = 3;

pub(super) fn check(picture: &Picture, findings: &mut Vec<Finding>) {
    for job in picture.jobs.iter().filter(|job| controller(&job.metadata).is_none()) {
        findings.extend(failed(picture, job));
    }
    for cron in &picture.cron_jobs {
        findings.extend(keep_failing(picture, cron));
        findings.extend(never_runs(picture, cron));
    }
    for subject in subjects(picture) {
        findings.extend(kept_running(&subject));
    }
}

fn condition<'a>(job: &'a Job, kind: &str) -> Option<&'a JobCondition> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| condition.type_ == kind && condition.status == "True")
}

/// How a Job has failed, told of `object`.
fn of_failure(
    picture: &Picture,
    job: &Job,
    failure: &JobCondition,
    object: &ObjectRef,
    cause: Cause,
    words: &str,
) -> Finding {
    let this = reference("Job", &job.metadata);
    let reason = failure.reason.as_deref().unwrap_or_default();
    let message = failure.message.as_deref().unwrap_or_default();
    let pods: Vec<Subject<'_>> = subjects(picture).filter(|subject| is_of(subject, &this)).collect();
    let end = pods.iter().find_map(|subject| {
        let unit =
            subject.units().into_iter().find(|unit| unit.last_end().is_some_and(|end| end.exit_code != 0))?;
        let end = unit.last_end()?;
        let line = subject.last_line(unit.name());
        let says = match &line {
            Some(Evidence::Log { line, .. }) => format!(", its log ends with: {line}"),
            _ => String::new(),
        };
        let said = format!(
            "; container {} ends with exit {} ({}){says}",
            unit.name(),
            end.exit_code,
            meaning(end.exit_code)
        );
        Some((said, ended(subject, &unit, end), line, subject.log_call(unit.name(), false)))
    });
    let path = "status.conditions[type=Failed]";
    let mut evidence = vec![Evidence::field(&this, path, format!("{reason}: {message}"))];
    let (said, confirm) = match end {
        Some((said, how, line, call)) => {
            evidence.push(how);
            evidence.extend(line);
            (said, call)
        }
        None => {
            (String::new(), format!("list_events namespace={} kind=Job name={}", this.namespace, this.name))
        }
    };
    let change = match cause {
        Cause::JobDeadlineExceeded => "a longer activeDeadlineSeconds, or less work at once".to_owned(),
        _ => "what its log complains of, then run it again".to_owned(),
    };
    let pods: Vec<ObjectRef> = pods.into_iter().map(|subject| subject.this).collect();
    Finding::new(Severity::Critical, cause, object, format!("{words}{said}"), confirm, change)
        .shown_by(evidence)
        .affecting([this.clone()])
        .following(pods)
        .following([this])
}

fn is_of(subject: &Subject<'_>, job: &ObjectRef) -> bool {
    subject.job().is_some_and(|made| reference("Job", &made.metadata) == *job)
}

fn cause_of(failure: &JobCondition) -> (Cause, String) {
    match failure.reason.as_deref() {
        Some("DeadlineExceeded") => (
            Cause::JobDeadlineExceeded,
            "it was ended because it ran longer than its activeDeadlineSeconds".to_owned(),
        ),
        Some("BackoffLimitExceeded") => {
            (Cause::JobFailed, "it has failed as often as its backoffLimit allows".to_owned())
        }
        _ => (Cause::JobFailed, format!("it has failed: {}", failure.message.as_deref().unwrap_or_default())),
    }
}

fn failed(picture: &Picture, job: &Job) -> Option<Finding> {
    let failure = condition(job, "Failed")?;
    let (cause, words) = cause_of(failure);
    Some(of_failure(picture, job, failure, &reference("Job", &job.metadata), cause, &words))
}

/// The newest runs of a CronJob have failed, and none since has succeeded.
fn keep_failing(picture: &Picture, cron: &CronJob) -> Option<Finding> {
    let object = reference("CronJob", &cron.metadata);
    let mine = picture.jobs.iter().filter(|job| {
        controller(&job.metadata).is_some_and(|owner| owner.name == object.name && owner.kind == "CronJob")
            && job.metadata.namespace.as_deref() == Some(&object.namespace)
    });
    let began = |job: &Job| job.status.as_ref().and_then(|status| status.start_time.as_ref().map(|at| at.0));
    let by_time: BTreeMap<_, &Job> = mine.map(|job| ((began(job), job.metadata.name.clone()), job)).collect();
    let ended = by_time
        .values()
        .rev()
        .filter(|job| condition(job, "Failed").is_some() || condition(job, "Complete").is_some());
    let failing: Vec<&&Job> = ended.take_while(|job| condition(job, "Failed").is_some()).collect();
    let newest = failing.first()?;
    let failure = condition(newest, "Failed")?;
    let succeeded = cron.status.as_ref().and_then(|status| status.last_successful_time.as_ref()).is_some();
    let (cause, why) = cause_of(failure);
    if failing.len() == 1 && succeeded {
        let finding = of_failure(
            picture,
            newest,
            failure,
            &object,
            cause,
            &format!("its last run {}", why.trim_start_matches("it ")),
        );
        return Some(Finding { severity: Severity::Warning, ..finding });
    }
    let runs = counted(failing.len(), "run");
    let words = format!(
        "its last {runs} failed{}: {why}",
        if succeeded { "" } else { ", and none has ever succeeded" }
    );
    Some(of_failure(picture, newest, failure, &object, Cause::JobsKeepFailing, &words))
}

fn never_runs(picture: &Picture, cron: &CronJob) -> Option<Finding> {
    let spec = cron.spec.as_ref().filter(|spec| spec.suspend != Some(true))?;
    let object = reference("CronJob", &cron.metadata);
    let status = cron.status.as_ref();
    let has_run = status.and_then(|status| status.last_schedule_time.as_ref()).is_some();
    let confirm = format!("list_events namespace={} kind=CronJob name={}", object.namespace, object.name);
    let tell = |severity, mechanism: String, path: &str, value: String, change: &str| {
        Finding::new(severity, Cause::CronJobNeverRuns, &object, mechanism, confirm.clone(), change)
            .shown_by([Evidence::field(&object, path, value)])
    };
    if !has_run && is_impossible(&spec.schedule) {
        let mechanism =
            format!("its schedule `{}` names a day that no month has, so it never runs", spec.schedule);
        return Some(tell(
            Severity::Critical,
            mechanism,
            "spec.schedule",
            spec.schedule.clone(),
            "spec.schedule: a day that exists",
        ));
    }
    const REFUSED: [&str; 5] = [
        "UnparseableSchedule",
        "InvalidSchedule",
        "UnknownTimeZone",
        "TooManyMissedTimes",
        "FailedNeedsStart",
    ];
    let refused = picture.events_of(&object).find(|event| REFUSED.contains(&event.reason.as_str()));
    if let Some(event) = refused {
        let mechanism = format!("its controller cannot start it: {}", event.message);
        let finding = tell(
            Severity::Critical,
            mechanism,
            "spec.schedule",
            spec.schedule.clone(),
            "spec.schedule or spec.timeZone as the controller asks",
        );
        return Some(finding.shown_by([picture.event_evidence(event)]));
    }
    let missed = picture.events_of(&object).find(|event| event.reason == "MissSchedule");
    if let (Some(event), Some(deadline)) = (missed, spec.starting_deadline_seconds) {
        let mechanism =
            format!("its runs are missed: they may start no later than {deadline} s after their time");
        let value = deadline.to_string();
        let finding = tell(
            Severity::Critical,
            mechanism,
            "spec.startingDeadlineSeconds",
            value,
            "spec.startingDeadlineSeconds: 60 or more",
        );
        return Some(finding.shown_by([picture.event_evidence(event)]));
    }
    let skipped =
        picture.events_of(&object).find(|event| event.reason == "JobAlreadyActive" && event.count >= SKIPPED);
    if let Some(event) = skipped
        && spec.concurrency_policy.as_deref() == Some("Forbid")
        && let Some(active) = status.and_then(|status| status.active.as_ref()?.first()?.name.clone())
    {
        let job = ObjectRef::new("Job", &object.namespace, &active);
        let mechanism = format!(
            "its runs are skipped because {} does not end and concurrencyPolicy is Forbid",
            job.words()
        );
        let finding = tell(
            Severity::Warning,
            mechanism,
            "spec.concurrencyPolicy",
            "Forbid".to_owned(),
            "an activeDeadlineSeconds for its jobs",
        );
        return Some(finding.shown_by([picture.event_evidence(event)]).following([job]));
    }
    None
}

/// A day of a month that never has it. Days of the week are another way to run.
fn is_impossible(schedule: &str) -> bool {
    let fields: Vec<&str> = schedule.split_whitespace().collect();
    let [_, _, day, month, week_day] = fields.as_slice() else { return false };
    let (Ok(day), "*" | "?") = (day.parse::<u32>(), *week_day) else { return false };
    let longest = |month: &str| match month.to_lowercase().as_str() {
        "2" | "02" | "feb" => 29,
        "4" | "04" | "apr" | "6" | "06" | "jun" | "9" | "09" | "sep" | "11" | "nov" => 30,
        _ => 31,
    };
    month.split(',').all(|month| day > longest(month))
}

/// The work is done, and another container goes on.
fn kept_running(subject: &Subject<'_>) -> Option<Finding> {
    let job = subject.job().filter(|_| phase(subject.pod) == "Running")?;
    let main = || units(subject.pod).into_iter().filter(|unit| !unit.is_init);
    let done: Vec<_> = main().filter(|unit| unit.ended().is_some_and(|end| end.exit_code == 0)).collect();
    let running = main().find(|unit| unit.running_since().is_some())?;
    let last = done.iter().filter_map(|unit| unit.ended()?.finished_at.as_ref().map(|at| at.0)).max()?;
    if subject.picture.now.as_second() - last.as_second() < END_SECONDS
        || seconds_old(&job.metadata, subject.picture.now) < END_SECONDS
    {
        return None;
    }
    let done: Vec<&str> = done.iter().map(|unit| unit.name()).collect();
    let (work, sidecar) = (done.join(", "), running.name());
    let mechanism =
        format!("container {work} is done, but container {sidecar} keeps running, so the Job never ends");
    let field = subject.path(&format!("initContainers[name={sidecar}]"));
    let change = format!("make {sidecar} a sidecar: {field} with restartPolicy: Always");
    let job = reference("Job", &job.metadata);
    let finding = subject
        .finding(Severity::Critical, Cause::SidecarKeepsJobRunning, mechanism, subject.get_call(), change)
        .affecting([job]);
    Some(finding.shown_by(
        [
            subject.field(
                &format!("status.containerStatuses[name={work}].state.terminated"),
                "Completed, exit 0",
            ),
            subject.field(&format!("status.containerStatuses[name={sidecar}].state"), "running"),
        ],
    ))
}

#[cfg(test)]
mod tests {
    use super::{check, is_impossible};
    use crate::tools::diagnose::checks::example::{findings, found};

    const FAILED: &str = r#"
kind: Job
metadata: { name: import }
spec: { template: { spec: { containers: [] } } }
status: { conditions: [{ type: Failed, status: "True", reason: BackoffLimitExceeded, message: m }] }
---
kind: Pod
metadata: { name: import-x, ownerReferences: [{ apiVersion: batch/v1, kind: Job, name: import, uid: u, controller: true }] }
spec: { containers: [{ name: main }] }
status:
  phase: Failed
  containerStatuses:
    - { name: main, ready: false, restartCount: 0, image: "", imageID: "", state: { terminated: { exitCode: 3 } } }
---
kind: Log
pod: import-x
lines: ["loading", "ERROR no such table: prices"]
"#;

    #[test]
    fn a_failed_job_says_what_its_log_says() {
        let all = findings(check, FAILED);
        assert_eq!(all.len(), 1);
        assert!(
            all[0].mechanism.ends_with("its log ends with: ERROR no such table: prices"),
            "{}",
            all[0].mechanism
        );
        assert!(found(check, &FAILED.replace("type: Failed", "type: Complete")).is_empty());
    }

    #[test]
    fn days_that_no_month_has() {
        for (schedule, impossible) in [
            ("0 0 30 2 *", true),
            ("0 0 31 4,6 *", true),
            ("0 0 31 4,7 *", false),
            ("0 0 31 * *", false),
            ("0 0 30 2 1", false),
            ("*/5 * * * *", false),
            ("@daily", false),
        ] {
            assert_eq!(is_impossible(schedule), impossible, "{schedule}");
        }
    }
}
