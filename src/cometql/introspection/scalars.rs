//! Functions and operators of values alone: what clients compute with in SELECTs about the server.
//!
//! Values are text or NULL, as everything that this server answers; arithmetic and comparisons read numbers from them.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::moment::Moment;
use crate::cometql::errors::{Code, Error};
use crate::cometql::rows::like::like;
use crate::cometql::rows::{Effort, Field};
use crate::cometql::session::offset_s;

/// The longest text that a function may put together, in bytes.
pub(super) const TEXT_BYTES_MAX: usize = 64 * 1024;

/// A longer text is compared as text, whatever it holds: as long lists are compared to one value, reading that as a number
/// each time must be cheap. More than the digits that a `f64` can be written with.
const NUMBER_BYTES_MAX: usize = 512;

/// A text in the making. It ends at a bound while it grows: a short statement can name a text of gigabytes, which must
/// never exist.
#[derive(Debug, Default)]
pub(super) struct TextBuilder(String);

impl TextBuilder {
    /// Error: 11 beyond [`TEXT_BYTES_MAX`].
    pub(super) fn push(&mut self, part: &str) -> Result<(), Error> {
        if self.0.len().saturating_add(part.len()) > TEXT_BYTES_MAX {
            let text = format!("A function would make a text of more than {TEXT_BYTES_MAX} bytes");
            return Err(Error::new(Code::TooLong, text));
        }
        self.0.push_str(part);
        Ok(())
    }

    pub(super) fn finish(self) -> Cow<'static, str> {
        self.0.into()
    }
}

/// What a function or an operator gives for these values. AND, OR and CASE, which need not look at all their arguments,
/// are here too, as their values are at hand. Errors: 3 if there is none of that name with so many arguments, 11 when
/// the text that it makes would be too long.
pub(super) fn call(name: &str, arguments: &[Field], effort: &mut Effort) -> Result<Field, Error> {
    match (name, arguments) {
        ("CONCAT_WS", [Some(separator), parts @ ..]) => join(parts.iter().flatten(), separator).map(Some),
        ("CONCAT", [_, ..]) if arguments.iter().all(Option::is_some) => join(arguments.iter().flatten(), "").map(Some),
        ("REPLACE", [Some(text), Some(wanted), Some(by)]) if !wanted.is_empty() => replace(text, wanted, by).map(Some),
        _ => compute(name, arguments, effort).ok_or_else(|| unknown_function(name)),
    }
}

/// All of them with the separator in between. Error: 11.
pub(super) fn join<'t>(
    parts: impl Iterator<Item = &'t Cow<'static, str>>,
    separator: &str,
) -> Result<Cow<'static, str>, Error> {
    let mut text = TextBuilder::default();
    for (place, part) in parts.enumerate() {
        if place > 0 {
            text.push(separator)?;
        }
        text.push(part)?;
    }
    Ok(text.finish())
}

/// The text with everything that is wanted replaced. Error: 11.
fn replace(text: &str, wanted: &str, by: &str) -> Result<Cow<'static, str>, Error> {
    let mut replaced = TextBuilder::default();
    let mut parts = text.split(wanted);
    replaced.push(parts.next().unwrap_or_default())?;
    for part in parts {
        replaced.push(by)?;
        replaced.push(part)?;
    }
    Ok(replaced.finish())
}

fn unknown_function(name: &str) -> Error {
    let shown: String = name.chars().filter(|shown| !shown.is_control()).take(64).collect();
    Error::new(Code::Syntax, format!("There is no function {shown} with these arguments"))
}

