//! What a process counts. Every metric is declared once, in [`names`]; a role asks a [`Metrics`]
//! for it and counts.

pub mod names;

use names::Name;
use parking_lot::Mutex;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::{counter, gauge};
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

/// A number that only grows. Clones count together.
pub type Counter = counter::Counter;
/// A number that goes up and down. Clones show the same.
pub type Gauge = gauge::Gauge<i64, AtomicI64>;

/// What tells the gauges of one name apart.
type Labels = Vec<(&'static str, String)>;

/// The metrics of one process. Clones share them.
#[derive(Clone, Default)]
pub struct Metrics {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    registry: Registry,
    counters: BTreeMap<&'static str, Counter>,
    gauges: BTreeMap<&'static str, Gauge>,
    labelled: BTreeMap<&'static str, Family<Labels, Gauge>>,
}

impl Metrics {
    /// The counter of that name, registered the first time it is asked for.
    pub fn counter(&self, name: &Name) -> Counter {
        let inner = &mut *self.inner.lock();
        let register = || {
            let counter = Counter::default();
            inner.registry.register(name.text, name.help, counter.clone());
            counter
        };
        inner.counters.entry(name.text).or_insert_with(register).clone()
    }

    /// The gauge of that name, registered the first time it is asked for.
    pub fn gauge(&self, name: &Name) -> Gauge {
        let inner = &mut *self.inner.lock();
        let register = || {
            let gauge = Gauge::default();
            inner.registry.register(name.text, name.help, gauge.clone());
            gauge
        };
        inner.gauges.entry(name.text).or_insert_with(register).clone()
    }

    /// The gauge of that name with these labels, for what there are several of. Not in reports.
    pub fn labelled_gauge(&self, name: &Name, labels: &[(&'static str, &str)]) -> Gauge {
        let inner = &mut *self.inner.lock();
        let register = || {
            let family = Family::<Labels, Gauge>::default();
            inner.registry.register(name.text, name.help, family.clone());
            family
        };
        let family = inner.labelled.entry(name.text).or_insert_with(register);
        let labels = labels.iter().map(|&(key, value)| (key, value.to_string())).collect();
        family.get_or_create(&labels).clone()
    }

    /// Every metric's value by name, for reports.
    pub fn values(&self) -> BTreeMap<String, f64> {
        let inner = self.inner.lock();
        let counters = inner.counters.iter().map(|(name, c)| (name.to_string(), c.get() as f64));
        let gauges = inner.gauges.iter().map(|(name, g)| (name.to_string(), g.get() as f64));
        counters.chain(gauges).collect()
    }

    /// All metrics in OpenMetrics text.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing to a String does not fail.
        encode(&mut text, &self.inner.lock().registry).expect("a String takes any text");
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_shown() {
        let metrics = Metrics::default();
        metrics.counter(&names::MASTER_CALLS).inc_by(2);
        metrics.counter(&names::MASTER_CALLS).inc();
        metrics.gauge(&names::MASTER_LIVE_WORKERS).set(4);
        metrics.labelled_gauge(&names::WORKER_DIR_USED, &[("dir", "/a")]).set(7);
        let text = metrics.encode();
        assert!(text.contains("goosefs_worker_dir_used_bytes{dir=\"/a\"} 7"), "{text}");
        assert!(text.contains("goosefs_master_calls_total 3"), "{text}");
        assert!(text.contains("goosefs_master_live_workers 4"), "{text}");
        assert_eq!(metrics.values()["goosefs_master_calls"], 3.0);
    }
}
