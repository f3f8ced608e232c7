//! What `encke doctor` looks at, gathered from this machine. Nothing is changed: the file that the disk is tried with has no
//! name, and a port is taken without listening.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use rustix::fs::{Mode, OFlags};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::config::{Config, Tls};
use crate::doctor::{self, Certificate, Data, Folder, Port, Server, System, Unit};
use crate::storage::sqlite::{DATABASE_FILE, LOCK_FILE};

use super::assemble::place_of_certificate;
use super::door::SOCKET_FILE;
use super::{certificate, process};

/// Where units are, those that count more first.
const UNIT_FOLDERS: [&str; 5] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];
const UNIT: &str = "encke.service";

/// Writes that the disk is tried with, and how large each is.
const WRITES: usize = 20;
const WRITE_BYTES: usize = 4096;

/// Files of the data folder whose owners are looked at.
const FILES_MAX: usize = 100;

/// All that checks look at. `root` is where the files of the kernel and of systemd are.
pub fn gather(config: &Config, root: &Path) -> System {
    let unit = unit(root);
    let dir = data_folder(&config.storage.dir, unit.as_ref());
    let server = server(root, &dir);
    let cgroup = match &server {
        Some(server) => text(root, &format!("/proc/{}/cgroup", server.process)),
        None => text(root, "/proc/self/cgroup"),
    };
    System {
        files: doctor::files().filter_map(|file| Some((file.to_owned(), text(root, file)?))).collect(),
        page_bytes: rustix::param::page_size() as u64,
        cores: std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64),
        user: rustix::process::geteuid().as_raw(),
        memory_limits: doctor::memory_limits(&cgroup.unwrap_or_default())
            .iter()
            .filter_map(|file| text(root, file))
            .collect(),
        data: Data { folder: dir.display().to_string(), found: Some(folder(&dir)) },
        io_uring: Some(said(shards::try_io_uring())),
        own_tables: Some(said(shards::try_own_table())),
        ports: ports(config, server.is_some()),
        certificate: (config.cometql.tls != Tls::Off).then(|| certificate_of(config)),
        clock_is_synchronised: shards::clock_is_synchronised(),
        now: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs() as i64),
        server,
        unit,
    }
}

fn said<T, E: ToString>(result: Result<T, E>) -> Result<T, String> {
    result.map_err(|error| error.to_string())
}

fn below(root: &Path, file: &str) -> PathBuf {
    root.join(file.trim_start_matches('/'))
}

