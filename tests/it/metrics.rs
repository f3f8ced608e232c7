//! `GET /metrics`, and the rules and dashboards in `ops/` that rest on it.

use crate::server::{PATIENCE, Server, Setup};
use crate::tools;
use crate::transports::{Http, Response};
use loadtest::Answer;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const OPEN_METRICS: &str = "Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n";

fn ops(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("ops").join(file)
}

/// As a program on this machine asks.
fn asked(server: &Server, fields: &str) -> Response {
    let mut http = Http::connect(server);
    http.send(&format!("GET /metrics HTTP/1.1\r\nHost: {}\r\n{fields}\r\n", server.browsers));
    http.response()
}

fn scraped(server: &Server) -> String {
    let response = asked(server, "");
    assert_eq!((response.status, response.field("cache-control")), (200, "no-store"));
    response.text().to_owned()
}

fn value(text: &str, series: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.rsplit_once(' ').is_some_and(|(name, _)| name == series))?;
    line.rsplit_once(' ')?.1.parse().ok()
}

#[test]
fn figures_are_what_happened() {
    let server = Server::start(&Setup::default());
    let mut browser = server.browser();
    browser.send("subscription\nnews");
    server.await_subscribers("news", 1);
    let mut publisher = server.backend();
    for _ in 0..3 {
        publisher
            .execute("INSERT INTO pipes_messages (name, event, message) VALUES ('news', 'e', 'hello')")
            .expect("OK");
    }
    // The board is written some times a second.
    let text = tools::until(PATIENCE, || {
        let text = scraped(&server);
        let counts = ["encke_inserts_total", "encke_deliveries_total", "encke_publication_delivery_seconds_count"];
        counts.iter().all(|name| value(&text, name) == Some(3.0)).then_some(text)
    });
    let text = text.expect("three inserts and deliveries");
    let connections = ["0", "1"].map(|shard| value(&text, &format!("encke_shard_connections{{shard=\"{shard}\"}}")));
    assert!(connections.iter().all(Option::is_some), "{text}");
    let memory = value(&text, "process_resident_memory_bytes").expect("memory");
    assert!((memory / server.resident_bytes() as f64 - 1.0).abs() < 0.5, "{memory}");
    assert!(value(&text, "process_cpu_seconds_total").is_some() && value(&text, "process_threads").is_some());
}

