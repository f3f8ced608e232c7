//! Dates as HTTP writes them, in seconds since 1970. Source: RFC 9110 section 5.6.7.

const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const SECONDS_PER_DAY: i64 = 86_400;
/// Length of `Sun, 06 Nov 1994 08:49:37 GMT`.
const LENGTH: usize = 29;

/// The form that is to be written: `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(super) fn write_date(seconds: i64) -> String {
    let (days, second) = (seconds.div_euclid(SECONDS_PER_DAY), seconds.rem_euclid(SECONDS_PER_DAY));
    let (year, month, day) = date_of(days);
    let name = |names: &[&'static str], place: i64| names.get(place as usize).copied().unwrap_or_default();
    format!(
        "{}, {day:02} {} {year:04} {:02}:{:02}:{:02} GMT",
        name(&DAYS, days.rem_euclid(7)),
        name(&MONTHS, month.saturating_sub(1)),
        second / 3600,
        second / 60 % 60,
        second % 60
    )
}

/// Reads that form only. The two older ones have not been written for decades, and an unread date costs a transfer.
pub(super) fn parse_date(text: &[u8]) -> Option<i64> {
    if text.len() != LENGTH || text.get(3..5) != Some(b", ") || !text.ends_with(b" GMT") {
        return None;
    }
    let number = |from: usize, to: usize| {
        let digits = text.get(from..to).filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
        std::str::from_utf8(digits).ok()?.parse::<i64>().ok()
    };
    let month = (1..).zip(MONTHS).find(|(_, name)| text.get(8..11) == Some(name.as_bytes()))?.0;
    let (day, year) = (number(5, 7)?, number(12, 16)?);
    let (hour, minute, second) = (number(17, 19)?, number(20, 22)?, number(23, 25)?);
    let fits = (1..=31).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    fits.then(|| seconds_until((year, month, day), (hour, minute, second)))
}

// The calendar, counted in eras of 400 years that begin in March: so a leap day is the last of its year.

const DAYS_PER_ERA: i64 = 146_097;
/// Days from the first of March of the year 0 until 1970 began.
const DAYS_UNTIL_1970: i64 = 719_468;

#[expect(clippy::arithmetic_side_effects, reason = "the time of this machine or of one of its files, in days")]
fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + DAYS_UNTIL_1970;
    let (era, day) = (days.div_euclid(DAYS_PER_ERA), days.rem_euclid(DAYS_PER_ERA));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day_of_month = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day_of_month)
}

/// Of a date and a time of four and two digits, as [`parse_date`] lets through: nowhere near the end of the numbers.
#[expect(clippy::arithmetic_side_effects, reason = "at most four digits each")]
fn seconds_until((year, month, day): (i64, i64, i64), (hour, minute, second): (i64, i64, i64)) -> i64 {
    let year = year - i64::from(month <= 2);
    let (era, year) = (year.div_euclid(400), year.rem_euclid(400));
    let month = if month > 2 { month - 3 } else { month + 9 };
    let day = (153 * month + 2) / 5 + day - 1;
    let days = era * DAYS_PER_ERA + year * 365 + year / 4 - year / 100 + day - DAYS_UNTIL_1970;
    days * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second
}

#[cfg(test)]
mod tests {
    use super::{parse_date, write_date};

    #[test]
    fn dates_are_written_and_read() {
        for (seconds, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (1_709_251_199, "Thu, 29 Feb 2024 23:59:59 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
        ] {
            assert_eq!(write_date(seconds), text);
            assert_eq!(parse_date(text.as_bytes()), Some(seconds), "{text}");
        }
        for text in
            ["", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 06 Nov 1994 25:49:37 GMT"]
        {
            assert_eq!(parse_date(text.as_bytes()), None, "{text}");
        }
    }
}
