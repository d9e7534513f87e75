//! What all bank files share: amounts in rupees, dates, and references in free text.

use super::Line;
use crate::ids::Reference;
use crate::money::AMOUNT_PAISE_MAX;
use crate::schedule::{HOUR, MINUTE, SECOND, Timestamp};
use std::borrow::Cow;

/// What a line keeps of its narration, characters.
pub(super) const NARRATION_CHARS_MAX: usize = 500;
/// What a line keeps of references of one sort.
const IDS_MAX: usize = 16;
/// No reference of a bank or of ours is longer; what is, is not taken for one. A UPI transaction id has 35.
const ID_CHARS_MAX: usize = 64;
/// What Indian clocks are ahead of UTC.
const IST: i64 = 5 * HOUR + 30 * MINUTE;

/// Rupees as digits, with at most two decimals after the point, as paise. Nothing is rounded: what has more decimals, a
/// sign, an exponent or a group separator is not an amount.
pub(super) fn paise(text: &str, point: char) -> Option<i64> {
    let (rupees, decimals) = text.split_once(point).unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if rupees.is_empty() || rupees.len() > 18 || decimals.len() > 2 || !digits(rupees) || !digits(decimals) {
        return None;
    }
    let hundredths = match decimals.len() {
        0 => 0,
        1 => decimals.parse::<i64>().ok()?.checked_mul(10)?,
        _ => decimals.parse::<i64>().ok()?,
    };
    let paise = rupees.parse::<i64>().ok()?.checked_mul(100)?.checked_add(hundredths)?;
    (paise <= AMOUNT_PAISE_MAX).then_some(paise)
}

/// Why an amount in another currency is not read. What no currency is called is not repeated: it may be anything.
pub(super) fn not_rupees(currency: &str) -> Cow<'static, str> {
    if currency.len() == 3 && currency.bytes().all(|b| b.is_ascii_uppercase()) {
        format!("the currency is {currency} and not INR; only accounts in rupees are read").into()
    } else {
        "the currency is not INR".into()
    }
}

/// The first moment of the Indian day that an ISO date names; a zone after it, which XSD allows, is not looked at.
pub(super) fn iso_date(text: &str) -> Option<Timestamp> {
    Timestamp::from_ist_date(text.trim().get(..10)?)
}

/// An ISO moment, `YYYY-MM-DDThh:mm:ss`, a fraction and a zone where they are given. Without a zone it is Indian time.
pub(super) fn iso_moment(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let day = iso_date(text)?;
    let (time, rest) = (text.get(10..19)?, text.get(19..)?);
    let number = |part: &str, below: i64| {
        let value =
            (part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit())).then(|| part.parse::<i64>().ok())??;
        (value < below).then_some(value)
    };
    if !time.starts_with('T') || time.get(3..4)? != ":" || time.get(6..7)? != ":" {
        return None;
    }
    let (hour, minute, second) =
        (number(time.get(1..3)?, 25)?, number(time.get(4..6)?, 60)?, number(time.get(7..9)?, 61)?);
    let fraction = rest
        .strip_prefix('.')
        .map_or("", |rest| rest.split_at(rest.bytes().position(|b| !b.is_ascii_digit()).unwrap_or(rest.len())).0);
    let zone = rest.get(if rest.starts_with('.') { 1 + fraction.len() } else { 0 }..)?;
    let micros =
        fraction.bytes().chain(std::iter::repeat(b'0')).take(6).fold(0, |sum, b| sum * 10 + i64::from(b - b'0'));
    let ahead = match zone {
        "" => IST,
        "Z" => 0,
        _ => {
            let east = match zone.get(..1)? {
                "+" => 1,
                "-" => -1,
                _ => return None,
            };
            if zone.len() != 6 || zone.get(3..4)? != ":" {
                return None;
            }
            east * (number(zone.get(1..3)?, 15)? * HOUR + number(zone.get(4..6)?, 60)? * MINUTE)
        }
    };
    Some(day.after(IST + hour * HOUR + minute * MINUTE + second * SECOND + micros - ahead))
}

