//! A long text in pieces that fit, cut at line ends.

use super::Budget;

/// One piece of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window<'a> {
    pub text: &'a str,
    /// Byte at which the next piece begins; `None` when this was the last.
    pub next: Option<usize>,
}

/// The piece of `text` that begins at byte `from` and fits into `budget`. A line longer than the budget is cut
/// inside; nothing is lost, the next piece begins with its rest.
pub fn window(text: &str, from: usize, budget: Budget) -> Window<'_> {
    let from = floor(text, from.min(text.len()));
    let rest = &text[from..];
    if rest.len() <= budget.bytes() {
        return Window { text: rest, next: None };
    }
    // At least one character of progress, however small the budget.
    let room = floor(rest, budget.bytes()).max(rest.chars().next().map_or(0, char::len_utf8));
    let end = rest[..room].rfind('\n').map_or(room, |at| at + 1);
    Window { text: &rest[..end], next: Some(from + end) }
}

fn floor(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use proptest::{prop_assert_eq, proptest};

    use super::{Budget, window};

    proptest! {
        #[test]
        fn all_pieces_together_are_the_text(text in "(\\PC{0,300}\n){0,60}") {
            let mut whole = String::new();
            let mut at = 0;
            loop {
                let piece = window(&text, at, Budget::of(0));
                whole.push_str(piece.text);
                match piece.next {
                    Some(next) => at = next,
                    None => break,
                }
            }
            prop_assert_eq!(whole, text);
        }
    }
}
