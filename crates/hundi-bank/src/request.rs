//! A request for a transfer: read once, valid ever after.
//!
//! A body that is not one is answered with a sentence that names the field and never repeats its value, because the
//! value may be an account number.

use crate::outcome::{self, Outcome};
use serde::Deserialize;
use serde_json::Value;
use std::borrow::Cow;
use std::fmt;

const REFERENCE_CHARS_MAX: usize = 15;
const NUMBER_CHARS_MAX: usize = 34; // the longest IBAN; Indian numbers are mostly 9 to 18 digits
const NAME_CHARS_MAX: usize = 100; // IMPS carries no more. Source: RAILS.md
const VPA_CHARS_MAX: usize = 255;
/// One lakh crore rupees would be 10^14 paise; a tenth of it leaves the balance room for 900,000 such payments.
const AMOUNT_PAISE_MAX: i64 = 10_000_000_000_000;
/// How much of the name of an unknown field an error repeats.
const FIELD_CHARS_SHOWN: usize = 40;

/// The rail of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rail {
    Imps,
    Neft,
    Rtgs,
    Upi,
}

impl Rail {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Rail::Imps => "IMPS",
            Rail::Neft => "NEFT",
            Rail::Rtgs => "RTGS",
            Rail::Upi => "UPI",
        }
    }

    pub(crate) fn of_name(name: &str) -> Option<Rail> {
        [Rail::Imps, Rail::Neft, Rail::Rtgs, Rail::Upi].into_iter().find(|rail| rail.name() == name)
    }
}

/// A valid request.
pub(crate) struct Order {
    pub(crate) reference: String,
    pub(crate) amount_paise: i64,
    pub(crate) rail: Rail,
    /// Microseconds since 1970; after it the bank refuses.
    pub(crate) valid_until_us: i64,
    /// Kind, number and name as one text, in clear: it is compared when the reference comes again.
    pub(crate) beneficiary: String,
    pub(crate) outcome: &'static Outcome,
}

// By hand, so that no log can ever show the beneficiary.
impl fmt::Debug for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Order")
            .field("reference", &self.reference)
            .field("amount_paise", &self.amount_paise)
            .field("rail", &self.rail)
            .finish_non_exhaustive()
    }
}

/// The wire form. Fields are optional where another kind of beneficiary has none.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body<'a> {
    #[serde(borrow)]
    reference: Cow<'a, str>,
    amount_paise: i64,
    #[serde(borrow)]
    rail: Cow<'a, str>,
    valid_until_us: i64,
    #[serde(borrow)]
    beneficiary: Beneficiary<'a>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Beneficiary<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    name: Cow<'a, str>,
    account_number: Option<Cow<'a, str>>,
    ifsc: Option<Cow<'a, str>>,
    vpa: Option<Cow<'a, str>>,
    mobile: Option<Cow<'a, str>>,
}

impl Order {
    /// Reads the JSON of `POST /transfers`; the error is a sentence for the one who sent it.
    pub(crate) fn parse(body: &[u8]) -> Result<Order, String> {
        let body: Body<'_> = serde_json::from_slice(body).map_err(|_| explain(body))?;
        if !is_reference(&body.reference) {
            return Err(format!("`reference` must be 1 to {REFERENCE_CHARS_MAX} characters of A-Z and 0-9"));
        }
        if !(1..=AMOUNT_PAISE_MAX).contains(&body.amount_paise) {
            return Err(format!("`amount_paise` must be from 1 to {AMOUNT_PAISE_MAX}"));
        }
        let rail = Rail::of_name(&body.rail).ok_or("`rail` must be one of IMPS, NEFT, RTGS, UPI")?;
        if body.valid_until_us <= 0 {
            return Err("`valid_until_us` must be microseconds since 1970, above 0".to_owned());
        }
        let (beneficiary, outcome) = body.beneficiary.read(rail)?;
        Ok(Order {
            reference: body.reference.into_owned(),
            amount_paise: body.amount_paise,
            rail,
            valid_until_us: body.valid_until_us,
            beneficiary,
            outcome,
        })
    }
}

/// Whether a text may be a reference.
pub(crate) fn is_reference(text: &str) -> bool {
    (1..=REFERENCE_CHARS_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
}

impl Beneficiary<'_> {
    fn read(&self, rail: Rail) -> Result<(String, &'static Outcome), String> {
        let name_chars = self.name.chars().count();
        if !(1..=NAME_CHARS_MAX).contains(&name_chars) || self.name.chars().any(char::is_control) {
            return Err(format!(
                "`beneficiary.name` must be 1 to {NAME_CHARS_MAX} characters without control characters"
            ));
        }
        match self.kind.as_ref() {
            "account" => {
                self.only(&["account_number", "ifsc"])?;
                let number =
                    checked("account_number", &self.account_number, is_account_number, "1 to 34 letters and digits")?;
                let ifsc =
                    checked("ifsc", &self.ifsc, is_ifsc, "4 capital letters, a 0, and 6 capital letters or digits")?;
                Ok((format!("account {ifsc} {number} {}", self.name), outcome::of_number(number)))
            }
            "upi" => {
                self.only(&["vpa"])?;
                let vpa = checked("vpa", &self.vpa, is_vpa, "a UPI ID such as name@bank")?;
                if rail != Rail::Upi {
                    return Err("`rail` must be UPI for a beneficiary of kind upi".to_owned());
                }
                Ok((format!("upi {vpa} {}", self.name), outcome::of_vpa(vpa)))
            }
            "mobile" => {
                self.only(&["mobile"])?;
                let mobile = checked("mobile", &self.mobile, is_mobile, "10 digits that begin with 6, 7, 8 or 9")?;
                if !matches!(rail, Rail::Imps | Rail::Upi) {
                    return Err("`rail` must be IMPS or UPI for a beneficiary of kind mobile".to_owned());
                }
                Ok((format!("mobile {mobile} {}", self.name), outcome::of_number(mobile)))
            }
            _ => Err("`beneficiary.kind` must be one of account, upi, mobile".to_owned()),
        }
    }

    /// Refuses the fields of another kind: which of the two would be paid?
    fn only(&self, own: &[&str]) -> Result<(), String> {
        let fields = [
            ("account_number", &self.account_number),
            ("ifsc", &self.ifsc),
            ("vpa", &self.vpa),
            ("mobile", &self.mobile),
        ];
        match fields.iter().find(|(name, value)| value.is_some() && !own.contains(name)) {
            Some((name, _)) => Err(format!("`beneficiary.{name}` does not belong to this kind of beneficiary")),
            None => Ok(()),
        }
    }
}

