//! Our callbacks, checked by the Standard Webhooks libraries of two other languages, and by the lines of Python that
//! `docs/api.md` gives to merchants: what we sign is good, what was changed is not, and a secret changes without a gap.
//! `tools/webhook-verifiers` installs the libraries; `./check` calls it.

use super::support::{Received, World, operator};
use crate::score::score;
use crate::tidy::root;
use hundi::admin::{self, MerchantChanges};
use hundi_core::schedule::Timestamp;
use hundi_core::signing;
use serde_json::{Value, json};
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A callback as a receiver may see it, and whether he shall believe it.
#[derive(Clone, Debug)]
struct Vector {
    secret: String,
    id: String,
    timestamp_s: i64,
    signature: String,
    payload: String,
    good: bool,
    /// What is special about it.
    what: &'static str,
}

fn now_s() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

/// What a verifier says about each vector: its lines.
fn ask(program: &str, arguments: &[&Path], library: &Path, vectors: &[Vector]) -> Vec<Value> {
    let shown = library.display();
    assert!(library.exists(), "{shown} is not there: run ./check, whose tools/webhook-verifiers installs it");
    let mut verifier = Command::new(program)
        .args(arguments)
        .env("NODE_PATH", library)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program} cannot be started: {error}; run ./check, which installs it"));
    let text: String = vectors
        .iter()
        .map(|vector| {
            let line = json!({
                "secret": vector.secret, "id": vector.id, "timestamp": vector.timestamp_s.to_string(),
                "signature": vector.signature, "payload": vector.payload,
            });
            format!("{line}\n")
        })
        .collect();
    let mut input = verifier.stdin.take().unwrap();
    let writer = std::thread::spawn(move || input.write_all(text.as_bytes()));
    let output = verifier.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "{program} has failed");
    let said: Vec<Value> =
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(said.len(), vectors.len());
    said
}

/// Both libraries' verdicts, and ours, are the ones that are wanted; and what they sign is good for us.
fn judge(vectors: &[Vector]) {
    let folder = root().join("target/webhook-verifiers");
    let verifier = |name: &str| root().join("tools/verifiers").join(name);
    let python = folder.join("venv/bin/python");
    let document = root().join("docs/api.md");
    let in_python = ask(python.to_str().unwrap(), &[&verifier("verify.py"), &document], &python, vectors);
    let in_javascript = ask("node", &[&verifier("verify.js")], &folder.join("node_modules"), vectors);
    let now_s = now_s();
    for ((vector, python), javascript) in vectors.iter().zip(&in_python).zip(&in_javascript) {
        let key = key(&vector.secret);
        let Vector { id, timestamp_s, payload, .. } = vector;
        let ours = signing::verify(&key, id, *timestamp_s, payload.as_bytes(), &vector.signature);
        // How old it is, a receiver judges himself; the libraries do it too.
        let fresh = timestamp_s.abs_diff(now_s) <= 300;
        assert_eq!(python["good"], vector.good, "Python: {vector:?}");
        assert_eq!(javascript["good"], vector.good, "JavaScript: {vector:?}");
        assert_eq!(ours && fresh, vector.good, "Rust: {vector:?}");
        if payload.starts_with("GET ") {
            assert_eq!(python["documented"], ours, "docs/api.md: {vector:?}");
        }
        for (language, said) in [("Python", python), ("JavaScript", javascript)] {
            let made = said["signature"].as_str().unwrap();
            assert!(signing::verify(&key, id, *timestamp_s, payload.as_bytes(), made), "{language} signs {vector:?}");
            assert_eq!(made, signing::sign(&key, id, *timestamp_s, payload.as_bytes()), "{language} signs {vector:?}");
        }
    }
}

fn key(secret: &str) -> Vec<u8> {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap()
}

/// What the receiver got, as he would check it.
fn vector(call: &Received, secret: &str, good: bool, what: &'static str) -> Vector {
    let header = |name: &str| call.headers.iter().find(|(known, _)| *known == name).unwrap().1.clone();
    let (_, path) = call.url.split_once("shop.test").unwrap();
    Vector {
        secret: secret.to_owned(),
        id: header("webhook-id"),
        timestamp_s: header("webhook-timestamp").parse().unwrap(),
        signature: header("webhook-signature"),
        payload: format!("GET {path}"),
        good,
        what,
    }
}

/// Everything that somebody on the way could change.
fn tampered(good: &Vector) -> Vec<Vector> {
    let bad = |change: fn(&mut Vector), what| {
        let mut changed = Vector { good: false, what, ..good.clone() };
        change(&mut changed);
        assert!(
            (&changed.id, changed.timestamp_s, &changed.signature, &changed.payload, &changed.secret)
                != (&good.id, good.timestamp_s, &good.signature, &good.payload, &good.secret),
            "{what} changes nothing of {good:?}"
        );
        changed
    };
    vec![
        bad(|v| v.id.push('0'), "another id"),
        bad(|v| v.id = v.id.replace("cb_", "cc_"), "another kind of id"),
        bad(|v| v.timestamp_s += 1, "a second later"),
        bad(|v| v.timestamp_s -= 1, "a second earlier"),
        bad(|v| v.timestamp_s += 301, "too new"),
        bad(|v| v.timestamp_s -= 301, "too old"),
        bad(|v| v.payload = v.payload.replace("GET ", "POST "), "another method"),
        bad(|v| v.payload = v.payload.replace("clientTxnRef=", "clientTxnRef=x"), "another order"),
        bad(|v| v.payload = v.payload.replace("refId=", "refId=9"), "another OrderID of ours"),
        bad(|v| v.payload = v.payload.replace("status=Success", "status=Failure"), "another end"),
        bad(|v| v.payload = v.payload.replace("operatorRef=", "operatorRef=7"), "another reference"),
        bad(|v| v.payload.push_str("&x=y"), "more"),
        bad(|v| v.payload = v.payload.split('&').next().unwrap().to_owned(), "less"),
        bad(|v| v.payload = v.payload.split('?').next().unwrap().to_owned(), "no query"),
        bad(|v| v.payload = v.payload.replacen('/', "//", 1), "another path"),
        bad(|v| v.signature = v.signature.replacen("v1,", "v2,", 1), "another version"),
        bad(|v| v.signature = "v1,".to_owned() + &"A".repeat(43) + "=", "no signature of ours"),
        bad(
            |v| {
                let flipped = if v.signature.as_bytes()[3] == b'A' { "B" } else { "A" };
                v.signature.replace_range(3..4, flipped);
            },
            "its first character changed",
        ),
        bad(|v| v.secret = signing::secret_text(b"somebody else's secret of 32 byt"), "another secret"),
    ]
}

