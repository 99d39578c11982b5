//! Pods: the state of the worst container says how the pod is.

use jiff::Timestamp;
use serde::Deserialize;

use super::{Facts, Health, Meta, Shape, age, object::Condition};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::tools) struct Pod {
    pub(in crate::tools) metadata: Meta,
    spec: Spec,
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    node_name: String,
    containers: Vec<Named>,
    init_containers: Vec<Named>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Named {
    name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    phase: String,
    reason: String,
    message: String,
    conditions: Vec<Condition>,
    container_statuses: Vec<Container>,
    init_container_statuses: Vec<Container>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Container {
    name: String,
    ready: bool,
    restart_count: u32,
    state: State,
    last_state: State,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct State {
    waiting: Option<Waiting>,
    terminated: Option<Terminated>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Waiting {
    reason: String,
    message: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Terminated {
    exit_code: i32,
    reason: String,
    message: String,
    finished_at: Option<Timestamp>,
}

/// Longer than this, a pod that is not ready or a container that has just restarted is worth a word.
const SETTLED_SECONDS: i64 = 300;
const RECENT_RESTART_SECONDS: i64 = 3_600;
/// Waiting for these is part of every start.
const STARTING: [&str; 2] = ["ContainerCreating", "PodInitializing"];

impl Pod {
    /// Names of all containers, init containers first.
    pub(in crate::tools) fn containers(&self) -> impl Iterator<Item = &str> {
        self.spec.init_containers.iter().chain(&self.spec.containers).map(|container| container.name.as_str())
    }

    pub(in crate::tools) fn restarts(&self) -> u32 {
        self.all().map(|container| container.restart_count).sum()
    }

    /// How the container before the last restart of this one ended: `exit 137 OOMKilled 5m ago`.
    pub(in crate::tools) fn last_exit(&self, container: &str, now: Timestamp) -> Option<String> {
        let container = self.all().find(|known| known.name == container)?;
        let Terminated { exit_code, reason, message: _, finished_at } =
            container.last_state.terminated.as_ref()?;
        let reason = if reason.is_empty() { String::new() } else { format!(" {reason}") };
        let ago = finished_at.map_or_else(String::new, |at| format!(" {} ago", age(Some(at), now)));
        Some(format!("exit {exit_code}{reason}{ago}"))
    }

    fn all(&self) -> impl Iterator<Item = &Container> {
        self.status.init_container_statuses.iter().chain(&self.status.container_statuses)
    }

    fn ready(&self) -> usize {
        self.status.container_statuses.iter().filter(|container| container.ready).count()
    }

    /// One word, as kubectl's STATUS.
    pub(in crate::tools) fn status(&self) -> String {
        if self.metadata.deletion_timestamp.is_some() {
            return "Terminating".to_owned();
        }
        if !self.status.reason.is_empty() {
            return self.status.reason.clone();
        }
        let done = self.status.phase == "Succeeded";
        let init = self.status.init_container_statuses.iter().find_map(|container| {
            let word = container.word()?;
            (word != "Completed").then(|| format!("Init:{word}"))
        });
        let main = self
            .status
            .container_statuses
            .iter()
            .filter_map(Container::word)
            .find(|word| *word != "Completed" || done);
        init.or_else(|| main.map(str::to_owned)).unwrap_or_else(|| self.status.phase.clone())
    }

    fn is_old(&self, facts: &Facts) -> bool {
        let created = self.metadata.creation_timestamp;
        created.is_some_and(|created| facts.now.as_second() - created.as_second() > SETTLED_SECONDS)
    }
}

impl Container {
    fn word(&self) -> Option<&str> {
        if let Some(waiting) = &self.state.waiting {
            return Some(&waiting.reason)
                .filter(|reason| !STARTING.contains(&reason.as_str()))
                .map(String::as_str);
        }
        let terminated = self.state.terminated.as_ref()?;
        Some(if terminated.reason.is_empty() { "Terminated" } else { &terminated.reason })
    }

    fn trouble(&self, now: Timestamp) -> Option<String> {
        let Self { name, state, last_state, restart_count, ready: _ } = self;
        if let Some(Waiting { reason, message }) = &state.waiting {
            if STARTING.contains(&reason.as_str()) {
                return None;
            }
            let last = last_state.terminated.as_ref().map(|last| format!(", last exit {}", last.words(now)));
            let restarts =
                if *restart_count > 0 { format!(", {restart_count} restarts") } else { String::new() };
            // The message of a crash loop only repeats the reason.
            let message =
                if last.is_some() || message.is_empty() { String::new() } else { format!(": {message}") };
            return Some(format!(
                "container {name}: {reason}{}{restarts}{message}",
                last.unwrap_or_default()
            ));
        }
        let terminated = state.terminated.as_ref().filter(|terminated| terminated.exit_code != 0)?;
        let restarts = if *restart_count > 0 { format!(", {restart_count} restarts") } else { String::new() };
        Some(format!("container {name}: exit {}{restarts}", terminated.words(now)))
    }

    fn restarted(&self, now: Timestamp) -> Option<String> {
        let last = self.last_state.terminated.as_ref()?;
        let recent =
            last.finished_at.is_some_and(|at| now.as_second() - at.as_second() < RECENT_RESTART_SECONDS);
        (recent && last.exit_code != 0).then(|| {
            format!("container {}: {} restarts, last exit {}", self.name, self.restart_count, last.words(now))
        })
    }
}

impl Terminated {
    fn words(&self, now: Timestamp) -> String {
        let Self { exit_code, reason, message, finished_at } = self;
        let reason = if reason.is_empty() { String::new() } else { format!(" {reason}") };
        let ago = finished_at.map_or_else(String::new, |at| format!(" {} ago", age(Some(at), now)));
        let message = message.trim();
        let message = if message.is_empty() { String::new() } else { format!(" ({message})") };
        format!("{exit_code}{reason}{ago}{message}")
    }
}

impl Shape for Pod {
    const COLUMNS: &'static [&'static str] = &["READY", "STATUS", "RESTARTS", "NODE"];

    fn meta(&self) -> &Meta {
        &self.metadata
    }

    fn health(&self, facts: &Facts) -> Health {
        let Status { phase, reason, message, conditions, container_statuses, .. } = &self.status;
        if phase == "Succeeded" {
            return Health::healthy();
        }
        let troubles: Vec<String> = self.all().filter_map(|container| container.trouble(facts.now)).collect();
        if !troubles.is_empty() {
            return Health::broken(troubles.join("; "));
        }
        if phase == "Failed" {
            return Health::broken(format!("{reason} {message}").trim().to_owned());
        }
        if let Some(unscheduled) =
            Condition::find(conditions, "PodScheduled").filter(|known| known.status == "False")
        {
            return Health::broken(format!("not scheduled: {}", unscheduled.words()));
        }
        if self
            .metadata
            .deletion_timestamp
            .is_some_and(|at| facts.now.as_second() - at.as_second() > SETTLED_SECONDS)
        {
            let since = age(self.metadata.deletion_timestamp, facts.now);
            return Health::warning(format!(
                "should have ended {since} ago: a finalizer or its node holds it"
            ));
        }
        if phase == "Unknown" {
            return Health::warning("its node does not answer");
        }
        let unready: Vec<&str> = container_statuses
            .iter()
            .filter(|container| !container.ready && container.state.terminated.is_none())
            .map(|container| container.name.as_str())
            .collect();
        if phase == "Running" && !unready.is_empty() {
            return Health::warning(format!("not ready: container {}", unready.join(", ")));
        }
        if phase == "Pending" && self.is_old(facts) {
            return Health::warning(format!(
                "pending for {}",
                age(self.metadata.creation_timestamp, facts.now)
            ));
        }
        match self.all().find_map(|container| container.restarted(facts.now)) {
            Some(restarted) => Health::warning(restarted),
            None => Health::healthy(),
        }
    }

    fn cells(&self, _facts: &Facts) -> Vec<String> {
        vec![
            format!("{}/{}", self.ready(), self.spec.containers.len()),
            self.status(),
            self.restarts().to_string(),
            self.spec.node_name.clone(),
        ]
    }
}