/// A text without control characters and runs of spaces, at most so many characters.
pub(super) fn clean(text: &str, chars_max: usize) -> Box<str> {
    let mut kept = String::with_capacity(text.len().min(4 * chars_max));
    let mut chars = 0;
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        for c in (chars > 0).then_some(' ').into_iter().chain(word.chars()) {
            if chars == chars_max {
                return kept.trim_end().into();
            }
            kept.push(c);
            chars += 1;
        }
    }
    kept.into()
}

/// Adds a reference as it stands in a field of its own. What says that there is none is not one.
pub(super) fn add_id(ids: &mut Vec<Box<str>>, text: &str) {
    let text = text.trim();
    // NOTPROVIDED: what ISO 20022 puts where a field is mandatory. NONREF: the same of SWIFT.
    let none =
        text.is_empty() || ["NOTPROVIDED", "NONREF", "NULL", "NA"].iter().any(|no| text.eq_ignore_ascii_case(no));
    let fits = text.len() <= ID_CHARS_MAX && !text.chars().any(char::is_control);
    if !none && fits && ids.len() < IDS_MAX && !ids.iter().any(|id| **id == *text) {
        ids.push(text.into());
    }
}

/// Adds what looks like a bank's reference within a field of the bank's: a UTR, or the twelve digits of an RRN. CONNECTORS.md,
/// section 6.
pub(super) fn add_bank_ids(ids: &mut Vec<Box<str>>, text: &str) {
    words(text).filter(|word| clears(word)).for_each(|word| add_id(ids, word));
}

/// Adds what looks like a bank's reference in free text, unless a field of the bank's has it.
pub(super) fn add_narrated_ids(line: &mut Line, text: &str) {
    for word in words(text).filter(|word| clears(word)) {
        let known = line.bank_references.iter().any(|id| **id == *word);
        if !known && line.bank_references.len() + line.narrated.len() < IDS_MAX {
            add_id(&mut line.narrated, word);
        }
    }
}

/// Adds every word of free text that could be a reference of ours. Most are not; none that is may be missed.
pub(super) fn add_our_ids(ids: &mut Vec<Box<str>>, text: &str) {
    for word in words(text).filter(|word| Reference::parse(word).is_some()) {
        add_id(ids, word);
    }
}

/// Whether this is what a clearing system calls a payment (UTR or RRN), and no other payment: not a bank's own number.
pub fn clears(reference: &str) -> bool {
    is_utr(reference) || is_rrn(reference)
}

/// Whether two references are those of two payments: one clearing system has given both. A bank's own number beside it, or one
/// of another shape, may be of the same payment.
pub fn apart(one: &str, other: &str) -> bool {
    one != other && clears(one) && clears(other) && one.len() == other.len()
}

/// Whether a bank's field says that the payment is not called so. Twelve digits may be the bank's own number and no RRN, and
/// say nothing of it.
pub fn denies(field: &str, name: &str) -> bool {
    is_utr(field) && apart(field, name)
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty())
}

/// Four letters of a bank, and 12 to 18 more that end with eight digits: 16 characters on NEFT, 22 on RTGS, 18 seen.
/// ICICI Bank calls its own outgoing NEFT payments `IN` and 14 digits.
fn is_utr(word: &str) -> bool {
    let bytes = word.as_bytes();
    let digits = |part: &[u8]| part.iter().all(u8::is_ascii_digit);
    let upper = bytes.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    let utr = (16..=22).contains(&bytes.len())
        && upper
        && bytes.iter().take(4).all(u8::is_ascii_uppercase)
        && bytes.iter().rev().take(8).all(u8::is_ascii_digit);
    utr || bytes.len() == 16 && bytes.strip_prefix(b"IN").is_some_and(digits)
}

