//! A real nginx in front of the running program.

use crate::server::{PATIENCE, Server};
use crate::tools;
use rustix::process::{Pid, Signal, kill_process};
use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Where it is; without one the test says that it is skipped.
pub(crate) fn find(test: &str) -> Option<PathBuf> {
    let found =
        tools::find(&["nginx"]).or_else(|| Some(PathBuf::from("/usr/sbin/nginx")).filter(|file| file.is_file()));
    if found.is_none() {
        tools::skip(test, "nginx", "nginx is not installed");
    }
    found
}

/// One nginx, which ends with the test.
pub(crate) struct Nginx {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Nginx {
    /// `text`: a configuration as the example's, with the ports that stand there.
    pub(crate) fn start(program: &Path, server: &Server, text: &str) -> Self {
        let folder = server.folder();
        // Free a moment ago, and nobody else is told of it.
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = free.expect("a free port");
        let mut changed = text.to_owned();
        for (theirs, ours) in [
            ("server 127.0.0.1:8087;", format!("server {};", server.browsers)),
            ("listen 80;", format!("listen {address};")),
        ] {
            assert_eq!(text.matches(theirs).count(), 1, "{theirs}");
            changed = changed.replace(theirs, &ours);
        }
        std::fs::write(folder.join("encke.conf"), changed).expect("a file");
        // Everything that it writes is in the server's folder.
        let main = "daemon off;\nmaster_process off;\npid nginx.pid;\nerror_log stderr;\nevents { }\n\
             http {\naccess_log off;\nclient_body_temp_path body;\nproxy_temp_path proxy;\nfastcgi_temp_path fastcgi;\n\
             uwsgi_temp_path uwsgi;\nscgi_temp_path scgi;\ninclude encke.conf;\n}\n";
        let file = folder.join("nginx.conf");
        std::fs::write(&file, main).expect("a file");
        let mut command = Command::new(program);
        command.arg("-p").arg(folder).arg("-c").arg(&file).arg("-e").arg("stderr");
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("nginx starts");
        let mut nginx = Self { child, address };
        let up = tools::until(PATIENCE, || {
            let ended = nginx.child.try_wait().unwrap_or_default();
            assert!(ended.is_none(), "nginx ended: {ended:?}");
            TcpStream::connect(address).ok()
        });
        assert!(up.is_some(), "nginx does not accept");
        nginx
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        if tools::wait(&mut self.child, PATIENCE).is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("nginx accepts");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream
}

/// Reads until this has come.
pub(crate) fn await_bytes(stream: &mut TcpStream, expected: &str) {
    let mut all = Vec::new();
    let mut piece = [0; 4096];
    while !String::from_utf8_lossy(&all).contains(expected) {
        match stream.read(&mut piece) {
            Ok(count) if count > 0 => all.extend_from_slice(&piece[..count]),
            end => panic!("no {expected:?} but {end:?} and\n{}", String::from_utf8_lossy(&all)),
        }
    }
}
