//! How many requests of a repository may be open at one time.

use super::{BRANCHES, Room, branch_of, carry::Load, id, life::phase, problem::Problem};

impl Room {
    /// # Errors
    /// [`Problem::Limit`] when as many are open as may be.
    pub(super) async fn has_room(&self, load: &Load<'_>) -> Result<(), Problem> {
        let repository = &load.home.repository;
        let listed = self.shelf.list().await?.requests;
        let mut open: Vec<String> = listed
            .iter()
            .filter(|other| {
                let status = other.status.clone().unwrap_or_default();
                status.repository == repository.name && phase(&status).is_open()
            })
            .map(|other| branch_of(id(other)))
            .collect();
        // Those of a process that has lost what it kept.
        match load.home.forge.open_branches(BRANCHES).await {
            Ok(branches) => open.extend(branches),
            Err(error) => tracing::warn!(%error, "the open branches are not counted"),
        }
        open.sort();
        open.dedup();
        open.retain(|name| *name != branch_of(&load.id));
        let limit = repository.open_limit;
        if open.len() < limit {
            return Ok(());
        }
        let ids: Vec<_> = open.iter().take(3).filter_map(|name| name.strip_prefix(BRANCHES)).collect();
        Err(Problem::Limit {
            repository: repository.name.clone(),
            open: open.len(),
            limit,
            ids: ids.join(", "),
        })
    }
}
