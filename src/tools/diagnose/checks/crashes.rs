//! Containers that end when they should run, or cannot be started at all.

use k8s_openapi::api::core::v1::ContainerStateTerminated;

use super::{
    names,
    probes::killed_by_probe,
    subject::{Subject, subjects},
};
use crate::{
    answer::counted,
    tools::{
        diagnose::{
            cause::Cause,
            finding::{Evidence, Finding, Severity},
            picture::Picture,
            pods::Unit,
        },
        kinds::age,
    },
};

pub(super) fn check(picture: &Picture, findings: &mut Vec<Finding>) {
    for subject in subjects(picture) {
        for unit in subject.units().into_iter().filter(|unit| !unit.is_init || unit.is_sidecar()) {
            findings.extend(judge(&subject, &unit));
        }
    }
}

fn judge(subject: &Subject<'_>, unit: &Unit<'_>) -> Option<Finding> {
    if let Some(refused) = not_created(subject, unit) {
        return Some(refused);
    }
    if !unit.has_failed(subject.picture.now) || killed_by_probe(subject, unit).is_some() {
        return None;
    }
    let end = unit.last_end()?;
    if let Some(known) = special(subject, unit, end) {
        return Some(known);
    }
    // The Job that has given up tells it itself.
    let given_up = subject.job().is_some_and(has_failed);
    if given_up || names::unresolved(subject, unit.name()).is_some() {
        return None;
    }
    Some(crash(subject, unit, end))
}

fn has_failed(job: &k8s_openapi::api::batch::v1::Job) -> bool {
    let conditions = job.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Failed" && condition.status == "True")
}

/// What the end itself says: memory, a command that is not there, a right that the container does not have.
pub(super) fn special(
    subject: &Subject<'_>,
    unit: &Unit<'_>,
    end: &ContainerStateTerminated,
) -> Option<Finding> {
    let message = end.message.as_deref().unwrap_or_default();
    if is_out_of_memory(end) {
        return Some(out_of_memory(subject, unit, end));
    }
    let reason = end.reason.as_deref().unwrap_or_default();
    let never_ran = ["StartError", "ContainerCannotRun", "RunContainerError"].contains(&reason);
    if names_no_command(message) || [126, 127].contains(&end.exit_code) {
        return Some(no_command(subject, unit, message, Some(end)));
    }
    if never_ran {
        return Some(not_started(subject, unit, message));
    }
    forbidden_by_context(subject, unit, end)
}

fn is_out_of_memory(end: &ContainerStateTerminated) -> bool {
    end.reason.as_deref() == Some("OOMKilled")
}

fn names_no_command(message: &str) -> bool {
    let message = message.to_lowercase();
    let is_exec = message.contains("exec:")
        || message.contains("exec ")
        || message.contains("starting container process");
    message.contains("executable file not found")
        || (is_exec
            && (message.contains("no such file or directory") || message.contains("permission denied")))
        || message.contains("exec format error")
        || message.contains("is a directory: unknown")
}

/// The kubelet or the runtime refuses to make the container.
fn not_created(subject: &Subject<'_>, unit: &Unit<'_>) -> Option<Finding> {
    let waiting = unit.waiting()?;
    let (reason, message) = (waiting.reason.as_deref()?, waiting.message.as_deref().unwrap_or_default());
    if !["CreateContainerConfigError", "CreateContainerError", "RunContainerError"].contains(&reason) {
        return None;
    }
    if refuses_root(message) {
        return Some(runs_as_root(subject, unit, message));
    }
    if names_no_command(message) {
        return Some(no_command(subject, unit, message, None));
    }
    // What is missing is told by the check of references.
    let is_reference = ["configmap", "secret", "couldn't find key"];
    if is_reference.iter().any(|word| message.to_lowercase().contains(word)) {
        return None;
    }
    Some(not_started(subject, unit, message))
}

fn refuses_root(message: &str) -> bool {
    message.contains("runAsNonRoot")
        || message.contains("run as root")
        || message.contains("non-numeric user")
}

fn runs_as_root(subject: &Subject<'_>, unit: &Unit<'_>, message: &str) -> Finding {
    let container = unit.name();
    let mechanism = format!(
        "container {container} must not run as root (runAsNonRoot), and its image {} does",
        unit.spec.image.as_deref().unwrap_or_default()
    );
    let field = subject.path(&format!("{}.securityContext.runAsUser", unit.path()));
    let change = format!("{field}: a number above 0, or an image with a numeric USER");
    subject
        .finding(Severity::Critical, Cause::SecurityContextRefused, mechanism, subject.get_call(), change)
        .shown_by([subject.field(&format!("{}.state.waiting.message", unit.status_path()), message)])
}

