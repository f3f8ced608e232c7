//! Numbers as clients write them: `5`, `'5'`, `5.0`, `+5`, `50e-1` are the same one.

use std::cmp::Ordering;

/// The whole number that a text is, exactly, however it is written; blanks around it are allowed. `None` for everything
/// else.
pub fn whole(text: &str) -> Option<i128> {
    let text = text.trim_ascii();
    if let Ok(number) = text.parse() {
        return Some(number);
    }
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, digits) = match mantissa.strip_prefix(['-', '+']) {
        Some(digits) => (mantissa.starts_with('-'), digits),
        None => (false, mantissa),
    };
    let (before, behind) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = [before, behind].iter().all(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
    if !all_digits || before.is_empty() && behind.is_empty() {
        return None;
    }
    // Where the point stands among all digits once the exponent has moved it.
    let point = i64::try_from(before.len()).ok()?.saturating_add(exponent.into());
    let length = i64::try_from(before.len().saturating_add(behind.len())).ok()?;
    let digits = before.bytes().chain(behind.bytes()).map(|digit| i128::from(digit - b'0'));
    let mut number = 0_i128;
    for (place, digit) in (0_i64..).zip(digits) {
        if place < point {
            number = number.checked_mul(10)?.checked_add(digit)?;
        } else if digit != 0 {
            return None;
        }
    }
    if number != 0 {
        for _ in length..point {
            number = number.checked_mul(10)?;
        }
    }
    Some(if negative { -number } else { number })
}

/// Whole numbers are compared exactly, others as fractions; `None` when one of them is no number.
pub fn compare(left: &str, right: &str) -> Option<Ordering> {
    if let (Some(left), Some(right)) = (whole(left), whole(right)) {
        return Some(left.cmp(&right));
    }
    let fraction = |text: &str| text.trim_ascii().parse::<f64>().ok();
    fraction(left)?.partial_cmp(&fraction(right)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers() {
        for (text, expected) in [
            ("5", Some(5)),
            (" 5 ", Some(5)),
            ("+5", Some(5)),
            ("-5", Some(-5)),
            ("005", Some(5)),
            ("5.", Some(5)),
            ("5.0", Some(5)),
            ("5.000", Some(5)),
            ("5e0", Some(5)),
            ("50e-1", Some(5)),
            ("0.05E2", Some(5)),
            (".5e1", Some(5)),
            ("5e3", Some(5000)),
            ("0e999999999", Some(0)),
            ("-0.0", Some(0)),
            ("9007199254740993.0", Some(9_007_199_254_740_993)),
            ("5.5", None),
            ("5e-1", None),
            ("1e40", None),
            ("1e2147483647", None),
            ("9e99999999999", None),
            ("", None),
            (".", None),
            ("-", None),
            ("e5", None),
            ("5 5", None),
            ("0x5", None),
            ("abc", None),
            ("inf", None),
        ] {
            assert_eq!(whole(text), expected, "{text}");
        }
        assert_eq!(compare("9007199254740993", "9007199254740992.0"), Some(Ordering::Greater));
        assert_eq!(compare("5", "5.5"), Some(Ordering::Less));
        assert_eq!(compare("5", "x"), None);
    }

    proptest! {
        #[test]
        fn any_way_of_writing_is_the_number(number in -1_000_000_i64..1_000_000, zeros in 0_usize..6, shift in 0_u32..5) {
            let shifted = number * 10_i64.pow(shift);
            for text in [format!("{number}.{}", "0".repeat(zeros)), format!("{shifted}e-{shift}"), format!("{number}")] {
                prop_assert_eq!(whole(&text), Some(number.into()), "{}", text);
            }
            prop_assert_eq!(whole(&format!("{number}e{shift}")), Some(shifted.into()));
        }

        #[test]
        fn any_text_is_looked_at(text in "[-+0-9.eE ]{0,20}") {
            let _ = whole(&text);
        }
    }
}