/// Those that make no text longer than what they are given, but for a few bytes. `None`: there is none of that name with
/// so many arguments.
fn compute(name: &str, arguments: &[Field], effort: &mut Effort) -> Option<Field> {
    let text = |at: usize| arguments.get(at).and_then(Option::as_deref);
    let any_null = arguments.iter().any(Option::is_none);
    // Those that make something of NULL.
    let answer = match (name, arguments) {
        ("AND", [_, ..]) => return Some(truth_of(combine(arguments, false))),
        ("OR", [_, ..]) => return Some(truth_of(combine(arguments, true))),
        ("XOR", [left, right]) => truth(left).zip(truth(right)).map(|(left, right)| boolean(left != right)),
        ("NOT", [value]) => return Some(truth_of(truth(value).map(|truth| !truth))),
        ("ISNULL", [value]) => Some(boolean(value.is_none())),
        ("IFNULL" | "COALESCE", [_, ..]) => return Some(arguments.iter().find(|value| value.is_some())?.clone()),
        ("IF", [condition, yes, no]) => return Some(if is_true(condition) { yes.clone() } else { no.clone() }),
        ("NULLIF", [left, right]) => {
            return Some(if compare(left, right) == Some(Ordering::Equal) { None } else { left.clone() });
        }
        ("CASE", [pairs @ .., otherwise]) => {
            let (pairs, _) = pairs.as_chunks::<2>();
            let found = pairs.iter().find(|[condition, _]| is_true(condition));
            return Some(found.map_or_else(|| otherwise.clone(), |[_, value]| value.clone()));
        }
        ("IN", [value, list @ ..]) => return Some(truth_of(is_among(value, list))),
        ("<=>", [left, right]) => {
            Some(boolean(left.is_none() && right.is_none() || compare(left, right) == Some(Ordering::Equal)))
        }
        ("FIELD", [value, list @ ..]) => {
            let place = list.iter().position(|known| compare(value, known) == Some(Ordering::Equal));
            Some(number(place.map_or(0, |place| place as i64 + 1)))
        }
        ("PI", []) => Some(Cow::Borrowed("3.141593")),
        ("UUID" | "RAND", _) => return None,
        _ if !is_known(name, arguments.len()) => return None,
        _ if any_null => None,
        // REPLACE of nothing; any other is made above.
        ("CHAR", _) => return Some(characters(arguments)),
        ("DATE_FORMAT", [Some(time), Some(format)]) => return moment_as(time, format),
        ("QUOTE", _) => Some(quoted(text(0)?).into()),
        ("CAST" | "CONVERT" | "BINARY" | "ANY_VALUE" | "REPLACE", _) => arguments.first().cloned()?,
        ("CAST_WHOLE" | "UNIX_TIMESTAMP", _) => Some(number(whole(text(0)?))),
        ("LOWER" | "LCASE", _) => Some(text(0)?.to_lowercase().into()),
        ("UPPER" | "UCASE", _) => Some(text(0)?.to_uppercase().into()),
        ("LENGTH" | "OCTET_LENGTH", _) => Some(number(text(0)?.len() as i64)),
        ("CHAR_LENGTH" | "CHARACTER_LENGTH", _) => Some(number(text(0)?.chars().count() as i64)),
        ("TRIM", _) => Some(text(0)?.trim_matches(' ').to_owned().into()),
        ("LTRIM", _) => Some(text(0)?.trim_start_matches(' ').to_owned().into()),
        ("RTRIM", _) => Some(text(0)?.trim_end_matches(' ').to_owned().into()),
        ("LEFT", _) => Some(text(0)?.chars().take(count(text(1)?)).collect::<String>().into()),
        ("RIGHT", _) => {
            let skipped = text(0)?.chars().count().saturating_sub(count(text(1)?));
            Some(text(0)?.chars().skip(skipped).collect::<String>().into())
        }
        ("SUBSTRING" | "SUBSTR" | "MID", _) => {
            let first = whole(text(1)?);
            let taken = text(2).map_or(usize::MAX, count);
            let skipped = match first {
                0 => return Some(Some(Cow::Borrowed(""))),
                1.. => count(text(1)?).saturating_sub(1),
                _ => {
                    text(0)?.chars().count().saturating_sub(usize::try_from(first.unsigned_abs()).unwrap_or(usize::MAX))
                }
            };
            Some(text(0)?.chars().skip(skipped).take(taken).collect::<String>().into())
        }
        ("SUBSTRING_INDEX", _) => Some(substring_index(text(0)?, text(1)?, whole(text(2)?)).to_owned().into()),
        ("LOCATE" | "INSTR", _) => {
            let (wanted, inside) = if name == "LOCATE" { (text(0)?, text(1)?) } else { (text(1)?, text(0)?) };
            let (wanted, inside) = (wanted.to_lowercase(), inside.to_lowercase());
            let before = inside.find(&wanted).and_then(|at| inside.get(..at));
            Some(number(before.map_or(0, |before| before.chars().count() as i64 + 1)))
        }
        ("FIND_IN_SET", _) => {
            let place = text(1)?.split(',').position(|known| known.eq_ignore_ascii_case(text(0).unwrap_or_default()));
            Some(number(place.map_or(0, |place| place as i64 + 1)))
        }
        ("STRCMP", _) => Some(number(compare(arguments.first()?, arguments.get(1)?).map_or(0, |it| it as i64))),
        ("LIKE", _) => Some(boolean(like(text(1)?, text(0)?, true, effort))),
        ("BETWEEN", [value, low, high]) => {
            let (from, to) = (compare(value, low)?, compare(value, high)?);
            Some(boolean(from.is_ge() && to.is_le()))
        }
        ("=" | "<>" | "<" | "<=" | ">" | ">=", [left, right]) => {
            let ordering = compare(left, right)?;
            Some(boolean(match name {
                "=" => ordering.is_eq(),
                "<>" => ordering.is_ne(),
                "<" => ordering.is_lt(),
                "<=" => ordering.is_le(),
                ">" => ordering.is_gt(),
                _ => ordering.is_ge(),
            }))
        }
        ("+", _) => Some(sum(arguments.iter().flatten().map(AsRef::as_ref))),
        ("-", _) => arithmetic(text(0)?, text(1)?, i128::checked_sub, |left, right| left - right),
        ("*", _) => arithmetic(text(0)?, text(1)?, i128::checked_mul, |left, right| left * right),
        ("%" | "MOD", _) => arithmetic(text(0)?, text(1)?, i128::checked_rem, |left, right| left % right),
        ("/", _) => {
            let (left, right) = (fraction(text(0)?), fraction(text(1)?));
            (right != 0.0).then(|| decimals(left / right, 4))
        }
        ("ROUND" | "FORMAT" | "TRUNCATE", _) => {
            let digits = text(1).map_or(0, count).min(10);
            Some(decimals(fraction(text(0)?), digits))
        }
        ("FLOOR", _) => Some(decimals(fraction(text(0)?).floor(), 0)),
        ("CEIL" | "CEILING", _) => Some(decimals(fraction(text(0)?).ceil(), 0)),
        ("ABS", _) => Some(text(0)?.trim_start_matches('-').to_owned().into()),
        ("GREATEST", _) => arguments.iter().max_by(|left, right| order(left, right)).cloned()?,
        ("LEAST", _) => arguments.iter().min_by(|left, right| order(left, right)).cloned()?,
        ("CONVERT_TZ", [Some(time), Some(from), Some(to)]) => {
            let moment = Moment::seconds(time).zip(distance(from)).zip(distance(to));
            return Some(moment.map(|((moment, from), to)| Moment::new(moment - from + to).to_string().into()));
        }
        ("FROM_UNIXTIME", _) => Some(Moment::new(whole(text(0)?)).to_string().into()),
        _ => return None,
    };
    Some(answer)
}

