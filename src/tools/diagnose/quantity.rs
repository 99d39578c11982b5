//! Kubernetes quantities as numbers that can be compared and added: `250m`, `1.5Gi`, `2e3`.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// In billionths of the unit, the smallest that Kubernetes knows; finer ones are rounded up, as it does.
pub(super) fn billionths(quantity: &Quantity) -> Option<i128> {
    parse(&quantity.0)
}

fn parse(text: &str) -> Option<i128> {
    let text = text.trim();
    let end = text.find(|c: char| !matches!(c, '0'..='9' | '.' | '+' | '-')).unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (minus, digits) = match number.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, number.strip_prefix('+').unwrap_or(number)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if (whole.is_empty() && fraction.is_empty()) || digits.contains(['+', '-']) {
        return None;
    }
    let mantissa: i128 = format!("{whole}{fraction}").parse().ok()?;
    let (multiply, tens) = scale(suffix)?;
    let tens = tens.checked_sub(i32::try_from(fraction.len()).ok()?)?.checked_add(9)?;
    let value = mantissa.checked_mul(multiply)?;
    let power = 10_i128.checked_pow(tens.unsigned_abs());
    let value = if tens >= 0 {
        value.checked_mul(power?)?
    } else {
        // So small that not even the divisor fits: still more than nothing.
        power.map_or(i128::from(value > 0), |power| value / power + i128::from(value % power > 0))
    };
    Some(if minus { -value } else { value })
}

/// What a suffix multiplies by, and by which power of ten on top.
fn scale(suffix: &str) -> Option<(i128, i32)> {
    Some(match suffix {
        "" => (1, 0),
        "n" => (1, -9),
        "u" => (1, -6),
        "m" => (1, -3),
        "k" => (1, 3),
        "M" => (1, 6),
        "G" => (1, 9),
        "T" => (1, 12),
        "P" => (1, 15),
        "E" => (1, 18),
        "Ki" => (1 << 10, 0),
        "Mi" => (1 << 20, 0),
        "Gi" => (1 << 30, 0),
        "Ti" => (1 << 40, 0),
        "Pi" => (1 << 50, 0),
        "Ei" => (1 << 60, 0),
        exponent => (1, exponent.strip_prefix(['e', 'E'])?.parse().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use super::parse;

    /// One whole unit (a core, a byte, a pod) in the numbers of this file.
    const ONE: i128 = 1_000_000_000;

    #[test]
    fn every_way_to_write_a_quantity() {
        for (text, value) in [
            ("0", 0),
            ("1", ONE),
            ("250m", ONE / 4),
            ("0.5", ONE / 2),
            (".5", ONE / 2),
            ("1.5Gi", 3 * (1 << 29) * ONE),
            ("128Mi", (1 << 27) * ONE),
            ("2e3", 2_000 * ONE),
            ("1E2", 100 * ONE),
            ("1E", 1_000_000_000_000_000_000 * ONE),
            ("1e-3", ONE / 1_000),
            ("100u", ONE / 10_000),
            ("7n", 7),
            ("0.1n", 1),
            ("-2", -2 * ONE),
            ("+2k", 2_000 * ONE),
        ] {
            assert_eq!(parse(text), Some(value), "{text}");
        }
        for text in ["", "abc", "1Q", "1.2.3", "--1", "1e", "999999999999999999999999999999999999999999"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
