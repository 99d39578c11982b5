//! Amounts as Kubernetes writes them (`100m`, `1.5Gi`, `2e3`), read and shown. Pure.

/// The amount in its base unit: cores, bytes, pieces. `None` when it is not one.
pub(super) fn parse(text: &str) -> Option<f64> {
    let text = text.trim();
    let (number, factor) = SUFFIXES
        .iter()
        .find_map(|(suffix, factor)| Some((text.strip_suffix(suffix)?, *factor)))
        .unwrap_or((text, 1.0));
    let amount = number.parse::<f64>().ok()? * factor;
    // `parse` also takes words.
    (amount.is_finite() && number.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)))
        .then_some(amount)
}

/// Longer ones first, as `Mi` ends like `i` alone never does but `m` and `M` differ.
const SUFFIXES: [(&str, f64); 15] = [
    ("Ki", 1_024.0),
    ("Mi", 1_048_576.0),
    ("Gi", 1_073_741_824.0),
    ("Ti", 1_099_511_627_776.0),
    ("Pi", 1_125_899_906_842_624.0),
    ("Ei", 1_152_921_504_606_846_976.0),
    ("n", 1e-9),
    ("u", 1e-6),
    ("m", 1e-3),
    ("k", 1e3),
    ("M", 1e6),
    ("G", 1e9),
    ("T", 1e12),
    ("P", 1e15),
    ("E", 1e18),
];

/// Cores: `3m`, `1250m`, `16`.
pub(super) fn cores(amount: f64) -> String {
    let milli = (amount * 1e3).ceil();
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
    use super::{bytes, cores, parse};

    #[test]
    fn amounts_are_read_as_the_api_server_reads_them() {
        for (text, amount) in [
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
            let read = parse(text);
            assert!(read.is_some_and(|read| (read - amount).abs() < 1e-9 * amount), "{text}: {read:?}");
        }
        for text in ["", "Mi", "ten", "inf", "NaN", "1 Gi x"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn amounts_are_shown_short() {
        assert_eq!([cores(0.0022), cores(1.25), cores(16.0)], ["3m", "1250m", "16"]);
        assert_eq!(
            [bytes(13_103_104.0), bytes(1.5 * 1_073_741_824.0), bytes(2_048.0)],
            ["12Mi", "1.5Gi", "2Ki"]
        );
    }
}
