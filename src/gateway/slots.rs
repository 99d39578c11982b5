//! Which places of one downstream get a connection, and when a lost one is tried again. Pure: time and chance
//! come from outside.
//!
//! Each group of places (those of one MCPServer) has one connection; a further one is opened only when all are busy
//! and a place is left. A place that failed rests, twice as long each time, and another one is tried meanwhile. A
//! connection that nobody uses is parked: closed, and opened again when it is wanted.

use std::time::{Duration, Instant};

/// The first rest, doubled up to the longest.
const FIRST_REST: Duration = Duration::from_millis(100);
const LONGEST_REST: Duration = Duration::from_secs(30);

/// A connection that lasted this long starts counting its failures anew.
const LASTED: Duration = Duration::from_secs(10);

/// Places that stand for each other: those of one MCPServer.
pub(super) trait Grouped {
    fn is_of_group_of(&self, other: &Self) -> bool;
}

#[derive(Debug)]
enum State<L> {
    Idle,
    Opening,
    Open {
        link: L,
        since: Instant,
    },
    Resting {
        until: Instant,
    },
    /// Its connection was closed since nobody used it; it is opened again then, or when somebody calls.
    Parked {
        until: Instant,
    },
}

#[derive(Debug)]
struct Slot<P, L> {
    place: P,
    state: State<L>,
    failures: u32,
}

/// `P`: a place; `L`: an open connection.
#[derive(Debug)]
pub(super) struct Slots<P, L> {
    slots: Vec<Slot<P, L>>,
    /// How many connections are wanted at once.
    wanted: usize,
}

impl<P: Clone + PartialEq + Grouped, L> Slots<P, L> {
    pub(super) fn new() -> Self {
        Self { slots: Vec::new(), wanted: 1 }
    }

    /// These are the places now. Connections to places that stay are kept; those that leave are given back.
    pub(super) fn change(&mut self, places: Vec<P>) -> Vec<L> {
        // As many as there are places: with a thousand servers the room that a list keeps to grow is a megabyte.
        let mut before = std::mem::replace(&mut self.slots, Vec::with_capacity(places.len()));
        for place in places {
            let at = before.iter().position(|slot| slot.place == place);
            let mut slot = match at {
                Some(at) => before.remove(at),
                None => Slot { place, state: State::Idle, failures: 0 },
            };
            // What was wrong may be over.
            if matches!(slot.state, State::Resting { .. }) {
                (slot.state, slot.failures) = (State::Idle, 0);
            }
            self.slots.push(slot);
        }
        self.wanted = self.wanted.min(self.slots.len()).max(1);
        before.into_iter().filter_map(|slot| slot.state.into_link()).collect()
    }

    /// All connections are busy.
    pub(super) fn want_more(&mut self) {
        let open = self.links().count();
        if self.wanted <= open && open < self.slots.len() {
            self.wanted = open + 1;
        }
    }

    /// The place to open a connection to now, if any; it counts as opening from here on.
    pub(super) fn next(&mut self, now: Instant) -> Option<P> {
        let is_up = |slot: &Slot<P, L>| match slot.state {
            State::Open { .. } | State::Opening => true,
            State::Parked { until } => until > now,
            State::Idle | State::Resting { .. } => false,
        };
        let is_free = |slot: &Slot<P, L>| match slot.state {
            State::Idle => true,
            State::Resting { until } | State::Parked { until } => until <= now,
            State::Opening | State::Open { .. } => false,
        };
        let is_alone = |slot: &Slot<P, L>| {
            !self.slots.iter().any(|other| is_up(other) && other.place.is_of_group_of(&slot.place))
        };
        let alone = self.slots.iter().position(|slot| is_free(slot) && is_alone(slot));
        let further = || {
            let is_wanted = self.slots.iter().filter(|slot| is_up(slot)).count() < self.wanted;
            self.slots.iter().position(is_free).filter(|_| is_wanted)
        };
        let at = alone.or_else(further)?;
        let slot = self.slots.get_mut(at)?;
        slot.state = State::Opening;
        Some(slot.place.clone())
    }

    /// The link back when its place has left meanwhile.
    pub(super) fn opened(&mut self, place: &P, link: L, now: Instant) -> Result<(), L> {
        match self.opening(place) {
            Some(slot) => {
                slot.state = State::Open { link, since: now };
                Ok(())
            }
            None => Err(link),
        }
    }

    /// `chance` between 0 and 1 spreads those that fail together. False when the place has left meanwhile: that it
    /// could not be reached is of no concern any more.
    pub(super) fn failed(&mut self, place: &P, now: Instant, chance: f64) -> bool {
        let Some(slot) = self.opening(place) else { return false };
        slot.rest(now, chance);
        true
    }

