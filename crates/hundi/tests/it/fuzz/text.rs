//! Single texts: amounts, accounts, IFSCs, UPI IDs, mobile numbers, names.

use hundi_core::money::{Amount, AmountError};
use hundi_core::party::{AccountNumber, Beneficiary, Ifsc, IfscError, Mobile, PersonName, Vpa};
use hundi_core::rails::RAILS;

/// The largest amount, in paise.
const MOST: &str = "1000000000000000";
const BANKS: &str = include_str!("../../../../hundi-core/src/banks.txt");

pub fn amount(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        check_amount(text);
    }
}

/// Both ways to write an amount, against a model that never computes a number.
pub fn check_amount(text: &str) {
    for (decimals, parsed) in [(false, Amount::from_rupees_text(text)), (true, Amount::from_decimal_text(text))] {
        assert_eq!(parsed.map(|amount| amount.paise().to_string()), paise(text, decimals), "{text:?} {decimals}");
        let Ok(amount) = parsed else { continue };
        let printed = amount.to_string();
        assert_eq!(Amount::from_decimal_text(&printed), Ok(amount), "{text:?} is printed {printed}");
        let digits: String = printed.chars().filter(|c| *c != '.').collect();
        assert_eq!(digits.trim_start_matches('0'), amount.paise().to_string(), "{text:?} is printed {printed}");
        assert_eq!(printed.rfind('.'), Some(printed.len() - 3), "{text:?} is printed {printed}");
    }
}

/// What a text is worth, in paise, as digits without zeros before them.
fn paise(text: &str, decimals: bool) -> Result<String, AmountError> {
    let (rupees, paise) = match text.split_once('.') {
        Some(parts) if decimals => parts,
        Some(_) => return Err(AmountError::Malformed),
        None => (text, "00"),
    };
    let digits = |text: &str| text.chars().all(|c| "0123456789".contains(c));
    if rupees.is_empty() || paise.chars().count() != 2 || !digits(rupees) || !digits(paise) {
        return Err(AmountError::Malformed);
    }
    let all = format!("{rupees}{paise}");
    let all = all.trim_start_matches('0');
    if all.is_empty() {
        Err(AmountError::Zero)
    } else if (all.len(), all) > (MOST.len(), MOST) {
        Err(AmountError::TooLarge)
    } else {
        Ok(all.to_owned())
    }
}

pub fn ifsc(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let number = AccountNumber::parse(text);
    let fits = (5..=35).contains(&text.chars().count()) && text.chars().all(|c| c.is_ascii_alphanumeric());
    assert_eq!(number.as_ref().map(AccountNumber::as_str), fits.then_some(text));

    let code: Vec<char> = text.chars().map(|c| c.to_ascii_uppercase()).collect();
    let shape = code.len() == 11
        && code[..4].iter().all(char::is_ascii_uppercase)
        && code[4] == '0'
        && code[5..].iter().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit());
    let code: String = code.into_iter().collect();
    let expected = match (shape, shape && BANKS.lines().any(|bank| bank == &code[..4])) {
        (false, _) => Err(IfscError::Malformed),
        (true, false) => Err(IfscError::UnknownBank),
        (true, true) => Ok(code.as_str()),
    };
    let parsed = Ifsc::parse(text);
    assert_eq!(parsed.as_ref().map(Ifsc::as_str).map_err(|error| *error), expected);
    if let Some(number) = number.or_else(|| AccountNumber::parse("50100012345678"))
        && let Ok(ifsc) = parsed.or_else(|_| Ifsc::parse("HDFC0000001"))
    {
        reads_back(&Beneficiary::Account { number, ifsc });
    }
}

pub fn upi(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let vpa = Vpa::parse(text);
    let fits = text.chars().all(|c| c.is_ascii_alphanumeric() || "._-@".contains(c))
        && (3..=255).contains(&text.chars().count())
        && text.matches('@').count() == 1
        && !text.starts_with('@')
        && !text.ends_with('@');
    assert_eq!(vpa.as_ref().map(Vpa::as_str), fits.then_some(text));
    if let Some(vpa) = vpa {
        reads_back(&Beneficiary::Vpa(vpa));
    }

    let mobile = Mobile::parse(text);
    let ten = |prefix: &str| {
        let rest = text.strip_prefix(prefix)?;
        let digits = rest.chars().count() == 10 && rest.chars().all(|c| c.is_ascii_digit());
        (digits && "6789".contains(&rest[..1])).then_some(rest)
    };
    let expected = ["", "0", "91", "+91"].into_iter().find_map(ten);
    assert_eq!(mobile.as_ref().map(Mobile::as_str), expected);
    if let Some(mobile) = mobile {
        reads_back(&Beneficiary::Mobile(mobile));
    }
}

fn reads_back(beneficiary: &Beneficiary) {
    assert_eq!(Beneficiary::from_canonical(&beneficiary.canonical()).as_ref(), Some(beneficiary));
}

/// What turns the direction of a text or cannot be seen.
const HIDDEN: &str = "\u{200b}\u{200e}\u{200f}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2028}\u{2029}\u{2060}\u{2066}\u{2067}\u{2068}\
    \u{2069}\u{61c}\u{feff}\u{fff9}\u{e0041}";

pub fn name(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let length = text.chars().count();
    let Some(name) = PersonName::parse(text) else {
        let plain = text.chars().all(|c| c.is_alphanumeric() || c.is_ascii_punctuation() || c == ' ');
        assert!(!plain || length > 100 || text.trim().is_empty(), "{text:?} was refused");
        return;
    };
    assert_eq!(name.as_str(), text, "not as it was written");
    assert!((1..=100).contains(&length) && !text.chars().any(|c| c.is_control() || HIDDEN.contains(c)), "{text:?}");
    for rules in &RAILS {
        let carried = name.for_rail(rules);
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == ' ' || rules.name_signs.contains(c);
        assert!(!carried.is_empty() && carried.len() <= rules.name_chars_max, "{text:?} {carried:?}");
        assert!(carried.chars().all(allowed), "{text:?} {carried:?}");
        assert!(carried.trim() == carried && !carried.contains("  "), "{text:?} {carried:?}");
        assert_eq!(PersonName::parse(&carried).expect("a name").for_rail(rules), carried, "{text:?}");
        // What a rail knows is not touched.
        if text.chars().all(allowed) && text.len() <= rules.name_chars_max {
            assert_eq!(carried, text.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" "));
        }
    }
}
