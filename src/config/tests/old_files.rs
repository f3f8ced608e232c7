//! What files that were written for CppComet look like: comments behind values in all the ways that occur, lists, sections
//! that are commented out or empty. The texts are our own; the forms are those of its shipped files, manual and tests.

use super::*;

/// What the file means; and of what is said, all but notes.
fn read(text: &str) -> (Config, Vec<String>) {
    let (config, problems) = parse(text);
    let severe = problems.iter().filter(|problem| problem.severity() > Severity::Note);
    (config, severe.map(|problem| format!("{} {}: {}", problem.line, problem.severity(), problem.kind)).collect())
}

#[track_caller]
fn check_form(lines: &str, is_read: impl Fn(&Config) -> bool) {
    let (config, severe) = read(lines);
    assert!(severe.is_empty() && is_read(&config), "{lines:?}: {severe:?}");
}

#[test]
fn comments_behind_values_that_cannot_contain_them() {
    for behind in [
        "",
        " ",
        "\t",
        ";",
        "; ",
        ";x",
        " ;x",
        " ; x",
        "    ; two words",
        "\t; x",
        "#",
        " # x",
        "# x",
        ";;",
        " ; a = b",
        " ; [ws]",
        " # ; #",
        " ; (0 = off)",
        "\r",
    ] {
        let with = |section: &str, value: &str| format!("[{section}]\n{value}{behind}\n");
        check_form(&with("ws", "thread_num = 12"), |config| config.ws.thread_num == 12);
        check_form(&with("ws", "port=9000"), |config| config.ws.port == 9000);
        check_form(&with("ws", "ip = 10.0.0.1"), |config| config.ws.ip == IpAddr::from([10, 0, 0, 1]));
        check_form(&with("cometql", "ip = ::1"), |config| config.cometql.ip.is_loopback());
        check_form(&with("main", "send_user_online_events = false"), |config| !config.main.send_user_online_events);
        check_form(&with("main", "save_users_last_online_time = True"), |config| {
            config.main.save_users_last_online_time
        });
        check_form(&with("log", "level = 200"), |config| config.log.level == LogLevel::Error);
        check_form(&with("log", "level = warn"), |config| config.log.level == LogLevel::Warn);
        check_form(&with("ws", "host = *"), |config| config.ws.hosts.is_empty());
        check_form(&with("ws", "host = a.example, b.example"), |config| config.ws.hosts == ["a.example", "b.example"]);
        check_form(&with("ws", "host = []a.example"), |config| config.ws.hosts == ["a.example"]);
        check_form(&with("content-type", "js = application/javascript"), |config| {
            config.content_types.0.get("js").is_some_and(|name| name == "application/javascript")
        });
        check_form(&with("cometql", "string_escapes = legacy"), |config| {
            config.cometql.string_escapes == StringEscapes::Legacy
        });
        // The algorithm wants a secret.
        let secret = "jwt_secret = 0123456789abcdef0123456789abcdef\n";
        check_form(&(with("tenant 5", "jwt_algorithm = HS256") + secret), |config| {
            config.tenants.0[&5].jwt_algorithm.as_deref() == Some("HS256")
        });
    }
}

#[test]
fn comments_behind_names_and_paths_have_a_blank_beside_them() {
    for behind in ["", " ; x", " ;x", "; x", ";", " #", " # x", "\t; x"] {
        check_form(&format!("[main]\nnode_name = node-1{behind}\n"), |config| config.main.node_name == "node-1");
        check_form(&format!("[db]\nname = comet{behind}\n"), |config| config.db.name.as_deref() == Some("comet"));
        check_form(&format!("[db]\nname = a\nhost = db.example{behind}\n"), |config| config.db.host == "db.example");
        check_form(&format!("[main]\nbase_dir = /var/www/html{behind}\n"), |config| {
            config.main.base_dir == Some(PathBuf::from("/var/www/html"))
        });
    }
    // Without a blank they are part of it.
    check_form("[main]\nbase_dir = /srv/a;b#c\n", |config| config.main.base_dir == Some(PathBuf::from("/srv/a;b#c")));
    check_said("[main]\nnode_name = a ; b\n", &["2 note: node_name ends before ; or #, where a comment begins"]);
    check_said("[main]\nnode_name = ; b\n", &["2 note: node_name is empty; the default is used"]);
}

#[test]
fn passwords_are_whole_lines_and_what_looks_like_a_comment_is_told() {
    let part_of_it = "which is part of the value; if it begins a comment, give that a line of its own";
    for (value, like_comment) in [
        ("0123456789abcdef;ghi", false),
        ("0123456789#abcdef", false),
        ("0123456789abcdef ; mine", true),
        ("0123456789abcdef; mine", true),
        ("0123456789abcdef;", true),
        ("0123456789abcdef #", true),
        ("#123456789 abcdef", true),
    ] {
        for (section, key) in [("main", "password"), ("jwt", "secret"), ("tenant 3", "password"), ("db", "password")] {
            let name = if section == "db" { "\nname = a" } else { "" };
            let (config, problems) = parse(&format!("[{section}]\n{key} = {value}{name}\n"));
            let read = match section {
                "main" => config.main.password,
                "jwt" => config.jwt.secret,
                "db" => config.db.password,
                _ => config.tenants.0[&3].password.clone(),
            };
            assert_eq!(read.as_deref(), Some(value));
            let said: Vec<_> = problems.iter().map(|problem| (problem.severity(), problem.kind.to_string())).collect();
            let expected = if like_comment {
                (Severity::Warning, format!("{key} contains ; or # beside a blank, {part_of_it}"))
            } else {
                let text = "contains ; or #, which is part of the value; CppComet cut it off there";
                (Severity::Note, format!("{key} {text}"))
            };
            assert_eq!(said, [expected], "[{section}] {value}");
        }
    }
}

