//! Who is paid: account numbers, IFSCs, UPI IDs, mobile numbers, names. Parsed once, valid ever after, and masked
//! wherever they are printed for debugging.

use crate::plant::{Plant, planted};
use crate::rails::RailRules;
use std::fmt;

/// The bank codes that an IFSC may begin with, sorted. Source: npm package `ifsc` 2.0.50 (MIT), `banknames.json`.
const BANKS: &str = include_str!("banks.txt");

/// A bank account number: 5 to 35 ASCII letters and digits.
#[derive(Clone, PartialEq, Eq)]
pub struct AccountNumber(Box<str>);

/// The code of a bank branch: `^[A-Z]{4}0[A-Z0-9]{6}$`, of a known bank.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ifsc([u8; 11]);

/// A UPI ID (virtual payment address): 3 to 255 characters of `a-z A-Z 0-9 . _ -` with one `@`.
#[derive(Clone, PartialEq, Eq)]
pub struct Vpa(Box<str>);

/// An Indian mobile number: 10 digits from 6 to 9.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Mobile([u8; 10]);

/// A person's or a firm's name: 1 to 100 characters, no control or direction-changing characters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PersonName(Box<str>);

/// Where a payout goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Beneficiary {
    /// A bank account, for NEFT, RTGS and IMPS.
    Account {
        /// The account's number.
        number: AccountNumber,
        /// Its branch.
        ifsc: Ifsc,
    },
    /// A UPI ID.
    Vpa(Vpa),
    /// A mobile number, for UPI.
    Mobile(Mobile),
}

impl AccountNumber {
    /// Parses an account number; `None` where it is not one.
    pub fn parse(text: &str) -> Option<AccountNumber> {
        let fits = (5..=35).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric());
        fits.then(|| AccountNumber(text.into()))
    }

    /// The number in clear: for the bank and for sealing only.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a text is not an IFSC.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum IfscError {
    /// Not four letters, a zero and six letters or digits.
    Malformed,
    /// No bank has these four letters.
    UnknownBank,
}

impl Ifsc {
    /// Parses an IFSC in any case.
    pub fn parse(text: &str) -> Result<Ifsc, IfscError> {
        let mut bytes: [u8; 11] = text.as_bytes().try_into().map_err(|_| IfscError::Malformed)?;
        bytes.make_ascii_uppercase();
        let shape = bytes[..4].iter().all(u8::is_ascii_uppercase)
            && bytes[4] == b'0'
            && bytes[5..].iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
        if !shape {
            return Err(IfscError::Malformed);
        }
        if !is_bank(&bytes[..4]) && !planted(Plant::IfscAnyBank) {
            return Err(IfscError::UnknownBank);
        }
        Ok(Ifsc(bytes))
    }

    /// The code in capitals.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Binary search in the sorted list of four-letter lines (five bytes each).
fn is_bank(code: &[u8]) -> bool {
    let lines = BANKS.as_bytes().as_chunks::<5>().0;
    lines.binary_search_by(|line| line[..4].cmp(code)).is_ok()
}

impl Vpa {
    /// Parses a UPI ID; `None` where it is not one.
    pub fn parse(text: &str) -> Option<Vpa> {
        let (user, handle) = text.split_once('@')?;
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
        let part = |part: &str| !part.is_empty() && part.bytes().all(allowed);
        ((3..=255).contains(&text.len()) && part(user) && part(handle)).then(|| Vpa(text.into()))
    }

    /// The UPI ID in clear: for the bank and for sealing only.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Mobile {
    /// Parses a mobile number; `+91`, `91` or `0` before the ten digits is dropped.
    pub fn parse(text: &str) -> Option<Mobile> {
        let digits = match text.len() {
            11.. if planted(Plant::MobileTail) => text.get(text.len() - 10..)?,
            10 => text,
            11 => text.strip_prefix('0')?,
            12 => text.strip_prefix("91")?,
            13 => text.strip_prefix("+91")?,
            _ => return None,
        };
        let bytes: [u8; 10] = digits.as_bytes().try_into().ok()?;
        (bytes.iter().all(u8::is_ascii_digit) && bytes[0] >= b'6').then_some(Mobile(bytes))
    }

