use super::*;
use crate::crowd::{ConnectPlan, Opening, Pipes};
use crate::fake::{Behaviour, FakeServer, PASSWORD};
use std::cell::RefCell;
use std::rc::Rc;

/// Publishes through a server and writes down what was asked of it.
struct Witness {
    inner: InsertPublisher,
    asked: Rc<RefCell<Vec<Range<u32>>>>,
    arrived: u32,
    /// The most publications under way at any time.
    under_way_max: u32,
}

impl Publisher for Witness {
    fn publish(&mut self, sequences: Range<u32>) -> Result<(), Error> {
        self.asked.borrow_mut().push(sequences.clone());
        let published: u32 = self.asked.borrow().iter().map(|range| range.len() as u32).sum();
        self.under_way_max = self.under_way_max.max(published - self.arrived);
        self.inner.publish(sequences)
    }

    fn arrived(&mut self, count: u32) -> Result<(), Error> {
        self.arrived += count;
        self.inner.arrived(count)
    }
}

#[test]
fn no_more_than_the_window_is_under_way() {
    for window in [1, 3, 100] {
        let server = FakeServer::start(Behaviour::Honest);
        let shape = Arc::new(PublicationShape::new("pipe", "e", 10).unwrap());
        let mut crowd = Crowd::start(2, None).unwrap();
        let plan = ConnectPlan {
            target: server.ws,
            connections: 4,
            opening: Opening::Browser { tenant: 0, pipes: Pipes::Shared("pipe".into()), second: None },
            under_way_max: 256,
            receive_bytes: None,
            limit: Duration::from_secs(20),
        };
        crowd.connect(&plan).unwrap();
        let mut client = CometQl::connect(server.cometql, "root", PASSWORD, None).unwrap();
        let limit = Duration::from_secs(10);
        crate::bench::wait_for_subscribers(&mut client, &Pipes::Shared("pipe".into()), 4, 4, limit).unwrap();
        let inner = InsertPublisher { client, shape: shape.clone() };
        let asked = Rc::new(RefCell::new(Vec::new()));
        let mut witness = Witness { inner, asked: asked.clone(), arrived: 0, under_way_max: 0 };
        let round = Round {
            shape,
            first: 7,
            publications: 50,
            window,
            interval: None,
            stall_limit: limit,
            linger: Duration::ZERO,
        };
        let listening = listen(&crowd, &round).unwrap();
        let outcome = drive(&mut witness, &round, &listening).unwrap();
        assert!(outcome.summary.tally.is_exact(200), "{:?}", outcome.summary.tally);
        assert_eq!(outcome.summary.latency_us.len(), 200);
        // The publisher is told of arrivals after it published what they allow: one window more at that moment.
        assert!(witness.under_way_max <= 2 * window, "{} with a window of {window}", witness.under_way_max);
        assert_eq!(witness.arrived, 50);
        let sequences: Vec<u32> = asked.borrow().iter().cloned().flatten().collect();
        assert_eq!(sequences, (7..57).collect::<Vec<_>>());
        if window == 1 {
            assert!(asked.borrow().iter().all(|range| range.len() == 1));
        }
    }
}

#[test]
fn the_clock_says_what_is_due() {
    let ms = Duration::from_millis;
    for (elapsed, interval, expected) in
        [(ms(0), ms(10), 1), (ms(9), ms(10), 1), (ms(10), ms(10), 2), (ms(95), ms(10), 10), (ms(5000), ms(0), u32::MAX)]
    {
        assert_eq!(due(elapsed, interval), expected, "{elapsed:?} {interval:?}");
    }
}
