mod old_files;

use super::*;
use crate::model::{Network, RealIpHeader, TokenAlgorithm};
use proptest::prelude::*;

/// Everything said about `text`, one line each: `LINE SEVERITY: TEXT`.
fn said(text: &str) -> Vec<String> {
    let (_, problems) = parse(text);
    problems.iter().map(|problem| format!("{} {}: {}", problem.line, problem.severity(), problem.kind)).collect()
}

fn check_said(text: &str, expected: &[&str]) {
    assert_eq!(said(text), expected, "for {text:?}");
}

/// A text without problems, and what it makes of the defaults.
fn check(text: &str, expected: impl FnOnce(&mut Config)) {
    let mut config = Config::default();
    expected(&mut config);
    assert_eq!(parse(text), (config, Vec::new()), "for {text:?}");
}

fn severities(text: &str) -> Vec<Severity> {
    parse(text).1.iter().map(Problem::severity).collect()
}

#[test]
fn nothing_given_is_all_defaults() {
    check("", |_| {});
    check("\n\r\n  \t\n; comment\n# comment\n", |_| {});
    check("[main]\n[ws]\n[cometql]\n[storage]\n[log]\n", |_| {});
}

#[test]
fn the_smallest_useful_file() {
    let text = "[main]\nnode_name = n1\npassword = 0123456789abcdef\nbase_dir = /srv/static\n\
                [ws]\nip = 127.0.0.1\nport = 0\nthread_num = 2\n[cometql]\nip = ::1\nport = 3307\n\
                [storage]\ndir = /var/lib/encke\n[content-type]\njs = application/javascript\ncss = text/css\n";
    check(text, |config| {
        config.main.node_name = "n1".to_owned();
        config.main.password = Some("0123456789abcdef".to_owned());
        config.main.base_dir = Some(PathBuf::from("/srv/static"));
        config.ws.ip = "127.0.0.1".parse().unwrap();
        config.ws.port = 0;
        config.ws.thread_num = 2;
        config.cometql.ip = "::1".parse().unwrap();
        config.cometql.port = 3307;
        config.storage.dir = PathBuf::from("/var/lib/encke");
        let types = [("js", "application/javascript"), ("css", "text/css")];
        config.content_types = ContentTypes(types.map(|(key, value)| (key.to_owned(), value.to_owned())).into());
    });
}

#[test]
fn form_of_a_line() {
    let port = |config: &mut Config| config.ws.port = 1;
    for text in [
        "[ws]\nport = 1",
        "[ws]\nport=1\n",
        "[ws]\r\nport =1\r\n",
        "\u{feff}[ws]\nport = 1",
        "  [ ws ]  \n\t port\t=\t1\t",
        "[ws]\n[log]\n[ws]\nport = 1",
        "[ws]\n  ; port = 2\n # port = 3\nport = 1",
    ] {
        check(text, port);
    }
    check_said("[ws\n", &["1 error: a section's line must end with ]; comments stand on their own line"]);
    check_said("[ws] ; x", &["1 error: a section's line must end with ]; comments stand on their own line"]);
    check_said("port = 1\n[ws]", &["1 error: a key before the first [section]"]);
    for text in ["port", "= 1", "=", "port: 1"] {
        let expected = "2 error: not a section, a key or a comment (write [section], key = value, or ; in front)";
        check_said(&format!("[ws]\n{text}"), &[expected]);
    }
}

#[test]
fn values_are_taken_literally() {
    let text =
        "[main]\npassword = a=b;c#d \\n\\t \"q\" 'q' ${HOME}\nnode_name = \u{43a}\u{43e}\u{43c}\u{435}\u{442}\u{430}\n";
    let (config, _) = parse(text);
    assert_eq!(config.main.password.as_deref(), Some("a=b;c#d \\n\\t \"q\" 'q' ${HOME}"));
    assert_eq!(config.main.node_name, "\u{43a}\u{43e}\u{43c}\u{435}\u{442}\u{430}");
}

