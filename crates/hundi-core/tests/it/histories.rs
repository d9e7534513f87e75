//! Every history of one payout, up to a length, with the laws checked after every step.
//!
//! Histories that lead to the same world (but for times and versions) are walked on once, and counted as many as they are:
//! 5.65 million million histories of up to nine inputs in a hundred thousand steps, and 1.14 million million of up to eight
//! inputs in which two people speak too.

use super::common::rules;
use super::laws::{BY_NOBODY, INPUTS, Input, World};
use hundi_core::schedule::SECOND;
use std::collections::HashMap;

const ATTEMPTS_MAX: u32 = 2;

#[test]
fn every_history_is_lawful() {
    walk(&INPUTS[..BY_NOBODY], 9, 88_000);
}

#[test]
fn every_history_is_lawful_whatever_two_people_say() {
    walk(&INPUTS, 8, 250_000);
}

/// All histories of these inputs up to a length, in at least so many steps.
fn walk(inputs: &[Input], length: u32, steps_min: u64) {
    let rules = rules(ATTEMPTS_MAX, 0);
    let first = World::new(&rules);
    let mut level = HashMap::from([(first.key(), (first, 1u64))]);
    let (mut steps, mut histories, mut longest) = (0u64, 0u64, 0u64);
    let mut ends = HashMap::new();
    for _ in 0..length {
        let mut next: HashMap<String, (World, u64)> = HashMap::new();
        for (world, count) in level.values() {
            for input in inputs {
                let mut after = world.copy();
                after.step(&rules, *input, 10 * SECOND);
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
    let inputs = inputs.len() as u64;
    assert_eq!(longest, inputs.pow(length));
    assert_eq!(histories, (1..=length).map(|length| inputs.pow(length)).sum::<u64>());
    assert!(steps >= steps_min, "{steps} steps");
    assert_eq!(ends.len(), 14, "every state was reached, held and not: {ends:?}");
}