fn is_rrn(word: &str) -> bool {
    word.len() == 12 && word.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact_or_none() {
        let check = |text: &str, want: Option<i64>| assert_eq!(paise(text, '.'), want, "{text}");
        check("0", Some(0));
        check("1", Some(100));
        check("1.", Some(100));
        check("1.5", Some(150));
        check("1.05", Some(105));
        check("0001.05", Some(105));
        check("1.005", None);
        check("1.000", None);
        check("", None);
        check(".5", None);
        check("-1", None);
        check("+1", None);
        check("1,00", None);
        check("1e3", None);
        check("1.5.5", None);
        check("10000000000000.00", Some(AMOUNT_PAISE_MAX));
        check("10000000000000.01", None);
        check("999999999999999999", None);
        check("99999999999999999999", None);
        check("\u{661}", None);
        assert_eq!(paise("2,00", ','), Some(200));
    }

    #[test]
    fn moments_are_indian_unless_they_say_otherwise() {
        let check = |text: &str, want: &str| {
            assert_eq!(iso_moment(text).map_or("none".to_owned(), |at| at.to_string()), want, "{text}");
        };
        check("2026-09-02T10:11:12", "2026-09-02T10:11:12.000+05:30");
        check("2026-09-02T10:11:12.5", "2026-09-02T10:11:12.500+05:30");
        check("2026-09-02T10:11:12.123456789+05:30", "2026-09-02T10:11:12.123+05:30");
        check("2026-09-02T10:11:12Z", "2026-09-02T15:41:12.000+05:30");
        check("2026-09-02T10:11:12-01:00", "2026-09-02T16:41:12.000+05:30");
        check("2026-09-02T23:59:59.999999+05:30", "2026-09-02T23:59:59.999+05:30");
        check("2026-02-29T10:11:12", "none");
        check("2026-09-02", "none");
        check("2026-09-02T10:61:12", "none");
        check("2026-09-02T10:11:12+5:30", "none");
        check("2026-09-02T10:11:12 IST", "none");
        check("2026-09-0\u{e9}T10:11:12", "none");
        assert_eq!(iso_date("2026-09-02+05:30"), iso_date("2026-09-02"));
    }

    #[test]
    fn references_are_found_in_narrations() {
        let check = |text: &str, ours: &[&str], banks: &[&str]| {
            let (mut our_ids, mut bank_ids) = (Vec::new(), Vec::new());
            add_our_ids(&mut our_ids, text);
            add_bank_ids(&mut bank_ids, text);
            assert_eq!(our_ids, ours.iter().map(|id| Box::from(*id)).collect::<Vec<_>>(), "{text}");
            assert_eq!(bank_ids, banks.iter().map(|id| Box::from(*id)).collect::<Vec<_>>(), "{text}");
        };
        // The shapes of CONNECTORS.md, section 6.
        let (hdfc, utr) =
            ("NEFT DR-UTIB0000001-NAME-NETBANK, MUM-UTBIN52024040612345678-REMARK", "UTBIN52024040612345678");
        check(hdfc, &[], &[utr]);
        check(&hdfc.replace(utr, "UTBIN520240406123456789"), &[], &[]);
        check("INF/NEFT/IN42624557542923/SCBL0036085/X", &[], &["IN42624557542923"]);
        check("RTGS/ICICR42026090200569477/INDB0000018", &[], &["ICICR42026090200569477"]);
        check("NEFT-SBIN226245450523-NAME", &[], &["SBIN226245450523"]);
        check("MMT/IMPS/615207439303/A1B2C3D4E5F6G7H/NAME", &["A1B2C3D4E5F6G7H"], &["615207439303"]);
        check("TO TRANSFER-INB NEFT UTR NO: SBIN326186307700--NAME", &[], &["SBIN326186307700"]);
        check("IMPS/P2A/500612128168/NAME/BANK", &[], &["500612128168"]);
        check("IMPS/P2A/5006121281680/NAME/409111200979 and 409111200979", &[], &["409111200979"]);
        check("AUBLR2202409190485", &[], &["AUBLR2202409190485"]);
        check("\u{e9}409111200979\u{e9}", &[], &["409111200979"]);
    }

    #[test]
    fn what_is_not_a_reference_is_not_kept() {
        let mut ids = Vec::new();
        for text in ["", " ", "NOTPROVIDED", "notprovided", "NONREF", "a\u{7}b", &"x".repeat(65), " A1 ", "A1", "B2"] {
            add_id(&mut ids, text);
        }
        assert_eq!(ids, ["A1".into(), "B2".into()] as [Box<str>; 2]);
        assert_eq!(&*clean(" a\u{0}b\n\n  c ", 500), "a b c");
        assert_eq!(&*clean("abc def", 4), "abc");
    }
}