#[test]
fn all_problems_at_once_with_their_lines() {
    check_said(
        "[ws]\nport = 65536\nport = x\nip = localhost\npin_cores = yes\nsend_engine = glommio\n[log]\nlevel = 250\n",
        &[
            "2 error: port = 65536: out of range; 0 to 65535 is allowed",
            "3 warning: port was given in line 2 already; this one counts",
            "3 error: port = x: not a whole number; 0 to 65535 is allowed",
            "4 error: ip = localhost: not an IP address, such as 127.0.0.1, or 0.0.0.0 for all of this machine's addresses",
            "5 error: pin_cores = yes: write true or false",
            "6 error: send_engine = glommio: write one of: auto, io_uring, plain",
            "8 note: level 250 is read as error",
        ],
    );
    assert_eq!(
        Problem { line: 7, kind: ProblemKind::BadLine }.in_file("a/comet.ini"),
        "a/comet.ini:7: error: not a section, a key or a comment (write [section], key = value, or ; in front)"
    );
    let same_port = Problem { line: 0, kind: ProblemKind::SamePort { port: 1 } };
    assert_eq!(same_port.in_file("f"), "f: error: browsers and CometQL cannot both listen on port 1");
}

/// The wheel of timeouts would cut what is longer, and nobody would know.
#[test]
fn silences_that_cannot_be_measured_are_refused() {
    for key in ["[cometql]\nidle_timeout_s", "[ws]\nping_interval_s"] {
        let (_, problems) = parse(&format!("{key} = 32766\n"));
        assert_eq!(problems, []);
        let (_, problems) = parse(&format!("{key} = 86400\n"));
        assert_eq!(problems[0].severity(), Severity::Error);
        let text = problems[0].in_file("comet.ini");
        assert!(text.ends_with("= 86400: out of range; 0 to 32766 is allowed"), "{text}");
    }
    // The others are in milliseconds, and there the table's bounds are enough. How old a connection is, is in no wheel, and
    // tokens are compared with the clock.
    let is_time = |key: &&Key| key.name.ends_with("_s") && !key.name.ends_with("_per_s") || key.name.ends_with("_ms");
    let in_no_wheel = ["connection_age_max_s", "previous_s"];
    for key in keys().filter(is_time).filter(|key| !in_no_wheel.contains(&key.name)) {
        let Field::Number { max, .. } = key.field else { panic!("{} is no number", key.name) };
        let seconds = if key.name.ends_with("_ms") { max.div_ceil(1000) } else { max };
        assert!(seconds <= TIMEOUT_S_MAX, "{}", key.name);
    }
}

#[test]
fn numbers() {
    for (text, good) in [
        ("0", true),
        ("007", true),
        ("65535", true),
        ("65536", false),
        ("-1", false),
        ("+1", false),
        ("1.0", false),
        ("1 ; comment", true),
        ("1;", true),
        ("1#2", true),
        ("1 2", false),
        ("0x10", false),
        ("\u{661}", false),
        ("99999999999999999999999999", false),
    ] {
        assert_eq!(severities(&format!("[ws]\nport = {text}")).is_empty(), good, "{text}");
    }
    // A number that is too long for any integer is out of range, not a word.
    let (_, problems) = parse("[ws]\nport = 99999999999999999999999999");
    let ProblemKind::BadValue { error, .. } = &problems[0].kind else { panic!("{problems:?}") };
    assert_eq!(*error, ValueError::OutOfRange { min: 0, max: 65_535 });
}

#[test]
fn a_certificate_needs_its_key() {
    check("[cometql]\ntls = required\ntls_cert = a.pem\ntls_key = b.pem\n", |config| {
        config.cometql.tls = Tls::Required;
        config.cometql.tls_cert = Some(PathBuf::from("a.pem"));
        config.cometql.tls_key = Some(PathBuf::from("b.pem"));
    });
    check("[cometql]\ntls = on\n", |config| config.cometql.tls = Tls::On);
    check_said("[cometql]\ntls_cert = a\n", &["2 error: tls_cert needs tls_key: give both or neither"]);
    check_said("[cometql]\n\ntls_key = a\n", &["3 error: tls_key needs tls_cert: give both or neither"]);
    check_said("[cometql]\ntls = true\n", &["2 error: tls = true: write one of: off, on, required"]);
}

