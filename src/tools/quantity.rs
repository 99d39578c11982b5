//! Amounts as Kubernetes writes them (`100m`, `1.5Gi`, `2e3`), read and shown. Pure.

/// The amount in its base unit: cores, bytes, pieces. For shares and for showing; what is compared or added up to
/// the last digit takes [`billionths`]. `None` when it is not one.
pub(super) fn amount(text: &str) -> Option<f64> {
    billionths(text).map(|billionths| billionths as f64 / 1e9)
}

/// Whether both are amounts, and the same: `0.5` and `500m`.
pub fn same_amount(one: &str, other: &str) -> bool {
    billionths(one).is_some_and(|amount| billionths(other) == Some(amount))
}

/// In billionths of the unit, the smallest that Kubernetes knows; finer ones are rounded up, as it does. `None`
/// when it is not an amount.
pub(super) fn billionths(text: &str) -> Option<i128> {
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

/// Cores: `3m`, `1250m`, `16`.
pub(super) fn cores(amount: f64) -> String {
    // Through whole billionths: 69m must not become 70m by the last bit of a float.
    let milli = ((amount * 1e9).round() / 1e6).ceil();
    if amount >= 10.0 { format!("{amount:.0}") } else { format!("{milli:.0}m") }
}

/// Bytes: `512Ki`, `300Mi`, `1.5Gi`.
pub(super) fn bytes(amount: f64) -> String {
    const GI: f64 = 1_073_741_824.0;
    const MI: f64 = 1_048_576.0;
    match amount {
        _ if amount >= 10.0 * GI => format!("{:.0}Gi", amount / GI),
        _ if amount >= GI => format!("{:.1}Gi", amount / GI),
        _ if amount >= MI => format!("{:.0}Mi", amount / MI),
        _ => format!("{:.0}Ki", amount / 1_024.0),
    }
}

#[cfg(test)]
mod tests {
    use super::{amount, billionths, bytes, cores};

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
            assert_eq!(billionths(text), Some(value), "{text}");
        }
        for text in ["", "abc", "1Q", "1.2.3", "--1", "1e", "999999999999999999999999999999999999999999"] {
            assert_eq!(billionths(text), None, "{text}");
        }
    }

    #[test]
    fn amounts_are_read_as_the_api_server_reads_them() {
        for (text, wanted) in [
            ("100m", 0.1),
            ("2248721n", 0.002_248_721),
            ("2", 2.0),
            ("0.5", 0.5),
            ("1e3", 1_000.0),
            ("2E3", 2_000.0),
            ("12796Ki", 13_103_104.0),
            ("1.5Gi", 1_610_612_736.0),
            ("128M", 128e6),
            ("1k", 1e3),
        ] {
            let read = amount(text);
            assert!(read.is_some_and(|read| (read - wanted).abs() < 1e-9 * wanted), "{text}: {read:?}");
        }
        for text in ["", "Mi", "ten", "inf", "NaN", "1 Gi x"] {
            assert_eq!(amount(text), None, "{text}");
        }
    }

    #[test]
    fn amounts_are_shown_short() {
        assert_eq!([cores(0.0022), cores(0.069), cores(1.25), cores(16.0)], ["3m", "69m", "1250m", "16"]);
        assert_eq!(
            [bytes(13_103_104.0), bytes(1.5 * 1_073_741_824.0), bytes(2_048.0)],
            ["12Mi", "1.5Gi", "2Ki"]
        );
    }
}
