//! What speaks against an object besides what its schema can say: the policy, and what else the cluster holds. Asked
//! before the object is stored, by the webhook; the parts that a running server can meet are asked by the reconcile
//! too and end in conditions.

mod children;
mod found;
mod mentions;
mod pool;

pub(super) use children::foreign_autoscaler;
pub(super) use found::missing;
pub(super) use mentions::of_server as mentions;

use std::{future::Future, sync::Arc, time::Duration};

use futures::future::join;
use kube::{Client, ResourceExt};
use tokio::time::timeout;

use super::validate::{InvalidSpec, Runs, ValidatedServer, set_twice, validate};
use crate::{
    api::{DataSource, MCPPool, MCPServer},
    fleet::{Contest, Serving},
    operator::{
        OperatorSettings,
        field_error::{FieldError, Problem},
        policy::{Policy, Violation},
    },
};

/// Whoever stores an object waits for us. What is not known by then is not spoken of.
const PATIENCE: Duration = Duration::from_secs(3);

/// What was found, in the order of the fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::operator) struct Objections {
    /// The policy, and contradictions.
    pub refused: Vec<FieldError>,
    /// Objects that are named and do not exist; they may come later.
    pub missing: Vec<FieldError>,
    /// Worth knowing, and no reason to refuse.
    pub noted: Vec<FieldError>,
}

/// Looks at objects that are about to be stored. Reads with the operator's rights; what may not be read, or is not
/// answered, is not spoken of.
pub(in crate::operator) struct Examiner {
    client: Client,
    policy: Arc<Policy>,
    own_image: Option<String>,
    own_namespace: String,
    serving: Option<Serving>,
}

impl Examiner {
    /// Without `serving` nobody's prefix is known.
    pub(in crate::operator) fn new(
        client: Client,
        settings: &OperatorSettings,
        serving: Option<Serving>,
    ) -> Self {
        Self {
            client,
            policy: settings.policy.clone(),
            own_image: settings.own_image.clone(),
            own_namespace: settings.lease_namespace.clone(),
            serving,
        }
    }

    /// `before` is the object that it replaces.
    pub(in crate::operator) async fn server(
        &self,
        server: &MCPServer,
        before: Option<&MCPServer>,
    ) -> Objections {
        let mut found =
            Objections { refused: told(&self.policy.violations(server)), ..Objections::default() };
        found.refused.extend(set_twice(&server.spec));
        self.contest(server, before, &mut found);
        match validate(server, self.own_image.as_deref()) {
            Ok(validated) => {
                let (taken, missing) = in_time(join(self.taken(&validated), self.missing(server))).await;
                found.refused.extend(taken);
                found.missing = missing;
            }
            // It has been said already, all of it.
            Err(InvalidSpec::SetTwice(_)) => found.missing = in_time(self.missing(server)).await,
            Err(why @ InvalidSpec::NoBridgeImage) => {
                found.noted.push(FieldError::new("spec.transport", Problem::Forbidden, why.to_string()));
            }
            Err(why) => {
                let (field, detail) = why.split();
                found.refused.push(FieldError::new(field, Problem::Forbidden, detail));
            }
        }
        found
    }

    pub(in crate::operator) async fn source(&self, source: &DataSource) -> Objections {
        let namespace = source.namespace().unwrap_or_default();
        Objections {
            refused: told(&self.policy.violations_of_source(source)),
            missing: in_time(missing(&self.client, &namespace, &mentions::of_source(source))).await,
            noted: Vec::new(),
        }
    }

    pub(in crate::operator) async fn pool(&self, pool: &MCPPool) -> Objections {
        Objections {
            refused: told(&self.policy.violations_of_pool(pool)),
            missing: Vec::new(),
            noted: in_time(pool::contested(&self.client, pool)).await,
        }
    }

    /// A prefix belongs to the oldest. Who has lost it already is only told again.
    fn contest(&self, server: &MCPServer, before: Option<&MCPServer>, found: &mut Objections) {
        let Some(Contest { prefix, holder }) =
            self.serving.as_ref().and_then(|serving| serving.contest(server))
        else {
            return;
        };
        let detail =
            format!("MCPServer {holder} has this prefix and keeps it, since it is older: set another");
        let error = FieldError::new("spec.gateway.prefix", Problem::Duplicate(prefix), detail);
        match before {
            Some(before) if before.spec.gateway.prefix == server.spec.gateway.prefix => {
                found.noted.push(error);
            }
            _ => found.refused.push(error),
        }
    }

    async fn taken(&self, validated: &ValidatedServer) -> Vec<FieldError> {
        let Runs::Workload(workload) = &validated.runs else { return Vec::new() };
        let names = children::taken(&self.client, &validated.owner, workload, &self.own_namespace);
        let scaled = foreign_autoscaler(&self.client, &validated.owner);
        let (mut taken, scaled) = join(names, scaled).await;
        taken.extend(scaled);
        taken
    }

    async fn missing(&self, server: &MCPServer) -> Vec<FieldError> {
        missing(&self.client, &server.namespace().unwrap_or_default(), &mentions(server)).await
    }
}

async fn in_time<T: Default>(looking: impl Future<Output = T>) -> T {
    timeout(PATIENCE, looking).await.unwrap_or_else(|_| {
        tracing::warn!(
            "an object was let pass without a look at others: the API server does not answer in time"
        );
        T::default()
    })
}

fn told(violations: &[Violation]) -> Vec<FieldError> {
    violations.iter().map(FieldError::from).collect()
}
