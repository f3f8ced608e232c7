//! Answers, byte for byte.

use super::*;

#[track_caller]
fn check(flags: u32, write: impl FnOnce(Reply<'_>), expected: &[&str]) {
    let mut out = b"before".to_vec();
    let connection = ready_with(flags);
    write(connection.reply(0, &mut out));
    let packets = client::packets(&out[6..]);
    let payloads: Vec<String> = packets.iter().map(|(_, payload)| escape(payload)).collect();
    let expected: Vec<String> = expected.iter().map(|text| text.replace(' ', "")).collect();
    assert_eq!(payloads, expected);
    for (place, (sequence, _)) in packets.iter().enumerate() {
        assert_eq!(usize::from(*sequence), place + 1);
    }
}

/// Hexadecimal.
fn escape(payload: &[u8]) -> String {
    use std::fmt::Write;
    payload.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

const CLASSIC: u32 = client::FLAGS;
const MODERN: u32 = client::FLAGS | client::DEPRECATE_EOF;
const EOF: &str = "fe 0000 0200";
const EOF_MORE: &str = "fe 0000 0a00";
const EOF_OK: &str = "fe 00 00 0200 0000";
/// Catalog, schema, two empty tables; name and original name `id`; binary charset, 21 bytes, `LONGLONG`, binary flag.
const ID: &str = "03646566 00 00 00 026964 026964 0c 3f00 15000000 08 8000 00 0000";
/// The same for a text: charset 45, `VAR_STRING`, no flags, 31 decimals.
const NAME: &str = "03646566 00 00 00 046e616d65 046e616d65 0c 2d00 fcff0000 fd 0000 1f 0000";
const MARK: &str = "03646566 00 00 00 013f 013f 0c 3f00 00000000 fd 0000 1f 0000";

fn columns() -> [Column; 2] {
    [Column::new("id", ColumnKind::Integer), Column::new(String::from("name"), ColumnKind::Text)]
}

/// Whole numbers have eight bytes in binary rows, whatever their sign; other numbers are text in both forms.
#[test]
fn numbers_have_numeric_types() {
    const DECIMAL: &str = "03646566 00 00 00 0164 0164 0c 3f00 43000000 f6 8000 02 0000";
    let columns = || [Column::new("id", ColumnKind::Integer), Column::new("d", ColumnKind::Decimal(2))];
    let rows = [["-1", "1.25"], ["9223372036854775807", "-3.5"], ["x", "0"]];
    let binary = |reply: Reply<'_>| {
        let mut writer = reply.start_binary(&columns());
        for row in rows {
            writer.row(row.map(Some));
        }
        writer.end(false);
    };
    let expected = [
        "02",
        ID,
        DECIMAL,
        EOF,
        "00 00 ffffffffffffffff 04312e3235",
        "00 00 ffffffffffffff7f 042d332e35",
        "00 04 0130",
        EOF,
    ];
    check(CLASSIC, binary, &expected);
    let text = |reply: Reply<'_>| {
        let mut writer = reply.start(&columns());
        writer.row(["-1", "1.25"].map(Some));
        writer.end(false);
    };
    check(CLASSIC, text, &["02", ID, DECIMAL, EOF, "022d31 04312e3235", EOF]);
    // Of columns beyond the first 64 nothing is remembered.
    let many: Vec<Column> = (0..70).map(|_| Column::new("n", ColumnKind::Integer)).collect();
    let mut out = Vec::new();
    let mut writer = ready().reply(0, &mut out).start_binary(&many);
    writer.row(many.iter().map(|_| Some("7")));
    writer.end(false);
    let row = [[7, 0, 0, 0, 0, 0, 0, 0].repeat(64), b"\x017".repeat(6)].concat();
    assert!(memchr::memmem::find(&out, &row).is_some());
}

/// Tools look at the state of a table that is not there.
#[test]
fn a_table_that_is_not_there_has_a_state_of_its_own() {
    check(CLASSIC, |mut reply| reply.error(1146, "x"), &["ff 7a04 23 3432533032 78"]);
}