    /// The connection for which `is_it` says so is over.
    pub(super) fn ended(&mut self, is_it: impl Fn(&L) -> bool, now: Instant, chance: f64) -> Option<L> {
        let slot = self.slots.iter_mut().find(|slot| slot.state.link().is_some_and(&is_it))?;
        if let State::Open { since, .. } = slot.state
            && now.duration_since(since) >= LASTED
        {
            slot.failures = 0;
        }
        if slot.failures == 0 {
            // The first loss is made good at once: a restart, a session that was forgotten.
            slot.failures = 1;
            return std::mem::replace(&mut slot.state, State::Idle).into_link();
        }
        slot.rest(now, chance)
    }

    /// The connection for which `is_it` says so is closed until then.
    pub(super) fn park(&mut self, is_it: impl Fn(&L) -> bool, until: Instant) -> Option<L> {
        let slot = self.slots.iter_mut().find(|slot| slot.state.link().is_some_and(&is_it))?;
        slot.failures = 0;
        std::mem::replace(&mut slot.state, State::Parked { until }).into_link()
    }

    /// Somebody wants to call: what is parked is opened.
    pub(super) fn rouse(&mut self) {
        for slot in self.slots.iter_mut().filter(|slot| matches!(slot.state, State::Parked { .. })) {
            slot.state = State::Idle;
        }
    }

    pub(super) fn is_parked(&self, mut of: impl FnMut(&P) -> bool) -> bool {
        self.slots.iter().any(|slot| matches!(slot.state, State::Parked { .. }) && of(&slot.place))
    }

    pub(super) fn links(&self) -> impl Iterator<Item = &L> {
        self.slots.iter().filter_map(|slot| slot.state.link())
    }

    /// Whether a further connection could be had.
    pub(super) fn has_spare(&self) -> bool {
        self.links().count() < self.slots.len()
    }

    pub(super) fn is_opening(&self) -> bool {
        self.slots.iter().any(|slot| matches!(slot.state, State::Opening))
    }

    /// When the next rest is over.
    pub(super) fn wake(&self) -> Option<Instant> {
        let until = |slot: &Slot<P, L>| match slot.state {
            State::Resting { until } | State::Parked { until } => Some(until),
            State::Idle | State::Opening | State::Open { .. } => None,
        };
        self.slots.iter().filter_map(until).min()
    }

    fn opening(&mut self, place: &P) -> Option<&mut Slot<P, L>> {
        self.slots.iter_mut().find(|slot| slot.place == *place && matches!(slot.state, State::Opening))
    }
}

impl<P, L> Slot<P, L> {
    fn rest(&mut self, now: Instant, chance: f64) -> Option<L> {
        let until = now + rest(self.failures, chance);
        self.failures = self.failures.saturating_add(1);
        std::mem::replace(&mut self.state, State::Resting { until }).into_link()
    }
}

impl<L> State<L> {
    fn link(&self) -> Option<&L> {
        match self {
            Self::Open { link, since: _ } => Some(link),
            Self::Idle | Self::Opening | Self::Resting { .. } | Self::Parked { .. } => None,
        }
    }

    fn into_link(self) -> Option<L> {
        match self {
            Self::Open { link, since: _ } => Some(link),
            Self::Idle | Self::Opening | Self::Resting { .. } | Self::Parked { .. } => None,
        }
    }
}

