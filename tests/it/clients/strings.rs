//! The strings that every client must carry unchanged, and random ones.

use crate::random::Random;

/// What clients escape, what statements are made of, what looks like something else, and random strings of all that: what
/// a client's escaping makes of any of them must be understood as it was meant.
pub(super) fn table() -> Vec<String> {
    let mut table: Vec<String> = AWKWARD.iter().map(|&text| text.to_owned()).collect();
    // Longer than the buffers of most libraries, and than a length of two bytes can say.
    table.push("long'\\\n".repeat(10_000));
    table.extend(random(RANDOM));
    table
}

/// Enough to come upon most pairs of characters that mean something; each is a few statements, committed one by one.
const RANDOM: usize = 200;

const AWKWARD: [&str; 30] = [
    "plain",
    "it's",
    "\"quoted\"",
    "both ' and \" and ` too",
    "''",
    "\\",
    "ends in a backslash\\",
    "\\'; DELETE FROM users_data WHERE id = 1; -- ",
    "\\n stays a backslash and an n, \\0 \\Z \\b \\t too",
    "\\u041f \\/ \\% \\_",
    "line\nline\r\nline\ttab",
    "\u{8}\u{1a}\u{1b}\u{7f}",
    "a NUL \0 and one at the end\0",
    "Привет, 世界",
    "emoji 😀👩‍👩‍👧 and the last character \u{10ffff}",
    "\u{feff}a mark in front",
    "",
    " blanks around ",
    "null",
    "NULL",
    "0",
    "-007",
    "1e3",
    "%s %d %% 100%",
    "? ?? :name :1 @variable {braces} $1",
    "/* no comment */ # none -- none",
    "{\"name\":\"Bob\",\"text\":\"It's \\\"quoted\\\", \\u041f\\n\"}",
    "[1,2,3]",
    "<b>bold</b> &amp; <script>alert('x')</script>",
    "a;b",
];

/// Random strings, the same at every call: mostly of characters that mean something to somebody.
fn random(count: usize) -> Vec<String> {
    const MEANINGFUL: [char; 32] = [
        '\'', '"', '`', '\\', '\\', '\0', '\n', '\r', '\t', '\u{8}', '\u{1a}', '%', '_', '?', ':', ';', '-', '#', '/',
        '*', '@', 'n', 'r', 't', 'b', '0', 'Z', 'u', ' ', 'é', '世', '😀',
    ];
    let mut random = Random::new(0x5eed);
    let character = |random: &mut Random| match random.below(8) {
        // Any character there is; what falls among the surrogates is replaced.
        0 => char::from_u32(random.below(0x11_0000) as u32).unwrap_or('\u{fffd}'),
        _ => MEANINGFUL[random.below(32)],
    };
    let mut string = || (0..random.below(40)).map(|_| character(&mut random)).collect();
    (0..count).map(|_| string()).collect()
}