#[test]
fn simple_answers() {
    for flags in [CLASSIC, MODERN] {
        check(flags, |mut reply| reply.ok(0, 0, false), &["00 00 00 0200 0000"]);
        check(flags, |mut reply| reply.ok(250, 251, true), &["00 fa fcfb00 0a00 0000"]);
        check(flags, |mut reply| reply.ok(65_535, 65_536, false), &["00 fcffff fd000001 0200 0000"]);
        check(flags, |mut reply| reply.ok(0xff_ffff, 0x100_0000, false), &["00 fdffffff fe0000000100000000 0200 0000"]);
        check(flags, |mut reply| reply.ok(u64::MAX, 1, false), &["00 feffffffffffffffff 01 0200 0000"]);
        check(flags, |mut reply| reply.error(13, "é"), &["ff 0d00 23 4859303030 c3a9"]);
        check(flags, |mut reply| reply.text("Uptime: 1"), &["557074696d653a2031"]);
    }
    check(CLASSIC, |mut reply| reply.eof(), &[EOF]);
    check(MODERN, |mut reply| reply.eof(), &[EOF_OK]);
}

#[test]
fn long_error_texts_are_cut_between_characters() {
    let mut out = Vec::new();
    ready().reply(0, &mut out).error(3, &"é".repeat(300));
    assert_eq!(out.len(), 4 + 9 + 510);
    assert!(String::from_utf8(out.split_off(13)).is_ok());
}

#[test]
fn text_rows() {
    let write = |reply: Reply<'_>| {
        let mut rows = reply.start(&columns());
        rows.row([Some("7"), None]);
        rows.row([Some(""), Some("a")]);
        assert_eq!(rows.end(false).sequence(), 7);
    };
    check(CLASSIC, write, &["02", ID, NAME, EOF, "0137 fb", "00 0161", EOF]);
    let write = |reply: Reply<'_>| {
        let mut rows = reply.start(&columns());
        rows.row([Some("7"), None]);
        rows.end(false);
    };
    check(MODERN, write, &["02", ID, NAME, "0137 fb", EOF_OK]);
}

#[test]
fn binary_rows() {
    let write = |reply: Reply<'_>| {
        let mut rows = reply.start_binary(&columns());
        rows.row([Some("7"), None]);
        rows.row([None, Some("a")]);
        rows.row([Some("7"), Some("a")]);
        rows.end(false);
    };
    check(
        CLASSIC,
        write,
        &["02", ID, NAME, EOF, "00 08 0700000000000000", "00 04 0161", "00 00 0700000000000000 0161", EOF],
    );

    // Seven columns: the last one's bit is the first of the second byte.
    let seven: Vec<Column> = (0..7).map(|_| Column::new("name", ColumnKind::Text)).collect();
    let write = |reply: Reply<'_>| {
        let mut rows = reply.start_binary(&seven);
        rows.row::<&str>([None; 7]);
        rows.row([None, None, None, None, None, Some("x"), None]);
        rows.end(false);
    };
    let expected = ["07", NAME, NAME, NAME, NAME, NAME, NAME, NAME, "00 fc01", "00 7c01 0178", EOF_OK];
    check(MODERN, write, &expected);
}

#[test]
fn rows_have_exactly_the_columns_announced() {
    let write = |reply: Reply<'_>| {
        let mut rows = reply.start(&columns());
        rows.row([Some("1")]);
        rows.row([Some("1"), Some("2"), Some("3")]);
        rows.end(false);
    };
    check(CLASSIC, write, &["02", ID, NAME, EOF, "0131 fb", "0131 0132", EOF]);
}

#[test]
fn an_error_breaks_rows_off() {
    let write = |reply: Reply<'_>| reply.start(&columns()).error(500, "x");
    check(CLASSIC, write, &["02", ID, NAME, EOF, "ff f401 23 4859303030 78"]);
}