/// Functions for which a NULL among the arguments makes NULL, and with how many arguments.
fn is_known(name: &str, count: usize) -> bool {
    match name {
        "CAST" | "CAST_WHOLE" | "CONVERT" | "BINARY" | "ANY_VALUE" | "QUOTE" | "LOWER" | "LCASE" | "UPPER"
        | "UCASE" | "LENGTH" | "OCTET_LENGTH" | "CHAR_LENGTH" | "CHARACTER_LENGTH" | "TRIM" | "LTRIM" | "RTRIM"
        | "FLOOR" | "CEIL" | "CEILING" | "ABS" | "FROM_UNIXTIME" | "UNIX_TIMESTAMP" => count == 1,
        "LEFT" | "RIGHT" | "LOCATE" | "INSTR" | "FIND_IN_SET" | "STRCMP" | "LIKE" | "=" | "<>" | "<" | "<=" | ">"
        | ">=" | "-" | "*" | "%" | "MOD" | "/" | "DATE_FORMAT" => count == 2,
        "SUBSTRING" | "SUBSTR" | "MID" => matches!(count, 2 | 3),
        "ROUND" | "FORMAT" | "TRUNCATE" => matches!(count, 1 | 2),
        "SUBSTRING_INDEX" | "REPLACE" | "BETWEEN" | "CONVERT_TZ" => count == 3,
        "CHAR" | "CONCAT" | "CONCAT_WS" | "+" | "GREATEST" | "LEAST" => count > 0,
        _ => false,
    }
}

