use super::*;
use proptest::prelude::*;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use std::sync::LazyLock;

static CONFIGS: LazyLock<(Arc<ServerConfig>, Arc<ClientConfig>)> = LazyLock::new(|| {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let provider = Arc::new(aws_lc_rs::default_provider());
    let key = PrivateKeyDer::try_from(own.signing_key.serialize_der()).unwrap();
    let server = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
    let server = server.with_no_client_auth().with_single_cert(vec![own.cert.der().clone()], key).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(own.cert.der().clone()).unwrap();
    let client = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    (Arc::new(server), Arc::new(client.with_root_certificates(roots).with_no_client_auth()))
});

/// Both ends, and what is on its way between them.
struct Bench {
    tls: Tls,
    client: ClientConnection,
    to_client: Vec<u8>,
}

impl Bench {
    fn new() -> Self {
        let client = ClientConnection::new(CONFIGS.1.clone(), ServerName::try_from("localhost").unwrap()).unwrap();
        Self { tls: Tls::new(&CONFIGS.0).unwrap(), client, to_client: Vec::new() }
    }

    fn connected() -> Self {
        let mut bench = Self::new();
        while bench.client.is_handshaking() {
            let cipher = bench.client_sends();
            bench.decipher(&cipher, usize::MAX).unwrap();
            bench.client_reads();
        }
        let cipher = bench.client_sends();
        bench.decipher(&cipher, usize::MAX).unwrap();
        bench
    }

    fn client_sends(&mut self) -> Vec<u8> {
        let mut cipher = Vec::new();
        while self.client.wants_write() {
            self.client.write_tls(&mut cipher).unwrap();
        }
        cipher
    }

    /// As the edge does it, in pieces of so many bytes.
    fn decipher(&mut self, cipher: &[u8], piece: usize) -> Result<(), rustls::Error> {
        for mut rest in cipher.chunks(piece.min(cipher.len()).max(1)) {
            while !rest.is_empty() {
                let result = self.tls.decipher(&mut rest);
                self.tls.flush(|bytes| self.to_client.extend_from_slice(bytes));
                result?;
            }
        }
        Ok(())
    }

    /// What the client has understood of all that is on its way.
    fn client_reads(&mut self) -> Vec<u8> {
        let cipher = std::mem::take(&mut self.to_client);
        let (mut rest, mut plain) = (&cipher[..], Vec::new());
        while !rest.is_empty() && self.client.read_tls(&mut rest).unwrap() > 0 {
            let length = self.client.process_new_packets().unwrap().plaintext_bytes_to_read();
            self.client.reader().take(length as u64).read_to_end(&mut plain).unwrap();
        }
        plain
    }

    fn client_writes(&mut self, plain: &[u8]) -> Vec<u8> {
        let (mut rest, mut cipher) = (plain, Vec::new());
        while !rest.is_empty() {
            let taken = self.client.writer().write(rest).unwrap();
            rest = &rest[taken..];
            cipher.extend(self.client_sends());
        }
        cipher
    }

    fn server_writes(&mut self, plain: &[u8]) {
        // All in one write, whatever the length: the closure can be called once only.
        self.tls.encipher(plain, |bytes| self.to_client.extend_from_slice(bytes));
    }
}

#[test]
fn bytes_arrive_as_they_were_however_they_are_cut() {
    let text: Vec<u8> = (0_u32..300_000).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    for piece in [1, 7, 1000, usize::MAX] {
        let mut bench = Bench::new();
        while bench.client.is_handshaking() {
            let cipher = bench.client_sends();
            bench.decipher(&cipher, piece).unwrap();
            bench.client_reads();
        }
        let cipher = bench.client_writes(&text[..50_000]);
        bench.decipher(&cipher, piece).unwrap();
        assert!(bench.tls.plain() == &text[..50_000], "pieces of {piece}");
        bench.tls.use_plain(49_999);
        assert_eq!(bench.tls.plain(), &text[49_999..50_000]);
        bench.tls.use_plain(1);
        assert_eq!(bench.tls.plain.capacity(), 0, "an idle session keeps no room");
        bench.server_writes(&text);
        assert!(bench.client_reads() == text, "pieces of {piece}");
    }
}

