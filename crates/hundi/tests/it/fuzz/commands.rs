//! Sequences of commands into the core, by several payouts of one merchant: the laws of `hundi-core` after each.

use super::common::rules;
use super::first;
use super::laws::{INPUTS, Input, PAYOUTS_MAX, World};
use hundi_core::schedule::{DAY, HOUR, MINUTE, SECOND};

/// How long a step takes; clocks step back too.
const PAUSES_US: [i64; 10] = [0, SECOND, 2 * SECOND, 10 * SECOND, MINUTE, HOUR, 25 * HOUR, 31 * DAY, -SECOND, -HOUR];
const STEPS_MAX: usize = 200;

/// The first byte says how many attempts there may be; then each step takes two: what happens, and to which payout after
/// which pause.
pub fn commands(mut data: &[u8]) {
    let rules = rules(1 + u32::from(first(&mut data) % 3), DAY);
    let mut world = World::new(&rules);
    for step in data.as_chunks::<2>().0.iter().take(STEPS_MAX) {
        let (input, rest) = (usize::from(step[0]), usize::from(step[1]));
        world.at = rest % PAYOUTS_MAX;
        let pause_us = PAUSES_US[rest / PAYOUTS_MAX % PAUSES_US.len()];
        let input = if world.has_payout() { INPUTS[input % INPUTS.len()] } else { Input::Create };
        world.step(&rules, input, pause_us);
    }
}
