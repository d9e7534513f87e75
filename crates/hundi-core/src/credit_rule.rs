//! By what a bank credit is known to be a merchant's: the words that a statement's line must hold.
//!
//! Words are runs of ASCII letters and digits, in capitals: `Acme-pay 17` has `ACME`, `PAY` and `17`. Only whole words count, so
//! `ACME` is not in `ACMECO`; a `*` at the end makes the last word a beginning. There are no other patterns: a person must be
//! able to foresee what a rule takes.

use std::fmt;

/// The most characters of a rule: what a reference of ISO 20022 holds (Max35Text), give or take.
const CHARS_MAX: usize = 40;
/// The fewest letters and digits of a rule; fewer are in too many lines.
const CHARS_MIN: usize = 4;

/// What a line must say: these words, one after the other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Words {
    words: Vec<String>,
    /// Whether the last is only a beginning.
    begins: bool,
}

/// The words of a text, in capitals.
pub fn words(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_ascii_uppercase).collect()
}

impl Words {
    /// Reads `ACME PAY`, or `ACME INV*`; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Words, &'static str> {
        let text = text.trim();
        let (said, begins) = text.strip_suffix('*').map_or((text, false), |said| (said, true));
        if text.len() > CHARS_MAX {
            return Err("has more than 40 characters");
        }
        if said.contains('*') || begins && !said.ends_with(|c: char| c.is_ascii_alphanumeric()) {
            return Err("may have one `*`, right after its last word");
        }
        if !said.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) {
            return Err("has other characters than printable ASCII");
        }
        let words = words(said);
        if words.iter().map(String::len).sum::<usize>() < CHARS_MIN {
            return Err("has fewer than 4 letters and digits");
        }
        Ok(Words { words, begins })
    }

    /// A number that must be there as one whole word; spaces and dashes in it do not count.
    pub fn account(number: &str) -> Result<Words, &'static str> {
        let number: String = number.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
        if !(6..=35).contains(&number.len()) || !number.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err("is not 6 to 35 letters and digits");
        }
        Ok(Words { words: vec![number.to_ascii_uppercase()], begins: false })
    }

    /// Whether a text with these words says it.
    pub fn is_in(&self, text: &[String]) -> bool {
        text.windows(self.words.len()).any(|said| self.meets(said, false))
    }

    /// Whether a line that says the one by that alone says the other too, so that only one merchant can have them.
    pub fn overlaps(&self, other: &Words) -> bool {
        let (short, long) = if self.words.len() <= other.words.len() { (self, other) } else { (other, self) };
        let last = long.words.len() - short.words.len();
        let mut windows = long.words.windows(short.words.len()).enumerate();
        windows.any(|(at, said)| short.meets(said, long.begins && at == last))
    }

    /// Whether these are the words; `begins` says whether the last of them is only a beginning.
    fn meets(&self, said: &[String], begins: bool) -> bool {
        let last = self.words.len() - 1;
        self.words.iter().zip(said).enumerate().all(|(at, (own, said))| {
            let (own_begins, said_begins) = (self.begins && at == last, begins && at == last);
            own == said || own_begins && said.starts_with(own) || said_begins && own.starts_with(said)
        })
    }
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.words.join(" "), if self.begins { "*" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_words_count() {
        for (rule, text, is_in) in [
            ("ACME", "NEFT acme-0017", true),
            ("ACME", "NEFT ACMECO", false),
            ("ACME", "NEFT XACME", false),
            ("acme pay", "To ACME/PAY for 7", true),
            ("ACME PAY", "ACME WILL PAY", false),
            ("ACME PAY", "PAY ACME", false),
            ("ACME*", "NEFT ACMECO 1", true),
            ("ACME*", "XACME", false),
            ("ACME INV*", "ACME INVOICE", true),
            ("ACME INV*", "ACMECO INVOICE", false),
            ("ACME", "", false),
            ("ACME PAY", "ACME", false),
        ] {
            assert_eq!(Words::parse(rule).unwrap().is_in(&words(text)), is_in, "{rule} in {text}");
        }
        assert!(Words::account("2223 33-00acme").unwrap().is_in(&words("by 22233300ACME")));
    }

    #[test]
    fn rules_that_take_the_same_line_overlap() {
        for (one, other, overlap) in [
            ("ACME", "ACME", true),
            ("ACME", "acme pay", true),
            ("PAY ME", "ACME PAY", false),
            ("ACME", "ACMECO", false),
            ("ACME*", "ACMECO", true),
            ("ACME*", "ACMECO PAY", true),
            ("ACME CO*", "ACME COOP", true),
            ("ACMECO*", "ACME*", true),
            ("PAY ACMECO", "ACME*", true),
            ("PAY ACME", "ACME*", true),
            ("PAY ACME*", "ACMECO", true),
            ("ACME*", "BACME*", false),
        ] {
            let (one, other) = (Words::parse(one).unwrap(), Words::parse(other).unwrap());
            assert_eq!((one.overlaps(&other), other.overlaps(&one)), (overlap, overlap), "{one} and {other}");
        }
    }

    #[test]
    fn what_takes_too_much_is_no_rule() {
        for bad in ["", "*", "ABC", "A B", "AC*ME", "ACME *", "ACME**", "acm\u{e9}x", &"A".repeat(41)] {
            assert!(Words::parse(bad).is_err(), "{bad:?}");
        }
        for bad in ["", "12345", "1234_56", "1234567*", &"1".repeat(36)] {
            assert!(Words::account(bad).is_err(), "{bad:?}");
        }
        assert_eq!(Words::parse(" acme-pay  inv* ").unwrap().to_string(), "ACME PAY INV*");
    }
}