#[test]
fn booleans_have_six_spellings() {
    for text in ["true", "True", "TRUE"] {
        check(&format!("[ws]\npin_cores = {text}"), |config| config.ws.pin_cores = true);
    }
    for text in ["false", "False", "FALSE"] {
        check(&format!("[ws]\npin_cores = {text}"), |config| config.ws.pin_cores = false);
    }
    for text in ["1", "0", "yes", "no", "on", "off", "tRUE"] {
        assert_eq!(severities(&format!("[ws]\npin_cores = {text}")), [Severity::Error], "{text}");
    }
}

#[test]
fn misspelt_names_are_suggested() {
    check_said(
        "[ws]\nprot = 1\n[main]\nnode-name = x\nthread_num = 3\nfrobnicate = 1\n",
        &[
            "2 warning: unknown key prot in [ws], left out; did you mean port?",
            "4 warning: unknown key node-name in [main], left out; did you mean node_name?",
            "5 warning: unknown key thread_num in [main], left out; did you mean thread_num in [ws]?",
            "6 warning: unknown key frobnicate in [main], left out",
        ][..],
    );
    check_said(
        "[WS]\nport = 1\n[commetql]\nport = 2\n[nonsense]\na = b\n",
        &[
            "1 warning: unknown section [WS], left out; did you mean [ws]?",
            "3 warning: unknown section [commetql], left out; did you mean [cometql]?",
            "5 warning: unknown section [nonsense], left out",
        ],
    );
}

#[test]
fn keys_are_case_sensitive() {
    check_said("[ws]\nPort = 1", &["2 warning: unknown key Port in [ws], left out; did you mean port?"]);
}

#[test]
fn lists_of_hosts() {
    let text = |lines: &str| format!("[ws]\n{lines}\n");
    let hosts = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        move |config: &mut Config| config.ws.hosts = names
    };
    check(&text("host = *"), hosts(&[]));
    check(&text("host = a.example"), hosts(&["a.example"]));
    check(&text("host = A.example, *.b.example,,a.example"), hosts(&["a.example", "*.b.example"]));
    check(&text("host = []a.example\nhost = []b.example"), hosts(&["a.example", "b.example"]));
    check(&text("host = []a.example\nhost = []*\nhost = []b.example"), hosts(&[]));
    check(&text("host = https://a.example:8443/, http://b.example"), hosts(&["a.example", "b.example"]));
    for bad in ["a b", "a..b", "*", "*.", "a.*.b", "http://", ",", "a/b", "\u{e9}.example", "[::1]"] {
        let good = bad == "*";
        assert_eq!(severities(&text(&format!("host = {bad}"))).is_empty(), good, "{bad}");
    }
    // A repeated plain key replaces; the list form of a plain key is refused.
    assert_eq!(severities(&text("host = a.example\nhost = b.example")), [Severity::Warning]);
    check_said("[ws]\nport = []1", &["2 error: port = 1: takes one value; []value adds to a list"]);
}

#[test]
fn hosts_have_a_maximum() {
    let many: Vec<String> = (0..HOSTS_MAX).map(|number| format!("h{number}.example")).collect();
    assert_eq!(severities(&format!("[ws]\nhost = {}", many.join(","))), []);
    assert_eq!(severities(&format!("[ws]\nhost = {},one-more.example", many.join(","))), [Severity::Error]);
}

#[test]
fn content_types_replace_the_built_in_list() {
    let types = |pairs: &[(&str, &str)]| {
        let pairs: BTreeMap<String, String> =
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        move |config: &mut Config| config.content_types = ContentTypes(pairs)
    };
    check("[content-type]\n", types(&[]));
    check("[content-type]\ncss = text/css\n", types(&[("css", "text/css")]));
    check("[content-type]\na = a/b\n[content-type]\nb = c/d+xml", types(&[("a", "a/b"), ("b", "c/d+xml")]));
    for bad in [".js = a/b", "elevenchars = a/b", "js = javascript", "js = a/b c", "js = []a/b", "js = /b", "js = a/"] {
        assert_eq!(severities(&format!("[content-type]\n{bad}")), [Severity::Error], "{bad}");
    }
    assert_eq!(severities("[content-type]\njs = a/b\njs = a/c\n"), [Severity::Warning]);
    check_said("[content-type]\njs = a/b; charset=utf-8\n", &["2 note: js ends before ; or #, where a comment begins"]);
}

