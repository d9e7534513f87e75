//! Typed ids, and how our bank reference is derived.
//!
//! An id of one thing can not be passed where another's is meant. Numbers are given out by the store and the process
//! ([`PayoutIds`]); texts are parsed once.

use crate::schedule::Timestamp;
use sha2::{Digest, Sha256};
use std::fmt;

/// A merchant's number in the store. Merchant 0 is the house.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MerchantId(pub i64);

impl MerchantId {
    /// The operator's own books: float, suspense, fee income, tax payable, loss.
    pub const HOUSE: MerchantId = MerchantId(0);
}

/// Our OrderID of a payout: at most 15 digits, unique across all processes, rising with time (WIRE 15).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PayoutId(pub i64);

impl fmt::Display for PayoutId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How many processes can hold a number at once.
pub const PROCESSES_MAX: i64 = 32;
/// Ids per second and process. A million and a half ids a second in all last 15 digits into the year 2043.
const TICKS_PER_SECOND: i64 = 50_000;
/// 2024-01-01T00:00:00Z in microseconds: ids count from here.
const IDS_EPOCH_US: i64 = 1_704_067_200_000_000;

/// The number of the tick that a moment lies in.
fn tick_of(at: Timestamp) -> i64 {
    at.0.saturating_sub(IDS_EPOCH_US).max(0) / (1_000_000 / TICKS_PER_SECOND)
}

/// The first moment of a tick.
fn moment_of(tick: i64) -> Timestamp {
    Timestamp(IDS_EPOCH_US.saturating_add(tick.saturating_mul(1_000_000 / TICKS_PER_SECOND)))
}

impl PayoutId {
    /// The lowest id that can be given out at this moment or later.
    pub fn first_at(at: Timestamp) -> PayoutId {
        PayoutId(tick_of(at).saturating_mul(PROCESSES_MAX))
    }

    /// The first moment whose ids all come after this one.
    pub fn moment_after(self) -> Timestamp {
        moment_of(self.0.div_euclid(PROCESSES_MAX).saturating_add(1))
    }
}

/// Makes payout ids in one process, from time and the process's leased number.
///
/// An id is `ticks since 2024 * 32 + process number`: it tells when, and nothing about how many. **The lease of a number
/// is a lease of ticks**: its holder gives out ids of ticks before the end of the lease, as it is stored, and whoever
/// holds the number next those from there on. So no id is given out twice, however long a process was paused and
/// whatever the clocks of two processes say.
#[derive(Debug)]
pub struct PayoutIds {
    process: i64,
    next_tick: i64,
    until_tick: i64,
}

impl PayoutIds {
    /// A maker for the process with this leased number (0 to [`PROCESSES_MAX`] - 1): from the end of the lease before,
    /// to the end of its own.
    pub fn new(process: i64, from: Timestamp, until: Timestamp) -> PayoutIds {
        PayoutIds { process: process.rem_euclid(PROCESSES_MAX), next_tick: tick_of(from), until_tick: tick_of(until) }
    }

    /// A maker that gives out nothing, for who holds no number.
    pub fn none() -> PayoutIds {
        PayoutIds::new(0, Timestamp(0), Timestamp(0))
    }

    /// The next id; `None` once the lease is used up, or it would need more than 15 digits.
    pub fn next(&mut self, now: Timestamp) -> Option<PayoutId> {
        // A clock that steps back gives no id twice, and an absurd reading of it does not spoil those after it.
        let tick = tick_of(now).max(self.next_tick);
        if tick >= self.until_tick {
            return None;
        }
        let id = tick.checked_mul(PROCESSES_MAX)?.checked_add(self.process)?;
        if id > 999_999_999_999_999 {
            return None;
        }
        self.next_tick = tick + 1;
        Some(PayoutId(id))
    }

    /// The first moment of which no id was given out yet: a lease that is given back ends here.
    pub fn spent(&self) -> Timestamp {
        moment_of(self.next_tick)
    }

    /// The lease is known to be stored until this moment. It never becomes shorter.
    pub fn prolong(&mut self, until: Timestamp) {
        self.until_tick = self.until_tick.max(tick_of(until));
    }

    /// Gives out nothing any more.
    pub fn end(&mut self) {
        self.until_tick = 0;
    }
}

/// The merchant's own OrderID: 1 to 64 printable ASCII characters without spaces, case-sensitive (WIRE 5).
/// It is the idempotency key, for ever.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct OrderId(Box<str>);