    /// The ten digits in clear: for the bank and for sealing only.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl PersonName {
    /// Parses a name; `None` where it is empty, too long, or has control or bidirectional-override characters.
    pub fn parse(text: &str) -> Option<PersonName> {
        let harmful = |c: char| {
            // Zero-width signs and direction marks make a name look like another one; U+FFF9.. annotate, tags hide.
            let hidden = matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{61c}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
            // Joiners are needed to spell Indian languages.
            c.is_control() || (hidden && !matches!(c, '\u{200c}' | '\u{200d}'))
        };
        let fits = !text.trim().is_empty() && text.chars().count() <= 100 && !text.chars().any(harmful);
        if planted(Plant::LossyName) && fits {
            return Some(PersonName(any_ascii::any_ascii(text).into()));
        }
        fits.then(|| PersonName(text.into()))
    }

    /// The name as the merchant wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as this rail carries it: letters of other scripts are transliterated, signs that the rail does not
    /// know become spaces, runs of spaces become one, and what is too long is cut. Never empty.
    pub fn for_rail(&self, rules: &RailRules) -> String {
        let mut name = self.written_with(rules.name_signs);
        name.truncate(rules.name_chars_max);
        let name = name.trim_end();
        if name.is_empty() { "BENEFICIARY".to_owned() } else { name.to_owned() }
    }

    /// The whole name in what every rail carries: letters, digits and single spaces.
    pub fn plain(&self) -> String {
        self.written_with("")
    }

    fn written_with(&self, signs: &str) -> String {
        let mut name = String::with_capacity(self.0.len());
        for c in any_ascii::any_ascii(&self.0).chars() {
            let c = if c.is_ascii_alphanumeric() || signs.contains(c) { c } else { ' ' };
            if c != ' ' || !(name.is_empty() || name.ends_with(' ')) {
                name.push(c);
            }
        }
        name
    }
}

impl Beneficiary {
    /// The text that two orders share exactly when they pay the same place (WIRE 7). Holds it in clear.
    pub fn canonical(&self) -> String {
        match self {
            Beneficiary::Account { number, ifsc } => format!("account:{}:{}", number.as_str(), ifsc.as_str()),
            Beneficiary::Vpa(vpa) => format!("vpa:{}", vpa.as_str()),
            Beneficiary::Mobile(mobile) => format!("mobile:{}", mobile.as_str()),
        }
    }

    /// Reads [`Beneficiary::canonical`] back.
    pub fn from_canonical(text: &str) -> Option<Beneficiary> {
        match text.split_once(':')? {
            ("account", rest) => {
                let (number, ifsc) = rest.split_once(':')?;
                Some(Beneficiary::Account { number: AccountNumber::parse(number)?, ifsc: Ifsc::parse(ifsc).ok()? })
            }
            ("vpa", rest) => Vpa::parse(rest).map(Beneficiary::Vpa),
            ("mobile", rest) => Mobile::parse(rest).map(Beneficiary::Mobile),
            _ => None,
        }
    }

    /// What a list may show: the last four of an account or mobile number, the bank's handle of a UPI ID.
    pub fn hint(&self) -> String {
        match self {
            Beneficiary::Account { number, .. } => number.0[number.0.len() - 4..].to_owned(),
            Beneficiary::Vpa(vpa) => vpa.0.split_once('@').map_or_else(String::new, |(_, handle)| format!("@{handle}")),
            Beneficiary::Mobile(mobile) => mobile.as_str()[6..].to_owned(),
        }
    }
}

impl fmt::Debug for AccountNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "**{}", &self.0[self.0.len() - 4..])
    }
}

impl fmt::Debug for Vpa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("**@**")
    }
}