/// Whether the values of this function are numbers.
pub(super) fn gives_number(name: &str) -> bool {
    const NUMBERS: [&str; 32] = [
        "AND",
        "OR",
        "XOR",
        "NOT",
        "ISNULL",
        "IN",
        "<=>",
        "FIELD",
        "CAST_WHOLE",
        "LENGTH",
        "OCTET_LENGTH",
        "CHAR_LENGTH",
        "CHARACTER_LENGTH",
        "LOCATE",
        "INSTR",
        "FIND_IN_SET",
        "STRCMP",
        "LIKE",
        "BETWEEN",
        "=",
        "<>",
        "<",
        "<=",
        ">",
        ">=",
        "+",
        "-",
        "*",
        "%",
        "MOD",
        "/",
        "UNIX_TIMESTAMP",
    ];
    NUMBERS.contains(&name)
}

/// NULL is neither.
pub(super) fn truth(value: &Field) -> Option<bool> {
    value.as_deref().map(|text| fraction(text) != 0.0)
}

pub(super) fn is_true(value: &Field) -> bool {
    truth(value) == Some(true)
}

fn truth_of(truth: Option<bool>) -> Field {
    truth.map(boolean)
}

pub(super) fn boolean(truth: bool) -> Cow<'static, str> {
    Cow::Borrowed(if truth { "1" } else { "0" })
}

pub(super) fn number(number: i64) -> Cow<'static, str> {
    number.to_string().into()
}

fn combine(values: &[Field], decisive: bool) -> Option<bool> {
    let mut known = Some(!decisive);
    for value in values {
        match truth(value) {
            Some(truth) if truth == decisive => return Some(decisive),
            Some(_) => {}
            None => known = None,
        }
    }
    known
}

/// Whether a value is in a list; unknown when it is not found and NULL is there.
pub(super) fn is_among(value: &Field, list: &[Field]) -> Option<bool> {
    value.as_ref()?;
    if list.iter().any(|known| compare(value, known) == Some(Ordering::Equal)) {
        return Some(true);
    }
    if list.iter().any(Option::is_none) { None } else { Some(false) }
}

/// How two values compare: as numbers if both are, else as text without regard to ASCII case, as MySQL compares the
/// names in its `information_schema`. `None` when one of them is NULL.
pub(super) fn compare(left: &Field, right: &Field) -> Option<Ordering> {
    let (left, right) = (left.as_deref()?, right.as_deref()?);
    Some(match (finite(left), finite(right)) {
        (Some(left), Some(right)) => left.total_cmp(&right),
        _ => by_letters(left, right),
    })
}

/// As ORDER BY has it: NULL before everything, then numbers, then other texts. A total order, as sorting demands it; how
/// two values [`compare`] is none, since 9 < 10, '10' < '1a' and '1a' < '9'.
pub(super) fn order(left: &Field, right: &Field) -> Ordering {
    let (Some(left), Some(right)) = (left, right) else { return left.is_some().cmp(&right.is_some()) };
    match (finite(left), finite(right)) {
        (Some(left), Some(right)) => left.total_cmp(&right),
        (None, None) => by_letters(left, right),
        (left, right) => right.is_some().cmp(&left.is_some()),
    }
}

/// The number that a text is; there is one zero.
fn finite(text: &str) -> Option<f64> {
    let number = if text.len() <= NUMBER_BYTES_MAX { text.parse::<f64>().ok() } else { None };
    number.filter(|number| number.is_finite()).map(|number| number + 0.0)
}

fn by_letters(left: &str, right: &str) -> Ordering {
    let lower = |byte: u8| byte.to_ascii_lowercase();
    left.bytes().map(lower).cmp(right.bytes().map(lower))
}

/// Whole as long as all of them are.
pub(super) fn sum<'t>(texts: impl Iterator<Item = &'t str>) -> Cow<'static, str> {
    let (mut whole, mut all) = (Some(0_i128), 0.0);
    for text in texts {
        whole = text.parse().ok().and_then(|number: i128| whole?.checked_add(number));
        all += fraction(text);
    }
    whole.map_or_else(|| decimals(all, 4), |whole| whole.to_string().into())
}

fn arithmetic(left: &str, right: &str, whole: fn(i128, i128) -> Option<i128>, fractions: fn(f64, f64) -> f64) -> Field {
    if let (Ok(left), Ok(right)) = (left.parse(), right.parse()) {
        return whole(left, right).map(|number| number.to_string().into());
    }
    let number = fractions(fraction(left), fraction(right));
    number.is_finite().then(|| decimals(number, 4))
}