#[test]
fn several_results() {
    let write = |reply: Reply<'_>| {
        let mut rows = reply.start(&columns());
        rows.row([Some("7"), None]);
        rows.end(true);
    };
    check(CLASSIC, write, &["02", ID, NAME, EOF, "0137 fb", EOF_MORE]);

    let connection = ready();
    let mut out = Vec::new();
    let mut reply = connection.reply(4, &mut out);
    reply.ok(1, 0, true);
    let last = reply.start(&columns()).end(true).sequence();
    connection.reply(last, &mut out).ok(0, 0, false);
    let numbers: Vec<u8> = client::packets(&out).iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, [5, 6, 7, 8, 9, 10, 11]);
}

#[test]
fn a_reply_goes_on_after_rows() {
    let connection = ready();
    let mut out = Vec::new();
    let rows = connection.reply(0, &mut out).start(&columns());
    rows.end(true).ok(0, 0, false);
    let numbers: Vec<u8> = client::packets(&out).iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
}

#[test]
fn paused_rows_go_on() {
    let connection = ready();
    let mut out = Vec::new();
    let reply = connection.reply(250, &mut out);
    let mut rows = reply.start_binary(&columns());
    rows.row([Some("1"), None]);
    let paused = rows.pause();
    let mut later = Vec::new();
    let mut rows = connection.resume(paused, &mut later);
    rows.row([None, Some("a")]);
    assert_eq!(rows.end(false).sequence(), 1);
    let numbers: Vec<u8> = client::packets(&out).iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, [251, 252, 253, 254, 255]);
    assert_eq!(client::packets(&later), [(0, hex("00 04 01 61")), (1, hex(EOF))]);
}

#[test]
fn prepared_statements() {
    check(CLASSIC, |mut reply| reply.prepared(1, &[], 0), &["00 01000000 0000 0000 00 0000"]);
    check(
        CLASSIC,
        |mut reply| reply.prepared(0x0102_0304, &columns(), 2),
        &["00 04030201 0200 0200 00 0000", MARK, MARK, EOF, ID, NAME, EOF],
    );
    check(MODERN, |mut reply| reply.prepared(2, &columns(), 1), &["00 02000000 0200 0100 00 0000", MARK, ID, NAME]);
}

#[test]
fn field_lists() {
    let id = &format!("{ID}fb");
    let name = &format!("{NAME}fb");
    check(CLASSIC, |mut reply| reply.fields(&columns()), &[id, name, EOF]);
    check(MODERN, |mut reply| reply.fields(&[]), &[EOF_OK]);
}

#[test]
fn tables_are_named_twice() {
    let column = Column { table: "t".into(), ..Column::new("a", ColumnKind::Text) };
    let expected = "03646566 00 0174 0174 0161 0161 0c 2d00 fcff0000 fd 0000 1f 0000";
    let write = |reply: Reply<'_>| {
        reply.start(&[column]).end(false);
    };
    check(MODERN, write, &["01", expected, EOF_OK]);
}

#[test]
fn numbers_wrap() {
    let mut out = Vec::new();
    let mut reply = ready().reply(255, &mut out);
    reply.ok(0, 0, false);
    assert_eq!(reply.sequence(), 0);
    assert_eq!(out[3], 0);
}

#[test]
fn rows_of_sixteen_mebibytes_are_split() {
    for extra in [0, 1, 4] {
        // With the four bytes of its length the value fills the first packet, exactly when `extra` is 0.
        let value = vec![b'v'; 0xff_ffff - 4 + extra];
        let connection = ready();
        let mut out = Vec::new();
        let mut rows = connection.reply(0, &mut out).start(&[Column::new("id", ColumnKind::Integer)]);
        rows.row([Some(&value)]);
        rows.end(false);
        let packets = client::packets(&out);
        let numbers: Vec<u8> = packets.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
        assert_eq!((packets[3].1.len(), packets[4].1.len()), (0xff_ffff, extra));
        assert!([packets[3].1.as_slice(), &packets[4].1].concat().ends_with(&value));
        assert_eq!(packets[5].1, hex(EOF));
    }
}
