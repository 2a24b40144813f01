//! Metrics that clients and workers push, added up.
//!
//! Names are whatever the sender chose: counters arrive as what was added since the last heartbeat
//! and are summed over all senders, gauges are kept by sender and summed when asked for. Senders
//! choose names, so both tables have a bound; what is beyond it is dropped.

use crate::core::proto::grpc::{Metric, MetricType};
use parking_lot::Mutex;
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

/// Counter names kept.
const MOST_COUNTERS: usize = 4_096;
/// Gauges kept, over all senders.
const MOST_GAUGES: usize = 65_536;
/// A gauge whose sender is silent for this long no longer counts.
const GAUGE_KEPT: Duration = Duration::from_secs(120);
/// The longest name kept, in bytes.
const MAX_NAME: usize = 256;

/// One figure: its value, and what sort it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// The value.
    pub value: f64,
    /// Counter or gauge.
    pub kind: MetricType,
}

/// The figures of the cluster.
#[derive(Debug, Default)]
pub struct Metrics {
    tables: Mutex<Tables>,
}

#[derive(Debug, Default)]
struct Tables {
    counters: HashMap<String, f64>,
    gauges: HashMap<(String, String), (f64, Instant)>,
}

impl Metrics {
    /// Takes in what `source` sent. `instance` is put before names that do not name theirs.
    pub fn report(&self, instance: &str, source: &str, metrics: &[Metric]) {
        let mut tables = self.tables.lock();
        for metric in metrics {
            let name = match metric.instance() {
                "" => format!("{instance}.{}", metric.name()),
                own => format!("{own}.{}", metric.name()),
            };
            if metric.name().is_empty() || name.len() > MAX_NAME || !metric.value().is_finite() {
                continue;
            }
            if metric.metric_type() == MetricType::Counter {
                tables.count(name, metric.value());
            } else {
                tables.gauge(name, source, metric.value());
            }
        }
    }

    /// All figures by name.
    pub fn figures(&self) -> BTreeMap<String, Figure> {
        let mut tables = self.tables.lock();
        tables.gauges.retain(|_, (_, seen)| seen.elapsed() < GAUGE_KEPT);
        let counter = |(name, &value): (&String, &f64)| {
            (name.clone(), Figure { value, kind: MetricType::Counter })
        };
        let mut figures: BTreeMap<_, _> = tables.counters.iter().map(counter).collect();
        for ((name, _), (value, _)) in &tables.gauges {
            let sum = Figure { value: 0.0, kind: MetricType::Gauge };
            figures.entry(name.clone()).or_insert(sum).value += value;
        }
        figures
    }

    /// Forgets everything.
    pub fn clear(&self) {
        *self.tables.lock() = Tables::default();
    }
}

impl Tables {
    fn count(&mut self, name: String, added: f64) {
        if let Some(value) = self.counters.get_mut(&name) {
            *value += added;
        } else if self.counters.len() < MOST_COUNTERS {
            self.counters.insert(name, added);
        }
    }

    fn gauge(&mut self, name: String, source: &str, value: f64) {
        if self.gauges.len() >= MOST_GAUGES {
            self.gauges.retain(|_, (_, seen)| seen.elapsed() < GAUGE_KEPT);
        }
        let key = (name, source.chars().take(MAX_NAME).collect());
        if self.gauges.len() < MOST_GAUGES || self.gauges.contains_key(&key) {
            self.gauges.insert(key, (value, Instant::now()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(name: &str, value: f64, kind: MetricType) -> Metric {
        Metric {
            name: Some(name.into()),
            value: Some(value),
            metric_type: kind as i32,
            ..Default::default()
        }
    }

    #[test]
    fn counters_add_up_over_time_and_gauges_over_senders() {
        let metrics = Metrics::default();
        for source in ["a", "b", "a"] {
            let sent =
                [metric("Ops", 2.0, MetricType::Counter), metric("Open", 3.0, MetricType::Gauge)];
            metrics.report("Client", source, &sent);
        }
        let figures = metrics.figures();
        assert_eq!(figures["Client.Ops"], Figure { value: 6.0, kind: MetricType::Counter });
        assert_eq!(figures["Client.Open"], Figure { value: 6.0, kind: MetricType::Gauge });
        metrics.clear();
        assert!(metrics.figures().is_empty());
    }

    #[test]
    fn names_without_end_are_not_kept() {
        let metrics = Metrics::default();
        for n in 0..MOST_COUNTERS + 10 {
            metrics.report("Client", "x", &[metric(&n.to_string(), 1.0, MetricType::Counter)]);
        }
        metrics.report("Client", "x", &[metric("bad", f64::NAN, MetricType::Counter)]);
        assert_eq!(metrics.figures().len(), MOST_COUNTERS);
    }
}
