//! A machine on which all is fine, and for each check the changes that make it red.

use super::system::assignments;
use super::*;
use crate::config;
use crate::model::Network;
use std::collections::BTreeSet;

const LIMITS: &str = "Limit                     Soft Limit           Hard Limit           Units     \n\
    Max core file size        0                    unlimited            bytes     \n\
    Max open files            1048576              1048576              files     \n";

fn machine() -> System {
    let files = [
        ("/proc/sys/fs/file-max", "9223372036854775807\n"),
        ("/proc/sys/fs/file-nr", "1184\t0\t9223372036854775807\n"),
        ("/proc/sys/fs/nr_open", "1048576\n"),
        ("/proc/sys/kernel/core_pattern", "core\n"),
        ("/proc/sys/kernel/io_uring_disabled", "0\n"),
        ("/proc/sys/net/core/somaxconn", "4096\n"),
        ("/proc/sys/net/ipv4/ip_local_port_range", "32768\t60999\n"),
        ("/proc/sys/net/ipv4/ip_unprivileged_port_start", "1024\n"),
        ("/proc/sys/net/ipv4/tcp_max_syn_backlog", "2048\n"),
        ("/proc/sys/net/ipv4/tcp_mem", "93267\t124358\t186534\n"),
        ("/proc/sys/net/ipv4/tcp_rmem", "4096\t131072\t6291456\n"),
        ("/proc/sys/net/ipv4/tcp_wmem", "4096\t16384\t4194304\n"),
        ("/proc/sys/net/netfilter/nf_conntrack_count", "211\n"),
        ("/proc/sys/net/netfilter/nf_conntrack_max", "262144\n"),
        ("/proc/sys/vm/overcommit_memory", "0\n"),
        ("/proc/meminfo", "MemTotal:        8145236 kB\nMemFree:          123456 kB\n"),
        ("/proc/self/limits", LIMITS),
        ("/sys/kernel/mm/transparent_hugepage/defrag", "always defer defer+madvise [madvise] never\n"),
        ("/sys/kernel/mm/transparent_hugepage/enabled", "[always] madvise never\n"),
    ];
    System {
        files: files.map(|(file, text)| (file.to_owned(), text.to_owned())).into(),
        page_bytes: 4096,
        cores: 2,
        user: 0,
        server: None,
        unit: None,
        memory_limits: vec!["max\n".to_owned()],
        data: Data { folder: "data".to_owned(), found: Some(Ok(data_folder())) },
        io_uring: Some(Ok(())),
        own_tables: Some(Ok(())),
        ports: vec![
            Port { of: "browsers", key: "[ws] port", address: "0.0.0.0:8087".parse().unwrap(), free: Some(Ok(())) },
            Port {
                of: "backends",
                key: "[cometql] port",
                address: "127.0.0.1:3300".parse().unwrap(),
                free: Some(Ok(())),
            },
        ],
        certificate: Some(Certificate::NotYet),
        clock_is_synchronised: Some(true),
        now: NOW,
    }
}

/// 2026-12-01.
const NOW: i64 = 20_788 * 86_400;

fn data_folder() -> Folder {
    Folder {
        exists: true,
        owner: 990,
        mode: 0o40700,
        kind: 0xef53,
        free_bytes: 20 << 30,
        free_files: Some(1_000_000),
        writes_us: Some(Ok(vec![900; 20])),
        written: Some(NOW - 5),
        ..Folder::default()
    }
}

fn unit(more: &str) -> Unit {
    Unit {
        file: "/usr/lib/systemd/system/encke.service".to_owned(),
        text: format!("{}{more}", include_str!("../../config/encke.service")),
    }
}

fn server() -> Server {
    Server {
        process: 812,
        limits: LIMITS.to_owned(),
        status: "Name:\tencke\nUid:\t990\t990\t990\t990\n".to_owned(),
        program_is_gone: false,
        open_descriptors: vec![("browsers-0".to_owned(), 5_000), ("browsers-1".to_owned(), 4_000)],
    }
}

fn good() -> Read {
    Read { file: "comet.ini".to_owned(), problems: Ok(Vec::new()) }
}

