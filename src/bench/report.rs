//! What a workload found.

use serde::Serialize;

/// One workload: ours, the floor, and the ratio of the two over all rounds.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// What was measured, as performance tables name it.
    pub name: String,
    /// The unit of `ours` and `floor`.
    pub unit: &'static str,
    /// Our median.
    pub ours: f64,
    /// What the floor is.
    pub floor_name: String,
    /// The floor's median.
    pub floor: f64,
    /// Ours divided by the floor, so that more is better: the median of all rounds.
    pub ratio: f64,
    /// The worst round's ratio.
    pub ratio_min: f64,
    /// The best round's ratio.
    pub ratio_max: f64,
    /// Anything else worth knowing, as "24 µs master CPU per call".
    pub note: String,
}

impl Row {
    /// A row from (ours, floor) of each round. With `less_is_better`, as for times, the ratio is
    /// turned around.
    pub fn new(
        name: &str,
        unit: &'static str,
        floor_name: &str,
        rounds: &[(f64, f64)],
        less_is_better: bool,
    ) -> Row {
        let ratio = |&(ours, floor): &(f64, f64)| match less_is_better {
            true => floor / ours,
            false => ours / floor,
        };
        let ratios: Vec<f64> = rounds.iter().map(ratio).collect();
        Row {
            name: name.into(),
            unit,
            ours: median(rounds.iter().map(|round| round.0)),
            floor_name: floor_name.into(),
            floor: median(rounds.iter().map(|round| round.1)),
            ratio: median(ratios.iter().copied()),
            ratio_min: ratios.iter().copied().fold(f64::INFINITY, f64::min),
            ratio_max: ratios.iter().copied().fold(0.0, f64::max),
            note: String::new(),
        }
    }

    /// The same with a note.
    pub fn note(mut self, note: String) -> Row {
        self.note = note;
        self
    }
}

/// All a command measured.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// One row a workload.
    pub rows: Vec<Row>,
}

/// The middle value; 0 for none.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        n if n % 2 == 1 => values[n / 2],
        n => (values[n / 2 - 1] + values[n / 2]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_say_more_is_better() {
        let rounds = [(1.0, 2.0), (3.0, 3.0), (2.0, 1.0)];
        let row = Row::new("x", "ops/s", "floor", &rounds, false);
        assert_eq!((row.ratio, row.ratio_min, row.ratio_max), (1.0, 0.5, 2.0));
        let row = Row::new("x", "s", "floor", &[(1.0, 2.0)], true);
        assert_eq!(row.ratio, 2.0);
        assert_eq!(median([4.0, 1.0].into_iter()), 2.5);
    }
}