#[test]
fn empty_values_keep_the_default() {
    check_said(
        "[main]\npassword =\n[ws]\nport =\n",
        &["2 note: password is empty; the default is used", "4 note: port is empty; the default is used"],
    );
    assert_eq!(parse("[main]\npassword =\n").0, Config::default());
}

#[test]
fn nothing_said_holds_the_password() {
    let secret = "hunter2hunter2;hunter2 #x";
    for text in [
        format!("[main]\npassword = {secret}"),
        format!("[main]\npassword = []{secret}"),
        format!("[main]\npassword {secret}"),
        format!("[main]\npasword = {secret}"),
        format!("password = {secret}"),
        format!("[main]\npassword = {secret}\u{7}"),
        "[main]\npassword = hunter2".to_owned(),
        format!("[main]\npassword = {}", "hunter2".repeat(1000)),
    ] {
        let said = said(&text);
        assert!(!said.is_empty(), "{text}");
        assert!(!said.iter().any(|line| line.contains("hunter2")), "{said:?}");
        assert!(!format!("{:?}", parse(&text).0).contains("hunter2"));
    }
}

#[test]
fn a_file_of_cppcomet_is_understood() {
    let text = "[main]\npassword = 0123456789abcdef\nnode_name = n1\npidfile = /var/run/x.pid\nbuf_size = 103840\n\
                [db]\nhost = 127.0.0.1\npassword = secret\nname = comet\nbuf_size = 103840\n[ws]\nip = 0.0.0.0\nport = 8087\nthread_num = 11\nbacklog = 10\n\
                cluster = []10.0.0.1:3310\n[cometql]\nip = 0.0.0.0\nport = 3307\nthread_num = 1\nbenchmark = 5\n\
                [statistics]\nallow = false\n[log]\nlevel = 340\nMySqlServer = 300\n[sip]\npipesalt = x\n";
    check_said(
        text,
        &[
            "4 note: ignored: pidfile in [main], because the process stays in the foreground and whoever starts it knows its number",
            "5 note: ignored: buf_size in [main], because buffers grow as they are needed, up to bounds of their own",
            "10 note: ignored: buf_size in [db], because texts are stored whole or refused, as the database's tables allow",
            "15 note: ignored: backlog in [ws], because the queue of new connections has a fixed length",
            "16 warning: ignored: cluster in [ws], because nodes cannot be joined yet; this server stands alone",
            "20 note: ignored: thread_num in [cometql], because one thread serves all CometQL sessions",
            "21 note: ignored: benchmark in [cometql], because figures are always kept",
            "22 note: ignored: [statistics], because nothing is ever sent to the vendor",
            "25 note: level 340 is read as warn",
            "26 note: ignored: MySqlServer in [log], because the log has one level for all parts",
            "27 warning: ignored: [sip], because calls are not served",
        ],
    );
}

#[test]
fn a_database_needs_a_name() {
    assert_eq!(severities("[db]\nhost = 10.0.0.1\npassword = 0123456789\n"), [Severity::Error]);
    assert_eq!(severities("[db]\nsocket = /run/mysqld.sock\n"), [Severity::Error]);
    check("[db]\nname = comet\npassword = short\nhost = db.example\n", |config| {
        config.db.name = Some("comet".to_owned());
        config.db.password = Some("short".to_owned());
        config.db.host = "db.example".to_owned();
    });
    assert!(!format!("{:?}", parse("[db]\npassword = hunter2\n").0).contains("hunter2"));
}

