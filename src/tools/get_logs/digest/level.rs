//! How bad a line is, by what it says of itself or by its words.

/// The worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Level {
    Error,
    Warning,
    Info,
}

impl Level {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

/// The level is among the first words of a line.
const FIRST: usize = 8;
const BAD: [&str; 9] =
    ["error", "exception", "fatal", "panic", "traceback", "failed", "failure", "cannot", "refused"];
const DOUBTFUL: [&str; 5] = ["warn", "denied", "timeout", "timed out", "retry"];

/// Of a line as it came or of its template.
pub(super) fn level(line: &str) -> Level {
    if let Some(said) = said(line) {
        return said;
    }
    let lower = line.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    match status(&lower) {
        Some('5') => Level::Error,
        Some('4') => Level::Warning,
        Some(_) => Level::Info,
        None if has(&BAD) => Level::Error,
        None if has(&DOUBTFUL) => Level::Warning,
        None => Level::Info,
    }
}

/// What the line says of itself.
fn said(line: &str) -> Option<Level> {
    let klog = line.split(' ').next().filter(|first| {
        first.len() == 5
            && first[1..].bytes().all(|byte| byte.is_ascii_digit())
            && "IWEF".contains(&first[..1])
    });
    if let Some(klog) = klog {
        return of_word(&klog[..1]);
    }
    line.split_whitespace().take(FIRST).find_map(|word| {
        let word = word.trim_matches(|c: char| !c.is_alphanumeric() && c != '=');
        match word.rsplit_once('=') {
            Some((key, value)) if is_level_key(key) => of_word(&value.trim_matches('"').to_ascii_uppercase()),
            Some(_) => None,
            // In running text words are in lower case.
            None if word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_uppercase()) => of_word(word),
            None => None,
        }
    })
}

pub(super) fn is_level_key(key: &str) -> bool {
    ["level", "lvl", "severity", "loglevel", "log.level", "levelname"]
        .contains(&key.to_ascii_lowercase().as_str())
}

/// Of a level's name in upper case.
pub(super) fn of_word(word: &str) -> Option<Level> {
    Some(match word {
        "ERROR" | "ERR" | "FATAL" | "PANIC" | "CRITICAL" | "CRIT" | "SEVERE" | "ALERT" | "EMERGENCY"
        | "E" | "F" => Level::Error,
        "WARN" | "WARNING" | "W" => Level::Warning,
        "INFO" | "INFORMATION" | "NOTICE" | "DEBUG" | "TRACE" | "I" | "D" => Level::Info,
        _ => return None,
    })
}

/// The first digit of a status behind a quoted request.
fn status(line: &str) -> Option<char> {
    let after = line.split("\" ").nth(1)?;
    let code = after.split(' ').next().filter(|code| code.len() == 3)?;
    code.bytes().all(|byte| byte.is_ascii_digit()).then(|| code.chars().next())?
}

#[cfg(test)]
mod tests {
    use super::{Level, level};

    #[test]
    fn a_line_is_as_bad_as_it_says_or_sounds() {
        for (line, expected) in [
            ("E1121 12:46:00.1 7 main.go:12] it broke", Level::Error),
            ("I1121 12:46:00.1 7 main.go:12] no error", Level::Info),
            ("2026-11-21 12:46:00 [ERROR] it broke", Level::Error),
            ("INFO all errors are gone", Level::Info),
            ("level=warning msg=\"slow\"", Level::Warning),
            ("lvl=ERR msg=x", Level::Error),
            ("panic: runtime error: index out of range", Level::Error),
            ("cannot resolve redis", Level::Error),
            ("retry in 5s", Level::Warning),
            (r#"1.2.3.4 - "GET /error" 200 12"#, Level::Info),
            (r#"1.2.3.4 - "GET /" 502 12"#, Level::Error),
            ("listening", Level::Info),
        ] {
            assert_eq!(level(line), expected, "{line}");
        }
    }
}
