use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;

use super::{Incomplete, Item, Sender};
use crate::settings::EngineChoice;

/// Every sender that works here; the plain one always does.
fn senders() -> Vec<Sender> {
    [EngineChoice::Plain, EngineChoice::IoUring].into_iter().filter_map(|choice| Sender::new(choice).ok()).collect()
}

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (far, _) = listener.accept().unwrap();
    near.set_nonblocking(true).unwrap();
    (near, far)
}

#[test]
fn a_batch_reaches_everybody_and_reports_nothing() {
    for mut sender in senders() {
        let pairs: Vec<_> = (0..50).map(|_| pair()).collect();
        for round in 0..30_u8 {
            let bytes = vec![round; 100];
            let items: Vec<_> = pairs.iter().map(|(near, _)| Item { socket: near, bytes: &bytes }).collect();
            let mut incomplete = Vec::new();
            sender.send(&items, &mut incomplete);
            assert_eq!(incomplete, []);
        }
        for (_, far) in &pairs {
            let mut received = vec![0; 3000];
            (&*far).read_exact(&mut received).unwrap();
            assert!(received.chunks(100).zip(0..).all(|(chunk, round)| chunk.iter().all(|byte| *byte == round)));
        }
    }
}

#[test]
fn a_batch_larger_than_the_ring_takes_several_submissions() {
    for mut sender in senders() {
        let pairs: Vec<_> = (0..2500).map(|_| UnixStream::pair().unwrap()).collect();
        let numbers: Vec<[u8; 2]> = (0..2500_u16).map(u16::to_be_bytes).collect();
        let sockets = pairs.iter().zip(&numbers);
        let items: Vec<_> = sockets.map(|((near, _), bytes)| Item { socket: near, bytes }).collect();
        let mut incomplete = Vec::new();
        sender.send(&items, &mut incomplete);
        assert_eq!(incomplete, []);
        for ((_, far), number) in pairs.iter().zip(&numbers) {
            let mut received = [0; 2];
            (&*far).read_exact(&mut received).unwrap();
            assert_eq!(received, *number);
        }
    }
}

#[test]
fn only_full_and_broken_connections_report() {
    for mut sender in senders() {
        let engine = sender.engine();
        let (healthy, _healthy_far) = pair();
        let (full, mut full_far) = pair();
        let (broken, broken_far) = pair();
        drop(broken_far);
        let large = vec![7; 8 * 1024 * 1024];
        let mut incomplete = Vec::new();
        // The first send to a closed peer is still taken; the reset that answers it breaks the next one.
        while incomplete.is_empty() {
            sender.send(&[Item { socket: &broken, bytes: b"x" }], &mut incomplete);
        }
        assert_eq!(incomplete, [(0, Incomplete::Broken)], "{engine}");
        incomplete.clear();
        let items = [
            Item { socket: &healthy, bytes: b"first" },
            Item { socket: &full, bytes: &large },
            Item { socket: &broken, bytes: b"nothing" },
        ];
        sender.send(&items, &mut incomplete);
        incomplete.sort_by_key(|(index, _)| *index);
        let [(1, Incomplete::Short(taken)), (2, Incomplete::Broken)] = incomplete[..] else {
            panic!("{engine}: {incomplete:?}");
        };
        assert!(taken > 0 && taken < large.len());
        // The count is exact: with the rest sent by other means the stream is whole.
        full.set_nonblocking(false).unwrap();
        let rest = std::thread::spawn(move || {
            std::io::Write::write_all(&mut &full, &vec![8; large.len() - taken]).unwrap();
        });
        let mut received = vec![0; 8 * 1024 * 1024];
        full_far.read_exact(&mut received).unwrap();
        rest.join().unwrap();
        assert!(received[..taken].iter().all(|byte| *byte == 7) && received[taken..].iter().all(|byte| *byte == 8));
    }
}

#[test]
fn the_probe_agrees_with_the_making_of_a_ring() {
    assert_eq!(super::probe().is_ok(), Sender::new(EngineChoice::IoUring).is_ok());
}