#[test]
fn every_old_key_is_known() {
    // The keys of CppComet 4.09, as its specification lists them.
    let old = [
        (
            "main",
            "password node_name dev_index_size buf_size fragment_buf_size fragment_buf_max_size answer_buf_size useQueryLoger send_user_online_events send_user_offline_events save_users_last_online_time pidfile base_dir api_version isTest",
        ),
        ("db", "host port user password name connection_attempts buf_size"),
        (
            "ws",
            "ip port thread_num backlog epoll_size statistics benchmark uptimeTestInterval maxUptime cluster host buf_size",
        ),
        ("cometql", "ip port thread_num backlog epoll_size statistics benchmark uptimeTestInterval maxUptime buf_size"),
        ("freeswitch", "ip port"),
        ("cometqlproxy", "ip port cluster"),
        ("mysqlproxy", "ip port"),
        ("statistics", "allow interval email host to_log profiler"),
        ("benchmark", "to_log"),
        ("sip", "pipesalt freeswitch port host"),
        ("http", "base_dir"),
        (
            "log",
            "level Any TagLoger appConf pipeCommands statistics removeOldConnections MySqlServer UserIndex UserItem ClientServer ServerServer SimpleRedisClient tcpServer CometQLCluster devManager FreeswitchServer dbLink",
        ),
    ];
    for (section, keys) in old {
        for key in keys.split(' ') {
            let (_, problems) = parse(&format!("[{section}]\n{key} = 1\n"));
            let unknown = problems.iter().any(|problem| {
                matches!(problem.kind, ProblemKind::UnknownKey { .. } | ProblemKind::UnknownSection { .. })
            });
            assert!(!unknown, "[{section}] {key}");
        }
    }
}

#[test]
fn ignored_names_are_not_keys_of_ours() {
    for ignored in ignored::IGNORED {
        assert!(!keys().any(|key| key.section == ignored.section && Some(key.name) == ignored.key));
        let own_section = SECTIONS.iter().any(|(name, _)| *name == ignored.section);
        assert_eq!(own_section, ignored.key.is_some(), "[{}]", ignored.section);
    }
}

#[test]
fn values_that_do_not_go_together() {
    check_said(
        "[ws]\nport = 5\n[cometql]\nport = 5\n",
        &["4 error: browsers and CometQL cannot both listen on port 5"],
    );
    check("[ws]\nip = 127.0.0.2\nport = 5\n[cometql]\nport = 5\n", |config| {
        config.ws.ip = "127.0.0.2".parse().unwrap();
        config.ws.port = 5;
        config.cometql.port = 5;
    });
    check("[ws]\nport = 0\n[cometql]\nport = 0\n", |config| {
        config.ws.port = 0;
        config.cometql.port = 0;
    });
    assert_eq!(severities("[cometql]\npacket_bytes_max = 4096\n"), [Severity::Error]);
    assert_eq!(severities("[cometql]\nquery_bytes_max = 2000000\n"), [Severity::Warning]);
    check("[cometql]\nquery_bytes_max = 2000000\n[ws]\nqueue_bytes_max = 2000000\n", |config| {
        config.cometql.query_bytes_max = 2_000_000;
        config.ws.queue_bytes_max = 2_000_000;
    });
}

#[test]
fn problems_have_a_maximum_and_errors_come_first() {
    let text = format!("[ws]\n{}port = x\n", "nonsense = 1\n".repeat(10_000));
    let (_, problems) = parse(&text);
    assert_eq!(problems.len(), 101);
    assert_eq!(problems.iter().filter(|problem| problem.line == 10_002).count(), 1);
    assert_eq!(problems.last().map(|problem| &problem.kind), Some(&ProblemKind::More));
}

#[test]
fn the_table_of_keys_is_sound() {
    let defaults = Config::default();
    for (index, key) in keys().enumerate() {
        let name = format!("[{}] {}", key.section, key.name);
        assert!(SECTIONS.iter().any(|(section, _)| *section == key.section), "{name}");
        assert!(key.section != keys::CONTENT_TYPE, "{name}");
        assert!(!keys().take(index).any(|other| other.section == key.section && other.name == key.name), "{name}");
        assert!(key.doc.ends_with(['.', ')']), "{name}: {}", key.doc);
        // The default is a value that may be given, and giving it changes nothing.
        if let Some(text) = key.text(&defaults) {
            let (config, problems) = parse(&format!("[{}]\n{} = {text}\n", key.section, key.name));
            assert_eq!(config, defaults, "{name}");
            assert!(problems.iter().all(|problem| problem.severity() == Severity::Note), "{name}: {problems:?}");
        }
    }
}

