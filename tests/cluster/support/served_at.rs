//! Where a pilothouse serves that chose free ports itself: it says so in its log. A port that a test chooses may be
//! another's by the time it is used.

/// What follows `NAME=` in that line: `address` or `health`.
pub(crate) fn served_at(log: &str, name: &str) -> Option<String> {
    let line = log.lines().find(|line| line.contains("serving /mcp and /sse"))?;
    line.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix('=')).map(str::to_owned)
}
