use std::collections::BTreeSet;

use super::*;

fn page(shards: &[Counters]) -> Page<'_> {
    Page {
        version: "1.2.3",
        engine: "io_uring",
        storage: "a \"strange\"\nname\\",
        stopping: false,
        shards,
        others: &[],
        process: Process { cpu_seconds: Some(1.5), open_fds: Some(7), ..Process::default() },
    }
}

fn busy() -> Counters {
    let mut counters =
        Counters { connections: 3, publications: 2, longest_turn_us: 1_500_000, memory_hub: 64, ..Counters::default() };
    counters.add_latency(3);
    counters.add_latency(u64::from(u32::MAX));
    counters.add_closed(CloseReason::PeerClosed);
    counters
}

#[test]
fn scrapers_get_what_they_take() {
    let firefox = "text/html,application/xhtml+xml,*/*;q=0.8";
    let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
    assert_eq!(["", firefox].map(Format::accepted), [Format::Prometheus; 2]);
    assert_eq!(Format::accepted(prometheus), Format::OpenMetrics);
}

#[test]
fn names_have_their_units() {
    let text = page(&[busy()]).encode(Format::Prometheus);
    for line in [
        "# TYPE encke_publications_total counter\nencke_publications_total 2\n",
        "encke_longest_turn_seconds 1.500000\n",
        "# HELP encke_longest_turn_seconds The longest turn of a shard, in seconds,",
        "encke_memory_bytes{kind=\"hub\"} 64\n",
        "encke_closed_total{reason=\"peer_closed\"} 1\n",
        "encke_shard_connections{shard=\"0\"} 3\n",
        "encke_build_info{version=\"1.2.3\",engine=\"io_uring\",storage=\"a \\\"strange\\\"\\nname\\\\\"} 1\n",
        "process_cpu_seconds_total 1.50\n",
        "process_open_fds 7\n",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("_us ") && !text.contains("icrosecond") && !text.contains("process_threads"));
}

#[test]
fn a_histogram_counts_what_is_below() {
    let text = page(&[busy()]).encode(Format::Prometheus);
    let value = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).expect(name);
        line.rsplit_once(' ').expect("a value").1.to_owned()
    };
    let bucket = |bound: &str| value(&format!("encke_publication_delivery_seconds_bucket{{le=\"{bound}\"}}"));
    assert_eq!([bucket("0.000002"), bucket("0.000004"), bucket("16.777216"), bucket("+Inf")], ["0", "1", "1", "2"]);
    assert_eq!(value("encke_publication_delivery_seconds_count"), "2");
    assert_eq!(value("encke_publication_delivery_seconds_sum"), "4294.967298");
}

/// The rules that `promtool check metrics` and the strict parser of `OpenMetrics` hold, as far as one can without them.
#[test]
fn families_are_whole_and_once() {
    for format in [Format::Prometheus, Format::OpenMetrics] {
        let text = page(&[busy(), busy()]).encode(format);
        let mut families = BTreeSet::new();
        let mut series = BTreeSet::new();
        let mut family = String::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                family = rest.split(' ').next().unwrap_or_default().to_owned();
                assert!(families.insert(family.clone()), "{family} twice");
                continue;
            }
            if line.starts_with('#') {
                continue;
            }
            let (name, value) = line.rsplit_once(' ').expect("a name and a value");
            assert!(value.parse::<f64>().is_ok(), "{line}");
            assert!(name.starts_with(&family), "{line} stands in {family}");
            assert!(series.insert(name.to_owned()), "{name} twice");
        }
        assert_eq!(text.ends_with("# EOF\n"), format == Format::OpenMetrics);
        let of_shards = 2 * OF_SHARDS.len();
        assert!(series.len() - of_shards <= 250, "{} series", series.len());
        assert_eq!(series.iter().filter(|name| name.contains("shard=")).count(), of_shards);
    }
}

#[test]
fn every_number_is_told() {
    let text = page(&[busy()]).encode(Format::Prometheus);
    for metric in METRICS {
        let name = metric.exported();
        assert!(text.contains(&format!("\n{name}")), "{name}");
    }
}
