//! CometQL by HTTP: what a body asks for, and results as JSON.
//!
//! A body of JSON is one statement or an array of them, `{"sql": "...", "params": [...]}`; the values are bound and never
//! become a part of the text. The answer has one result for each statement that was begun:
//!
//! ```text
//! {"results":[
//!   {"columns":[{"name":"users","type":"number"}],"rows":[["12"],[null]]},
//!   {"affected":0,"insert_id":0},
//!   {"error":{"number":3,"sqlstate":"HY000","text":"Syntax error: ..."}}
//! ]}
//! ```
//!
//! Values are texts or null, as over the MySQL protocol. Behind an error nothing follows.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::errors::Error;
use super::rows::ResultColumn;
use super::sql::PLACEHOLDERS_MAX;

/// Statements in one body.
pub const STATEMENTS_MAX: usize = 1000;

/// The value of a placeholder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parameter {
    Null,
    /// Its digits, as they were written.
    Number(Box<str>),
    Text(Box<str>),
}

/// One statement and the values of its placeholders.
pub type Bound = (Box<str>, Vec<Parameter>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written<'a> {
    sql: Box<str>,
    #[serde(borrow, default)]
    params: Vec<&'a RawValue>,
}

/// The statements of a body. Error: what is wrong with it, for whoever wrote it.
pub fn statements(body: &[u8]) -> Result<Vec<Bound>, String> {
    let body = simdutf8::basic::from_utf8(body).map_err(|_| "the body is not UTF-8".to_owned())?;
    let wanted = r#"wanted is {"sql": "...", "params": [...]} or an array of these"#;
    let refused = |error: serde_json::Error| format!("{error}; {wanted}");
    let written: Vec<Written<'_>> = if body.trim_ascii_start().starts_with('[') {
        serde_json::from_str(body).map_err(refused)?
    } else {
        vec![serde_json::from_str(body).map_err(refused)?]
    };
    match written.len() {
        0 => Err(format!("there is no statement; {wanted}")),
        1..=STATEMENTS_MAX => written.into_iter().map(bound).collect(),
        _ => Err(format!("a body may hold {STATEMENTS_MAX} statements at the most")),
    }
}

fn bound(written: Written<'_>) -> Result<Bound, String> {
    if written.params.len() > PLACEHOLDERS_MAX {
        return Err(format!("a statement may have {PLACEHOLDERS_MAX} params at the most"));
    }
    let values = written.params.into_iter().map(parameter).collect::<Result<_, _>>()?;
    Ok((written.sql, values))
}

fn parameter(value: &RawValue) -> Result<Parameter, String> {
    let text = value.get();
    Ok(match text.as_bytes().first() {
        Some(b'"') => Parameter::Text(serde_json::from_str(text).map_err(|error| error.to_string())?),
        Some(b'n') => Parameter::Null,
        Some(b't') => Parameter::Number("1".into()),
        Some(b'f') => Parameter::Number("0".into()),
        Some(b'[' | b'{') => {
            return Err("a value of params is a text, a number, true, false or null; for JSON pass its text".to_owned());
        }
        // Its digits stay what they were, however many there are.
        _ => Parameter::Number(text.into()),
    })
}

/// An answer without results.
pub fn failure(error: &Error) -> Vec<u8> {
    let mut out = Vec::new();
    put_error(&mut out, error);
    out
}

/// Writes the results of a batch one after the other.
#[derive(Debug, Default)]
pub struct Results {
    begun: bool,
    /// Where the result under way begins, while its rows come.
    rows: Option<Rows>,
}

#[derive(Clone, Copy, Debug)]
struct Rows {
    start: usize,
    columns: usize,
    any: bool,
}

impl Results {
    /// Whether the columns of the result under way are written.
    pub fn has_columns(&self) -> bool {
        self.rows.is_some()
    }

    /// OK, and what it warns of.
    pub fn ok(&mut self, affected: u64, insert_id: u64, warning: Option<(u16, &str)>, out: &mut Vec<u8>) {
        self.begin(out);
        out.extend_from_slice(format!("{{\"affected\":{affected},\"insert_id\":{insert_id}").as_bytes());
        if let Some((code, text)) = warning {
            out.extend_from_slice(format!(",\"warning\":{{\"code\":{code},\"message\":").as_bytes());
            put_text(out, text);
            out.push(b'}');
        }
        out.push(b'}');
    }

