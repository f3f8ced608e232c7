use proptest::prelude::*;

use crate::jsapi::{Hello, HelloError, parse_hello};
use crate::model::{DevId, UserId, WireForm};

const DEV_MAX: u32 = 100_000;
const UUID: &str = "0123456789abcdefABCDEF_-01234567";

fn hello(target: &str) -> Hello {
    parse_hello(target.as_bytes(), DEV_MAX).unwrap_or_else(|error| panic!("{target}: {error:?}"))
}

#[test]
fn the_canonical_address() {
    let expected = Hello {
        key: "key1".into(),
        user: UserId::new(7).unwrap(),
        dev: DevId(1),
        form: WireForm::Modern,
        version: (4, 8),
        uuid: UUID.into(),
        classic: true,
    };
    for prefix in ["/ws/", "//ws/", "/comet-server/ws/", "//comet-server/ws/", ""] {
        assert_eq!(hello(&format!("{prefix}sesion=key1&myid=7&devid=1&v=4.08&uuid={UUID}&api=js")), expected);
    }
    assert_eq!(hello(&format!("/ws/sesion=key1&myid=7&devid=1&v=4.08&uuid={UUID}")), expected);
    assert_eq!(hello(&format!("/ws/devid=1&api=js&uuid={UUID}&v=4.08&x=y&myid=7&&sesion=key1")), expected);
    assert_eq!(hello(&format!("/ws/key=key1&user=007&tenant=01&version=4.08&uuid={UUID}")), expected);
}

#[test]
fn errors() {
    let check = |target: &str, code, form| {
        assert_eq!(parse_hello(target.as_bytes(), DEV_MAX), Err(HelloError { code, form }), "{target}");
    };
    check("/ws/", 401, WireForm::Legacy);
    check("/ws/a&b&c&d", 401, WireForm::Legacy);
    check("/ws/sesion=0", 401, WireForm::Legacy);
    check("/ws/sesion=0&myid=0", 406, WireForm::Legacy);
    check("/ws/sesion=0&myid=0&devid=1", 418, WireForm::Legacy);
    for version in ["abc", "", "4", ".08", "x.08", "-4.08", "+4.08", "4,08", "1234567890.1"] {
        check(&format!("/ws/sesion=0&myid=0&devid=1&v={version}&uuid={UUID}&api=js"), 418, WireForm::Legacy);
    }
    for version in ["4.", "4.x", "4.08x", "4.1.2", "5.1234567890"] {
        check(&format!("/ws/sesion=0&myid=0&devid=1&v={version}&uuid={UUID}"), 418, WireForm::Modern);
    }
    check("/ws/sesion=0&myid=0&devid=1&v=3.x&", 418, WireForm::Legacy);
}

#[test]
fn versions() {
    for (text, version, form) in [
        ("4.08", (4, 8), WireForm::Modern),
        ("3.31", (3, 31), WireForm::Legacy),
        ("3.5", (3, 5), WireForm::Legacy),
        ("10.2", (10, 2), WireForm::Modern),
        ("04.009", (4, 9), WireForm::Modern),
        ("0.0", (0, 0), WireForm::Legacy),
        ("999999999.999999999", (999_999_999, 999_999_999), WireForm::Modern),
    ] {
        for behind in ["", "&", "&api=js"] {
            let hello = hello(&format!("/ws/sesion=&myid=&devid=0&v={text}{behind}"));
            assert_eq!((hello.version, hello.form), (version, form), "{text}{behind}");
        }
    }
}

#[test]
fn numbers() {
    for (text, user, dev) in [
        ("", 0, 0),
        ("0", 0, 0),
        ("undefined", 0, 0),
        ("null", 0, 0),
        ("bob", 0, 0),
        ("-5", 0, 0),
        ("+5", 0, 0),
        ("5x", 0, 0),
        ("000000000000000042", 42, 42),
        ("0000000000000000042", 0, 0),
        ("99999", 99_999, 99_999),
        ("100000", 100_000, 0),
        ("99999999", 99_999_999, 0),
        ("2147483647", 2_147_483_647, 0),
        ("2147483648", 0, 0),
        ("4294967301", 0, 0),
        ("999999999999999999", 0, 0),
    ] {
        let hello = hello(&format!("/ws/sesion=k&myid={text}&devid={text}&v=4.08&uuid=&api=js"));
        assert_eq!((hello.user.get(), hello.dev.0), (user, dev), "{text}");
    }
    assert_eq!(parse_hello(b"/ws/sesion=&myid=&devid=0&v=4.1", 0).unwrap().dev, DevId(0));
}

#[test]
fn keys() {
    let key = |key: &str| hello(&format!("/ws/sesion={key}&myid=5&devid=0&v=4.08")).key;
    assert_eq!(&*key("undefined"), "undefined");
    assert_eq!(&*key("a=b%20c+/_?"), "a=b c+/_?");
    assert_eq!(&*key("a%2Bb%3D%3d"), "a+b==");
    assert_eq!(&*key("a%2541"), "a%41", "once");
    assert_eq!(&*key("a%zz%"), "a%zz%");
    assert_eq!(key(&"k".repeat(600)).len(), 600);
    assert_eq!(&*key(&"k".repeat(601)), "");
    assert_eq!(&*parse_hello(b"/ws/sesion=\xff&myid=5&devid=0&v=4.08", DEV_MAX).unwrap().key, "");
}

#[test]
fn uuids() {
    for (text, uuid) in [
        ("", ""),
        ("short", "short"),
        ("abc def", "abc"),
        (UUID, UUID),
        ("0123456789abcdefABCDEF_-01234567more", UUID),
        ("\"<'\\", "\"<'\\"),
        ("кот", ""),
        ("a\u{7f}", ""),
        ("a\u{1}b", ""),
        // The cap is in bytes and may cut a character in two.
        ("0123456789abcdefABCDEF_-0123456я", ""),
    ] {
        assert_eq!(&*hello(&format!("/ws/sesion=&myid=&devid=0&v=4.08&uuid={text}&api=js")).uuid, uuid, "{text}");
    }
}

#[test]
fn apis() {
    for (behind, classic) in [("", true), ("&api=js", true), ("&api=js2", false), ("&api=", false), ("&uuid=a", true)] {
        assert_eq!(hello(&format!("/ws/sesion=&myid=&devid=0&v=4.08{behind}")).classic, classic, "{behind}");
    }
}

proptest! {
    #[test]
    fn any_address_ends_in_a_value(target: Vec<u8>, parts in proptest::collection::vec("(sesion|myid|devid|v|uuid|api|x)?=?[0-9a-z.]{0,40}", 0..9)) {
        for target in [target, format!("/ws/{}", parts.join("&")).into_bytes()] {
            match parse_hello(&target, DEV_MAX) {
                Ok(hello) => {
                    prop_assert!(hello.key.len() <= 600 && hello.uuid.len() <= 32 && hello.dev.0 < DEV_MAX);
                    prop_assert!(hello.uuid.bytes().all(|byte| byte.is_ascii_graphic()));
                    prop_assert_eq!(hello.form == WireForm::Modern, hello.version.0 >= 4);
                }
                Err(error) => prop_assert!([401, 406, 418].contains(&error.code)),
            }
        }
    }
}