/// The shipped file is written from the table. To renew it after a change of the table, run this test with
/// `ENCKE_WRITE_SAMPLE=1`.
#[test]
fn the_shipped_file_is_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/config/comet.ini");
    if std::env::var_os("ENCKE_WRITE_SAMPLE").is_some() {
        std::fs::write(path, sample()).unwrap();
    }
    let shipped = std::fs::read_to_string(path).unwrap();
    assert_eq!(shipped, sample(), "config/comet.ini is not what the table of keys says; see this test");
    assert_eq!(parse(&shipped), (Config::default(), Vec::new()));
    for line in shipped.lines() {
        assert!(line.len() <= 100 && !line.contains(".;"), "{line}");
    }
    // Every key stands there once, set or commented out, with its default.
    let live: Vec<&str> = shipped.lines().map(|line| line.strip_prefix(';').unwrap_or(line)).collect();
    for key in keys() {
        let value = key.text(&Config::default()).unwrap_or_default();
        let line = format!("{} = {value}", key.name);
        assert!(live.contains(&line.trim_end()), "{line}");
    }
}

/// A text that survives as a value: no blanks around it, no `[]` in front, no control characters.
fn plain_text() -> impl Strategy<Value = String> {
    let text = "[!-~\u{430}-\u{44f}]([ -~\u{430}-\u{44f}]{0,30}[!-~])?";
    text.prop_filter("a list item", |text| !text.starts_with("[]"))
}

/// A tenant with the same password, and one that has a secret only.
fn tenants(password: Option<&str>) -> Tenants {
    let with_password = Tenant { password: password.map(str::to_owned), ..Tenant::default() };
    let with_secret = Tenant { jwt_secret: password.map(str::to_owned), ..Tenant::default() };
    Tenants(BTreeMap::from([(1, with_password), (2, with_secret)]))
}

#[test]
fn tenants_have_sections_of_their_own() {
    let text = "[tenant 7]\npassword = 0123456789abcdef\n[tenant 12]\njwt_secret = a=b;c and more text\n[tenant 7]\n\
                jwt_secret = fedcba9876543210\n[cometql]\nmaster_password_for_tenants = off\n";
    let (config, _) = parse(text);
    assert!(!config.cometql.master_password_for_tenants);
    let seven = Tenant {
        password: Some("0123456789abcdef".to_owned()),
        jwt_secret: Some("fedcba9876543210".to_owned()),
        ..Tenant::default()
    };
    assert_eq!(config.tenants.0.get(&7), Some(&seven));
    assert_eq!(config.tenants.0.get(&12).unwrap().jwt_secret.as_deref(), Some("a=b;c and more text"));
    assert_eq!(config.tenants.0.len(), 2);
    assert!(!format!("{config:?}").contains("0123456789abcdef"));
    assert!(!format!("{config:?}").contains("fedcba"));
}

#[test]
fn mistakes_in_sections_of_tenants() {
    let said = |text: &str| -> Vec<String> {
        let problems = parse(text).1;
        problems.iter().map(|problem| format!("{} {}", problem.line, problem.severity())).collect()
    };
    assert_eq!(said("[tenant 0]\npassword = 0123456789abcdef\n"), ["1 error"]);
    assert_eq!(said("[tenant x]\n"), ["1 error"]);
    assert_eq!(said("[tenant -1]\n"), ["1 error"]);
    assert_eq!(said("[tenant]\n"), ["1 error"]);
    assert_eq!(said("[tenants]\n"), ["1 warning"]);
    assert_eq!(said("[main]\ndev_index_size = 5\n[tenant 5]\n[tenant 4]\n"), ["3 error"]);
    assert_eq!(said("[tenant 5]\npassword = short\npasword = x\njwt_secret =\n"), ["2 warning", "3 warning", "4 note"]);
    let twice = "[tenant 5]\npassword = 0123456789abcdef\npassword = 0123456789abcdef\n";
    assert_eq!(said(twice), ["3 warning"]);
    let many: Vec<String> = (1..=TENANTS_MAX + 1).map(|number| format!("[tenant {number}]")).collect();
    assert_eq!(said(&many.join("\n")), [format!("{} error", TENANTS_MAX + 1)]);
    for text in ["[tenant 5]\npassword = []hunter2hunter2hunter2", "[tenant 5]\npassword = hunter2\n"] {
        let (config, problems) = parse(text);
        assert!(!format!("{config:?}").contains("hunter2"));
        assert!(problems.iter().all(|problem| !problem.in_file("f").contains("hunter2")));
    }
}

