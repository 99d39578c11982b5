//! A series as a line of blocks. Pure.

const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// One block a step from `from`, scaled to the series' own least and greatest value; a step without a value is `·`.
pub(super) fn spark(points: &[(f64, f64)], from: f64, step: f64, steps: usize) -> String {
    let mut values = vec![None; steps];
    for (at, value) in points.iter().filter(|(_, value)| value.is_finite()) {
        let place = ((at - from) / step).round();
        if place >= 0.0
            && let Some(slot) = values.get_mut(place as usize)
        {
            *slot = Some(*value);
        }
    }
    let finite = values.iter().flatten().copied();
    let (least, most) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)));
    let block = |value: f64| {
        let share = if most > least { (value - least) / (most - least) } else { 0.0 };
        BLOCKS[((share * 7.0).round() as usize).min(7)]
    };
    values.iter().map(|value| value.map_or('·', block)).collect()
}

#[cfg(test)]
mod tests {
    use super::spark;

    #[test]
    fn the_least_is_low_and_the_most_is_high() {
        let points = [(0.0, 1.0), (60.0, 8.0), (180.0, 4.5), (240.0, f64::NAN)];
        assert_eq!(spark(&points, 0.0, 60.0, 5), "▁█·▅·");
        assert_eq!(spark(&[(0.0, 3.0), (60.0, 3.0)], 0.0, 60.0, 2), "▁▁");
        assert_eq!(spark(&[], 0.0, 60.0, 3), "···");
    }
}
