//! What identifiers and parties are as text: what is kept, shown and read back.

use hundi_core::ids::{Connector, MerchantId, OrderId, PROCESSES_MAX, PayoutId, PayoutIds, Reference};
use hundi_core::party::{Beneficiary, Mobile, PersonName, Vpa};
use hundi_core::schedule::{SECOND, Timestamp};

#[test]
fn a_connectors_name_is_short_and_plain() {
    for good in ["a", "sandbox", "a-b_c", "0", "0123456789abcdef"] {
        let name = Connector::parse(good).unwrap();
        assert_eq!((name.as_str(), format!("{name} {name:?}")), (good, format!("{good} {good}")));
    }
    for bad in ["", "Sandbox", "a b", "a.b", "0123456789abcdefg", "\u{e9}"] {
        assert_eq!(Connector::parse(bad), None, "{bad}");
    }
}

#[test]
fn identifiers_are_shown_as_they_are() {
    assert_eq!(PayoutId(42).to_string(), "42");
    for good in ["a", "!~", &"x".repeat(64)] {
        assert_eq!(OrderId::parse(good).unwrap().as_str(), good);
    }
    for bad in ["", " ", "a b", "a\n", "\u{e9}", &"x".repeat(65)] {
        assert_eq!(OrderId::parse(bad), None, "{bad}");
    }
    // References are made once and asked about for ever.
    let order = OrderId::parse("INV-1").unwrap();
    let made = [1, 2].map(|attempt| Reference::derive("test", MerchantId(1), &order, attempt, 0).to_string());
    assert_eq!(made, ["E83TBUF769HHYT0", "E83TBXSBIEGMURC"]);
}

/// The last id has 15 digits; nothing is given out after it.
#[test]
fn ids_end_where_they_would_be_longer() {
    let last_tick = 999_999_999_999_999 / PROCESSES_MAX;
    let from = PayoutId(last_tick * PROCESSES_MAX - 1).moment_after();
    let until = Timestamp(from.0 + 3_600 * SECOND);
    // 999,999,999,999,999 is 31 more than a multiple of 32: the last process of all can still give it out.
    let mut last = PayoutIds::new(PROCESSES_MAX - 1, from, until);
    assert_eq!(last.next(from), Some(PayoutId(999_999_999_999_999)));
    assert_eq!(last.next(from), None);
}

#[test]
fn whom_a_payout_is_to_is_kept_shown_and_read_back() {
    for (canonical, hint) in [
        ("account:123456789012:HDFC0000001", "9012"),
        ("vpa:asha.k@okhdfcbank", "@okhdfcbank"),
        ("mobile:9876543210", "3210"),
    ] {
        let to = Beneficiary::from_canonical(canonical).unwrap();
        assert_eq!((to.canonical().as_str(), to.hint().as_str()), (canonical, hint));
        let shown = format!("{to:?}");
        assert!(!shown.contains("12345678") && !shown.contains("asha") && !shown.contains("987654"), "{shown}");
    }
    for bad in ["", "9876543210", "cheque:1", "account:1:HDFC0000001", "vpa:x", "mobile:123"] {
        assert!(Beneficiary::from_canonical(bad).is_none(), "{bad}");
    }
    assert_eq!(Vpa::parse("asha@upi").unwrap().as_str(), "asha@upi");
    assert_eq!(Mobile::parse("+919876543210").unwrap().as_str(), "9876543210");
    let name = PersonName::parse("Dr. \u{906}\u{936}\u{93e}  O'Neil & Sons").unwrap();
    assert_eq!(name.as_str(), "Dr. \u{906}\u{936}\u{93e}  O'Neil & Sons");
    assert_eq!(name.plain(), "Dr asa O Neil Sons");
    // Joiners are letters' glue in Indian scripts; what hides text is refused.
    for (text, good) in [
        ("\u{915}\u{94d}\u{200d}\u{937}", true),
        ("\u{915}\u{200c}\u{937}", true),
        ("a\u{200b}b", false),
        ("a\nb", false),
        ("a\u{202e}b", false),
    ] {
        assert_eq!(PersonName::parse(text).is_some(), good, "{text:?}");
    }
}