#[test]
fn proxies_are_addresses_and_ranges() {
    let proxies = |texts: &'static [&'static str]| {
        move |config: &mut Config| {
            config.ws.trusted_proxies = texts.iter().map(|text| Network::parse(text).unwrap()).collect();
        }
    };
    check("[ws]\ntrusted_proxies = 127.0.0.1, 10.0.0.0/8,,::1", proxies(&["127.0.0.1", "10.0.0.0/8", "::1"]));
    check("[ws]\ntrusted_proxies = []10.1.2.3/8\ntrusted_proxies = []fd00::/7", proxies(&["10.0.0.0/8", "fc00::/7"]));
    check("[ws]\nreal_ip_header = X-Forwarded-For", |config| {
        config.ws.real_ip_header = RealIpHeader::XForwardedFor;
    });
    for bad in ["example.com", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/-1", "1.2.3", "/8"] {
        assert_eq!(severities(&format!("[ws]\ntrusted_proxies = {bad}")), [Severity::Error], "{bad}");
    }
    let many: Vec<String> = (0..=PROXIES_MAX).map(|number| format!("10.0.0.{number}")).collect();
    assert_eq!(severities(&format!("[ws]\ntrusted_proxies = {}", many.join(","))), [Severity::Error]);
    // Behind a proxy of this machine all browsers would count as one.
    let text = "[ws]\nip = 127.0.0.1\nconnections_per_address_max = 5\n";
    assert_eq!(severities(text), [Severity::Warning]);
    assert_eq!(severities(&format!("{text}trusted_proxies = 127.0.0.1")), []);
}

fn any_config() -> impl Strategy<Value = Config> {
    let texts = (plain_text(), proptest::option::of(plain_text()), proptest::option::of(plain_text()), plain_text());
    let hosts = proptest::collection::vec("(\\*\\.)?[a-z0-9-]{1,10}(\\.[a-z]{1,5}){0,2}", 0..5);
    let types = proptest::collection::btree_map("[a-zA-Z0-9]{1,10}", "[a-z]{1,9}/[a-z.+-]{1,20}", 0..5);
    let numbers = proptest::collection::vec(any::<u64>(), keys().count());
    (texts, hosts, types, numbers, any::<[u8; 4]>(), any::<[u8; 4]>()).prop_map(
        |((node_name, password, base_dir, dir), mut hosts, types, numbers, ws_ip, cometql_ip)| {
            let mut config = Config::default();
            for (key, number) in keys().zip(numbers) {
                match &key.field {
                    Field::Number { min, max, set, .. } => set(&mut config, min + number % (max - min + 1)),
                    Field::Switch { set, .. } => set(&mut config, number % 2 == 0),
                    Field::Word { words, set, .. } | Field::Level { words, set, .. } => {
                        set(&mut config, words[number as usize % words.len()]);
                    }
                    Field::Text { .. } | Field::Address { .. } | Field::Hosts { .. } => {}
                    Field::Networks { set, .. } => {
                        let [a, b, c, d, bits, ..] = number.to_le_bytes();
                        let text = format!("{a}.{b}.{c}.{d}/{}", bits % 33);
                        set(&mut config, Network::parse(&text).into_iter().collect());
                    }
                }
            }
            // A name or a path that contains what looks like a comment cannot be written; a password can.
            let name = |text: String| values::before_comment(&text).to_owned();
            config.main.node_name = Some(name(node_name)).filter(|name| !name.is_empty()).unwrap_or("n".into());
            config.main.password = password;
            config.main.base_dir = base_dir.map(name).filter(|path| !path.is_empty()).map(PathBuf::from);
            config.storage.dir = Some(name(dir)).filter(|path| !path.is_empty()).unwrap_or("data".into()).into();
            config.ws.ip = IpAddr::from(ws_ip);
            config.cometql.ip = IpAddr::from(cometql_ip);
            hosts.sort();
            hosts.dedup();
            config.ws.hosts = hosts;
            config.content_types = ContentTypes(types);
            config.tenants = tenants(config.main.password.as_deref());
            config
        },
    )
}

