//! Private keys take several lines of a log: none of them may be shown, wherever the reading begins.

/// Follows a log and says of each line whether it is a key's.
#[derive(Debug, Default)]
pub(super) struct PrivateKey {
    is_open: bool,
}

/// Of a line of a key in PEM.
const LINE: usize = 64;

impl PrivateKey {
    /// Whether the line belongs to a key. The first line of one opens it, the last one closes it.
    pub(super) fn holds(&mut self, line: &str) -> bool {
        let edge = |word: &str| line.contains(word) && line.contains("PRIVATE KEY-----");
        let (begins, ends) = (edge("-----BEGIN "), edge("-----END "));
        if begins || ends {
            let was_open = std::mem::replace(&mut self.is_open, begins && !ends);
            // Whole in one line: redaction knows its shape.
            return was_open || !(begins && ends);
        }
        let is_header = line.starts_with("Proc-Type:") || line.starts_with("DEK-Info:");
        if self.is_open && !is_base64(line.trim()) && !line.trim().is_empty() && !is_header {
            // Cut off: what comes is the log again.
            self.is_open = false;
        }
        self.is_open || is_inner(line.trim())
    }
}

/// A line of a key whose beginning was not seen: of full length, in letters of both cases.
fn is_inner(line: &str) -> bool {
    line.len() == LINE
        && is_base64(line)
        && line.bytes().any(|byte| byte.is_ascii_uppercase())
        && line.bytes().any(|byte| byte.is_ascii_lowercase())
}

fn is_base64(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::PrivateKey;

    #[test]
    fn every_line_of_a_key_is_known_from_wherever_one_begins() {
        let body = "MIIEpAIBAAKCAQEA7bq0Yd2lq8Zk3oGQf4mZl0Yx1o0Zq9bV2v0l5K8m3n2p1Q9r";
        assert_eq!(body.len(), 64);
        let log = [
            "starting",
            "-----BEGIN RSA PRIVATE KEY-----",
            body,
            "c2hvcnQ=",
            "-----END RSA PRIVATE KEY-----",
            "ready",
        ];
        let held = |from: usize| {
            let mut key = PrivateKey::default();
            log[from..].iter().map(|line| key.holds(line)).collect::<Vec<_>>()
        };
        assert_eq!(held(0), [false, true, true, true, true, false]);
        assert!(held(2)[0]);
        let mut cut = PrivateKey::default();
        assert!(cut.holds("-----BEGIN PRIVATE KEY-----") && cut.holds("MIIE"));
        assert!(!cut.holds("error, the key could not be read") && !cut.holds("word"));
        // A digest is none.
        assert!(!PrivateKey::default().holds(&"0123456789abcdef".repeat(4)));
    }
}