#[test]
fn strangers_are_told_nothing() {
    let secret = "0123456789abcdef0123456789abcdef";
    let local = Server::start(&Setup::default());
    let off = Server::start(&Setup { more: "[ws]\nmetrics = off\n".into(), ..Setup::default() });
    let on =
        Server::start(&Setup { more: format!("[ws]\nmetrics = on\nmetrics_token = {secret}\n"), ..Setup::default() });
    let bearer = |token: &str| format!("Authorization: Bearer {token}\r\n");
    // Whoever a proxy on this machine asks for is no program of this machine; nor is the page of another site.
    let (proxied, page) = ("X-Forwarded-For: 203.0.113.9\r\n", "Origin: https://other.example\r\n");
    let cases = [
        (&local, String::new(), 200),
        (&local, proxied.to_owned(), 403),
        (&local, format!("{proxied}{}", bearer(secret)), 403),
        (&local, page.to_owned(), 403),
        (&off, String::new(), 404),
        (&on, String::new(), 200),
        (&on, proxied.to_owned(), 401),
        (&on, format!("{proxied}{}", bearer("0123")), 401),
        (&on, format!("{proxied}{}", bearer(secret)), 200),
        (&on, format!("{proxied}{page}{}", bearer(secret)), 403),
    ];
    for (server, fields, expected) in cases {
        let response = asked(server, &fields);
        assert_eq!(response.status, expected, "{fields}: {}", response.text());
        assert_eq!(response.text().contains("encke_connections"), expected == 200, "{fields}");
        assert_eq!(response.field("access-control-allow-origin"), "");
    }
    for server in [&local, &on] {
        let mut http = Http::connect(server);
        http.send("POST /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(http.response().status, 405);
    }
}

#[test]
fn prometheus_likes_both_formats_and_scrapes() {
    let test = "prometheus_likes_both_formats_and_scrapes";
    let Some(promtool) = tools::need(test, &["promtool"]) else { return };
    let Some(prometheus) = tools::need(test, &["prometheus"]) else { return };
    let Some(curl) = tools::need(test, &["curl"]) else { return };
    let server = Server::start(&Setup::default());
    let checked =
        tools::run_with_input(Command::new(&promtool).args(["check", "metrics"]), &scraped(&server), PATIENCE);
    assert!(checked.status.success() && checked.stderr.is_empty(), "{}{}", checked.stdout, checked.stderr);
    let open_metrics = asked(&server, OPEN_METRICS);
    assert!(open_metrics.field("content-type").starts_with("application/openmetrics-text"));

    let rules = ops("prometheus/encke.rules.yml");
    let configuration = format!(
        "global: {{ scrape_interval: 200ms, evaluation_interval: 200ms }}\nrule_files: [{:?}]\nscrape_configs:\n  \
         - job_name: encke\n    static_configs: [{{ targets: ['{}'] }}]\n",
        rules, server.browsers
    );
    let file = server.folder().join("prometheus.yml");
    fs::write(&file, configuration).expect("a file");
    let checked = tools::run(Command::new(&promtool).arg("check").arg("config").arg(&file), PATIENCE);
    assert!(checked.status.success(), "{}{}", checked.stdout, checked.stderr);
    let port = tools::free_port();
    let child = Command::new(prometheus)
        .arg(format!("--config.file={}", file.display()))
        .arg(format!("--storage.tsdb.path={}", server.folder().join("prometheus").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let _running = tools::Running(child.expect("it starts"));
    let ask = |query: &str| {
        let address = format!("http://127.0.0.1:{port}/api/v1/query");
        let mut command = Command::new(&curl);
        command.args(["--silent", "--get", &address, "--data-urlencode", &format!("query={query}")]);
        tools::run(&mut command, PATIENCE).stdout
    };
    let up = tools::until(PATIENCE, || ask("up{job=\"encke\"}").contains(",\"1\"]").then_some(()));
    assert!(up.is_some(), "{}", ask("up"));
    // The series that rules record comes after some scrapes.
    let recorded = tools::until(PATIENCE, || ask("encke:deliveries:rate1m").contains("\"value\"").then_some(()));
    assert!(recorded.is_some(), "{}", ask("encke:deliveries:rate1m"));
}

#[test]
fn rules_ring_when_they_should() {
    let Some(promtool) = tools::need("rules_ring_when_they_should", &["promtool"]) else { return };
    for (verb, file) in [("check", "prometheus/encke.rules.yml"), ("test", "prometheus/encke.rules.test.yml")] {
        let checked = tools::run(Command::new(&promtool).args([verb, "rules"]).arg(ops(file)), PATIENCE);
        assert!(checked.status.success(), "{verb}: {}{}", checked.stdout, checked.stderr);
    }
}

/// The strict parser of those who wrote the format.
#[test]
fn the_strict_parser_reads_it() {
    let test = "the_strict_parser_reads_it";
    let python = tools::root().join(".test-deps/venv/bin/python");
    let has_parser = |python| tools::run(Command::new(python).args(["-c", "import prometheus_client"]), PATIENCE);
    if !python.is_file() || !has_parser(&python).status.success() {
        return tools::skip(test, "prometheus-client", &format!("{} has no prometheus_client", python.display()));
    }
    let server = Server::start(&Setup::default());
    let response = asked(&server, OPEN_METRICS);
    assert_eq!(response.status, 200);
    let text = response.text();
    let script = "import sys\nfrom prometheus_client.openmetrics.parser import text_string_to_metric_families as parse\n\
                  print(sum(len(family.samples) for family in parse(sys.stdin.read())))";
    let parsed = tools::run_with_input(Command::new(python).args(["-c", script]), text, PATIENCE);
    assert!(parsed.status.success(), "{}", parsed.stderr);
    let series = text.lines().filter(|line| !line.starts_with('#')).count();
    assert_eq!(parsed.stdout.trim(), series.to_string());
}

/// Words of a file that look like the names of our series.
fn names_in(text: &str) -> BTreeSet<String> {
    let is_name = |byte: char| byte.is_ascii_alphanumeric() || byte == '_' || byte == ':';
    let words = text.split(|byte: char| !is_name(byte));
    words.filter(|word| word.starts_with("encke_") || word.starts_with("process_")).map(str::to_owned).collect()
}

#[test]
fn what_rules_and_dashboards_name_is_told() {
    let server = Server::start(&Setup::default());
    let text = scraped(&server);
    let told: BTreeSet<String> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next().map(str::to_owned))
        .collect();
    for file in ["prometheus/encke.rules.yml", "grafana/encke.json"] {
        let text = fs::read_to_string(ops(file)).expect("a file in ops");
        let named = names_in(&text);
        assert!(named.len() > 10, "{file} names {named:?}");
        let missing: Vec<&String> = named.difference(&told).collect();
        assert!(missing.is_empty(), "{file} names {missing:?}, which are not told");
    }
    assert_eq!(names_in("sum(encke_x_total{a=\"process_y\"}) / encke:z").len(), 2);
}

/// The dashboard for Grafana's MySQL source: each of its questions is answered, and those of one figure with that figure.
#[test]
fn questions_of_the_dashboard_by_cometql_are_answered() {
    let server = Server::start(&Setup::default());
    let mut backend = server.backend();
    let text = fs::read_to_string(ops("grafana/encke-sql.json")).expect("a file in ops");
    let dashboard: Value = serde_json::from_str(&text).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    assert!(panels.len() > 10);
    for panel in panels {
        let sql = panel["targets"][0]["rawSql"].as_str().expect("a statement");
        match backend.query(sql).expect("an answer") {
            Answer::Rows { columns, rows } => {
                assert!(
                    panel["type"] != "stat" || rows.len() == 1 && columns == ["metric", "value"],
                    "{sql}: {rows:?}"
                );
            }
            other => panic!("{sql}: {other:?}"),
        }
    }
}