proptest! {
    #[test]
    fn any_text_is_read_without_a_panic(text in any::<String>()) {
        let _ = parse(&text);
    }

    #[test]
    fn text_like_a_file_is_read_without_a_panic(
        text in "((\\[(ws|main|log|content-type|db|x)\\]?|(port|ip|host|level|js|password)? ?=?(\\[\\])?[ -~]{0,12})\r?\n){0,40}"
    ) {
        let (_, problems) = parse(&text);
        let lines = text.lines().count();
        prop_assert!(problems.iter().all(|problem| problem.line as usize <= lines));
    }

    #[test]
    fn a_file_cut_anywhere_is_read_without_a_panic(config in any_config(), at in any::<proptest::sample::Index>()) {
        let text = to_text(&config);
        let cut = at.index(text.len() + 1);
        if let Some(part) = text.get(..cut) {
            let _ = parse(part);
        }
    }

    #[test]
    fn a_configuration_written_out_is_read_back(config in any_config()) {
        let (back, problems) = parse(&to_text(&config));
        // Random values may contradict each other; what must not happen is that one of them is misread.
        let misread = problems.iter().any(|problem| matches!(
            problem.kind,
            ProblemKind::BadValue { .. } | ProblemKind::BadLine | ProblemKind::UnknownKey { .. } | ProblemKind::Repeated { .. }
        ));
        prop_assert!(!misread, "{:?}", problems);
        prop_assert_eq!(back, config);
    }
}

#[test]
fn token_algorithms() {
    check("[jwt]\nalgorithm = EdDSA\npublic_key = a.pem\nleeway_s = 60", |config| {
        config.jwt.algorithm = TokenAlgorithm::EdDsa;
        config.jwt.public_key = Some("a.pem".into());
        config.jwt.leeway_s = 60;
    });
    let alone = |text: &str| assert_eq!(severities(text), [Severity::Error], "{text}");
    alone("[jwt]\nalgorithm = none");
    alone("[jwt]\nalgorithm = hs256");
    alone("[jwt]\nalgorithm = RS256");
    alone("[jwt]\npublic_key = a.pem");
    alone("[jwt]\nalgorithm = ES256\npublic_key = a.pem\nsecret = 0123456789abcdef0123456789abcdef");
    check("[tenant 3]\njwt_algorithm = RS256\njwt_public_key = b.pem", |config| {
        let tenant = config.tenants.0.entry(3).or_default();
        tenant.jwt_algorithm = Some("RS256".into());
        tenant.jwt_public_key = Some("b.pem".into());
    });
    alone("[tenant 3]\njwt_algorithm = none\njwt_secret = 0123456789abcdef0123456789abcdef");
    alone("[tenant 3]\njwt_algorithm = RS256");
    alone("[tenant 3]\njwt_algorithm = HS256");
    alone("[tenant 3]\njwt_public_key = b.pem");
    alone("[tenant 3]\njwt_algorithm = ES256\njwt_public_key = b.pem\njwt_secret = 0123456789abcdef0123456789abcdef");
}

#[test]
fn figures_for_everybody_want_a_token() {
    check("[ws]\nmetrics = off\n", |config| config.ws.metrics = ByHttp::Off);
    check("[ws]\nmetrics = on\nmetrics_token = abc\n", |config| {
        config.ws.metrics = ByHttp::On;
        config.ws.metrics_token = Some("abc".into());
    });
    assert_eq!(severities("[ws]\nmetrics = on\n"), [Severity::Error]);
}
