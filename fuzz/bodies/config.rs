//! A `comet.ini`: whatever stands in it, all problems name a line that exists, on one line of text each, and what was
//! accepted can be written out and read back unchanged.

use encke::config::{Severity, parse, to_text};

pub(crate) fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (config, problems) = parse(text);
    for problem in &problems {
        assert!(problem.line as usize <= text.lines().count(), "{problem:?}");
        let said = problem.in_file("comet.ini");
        assert!(!said.chars().any(char::is_control), "{said:?}");
    }
    // Lines come in order, those about the file as a whole last.
    assert!(problems.is_sorted_by_key(|problem| (problem.line == 0, problem.line)));

    // Each accepted value is within its bounds; that together they are possible is known only without errors.
    let written = to_text(&config);
    let (again, problems_again) = parse(&written);
    assert_eq!(again, config, "{written}");
    let failed = problems.iter().any(|problem| problem.severity() == Severity::Error);
    let failed_again = problems_again.iter().any(|problem| problem.severity() == Severity::Error);
    assert!(failed || !failed_again, "{written}\n{problems_again:?}");
}
