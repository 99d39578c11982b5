//! A line without what differs from one line of its kind to the next: numbers, ids, addresses, times, quoted words.

/// Stands for what differs.
pub(super) const WILD: &str = "<*>";
/// A quoted word that is longer is read as text.
const LONGEST_QUOTE: usize = 2_000;
/// Words whose digits say what they are.
const NAMES: [&str; 18] = [
    "sha256", "sha384", "sha512", "base64", "amd64", "arm64", "x86", "x509", "utf16", "int16", "int32",
    "int64", "uint32", "uint64", "float32", "float64", "ipv4", "ipv6",
];
/// After these, quoted words are what the line says.
const SPEAKING: [&str; 8] = ["msg=", "message=", "error=", "err=", "reason=", "event=", "cause=", "] "];
/// After these, a number of three digits is a status.
const STATUS: [&str; 7] = ["status=", "code=", "status: ", "status ", "code ", "code: ", "\" "];

/// How a redacted value begins.
const REDACTED: &str = "<redacted:";

/// The line's template: one blank between words, none in front, and no times in front.
pub(super) fn mask(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    scan(line, &mut out);
    let is_time =
        |word: &&str| word.contains(WILD) && !word.replace(WILD, "").contains(char::is_alphanumeric);
    let words: Vec<&str> = out.split(' ').filter(|word| !word.is_empty()).collect();
    let first = words.iter().position(|word| !is_time(word)).unwrap_or(0);
    words[first..].join(" ")
}

fn scan(text: &str, out: &mut String) {
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        if let Some(end) = rest.find('>').filter(|_| rest.starts_with(REDACTED)) {
            out.push_str(WILD);
            rest = &rest[end + 1..];
        } else if next.is_whitespace() {
            if !out.ends_with(' ') {
                out.push(' ');
            }
            rest = &rest[next.len_utf8()..];
        } else if let Some(inner) = quoted(rest, out) {
            out.push(next);
            if inner.contains(' ')
                && SPEAKING.iter().any(|before| out.trim_end_matches(next).ends_with(before))
            {
                scan(inner, out);
            } else if !inner.is_empty() {
                out.push_str(WILD);
            }
            out.push(next);
            rest = &rest[inner.len() + 2..];
        } else if is_of_word(next) {
            let end = rest.find(|c| !is_of_word(c)).unwrap_or(rest.len());
            word(&rest[..end], out);
            rest = &rest[end..];
        } else {
            out.push(next);
            rest = &rest[next.len_utf8()..];
        }
    }
}

/// What stands in quotes at the beginning of `rest`; an apostrophe inside a word opens none.
fn quoted<'a>(rest: &'a str, out: &str) -> Option<&'a str> {
    let quote = rest.chars().next().filter(|c| "\"'`".contains(*c))?;
    if out.ends_with(char::is_alphanumeric) {
        return None;
    }
    let inner = &rest[1..];
    let end = inner.find(quote).filter(|end| *end <= LONGEST_QUOTE)?;
    let is_inside_word = quote == '\'' && inner[end + 1..].starts_with(char::is_alphanumeric);
    (!is_inside_word).then(|| &inner[..end])
}

fn is_of_word(c: char) -> bool {
    c.is_alphanumeric() || is_joint(c)
}

/// Holds parts of a word together.
fn is_joint(c: char) -> bool {
    "-_.:/%+@~#$\\".contains(c)
}

fn word(text: &str, out: &mut String) {
    if let Some(at) = uuid(text) {
        word(&text[..at], out);
        out.push_str(WILD);
        return word(&text[at + UUID..], out);
    }
    let word = text;
    if !word.bytes().any(|byte| byte.is_ascii_digit()) {
        out.push_str(if is_key(word) { WILD } else { word });
        return;
    }
    if is_status(word, out) {
        out.push_str(word);
        return;
    }
    let begin = out.len();
    let mut rest = word;
    while !rest.is_empty() {
        let end = rest.find(is_joint).unwrap_or(rest.len());
        part(&rest[..end], out);
        let joint = rest[end..].chars().next().map_or(0, char::len_utf8);
        out.push_str(&rest[end..end + joint]);
        rest = &rest[end + joint..];
    }
    // 10.0.0.1:80 is one thing, and so is a time.
    let masked = out.split_off(begin);
    let mut joined = masked;
    for joint in ['-', '.', ':', '/', '+', '_'] {
        let two = format!("{WILD}{joint}{WILD}");
        while joined.contains(&two) {
            joined = joined.replace(&two, WILD);
        }
    }
    out.push_str(&joined);
}