/// Of a file that can be read; cut where it is longer than any of these is.
fn text(root: &Path, file: &str) -> Option<String> {
    let mut bytes = Vec::new();
    File::open(below(root, file)).ok()?.take(doctor::TEXT_BYTES_MAX).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn unit(root: &Path) -> Option<Unit> {
    let (file, mut whole) = UNIT_FOLDERS.iter().find_map(|folder| {
        let file = format!("{folder}/{UNIT}");
        text(root, &file).map(|text| (file, text))
    })?;
    for folder in UNIT_FOLDERS.iter().rev() {
        let Ok(entries) = fs::read_dir(below(root, &format!("{folder}/{UNIT}.d"))) else { continue };
        let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        files.sort();
        for file in files.iter().filter(|file| file.extension().is_some_and(|end| end == "conf")) {
            whole.push('\n');
            whole.push_str(&fs::read_to_string(file).unwrap_or_default());
        }
    }
    Some(Unit { file, text: whole })
}

/// A relative one begins at the working directory: at this one if it is there, else at the unit's.
fn data_folder(dir: &Path, unit: Option<&Unit>) -> PathBuf {
    let of_unit = unit.and_then(|unit| unit.value("WorkingDirectory"));
    match of_unit {
        Some(place) if dir.is_relative() && !dir.exists() => Path::new(&place.replace("%S", "/var/lib")).join(dir),
        _ => dir.to_owned(),
    }
}

/// The process behind the socket in the data folder, else the one that holds the lock there.
fn server(root: &Path, dir: &Path) -> Option<Server> {
    let process = behind_socket(dir).or_else(|| {
        let inode = fs::metadata(dir.join(LOCK_FILE)).ok()?.ino();
        doctor::holder(&text(root, "/proc/locks")?, inode)
    })?;
    let of = |file: &str| text(root, &format!("/proc/{process}/{file}"));
    let folder = below(root, &format!("/proc/{process}"));
    let program = fs::read_link(folder.join("exe")).ok();
    Some(Server {
        process,
        limits: of("limits")?,
        status: of("status")?,
        program_is_gone: program.is_some_and(|program| program.to_string_lossy().ends_with(" (deleted)")),
        open_descriptors: process::tables(&folder).unwrap_or_default(),
    })
}

/// A server has it whatever its storage is; whoever may not use it is left with the lock.
fn behind_socket(dir: &Path) -> Option<u32> {
    let socket = UnixStream::connect(dir.join(SOCKET_FILE)).ok()?;
    let peer = rustix::net::sockopt::socket_peercred(&socket).ok()?;
    u32::try_from(peer.pid.as_raw_nonzero().get()).ok()
}

fn ports(config: &Config, server_runs: bool) -> Vec<Port> {
    let named = [
        ("browsers", "[ws] port", SocketAddr::new(config.ws.ip, config.ws.port)),
        ("backends", "[cometql] port", SocketAddr::new(config.cometql.ip, config.cometql.port)),
    ];
    let named = named.into_iter().filter(|(_, _, address)| address.port() != 0);
    let free = |address| (!server_runs).then(|| said(shards::try_address(address)));
    named.map(|(of, key, address)| Port { of, key, address, free: free(address) }).collect()
}

fn certificate_of(config: &Config) -> Certificate {
    let place = place_of_certificate(config);
    if place.own && !(place.certificate.exists() && place.key.exists()) {
        return Certificate::NotYet;
    }
    let chain = certificate::load(&place, &[]).and_then(|_| certificate::read(&place.certificate));
    match chain {
        Ok(pem) => Certificate::Usable {
            file: place.certificate.display().to_string(),
            own: place.own,
            chain: CertificateDer::pem_slice_iter(&pem).flatten().map(|one| one.as_ref().to_vec()).collect(),
        },
        Err(error) => Certificate::Unusable(error.to_string().trim_end_matches('.').to_owned()),
    }
}

fn folder(dir: &Path) -> Result<Folder, String> {
    let (place, facts) = nearest(dir).map_err(|error| error.to_string())?;
    let exists = place == dir;
    let disk = said(rustix::fs::statvfs(place))?;
    let kind = said(rustix::fs::statfs(place))?.f_type as u64;
    let database = place.join(DATABASE_FILE);
    let elsewhere = fs::symlink_metadata(&database).is_ok_and(|file| file.is_symlink() || file.dev() != facts.dev());
    let log = place.join(format!("{DATABASE_FILE}-wal"));
    let written =
        [&database, &log].into_iter().filter_map(|file| fs::metadata(file).ok()).map(|file| file.mtime()).max();
    Ok(Folder {
        exists,
        owner: facts.uid(),
        mode: facts.mode(),
        foreign: if exists { foreign(dir, facts.uid()) } else { Vec::new() },
        database_is_elsewhere: exists && elsewhere,
        kind: kind & u64::from(u32::MAX),
        free_bytes: disk.f_bavail.saturating_mul(disk.f_frsize),
        // Some file systems count no files.
        free_files: (disk.f_files > 0).then_some(disk.f_favail),
        // Above the data folder it says nothing if nothing may be written.
        writes_us: match writes(place) {
            Err(_) if !exists => None,
            tried => Some(said(tried)),
        },
        written: if exists { written } else { None },
    })
}

/// The folder, or the nearest one above it that is there.
fn nearest(dir: &Path) -> io::Result<(&Path, fs::Metadata)> {
    let mut place = dir;
    loop {
        let here = if place.as_os_str().is_empty() { Path::new(".") } else { place };
        match (fs::metadata(here), place.parent()) {
            (Ok(facts), _) => return Ok((here, facts)),
            (Err(error), Some(above)) if error.kind() == io::ErrorKind::NotFound => place = above,
            (Err(error), _) => return Err(error),
        }
    }
}

fn foreign(dir: &Path, owner: u32) -> Vec<String> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten().take(FILES_MAX);
    let owned = entries.filter(|entry| entry.metadata().is_ok_and(|file| file.uid() != owner));
    owned.map(|entry| entry.path().display().to_string()).collect()
}

/// Microseconds of each write until it was on the disk.
fn writes(dir: &Path) -> io::Result<Vec<u64>> {
    let mut file = without_name(dir)?;
    let block = [0; WRITE_BYTES];
    let mut taken = Vec::with_capacity(WRITES);
    for _ in 0..WRITES {
        let begin = Instant::now();
        file.write_all(&block)?;
        file.sync_data()?;
        taken.push(begin.elapsed().as_micros() as u64);
    }
    Ok(taken)
}

/// A file that is gone when it is closed. Where the file system has no such files, it has a name for a moment.
fn without_name(dir: &Path) -> io::Result<File> {
    let mode = Mode::RUSR | Mode::WUSR;
    if let Ok(file) = rustix::fs::open(dir, OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC, mode) {
        return Ok(file.into());
    }
    let name = dir.join(format!("encke-doctor.{}", std::process::id()));
    let file = File::options().write(true).create_new(true).open(&name)?;
    fs::remove_file(&name)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    /// As a server whose storage is elsewhere, which has nothing to lock.
    #[test]
    fn a_server_is_found_by_its_socket() {
        let dir = std::env::temp_dir().join(format!("encke-examined-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        assert_eq!(behind_socket(&dir), None);
        let listener = UnixListener::bind(dir.join(SOCKET_FILE)).unwrap();
        let found = server(Path::new("/"), &dir).map(|server| server.process);
        drop(listener);
        let left = behind_socket(&dir);
        fs::remove_dir_all(&dir).unwrap();
        assert_eq!((found, left), (Some(std::process::id()), None));
    }
}
