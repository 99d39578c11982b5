//! Last lines of containers: of unwell ones those before they ended, and in one namespace the last minutes of some
//! that run well, which may tell what no status does.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use futures::FutureExt;

use super::{Source, source::together};
use crate::{
    cluster::LogRequest,
    redact,
    tools::diagnose::{
        look::reference,
        picture::{LogFacts, Picture},
        pods::{Unit, is_ending, phase, units},
    },
};

const LINES: usize = 30;
const LINE_CHARS: usize = 300;
const BYTES: usize = 64 << 10;
const UNWELL: usize = 12;
const WELL: usize = 12;
/// Of the containers of one name of one owner.
const ALIKE: usize = 2;
/// What a well container said before is past.
const WELL_SECONDS: u64 = 600;
/// After this a diagnosis goes on without the rest.
const DEADLINE: Duration = Duration::from_secs(5);

struct Wanted {
    namespace: String,
    pod: String,
    request: LogRequest,
}

pub(super) async fn read(source: &Source<'_>, picture: &Picture) -> Vec<LogFacts> {
    let wanted = wanted(picture, source.namespace().is_some());
    let reads = wanted.into_iter().map(|wanted| {
        let read = tokio::time::timeout(DEADLINE, one(source, wanted));
        async move { read.await.ok().flatten() }.boxed()
    });
    together(reads.collect()).await.into_iter().flatten().collect()
}

fn wanted(picture: &Picture, with_well_ones: bool) -> Vec<Wanted> {
    let now = picture.now;
    let (mut unwell, mut well) = (Vec::new(), Vec::new());
    let (mut alike, mut heard) = (HashMap::<_, usize>::new(), HashSet::new());
    for pod in picture.pods.iter().filter(|pod| !is_ending(pod)) {
        let (this, owner) = (reference("Pod", &pod.metadata), picture.owner_of(pod));
        let ask = |unit: &Unit<'_>, previous: bool, since_seconds: Option<u64>| Wanted {
            namespace: this.namespace.clone(),
            pod: this.name.clone(),
            request: LogRequest {
                container: Some(unit.name().to_owned()),
                previous,
                tail_lines: Some(LINES),
                since_seconds,
                since_time: None,
                limit_bytes: Some(BYTES),
                timestamps: false,
            },
        };
        for unit in units(pod) {
            let is_stuck = unit.is_init && !unit.is_sidecar() && unit.running_since().is_some();
            if unit.has_failed(now) || unit.is_late(now) || is_stuck {
                let count = alike.entry((owner.clone(), unit.name().to_owned())).or_default();
                *count += 1;
                if *count <= ALIKE {
                    let previous = unit.ended().is_none() && unit.ended_before().is_some();
                    unwell.push(ask(&unit, previous, None));
                }
            } else if with_well_ones
                && !unit.is_init
                && phase(pod) == "Running"
                && unit.running_since().is_some()
                && heard.insert((owner.clone(), unit.name().to_owned()))
            {
                well.push(ask(&unit, false, Some(WELL_SECONDS)));
            }
        }
    }
    unwell.truncate(UNWELL);
    well.truncate(WELL);
    unwell.append(&mut well);
    unwell
}

async fn one(source: &Source<'_>, wanted: Wanted) -> Option<LogFacts> {
    let Wanted { namespace, pod, request } = wanted;
    let text = match source.reader.log(&namespace, &pod, &request).await {
        Ok(text) => text,
        Err(error) => {
            tracing::debug!(namespace, pod, %error, "a log was not read");
            return None;
        }
    };
    let lines: Vec<String> = redact::shown(&text)
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| line.chars().take(LINE_CHARS).collect())
        .collect();
    let (container, previous) = (request.container.unwrap_or_default(), request.previous);
    Some(LogFacts { namespace, pod, container, previous, lines })
}
