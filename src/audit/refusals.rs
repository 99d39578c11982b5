//! Whom the doors turned away: one line for the first of a kind, then a count, so that nobody can fill the disk by
//! knocking. Pure; [`writer`](super::writer) asks when a count is due.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use jiff::Timestamp;

use super::Line;
use crate::caller::Caller;

/// What came in so long is one line of each kind and one count of each.
const INTERVAL: Duration = Duration::from_secs(300);
/// Kinds that are told apart in one interval; those of further peers and callers are counted together.
const MOST_KINDS: usize = 64;

/// What these lines are known by.
pub const REFUSED: &str = "door/refused";

/// Somebody who was turned away before any request of theirs was looked at.
#[derive(Clone, Debug)]
pub struct Refusal {
    /// Of few, for example `/mcp`: never what the request names as it likes.
    pub door: String,
    /// Of few: a word by which refusals are counted.
    pub reason: &'static str,
    /// A sentence; of those that are counted together, that of the first and of the last are recorded.
    pub why: String,
    /// As far as it was proven.
    pub caller: Option<Caller>,
    /// The other end of the connection, which may be a proxy.
    pub peer: Option<IpAddr>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    door: String,
    reason: &'static str,
    who: Who,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Told { caller: Option<String>, peer: Option<IpAddr> },
    Others,
}

/// Those of one kind that no line says yet.
#[derive(Debug, Default)]
struct Tally {
    count: u64,
    since: Option<Timestamp>,
    last: Option<Refusal>,
}

/// The refusals of the running interval.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    ends: Option<Instant>,
    kinds: BTreeMap<Kind, Tally>,
}

impl Refusals {
    /// Takes one in. Returns its line when it is the first of its kind; otherwise it is counted, as the first is while
    /// no line can be written.
    pub(super) fn take(&mut self, refusal: Refusal, now: Instant, is_writable: bool) -> Option<Line> {
        self.ends.get_or_insert(now + INTERVAL);
        let kind = self.kind(&refusal);
        let is_first = !self.kinds.contains_key(&kind);
        let others = kind.who == Who::Others;
        let tally = self.kinds.entry(kind).or_default();
        if is_first && is_writable {
            return Some(line(&refusal, others));
        }
        tally.count += 1;
        tally.since.get_or_insert_with(Timestamp::now);
        tally.last = Some(refusal);
        None
    }

    fn kind(&self, refusal: &Refusal) -> Kind {
        let Refusal { door, reason, why: _, caller, peer } = refusal;
        let caller = caller.as_ref().map(|caller| caller.user.clone());
        let told = Who::Told { caller, peer: peer.map(|peer| peer.to_canonical()) };
        let kind = Kind { door: door.clone(), reason, who: told };
        if self.kinds.len() < MOST_KINDS || self.kinds.contains_key(&kind) {
            return kind;
        }
        Kind { who: Who::Others, ..kind }
    }

    /// When counts are due; `None` while nobody was turned away.
    pub(super) fn due(&self) -> Option<Instant> {
        self.ends
    }

    /// Ends the interval: the lines of what was counted.
    pub(super) fn counted(&mut self) -> Vec<Line> {
        let Self { ends: _, kinds } = std::mem::take(self);
        let line = |(kind, tally): (Kind, Tally)| {
            let Tally { count, since, last } = tally;
            let line = line(&last?, kind.who == Who::Others).with("count", count.to_string());
            Some(match since {
                Some(since) => line.with("since", since.to_string()),
                None => line,
            })
        };
        kinds.into_iter().filter_map(line).collect()
    }
}

/// `others`: of several peers and callers.
fn line(refusal: &Refusal, others: bool) -> Line {
    let Refusal { door, reason, why, caller, peer } = refusal;
    let line = match caller.as_ref().filter(|_| !others) {
        Some(caller) => Line::now(caller, REFUSED, door, "refused"),
        None => Line::unproven(REFUSED, door, "refused"),
    };
    let line = line.with("reason", *reason).with("why", why.as_str());
    match peer {
        _ if others => line.with("peer", "others"),
        Some(peer) => line.with("peer", peer.to_canonical().to_string()),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::{net::IpAddr, time::Instant};

    use super::{INTERVAL, MOST_KINDS, Refusal, Refusals};
    use crate::caller::Caller;

    fn refusal(reason: &'static str, peer: u32) -> Refusal {
        let peer = IpAddr::from(std::net::Ipv4Addr::from_bits(peer));
        Refusal { door: "/mcp".to_owned(), reason, why: "no".to_owned(), caller: None, peer: Some(peer) }
    }

    #[test]
    fn the_first_of_a_kind_has_a_line_and_the_rest_a_count() {
        let (mut refusals, now) = (Refusals::default(), Instant::now());
        assert_eq!(refusals.due(), None);
        let first = refusals.take(refusal("no-token", 1), now, true).unwrap();
        assert_eq!((first.caller.as_str(), first.decision.as_str()), ("unknown", "refused"));
        assert_eq!((first.facts["peer"].as_str(), first.facts.get("count")), ("0.0.0.1", None));
        for _ in 0..1_000_000 {
            assert!(refusals.take(refusal("no-token", 1), now, true).is_none());
        }
        assert!(refusals.take(refusal("no-token", 2), now, true).is_some(), "another peer");
        assert!(refusals.take(refusal("invalid-token", 1), now, true).is_some(), "another reason");
        let ann = Caller { user: "ann".to_owned(), ..Caller::process() };
        let line = refusals.take(Refusal { caller: Some(ann), ..refusal("no-token", 1) }, now, true).unwrap();
        assert_eq!(line.caller, "ann");
        assert_eq!(refusals.due(), Some(now + INTERVAL));
        let counts = refusals.counted();
        assert_eq!(counts.len(), 1, "kinds of one have no second line");
        assert_eq!(counts[0].facts["count"], "1000000");
        assert_eq!(refusals.due(), None);
        assert!(refusals.take(refusal("no-token", 1), now, true).is_some(), "a new interval");
    }

    #[test]
    fn a_flood_from_everywhere_has_an_end() {
        let (mut refusals, now) = (Refusals::default(), Instant::now());
        let lines = (0..100_000).filter_map(|peer| refusals.take(refusal("no-token", peer), now, true));
        let lines: Vec<_> = lines.collect();
        assert_eq!(lines.len(), MOST_KINDS + 1);
        assert_eq!(lines[MOST_KINDS].facts["peer"], "others");
        let counts = refusals.counted();
        assert_eq!(counts.len(), 1);
        assert_eq!(counts[0].facts["count"], (100_000 - MOST_KINDS - 1).to_string());
    }

    #[test]
    fn what_cannot_be_written_is_counted_until_it_can() {
        let (mut refusals, now) = (Refusals::default(), Instant::now());
        assert!(refusals.take(refusal("no-token", 1), now, false).is_none());
        assert!(refusals.take(refusal("no-token", 1), now, true).is_none());
        assert_eq!(refusals.counted()[0].facts["count"], "2");
    }
}
