//! The reasons of ISO 20022 for rejecting or returning a payment, and what each comes to.
//!
//! | class | comes to |
//! |---|---|
//! | the beneficiary's data | refused for good: another bank would say the same |
//! | our file, our account, the rail | refused; another connector may try |
//! | a duplicate | silence: an earlier one of ours may have been paid, so it is looked up and never sent again |
//! | free text, or a code that is not in the list | silence: it may say "duplicate" in other words; a person reads it |
//!
//! Source: ISO 20022 external code sets, as classed in CONNECTORS.md, section 4.4.

use crate::command::Outcome;

/// Whom a reason blames.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// The beneficiary's data.
    Beneficiary,
    /// Our file, our account, or the rail.
    Ours,
    /// The bank has had it before.
    Duplicate,
    /// A person must read it.
    Person,
}

/// The codes, their classes, and words for the merchant; empty where the reason is none of his business.
pub const REASONS: [(&str, Class, &str); 45] = {
    use Class::{Beneficiary, Duplicate, Ours, Person};
    [
        ("AC01", Beneficiary, "Account number is incorrect"),
        ("AC04", Beneficiary, "Account is closed"),
        ("AC06", Beneficiary, "Account is blocked"),
        ("AC07", Beneficiary, "Account is closed"),
        ("AC15", Beneficiary, "Account details have changed"),
        ("AC16", Beneficiary, "Account is under sequestration"),
        ("AC17", Beneficiary, "Account is in liquidation"),
        ("AG01", Beneficiary, "Account does not allow this kind of payment"),
        ("BE01", Beneficiary, "Name does not match the account"),
        ("BE04", Beneficiary, "Beneficiary's address is missing"),
        ("BE06", Beneficiary, "Beneficiary is not known to the bank"),
        ("BE17", Beneficiary, "Beneficiary's details are invalid"),
        ("MD07", Beneficiary, "Account holder is deceased"),
        ("MS02", Beneficiary, "Refused by the beneficiary"),
        ("RC01", Beneficiary, "IFSC is incorrect"),
        ("RC04", Beneficiary, "Beneficiary's bank code is incorrect"),
        ("RC08", Beneficiary, "IFSC is not known to the clearing"),
        ("RR03", Beneficiary, "Beneficiary's name or address is missing"),
        ("RR04", Beneficiary, "Refused for a regulatory reason"),
        ("AC02", Ours, ""),
        ("AC13", Ours, ""),
        ("AG07", Ours, ""),
        ("AM02", Ours, ""),
        ("AM04", Ours, ""),
        ("AM06", Ours, ""),
        ("AM10", Ours, ""),
        ("BE08", Ours, ""),
        ("CNOR", Ours, ""),
        ("DNOR", Ours, ""),
        ("DS28", Ours, ""),
        ("DT01", Ours, ""),
        ("ED05", Ours, ""),
        ("FF03", Ours, ""),
        ("FF04", Ours, ""),
        ("FF05", Ours, ""),
        ("FF06", Ours, ""),
        ("FF07", Ours, ""),
        ("MS03", Ours, ""),
        ("RC03", Ours, ""),
        ("RF01", Ours, ""),
        ("TM01", Ours, ""),
        ("AM05", Duplicate, ""),
        ("ARDT", Duplicate, ""),
        ("DUPL", Duplicate, ""),
        ("NARR", Person, ""),
    ]
};

/// What a code's class is; what is not in the list is for a person.
pub fn class(code: &str) -> Class {
    REASONS.iter().find(|(known, _, _)| *known == code).map_or(Class::Person, |(_, class, _)| *class)
}

/// What all the reasons of one rejection come to together, and words for the merchant. Without a reason nothing is known of
/// why, and a duplicate may be meant.
pub fn refusal<'a>(codes: impl IntoIterator<Item = &'a str>) -> (Outcome, &'static str) {
    let (mut known, mut beneficiary, mut words) = (false, false, "");
    for code in codes {
        match class(code) {
            Class::Duplicate | Class::Person => return (Outcome::Silent, ""),
            Class::Ours => {}
            Class::Beneficiary => beneficiary = true,
        }
        known = true;
        let of_code = REASONS.iter().find(|(known, _, _)| *known == code).map_or("", |(_, _, words)| *words);
        words = if words.is_empty() { of_code } else { words };
    }
    match (known, words) {
        (false, _) => (Outcome::Silent, ""),
        (true, "") => (Outcome::Refused { elsewhere: !beneficiary }, "Rejected by the bank"),
        (true, words) => (Outcome::Refused { elsewhere: !beneficiary }, words),
    }
}
