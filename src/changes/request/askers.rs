//! Who had a hand in what a request asks: none of them approves it for the others.

use super::{Room, shelf::ShelfError, status};
use crate::{
    api::{ChangeRequest, ChangeRequestSpec, ChangeRequestStatus},
    caller::Caller,
};

/// More than ever work on one change; the kind takes no more.
const MOST: usize = 50;

/// All of them, the requester first.
pub(super) fn askers(spec: &ChangeRequestSpec, status: &ChangeRequestStatus) -> Vec<String> {
    std::iter::once(&spec.requested_by).chain(&status.asked_by).cloned().collect()
}

/// Notes those beside the requester.
pub(super) fn note<'n>(
    now: &mut ChangeRequestStatus,
    requested_by: &str,
    names: impl IntoIterator<Item = &'n String>,
) {
    for name in names {
        if name != requested_by && !now.asked_by.contains(name) && now.asked_by.len() < MOST {
            now.asked_by.push(name.clone());
        }
    }
}

impl Room {
    /// Notes who asks now, and those of the request that this one takes up.
    pub(super) async fn note_askers(
        &self,
        now: &mut ChangeRequestStatus,
        stored: Option<&ChangeRequest>,
        spec: &ChangeRequestSpec,
        caller: &Caller,
    ) -> Result<(), ShelfError> {
        let requested_by = stored.map_or(&spec.requested_by, |stored| &stored.spec.requested_by);
        note(now, requested_by, [&caller.user]);
        let (None, Some(before)) = (stored, &spec.revises) else { return Ok(()) };
        if let Some(before) = self.shelf.get(before).await? {
            note(now, requested_by, &askers(&before.spec, &status(&before)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST, askers, note};
    use crate::changes::request::{sample, status};

    #[test]
    fn everybody_is_noted_once() {
        let request = sample("00ff");
        let mut now = status(&request);
        for name in ["lea", "ann", "lea", "bob"] {
            note(&mut now, &request.spec.requested_by, [&name.to_owned()]);
        }
        assert_eq!(askers(&request.spec, &now), ["ann", "lea", "bob"]);
        note(&mut now, "ann", &(0..2 * MOST).map(|at| at.to_string()).collect::<Vec<_>>());
        assert_eq!(now.asked_by.len(), MOST);
    }
}
