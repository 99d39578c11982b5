//! What the LiteLLM proxy is told of a server, and the finalizer that holds a server until its entry is out: the one
//! place where there is a finalizer.

use std::time::Duration;

use k8s_openapi::{
    api::core::v1::ObjectReference,
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
    jiff::Timestamp,
};
use kube::{
    Resource, ResourceExt,
    core::{DeserializeGuard, error_boundary::InvalidObject},
};

use super::{
    Context, Error,
    status::{Registration, add_registration},
};
use crate::{
    api::{
        MCPServer, MCPServerStatus,
        mcp_server::{ConditionType, Phase, Transport as Spoken},
    },
    fleet::{Prefix, ServerName},
    operator::{
        events::Happening,
        litellm::{
            Address, Declaration, Entry, LitellmSettings, Registrar, Standing, Transport, description,
        },
    },
};

pub(super) const FINALIZER: &str = "pilothouse.dev/litellm";
/// A server that is deleted waits no longer for a proxy that cannot be told.
const GIVE_UP: Duration = Duration::from_secs(600);

/// What became of the server at the hold.
#[derive(Debug)]
pub(super) enum Held {
    AsItWas,
    /// As it is stored now.
    Changed(Box<MCPServer>),
    /// It is being deleted.
    Leaving {
        waits: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grip {
    Leave,
    Take,
    Wait,
    Release,
    /// Its entry may still be there.
    GiveUp,
}

/// Takes or gives back the finalizer.
///
/// # Errors
/// When it cannot be stored.
pub(super) async fn hold(context: &Context, server: &MCPServer, name: &ServerName) -> Result<Held, Error> {
    let wants = wants(server, context.registrar.as_ref().map(Registrar::settings));
    let (grip, changed) = regrip(context, &server.metadata, server.object_ref(&()), name, wants).await?;
    Ok(match (server.metadata.deletion_timestamp.is_some(), changed) {
        (true, _) => Held::Leaving { waits: grip == Grip::Wait },
        (false, Some(metadata)) => Held::Changed(Box::new(MCPServer { metadata, ..server.clone() })),
        (false, None) => Held::AsItWas,
    })
}

/// One that cannot be read is let go too, when it is deleted. Answers whether it still waits.
///
/// # Errors
/// When the finalizer cannot be stored.
pub(super) async fn let_go(
    context: &Context,
    unread: &InvalidObject,
    name: &ServerName,
) -> Result<bool, Error> {
    if unread.metadata.deletion_timestamp.is_none() {
        return Ok(false);
    }
    let about = DeserializeGuard::<MCPServer>(Err(unread.clone())).object_ref(&());
    let (grip, _) = regrip(context, &unread.metadata, about, name, false).await?;
    Ok(grip == Grip::Wait)
}

/// Answers the metadata as it is stored now, when it changed.
async fn regrip(
    context: &Context,
    meta: &ObjectMeta,
    about: ObjectReference,
    name: &ServerName,
    wants: bool,
) -> Result<(Grip, Option<ObjectMeta>), Error> {
    let registrar = context.registrar.as_ref();
    let is_leaving = meta.deletion_timestamp.is_some();
    let finalizers = meta.finalizers.as_deref().unwrap_or_default();
    let is_held = finalizers.iter().any(|one| one == FINALIZER);
    let standing = match registrar {
        Some(registrar) if is_held && (is_leaving || !wants) => registrar.declare(name, Declaration::Gone),
        Some(registrar) if !wants || is_leaving => {
            registrar.forget(name);
            None
        }
        Some(_) | None => None,
    };
    let is_out = registrar.is_none() || standing == Some(Standing::Gone);
    let since = |time: &Time| Duration::try_from(Timestamp::now().duration_since(time.0)).unwrap_or_default();
    let grip = grip(is_held, wants, is_out, meta.deletion_timestamp.as_ref().map(since));
    let others = finalizers.iter().filter(|one| *one != FINALIZER).cloned();
    let stored: Vec<String> = match grip {
        Grip::Leave | Grip::Wait => return Ok((grip, None)),
        Grip::Take => others.chain([FINALIZER.to_owned()]).collect(),
        Grip::Release | Grip::GiveUp => others.collect(),
    };
    if grip == Grip::GiveUp {
        let note = format!(
            "The LiteLLM proxy could not be told for {} minutes that this server is deleted: look there for an entry with {name} in its mcp_info, and remove it by hand.",
            GIVE_UP.as_secs() / 60
        );
        tracing::warn!(server = %name, "{note}");
        let left = Happening::warning("LiteLLMEntryLeft", note);
        // A namespace on its way out takes no events, and holds nobody either.
        if let Err(error) = context.writer.tell(&about, &left).await {
            tracing::warn!(%error, server = %name, "an event could not be told");
        }
    }
    let changed = context.writer.finalizers::<MCPServer>(meta, &stored).await.map_err(Error::Finalizer)?;
    if matches!(grip, Grip::Release | Grip::GiveUp)
        && let Some(registrar) = registrar
    {
        registrar.forget(name);
    }
    Ok((grip, Some(changed)))
}

/// `deleted`: how long ago, if it is being deleted.
fn grip(is_held: bool, wants: bool, is_out: bool, deleted: Option<Duration>) -> Grip {
    match (is_held, deleted) {
        (true, _) if is_out && (deleted.is_some() || !wants) => Grip::Release,
        (true, Some(since)) if since >= GIVE_UP => Grip::GiveUp,
        (true, Some(_)) => Grip::Wait,
        (true, None) if !wants => Grip::Wait,
        (false, None) if wants => Grip::Take,
        (true, None) | (false, _) => Grip::Leave,
    }
}

/// Declares what the server wants in this phase, and adds to its status how it stands.
pub(super) fn say(context: &Context, server: &MCPServer, status: &mut MCPServerStatus, now: Timestamp) {
    if !server.spec.litellm.register {
        return;
    }
    let registration = match &context.registrar {
        None => Registration::NotConfigured,
        Some(registrar) => match obstacle(server, registrar.settings()) {
            Some(why) => Registration::Unsupported(why),
            None => {
                let name =
                    ServerName { namespace: server.namespace().unwrap_or_default(), name: server.name_any() };
                let declared = declaration(server, status, registrar.settings());
                // Nothing was ever told of it.
                let is_new = !matches!(declared, Declaration::Ready(_)) && !has_condition(server);
                let standing = registrar.declare(&name, declared);
                let standing = standing.or_else(|| is_new.then_some(Standing::Gone));
                Registration::Told { standing, place: registrar.settings().place() }
            }
        },
    };
    add_registration(status, server, registration, now);
}

fn has_condition(server: &MCPServer) -> bool {
    let conditions = server.status.iter().flat_map(|status| &status.conditions);
    conditions.into_iter().any(|one| one.type_ == ConditionType::LiteLLMRegistered.as_str())
}

fn wants(server: &MCPServer, settings: Option<&LitellmSettings>) -> bool {
    server.spec.litellm.register && settings.is_some_and(|settings| obstacle(server, settings).is_none())
}

/// Why it cannot be registered as it is declared, and what to do.
fn obstacle(server: &MCPServer, settings: &LitellmSettings) -> Option<&'static str> {
    let spec = &server.spec;
    if spec.scale_to_zero.is_some() {
        return Some(
            "LiteLLM calls the server's Service, past pilothouse, so nobody would wake it or see it used: remove spec.scaleToZero, or spec.litellm.register.",
        );
    }
    if spec.remote.as_ref().is_some_and(|remote| !remote.headers_from.is_empty()) {
        return Some(
            "The server needs credentials from Secrets (spec.remote.headersFrom), and pilothouse copies no secret into a proxy: register it there by hand with a reference to a credential of the proxy's own, and remove spec.litellm.register.",
        );
    }
    let is_outside = settings.address == Address::External;
    if is_outside && spec.remote.is_none() && spec.ingress.is_none() {
        return Some(
            "The LiteLLM proxy is outside of the cluster (operator.litellm.address is external) and the server has no address there: set spec.ingress, or remove spec.litellm.register.",
        );
    }
    None
}

fn declaration(server: &MCPServer, status: &MCPServerStatus, settings: &LitellmSettings) -> Declaration {
    match status.phase {
        Some(Phase::Ready) => {
            entry(server, status, settings).map_or(Declaration::Troubled, Declaration::Ready)
        }
        // Nothing answers, and nothing will by itself.
        Some(Phase::Stopped | Phase::Failed) => Declaration::Gone,
        Some(Phase::Pending | Phase::Deploying | Phase::Degraded) | None => Declaration::Troubled,
    }
}

fn entry(server: &MCPServer, status: &MCPServerStatus, settings: &LitellmSettings) -> Option<Entry> {
    let endpoints = status.endpoints.as_ref()?;
    let url = match (settings.address, server.spec.remote.is_some()) {
        (Address::External, false) => endpoints.external.clone()?,
        (Address::Service, _) | (Address::External, true) => endpoints.service.clone()?,
    };
    let transport = match server.spec.transport {
        Spoken::Sse => Transport::Sse,
        // The bridge of a stdio server speaks it.
        Spoken::StreamableHttp | Spoken::Stdio => Transport::Http,
    };
    let said = match &status.server {
        Some(info) => format!("{} {}, ", info.name, info.version),
        None => String::new(),
    };
    let (namespace, name) = (server.namespace().unwrap_or_default(), server.name_any());
    Some(Entry {
        name: entry_name(server),
        url,
        transport,
        description: description(&format!("{said}MCPServer {namespace}/{name}")),
        groups: server.spec.litellm.allowed_user_groups.clone(),
    })
}

/// As pilothouse itself names its tools; the proxy takes no dash.
fn entry_name(server: &MCPServer) -> String {
    let prefix = server.spec.gateway.prefix.clone().filter(|prefix| !prefix.is_empty());
    prefix.unwrap_or_else(|| Prefix::from_name(&server.name_any()).as_str().to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use serde_json::{Value, json};

    use super::{Grip, declaration, entry_name, grip, obstacle, wants};
    use crate::{
        api::MCPServerStatus,
        operator::{
            litellm::{Declaration, LitellmConfig, LitellmSettings, Transport},
            mcp_server::fixture::server,
        },
    };

    fn settings(more: &str) -> LitellmSettings {
        let yaml = format!("configMap: {{namespace: llm, name: config}}\n{more}");
        serde_saphyr::from_str::<LitellmConfig>(&yaml).unwrap().settings().unwrap()
    }

    fn status(phase: &str) -> MCPServerStatus {
        let status: Value = json!({ "phase": phase, "endpoints": {
            "service": "http://demo.team-a.svc:8080/mcp", "external": "https://mcp.example.com/mcp" },
            "server": { "name": "Demo", "version": "1.2", "protocolVersion": "2025-06-18" } });
        serde_json::from_value(status).unwrap()
    }

    const REGISTERED: &str = "{image: a, litellm: {register: true, allowedUserGroups: [ops]}}";

    #[test]
    fn nobody_is_held_for_ever() {
        let minutes = |minutes: u64| Some(Duration::from_secs(minutes * 60));
        for (is_held, wants, is_out, deleted, expected) in [
            (false, true, false, None, Grip::Take),
            (true, true, false, None, Grip::Leave),
            (true, true, true, None, Grip::Leave),
            (false, false, false, None, Grip::Leave),
            (true, false, false, None, Grip::Wait),
            (true, false, true, None, Grip::Release),
            (true, true, false, minutes(1), Grip::Wait),
            (true, true, true, minutes(1), Grip::Release),
            (true, true, false, minutes(10), Grip::GiveUp),
            (true, true, true, minutes(10), Grip::Release),
            (false, true, false, minutes(1), Grip::Leave),
        ] {
            assert_eq!(
                grip(is_held, wants, is_out, deleted),
                expected,
                "{is_held} {wants} {is_out} {deleted:?}"
            );
        }
    }

    #[test]
    fn an_entry_is_what_is_declared() {
        let Declaration::Ready(entry) = declaration(&server(REGISTERED), &status("Ready"), &settings(""))
        else {
            panic!("an entry");
        };
        assert_eq!((entry.name.as_str(), entry.url.as_str()), ("demo", "http://demo.team-a.svc:8080/mcp"));
        assert_eq!(entry.groups, ["ops"]);
        assert_eq!(entry.description, "Demo 1.2, MCPServer team-a/demo");
        let sse = server("{image: a, transport: sse, litellm: {register: true}, gateway: {prefix: other}}");
        let outside = settings("address: external");
        let Declaration::Ready(entry) = declaration(&sse, &status("Ready"), &outside) else {
            panic!("an entry")
        };
        assert_eq!((entry.name.as_str(), entry.transport), ("other", Transport::Sse));
        assert_eq!(entry.url, "https://mcp.example.com/mcp");
        assert_eq!(entry_name(&server("{image: a, gateway: {prefix: ''}}")), "demo");
    }

    #[test]
    fn only_a_ready_server_is_registered() {
        let declared = |phase| declaration(&server(REGISTERED), &status(phase), &settings(""));
        for phase in ["Pending", "Deploying", "Degraded"] {
            assert_eq!(declared(phase), Declaration::Troubled, "{phase}");
        }
        for phase in ["Stopped", "Failed"] {
            assert_eq!(declared(phase), Declaration::Gone, "{phase}");
        }
    }

    #[test]
    fn what_a_proxy_cannot_use_is_said() {
        for (spec, more, says) in [
            ("{image: a, litellm: {register: true}, scaleToZero: {idleAfter: 5m}}", "", "spec.scaleToZero"),
            (
                "{remote: {url: 'http://a/mcp', headersFrom: [{name: A, secretKeyRef: {name: s, key: k}}]}, litellm: {register: true}}",
                "",
                "copies no secret",
            ),
            (REGISTERED, "address: external", "spec.ingress"),
        ] {
            let (server, settings) = (server(spec), settings(more));
            let why = obstacle(&server, &settings).unwrap();
            assert!(why.contains(says) && why.contains("spec.litellm.register"), "{why}");
            assert!(!wants(&server, Some(&settings)));
        }
        assert!(wants(&server(REGISTERED), Some(&settings(""))));
        assert!(!wants(&server(REGISTERED), None));
        assert!(!wants(&server("{image: a}"), Some(&settings(""))));
    }
}
