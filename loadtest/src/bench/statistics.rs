//! Median and spread of a few rounds. Pure.

/// The middle value, the mean of the two middle ones for an even count; 0 of nothing.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match (sorted.get(middle.wrapping_sub(1)), sorted.get(middle)) {
        (Some(low), Some(high)) if sorted.len().is_multiple_of(2) => f64::midpoint(*low, *high),
        (_, Some(middle)) => *middle,
        _ => 0.0,
    }
}

/// Smallest and largest value; zeros of nothing.
pub fn spread(values: &[f64]) -> (f64, f64) {
    let smallest = values.iter().copied().reduce(f64::min).unwrap_or(0.0);
    (smallest, values.iter().copied().reduce(f64::max).unwrap_or(0.0))
}

/// `part / whole`, 0 when there is no whole.
pub fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::float_cmp, reason = "all values are exact")]
    fn of_few_values() {
        assert_eq!(median(&[]), 0.0);
        assert_eq!(median(&[3.0]), 3.0);
        assert_eq!(median(&[5.0, 1.0, 3.0]), 3.0);
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), 2.5);
        assert_eq!(spread(&[5.0, 1.0, 3.0]), (1.0, 5.0));
        assert_eq!(spread(&[]), (0.0, 0.0));
        assert_eq!((ratio(1.0, 4.0), ratio(1.0, 0.0)), (0.25, 0.0));
    }
}