impl OrderId {
    /// Parses an OrderID; `None` where it is not one.
    pub fn parse(text: &str) -> Option<OrderId> {
        let fits = (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        fits.then(|| OrderId(text.into()))
    }

    /// The OrderID as the merchant wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The name of a connector: 1 to 16 of `[a-z0-9_-]`, such as `sandbox`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Connector {
    bytes: [u8; 16],
    len: u8,
}

impl Connector {
    /// Parses a connector's name; `None` where it is not one.
    pub fn parse(text: &str) -> Option<Connector> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
        if text.is_empty() || text.len() > 16 || !text.bytes().all(allowed) {
            return None;
        }
        let mut bytes = [0; 16];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Some(Connector { bytes, len: u8::try_from(text.len()).ok()? })
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        // Only ASCII comes in through `parse`, so the empty fallback is never seen.
        std::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or_default()
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// So many characters at the end of an OrderID are taken for the ones that count up.
const COUNTED: usize = 3;
/// So many characters of a reference are those of its neighbours too.
const NEIGHBOURS: usize = 5;
/// So many characters at its end mark it as this installation's: of a million and a half strangers' words of this shape one
/// fits by chance. All but these tell 36^11 references apart, 36^6 of them within neighbours.
const MARK: usize = 4;

/// What we call one attempt at a bank: 15 of `[A-Z0-9]`, which every bank can carry.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference([u8; 15]);

impl Reference {
    /// Derives the reference of an attempt. It depends only on what the merchant sent and which try this is, so that
    /// a store restored from an old backup recognises its own payments on a statement. `salt` is 0 unless that
    /// reference is taken.
    ///
    /// The first characters depend on no more than the merchant and the OrderID without its end: OrderIDs that are
    /// counted up have references that are neighbours, so what keeps them in order writes the same few pages again,
    /// however many there are. The last ones follow from the others and the installation ([`Reference::is_of`]).
    pub fn derive(installation: &str, merchant: MerchantId, order: &OrderId, attempt: u32, salt: u8) -> Reference {
        let mut reference = Reference::without_mark(installation, merchant, order, attempt, salt);
        let mark = reference.mark(installation);
        reference.0[15 - MARK..].copy_from_slice(&mark);
        reference
    }

    /// Every reference that an attempt may have: the two of [`Reference::derive`], and those of stores before schema 6.
    pub fn candidates(installation: &str, merchant: MerchantId, order: &OrderId, attempt: u32) -> [Reference; 4] {
        [(0, true), (1, true), (0, false), (1, false)].map(|(salt, marked)| {
            let derive = if marked { Reference::derive } else { Reference::without_mark };
            derive(installation, merchant, order, attempt, salt)
        })
    }

    /// Whether it carries the installation's mark. Nobody else's reference does but by chance, so who speaks of one that is
    /// not known here speaks of what this installation has forgotten.
    pub fn is_of(&self, installation: &str) -> bool {
        self.0[15 - MARK..] == self.mark(installation)
    }

    /// Whether a statement that repeats this text in words could show one of this installation's references: in capitals, cut
    /// at either end, and without a space at which its line was cut. Letters beside digits are enough across spaces; within a
    /// word letters are, and digits alone are an account's number.
    pub fn is_read_in(text: &str, installation: &str) -> bool {
        let found = |text: &str, counts: fn(&[u8]) -> bool| {
            let words = text.split(|c: char| !c.is_ascii_alphanumeric()).map(str::to_ascii_uppercase);
            let parts = |word: String| {
                word.as_bytes().windows(15).filter(|part| counts(part)).any(|part| {
                    let reference = std::str::from_utf8(part).ok().and_then(Reference::parse);
                    reference.is_some_and(|reference| reference.is_of(installation))
                })
            };
            words.into_iter().any(parts)
        };
        let letters = |part: &[u8]| part.iter().any(u8::is_ascii_alphabetic);
        found(text, letters)
            || found(&text.replace(' ', ""), |part| {
                part.iter().any(u8::is_ascii_alphabetic) && part.iter().any(u8::is_ascii_digit)
            })
    }

    fn mark(&self, installation: &str) -> [u8; MARK] {
        let mut hash = Sha256::new();
        hash.update(b"hundi reference mark 1");
        hash.update((installation.len() as u64).to_be_bytes());
        hash.update(installation.as_bytes());
        hash.update(&self.0[..15 - MARK]);
        let mut mark = [0; MARK];
        write_base36(&mut mark, &hash.finalize());
        mark
    }