const UUID: usize = 36;

/// Where an id of the form 8-4-4-4-12 begins.
fn uuid(word: &str) -> Option<usize> {
    let is_one = |bytes: &[u8]| {
        bytes.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
    };
    word.as_bytes().windows(UUID).position(is_one)
}

/// A part of a word, between joints.
fn part(part: &str, out: &mut String) {
    let digits = part.bytes().filter(u8::is_ascii_digit).count();
    if digits == 0 || NAMES.contains(&part.to_ascii_lowercase().as_str()) {
        out.push_str(if is_key(part) { WILD } else { part });
        return;
    }
    let letters = part.trim_start_matches(|c: char| c.is_ascii_digit());
    let starts_with_digit = letters.len() < part.len();
    let is_amount =
        starts_with_digit && letters.chars().count() <= 3 && letters.chars().all(char::is_alphabetic);
    let is_hex =
        part.len() >= 8 && part.bytes().all(|byte| byte.is_ascii_hexdigit()) || part.starts_with("0x");
    let kinds: Vec<bool> = part.bytes().map(|byte| byte.is_ascii_digit()).collect();
    let changes = kinds.windows(2).filter(|two| two[0] != two[1]).count();
    if letters.is_empty() || is_amount || is_hex || starts_with_digit || (changes >= 2 && part.len() >= 5) {
        out.push_str(WILD);
        return;
    }
    let name = part.trim_end_matches(|c: char| c.is_ascii_digit());
    let is_numbered = changes == 1 && digits >= 2 && name.len() >= 3;
    if is_numbered && name.bytes().any(|byte| byte.is_ascii_lowercase()) {
        out.push_str(name);
        out.push_str(WILD);
    } else {
        out.push_str(part);
    }
}

/// Letters that nobody chose.
fn is_key(text: &str) -> bool {
    let upper = text.bytes().filter(u8::is_ascii_uppercase).count();
    let mixed = text.len() >= 32 && upper >= 6 && upper + 6 <= text.len();
    let hex = text.len() >= 12 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    (mixed && text.bytes().all(|byte| byte.is_ascii_alphanumeric())) || hex
}

fn is_status(word: &str, out: &str) -> bool {
    let is_code = word.len() == 3 && word.parse::<u16>().is_ok_and(|code| (100..600).contains(&code));
    is_code
        && STATUS.iter().any(|before| out.len() >= before.len() && out.to_ascii_lowercase().ends_with(before))
}

#[cfg(test)]
mod tests {
    use super::mask;

    #[test]
    fn what_differs_is_masked_and_what_says_something_stays() {
        for (line, template) in [
            ("2026-11-21T12:46:00.191Z INFO started in 12.5ms", "INFO started in <*>"),
            ("2026/11/21 12:46:00 listening on [::1]:8080", "listening on [::<*>]:<*>"),
            ("[21/Nov/2026:12:46:00 +0000] hello", "[<*>/Nov/<*> +<*>] hello"),
            (
                "dial tcp 10.0.0.1:5432: connect: connection refused",
                "dial tcp <*>: connect: connection refused",
            ),
            ("request 6fa459ea-ee8a-3ca4-894e-db77e160355e done", "request <*> done"),
            ("pod cart-6c8d9f7b5c-x2x4z deleted", "pod cart-<*> deleted"),
            ("GET /api/users/123/orders 200", "GET /api/users/<*>/orders <*>"),
            (r#"10.0.0.1 - "GET / HTTP/1.1" 503 12"#, r#"- "<*>" 503 <*>"#),
            (r#"level=info msg="sync of 12 done" took=3s"#, r#"level=info msg="sync of <*> done" took=<*>"#),
            (
                r#"I1121 12:46:00.1 7 main.go:12] "Starting now" name="a b""#,
                r#"I1121 <*> <*> main.go:<*>] "Starting now" name="<*>""#,
            ),
            ("can't open file 'a.txt' of user42", "can't open file '<*>' of user<*>"),
            ("sha256 of http2 over IPv4 is E1234", "sha256 of http2 over IPv4 is E1234"),
            ("key deadbeefcafebabe at 0x7ffe", "key <*> at <*>"),
            ("größe 日本 12", "größe 日本 <*>"),
            ("12 13", "<*> <*>"),
            ("", ""),
        ] {
            assert_eq!(mask(line), template, "{line}");
        }
    }
}