/// How long to wait after this many failures before: a quarter less or more by `chance`.
pub(super) fn rest(failures: u32, chance: f64) -> Duration {
    let doubled = FIRST_REST.saturating_mul(2_u32.saturating_pow(failures)).min(LONGEST_REST);
    doubled.mul_f64(0.75 + chance.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::{Duration, Instant};

    use super::{Grouped, Slots, rest};

    /// Before the `/` stands the group.
    impl Grouped for &'static str {
        fn is_of_group_of(&self, other: &Self) -> bool {
            let group = |place: &'static str| place.split_once('/').map(|(group, _)| group);
            group(self) == group(other)
        }
    }

    fn slots(places: &[&'static str]) -> Slots<&'static str, u32> {
        let mut slots = Slots::new();
        slots.change(places.to_vec());
        slots
    }

    #[test]
    fn one_connection_is_opened_and_a_further_one_only_when_all_are_busy() {
        let now = Instant::now();
        let mut slots = slots(&["a", "b"]);
        assert_eq!(slots.next(now), Some("a"));
        assert_eq!(slots.next(now), None);
        slots.opened(&"a", 1, now).unwrap();
        assert!(slots.has_spare());
        slots.want_more();
        assert_eq!(slots.next(now), Some("b"));
        slots.opened(&"b", 2, now).unwrap();
        slots.want_more();
        assert_eq!(slots.next(now), None);
    }

    #[test]
    fn each_group_has_a_connection_before_any_has_two() {
        let now = Instant::now();
        let mut slots = slots(&["a/1", "a/2", "b/1", "b/2"]);
        assert_eq!(slots.next(now), Some("a/1"));
        assert_eq!(slots.next(now), Some("b/1"));
        assert_eq!(slots.next(now), None);
        slots.opened(&"a/1", 1, now).unwrap();
        slots.failed(&"b/1", now, 0.5);
        assert_eq!(slots.next(now), Some("b/2"), "the other place of the group");
        slots.opened(&"b/2", 2, now).unwrap();
        slots.want_more();
        assert_eq!(slots.next(now), Some("a/2"));
        slots.want_more();
        assert_eq!(slots.next(now), None, "one at a time");
    }

    #[test]
    fn links_to_places_that_stay_are_kept() {
        let now = Instant::now();
        let mut slots = slots(&["a"]);
        slots.next(now);
        slots.opened(&"a", 1, now).unwrap();
        assert!(slots.change(vec!["b", "a"]).is_empty());
        assert_eq!(slots.links().collect::<Vec<_>>(), [&1]);
        assert_eq!(slots.change(vec!["b"]), [1]);
        assert_eq!(slots.next(now), Some("b"));
    }

    #[test]
    fn another_place_is_tried_while_one_rests() {
        let now = Instant::now();
        let mut slots = slots(&["a", "b"]);
        slots.next(now);
        slots.failed(&"a", now, 0.5);
        assert_eq!(slots.next(now), Some("b"));
        slots.failed(&"b", now, 0.5);
        assert_eq!(slots.next(now), None);
        assert_eq!(slots.wake(), Some(now + Duration::from_millis(100)));
        assert_eq!(slots.next(now + Duration::from_millis(100)), Some("a"));
    }

    #[test]
    fn changed_places_end_every_rest() {
        let now = Instant::now();
        let mut slots = slots(&["a"]);
        for _ in 0..8 {
            slots.next(now + Duration::from_secs(60));
            slots.failed(&"a", now, 0.5);
        }
        slots.change(vec!["a", "b"]);
        assert_eq!(slots.next(now), Some("a"));
    }

    #[test]
    fn a_link_to_a_place_that_left_is_given_back() {
        let now = Instant::now();
        let mut slots = slots(&["a"]);
        slots.next(now);
        slots.change(vec![]);
        assert_eq!(slots.opened(&"a", 1, now), Err(1));
        assert!(!slots.failed(&"a", now, 0.5), "nor does it matter that it could not be reached");
    }

    #[test]
    fn a_connection_that_lasted_starts_anew() {
        let now = Instant::now();
        let mut slots = slots(&["a"]);
        for _ in 0..5 {
            slots.next(now + Duration::from_secs(60));
            slots.opened(&"a", 1, now).unwrap();
            slots.ended(|_| true, now, 0.5);
        }
        assert_eq!(slots.wake(), Some(now + Duration::from_millis(1600)));
        slots.next(now + Duration::from_secs(60));
        slots.opened(&"a", 1, now).unwrap();
        let later = now + Duration::from_secs(11);
        assert_eq!(slots.ended(|link| *link == 1, later, 0.5), Some(1));
        assert_eq!(slots.next(later), Some("a"), "the first loss is made good at once");
    }

    #[test]
    fn a_parked_connection_is_opened_when_it_is_time_or_wanted_and_no_other_in_its_place() {
        let now = Instant::now();
        let mut slots = slots(&["a", "b"]);
        slots.next(now);
        slots.opened(&"a", 1, now).unwrap();
        let later = now + Duration::from_secs(60);
        assert_eq!(slots.park(|link| *link == 1, later), Some(1));
        assert_eq!((slots.next(now), slots.wake()), (None, Some(later)));
        assert!(slots.is_parked(|place| *place == "a") && !slots.is_parked(|place| *place == "b"));
        assert_eq!(slots.next(later), Some("a"));
        slots.opened(&"a", 2, later).unwrap();
        slots.park(|_| true, later + Duration::from_secs(60));
        slots.rouse();
        assert_eq!(slots.next(later), Some("a"));
    }

    #[test]
    fn rests_double_up_to_30_s_and_are_spread() {
        assert_eq!(rest(0, 0.5), Duration::from_millis(100));
        assert_eq!(rest(3, 0.5), Duration::from_millis(800));
        assert_eq!(rest(40, 0.5), Duration::from_secs(30));
        assert_eq!(rest(40, 0.0), Duration::from_millis(22_500));
        assert_eq!(rest(40, 1.0), Duration::from_millis(37_500));
    }
}
