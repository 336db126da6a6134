//! How much is measured: small by default, raised by environment variables. Read once by `main`.

use crate::Result;

/// One figure: the environment variable, the default, and the goal's scale.
pub struct Figure {
    variable: &'static str,
    small: u64,
    /// Below it a row says nothing about its goal.
    pub goal: u64,
    value: u64,
}

impl Figure {
    fn read(variable: &'static str, small: u64, goal: u64, full: bool) -> Result<Self> {
        let value = match std::env::var(variable) {
            Ok(text) => text
                .replace('_', "")
                .parse()
                .map_err(|_| format!("{variable} must be a number"))?,
            Err(_) if full => goal,
            Err(_) => small,
        };
        Ok(Self {
            variable,
            small,
            goal,
            value,
        })
    }

    /// What this run takes.
    pub fn get(&self) -> u64 {
        self.value
    }

    /// Whether the goal may be judged.
    pub fn is_full(&self) -> bool {
        self.value >= self.goal
    }
}

/// Every figure. `PARAPHE_BENCH=full` takes the goals' scale for all that are not set one by one.
pub struct Scale {
    /// Confirmations in a measured window.
    pub confirmations: Figure,
    /// Confirmations in progress at once.
    pub in_flight: Figure,
    /// Enrolled people of the large database.
    pub subjects: Figure,
    /// Past challenges of the large database.
    pub past: Figure,
    /// Idle streams.
    pub streams: Figure,
    /// Challenges that expire at once.
    pub expiring: Figure,
    /// Seconds of overload.
    pub overload_s: Figure,
    /// Seconds of soak.
    pub soak_s: Figure,
}

impl Scale {
    /// # Errors
    /// A variable that is not a number.
    pub fn from_environment() -> Result<Self> {
        let full = std::env::var("PARAPHE_BENCH").is_ok_and(|scale| scale == "full");
        let read = |variable, small, goal| Figure::read(variable, small, goal, full);
        Ok(Self {
            confirmations: read("PARAPHE_BENCH_CONFIRMATIONS", 3_000, 20_000)?,
            in_flight: read("PARAPHE_BENCH_IN_FLIGHT", 64, 64)?,
            subjects: read("PARAPHE_BENCH_SUBJECTS", 10_000, 1_000_000)?,
            past: read("PARAPHE_BENCH_PAST", 100_000, 10_000_000)?,
            streams: read("PARAPHE_BENCH_STREAMS", 1_000, 8_000)?,
            expiring: read("PARAPHE_BENCH_EXPIRING", 10_000, 100_000)?,
            overload_s: read("PARAPHE_BENCH_OVERLOAD_S", 8, 60)?,
            soak_s: read("PARAPHE_BENCH_SOAK_S", 15, 1_800)?,
        })
    }

    /// Every variable with its default and its full scale, for the end of the table.
    pub fn explain(&self) -> Vec<String> {
        let all = [
            &self.confirmations,
            &self.in_flight,
            &self.subjects,
            &self.past,
            &self.streams,
            &self.expiring,
            &self.overload_s,
            &self.soak_s,
        ];
        let line = |figure: &&Figure| {
            let Figure {
                variable,
                small,
                goal,
                value,
            } = figure;
            format!("{variable}={value} (default {small}, goal's scale {goal})")
        };
        all.iter().map(line).collect()
    }
}