/// The text of these bytes; of a number beyond a byte, all its bytes. NULL if that is no UTF-8.
fn characters(numbers: &[Field]) -> Field {
    let mut bytes = Vec::with_capacity(numbers.len());
    for number in numbers.iter().flatten() {
        let all = (whole(number) as u32).to_be_bytes();
        let first = all.iter().position(|byte| *byte != 0).unwrap_or(all.len() - 1);
        bytes.extend_from_slice(all.get(first..).unwrap_or_default());
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

/// A text as a literal.
fn quoted(text: &str) -> String {
    let mut literal = String::with_capacity(text.len() + 2);
    literal.push('\'');
    for character in text.chars() {
        match character {
            '\'' | '\\' => literal.extend(['\\', character]),
            '\0' => literal.push_str("\\0"),
            '\u{1a}' => literal.push_str("\\Z"),
            other => literal.push(other),
        }
    }
    literal.push('\'');
    literal
}

/// A time in parts, by letters behind `%`; NULL if it is no time. `None` for a letter that is not known here.
fn moment_as(time: &str, format: &str) -> Option<Field> {
    let Some(seconds) = Moment::seconds(time) else { return Some(None) };
    let moment = Moment::new(seconds).to_string();
    let part = |from: usize, to: usize| moment.get(from..to).unwrap_or_default();
    let bare = |from: usize, to: usize| part(from, to).trim_start_matches('0');
    let mut text = TextBuilder::default();
    let mut rest = format;
    while let Some((plain, behind)) = rest.split_once('%') {
        let letter = behind.chars().next()?;
        text.push(plain).ok()?;
        text.push(match letter {
            'Y' => part(0, 4),
            'y' => part(2, 4),
            'm' => part(5, 7),
            'c' => bare(5, 7),
            'd' => part(8, 10),
            'e' => bare(8, 10),
            'H' => part(11, 13),
            'i' => part(14, 16),
            's' | 'S' => part(17, 19),
            'T' => part(11, 19),
            'f' => "000000",
            '%' => "%",
            _ => return None,
        })
        .ok()?;
        rest = behind.get(letter.len_utf8()..)?;
    }
    text.push(rest).ok()?;
    Some(Some(text.finish()))
}

/// How far a zone is from UTC. The server has no table of zones, so a zone by its name is unknown, as it is to a MySQL
/// server whose tables of zones are empty.
fn distance(zone: &str) -> Option<i64> {
    offset_s(zone).filter(|_| !zone.eq_ignore_ascii_case("UTC"))
}

/// The number that a text begins with, else 0.
pub(super) fn fraction(text: &str) -> f64 {
    let text = text.trim_ascii();
    let end = text.find(|character: char| !character.is_ascii_digit() && !"+-.".contains(character));
    let digits = text.get(..end.unwrap_or(text.len())).unwrap_or_default();
    digits.parse().ok().filter(|number: &f64| number.is_finite()).unwrap_or(0.0)
}

fn whole(text: &str) -> i64 {
    // A cast of a number that is too large ends at the largest.
    text.trim_ascii().parse().unwrap_or_else(|_| fraction(text) as i64)
}

fn count(text: &str) -> usize {
    usize::try_from(whole(text)).unwrap_or(0)
}

pub(super) fn decimals(number: f64, digits: usize) -> Cow<'static, str> {
    format!("{number:.digits$}").into()
}

/// What stands before the n-th separator; counted from the end, and what stands behind it, if n is negative.
fn substring_index<'t>(text: &'t str, separator: &str, wanted: i64) -> &'t str {
    if separator.is_empty() || wanted == 0 {
        return "";
    }
    let skipped = usize::try_from(wanted.unsigned_abs()).unwrap_or(usize::MAX).saturating_sub(1);
    if wanted > 0 {
        let end = text.match_indices(separator).nth(skipped).map_or(text.len(), |(at, _)| at);
        text.get(..end).unwrap_or_default()
    } else {
        let found = text.rmatch_indices(separator).nth(skipped);
        let begin = found.map_or(0, |(at, _)| at.saturating_add(separator.len()));
        text.get(begin..).unwrap_or_default()
    }
}