fn not_started(subject: &Subject<'_>, unit: &Unit<'_>, message: &str) -> Finding {
    let container = unit.name();
    let evidence = subject.field(&format!("{}.state", unit.status_path()), message);
    if message.contains("operation not permitted")
        || message.contains("apparmor")
        || message.contains("seccomp")
    {
        let mechanism =
            format!("container {container} cannot be started: what its securityContext asks for is refused");
        let field = subject.path(&format!("{}.securityContext", unit.path()));
        return subject
            .finding(
                Severity::Critical,
                Cause::SecurityContextRefused,
                mechanism,
                subject.get_call(),
                format!("{field}: what the node allows"),
            )
            .shown_by([evidence]);
    }
    if message.contains("subPath") || message.contains("mount") {
        let mechanism = format!("container {container} cannot be started: a mount of it fails ({message})");
        let field = subject.path(&format!("{}.volumeMounts", unit.path()));
        return subject
            .finding(
                Severity::Critical,
                Cause::VolumeNotMounted,
                mechanism,
                subject.get_call(),
                format!("{field}: a path that can be mounted"),
            )
            .shown_by([evidence]);
    }
    let mechanism = format!("container {container} cannot be started: {message}");
    let change = format!("{}: as the runtime asks", subject.path(&unit.path()));
    subject
        .finding(Severity::Critical, Cause::ContainerCrashes, mechanism, subject.get_call(), change)
        .shown_by([evidence])
        .following([subject.this.clone()])
}

fn out_of_memory(subject: &Subject<'_>, unit: &Unit<'_>, end: &ContainerStateTerminated) -> Finding {
    let container = unit.name();
    let limits = unit.spec.resources.as_ref().and_then(|resources| resources.limits.as_ref());
    let limit = limits.and_then(|limits| limits.get("memory")).map(|limit| limit.0.clone());
    let field = subject.path(&format!("{}.resources.limits.memory", unit.path()));
    let (mechanism, change) = match &limit {
        Some(limit) => (
            format!(
                "container {container} needs more memory than its limit of {limit} and is killed for it (OOMKilled)"
            ),
            format!("{field}: above {limit}, or make the process need less"),
        ),
        None => (
            format!(
                "container {container} has no memory limit and was killed when its node ran out of memory (OOMKilled)"
            ),
            format!("{field}: a limit, and a request that it fits in"),
        ),
    };
    let mut evidence = vec![ended(subject, unit, end)];
    evidence.extend(
        limit.map(|limit| subject.field(&format!("spec.{}.resources.limits.memory", unit.path()), limit)),
    );
    evidence.extend(subject.last_line(container));
    let confirm =
        format!("compare the use before the kill with the limit; {}", subject.log_call(container, true));
    let finding =
        subject.finding(severity(unit), Cause::OutOfMemory, mechanism, confirm, change).shown_by(evidence);
    // Without a limit of its own the node is what was too small.
    finding.following(subject.node().filter(|_| limits.is_none()))
}

fn no_command(
    subject: &Subject<'_>,
    unit: &Unit<'_>,
    message: &str,
    end: Option<&ContainerStateTerminated>,
) -> Finding {
    let container = unit.name();
    let words = unit.spec.command.iter().flatten().chain(unit.spec.args.iter().flatten());
    let command: Vec<&str> = words.map(String::as_str).take(3).collect();
    let command = if command.is_empty() {
        "the image's own command".to_owned()
    } else {
        format!("`{}`", command.join(" "))
    };
    let code = end.map(|end| end.exit_code);
    let why = if message.contains("permission denied") || code == Some(126) {
        "is not executable"
    } else if message.contains("exec format error") {
        "is built for another platform"
    } else {
        "is not in the image"
    };
    let exit = code
        .filter(|code| [126, 127].contains(code))
        .map_or_else(String::new, |code| format!(" (exit {code})"));
    let mechanism = format!("container {container}: a command of {command} {why}{exit}");
    let mut evidence = vec![match (end, message.is_empty()) {
        (Some(end), true) => ended(subject, unit, end),
        _ => subject.field(&format!("{}.state", unit.status_path()), message),
    }];
    evidence.extend(subject.last_line(container).filter(|_| message.is_empty()));
    let field = subject.path(&format!("{}.command", unit.path()));
    let change = format!("{field}: a command that the image has");
    subject
        .finding(severity(unit), Cause::CommandNotFound, mechanism, subject.log_call(container, true), change)
        .shown_by(evidence)
}

