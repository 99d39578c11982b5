//! Which lines are searched for, and which stand around them.

use std::collections::VecDeque;

use regex::{Regex, RegexBuilder};

use crate::redact;

/// Of the pattern itself.
const LONGEST_PATTERN: usize = 1_000;
/// Of what a pattern compiles to. Repetitions of repetitions grow fast; matching then takes linear time.
const LARGEST: usize = 1 << 20;
const DEEPEST: u32 = 50;

/// A regular expression for lines. It sees them as they are shown: what is redacted cannot be guessed with it.
#[derive(Clone, Debug)]
pub(super) struct Grep {
    regex: Regex,
    /// Whether it may match what redaction puts into a line.
    on_placeholders: bool,
}

impl Grep {
    /// # Errors
    /// One sentence that says what to do.
    pub(super) fn new(pattern: &str) -> Result<Self, String> {
        if pattern.len() > LONGEST_PATTERN {
            return Err(format!(
                "`grep` of get_logs is longer than {LONGEST_PATTERN} bytes: search for less, or call several times"
            ));
        }
        let mut builder = RegexBuilder::new(pattern);
        let builder = builder.size_limit(LARGEST).dfa_size_limit(LARGEST).nest_limit(DEEPEST);
        let regex = builder.build().map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => {
                "`grep` of get_logs is too large once its repetitions are written out: use smaller counts than in `{1000}`, or `*` and `+`".to_owned()
            }
            other => {
                let reason = other.to_string().lines().last().unwrap_or_default().trim().to_owned();
                let reason = redact::shown(reason.strip_prefix("error: ").unwrap_or(&reason));
                format!("`grep` of get_logs is not a regular expression ({reason}): escape with \\ what is meant literally")
            }
        })?;
        Ok(Self { regex, on_placeholders: pattern.contains("redact") })
    }

    /// Whether a line matches, before and after redaction. Cheap for the many lines that do not.
    pub(super) fn finds(&self, line: &str) -> bool {
        if self.on_placeholders {
            return self.regex.is_match(&redact::text(line));
        }
        self.regex.is_match(line) && self.regex.is_match(&redact::text(line))
    }
}

/// What a line is to a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// Found, or nothing was searched for.
    Wanted,
    /// Stands near one that was found.
    Around,
}

/// Lets lines through that are wanted, with those around them, in their order.
#[derive(Debug)]
pub(super) struct Sieve<T> {
    around: usize,
    before: VecDeque<T>,
    after: usize,
}

impl<T> Sieve<T> {
    pub(super) fn new(around: usize) -> Self {
        Self { around, before: VecDeque::new(), after: 0 }
    }

    /// Takes the next line, and gives those that are now known to be shown.
    pub(super) fn pass(&mut self, line: T, is_wanted: bool) -> Vec<(Role, T)> {
        if is_wanted {
            self.after = self.around;
            let mut passed: Vec<_> = self.before.drain(..).map(|line| (Role::Around, line)).collect();
            passed.push((Role::Wanted, line));
            return passed;
        }
        if self.after > 0 {
            self.after -= 1;
            return vec![(Role::Around, line)];
        }
        self.before.push_back(line);
        if self.before.len() > self.around {
            self.before.pop_front();
        }
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{Grep, Role, Sieve};

    #[test]
    fn a_pattern_that_cannot_be_used_is_refused_with_what_to_do() {
        for (pattern, told) in [
            ("(", "unclosed group"),
            ("a{2}{3000000}", "is too large"),
            ("((a{1000}){1000}){1000}", "is too large"),
            (&"(".repeat(60), "not a regular expression"),
            (&"x".repeat(2_000), "longer than 1000 bytes"),
        ] {
            let error = Grep::new(pattern).unwrap_err();
            assert!(error.contains(told) && error.contains(": "), "{error}");
        }
        // Takes other engines years.
        let slow = Grep::new("(a+)+$").unwrap();
        assert!(!slow.finds(&format!("{}b", "a".repeat(10_000))));
    }

    #[test]
    fn what_is_redacted_cannot_be_searched_for() {
        let line = "login with password=hunter22 failed";
        assert!(Grep::new("login").unwrap().finds(line));
        assert!(Grep::new("redacted:").unwrap().finds(line));
        assert!(!Grep::new("hunter").unwrap().finds(line));
        assert!(!Grep::new("password=h").unwrap().finds(line));
    }

    #[test]
    fn lines_around_a_match_pass_once_and_in_order() {
        let mut sieve = Sieve::new(2);
        let passed: Vec<(Role, u32)> =
            (1..=20).flat_map(|line| sieve.pass(line, [5, 6, 9, 18].contains(&line))).collect();
        let lines: Vec<u32> = passed.iter().map(|(_, line)| *line).collect();
        assert_eq!(lines, [3, 4, 5, 6, 7, 8, 9, 10, 11, 16, 17, 18, 19, 20]);
        let wanted: Vec<u32> =
            passed.iter().filter(|(role, _)| *role == Role::Wanted).map(|(_, line)| *line).collect();
        assert_eq!(wanted, [5, 6, 9, 18]);
        let mut none = Sieve::new(0);
        assert!(none.pass(1, false).is_empty());
        assert_eq!(none.pass(2, true), [(Role::Wanted, 2)]);
    }
}