    /// OK, and a sentence.
    pub fn told(&mut self, text: &str, out: &mut Vec<u8>) {
        self.begin(out);
        out.extend_from_slice(b"{\"affected\":0,\"insert_id\":0,\"info\":");
        put_text(out, text);
        out.push(b'}');
    }

    pub fn columns(&mut self, columns: &[ResultColumn], out: &mut Vec<u8>) {
        let start = out.len();
        self.begin(out);
        out.extend_from_slice(b"{\"columns\":[");
        for (place, column) in columns.iter().enumerate() {
            out.extend_from_slice(if place == 0 { b"{\"name\":" } else { b",{\"name\":" });
            put_text(out, &column.name);
            out.extend_from_slice(if column.number { b",\"type\":\"number\"}" } else { b",\"type\":\"text\"}" });
        }
        out.extend_from_slice(b"],\"rows\":[");
        self.rows = Some(Rows { start, columns: columns.len(), any: false });
    }

    /// One row: a value for each column; missing ones are NULL.
    pub fn row<'v>(&mut self, values: impl IntoIterator<Item = Option<&'v [u8]>>, out: &mut Vec<u8>) {
        let Some(rows) = &mut self.rows else { return };
        out.extend_from_slice(if std::mem::replace(&mut rows.any, true) { b",[" } else { b"[" });
        let mut values = values.into_iter();
        for place in 0..rows.columns {
            if place > 0 {
                out.push(b',');
            }
            match values.next().flatten() {
                Some(value) => put_text(out, &String::from_utf8_lossy(value)),
                None => out.extend_from_slice(b"null"),
            }
        }
        out.push(b']');
    }

    pub fn end_rows(&mut self, out: &mut Vec<u8>) {
        self.rows = None;
        out.extend_from_slice(b"]}");
    }

    /// In place of the result under way.
    pub fn error(&mut self, error: &Error, out: &mut Vec<u8>) {
        if let Some(rows) = self.rows.take() {
            self.begun = rows.start > 0;
            out.truncate(rows.start);
        }
        self.begin(out);
        put_error(out, error);
    }

    /// Nothing follows.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(if self.begun { b"]}" } else { b"{\"results\":[]}" });
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(if std::mem::replace(&mut self.begun, true) { b"," } else { b"{\"results\":[" });
    }
}

