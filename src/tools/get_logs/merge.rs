//! Lines of several logs as one, and what of them fits.

use std::collections::BinaryHeap;

use jiff::Timestamp;

/// What merging needs to know of a line.
pub(super) trait Timed {
    /// Never before that of the line in front of it in the same log.
    fn at(&self) -> Timestamp;
    /// Bytes that it takes in the answer.
    fn cost(&self) -> usize;
}

/// How many of each log's last lines make up the newest part of all that fits into `room`: one stretch of time
/// without holes. At least one line, if there is any.
pub(super) fn newest<T: Timed>(logs: &[impl AsRef<[T]>], room: usize) -> Vec<usize> {
    let mut taken = vec![0; logs.len()];
    let last = |log: usize, taken: usize| {
        let log = logs.get(log)?.as_ref();
        log.len().checked_sub(taken + 1).and_then(|at| log.get(at))
    };
    // Of lines of one time those of the last log are the newest, as in `by_time`.
    let mut heads: BinaryHeap<(Timestamp, usize)> =
        (0..logs.len()).filter_map(|log| Some((last(log, 0)?.at(), log))).collect();
    let mut left = room;
    let mut is_first = true;
    while let Some((_, log)) = heads.pop() {
        let Some(line) = last(log, taken[log]) else { continue };
        if line.cost() > left && !is_first {
            break;
        }
        left = left.saturating_sub(line.cost());
        is_first = false;
        taken[log] += 1;
        heads.extend(last(log, taken[log]).map(|line| (line.at(), log)));
    }
    taken
}

/// All lines in the order of their times, with the number of their log. Of lines of one time those of the first
/// log come first.
pub(super) fn by_time<'a, T: Timed>(logs: &[&'a [T]]) -> Vec<(usize, &'a T)> {
    let mut all: Vec<(usize, &T)> =
        logs.iter().enumerate().flat_map(|(log, lines)| lines.iter().map(move |line| (log, line))).collect();
    // Stable: lines of one log stay in its order.
    all.sort_by_key(|(log, line)| (line.at(), *log));
    all
}

/// Divides `room` among those who want so much each: who wants little gets it whole, the others share the rest.
pub(super) fn shares(wants: &[usize], room: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..wants.len()).collect();
    order.sort_by_key(|at| wants[*at]);
    let mut shares = vec![0; wants.len()];
    let mut left = room;
    for (done, at) in order.iter().enumerate() {
        let share = wants[*at].min(left / (wants.len() - done));
        shares[*at] = share;
        left -= share;
    }
    shares
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::{collection::vec, prop_assert, prop_assert_eq, proptest};

    use super::{Timed, by_time, newest, shares};

    #[derive(Clone, Debug, PartialEq)]
    struct Line(i64, usize);

    impl Timed for Line {
        fn at(&self) -> Timestamp {
            Timestamp::from_second(self.0).unwrap_or_default()
        }
        fn cost(&self) -> usize {
            self.1
        }
    }

    fn logs(times: &[Vec<i64>]) -> Vec<Vec<Line>> {
        let sorted = |times: &Vec<i64>| {
            let mut times = times.clone();
            times.sort_unstable();
            times.into_iter().map(|at| Line(at, 10)).collect()
        };
        times.iter().map(sorted).collect()
    }

    proptest! {
        #[test]
        fn pages_of_merged_logs_are_the_whole_without_holes(
            times in vec(vec(0_i64..30, 0..20), 1..5), room in 1_usize..120
        ) {
            let mut left = logs(&times);
            let whole: Vec<Vec<&[Line]>> = vec![left.iter().map(Vec::as_slice).collect()];
            let expected: Vec<(usize, Line)> =
                by_time(&whole[0]).into_iter().map(|(log, line)| (log, line.clone())).collect();
            let mut pages: Vec<(usize, Line)> = Vec::new();
            while left.iter().any(|log| !log.is_empty()) {
                let taken = newest(&left, room);
                prop_assert!(taken.iter().sum::<usize>() > 0);
                let tails: Vec<Vec<Line>> =
                    left.iter_mut().zip(&taken).map(|(log, count)| log.split_off(log.len() - count)).collect();
                let tails: Vec<&[Line]> = tails.iter().map(Vec::as_slice).collect();
                let mut page: Vec<(usize, Line)> =
                    by_time(&tails).into_iter().map(|(log, line)| (log, line.clone())).collect();
                prop_assert!(page.len() == 1 || page.len() * 10 <= room);
                page.extend(pages);
                pages = page;
            }
            prop_assert_eq!(pages, expected);
        }
    }

    #[test]
    fn who_wants_little_leaves_the_rest_to_the_others() {
        assert_eq!(shares(&[10, 500, 500], 210), [10, 100, 100]);
        assert_eq!(shares(&[5, 5], 100), [5, 5]);
        assert_eq!(shares(&[], 100), Vec::<usize>::new());
    }
}
