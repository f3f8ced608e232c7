//! SQL's LIKE: `%` any text, `_` any character, a backslash takes the next one literally.
//!
//! It can take the product of the lengths of text and pattern, and the session's shard serves nobody else meanwhile. So
//! it is counted, and can stop and go on later.

use crate::cometql::errors::{Code, Error};

/// How much longer LIKE may look, in characters.
#[derive(Clone, Debug)]
pub struct Effort {
    most: u32,
    left: u32,
}

/// Some hundredths of a second.
const CHARACTERS_MAX: u32 = 10_000_000;

/// So many characters are looked at in the time of a step of a query about the server.
const CHARACTERS_PER_STEP: u32 = 16;

impl Default for Effort {
    fn default() -> Self {
        Self::new(CHARACTERS_MAX)
    }
}

impl Effort {
    pub fn new(characters: u32) -> Self {
        Self { most: characters, left: characters }
    }

    /// As much of this as can be done in so many steps.
    #[must_use]
    pub fn slice(&self, steps: u32) -> Self {
        Self::new(self.left.min(steps.saturating_mul(CHARACTERS_PER_STEP)))
    }

    /// What was done with a slice of it.
    pub fn take(&mut self, slice: &Self) {
        self.left = self.left.saturating_sub(slice.most.saturating_sub(slice.left));
    }

    /// What was done, in steps of a query about the server.
    pub fn steps(&self) -> u32 {
        self.most.saturating_sub(self.left) / CHARACTERS_PER_STEP
    }

    /// Error: 11 when it is used up.
    pub fn check(&self) -> Result<(), Error> {
        if self.left > 0 {
            return Ok(());
        }
        Err(Error::new(Code::TooLong, "LIKE has too much text to look at: name fewer rows, or use a simpler pattern"))
    }

    fn step(&mut self) -> bool {
        self.left = self.left.saturating_sub(1);
        self.left > 0
    }
}

/// How far one comparison has come, as places in pattern and text.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    at: (usize, usize),
    /// The pattern behind the last `%`, and the text from where it was tried.
    retry: Option<(usize, usize)>,
}

/// False also when the effort is used up, which its owner has to check.
pub fn like(pattern: &str, text: &str, ignore_case: bool, effort: &mut Effort) -> bool {
    go_on(pattern, text, ignore_case, &mut Progress::default(), effort).unwrap_or(false)
}

/// Goes on with a comparison; `None` when the effort is used up before it is decided.
pub fn go_on(
    pattern: &str,
    text: &str,
    ignore_case: bool,
    progress: &mut Progress,
    effort: &mut Effort,
) -> Option<bool> {
    let same = |left: char, right: char| left == right || ignore_case && left.eq_ignore_ascii_case(&right);
    let behind = |whole: &str, rest: std::str::Chars<'_>| whole.len().saturating_sub(rest.as_str().len());
    while effort.step() {
        let (pattern_at, text_at) = progress.at;
        let mut pattern_rest = pattern.get(pattern_at..).unwrap_or_default().chars();
        let mut text_rest = text.get(text_at..).unwrap_or_default().chars();
        match pattern_rest.next() {
            Some('%') => {
                progress.at = (behind(pattern, pattern_rest), text_at);
                progress.retry = Some(progress.at);
                continue;
            }
            None if text_rest.as_str().is_empty() => return Some(true),
            None => {}
            Some(wanted) => {
                let matches = text_rest.next().is_some_and(|found| match wanted {
                    '_' => true,
                    '\\' => same(pattern_rest.next().unwrap_or('\\'), found),
                    wanted => same(wanted, found),
                });
                if matches {
                    progress.at = (behind(pattern, pattern_rest), behind(text, text_rest));
                    continue;
                }
            }
        }
        let Some((_, tried)) = &mut progress.retry else { return Some(false) };
        let mut next = text.get(*tried..).unwrap_or_default().chars();
        if next.next().is_none() {
            return Some(false);
        }
        *tried = behind(text, next);
        progress.at = progress.retry.unwrap_or_default();
    }
    None
}
