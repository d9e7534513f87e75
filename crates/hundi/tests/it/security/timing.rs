//! How long a refusal takes tells nothing about a secret: a Welch t-test over a million measurements (after dudect), and the
//! limits on guessing. The measurements are part of `./check --long` only, because they need a machine that does nothing else.

#![expect(clippy::float_arithmetic, reason = "statistics of measurements")]

use super::process::kit::Numbers;
use super::support::{World, operator};
use crate::score::score;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hundi::admin;
use hundi::http::auth;
use hundi_core::signing;
use hyper::HeaderMap;
use serde_json::json;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

/// The mean and the variance of what was measured, number by number (Welford).
#[derive(Clone, Copy, Default, Debug)]
struct Sample {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Sample {
    fn add(&mut self, value: f64) {
        self.count += 1.0;
        let off = value - self.mean;
        self.mean += off / self.count;
        self.squares += off * (value - self.mean);
    }
}

/// Welch's t of two samples.
fn t(a: Sample, b: Sample) -> f64 {
    let error = |sample: Sample| sample.squares / (sample.count - 1.0) / sample.count;
    (a.mean - b.mean) / (error(a) + error(b)).sqrt()
}

/// Times `work` on inputs of two classes that are drawn by chance, each from the same place in memory. The slowest twentieth
/// is the machine's doing and is left out.
fn compare(inputs: &[Vec<String>; 2], mut work: impl FnMut(&str)) -> f64 {
    let mut numbers = Numbers::new(32);
    let mut input = String::new();
    let mut once = || {
        let class = usize::from(numbers.between(0, 2) == 1);
        let nth = usize::try_from(numbers.between(0, inputs[class].len() as u64)).unwrap();
        input.clear();
        input.push_str(&inputs[class][nth]);
        let began = Instant::now();
        work(black_box(&input));
        (class, u32::try_from(began.elapsed().as_nanos()).unwrap_or(u32::MAX))
    };
    let all: Vec<(usize, u32)> = (0..2 * MEASUREMENTS).map(|_| once()).collect();
    let mut sorted: Vec<u32> = all.iter().map(|(_, took)| *took).collect();
    sorted.sort_unstable();
    let most = sorted[sorted.len() / 20 * 19];
    let mut samples = [Sample::default(); 2];
    for (class, took) in all.into_iter().filter(|(_, took)| *took <= most) {
        samples[class].add(f64::from(took));
    }
    let [a, b] = samples;
    println!("{:.1} ns and {:.1} ns over {} and {} measurements: t = {:.2}", a.mean, b.mean, a.count, b.count, t(a, b));
    t(a, b)
}

/// Of each class, about.
const MEASUREMENTS: usize = 1_000_000;
/// Inputs of each class, so that no single one decides.
const INPUTS: usize = 4_096;

/// Beyond this two samples are taken to differ, as dudect does.
const T_MOST: f64 = 4.5;

#[test]
fn a_refusal_takes_as_long_wherever_the_first_wrong_byte_is() {
    if std::env::var_os("HUNDI_LONG").is_none() {
        // It is about nanoseconds: other tests beside it would be measured too.
        return;
    }
    // Signatures of callbacks: the MAC is wrong from its first byte on, or in its last byte only.
    let (secret, payload) = ([7_u8; 32], b"GET /cb?clientTxnRef=1");
    let good = signing::sign(&secret, "cb_1_1", 1_795_329_000, payload);
    let mac = STANDARD.decode(good.trim_start_matches("v1,")).unwrap();
    let mut numbers = Numbers::new(33);
    let mut wrong = |from: usize| -> String {
        let mut mac = mac.clone();
        mac[from] ^= u8::try_from(numbers.between(1, 256)).unwrap();
        mac[from + 1..].iter_mut().for_each(|byte| *byte = u8::try_from(numbers.between(0, 256)).unwrap());
        format!("v1,{}", STANDARD.encode(mac))
    };
    let headers = [0, 31].map(|from| (0..INPUTS).map(|_| wrong(from)).collect());
    let signatures = compare(&headers, |header| {
        assert!(!black_box(signing::verify(&secret, "cb_1_1", 1_795_329_000, payload, header)));
    });

    // Tokens that nobody has: nothing of the known one's digits is right, or all but the last three.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let world = runtime.block_on(World::new());
    let digits = world.token.len();
    let mut guess = |right: usize| -> String {
        loop {
            let random = (right..digits).map(|_| format!("{:x}", numbers.between(0, 16))).collect::<String>();
            let guess = world.token[..right].to_owned() + &random;
            if guess[..=right] != world.token[..=right] {
                return guess;
            }
        }
    };
    let tokens = [digits - 40, digits - 3].map(|right| (0..INPUTS).map(|_| guess(right)).collect());
    let (peer, none) = (IpAddr::from(Ipv4Addr::LOCALHOST), HeaderMap::new());
    let judged = compare(&tokens, |token| {
        let refused = runtime.block_on(auth::caller(&world.app, peer, &none, Ok(Some(token))));
        assert!(refused.is_err());
    });
    for (what, t) in [("signatures", signatures), ("tokens", judged)] {
        assert!(t.abs() < T_MOST, "{what}: t = {t:.2}");
    }
    let hundredths = |t: f64| (t.abs() * 100.0) as u64;
    score(32, "a million wrong signatures: |t| in hundredths, below 450", hundredths(signatures));
    score(32, "a million wrong tokens: |t| in hundredths, below 450", hundredths(judged));
}

/// Who guesses learns from an answer only that it was no token, and remembers nothing into our memory; who has one is
/// limited as it says.
#[tokio::test(start_paused = true)]
async fn guesses_are_all_answered_alike_and_a_limit_holds() {
    let world = World::with(|config| config.api.strict_http = true).await;
    let made = admin::token_new(&world.app, "demo", "127.0.0.1", Some(100), &operator()).await.unwrap();
    let token = made["token"].as_str().unwrap();
    // 160 bits: a billion guesses a second take longer than the world is old.
    assert_eq!(token.len(), "hundi_".len() + 40);
    let ask = async |token: &str| {
        world.post("/PayoutTransactionStatusByClientRef", &json!({"Token": token, "OrderID": "x"}).to_string()).await
    };
    let mut answers = std::collections::BTreeSet::new();
    let mut guesses = 0;
    for at in 0..token.len() {
        for other in ["0", "f", "x", "A", " ", "\u{e9}", "%"] {
            let mut guess = token.to_owned();
            guess.replace_range(at..=at, other);
            for guess in [guess, token[..at].to_owned() + other, format!("{token}{other}"), token.to_uppercase()] {
                if guess == token {
                    continue;
                }
                let answer = ask(&guess).await;
                answers.insert((answer.status, answer.body.clone()));
                guesses += 1;
            }
        }
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
    let served = async || {
        let mut served = 0;
        for _ in 0..150 {
            served += u64::from(ask(token).await.status == 404);
        }
        served
    };
    assert_eq!(served().await, 100);
    world.pass(Duration::from_secs(60)).await;
    assert_eq!(served().await, 100);
    score(32, "guesses beside a known token, answered alike", guesses);
    score(32, "calls served in a minute with a limit of 100", 100);
}