/// A process that ends because its securityContext keeps it from what it does.
fn forbidden_by_context(
    subject: &Subject<'_>,
    unit: &Unit<'_>,
    end: &ContainerStateTerminated,
) -> Option<Finding> {
    let context = unit.spec.security_context.as_ref()?;
    let log = subject.log(unit.name())?;
    let says = |words: &str| log.lines.iter().rev().find(|line| line.to_lowercase().contains(words));
    let user = context.run_as_user.is_some() || context.run_as_non_root == Some(true);
    let drops =
        context.capabilities.as_ref().is_some_and(|is| is.drop.as_ref().is_some_and(|drop| !drop.is_empty()));
    let (line, field, why) = if let Some(line) =
        says("read-only file system").filter(|_| context.read_only_root_filesystem == Some(true))
    {
        (line, "readOnlyRootFilesystem", "it writes to its root file system, which is mounted read-only")
    } else if let Some(line) = says("operation not permitted").filter(|_| drops) {
        (line, "capabilities", "it needs a capability that is dropped")
    } else if let Some(line) = says("permission denied").filter(|_| user) {
        (line, "runAsUser", "the user it runs as may not do what it does")
    } else {
        return None;
    };
    let mechanism = format!("container {} ends with exit {}: {why}", unit.name(), end.exit_code);
    let path = subject.path(&format!("{}.securityContext.{field}", unit.path()));
    let change = match field {
        "readOnlyRootFilesystem" => format!("mount an emptyDir where it writes, or {path}: false"),
        _ => format!("{path}: what the process needs"),
    };
    let confirm = subject.log_call(unit.name(), log.previous);
    let finding = subject.finding(severity(unit), Cause::SecurityContextRefused, mechanism, confirm, change);
    Some(finding.shown_by([subject.line(log, line), ended(subject, unit, end)]))
}

fn crash(subject: &Subject<'_>, unit: &Unit<'_>, end: &ContainerStateTerminated) -> Finding {
    let container = unit.name();
    let meaning = meaning(end.exit_code);
    let line = subject.last_line(container);
    let says = line.as_ref().and_then(|line| match line {
        Evidence::Log { line, .. } => Some(format!(", its log ends with: {line}")),
        Evidence::Field { .. } | Evidence::Event { .. } => None,
    });
    let again = if unit.waits_for("CrashLoopBackOff") { " again and again" } else { "" };
    let mechanism = format!(
        "container {container} ends{again} with exit {} ({meaning}){}",
        end.exit_code,
        says.unwrap_or_default()
    );
    let change = match end.exit_code {
        0 => "run it as a Job, or give it a command that stays in the foreground".to_owned(),
        _ => format!("what the log complains of; the container is {}", subject.path(&unit.path())),
    };
    let message = end.message.as_deref().filter(|message| !message.trim().is_empty());
    let message = message.map(|message| {
        subject.field(&format!("{}.lastState.terminated.message", unit.status_path()), message)
    });
    subject
        .finding(
            severity(unit),
            Cause::ContainerCrashes,
            mechanism,
            subject.log_call(container, unit.ended().is_none()),
            change,
        )
        .shown_by([ended(subject, unit, end)])
        .shown_by(message)
        .shown_by(line)
        .following([subject.this.clone()])
        .following(subject.node())
        .following(subject.blames_others(container))
}

/// Down, it is broken; up again, something to watch.
fn severity(unit: &Unit<'_>) -> Severity {
    let is_up = unit.is_ready() && unit.running_since().is_some();
    if is_up { Severity::Warning } else { Severity::Critical }
}

/// How it ended, how often, and when.
pub(super) fn ended(subject: &Subject<'_>, unit: &Unit<'_>, end: &ContainerStateTerminated) -> Evidence {
    let reason = end.reason.as_deref().unwrap_or("Error");
    let restarts = counted(usize::try_from(unit.restarts()).unwrap_or_default(), "restart");
    let at = end.finished_at.as_ref().map(|at| at.0);
    let ago = at.map_or_else(String::new, |at| format!(", {} ago", age(Some(at), subject.picture.now)));
    let which = if unit.ended().is_some() { "state" } else { "lastState" };
    let path = format!("{}.{which}.terminated", unit.status_path());
    subject.field(&path, format!("{reason}, exit {}, {restarts}{ago}", end.exit_code))
}

/// What an exit code usually means.
pub(super) fn meaning(code: i32) -> &'static str {
    match code {
        0 => "success: the process was done, though the pod should keep running",
        1 => "an error of the application",
        2 => "wrong use of a command or an error of the application",
        126 => "the command is not executable",
        127 => "a command was not found",
        128 => "the container could not be started",
        134 => "SIGABRT: the process aborted itself",
        137 => "SIGKILL: killed from outside",
        139 => "SIGSEGV: the process crashed",
        143 => "SIGTERM: told to end",
        255 => "an error of the application",
        _ => "the application's own code",
    }
}
