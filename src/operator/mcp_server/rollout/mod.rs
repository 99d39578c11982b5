//! `rollout.gate: contract`: a new pod counts as ready only when it speaks MCP and breaks none of those who call the
//! server. Kubernetes' own rolling update does the rest: with no pod unavailable it holds by itself.

mod decide;

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use k8s_openapi::api::core::v1::Pod;
use kube::{Resource, ResourceExt};

use super::super::writer::{WriteError, Writer};
use crate::{
    api::MCPServer,
    fleet::{PodAddress, ServerName, Serving, ToolDefinition},
};
pub(super) use decide::Held;
use decide::{Candidate, Verdict, judge, serving_pod, waiting};

/// The condition of the pods that this gate sets.
pub(super) const VERIFIED: &str = "pilothouse.dev/verified";

/// For the handshake with one pod; others of the fleet wait meanwhile.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);

/// What was found of pods that wait, by server and by the pod's uid.
#[derive(Debug, Default)]
pub(super) struct Gates(Mutex<HashMap<ServerName, HashMap<String, Judged>>>);

#[derive(Clone, Debug)]
struct Judged {
    allow_breaking: bool,
    verdict: Verdict,
}

/// How the pods of a server stand before the gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    NotGated,
    Gated {
        /// What is held back, and why.
        held: Option<Held>,
        /// A pod could not be asked: it may become able to answer.
        again: bool,
    },
}

impl Standing {
    /// Something is to be tried again.
    pub(super) fn is_open(&self) -> bool {
        matches!(self, Self::Gated { again: true, .. })
    }
}

impl Gates {
    pub(super) fn forget(&self, name: &ServerName) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }

    /// Asks each pod that waits, and lets those pass that keep the contract.
    ///
    /// # Errors
    /// When the API server does not take what was found.
    pub(super) async fn open(
        &self,
        writer: &Writer,
        serving: &Serving,
        server: &MCPServer,
        name: &ServerName,
        pods: &[Pod],
    ) -> Result<Standing, WriteError> {
        let candidates = waiting(pods);
        self.keep_only(name, &candidates);
        let allow_breaking = server.spec.rollout.allow_breaking;
        let (mut held, mut again) = (None, false);
        for candidate in candidates {
            let known =
                self.recall(name, &candidate.uid).filter(|known| known.allow_breaking == allow_breaking);
            let verdict = match known {
                Some(known) => known.verdict,
                None => {
                    let verdict = ask(serving, server, name, pods, &candidate).await;
                    self.note(name, &candidate, &verdict, allow_breaking);
                    if let Some(happening) = verdict.allowed(&candidate) {
                        writer.tell(&server.object_ref(&()), &happening).await?;
                    }
                    verdict
                }
            };
            match &verdict {
                Verdict::Passes { .. } => {
                    writer.let_pass(candidate.pod, VERIFIED, &verdict.to_string()).await?
                }
                Verdict::Breaks(_) => {}
                Verdict::Silent(_) => again = true,
            }
            held = held.or_else(|| Held::of(&candidate, &verdict));
        }
        Ok(Standing::Gated { held, again })
    }

    /// Remembers what will not change by itself.
    fn note(&self, name: &ServerName, candidate: &Candidate<'_>, verdict: &Verdict, allow_breaking: bool) {
        if matches!(verdict, Verdict::Breaks(_)) {
            let judged = Judged { allow_breaking, verdict: verdict.clone() };
            let mut servers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            servers.entry(name.clone()).or_default().insert(candidate.uid.clone(), judged);
        }
    }

    fn recall(&self, name: &ServerName, uid: &str) -> Option<Judged> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(name)?.get(uid).cloned()
    }

    fn keep_only(&self, name: &ServerName, candidates: &[Candidate<'_>]) {
        let mut servers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(judged) = servers.get_mut(name) {
            judged.retain(|uid, _| candidates.iter().any(|candidate| candidate.uid == *uid));
            if judged.is_empty() {
                servers.remove(name);
            }
        }
    }
}

async fn ask(
    serving: &Serving,
    server: &MCPServer,
    name: &ServerName,
    pods: &[Pod],
    candidate: &Candidate<'_>,
) -> Verdict {
    match tools_of(serving, server, candidate.pod).await {
        Ok(offered) => {
            let relied_on = relied_on(serving, server, name, pods, candidate).await;
            judge(&relied_on, &offered, server.spec.rollout.allow_breaking)
        }
        Err(why) => Verdict::Silent(why),
    }
}

/// What callers rely on: what they were shown, or else what a pod of the revision that serves offers. Nothing when
/// none serves and nobody was ever shown anything.
async fn relied_on(
    serving: &Serving,
    server: &MCPServer,
    name: &ServerName,
    pods: &[Pod],
    candidate: &Candidate<'_>,
) -> Vec<ToolDefinition> {
    let shown = serving.tools(name);
    if !shown.is_empty() {
        return shown;
    }
    let Some(pod) = serving_pod(pods, candidate) else { return Vec::new() };
    // One that serves and cannot be asked says nothing of what callers rely on.
    tools_of(serving, server, pod).await.unwrap_or_default()
}

async fn tools_of(serving: &Serving, server: &MCPServer, pod: &Pod) -> Result<Vec<ToolDefinition>, String> {
    let address = address(server, pod).ok_or_else(|| "it has no address yet".to_owned())?;
    let asking = serving.tools_of_pod(server, address);
    tokio::time::timeout(HANDSHAKE_WITHIN, asking)
        .await
        .unwrap_or_else(|_| Err(format!("no answer within {} s", HANDSHAKE_WITHIN.as_secs())))
}

fn address(server: &MCPServer, pod: &Pod) -> Option<PodAddress> {
    let ip = pod.status.as_ref()?.pod_ip.as_ref()?.parse().ok()?;
    Some(PodAddress { name: pod.name_any(), ip, port: u16::try_from(server.spec.port).ok()? })
}