#[tokio::test(start_paused = true)]
async fn two_other_languages_believe_our_callbacks_and_no_changed_one() {
    let world = World::begun_at(Timestamp(now_s() * 1_000_000), |_| {}).await;
    let mut vectors = Vec::new();
    let mut paid = 0;
    let mut call = async |url: &str| {
        set(&world, MerchantChanges { callback_url: Some(url.to_owned()), ..Default::default() }).await.unwrap();
        // An OrderID with everything that is written otherwise in a query.
        let order = format!("A&B=C%D+E#{paid}/\"'<>~_-.!*()");
        paid += 1;
        assert_eq!(world.pay(&order, 10, "1234567890").await.code(), 1);
        world.pass(Duration::from_millis(200)).await;
        world.receivers.calls().last().unwrap().clone()
    };
    let (first, none) = secrets(&world).await;
    assert_eq!(none, None);
    for url in ["http://shop.test/cb", "http://shop.test", "http://shop.test/a%20b/%E0%A4%B9?key=a%20b&x=%2B&y='"] {
        let good = vector(&call(url).await, &first, true, "one secret");
        vectors.extend(tampered(&good));
        vectors.push(good);
    }

    // A new secret: who has the old one believes us, and who has the new one too, at every moment.
    let change = |what: &str| MerchantChanges { callback_secret: Some(what.to_owned()), ..Default::default() };
    let shown = set(&world, change("new")).await.unwrap();
    let (second, old) = secrets(&world).await;
    assert_eq!((shown["callback_secret"].as_str(), old.as_deref()), (Some(&*second), Some(&*first)));
    assert_ne!(first, second);
    assert!(set(&world, change("new")).await.unwrap_err().contains("two callback secrets"));
    for _ in 0..3 {
        let both = call("http://shop.test/cb").await;
        for (secret, what) in [(&first, "the old secret of two"), (&second, "the new secret of two")] {
            let good = vector(&both, secret, true, what);
            vectors.extend(
                tampered(&good)
                    .into_iter()
                    .filter(|bad| bad.what != "its first character changed" && bad.what != "another version"),
            );
            vectors.push(good);
        }
        vectors.push(Vector {
            secret: signing::secret_text(&[7; 32]),
            good: false,
            ..vector(&both, &first, false, "neither")
        });
    }
    set(&world, change("drop-old")).await.unwrap();
    assert_eq!(secrets(&world).await, (second.clone(), None));
    assert!(set(&world, change("drop-old")).await.unwrap_err().contains("no old one"));
    assert!(set(&world, change("x")).await.unwrap_err().contains("neither new nor drop-old"));
    let last = call("http://shop.test/cb").await;
    vectors.push(vector(&last, &second, true, "the new secret alone"));
    vectors.push(vector(&last, &first, false, "the old secret, dropped"));

    // The vector of the specification: too old to be believed, but signed as its libraries sign it.
    vectors.push(Vector {
        secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned(),
        id: "msg_p5jXN8AQM9LWM0D4loKWxJek".to_owned(),
        timestamp_s: 1_614_265_330,
        signature: "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=".to_owned(),
        payload: "{\"test\": 2432232314}".to_owned(),
        good: false,
        what: "published",
    });
    judge(&vectors);
    let good = vectors.iter().filter(|vector| vector.good).count() as u64;
    let bad = vectors.len() as u64 - good;
    println!("{good} callbacks believed and {bad} refused by Python, JavaScript and Rust");
    assert!(good >= 10 && bad >= 100);
    let history = admin::merchant_show(&world.app, "demo", false).await.unwrap()["history"].to_string();
    assert!(history.contains("callback_secret added beside the old one") && history.contains("old one dropped"));
    assert!(!history.contains("whsec_"));
    score(27, "callbacks verified in three languages, secrets changed without a gap", good);
    score(27, "tampered callbacks refused in three languages", bad);
}

async fn set(world: &World, changes: MerchantChanges) -> Result<Value, String> {
    admin::merchant_set(&world.app, "demo", changes, &operator()).await
}

/// His secrets as the operator is shown them: the newest, and the one before.
async fn secrets(world: &World) -> (String, Option<String>) {
    let shown = admin::merchant_show(&world.app, "demo", true).await.unwrap();
    let text = |name: &str| shown.get(name).and_then(Value::as_str).map(str::to_owned);
    (text("callback_secret").unwrap(), text("callback_secret_old"))
}
