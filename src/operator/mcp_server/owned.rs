//! Whose a child is. In its server's namespace the controlling owner reference says it; elsewhere there can be none,
//! and an annotation of ours says it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;

use super::validate::Owner;
use crate::{api::MCPServer, fleet::ServerName};

/// On a child in another namespace: `NAMESPACE/NAME/UID` of its server.
pub(super) const OWNER: &str = "pilothouse.dev/owner";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Belonging {
    Ours,
    /// It is being deleted, or its server is one of the same name that is gone.
    Leaving,
    Foreign,
}

/// Whether a child that exists belongs to this MCPServer.
pub(super) fn belonging(owner: &Owner, live: &ObjectMeta) -> Belonging {
    let (is_ours, is_of_a_namesake) = if live.namespace.as_ref() == Some(&owner.name.namespace) {
        by_reference(owner, live)
    } else {
        let Some(elsewhere) = owner_elsewhere(live) else { return Belonging::Foreign };
        (elsewhere.uid == owner.reference.uid, elsewhere.name == owner.name)
    };
    if is_ours && live.deletion_timestamp.is_none() {
        Belonging::Ours
    } else if is_ours || is_of_a_namesake {
        Belonging::Leaving
    } else {
        Belonging::Foreign
    }
}

fn by_reference(owner: &Owner, live: &ObjectMeta) -> (bool, bool) {
    let references = live.owner_references.as_deref().unwrap_or_default();
    let Some(controller) = references.iter().find(|owner| owner.controller == Some(true)) else {
        return (false, false);
    };
    let is_of_a_namesake = controller.kind == MCPServer::kind(&())
        && controller.api_version == MCPServer::api_version(&())
        && controller.name == owner.reference.name;
    (controller.uid == owner.reference.uid, is_of_a_namesake)
}

/// What [`OWNER`] says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Elsewhere {
    pub name: ServerName,
    pub uid: String,
}

pub(super) fn owner_elsewhere(child: &ObjectMeta) -> Option<Elsewhere> {
    let noted = child.annotations.as_ref()?.get(OWNER)?;
    let mut parts = noted.splitn(3, '/').map(str::to_owned);
    let name = ServerName { namespace: parts.next()?, name: parts.next()? };
    Some(Elsewhere { name, uid: parts.next()? })
}

/// The annotation.
pub(super) fn note(owner: &Owner) -> (String, String) {
    let ServerName { namespace, name } = &owner.name;
    (OWNER.to_owned(), format!("{namespace}/{name}/{}", owner.reference.uid))
}