#[test]
fn both_ends_tell_of_their_end() {
    let mut bench = Bench::connected();
    let mut cipher = bench.client_writes(b"last");
    bench.client.send_close_notify();
    cipher.extend(bench.client_sends());
    cipher.extend(b"whatever");
    bench.decipher(&cipher, usize::MAX).unwrap();
    assert_eq!((bench.tls.state(), bench.tls.plain()), (State::Ended, &b"last"[..]));
    // The answer to what came before is still sent.
    bench.server_writes(b"answer");
    bench.tls.end(|bytes| bench.to_client.extend_from_slice(bytes));
    assert_eq!(bench.client_reads(), b"answer");
    assert!(bench.client.process_new_packets().unwrap().peer_has_closed());
}

#[test]
fn a_broken_session_hears_and_says_nothing() {
    let mut bench = Bench::new();
    assert!(bench.decipher(b"GET / HTTP/1.1\r\n\r\n", usize::MAX).is_err());
    assert_eq!(bench.tls.state(), State::Broken);
    // An alert, in the clear, and nothing else.
    assert!(bench.to_client.starts_with(&[21, 3]), "{:?}", bench.to_client);
    bench.to_client.clear();
    let hello = bench.client_sends();
    bench.decipher(&hello, usize::MAX).unwrap();
    bench.server_writes(b"a secret");
    assert!(bench.to_client.is_empty() && bench.tls.plain().is_empty());
}

#[test]
fn nothing_is_said_before_the_handshake_is_over() {
    let mut bench = Bench::new();
    bench.server_writes(&vec![b'x'; 200_000]);
    assert!(bench.to_client.is_empty());
}

#[test]
fn plain_bytes_that_nobody_uses_have_a_maximum() {
    let mut bench = Bench::connected();
    let cipher = bench.client_writes(&vec![b'x'; 400_000]);
    assert!(bench.decipher(&cipher, usize::MAX).is_err());
    assert!(bench.tls.plain().len() <= PLAIN_BYTES_MAX);
    assert!(bench.tls.bytes() < 3 * PLAIN_BYTES_MAX);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever comes instead of a hello, or in the middle of a session, is an error at the worst.
    #[test]
    fn any_bytes_are_an_error_at_the_worst(noise in prop::collection::vec(any::<u8>(), 0..2000), piece in 1_usize..500) {
        let _ = Bench::new().decipher(&noise, piece);
        let mut bench = Bench::connected();
        let failed = bench.decipher(&noise, piece).is_err();
        prop_assert!(bench.tls.plain().is_empty());
        prop_assert_eq!(failed, bench.tls.state() == State::Broken);
    }

    #[test]
    fn a_changed_byte_is_noticed(at in any::<prop::sample::Index>(), change in 1_u8.., piece in 1_usize..500) {
        let mut bench = Bench::connected();
        let mut cipher = bench.client_writes(b"INSERT INTO pipes_messages ...");
        // The head of a record tells a version that means nothing any more; all behind it is protected.
        let place = 5 + at.index(cipher.len() - 5);
        cipher[place] ^= change;
        let _ = bench.decipher(&cipher, piece);
        prop_assert!(bench.tls.plain().is_empty());
    }

    #[test]
    fn a_changed_hello_is_survived(at in any::<prop::sample::Index>(), change in 1_u8.., cut in any::<prop::sample::Index>()) {
        let mut bench = Bench::new();
        let mut hello = bench.client_sends();
        let length = cut.index(hello.len()) + 1;
        hello[at.index(length)] ^= change;
        let _ = bench.decipher(&hello[..length], 100);
        prop_assert!(bench.tls.plain().is_empty());
    }
}
