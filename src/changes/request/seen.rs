//! Who is shown which requests, and what of them.

use std::{collections::BTreeMap, time::Duration};

use futures::{StreamExt, stream};

use super::{Room, id, shelf::Shelved, words};
use crate::{answer::Answer, api::ChangeRequest, caller::Caller};

/// Somebody who asks wants to know what is now.
const ONE: Duration = Duration::ZERO;
/// A list of many asks the forges for many.
const MANY: Duration = Duration::from_secs(15);
const TOGETHER: usize = 8;

impl Room {
    /// Those of these requests that this caller may see: one's own, and others' where the access rules say so.
    ///
    /// # Errors
    /// One sentence, when it cannot be found out.
    pub(super) async fn seen(
        &self,
        caller: &Caller,
        requests: Vec<ChangeRequest>,
    ) -> Result<Vec<ChangeRequest>, String> {
        let Some(access) = &self.access else { return Ok(requests) };
        let mut known: BTreeMap<Option<String>, bool> = BTreeMap::new();
        let mut seen = Vec::new();
        for request in requests {
            let namespace = request.spec.target.namespace.clone();
            let is_seen = match known.get(&namespace) {
                _ if request.spec.requested_by == caller.user => true,
                Some(known) => *known,
                None => {
                    let answer = access.sees_others(caller, namespace.as_deref()).await?;
                    known.insert(namespace, answer);
                    answer
                }
            };
            if is_seen {
                seen.push(request);
            }
        }
        Ok(seen)
    }

    pub(in crate::changes) async fn list(&self, caller: &Caller) -> Answer {
        match self.try_list(caller).await {
            Ok(answer) => answer,
            Err(why) => Answer::error(words::sentence(&why)),
        }
    }

    async fn try_list(&self, caller: &Caller) -> Result<Answer, String> {
        let Shelved { requests, broken } = self.shelf.list().await.map_err(|error| error.to_string())?;
        let mut requests = self.seen(caller, requests).await?;
        requests.sort_by_key(|request| std::cmp::Reverse(words::asked_at(request)));
        let total = requests.len();
        requests.truncate(words::LISTED);
        let listed: Vec<_> = stream::iter(requests)
            .map(|request| self.fresh(request, MANY))
            .buffered(TOGETHER)
            .collect()
            .await;
        Ok(words::list(&listed, total, &broken))
    }

    pub(in crate::changes) async fn get(&self, caller: &Caller, asked: &str) -> Answer {
        match self.try_get(caller, asked).await {
            Ok(answer) => answer,
            Err(why) => Answer::error(words::sentence(&why)),
        }
    }

    async fn try_get(&self, caller: &Caller, asked: &str) -> Result<Answer, String> {
        let found = self.shelf.get(asked).await.map_err(|error| error.to_string())?;
        match self.seen(caller, found.into_iter().collect()).await?.pop() {
            Some(request) => Ok(words::one(&self.fresh(request, ONE).await, "")),
            None => Err(self.unknown(caller, asked).await),
        }
    }

    /// The same sentence for one that this caller may not see and for one that is not there.
    pub(super) async fn unknown(&self, caller: &Caller, asked: &str) -> String {
        let mut requests = self.shelf.list().await.unwrap_or_default().requests;
        requests.sort_by_key(|request| std::cmp::Reverse(words::asked_at(request)));
        let known = self.seen(caller, requests).await.unwrap_or_default();
        let known: Vec<_> = known.iter().take(5).map(id).collect();
        if known.is_empty() {
            return format!("there is no change {asked:?}: none has been proposed yet");
        }
        format!("there is no change {asked:?}; the newest are {}. list_changes shows all", known.join(", "))
    }
}
