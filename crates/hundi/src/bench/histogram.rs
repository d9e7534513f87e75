//! Times in buckets of fixed size: 64 for each power of two, so that a time is known to within 1.6 %.
//!
//! Times are microseconds. The buckets take 15 KiB, however many times they hold.

/// Buckets for each power of two, as a power of two.
const PRECISION: u32 = 6;
/// The longest time that is told from longer ones: 2^34 microseconds, more than four hours.
const BITS_MAX: u32 = 34;
const BUCKETS: usize = ((BITS_MAX - PRECISION) as usize + 1) << PRECISION;

/// How often each time occurred.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Vec<u64>,
    count: u64,
    longest_us: u64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { counts: vec![0; BUCKETS], count: 0, longest_us: 0 }
    }
}

impl Histogram {
    /// One time more.
    pub fn add(&mut self, us: u64) {
        self.counts[bucket(us)] += 1;
        self.count += 1;
        self.longest_us = self.longest_us.max(us);
    }

    /// All times of another.
    pub fn merge(&mut self, other: &Histogram) {
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.count += other.count;
        self.longest_us = self.longest_us.max(other.longest_us);
    }

    /// How many times there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The longest time.
    pub fn longest_us(&self) -> u64 {
        self.longest_us
    }

    /// The time that so many of 1,000 do not exceed; 0 if there are none.
    pub fn per_mille_us(&self, per_mille: u64) -> u64 {
        let wanted = u128::from(self.count) * u128::from(per_mille);
        let mut seen = 0u128;
        for (index, count) in self.counts.iter().enumerate() {
            seen += u128::from(*count);
            if *count > 0 && seen * 1_000 >= wanted {
                return highest(index).min(self.longest_us);
            }
        }
        self.longest_us
    }
}

fn bucket(us: u64) -> usize {
    let us = us.min((1 << BITS_MAX) - 1);
    let shift = (u64::BITS - us.leading_zeros()).saturating_sub(PRECISION + 1);
    ((shift as usize) << PRECISION) + (us >> shift) as usize
}

/// The longest time of a bucket.
fn highest(index: usize) -> u64 {
    let shift = (index >> PRECISION).saturating_sub(1);
    let first = (index - (shift << PRECISION)) as u64;
    ((first + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_is_in_a_bucket_that_is_less_than_two_per_cent_wide() {
        let mut last = 0;
        for us in (0..5_000).chain((5_000..2_000_000).step_by(97)).chain([1 << 33, (1 << 34) - 1, 1 << 40]) {
            let index = bucket(us);
            assert!(index < BUCKETS && index >= last, "{us}");
            last = index;
            let highest = highest(index);
            assert!(highest >= us.min((1 << BITS_MAX) - 1) && highest <= us + us / 60, "{us} is told as {highest}");
        }
    }

    #[test]
    fn shares_are_of_all_times() {
        let mut times = Histogram::default();
        assert_eq!(times.per_mille_us(500), 0);
        let mut others = Histogram::default();
        for us in 1..=500 {
            times.add(us);
            others.add(us + 500);
        }
        times.merge(&others);
        assert_eq!((times.count(), times.longest_us()), (1_000, 1_000));
        for (per_mille, us) in [(10, 10), (500, 500), (950, 950), (999, 999), (1_000, 1_000)] {
            let told = times.per_mille_us(per_mille);
            assert!(told >= us && told <= us + us / 60, "{per_mille}: {told}");
        }
    }
}