fn checked<'a>(
    name: &str,
    value: &'a Option<Cow<'_, str>>,
    is_valid: fn(&str) -> bool,
    shape: &str,
) -> Result<&'a str, String> {
    let value = value.as_deref().ok_or_else(|| format!("`beneficiary.{name}` is missing"))?;
    if is_valid(value) { Ok(value) } else { Err(format!("`beneficiary.{name}` must be {shape}")) }
}

fn is_account_number(text: &str) -> bool {
    (1..=NUMBER_CHARS_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// `^[A-Z]{4}0[A-Z0-9]{6}$`. Source: RAILS.md
fn is_ifsc(text: &str) -> bool {
    text.len() == 11
        && text.bytes().enumerate().all(|(place, byte)| match place {
            0..4 => byte.is_ascii_uppercase(),
            4 => byte == b'0',
            _ => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
        })
}

fn is_vpa(text: &str) -> bool {
    let part = |text: &str, more: &[u8]| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || more.contains(&byte))
    };
    text.len() <= VPA_CHARS_MAX
        && text.split_once('@').is_some_and(|(name, bank)| part(name, b".-_") && part(bank, b".-"))
}

fn is_mobile(text: &str) -> bool {
    text.len() == 10
        && matches!(text.as_bytes().first(), Some(b'6'..=b'9'))
        && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// What a JSON value must be.
#[derive(Clone, Copy)]
enum Wanted {
    Text,
    Whole,
    Object,
    TextIfAny,
}

const BODY_FIELDS: [(&str, Wanted); 5] = [
    ("reference", Wanted::Text),
    ("amount_paise", Wanted::Whole),
    ("rail", Wanted::Text),
    ("valid_until_us", Wanted::Whole),
    ("beneficiary", Wanted::Object),
];

const BENEFICIARY_FIELDS: [(&str, Wanted); 6] = [
    ("kind", Wanted::Text),
    ("name", Wanted::Text),
    ("account_number", Wanted::TextIfAny),
    ("ifsc", Wanted::TextIfAny),
    ("vpa", Wanted::TextIfAny),
    ("mobile", Wanted::TextIfAny),
];

/// Finds the field on which the fast reading stumbled.
fn explain(body: &[u8]) -> String {
    let Ok(value) = serde_json::from_slice::<Value>(body) else {
        return "the body is not JSON".to_owned();
    };
    let Value::Object(object) = &value else {
        return "the body must be a JSON object".to_owned();
    };
    let inner = value.get("beneficiary").and_then(Value::as_object);
    misfit(object, &BODY_FIELDS, "")
        .or_else(|| misfit(inner?, &BENEFICIARY_FIELDS, "beneficiary."))
        .unwrap_or_else(|| "the body has a field twice".to_owned())
}

fn misfit(object: &serde_json::Map<String, Value>, fields: &[(&str, Wanted)], prefix: &str) -> Option<String> {
    for (name, wanted) in fields {
        let value = object.get(*name).unwrap_or(&Value::Null);
        let shape = match wanted {
            Wanted::Text if !value.is_string() => "a text",
            Wanted::Whole if !value.is_i64() => "a whole number",
            Wanted::Object if !value.is_object() => "an object",
            Wanted::TextIfAny if !value.is_string() && !value.is_null() => "a text",
            _ => continue,
        };
        let missing = !object.contains_key(*name);
        return Some(if missing {
            format!("`{prefix}{name}` is missing")
        } else {
            format!("`{prefix}{name}` must be {shape}")
        });
    }
    let stranger = object.keys().find(|key| fields.iter().all(|(name, _)| name != key))?;
    let shown: String = stranger.chars().take(FIELD_CHARS_SHOWN).collect();
    Some(format!("`{prefix}{shown}` is not a field of the contract"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_beneficiary() {
        let body = br#"{"reference":"A1","amount_paise":5,"rail":"IMPS","valid_until_us":1,
            "beneficiary":{"kind":"account","account_number":"50100012345","ifsc":"HDFC0000001","name":"Asha"}}"#;
        let shown = format!("{:?}", Order::parse(body).expect("a valid order"));
        assert_eq!(shown, r#"Order { reference: "A1", amount_paise: 5, rail: Imps, .. }"#);
    }
}
