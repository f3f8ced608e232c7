//! Logins whatever the greeting offers first: a client that dropped `mysql_native_password` and one that never learnt
//! `caching_sha2_password` must both get in.

use super::mariadb;
use crate::server::{PATIENCE, Server, Setup};
use crate::tools;
use std::process::Command;

/// The offers of `[cometql] auth_plugin`.
pub(super) const OFFERS: [&str; 2] = ["mysql_native_password", "caching_sha2_password"];

pub(super) fn server_that_offers(plugin: &str) -> Server {
    Server::start(&Setup { more: format!("[cometql]\nauth_plugin = {plugin}\n"), ..Setup::default() })
}

/// Each prints the answer to SELECT 7 and nothing else. The address and the password are arguments.
const PYTHON: &str = r#"
import importlib, sys
module = importlib.import_module(sys.argv[1])
names = {"MySQLdb": ("passwd", "db")}.get(sys.argv[1], ("password", "database"))
given = {"host": sys.argv[2], "port": int(sys.argv[3]), "user": "root", names[0]: sys.argv[4], names[1]: "CometQL_v1"}
connection = module.connect(**given)
cursor = connection.cursor()
cursor.execute("SELECT 7")
print(cursor.fetchone()[0], end="")
"#;

const PHP: &str = r#"
mysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);
$comet = new mysqli($argv[1], "root", $argv[3], "CometQL_v1", (int)$argv[2]);
$comet->change_user("root", $argv[3], "CometQL_v1");
echo $comet->query("SELECT 7")->fetch_row()[0];
"#;

const NODE: &str = r#"
const [library, folder, host, port, password] = process.argv.slice(1);
const options = { host, port: Number(port), user: "root", password, database: "CometQL_v1" };
const load = require("module").createRequire(folder + "/");
const print = (rows) => process.stdout.write(String(Object.values(rows[0])[0]));
if (library === "mariadb") {
  load("mariadb").createConnection(options).then((comet) => comet.query("SELECT 7").then(print).then(() => comet.end()));
} else {
  const comet = load(library).createConnection(options);
  comet.query("SELECT 7", (error, rows) => {
    if (error) throw error;
    print(rows);
    comet.end();
  });
}
"#;

fn check(command: &dyn Fn() -> Command) {
    for plugin in OFFERS {
        let server = server_that_offers(plugin);
        let mut command = command();
        let address = server.cometql;
        command.args([address.ip().to_string(), address.port().to_string(), server.password.clone()]);
        let finished = tools::run(&mut command, PATIENCE);
        assert_eq!(finished.stdout, "7", "{plugin}: {}", finished.stderr);
    }
}

#[test]
fn python_libraries_log_in_whatever_is_offered() {
    let test = "python_libraries_log_in_whatever_is_offered";
    for (module, client) in [("pymysql", "pymysql"), ("MySQLdb", "mysqlclient"), ("mysql.connector", "connector")] {
        let Some(python) = super::python(test, module, client) else { continue };
        check(&|| {
            let mut command = Command::new(python.get_program());
            command.args(["-c", PYTHON, module]);
            command
        });
    }
}

#[test]
fn php_logs_in_whatever_is_offered() {
    let test = "php_logs_in_whatever_is_offered";
    if super::php(test, "mysqli", "mysqli.php").is_none() {
        return;
    }
    check(&|| {
        let mut command = Command::new("php");
        command.args(["-r", PHP, "--"]);
        command
    });
}

#[test]
fn node_libraries_log_in_whatever_is_offered() {
    let test = "node_libraries_log_in_whatever_is_offered";
    for library in ["mysql", "mysql2", "mariadb"] {
        let Some(node) = super::node(test, library) else { continue };
        let folder = tools::root().join(".test-deps/node");
        check(&|| {
            let mut command = Command::new(node.get_program());
            command.args(["-e", NODE, library]).arg(&folder);
            command
        });
    }
}

#[test]
fn mariadb_logs_in_whatever_is_offered() {
    let Some(program) = mariadb::program("mariadb_logs_in_whatever_is_offered") else { return };
    for plugin in OFFERS {
        let server = server_that_offers(plugin);
        // The plugin that the client prefers is not always the one that is offered.
        for preferred in OFFERS {
            let mut client = mariadb::command(&program, &server, &server.password);
            client.args([&format!("--default-auth={preferred}"), "--skip-column-names", "--execute", "SELECT 7"]);
            let finished = tools::run(&mut client, PATIENCE);
            assert_eq!(finished.stdout.trim(), "7", "{plugin} {preferred}: {}", finished.stderr);
        }
    }
}

/// The kernel looks whether a silent backend is still there.
#[test]
fn sessions_are_kept_alive() {
    let server = Server::start(&Setup::default());
    let backend = std::net::TcpStream::connect(server.cometql).expect("a connection");
    let browser = std::net::TcpStream::connect(server.browsers).expect("a connection");
    let timer = |client: &std::net::TcpStream, port: u16| {
        let client = client.local_addr().expect("an address").port();
        let ends = [format!(":{port:04X}"), format!(":{client:04X}")];
        // A session that is accepted has its own line: local, remote, state, queues, and the timer that runs.
        tools::until(PATIENCE, || {
            let table = std::fs::read_to_string("/proc/net/tcp").expect("the table of connections");
            table.lines().find_map(|line| {
                let fields: Vec<&str> = line.split_whitespace().collect();
                let [_, local, remote, "01", _, timer, ..] = fields.as_slice() else { return None };
                let found = local.ends_with(&ends[0]) && remote.ends_with(&ends[1]);
                found.then(|| timer.split(':').next().unwrap_or_default().to_owned())
            })
        })
    };
    // 2: it waits to probe. The greeting may be on its way to be confirmed, for which 1 stands.
    let probes = tools::until(PATIENCE, || (timer(&backend, server.cometql.port())? == "02").then_some(()));
    assert!(probes.is_some(), "a session is never probed");
    // Browsers are pinged instead.
    assert_eq!(timer(&browser, server.browsers.port()).as_deref(), Some("00"));
}
