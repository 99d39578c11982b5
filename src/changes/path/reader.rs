//! The text of a path, step by step.

use super::{Step, bare};

/// # Errors
/// The character, counted from 1, and what is wrong there.
pub(super) fn read(text: &str) -> Result<Vec<Step>, (usize, &'static str)> {
    let mut reader = Reader { text: text.chars().collect(), at: 0 };
    reader.path().map_err(|problem| (reader.at + 1, problem))
}

struct Reader {
    text: Vec<char>,
    at: usize,
}

impl Reader {
    fn path(&mut self) -> Result<Vec<Step>, &'static str> {
        let mut steps = vec![Step::Key(self.word("a field name is missing")?)];
        while let Some(next) = self.peek() {
            self.at += 1;
            steps.push(match next {
                '.' => Step::Key(self.word("a field name is missing after the dot")?),
                '[' => self.item()?,
                _ => {
                    self.at -= 1;
                    return Err("a dot or a bracket is missing, or the name needs quotes");
                }
            });
        }
        Ok(steps)
    }

    /// What stands after `[`, up to and with `]`.
    fn item(&mut self) -> Result<Step, &'static str> {
        if self.peek().is_some_and(|character| character.is_ascii_digit()) {
            let digits: String = self.take_while(|character| character.is_ascii_digit());
            if self.peek() == Some(']') {
                self.at += 1;
                return digits.parse().map(Step::Index).map_err(|_| "the position is too large");
            }
            return Err("a position is followed by ]");
        }
        let key = self.word("a position such as [0] or a selection such as [name=web] is missing")?;
        if self.peek() == Some(']') {
            self.at += 1;
            return Ok(Step::Key(key));
        }
        self.expect('=', "a selection is written like [name=web]")?;
        let value = self.selected()?;
        self.expect(']', "the bracket is not closed")?;
        Ok(Step::Select { key, value })
    }

    /// A selection's value may hold dots: image names and host names do.
    fn selected(&mut self) -> Result<String, &'static str> {
        if matches!(self.peek(), Some('"' | '\'')) {
            return self.word("");
        }
        let value = self.take_while(|character| *character != ']' && *character != '[');
        if value.is_empty() { Err("the value to select by is missing") } else { Ok(value) }
    }

    fn word(&mut self, missing: &'static str) -> Result<String, &'static str> {
        match self.peek() {
            Some(quote @ ('"' | '\'')) => {
                self.at += 1;
                self.quoted(quote)
            }
            _ => {
                let word = self.take_while(|character| bare(*character));
                if word.is_empty() { Err(missing) } else { Ok(word) }
            }
        }
    }

    fn quoted(&mut self, quote: char) -> Result<String, &'static str> {
        let mut word = String::new();
        while let Some(character) = self.peek() {
            self.at += 1;
            match character {
                '\\' if quote == '"' => {
                    let escaped = self.peek().ok_or("the quotes are not closed")?;
                    self.at += 1;
                    word.push(escaped);
                }
                character if character == quote => return Ok(word),
                character => word.push(character),
            }
        }
        Err("the quotes are not closed")
    }

    fn expect(&mut self, wanted: char, problem: &'static str) -> Result<(), &'static str> {
        if self.peek() != Some(wanted) {
            return Err(problem);
        }
        self.at += 1;
        Ok(())
    }

    fn take_while(&mut self, wanted: impl Fn(&char) -> bool) -> String {
        let word: String = self.text[self.at..].iter().take_while(|character| wanted(character)).collect();
        self.at += word.chars().count();
        word
    }

    fn peek(&self) -> Option<char> {
        self.text.get(self.at).copied()
    }
}