#[test]
fn lists_of_nodes_are_no_values_of_ours() {
    let node = "[]Server=127.0.0.1,Database=CometQL_v1,Uid=root,Pwd=0123456789abcdef,Port=3311 ; the second one";
    let because = "because nodes cannot be joined yet; this server stands alone";
    let text = format!("[ws]\ncometql = {node}\ncometql = {node}\ncluster = {node}\n");
    let expected: Vec<String> = [(2, "cometql"), (3, "cometql"), (4, "cluster")]
        .map(|(line, key)| format!("{line} warning: ignored: {key} in [ws], {because}"))
        .into();
    assert_eq!(said(&text), expected);
    // Ours takes a word, and no list.
    check("[ws]\ncometql = off ; by HTTP\n", |config| config.ws.cometql = ByHttp::Off);
    assert_eq!(severities("[ws]\ncometql = Server=127.0.0.1\n"), [Severity::Error]);
    for section in ["cluster", "cometqlproxy", "mysqlproxy"] {
        let expected = format!("1 warning: ignored: [{section}], {because}");
        assert_eq!(said(&format!("[{section}]\n; later\ncometql = {node}\nport = 3301 ; x\n")), [expected]);
        assert_eq!(said(&format!(";[{section}]\n;cometql = {node}\n; port = 3301 ; x\n")), Vec::<String>::new());
    }
}

/// A whole file as it was shipped, in our own words.
#[test]
fn a_shipped_file_is_understood() {
    let text = "\u{feff}; About this file\n;\n\n[main]\n\n; What backends log in with\npassword = 0123456789abcdef0123456789abcdef\n\n\
        isTest = false; not for you\nsend_user_online_events = true \nsend_user_offline_events = false\n\n\
        pidfile = /var/run/a.pid ; leave it as it is\nuseQueryLoger = false\nuseQueryLoger = true\n\n\
        [db]\nhost = localhost\nuser = root\npassword = root\nname = comet_db\nport = 3305 \n\n\
        [ws]\nip = 0.0.0.0\nthread_num = 4 ; threads for pages\nstatistics = 10 ;seconds (0 = never)\nport = 8087 ; of pages\n\
        uptimeTestInterval = 600 ; seconds\nmaxUptime = 0 ; never\nhost = *  ; names, with commas between\n\n\
        ; The other nodes\ncometql = []Server=127.0.0.1,Database=CometQL_v1,Uid=root,Pwd=0,Port=3311 \n\
        cometql = []Server=127.0.0.1,Database=CometQL_v1,Uid=root,Pwd=0,Port=3321\n\n\
        [cometql]\nip = 0.0.0.0\nthread_num = 3 ; threads for backends\nstatistics = 10\nport = 3307\n\n\
        [freeswitch]\n;ip\n;port\n\n[statistics]\nallow = true  ; to the vendor\nto_log = true   ; often\n\n\
        ;[cometqlproxy]\n;\n;ip = 0.0.0.0\n\n[cluster]\n; later\n\n\
        [content-type]\njs = application/javascript\ncss = text/css; charset=UTF-8\n\n\
        [sip]\nfreeswitch = []Server=127.0.0.1,Pwd=x,Port=8021\n\n\
        [log]\nlevel = 200; 600 is all\n\nAny                     = 500\nTagLoger = 500 ; x\n";
    let (config, severe) = read(text);
    let nodes = "because nodes cannot be joined yet; this server stands alone";
    let expected = [
        format!("34 warning: ignored: cometql in [ws], {nodes}"),
        format!("35 warning: ignored: cometql in [ws], {nodes}"),
        "43 warning: ignored: [freeswitch], because calls are not served".to_owned(),
        format!("55 warning: ignored: [cluster], {nodes}"),
        "62 warning: ignored: [sip], because calls are not served".to_owned(),
    ];
    assert_eq!(severe, expected);
    let mut expected = Config::default();
    expected.main.password = Some("0123456789abcdef0123456789abcdef".to_owned());
    expected.main.send_user_offline_events = false;
    expected.db.host = "localhost".to_owned();
    expected.db.user = "root".to_owned();
    expected.db.password = Some("root".to_owned());
    expected.db.name = Some("comet_db".to_owned());
    expected.db.port = 3305;
    expected.ws.thread_num = 4;
    expected.cometql.ip = IpAddr::from([0, 0, 0, 0]);
    expected.cometql.port = 3307;
    let types = [("css", "text/css"), ("js", "application/javascript")];
    expected.content_types = ContentTypes(types.map(|(name, text)| (name.to_owned(), text.to_owned())).into());
    expected.log.level = LogLevel::Error;
    assert_eq!(config, expected);
}