    fn without_mark(installation: &str, merchant: MerchantId, order: &OrderId, attempt: u32, salt: u8) -> Reference {
        let order = order.as_str().as_bytes();
        let (stem, end) = order.split_at(order.len().saturating_sub(COUNTED));
        let mut hash = Sha256::new();
        hash.update(b"hundi reference 2");
        hash.update((installation.len() as u64).to_be_bytes());
        hash.update(installation.as_bytes());
        hash.update(merchant.0.to_be_bytes());
        hash.update((order.len() as u64).to_be_bytes());
        hash.update(stem);
        let neighbours = hash.clone().finalize();
        hash.update(end);
        hash.update(attempt.to_be_bytes());
        hash.update([salt]);
        let own = hash.finalize();
        let mut text = [0u8; 15];
        let (first, rest) = text.split_at_mut(NEIGHBOURS);
        write_base36(first, &neighbours);
        write_base36(rest, &own);
        Reference(text)
    }

    /// Parses a reference as a bank repeats it; `None` where it cannot be one of ours.
    pub fn parse(text: &str) -> Option<Reference> {
        let bytes: [u8; 15] = text.as_bytes().try_into().ok()?;
        bytes.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()).then_some(Reference(bytes))
    }

    /// The 15 characters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Writes the beginning of a digest in `[0-9A-Z]`.
fn write_base36(places: &mut [u8], digest: &[u8]) {
    let mut number = digest.iter().take(16).fold(0u128, |number, byte| number << 8 | u128::from(*byte));
    for place in places {
        *place = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[(number % 36) as usize];
        number /= 36;
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who caused something; stored with what was done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Actor {
    /// A merchant's token, by its number.
    Token(i64),
    /// A person at the command line, by name.
    Operator(Box<str>),
    /// A bank's word.
    Connector(Connector),
    /// Hundi itself, on its schedule.
    System,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Actor::Token(id) => write!(f, "token:{id}"),
            Actor::Operator(name) => write!(f, "operator:{name}"),
            Actor::Connector(name) => write!(f, "connector:{name}"),
            Actor::System => f.write_str("system"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_a_statement_could_show_as_a_reference_is_known() {
        let reference = |nth: usize| {
            let order = OrderId::parse(&format!("order-{nth}")).unwrap();
            Reference::derive("home", MerchantId(1), &order, 1, 0).to_string()
        };
        let digits = |reference: &String| reference.bytes().filter(u8::is_ascii_digit).count();
        let mixed = reference(0);
        assert!(digits(&mixed) > 0);
        let (start, end) = mixed.split_at(7);
        let letters = (0..).map(reference).find(|reference| digits(reference) == 0).unwrap();
        let check = |text: &str, is: bool| assert_eq!(Reference::is_read_in(text, "home"), is, "{text}");
        check(&mixed, true);
        check(&mixed.to_lowercase(), true);
        check(&format!("RAVI {mixed}-KUMAR"), true);
        // What is cut at a side, or joined where a line was cut.
        check(&format!("X{mixed}YZ"), true);
        check(&format!("{start} {end}"), true);
        check(&format!("{start}-{end}"), false);
        check(&letters, true);
        // Names of letters only are many, and words of them that come to fifteen too.
        let (start, end) = letters.split_at(7);
        check(&format!("{start} {end}"), false);
        check(&mixed[..14], false);
        check("RUPESH KUMAR VIRENDR", false);
        check("\u{930}\u{93e}\u{939}\u{941}\u{932}", false);
        check("", false);
        assert!(!Reference::is_read_in(&mixed, "elsewhere"));
    }

    const NEVER: Timestamp = Timestamp(i64::MAX);

    #[test]
    fn ids_rise_are_unique_across_processes_and_fit_javascript() {
        let now = Timestamp(IDS_EPOCH_US + 19 * 365 * 86_400 * 1_000_000);
        let mut seen = std::collections::BTreeSet::new();
        for process in 0..PROCESSES_MAX {
            let mut ids = PayoutIds::new(process, Timestamp(0), NEVER);
            let mut last = PayoutId(0);
            for i in 0..1_000 {
                let id = ids.next(Timestamp(now.0 + i)).unwrap();
                assert!(id > last && id.0 <= 999_999_999_999_999);
                assert!(seen.insert(id));
                last = id;
            }
        }
    }

    #[test]
    fn a_clock_that_steps_back_gives_no_id_twice() {
        let mut ids = PayoutIds::new(3, Timestamp(0), NEVER);
        let first = ids.next(Timestamp(IDS_EPOCH_US + 9_000_000)).unwrap();
        assert!(ids.next(Timestamp(IDS_EPOCH_US)).unwrap() > first);
        assert!(PayoutIds::new(3, first.moment_after(), NEVER).next(Timestamp(0)).unwrap() > first);
        assert_eq!(ids.next(NEVER), None);
        assert!(ids.next(Timestamp(IDS_EPOCH_US)).is_some());
    }

    #[test]
    fn no_id_lies_beyond_the_lease_and_the_next_holder_begins_there() {
        // Not at the edge of a tick, and neither holder has the right time.
        let (from, until) = (Timestamp(IDS_EPOCH_US), Timestamp(IDS_EPOCH_US + 1_010));
        let mut before = PayoutIds::new(3, from, until);
        let given: Vec<PayoutId> = std::iter::from_fn(|| before.next(Timestamp(0))).collect();
        assert_eq!(given.len(), 50);
        assert_eq!(before.next(Timestamp(until.0 - 1)), None);
        let mut after = PayoutIds::new(3, until, Timestamp(until.0 + 1_000));
        assert!(after.next(Timestamp(0)).unwrap() > *given.last().unwrap());
        // What was prolonged goes on, what was given back does not, and says where it ended.
        before.prolong(Timestamp(until.0 + 1_000));
        before.prolong(until);
        let last = before.next(Timestamp(0)).unwrap();
        assert!(last > *given.last().unwrap());
        assert_eq!(before.spent(), last.moment_after());
        before.end();
        assert_eq!((before.next(Timestamp(0)), before.next(NEVER)), (None, None));
        assert_eq!(PayoutIds::none().next(until), None);
    }

    #[test]
    fn a_reference_is_fifteen_capitals_and_depends_on_every_part() {
        let order = OrderId::parse("ORDER-1").unwrap();
        let base = Reference::derive("inst", MerchantId(1), &order, 1, 0);
        assert_eq!(base.as_str().len(), 15);
        assert_eq!(Reference::parse(base.as_str()), Some(base));
        for other in [
            Reference::derive("inst2", MerchantId(1), &order, 1, 0),
            Reference::derive("inst", MerchantId(2), &order, 1, 0),
            Reference::derive("inst", MerchantId(1), &OrderId::parse("ORDER-2").unwrap(), 1, 0),
            Reference::derive("inst", MerchantId(1), &order, 2, 0),
            Reference::derive("inst", MerchantId(1), &order, 1, 1),
        ] {
            assert_ne!(base, other);
        }
        for bad in ["", "abc", "abcdefghijklmno", "ABCDEFGHIJKLMN\u{e9}"] {
            assert_eq!(Reference::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn an_installation_knows_its_own_references_and_no_others() {
        let mut strangers = 0;
        for number in 0..2_000 {
            let order = OrderId::parse(&format!("ORDER-{number}")).unwrap();
            for reference in &Reference::candidates("inst", MerchantId(1), &order, 1)[..2] {
                assert!(reference.is_of("inst") && !reference.is_of("other"));
                // Any other character, and it is a stranger's.
                for place in 0..15 {
                    let mut text = reference.0;
                    text[place] = if text[place] == b'A' { b'B' } else { b'A' };
                    strangers += usize::from(Reference(text).is_of("inst"));
                }
            }
        }
        assert!(strangers <= 1, "{strangers} of 60,000");
    }

    #[test]
    fn order_ids_that_count_up_have_references_that_are_neighbours() {
        let derive = |order: &str| Reference::derive("inst", MerchantId(1), &OrderId::parse(order).unwrap(), 1, 0);
        let references: std::collections::BTreeSet<Reference> =
            (0..10_000).map(|i| derive(&format!("INV-{i:06}"))).collect();
        assert_eq!(references.len(), 10_000);
        let neighbours: std::collections::BTreeSet<&str> = references.iter().map(|one| &one.as_str()[..5]).collect();
        assert_eq!(neighbours.len(), 10);
        // The end of one is not the stem of another, and where there is no stem, there is still a merchant.
        for (a, b) in [("INV-000001", "INV-00000"), ("1", "12"), ("123", "1234")] {
            assert_ne!(derive(a).as_str()[..5], derive(b).as_str()[..5], "{a} {b}");
        }
    }

    #[test]
    fn order_ids_and_connectors_parse_as_the_table_says() {
        let long = "x".repeat(64);
        for good in ["1", "Se123456", "a/b?c=d&e", long.as_str()] {
            assert_eq!(OrderId::parse(good).unwrap().as_str(), good);
        }
        let longer = "x".repeat(65);
        for bad in ["", " ", "a b", "a\t", "\u{e9}", "a\0", longer.as_str()] {
            assert_eq!(OrderId::parse(bad), None, "{bad:?}");
        }
        assert_eq!(Connector::parse("sandbox").unwrap().as_str(), "sandbox");
        for bad in ["", "Sandbox", "a b", "abcdefghijklmnopq"] {
            assert_eq!(Connector::parse(bad), None, "{bad:?}");
        }
    }
}
