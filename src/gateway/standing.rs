//! What a runner knows of one MCPServer behind its downstream. Pure.

use std::time::{Duration, Instant};

use super::{observation::ServerInfo, offer::Offer, registry::Reach, wire::Era};

#[derive(Debug, Default)]
pub(super) struct Standing {
    /// Why its declaration cannot be used.
    pub(super) refused: Option<String>,
    /// Its places, apart from those at rest.
    pub(super) places: usize,
    /// What the last handshake spoke: tried first next time.
    pub(super) known: Option<Era>,
    pub(super) info: Option<ServerInfo>,
    /// When its lists are to be read.
    pub(super) list_at: Option<Instant>,
    /// Until when what was read last holds, while its connection is open.
    pub(super) hold_until: Option<Instant>,
    pub(super) list_failures: u32,
    /// They are being read.
    pub(super) listing: bool,
    /// Its lists were read since the last connection was opened.
    pub(super) listed: bool,
    /// Its connection was closed since nobody used it; it answered until then.
    pub(super) parked: bool,
    /// For how long its lists hold, as it says.
    pub(super) ttl: Option<Duration>,
    /// The last failure, in words.
    pub(super) failure: Option<String>,
    /// What it offered last, kept only for a member of a pool: the others are offered beside it.
    pub(super) offer: Option<Offer>,
}

impl Standing {
    /// When its lists are read again at the latest.
    pub(super) fn listed_next(&self) -> Option<Instant> {
        [self.list_at, self.hold_until].into_iter().flatten().min()
    }

    /// Its lists are to be read by then, if not sooner.
    pub(super) fn list_by(&mut self, at: Instant) {
        self.list_at = Some(self.list_at.map_or(at, |before| before.min(at)));
    }

    pub(super) fn is_to_be_listed(&self, now: Instant) -> bool {
        self.listed_next().is_some_and(|at| at <= now)
    }

    /// Whether it can be reached, where so many of its connections are open.
    pub(super) fn reach(&self, open: usize) -> Reach {
        let unreachable = |reason: &String| Reach::Unreachable { reason: reason.clone() };
        if let Some(reason) = &self.refused {
            return unreachable(reason);
        }
        match &self.failure {
            // One place may fail while another serves.
            _ if open > 0 && self.listed => Reach::Ready,
            Some(reason) => unreachable(reason),
            None if self.parked && self.listed && self.places > 0 => Reach::Ready,
            None if self.places == 0 => Reach::Empty,
            None => Reach::Connecting,
        }
    }
}

/// The best of them; what keeps a member from answering is said with its name.
pub(super) fn of_all<'a>(members: impl Iterator<Item = (&'a super::ServerName, &'a Reach)> + Clone) -> Reach {
    let any = |wanted: Reach| members.clone().any(|(_, reach)| *reach == wanted);
    if any(Reach::Ready) {
        return Reach::Ready;
    }
    if any(Reach::Connecting) {
        return Reach::Connecting;
    }
    let why = members.clone().find_map(|(server, reach)| match reach {
        Reach::Unreachable { reason } => Some(format!("{}: {reason}", server.name)),
        Reach::Empty | Reach::Connecting | Reach::Ready => None,
    });
    why.map_or(Reach::Empty, |reason| Reach::Unreachable { reason })
}

#[cfg(test)]
mod tests {
    use super::{Reach, Standing, of_all};
    use crate::gateway::ServerName;

    fn unreachable(reason: &str) -> Reach {
        Reach::Unreachable { reason: reason.to_owned() }
    }

    #[test]
    fn one_place_that_fails_takes_nothing_from_one_that_serves() {
        let failure = Some("refused".to_owned());
        let mut server = Standing { places: 2, listed: true, failure, ..Standing::default() };
        assert_eq!(server.reach(1), Reach::Ready);
        assert_eq!(server.reach(0), unreachable("refused"));
        server.failure = None;
        server.listed = false;
        assert_eq!(server.reach(1), Reach::Connecting);
        server.places = 0;
        assert_eq!(server.reach(0), Reach::Empty);
        server.refused = Some("spec.path".to_owned());
        assert_eq!(server.reach(0), unreachable("spec.path"));
    }

    #[test]
    fn a_pool_stands_as_its_best_member_does() {
        let [a, b] = ["a", "b"].map(|name| ServerName { namespace: "n".into(), name: name.into() });
        let of = |first: &Reach, second: &Reach| of_all([(&a, first), (&b, second)].into_iter());
        assert_eq!(of(&Reach::Empty, &Reach::Ready), Reach::Ready);
        assert_eq!(of(&unreachable("x"), &Reach::Connecting), Reach::Connecting);
        assert_eq!(of(&Reach::Empty, &unreachable("x")), unreachable("b: x"));
        assert_eq!(of(&Reach::Empty, &Reach::Empty), Reach::Empty);
        assert_eq!(of_all([].into_iter()), Reach::Empty);
    }
}
