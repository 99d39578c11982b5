//! How much an answer may cost its reader.

/// The most tokens one answer may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    tokens: usize,
}

/// Bytes of a table or of YAML that make one token: measured with common tokenizers on kubectl-like output they
/// are 3.2 to 4.1; a value on the low side keeps us inside the budget.
const TENTHS_OF_BYTES_A_TOKEN: usize = 36;

impl Budget {
    pub const DEFAULT: Self = Self { tokens: 8_000 };
    /// Less cannot hold a heading, one row and a cursor.
    pub const LEAST: usize = 400;
    /// More than this no client takes in one piece.
    pub const MOST: usize = 50_000;

    /// `tokens` outside [`Self::LEAST`] and [`Self::MOST`] are brought inside.
    pub fn of(tokens: usize) -> Self {
        Self { tokens: tokens.clamp(Self::LEAST, Self::MOST) }
    }

    pub fn tokens(self) -> usize {
        self.tokens
    }

    pub fn bytes(self) -> usize {
        self.tokens * TENTHS_OF_BYTES_A_TOKEN / 10
    }

    /// What is left when `tokens` are kept for something else.
    #[must_use]
    pub fn without(self, tokens: usize) -> Self {
        Self { tokens: self.tokens.saturating_sub(tokens) }
    }

    /// What is left when `text` is already part of the answer.
    #[must_use]
    pub fn after(self, text: &str) -> Self {
        self.without(Self::estimate(text))
    }

    /// Estimated tokens of `text`.
    pub fn estimate(text: &str) -> usize {
        (text.len() * 10).div_ceil(TENTHS_OF_BYTES_A_TOKEN)
    }
}

impl Default for Budget {
    fn default() -> Self {
        Self::DEFAULT
    }
}

#[cfg(test)]
mod tests {
    use super::Budget;

    #[test]
    fn a_budget_stays_inside_its_limits() {
        assert_eq!(Budget::of(1).tokens(), Budget::LEAST);
        assert_eq!(Budget::of(10_000_000).tokens(), Budget::MOST);
        assert_eq!(Budget::of(1_000).bytes(), 3_600);
        assert_eq!(Budget::estimate(&"x".repeat(3_600)), 1_000);
    }
}