fn put_error(out: &mut Vec<u8>, error: &Error) {
    let (number, state) = (error.code.number(), error.code.state());
    out.extend_from_slice(format!("{{\"error\":{{\"number\":{number},\"sqlstate\":\"{state}\",\"text\":").as_bytes());
    put_text(out, &error.text);
    out.extend_from_slice(b"}}");
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    // Writing a text to memory cannot fail.
    let _ = serde_json::to_writer(out, text);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cometql::errors::Code;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn text(text: &str) -> Parameter {
        Parameter::Text(text.into())
    }

    fn number(text: &str) -> Parameter {
        Parameter::Number(text.into())
    }

    #[test]
    fn bodies() {
        let check = |body: &str, expected: &[(&str, &[Parameter])]| {
            let expected: Vec<Bound> = expected.iter().map(|(sql, values)| ((*sql).into(), values.to_vec())).collect();
            assert_eq!(statements(body.as_bytes()), Ok(expected), "{body}");
        };
        check(r#"{"sql":"SELECT 1"}"#, &[("SELECT 1", &[])]);
        check(r#" [{"sql":"a","params":[]},{"sql":"b"}] "#, &[("a", &[]), ("b", &[])]);
        check(
            r#"{"params":["it's\n\u0430", 12345678901234567890, -0.50, null, true, false],"sql":"x"}"#,
            &[(
                "x",
                &[
                    text("it's\nа"),
                    number("12345678901234567890"),
                    number("-0.50"),
                    Parameter::Null,
                    number("1"),
                    number("0"),
                ],
            )],
        );
    }

    #[test]
    fn bodies_that_are_refused() {
        let check = |body: &[u8], said: &str| {
            let error = statements(body).expect_err("not a body");
            assert!(error.contains(said), "{error}");
        };
        check(b"", "wanted is");
        check(b"SELECT 1", "wanted is");
        check(b"[]", "no statement");
        check(b"\xff", "UTF-8");
        check(br#"{"params":[]}"#, "sql");
        check(br#"{"sql":1}"#, "wanted is");
        check(br#"{"sql":"a","parameters":[]}"#, "parameters");
        check(br#"{"sql":"a","params":[[1]]}"#, "pass its text");
        check(br#"{"sql":"a","params":[{}]}"#, "pass its text");
        check(br#"{"sql":"a"} {"sql":"b"}"#, "trailing");
        check(format!(r#"{{"sql":"a","params":[{}1]}}"#, "1,".repeat(PLACEHOLDERS_MAX)).as_bytes(), "65535 params");
        check(format!("[{}]", vec![r#"{"sql":"a"}"#; STATEMENTS_MAX + 1].join(",")).as_bytes(), "1000 statements");
    }

    proptest! {
        #[test]
        fn texts_come_through_both_ways(sql in ".*", values in prop::collection::vec(".*", 0..5)) {
            let body = json!([{ "sql": sql, "params": values }]).to_string();
            let expected = values.iter().map(|value| text(value)).collect();
            prop_assert_eq!(statements(body.as_bytes()), Ok(vec![(sql.into(), expected)]));

            let (mut results, mut out) = (Results::default(), Vec::new());
            let columns: Vec<_> =
                values.iter().map(|name| ResultColumn { name: name.clone(), number: false }).collect();
            results.columns(&columns, &mut out);
            results.row(values.iter().map(|value| Some(value.as_bytes())), &mut out);
            results.end_rows(&mut out);
            results.end(&mut out);
            prop_assert_eq!(&parsed(&out)["results"][0]["rows"][0], &json!(values));
        }

        #[test]
        fn any_body_is_answered(body in prop::collection::vec(any::<u8>(), 0..200), cut in any::<prop::sample::Index>()) {
            let _ = statements(&body);
            let whole = br#"[{"sql":"a \u0430","params":["\ud83d\ude00",1e9,null,{"a":[]}]}]"#;
            let _ = statements(&whole[..cut.index(whole.len())]);
        }
    }

    fn columns() -> [ResultColumn; 2] {
        [ResultColumn { name: "na\"me".into(), number: false }, ResultColumn { name: "users".into(), number: true }]
    }

    fn parsed(out: &[u8]) -> Value {
        serde_json::from_slice(out).expect("JSON")
    }

    #[test]
    fn results() {
        let (mut results, mut out) = (Results::default(), Vec::new());
        results.ok(3, 7, None, &mut out);
        results.columns(&columns(), &mut out);
        results.row([Some(b"a\0\xff".as_slice()), None], &mut out);
        results.row([Some(b"b".as_slice())], &mut out);
        results.end_rows(&mut out);
        results.columns(&columns(), &mut out);
        results.end_rows(&mut out);
        results.end(&mut out);
        let columns = json!([{ "name": "na\"me", "type": "text" }, { "name": "users", "type": "number" }]);
        let expected = json!({ "results": [
            { "affected": 3, "insert_id": 7 },
            { "columns": columns, "rows": [["a\0\u{fffd}", null], ["b", null]] },
            { "columns": columns, "rows": [] },
        ] });
        assert_eq!(parsed(&out), expected);
    }

    #[test]
    fn an_error_takes_the_place_of_its_result() {
        let error = Error::new(Code::TooLong, "too \"long\"");
        let told = json!({ "error": { "number": 11, "sqlstate": "HY000", "text": "too \"long\"" } });
        for before in [0, 1] {
            let (mut results, mut out) = (Results::default(), Vec::new());
            (0..before).for_each(|_| results.ok(0, 0, None, &mut out));
            results.columns(&columns(), &mut out);
            results.row([Some(b"a".as_slice()), None], &mut out);
            results.error(&error, &mut out);
            results.end(&mut out);
            let answer = parsed(&out);
            let results = answer["results"].as_array().expect("results");
            assert_eq!(results.len(), before + 1);
            assert_eq!(results.last(), Some(&told));
        }
        assert_eq!(parsed(&failure(&error)), told);
        let mut out = Vec::new();
        Results::default().end(&mut out);
        assert_eq!(parsed(&out), json!({ "results": [] }));
    }
}
