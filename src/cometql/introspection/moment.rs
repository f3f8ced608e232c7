//! Times as MySQL writes them.

use std::fmt;

/// A time in UTC, by the proleptic Gregorian calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Moment {
    year: i64,
    month: i64,
    day: i64,
    second_of_day: i64,
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.date(), self.time())
    }
}

impl Moment {
    /// From seconds since 1970. Counts days from 0000-03-01, so that a leap day is the last day of its year.
    pub(super) fn new(unix: i64) -> Self {
        const DAY_S: i64 = 86_400;
        // Years 0 to 9999, beyond which the format ends.
        let unix = unix.clamp(-62_167_219_200, 253_402_300_799);
        let days = unix.div_euclid(DAY_S) + 719_468;
        let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        Self {
            year: era * 400 + year_of_era + i64::from(month <= 2),
            month,
            day: day_of_year - (153 * month_from_march + 2) / 5 + 1,
            second_of_day: unix.rem_euclid(DAY_S),
        }
    }

    /// Seconds since 1970 of a time as MySQL writes it, `2001-02-03[ 04:05[:06]]`; `None` for other texts.
    pub(super) fn seconds(text: &str) -> Option<i64> {
        let (date, time) = text.trim_ascii().split_once([' ', 'T']).unwrap_or((text.trim_ascii(), "0:0"));
        let number = |text: &str| {
            let digits = !text.is_empty() && text.len() <= 4 && text.bytes().all(|byte| byte.is_ascii_digit());
            if digits { text.parse::<i64>().ok() } else { None }
        };
        let (year, rest) = date.split_once('-')?;
        let (month, day) = rest.split_once('-')?;
        let (year, month, day) = (number(year)?, number(month)?, number(day)?);
        // What is behind the second is not kept.
        let mut parts = time.split('.').next()?.splitn(3, ':').map(number);
        let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next().unwrap_or(Some(0))?);
        if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        // Days since 0000-03-01, so that a leap day is the last of its year.
        let (years, months) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
        let leap_days = years.div_euclid(4) - years.div_euclid(100) + years.div_euclid(400);
        let days = years * 365 + leap_days + (153 * months + 2) / 5 + day - 1;
        Some((days - 719_468) * 86_400 + hour * 3_600 + minute * 60 + second)
    }

    pub(super) fn date(&self) -> String {
        format!("{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }

    pub(super) fn time(&self) -> String {
        let second = self.second_of_day;
        format!("{:02}:{:02}:{:02}", second / 3_600, second / 60 % 60, second % 60)
    }
}
