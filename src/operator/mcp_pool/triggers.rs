//! What makes a pool be looked at: its own change, another set of members, and what the gateway sees of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use futures::{
    Stream, StreamExt,
    future::ready,
    stream::{BoxStream, iter, select_all, unfold},
};
use kube::runtime::{
    reflector::{self, ObjectRef},
    watcher,
};

use super::{Context, Guarded};
use crate::{
    fleet::{PoolStands, ServerName, Serving},
    operator::watches::{api, objects, pools_seen},
};

type Trigger = Result<ObjectRef<Guarded>, watcher::Error>;

/// Every trigger of one namespace, or of all. The first stream also fills the store behind `writer`.
pub(super) fn all(
    context: &Arc<Context>,
    namespace: Option<&str>,
    writer: reflector::store::Writer<Guarded>,
) -> BoxStream<'static, Trigger> {
    let looks = pools_seen(context.observations.clone()).boxed();
    let named = select_all([looks, declared(context.serving.clone()).boxed()]);
    let only_in = namespace.map(str::to_owned);
    let named = named
        .filter(move |pool| ready(only_in.as_ref().is_none_or(|namespace| *namespace == pool.namespace)))
        .map(|pool| Ok(ObjectRef::new(&pool.name).within(&pool.namespace)));
    select_all([objects(api(context.writer.client(), namespace), writer).boxed(), named.boxed()]).boxed()
}

/// The pools that are declared otherwise than before, or whose members are.
fn declared(serving: Serving) -> impl Stream<Item = ServerName> + Send + 'static {
    let (changes, before) = (serving.changes(), serving.pools());
    unfold((serving, changes, before), |(serving, mut changes, before)| async move {
        // The roster lives as long as the process.
        changes.changed().await.ok()?;
        changes.mark_unchanged();
        let now = serving.pools();
        let changed = changed(&before, &now);
        Some((iter(changed), (serving, changes, now)))
    })
    .flatten()
}

fn changed(
    before: &BTreeMap<ServerName, PoolStands>,
    now: &BTreeMap<ServerName, PoolStands>,
) -> Vec<ServerName> {
    let names: BTreeSet<&ServerName> = before.keys().chain(now.keys()).collect();
    names.into_iter().filter(|name| before.get(*name) != now.get(*name)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::changed;
    use crate::fleet::{PoolStands, ServerName};

    #[test]
    fn only_pools_that_are_declared_otherwise_are_looked_at() {
        let name = |name: &str| ServerName { namespace: "a".to_owned(), name: name.to_owned() };
        let stands = |why: &str| PoolStands::Refused(why.to_owned());
        let before = BTreeMap::from([(name("same"), stands("x")), (name("moved"), stands("x"))]);
        let now = BTreeMap::from([
            (name("same"), stands("x")),
            (name("moved"), stands("y")),
            (name("new"), stands("z")),
        ]);
        assert_eq!(changed(&before, &now), [name("moved"), name("new")]);
        assert_eq!(changed(&now, &before), [name("moved"), name("new")]);
    }
}
