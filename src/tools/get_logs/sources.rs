//! Which logs: containers of pods, init containers first, and those before their last restart.

use jiff::Timestamp;

use super::{super::kinds::Pod, pods::Pods};
use crate::answer::{Mark, counted};

/// One log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) namespace: String,
    pub(super) pod: String,
    pub(super) container: String,
    /// Of the container before the last restart of this one.
    pub(super) previous: bool,
    /// Of the pod, and how the container ended last.
    pub(super) state: String,
    /// How the container before this one ended, when there was one.
    pub(super) last_exit: Option<String>,
}

impl Source {
    /// Names it in a cursor.
    pub(super) fn id(&self) -> u32 {
        id(&self.pod, &self.container, self.previous)
    }

    /// The log of the container before this one; none when there was none.
    pub(super) fn before(&self) -> Option<Self> {
        let last_exit = self.last_exit.clone().filter(|_| !self.previous)?;
        let state = format!("previous container, {last_exit}");
        Some(Self { previous: true, state, last_exit: None, ..self.clone() })
    }
}

fn id(pod: &str, container: &str, previous: bool) -> u32 {
    digest(&format!("{pod}/{container}/{previous}"))
}

/// Of a line or a log's name; never 0, the same in every process.
pub(super) fn digest(text: &str) -> u32 {
    // FNV-1a.
    let hash =
        text.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    hash | 1
}

/// Whether a later page goes on with a log of this pod.
pub(super) fn is_marked(pod: &Pod, marks: &[Mark]) -> bool {
    let of = |container: &str, previous: bool| {
        let id = id(&pod.metadata.name, container, previous);
        marks.iter().any(|mark| mark.log == id)
    };
    pod.containers().any(|container| of(container, false) || of(container, true))
}

/// Which containers' logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    Current,
    Previous,
    Both,
}

/// All logs that are asked for, pod by pod.
///
/// # Errors
/// One sentence when there is none.
pub(super) fn sources(
    pods: &Pods,
    container: Option<&str>,
    which: Which,
    now: Timestamp,
) -> Result<Vec<Source>, String> {
    let named = |pod: &Pod| -> Vec<String> {
        pod.containers()
            .filter(|name| container.is_none_or(|wanted| wanted == *name))
            .map(str::to_owned)
            .collect()
    };
    let mut sources = Vec::new();
    let mut is_named = false;
    for pod in pods.iter() {
        let state = format!("{}, {}", pod.status(), counted(pod.restarts() as usize, "restart"));
        for name in named(pod) {
            is_named = true;
            let last_exit = pod.last_exit(&name, now);
            let of_this = match &last_exit {
                Some(exit) => format!("{state}, last {exit}"),
                None => state.clone(),
            };
            let source = Source {
                namespace: pod.metadata.namespace.clone(),
                pod: pod.metadata.name.clone(),
                container: name,
                previous: false,
                state: of_this,
                last_exit,
            };
            let before = source
                .before()
                .map(|before| Source { state: format!("{}; now {state}", before.state), ..before });
            match which {
                Which::Current => sources.push(source),
                Which::Previous => sources.extend(before),
                Which::Both => sources.extend(before.into_iter().chain([source])),
            }
        }
    }
    if !is_named {
        let names: Vec<&str> = pods.iter().next().map(|pod| pod.containers().collect()).unwrap_or_default();
        let wanted = container.unwrap_or_default();
        return Err(format!("there is no container `{wanted}`: the pod has {}", names.join(", ")));
    }
    if sources.is_empty() {
        return Err(
            "no container of these has been restarted, so there is no previous one: leave out `previous`"
                .to_owned(),
        );
    }
    Ok(sources)
}

/// The logs that the last page ended in, each with its mark.
pub(super) fn marked(sources: Vec<Source>, marks: &[Mark]) -> Vec<(Source, Option<Mark>)> {
    let mark_of = |source: &Source| marks.iter().find(|mark| mark.log == source.id()).copied();
    sources
        .into_iter()
        .filter_map(|source| {
            if let Some(mark) = mark_of(&source) {
                return Some((source, Some(mark)));
            }
            // The first page has shown the container before, since this one had no lines then.
            let before = source.before()?;
            let mark = mark_of(&before)?;
            Some((before, Some(mark)))
        })
        .collect()
}
