//! Character sets by which a client must not quote.
//!
//! All text here is read as UTF-8. A client of another set of several bytes a character quotes by that set: what it takes
//! for the second byte of a character it leaves alone, be it a backslash, and what it takes for half a character gets a
//! backslash before it. Then a text ends where the client did not end it, and the rest of a value is read as SQL.

/// Whether this collation, as logins name it, is of such a set.
pub(super) fn quotes_otherwise(collation: u16) -> bool {
    // Those of MariaDB that compare without padding are 1,024 above the others.
    let padded = collation.checked_sub(1024).filter(|padded| *padded > 0).unwrap_or(collation);
    let chinese = matches!(padded, 1 | 84 | 24 | 86 | 28 | 87 | 248..=250); // big5, gb2312, gbk, gb18030
    let japanese = matches!(padded, 12 | 91 | 97 | 98 | 13 | 88 | 95 | 96); // ujis, eucjpms, sjis, cp932
    let korean = matches!(padded, 19 | 85); // euckr
    let wide = matches!(padded, 35 | 90 | 128..=151 | 159 | 54..=56 | 60..=62 | 101..=124 | 160..=183); // ucs2, utf16, utf32
    chinese || japanese || korean || wide
}
