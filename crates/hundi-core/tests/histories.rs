//! Every history of one payout, up to a length, with the laws checked after every step.
//!
//! Histories that lead to the same world (but for times and versions) are walked on once, and counted as many as they are:
//! 5.65 million million histories of up to nine inputs in a hundred thousand steps.

mod common;

use common::laws::{INPUTS, World};
use common::rules;
use hundi_core::schedule::SECOND;
use std::collections::HashMap;

const LENGTH: usize = 9;
const ATTEMPTS_MAX: u32 = 2;

#[test]
fn every_history_is_lawful() {
    let rules = rules(ATTEMPTS_MAX, 0);
    let first = World::new(&rules);
    let mut level = HashMap::from([(first.key(), (first, 1u64))]);
    let (mut steps, mut histories, mut longest) = (0u64, 0u64, 0u64);
    let mut ends = HashMap::new();
    for _ in 0..LENGTH {
        let mut next: HashMap<String, (World, u64)> = HashMap::new();
        for (world, count) in level.values() {
            for input in INPUTS {
                let mut after = world.copy();
                after.step(&rules, input, 10 * SECOND);
                steps += 1;
                histories += count;
                *ends.entry((after.payout().state, after.payout().held)).or_insert(0u64) += 1;
                next.entry(after.key()).or_insert((after, 0)).1 += count;
            }
        }
        longest = next.values().map(|(_, count)| count).sum();
        level = next;
    }
    // The walk may not silently become shorter.
    let inputs = INPUTS.len() as u64;
    assert_eq!(longest, inputs.pow(LENGTH as u32));
    assert_eq!(histories, (1..=LENGTH as u32).map(|length| inputs.pow(length)).sum::<u64>());
    println!("{steps} steps");
    assert!(steps >= 88_000, "{steps} steps");
    assert_eq!(ends.len(), 14, "every state was reached, held and not: {ends:?}");
}
