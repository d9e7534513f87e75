//! The corpus as plain tests: every input that was kept, and seeded changes of them.

use super::text::check_amount;
use super::{TARGETS, Target, request};
use crate::dice::Dice;
use crate::score::score;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Nobody waits for longer than this for the changed inputs of one target, and every target gets some.
const CHANGED_WITHIN: Duration = Duration::from_secs(8);
const CHANGED_MAX: u64 = 30_000;
const CHANGED_LEAST: u64 = 300;

fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut inputs: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.display().to_string(), std::fs::read(&path).unwrap()))
        .collect();
    inputs.sort();
    assert!(inputs.len() >= 3, "{} holds {} inputs", folder.display(), inputs.len());
    inputs
}

/// Runs a target and names the input where a property does not hold.
fn run(target: Target, name: &str, input: &[u8]) {
    let ran = std::panic::catch_unwind(|| target(input));
    assert!(ran.is_ok(), "{name}: {:?}", input.escape_ascii().to_string());
}

fn replay(name: &str) {
    let (_, target) = TARGETS.into_iter().find(|(known, _)| *known == name).unwrap();
    let inputs = corpus(name);
    for (path, input) in &inputs {
        run(target, path, input);
    }
    let (began, mut dice, mut changed) = (Instant::now(), Dice(1), 0);
    while changed < CHANGED_MAX && (changed < CHANGED_LEAST || began.elapsed() < CHANGED_WITHIN) {
        let mut input = dice.one_of(&inputs).1.clone();
        for _ in 0..dice.below(4) {
            change(&mut input, &dice.one_of(&inputs).1, &mut dice);
        }
        run(target, &format!("change {changed}"), &input);
        changed += 1;
    }
    request::close();
    score(34, &format!("replayed inputs of {name}"), inputs.len() as u64 + changed);
}

/// One of the changes that fuzzers make.
fn change(input: &mut Vec<u8>, other: &[u8], dice: &mut Dice) {
    const WORDS: [&[u8]; 14] = [
        b"0",
        b"-",
        b".",
        b"9223372036854775807",
        b"1e3",
        b"\xd9\xa3",
        b"\0",
        b"%00",
        b"\\u0000",
        b"\"",
        b"@",
        b",",
        b"\n",
        b"%zz",
    ];
    let at = dice.index(input.len() + 1);
    let end = at + dice.index(input.len() - at + 1);
    match dice.below(6) {
        0 if at < input.len() => input[at] ^= 1 << dice.below(8),
        1 => drop(input.drain(at..end)),
        2 => drop(input.splice(at..end, other.iter().copied().take(dice.index(other.len() + 1)))),
        3 => drop(input.splice(at..at, dice.one_of(&WORDS).iter().copied())),
        4 => {
            let piece = input[at..end].to_vec();
            drop(input.splice(at..at, piece));
        }
        _ => input.insert(at, u8::try_from(dice.below(256)).unwrap()),
    }
    input.truncate(4_096);
}

macro_rules! replays {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            replay(stringify!($name));
        })*

        #[test]
        fn every_target_is_replayed() {
            let names = [$(stringify!($name)),*];
            assert_eq!(names, TARGETS.map(|(name, _)| name));
        }
    };
}

replays! {
    amount ifsc upi name fields forwarded_for callback_url bank_reply bank_call csv bank_files request_json request_form commands
}

/// Texts that are nearly amounts, as many as the scorecard asks for.
#[test]
fn a_million_amounts_are_what_their_digits_say() {
    const CASES: u64 = 1_000_000;
    const BASES: [u64; 16] = [
        0,
        1,
        9,
        100,
        200_000,
        500_000,
        1 << 53,
        (1 << 53) + 1,
        i32::MAX as u64,
        u32::MAX as u64,
        10_000_000_000_000,
        1_000_000_000_000_000,
        i64::MAX as u64 / 100,
        i64::MAX as u64,
        u64::MAX - 200,
        184_467_440_737_095_516,
    ];
    const PREFIXES: [&str; 12] = ["", "", "", "", "0", "000000000000000000000", "-", "+", " ", "\t", "0x", "\u{20b9}"];
    const SUFFIXES: [&str; 20] = [
        "",
        "",
        "",
        "",
        ".00",
        ".05",
        ".5",
        ".005",
        ".",
        "e3",
        "E-2",
        " ",
        "\n",
        "\0",
        "f",
        ",00",
        "_000",
        "\u{660}",
        "\u{ff11}",
        "00000000000000000000",
    ];
    const WORDS: [&str; 12] =
        ["", "NaN", "nan", "inf", "-inf", "infinity", "-0", "1.005", "\u{663}", "\u{967}\u{968}", "1e400", ".01"];
    let mut dice = Dice(14);
    for word in WORDS {
        check_amount(word);
    }
    for case in 0..CASES {
        let number = match case % 4 {
            0 => dice.one_of(&BASES).wrapping_add(dice.below(200)).saturating_sub(100),
            // As many digits as any other.
            _ => dice.next() >> dice.below(64),
        };
        let mut text = format!("{}{number}{}", dice.one_of(&PREFIXES), dice.one_of(&SUFFIXES));
        match case % 16 {
            5 => text.push_str(dice.one_of::<&str>(&WORDS)),
            6 => text = format!("{number}.{:02}", dice.below(100)),
            7 => text = text.replace('1', "\u{661}"),
            8 => text.insert(0, '1'),
            _ => {}
        }
        check_amount(&text);
    }
    score(14, "texts of amounts", CASES);
}