/// A certificate for this many days from now.
fn certificate(days: i64, names: &[&str], own: bool) -> Certificate {
    let mut parameters =
        rcgen::CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
    let day = |days: i64| {
        rcgen::date_time_ymd(2026, 12, 1)
            + (rcgen::date_time_ymd(2026, 12, 2) - rcgen::date_time_ymd(2026, 12, 1)) * days as i32
    };
    (parameters.not_before, parameters.not_after) = (day(days - 90), day(days));
    let key = rcgen::KeyPair::generate().unwrap();
    let chain = if own {
        vec![parameters.self_signed(&key).unwrap().der().to_vec()]
    } else {
        let authority_key = rcgen::KeyPair::generate().unwrap();
        let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
        authority.distinguished_name.push(rcgen::DnType::CommonName, "an authority");
        let issuer = rcgen::Issuer::from_params(&authority, &authority_key);
        vec![
            parameters.signed_by(&key, &issuer).unwrap().der().to_vec(),
            authority.self_signed(&authority_key).unwrap().der().to_vec(),
        ]
    };
    Certificate::Usable { file: "tls.crt".to_owned(), own, chain }
}

#[test]
fn a_good_machine_is_fine() {
    let report = examine(&Config::default(), &good(), &machine(), None);
    let wrong: Vec<_> = report.findings.iter().filter(|(_, finding)| finding.verdict != Verdict::Ok).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!((report.verdict(), report.connections), (Verdict::Ok, CONNECTIONS));
    // So it is while the server runs from its unit, with TLS and a proxy in front.
    let mut system = machine();
    (system.server, system.unit) = (Some(server()), Some(unit("")));
    system.certificate = Some(certificate(80, &["comet.example"], false));
    let mut config = Config::default();
    config.cometql.tls = Tls::Required;
    config.ws.trusted_proxies = vec![Network::parse("127.0.0.1").unwrap()];
    let report = examine(&config, &good(), &system, None);
    let wrong: Vec<_> = report.findings.iter().filter(|(_, finding)| finding.verdict != Verdict::Ok).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_machine_that_tells_nothing_is_not_called_bad() {
    let report = examine(&Config::default(), &good(), &System::default(), None);
    assert_eq!(report.verdict(), Verdict::Ok, "{}", report.text());
}

/// What is changed, the check that notices, how bad it is, and words of the reason or of what helps.
struct Red(&'static str, Verdict, &'static str, fn(&mut System, &mut Config, &mut Read));

fn put(system: &mut System, file: &str, text: &str) {
    assert!(files().any(|known| known == file), "{file} is not gathered");
    system.files.insert(file.to_owned(), text.to_owned());
}

fn folder(system: &mut System) -> &mut Folder {
    system.data.found.as_mut().unwrap().as_mut().unwrap()
}

fn with_tls(system: &mut System, config: &mut Config, certificate: Certificate) {
    config.cometql.tls = Tls::On;
    system.certificate = Some(certificate);
}

use super::Verdict::{Error, Warning};
use crate::config::{Durability, SendEngine, Tls};

const REDS: &[Red] = &[
    Red("configuration", Error, "nowhere.ini does not exist", |_, _, read| {
        read.problems = Err("nowhere.ini does not exist".to_owned());
    }),
    Red("configuration", Error, "comet.ini:2: error: port = x", |_, _, read| {
        read.problems = Ok(config::parse("[ws]\nport = x\nprot = 1\n").1);
    }),
    Red("configuration", Warning, "encke check-config --conf comet.ini", |_, _, read| {
        read.problems = Ok(config::parse("[ws]\nprot = 1\n").1);
    }),
    Red("data folder", Error, "as root", |system, _, _| system.data.found = Some(Err("Permission denied".to_owned()))),
    Red("data folder", Error, "belongs to user 990, and the server is user 1000", |system, _, _| system.user = 1000),
    Red("data folder", Error, "chown -R 0 data", |system, _, _| {
        system.server = Some(Server { status: "Uid:\t0\t0\t0\t0\n".to_owned(), ..server() });
    }),
    Red("data folder", Error, "data/encke.db belongs to another user", |system, _, _| {
        folder(system).foreign = vec!["data/encke.db".to_owned()];
    }),
    Red("data folder", Warning, "chmod 700 data", |system, _, _| folder(system).mode = 0o40750),
    Red("data folder", Warning, "mode 750", |system, config, _| {
        folder(system).mode = 0o40750;
        config.main.password_group = Some("www-data".to_owned());
    }),
    Red("file system", Error, "NFS", |system, _, _| folder(system).kind = 0x6969),
    Red("file system", Warning, "gone after a restart", |system, _, _| folder(system).kind = 0x0102_1994),
    Red("file system", Warning, "gone with the container", |system, _, _| folder(system).kind = 0x794c_7630),
    Red("file system", Warning, "9p", |system, _, _| folder(system).kind = 0x0102_1997),
    Red("file system", Error, "another file system than its log", |system, _, _| {
        folder(system).database_is_elsewhere = true;
    }),
    Red("disk space", Error, "50 MiB free", |system, _, _| folder(system).free_bytes = 50 << 20),
    Red("disk space", Warning, "500 MiB free", |system, _, _| folder(system).free_bytes = 500 << 20),
    Red("disk space", Error, "df -i", |system, _, _| folder(system).free_files = Some(0)),
    Red("disk speed", Warning, "within 40.0 ms", |system, _, _| {
        folder(system).writes_us = Some(Ok((0..20).map(|number| 30_000 + number * 1_000).collect()));
    }),
    Red("disk speed", Error, "durability = lazy", |system, _, _| {
        folder(system).writes_us = Some(Ok(vec![900_000; 20]));
    }),
    Red("disk speed", Error, "Read-only", |system, _, _| {
        folder(system).writes_us = Some(Err("Read-only file system".to_owned()));
    }),
    Red("program", Warning, "systemctl restart", |system, _, _| {
        system.server = Some(Server { program_is_gone: true, ..server() });
    }),
    Red("unit", Warning, "it lacks ", |system, _, _| {
        system.unit = Some(Unit { text: "[Service]\nLimitNOFILE=1048576\n".to_owned(), ..unit("") });
    }),
    Red("ports", Error, "sport = :8087", |system, _, _| system.ports[0].free = Some(Err("in use".to_owned()))),
    Red("ports", Error, "CAP_NET_BIND_SERVICE", |system, _, _| {
        system.unit = Some(unit(""));
        system.ports[0].address.set_port(80);
    }),
    Red("descriptors", Error, "1024 for each shard, of this shell", |system, _, _| {
        put(system, "/proc/self/limits", &LIMITS.replace("1048576", "1024"));
    }),
    Red("descriptors", Error, "1024 for each shard, of the running server", |system, _, _| {
        system.server = Some(Server { limits: LIMITS.replace("1048576", "1024"), ..server() });
    }),
    Red("descriptors", Error, "systemctl edit encke", |system, _, _| {
        system.unit = Some(unit("LimitNOFILE=1024:524288\n"));
    }),
    Red("descriptors", Error, "10064 are needed", |system, _, _| {
        system.own_tables = Some(Err("Operation not permitted".to_owned()));
        put(system, "/proc/self/limits", &LIMITS.replace("1048576", "8192"));
    }),
    Red("descriptors", Warning, "[ws] connections_max = 200000 is more", |system, config, _| {
        config.ws.connections_max = 200_000;
        put(system, "/proc/self/limits", &LIMITS.replace("1048576", "65536"));
    }),
    Red("descriptors", Warning, "browsers-1 has 900000 of them open", |system, _, _| {
        let open_descriptors = vec![("browsers-0".to_owned(), 9), ("browsers-1".to_owned(), 900_000)];
        system.server = Some(Server { open_descriptors, ..server() });
    }),
    Red("fs.nr_open", Error, "does not start", |system, _, _| {
        system.unit = Some(unit(""));
        put(system, "/proc/sys/fs/nr_open", "65536\n");
    }),
    Red("fs.nr_open", Error, "6314 descriptors are needed", |system, _, _| {
        put(system, "/proc/sys/fs/nr_open", "4096\n");
    }),
    Red("fs.file-max", Error, "11184 are needed", |system, _, _| put(system, "/proc/sys/fs/file-max", "10000\n")),
    Red("accept queue", Warning, "sysctl -w net.core.somaxconn=4096", |system, _, _| {
        put(system, "/proc/sys/net/core/somaxconn", "128\n");
    }),
    Red("handshake queue", Warning, "net.ipv4.tcp_max_syn_backlog = 128", |system, _, _| {
        put(system, "/proc/sys/net/ipv4/tcp_max_syn_backlog", "128\n");
    }),
    Red("local ports", Warning, "2001 (30000 to 32000)", |system, config, _| {
        config.ws.trusted_proxies = vec![Network::parse("127.0.0.0/8").unwrap()];
        put(system, "/proc/sys/net/ipv4/ip_local_port_range", "30000\t32000\n");
    }),
    Red("conntrack", Error, "10000 connections do not fit", |system, _, _| {
        put(system, "/proc/sys/net/netfilter/nf_conntrack_max", "8192\n");
    }),
    Red("conntrack", Warning, "stay in it for minutes", |system, _, _| {
        put(system, "/proc/sys/net/netfilter/nf_conntrack_count", "262000\n");
    }),
    Red("io_uring", Warning, "sysctl -w kernel.io_uring_disabled=0", |system, _, _| {
        system.io_uring = Some(Err("Operation not permitted".to_owned()));
        put(system, "/proc/sys/kernel/io_uring_disabled", "2\n");
    }),
    Red("io_uring", Error, "seccomp", |system, config, _| {
        system.io_uring = Some(Err("Operation not permitted".to_owned()));
        config.ws.send_engine = SendEngine::IoUring;
    }),
    Red("descriptor tables", Warning, "Operation not permitted", |system, _, _| {
        system.own_tables = Some(Err("Operation not permitted".to_owned()));
    }),
    Red("TCP memory", Error, "31 MiB for all sockets", |system, _, _| {
        put(system, "/proc/sys/net/ipv4/tcp_mem", "1000\t2000\t8000\n");
    }),
    Red("TCP memory", Warning, "with slow readers among them need 300 MiB", |system, _, _| {
        put(system, "/proc/sys/net/ipv4/tcp_mem", "1000\t2000\t40000\n");
    }),
    Red("socket buffers", Warning, "tcp_wmem begins at 1 MiB", |system, _, _| {
        put(system, "/proc/sys/net/ipv4/tcp_wmem", "1048576\t1048576\t4194304\n");
    }),
    Red("memory", Error, "64 MiB of the control group", |system, _, _| {
        system.memory_limits.push("67108864\n".to_owned());
    }),
    Red("memory", Error, "60 MiB of MemoryMax", |system, _, _| system.unit = Some(unit("MemoryMax=60M\n"))),
    Red("memory", Warning, "[ws] waiting_bytes_max = ", |system, _, _| {
        put(system, "/proc/meminfo", "MemTotal:         204800 kB\n");
    }),
    Red("overcommit", Warning, "vm.overcommit_memory=0", |system, _, _| {
        put(system, "/proc/sys/vm/overcommit_memory", "2\n");
    }),
    Red("huge pages", Warning, "echo madvise", |system, _, _| {
        put(system, "/sys/kernel/mm/transparent_hugepage/defrag", "[always] defer defer+madvise madvise never\n");
    }),
    Red("certificate", Error, "tls.key is another one", |system, config, _| {
        with_tls(system, config, Certificate::Unusable("tls.key is another one".to_owned()));
    }),
    Red("certificate", Error, "does not begin with a certificate", |system, config, _| {
        let chain = vec![vec![0x30, 0x03, 1, 2, 3]];
        with_tls(system, config, Certificate::Usable { file: "tls.crt".to_owned(), own: false, chain });
    }),
    Red("certificate", Error, "has ended 3 days ago", |system, config, _| {
        with_tls(system, config, certificate(-3, &["a.example"], false));
    }),
    Red("certificate", Error, "is not good yet", |system, config, _| {
        with_tls(system, config, certificate(100, &["a.example"], false));
    }),
    Red("certificate", Error, "2 days left", |system, config, _| {
        with_tls(system, config, certificate(2, &["a.example"], false));
    }),
    Red("certificate", Warning, "for a.example, b.example, ECDSA, 10 days left", |system, config, _| {
        with_tls(system, config, certificate(10, &["a.example", "b.example"], false));
    }),
    Red("certificate", Warning, "names no host", |system, config, _| {
        with_tls(system, config, certificate(80, &[], true));
    }),
    Red("certificate", Warning, "fullchain.pem", |system, config, _| {
        let Certificate::Usable { file, own, mut chain } = certificate(80, &["a.example"], false) else { return };
        chain.truncate(1);
        with_tls(system, config, Certificate::Usable { file, own, chain });
    }),
    Red("core dumps", Warning, "ulimit -c 0", |system, config, _| {
        config.cometql.tls = Tls::On;
        put(system, "/proc/self/limits", &LIMITS.replace("size        0 ", "size        unlimited "));
    }),
    Red("clock", Warning, "timedatectl", |system, _, _| system.clock_is_synchronised = Some(false)),
    Red("clock steps", Warning, "90 seconds in the future", |system, _, _| folder(system).written = Some(NOW + 90)),
];

#[test]
fn every_check_has_what_makes_it_red() {
    for Red(check, verdict, words, change) in REDS {
        let (mut system, mut config, mut read) = (machine(), Config::default(), good());
        change(&mut system, &mut config, &mut read);
        let report = examine(&config, &read, &system, None);
        let found = report.findings.iter().find(|(name, _)| name == check);
        let Finding { verdict: found, reason, remedy } = &found.expect(check).1;
        assert_eq!(found, verdict, "{check}: {words}: {reason}");
        let remedy = remedy.as_deref().unwrap_or_default();
        assert!(!remedy.is_empty(), "{check}: nothing helps");
        assert!(reason.contains(words) || remedy.contains(words), "{check}: {words}: {reason}; {remedy}");
    }
    let red: BTreeSet<&str> = REDS.iter().map(|Red(check, ..)| *check).collect();
    let all: BTreeSet<&str> = CHECKS.iter().map(|(name, _)| *name).collect();
    assert_eq!(red, all);
}

/// What is no fault must not be called one.
#[test]
fn what_was_chosen_is_no_fault() {
    type Change = fn(&mut System, &mut Config);
    let fine: [(&str, Change); 9] = [
        ("data folder", |system, config| {
            folder(system).mode = 0o40710;
            config.main.password_group = Some("www-data".to_owned());
        }),
        ("disk speed", |system, config| {
            folder(system).writes_us = Some(Ok(vec![900_000; 20]));
            config.storage.durability = Durability::Lazy;
        }),
        ("file system", |system, config| {
            folder(system).kind = 0x6969;
            config.db.name = Some("comet".to_owned());
        }),
        ("io_uring", |system, config| {
            system.io_uring = Some(Err("refused".to_owned()));
            config.ws.send_engine = SendEngine::Plain;
        }),
        ("ports", |system, _| {
            system.unit = Some(unit("AmbientCapabilities=CAP_NET_BIND_SERVICE\n"));
            system.ports[0].address.set_port(80);
        }),
        ("ports", |system, _| {
            system.unit = Some(unit(""));
            system.ports[0].address.set_port(80);
            put(system, "/proc/sys/net/ipv4/ip_unprivileged_port_start", "80\n");
        }),
        ("local ports", |system, _| put(system, "/proc/sys/net/ipv4/ip_local_port_range", "30000\t32000\n")),
        ("core dumps", |system, _| put(system, "/proc/self/limits", "Max core file size unlimited unlimited\n")),
        ("unit", |system, _| {
            system.unit = Some(unit("\n[Service]\nExecStart=\nExecStart=/opt/encke --conf /opt/comet.ini\n"));
        }),
    ];
    for (check, change) in fine {
        let (mut system, mut config) = (machine(), Config::default());
        change(&mut system, &mut config);
        let report = examine(&config, &good(), &system, None);
        let found = report.findings.iter().find(|(name, _)| *name == check).unwrap();
        assert_eq!(found.1.verdict, Verdict::Ok, "{found:?}");
    }
}

#[test]
fn more_connections_need_more() {
    let (config, system) = (Config::default(), machine());
    let red = |connections| examine(&config, &good(), &system, Some(connections));
    assert_eq!(red(40_000).verdict(), Verdict::Ok, "{}", red(40_000).text());
    let text = red(5_000_000).text();
    for check in ["descriptors", "fs.nr_open", "conntrack", "TCP memory", "memory"] {
        assert!(text.contains(&format!("\n  error    {check:<18} ")), "{check}: {text}");
    }
    // Who allows fewer wants fewer.
    let mut config = Config::default();
    config.ws.connections_max = 500;
    assert_eq!(examine(&config, &good(), &system, None).connections, 1_000);
}

#[test]
fn a_report_is_for_people_and_for_programs() {
    let mut system = machine();
    put(&mut system, "/proc/sys/net/core/somaxconn", "128\n");
    let report = examine(&Config::default(), &good(), &system, None);
    let text = report.text();
    assert!(
        text.starts_with(
            "comet.ini, for 10000 connections of browsers\n  ok       configuration      comet.ini has no errors\n"
        ),
        "{text}"
    );
    let lines = "\n  warning  accept queue       net.core.somaxconn = 128: a crowd that comes back at once is turned away, and tries \
                 again seconds later\n                              try: sysctl -w net.core.somaxconn=4096; then restart the server\n";
    assert!(text.contains(lines), "{text}");
    assert!(text.ends_with("\n25 ok, 1 warnings, 0 errors\n"), "{text}");
    let json = report.json();
    assert_eq!(
        (json["verdict"].as_str(), json["warnings"].as_u64(), json["errors"].as_u64()),
        (Some("warning"), Some(1), Some(0))
    );
    let checks = json["checks"].as_array().unwrap();
    let found = checks.iter().find(|check| check["check"] == "accept queue").unwrap();
    assert!(found["verdict"] == "warning" && found["remedy"].as_str().unwrap().starts_with("sysctl"), "{found}");
    assert!(checks.iter().find(|check| check["check"] == "clock").unwrap()["remedy"].is_null());
}

#[test]
fn texts_of_the_kernel_are_read() {
    let locks = "1: POSIX  ADVISORY  READ 10150 fe:00:10035891 128 128\n2: -> FLOCK  ADVISORY  WRITE 99 fe:00:10035857 0 EOF\n\
                 3: FLOCK  ADVISORY  WRITE 10151 fe:00:10035857 0 EOF\n4: FLOCK\n";
    assert_eq!([10_035_857, 10_035_891, 1].map(|inode| holder(locks, inode)), [Some(10_151), None, None]);
    let groups = "9:name=systemd:/\n4:cpu,memory:/a/b\n0::/system.slice/encke.service\nnonsense\n";
    let expected = [
        "/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/a/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/system.slice/encke.service/memory.max",
        "/sys/fs/cgroup/system.slice/memory.max",
        "/sys/fs/cgroup/memory.max",
    ];
    assert_eq!(memory_limits(groups), expected);
    assert_eq!(memory_limits("0::/\n"), ["/sys/fs/cgroup/memory.max"]);
    let text = "[Service]\n; Type=x\nLimitNOFILE=1\nLimitNOFILE = 2:3\nA=1\nA=\n";
    assert_eq!(
        assignments(text).collect::<Vec<_>>(),
        [("LimitNOFILE", "1"), ("LimitNOFILE", "2:3"), ("A", "1"), ("A", "")]
    );
    let unit = Unit { file: String::new(), text: text.to_owned() };
    assert_eq!((unit.value("LimitNOFILE"), unit.value("A"), unit.value("B")), (Some("2:3"), None, None));
    assert_eq!([512, 1024, 1536, 10 << 20, 3 << 30].map(bytes), ["0.5 KiB", "1 KiB", "1.5 KiB", "10 MiB", "3 GiB"]);
}