impl fmt::Debug for Mobile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "**{}", &self.as_str()[6..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rails::{RAILS, Rail};
    use proptest::prelude::*;

    #[test]
    fn account_numbers_and_ifscs_parse_as_the_table_says() {
        for good in ["12345", "123456789012345678", "AB12345", &"9".repeat(35)] {
            assert!(AccountNumber::parse(good).is_some(), "{good}");
        }
        for bad in ["", "1234", "12 345", "1234-5", "\u{967}\u{968}\u{969}\u{96a}\u{96b}", &"9".repeat(36)] {
            assert!(AccountNumber::parse(bad).is_none(), "{bad}");
        }
        assert_eq!(Ifsc::parse("hdfc0000001").unwrap().as_str(), "HDFC0000001");
        assert_eq!(Ifsc::parse("SBIN0ABC123").unwrap().as_str(), "SBIN0ABC123");
        for (bad, error) in [
            ("HDFC1000001", IfscError::Malformed),
            ("HDFC000001", IfscError::Malformed),
            ("HDF10000001", IfscError::Malformed),
            ("HDFC000000-", IfscError::Malformed),
            ("\u{e9}\u{e9}FC000001", IfscError::Malformed),
            ("QQQQ0000001", IfscError::UnknownBank),
        ] {
            assert_eq!(Ifsc::parse(bad), Err(error), "{bad}");
        }
    }

    #[test]
    fn vpas_and_mobiles_parse_as_the_table_says() {
        for good in ["a@b", "success@sandbox", "ravi.kumar_1-2@okhdfcbank"] {
            assert!(Vpa::parse(good).is_some(), "{good}");
        }
        for bad in ["", "@b", "a@", "ab", "a@b@c", "a b@c", "a+b@c", "\u{e9}@b", &format!("{}@b", "a".repeat(254))] {
            assert!(Vpa::parse(bad).is_none(), "{bad}");
        }
        for good in ["9876543210", "09876543210", "919876543210", "+919876543210"] {
            assert_eq!(Mobile::parse(good).unwrap().as_str(), "9876543210", "{good}");
        }
        for bad in ["", "5876543210", "987654321", "98765432100", "+9876543210", "00919876543210", "98765 43210"] {
            assert!(Mobile::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn names_refuse_what_hides_and_transliterate_what_rails_cannot_carry() {
        for good in
            ["A", "RUPESH KUMAR VIRENDR", "\u{930}\u{93e}\u{939}\u{941}\u{932}", "O'Neil & Sons", &"x".repeat(100)]
        {
            assert!(PersonName::parse(good).is_some(), "{good}");
        }
        for bad in ["", "  ", "a\nb", "a\u{202e}b", "a\u{200b}b", "a\u{2066}b", &"x".repeat(101)] {
            assert!(PersonName::parse(bad).is_none(), "{bad:?}");
        }
        let name = |text| PersonName::parse(text).unwrap().for_rail(Rail::Rtgs.rules());
        assert_eq!(name("Jos\u{e9}  Garc\u{ed}a*"), "Jose Garcia");
        assert_eq!(name("\u{930}\u{93e}\u{939}\u{941}\u{932}"), "rahul");
        assert_eq!(name("***"), "BENEFICIARY");
    }

    #[test]
    fn debug_shows_no_more_than_four_characters() {
        let text = format!(
            "{:?} {:?} {:?}",
            AccountNumber::parse("123456789").unwrap(),
            Vpa::parse("ravi@okbank").unwrap(),
            Mobile::parse("9876543210").unwrap()
        );
        assert_eq!(text, "**6789 **@** **3210");
    }

    proptest! {
        #[test]
        fn any_name_comes_out_within_the_rail(text in "\\PC{1,100}") {
            if let Some(name) = PersonName::parse(&text) {
                for rules in &RAILS {
                    let out = name.for_rail(rules);
                    prop_assert!(!out.is_empty() && out.len() <= rules.name_chars_max);
                    prop_assert!(out.chars().all(|c| c.is_ascii_alphanumeric() || c == ' ' || rules.name_signs.contains(c)));
                    let again = PersonName::parse(&out).unwrap().for_rail(rules);
                    prop_assert_eq!(&again, &out);
                }
            }
        }

        #[test]
        fn what_is_written_canonically_reads_back(number in "[A-Za-z0-9]{5,35}") {
            let beneficiary = Beneficiary::Account {
                number: AccountNumber::parse(&number).unwrap(),
                ifsc: Ifsc::parse("HDFC0000001").unwrap(),
            };
            prop_assert_eq!(Beneficiary::from_canonical(&beneficiary.canonical()), Some(beneficiary));
        }
    }
}
