//! Turns what a merchant sent (content type, query string, body) into the fields of the wire contract (WIRE 1 to 3).
//!
//! | sent | becomes |
//! |---|---|
//! | nothing, `null`, `""` | absent |
//! | a JSON string, a form value | its text, case kept |
//! | a JSON integer | its literal digits, never through a float |
//! | another JSON number, `true`, a list, an object | [`FieldProblem::NotTextOrInteger`] |
//! | one field twice, in any spelling | [`FieldProblem::Twice`] |
//! | an unknown field | ignored |
//!
//! A problem of one field does not hide the others: the caller asks field by field, in the order of refusal (WIRE 6).
//! Only what makes the request unreadable as a whole is an error of [`Fields::parse`]. This file does not know what a
//! valid amount or OrderID is. No message and no `Debug` output of it holds a value: the token is among them.

use std::borrow::Cow;
use std::fmt;

use hundi_core::plant::{Plant, planted};
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// A field of the merchant API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the field that WIRE.md describes under this name")]
pub enum Field {
    Token,
    Number,
    Amount,
    TransferMode,
    AccountNo,
    IfscCode,
    BeneficiaryName,
    UpiId,
    BeneficiaryPhoneNo,
    OrderId,
    Subject,
    Message,
}

const FIELD_COUNT: usize = 12;

/// In the order of the enum.
const FIELDS: [(&str, Field); FIELD_COUNT] = [
    ("Token", Field::Token),
    ("Number", Field::Number),
    ("Amount", Field::Amount),
    ("TransferMode", Field::TransferMode),
    ("AccountNo", Field::AccountNo),
    ("IFSCCode", Field::IfscCode),
    ("BeneficiaryName", Field::BeneficiaryName),
    ("UPIId", Field::UpiId),
    ("BeneficiaryPhoneNo", Field::BeneficiaryPhoneNo),
    ("OrderID", Field::OrderId),
    ("Subject", Field::Subject),
    ("Message", Field::Message),
];

impl Field {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Field> {
        FIELDS.iter().map(|(_, field)| *field)
    }

    /// The field as merchants spell it in the call of this path: `OrderID`, but `OrderId` in `/RaiseComplaint`.
    #[must_use]
    pub fn spelling(self, path: &str) -> &'static str {
        match self {
            Field::OrderId if path.trim_end_matches('/').eq_ignore_ascii_case("/RaiseComplaint") => "OrderId",
            field => FIELDS[field as usize].0,
        }
    }

    /// Names match without regard to case.
    fn named(name: &str) -> Option<Field> {
        FIELDS.iter().find(|(spelling, _)| spelling.eq_ignore_ascii_case(name)).map(|(_, field)| *field)
    }
}

/// The known fields of one request, borrowed from it where nothing was escaped.
pub struct Fields<'a> {
    slots: [Slot<'a>; FIELD_COUNT],
}

/// Why a request cannot be read at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldsError {
    /// Malformed JSON, not an object, bad UTF-8, bad percent-encoding, or U+0000 anywhere.
    Body(String),
    /// The content type is neither JSON nor a form.
    MediaType(String),
}

/// Why one field cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldProblem {
    /// The field was given twice, in whatever spellings; or query and body hold different tokens.
    Twice,
    /// The JSON value is neither text nor an integer.
    NotTextOrInteger {
        /// What it is instead.
        literal: Literal,
    },
}

/// A JSON value that no field takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Literal {
    /// A number with a fraction or an exponent: `200.50`, `1.0`, `2e2`.
    Fraction,
    /// `true` or `false`.
    Boolean,
    /// A list.
    Array,
    /// An object.
    Object,
}

impl<'a> Fields<'a> {
    /// Reads a request: the fields of the body, and `token` from the query string too.
    ///
    /// The caller has already limited the size of the body.
    pub fn parse(
        content_type: Option<&str>,
        query: Option<&'a str>,
        body: &'a [u8],
    ) -> Result<Fields<'a>, FieldsError> {
        let body = std::str::from_utf8(body).map_err(|_| unreadable("the body is not valid UTF-8"))?;
        let mut fields = Fields { slots: [const { Slot::Absent }; FIELD_COUNT] };
        match Media::of(content_type.unwrap_or_default())? {
            Media::Json => fields.take_json(body.strip_prefix('\u{feff}').unwrap_or(body))?,
            Media::Form => pairs(body.strip_prefix('\u{feff}').unwrap_or(body), "body", |field, value| {
                fields.take(field, value);
            })?,
        }
        if let Some(query) = query {
            let mut token = Slot::Absent;
            pairs(query, "query string", |field, value| {
                if field == Field::Token {
                    token.fill(value);
                }
            })?;
            fields.slots[Field::Token as usize].agree(token);
        }
        Ok(fields)
    }

    /// The text of a field; `None` where it is absent, empty or `null`.
    pub fn get(&self, field: Field) -> Result<Option<&str>, FieldProblem> {
        match &self.slots[field as usize] {
            Slot::Absent | Slot::Empty => Ok(None),
            Slot::Text(text) => Ok(Some(text)),
            Slot::Twice => Err(FieldProblem::Twice),
            Slot::Wrong(literal) => Err(FieldProblem::NotTextOrInteger { literal: *literal }),
        }
    }

    fn take(&mut self, field: Field, value: Slot<'a>) {
        self.slots[field as usize].fill(value);
    }

    fn take_json(&mut self, text: &'a str) -> Result<(), FieldsError> {
        let text = text.trim_matches([' ', '\t', '\r', '\n']);
        if text.is_empty() {
            return Ok(());
        }
        if !text.starts_with('{') {
            return Err(unreadable("the body must be a JSON object"));
        }
        // serde_json refuses a raw U+0000 itself.
        if escapes_nul(text) {
            return Err(unreadable("the body holds the character U+0000"));
        }
        let mut json = serde_json::Deserializer::from_str(text);
        // The error's own words may quote a value, so only its place is told.
        json.deserialize_map(Object(self)).and_then(|()| json.end()).map_err(|error| {
            FieldsError::Body(format!("the body is not valid JSON (line {} column {})", error.line(), error.column()))
        })
    }
}

impl fmt::Debug for Fields<'_> {
    /// Tells which fields are there, not what they hold.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let given = FIELDS.iter().filter(|(_, field)| !matches!(self.slots[*field as usize], Slot::Absent));
        f.debug_set().entries(given.map(|(_, field)| field)).finish()
    }
}

enum Slot<'a> {
    Absent,
    /// Given, as an empty string or `null`. Reads as absence, but a second spelling beside it is still one too many.
    Empty,
    Text(Cow<'a, str>),
    Wrong(Literal),
    Twice,
}

impl<'a> Slot<'a> {
    fn text(text: Cow<'a, str>) -> Slot<'a> {
        if text.is_empty() { Slot::Empty } else { Slot::Text(text) }
    }

    /// `literal` is one valid JSON value without space around it.
    fn json(literal: &'a str) -> serde_json::Result<Slot<'a>> {
        Ok(match literal.as_bytes() {
            [b'"', text @ .., b'"'] if !text.contains(&b'\\') => {
                Slot::text(Cow::Borrowed(&literal[1..literal.len() - 1]))
            }
            [b'"', ..] => Slot::text(Cow::Owned(serde_json::from_str(literal)?)),
            [b'n', ..] => Slot::Empty,
            [b't' | b'f', ..] => Slot::Wrong(Literal::Boolean),
            [b'[', ..] => Slot::Wrong(Literal::Array),
            [b'{', ..] => Slot::Wrong(Literal::Object),
            number if number.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E')) => Slot::Wrong(Literal::Fraction),
            _ => Slot::Text(Cow::Borrowed(literal)),
        })
    }

    fn fill(&mut self, value: Slot<'a>) {
        let free = matches!(self, Slot::Absent) || planted(Plant::LastFieldWins);
        *self = if free { value } else { Slot::Twice };
    }

    /// The token may stand in the query and in the body, if it is the same.
    fn agree(&mut self, other: Slot<'a>) {
        match (&*self, &other) {
            (_, Slot::Absent | Slot::Empty) | (Slot::Wrong(_), Slot::Text(_)) => {}
            (Slot::Absent | Slot::Empty, _) => *self = other,
            (Slot::Text(here), Slot::Text(there)) if here == there => {}
            _ => *self = Slot::Twice,
        }
    }
}

/// Walks the top object. Values of unknown fields are skipped without recursion, so that nesting costs no stack.
struct Object<'f, 'a>(&'f mut Fields<'a>);

impl<'de> Visitor<'de> for Object<'_, 'de> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key_seed(Key)? {
            match key {
                Some(field) => {
                    let literal: &'de RawValue = map.next_value()?;
                    self.0.take(field, Slot::json(literal.get()).map_err(A::Error::custom)?);
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// Reads a key as a field without keeping its text.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Option<Field>;

    fn deserialize<D: Deserializer<'de>>(self, key: D) -> Result<Option<Field>, D::Error> {
        key.deserialize_str(self)
    }
}

impl Visitor<'_> for Key {
    type Value = Option<Field>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Option<Field>, E> {
        Ok(Field::named(name))
    }
}

enum Media {
    Json,
    Form,
}

impl Media {
    /// An absent or blank content type is JSON. The only charset is UTF-8.
    fn of(content_type: &str) -> Result<Media, FieldsError> {
        let mut parts = content_type.split(';').map(str::trim);
        let essence = parts.next().unwrap_or_default();
        let is = |name: &str| essence.eq_ignore_ascii_case(name);
        let media = if essence.is_empty() || is("application/json") || is("text/json") {
            Media::Json
        } else if is("application/x-www-form-urlencoded") {
            Media::Form
        } else {
            return Err(FieldsError::MediaType(
                "Content-Type must be application/json or application/x-www-form-urlencoded".into(),
            ));
        };
        for parameter in parts {
            if let Some((name, charset)) = parameter.split_once('=')
                && name.trim().eq_ignore_ascii_case("charset")
                && !matches!(charset.trim().trim_matches('"').to_ascii_lowercase().as_str(), "utf-8" | "utf8")
            {
                return Err(FieldsError::MediaType("the charset of Content-Type must be utf-8".into()));
            }
        }
        Ok(media)
    }
}

/// Calls `take` for every known field of an urlencoded text. Unknown ones are decoded as well, since they too must be readable.
fn pairs<'a>(text: &'a str, place: &str, mut take: impl FnMut(Field, Slot<'a>)) -> Result<(), FieldsError> {
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decode(name, place)?, decode(value, place)?);
        if let Some(field) = Field::named(&name) {
            take(field, Slot::text(value));
        }
    }
    Ok(())
}

fn decode<'a>(text: &'a str, place: &str) -> Result<Cow<'a, str>, FieldsError> {
    let plain = !text.bytes().any(|byte| matches!(byte, b'%' | b'+'));
    let decoded = if plain {
        Cow::Borrowed(text)
    } else {
        let mut bytes = Vec::with_capacity(text.len());
        let mut rest = text.as_bytes();
        while let Some((byte, tail)) = rest.split_first() {
            rest = tail;
            bytes.push(match byte {
                b'+' => b' ',
                b'%' => {
                    let (digits, tail) = tail.split_at_checked(2).unwrap_or_default();
                    rest = tail;
                    if planted(Plant::UnwrapInParser) {
                        hex_byte(digits).expect("two hexadecimal digits");
                    }
                    hex_byte(digits).ok_or_else(|| unreadable(&format!("the {place} has a bad percent-encoding")))?
                }
                byte => *byte,
            });
        }
        let decoded = String::from_utf8(bytes).map_err(|_| unreadable(&format!("the {place} is not valid UTF-8")))?;
        Cow::Owned(decoded)
    };
    if decoded.as_bytes().contains(&0) {
        return Err(unreadable(&format!("the {place} holds the character U+0000")));
    }
    Ok(decoded)
}

fn hex_byte(digits: &[u8]) -> Option<u8> {
    let &[high, low] = digits else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(high)? << 4 | digit(low)?)
}

/// Whether a JSON text holds the escape of U+0000, in any key or value. Backslashes occur in strings only, in pairs or
/// before what they escape: an even run of them before the `u` is literal text.
fn escapes_nul(text: &str) -> bool {
    if !text.as_bytes().contains(&b'\\') {
        return false;
    }
    text.match_indices("\\u0000").any(|(at, _)| {
        let before = text.as_bytes()[..at].iter().rev().take_while(|byte| **byte == b'\\').count();
        before % 2 == 0
    })
}

fn unreadable(why: &str) -> FieldsError {
    FieldsError::Body(why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: Option<&str> = Some("application/json");
    const FORM: Option<&str> = Some("application/x-www-form-urlencoded");

    fn get(content_type: Option<&str>, query: Option<&str>, body: &[u8], field: Field) -> String {
        match Fields::parse(content_type, query, body) {
            Err(FieldsError::Body(_)) => "BODY".into(),
            Err(FieldsError::MediaType(_)) => "MEDIA".into(),
            Ok(fields) => match fields.get(field) {
                Ok(None) => "-".into(),
                Ok(Some(text)) => format!("={text}"),
                Err(FieldProblem::Twice) => "TWICE".into(),
                Err(FieldProblem::NotTextOrInteger { literal }) => format!("{literal:?}"),
            },
        }
    }

    /// A body and what it gives as the amount.
    const JSON_AMOUNTS: &[(&str, &str)] = &[
        (r#"{}"#, "-"),
        ("", "-"),
        (" \r\n\t", "-"),
        ("\u{feff}", "-"),
        ("\u{feff} {\"Amount\":\"5\"}", "=5"),
        (r#"{"Amount":"200"}"#, "=200"),
        (r#"{"amount":"200"}"#, "=200"),
        (r#"{"AMOUNT":200}"#, "=200"),
        (r#"{ "aMoUnT" : 200 }"#, "=200"),
        (r#"{"Amo\u0075nt":7}"#, "=7"),
        (r#"{"Amount":-1}"#, "=-1"),
        (r#"{"Amount":-0}"#, "=-0"),
        (r#"{"Amount":0}"#, "=0"),
        (r#"{"Amount":9007199254740993}"#, "=9007199254740993"),
        (
            r#"{"Amount":123456789012345678901234567890123456789012345}"#,
            "=123456789012345678901234567890123456789012345",
        ),
        (r#"{"Amount":200.50}"#, "Fraction"),
        (r#"{"Amount":1.0}"#, "Fraction"),
        (r#"{"Amount":1e3}"#, "Fraction"),
        (r#"{"Amount":2E2}"#, "Fraction"),
        (r#"{"Amount":1e999}"#, "Fraction"),
        (r#"{"Amount":"1e3"}"#, "=1e3"),
        (r#"{"Amount":true}"#, "Boolean"),
        (r#"{"Amount":false}"#, "Boolean"),
        (r#"{"Amount":[1]}"#, "Array"),
        (r#"{"Amount":{"$numberLong":"1"}}"#, "Object"),
        (r#"{"Amount":null}"#, "-"),
        (r#"{"Amount":""}"#, "-"),
        (r#"{"Amount":" "}"#, "= "),
        (r#"{"Amount":"a\"b\\cA\n"}"#, "=a\"b\\cA\n"),
        (r#"{"Amount":"😀"}"#, "=😀"),
        (r#"{"Amount":"\ud83d\ude00"}"#, "=😀"),
        (r#"{"Amount":"\ud83d"}"#, "BODY"),
        (r#"{"Amount":"२००"}"#, "=२००"),
        (r#"{"Amount":"1","Amount":"1"}"#, "TWICE"),
        (r#"{"Amount":"1","amount":"1"}"#, "TWICE"),
        (r#"{"Amount":null,"amount":"1"}"#, "TWICE"),
        (r#"{"Amount":"","amount":1.5}"#, "TWICE"),
        (r#"{"Amount":1,"Amoun\u0074":1}"#, "TWICE"),
        (r#"{"x":1,"x":2,"Amount":"1","y":{"Amount":2}}"#, "=1"),
        (r#"{"Amount ":"1"}"#, "-"),
        (r#"{"":"1"}"#, "-"),
        (r#"{"Amount":"1"#, "BODY"),
        (r#"{"Amount":01}"#, "BODY"),
        (r#"{"Amount":+1}"#, "BODY"),
        (r#"{"Amount":0x10}"#, "BODY"),
        (r#"{"Amount":NaN}"#, "BODY"),
        (r#"{"Amount":1,}"#, "BODY"),
        (r#"{"Amount":1}{}"#, "BODY"),
        (r#"{"Amount":1} x"#, "BODY"),
        (r#"{'Amount':1}"#, "BODY"),
        (r#"{Amount:1}"#, "BODY"),
        ("{\"Amount\":\"a\nb\"}", "BODY"),
        ("[]", "BODY"),
        ("null", "BODY"),
        ("\"Amount\"", "BODY"),
        ("5", "BODY"),
        ("Amount=5", "BODY"),
        // U+0000, in whatever place and spelling.
        (r#"{"Amount":"1\u0000"}"#, "BODY"),
        (r#"{"x":"1\u0000","Amount":"1"}"#, "BODY"),
        (r#"{"x":{"y":["\u0000"]},"Amount":"1"}"#, "BODY"),
        (r#"{"x\u0000":1,"Amount":"1"}"#, "BODY"),
        (r#"{"Amount":"\\\u0000"}"#, "BODY"),
        (r#"{"Amount":"\\u0000"}"#, "=\\u0000"),
        (r#"{"Amount":"\\\\u0000"}"#, "=\\\\u0000"),
        ("{\"Amount\":\"1\0\"}", "BODY"),
        ("{\"x\":\"\0\",\"Amount\":\"1\"}", "BODY"),
        ("{\"Amount\":\"1\"}\0", "BODY"),
        ("\0", "BODY"),
    ];

    #[test]
    fn json_values() {
        for &(body, want) in JSON_AMOUNTS {
            assert_eq!(get(JSON, None, body.as_bytes(), Field::Amount), want, "{body}");
        }
        assert_eq!(get(JSON, None, b"{\"Amount\":\"\xff\"}", Field::Amount), "BODY");
        assert_eq!(get(JSON, None, b"{\"x\":\"\xc0\x80\",\"Amount\":1}", Field::Amount), "BODY");
    }

    #[test]
    fn form_values() {
        for (body, want) in [
            ("", "-"),
            ("&&", "-"),
            ("Amount", "-"),
            ("Amount=", "-"),
            ("Amount=200", "=200"),
            ("aMOUNT=200&x=1", "=200"),
            ("\u{feff}Amount=200", "=200"),
            ("%41mount=2%300", "=200"),
            ("Amount=a+b%20c%2Bd", "=a b c+d"),
            ("Amount=a=b", "=a=b"),
            ("Amount=%E2%82%B9", "=₹"),
            ("Amount=₹", "=₹"),
            ("Amount=%e2%82%b9;x", "=₹;x"),
            ("Amount=1&Amount=1", "TWICE"),
            ("Amount=1&amount=", "TWICE"),
            ("Amount=1&%61mount=2", "TWICE"),
            ("Amount=%", "BODY"),
            ("Amount=%4", "BODY"),
            ("Amount=%zz", "BODY"),
            ("Amount=%+1", "BODY"),
            ("Amount=%€", "BODY"),
            ("Amount=1&x=%4", "BODY"),
            ("Amount=1&%4=x", "BODY"),
            ("Amount=%FF", "BODY"),
            ("Amount=%C0%80", "BODY"),
            ("Amount=%00", "BODY"),
            ("Amount=1&x=%00", "BODY"),
            ("Amount=1&x%00=1", "BODY"),
            ("Amount=1&x=\0", "BODY"),
        ] {
            assert_eq!(get(FORM, None, body.as_bytes(), Field::Amount), want, "{body}");
        }
    }

    #[test]
    fn token_from_query_and_body() {
        for (query, body, want) in [
            (None, r#"{"Token":"t"}"#, "=t"),
            (Some(""), r#"{"Token":"t"}"#, "=t"),
            (Some("token=t"), "", "=t"),
            (Some("TOKEN=t&x=y"), "{}", "=t"),
            (Some("token=a%2Bb+c"), "{}", "=a+b c"),
            (Some("token=t"), r#"{"Token":"t"}"#, "=t"),
            (Some("token=7"), r#"{"Token":7}"#, "=7"),
            (Some("token=t"), r#"{"Token":"u"}"#, "TWICE"),
            (Some("token=t"), r#"{"Token":"T"}"#, "TWICE"),
            (Some("token=t"), r#"{"Token":""}"#, "=t"),
            (Some("token=t"), r#"{"Token":null}"#, "=t"),
            (Some("token="), r#"{"Token":"t"}"#, "=t"),
            (Some("token=t"), r#"{"Token":"t","token":"t"}"#, "TWICE"),
            (Some("token=t&Token=t"), r#"{}"#, "TWICE"),
            (Some("token=t&Token=t"), r#"{"Token":"t"}"#, "TWICE"),
            (Some("token=t"), r#"{"Token":1.5}"#, "Fraction"),
            (Some("token=%00"), "{}", "BODY"),
            (Some("x=%00"), r#"{"Token":"t"}"#, "BODY"),
            (Some("x=%4"), r#"{"Token":"t"}"#, "BODY"),
        ] {
            assert_eq!(get(JSON, query, body.as_bytes(), Field::Token), want, "{query:?} {body}");
        }
        // Nothing else is taken from the query string.
        assert_eq!(get(JSON, Some("Amount=1"), b"{}", Field::Amount), "-");
        assert_eq!(get(JSON, Some("Amount=1"), br#"{"Amount":2}"#, Field::Amount), "=2");
    }

    #[test]
    fn content_types() {
        for (content_type, want) in [
            (None, "=1"),
            (Some(""), "=1"),
            (Some("application/json"), "=1"),
            (Some("Application/JSON"), "=1"),
            (Some("text/json"), "=1"),
            (Some("application/json; charset=utf-8"), "=1"),
            (Some("application/json;charset=\"UTF-8\""), "=1"),
            (Some("application/json; x=y; Charset = utf8 "), "=1"),
            (Some("application/json; charset=utf-16"), "MEDIA"),
            (Some("application/json; charset=iso-8859-1"), "MEDIA"),
            (Some("application/x-www-form-urlencoded; charset=latin1"), "MEDIA"),
            (Some("application/x-www-form-urlencoded"), "-"),
            (Some("application/jsonp"), "MEDIA"),
            (Some("application/xml"), "MEDIA"),
            (Some("text/plain"), "MEDIA"),
            (Some("multipart/form-data; boundary=x"), "MEDIA"),
            (Some("*/*"), "MEDIA"),
        ] {
            assert_eq!(get(content_type, None, br#"{"Amount":1}"#, Field::Amount), want, "{content_type:?}");
        }
    }

    #[test]
    fn one_bad_field_hides_no_other() {
        let body = br#"{"Token":"t","OrderId":"o-1","Amount":1.5,"TransferMode":["x"],"IfscCode":"A","IFSCCODE":"B","UPIID":"a@b"}"#;
        for (field, want) in [
            (Field::Token, "=t"),
            (Field::OrderId, "=o-1"),
            (Field::Amount, "Fraction"),
            (Field::TransferMode, "Array"),
            (Field::IfscCode, "TWICE"),
            (Field::UpiId, "=a@b"),
            (Field::Message, "-"),
        ] {
            assert_eq!(get(JSON, None, body, field), want, "{field:?}");
        }
    }

    #[test]
    fn every_field_is_found_and_spelt() {
        for (at, (spelling, field)) in FIELDS.iter().enumerate() {
            assert_eq!(*field as usize, at);
            assert_eq!(Field::named(&spelling.to_ascii_uppercase()), Some(*field));
            assert_eq!(field.spelling("/PayoutBankTransafer"), *spelling);
        }
        assert_eq!(Field::OrderId.spelling("/RaiseComplaint"), "OrderId");
        assert_eq!(Field::OrderId.spelling("/raisecomplaint/"), "OrderId");
        assert_eq!(Field::named("To\u{212a}en"), None);
    }

    #[test]
    fn nesting_costs_no_stack() {
        let deep = format!(r#"{{"x":{}{},"Amount":1}}"#, "[".repeat(30_000), "]".repeat(30_000));
        assert_eq!(get(JSON, None, deep.as_bytes(), Field::Amount), "=1");
        let deep = format!(r#"{{"Amount":{}1{}}}"#, "{\"a\":".repeat(10_000), "}".repeat(10_000));
        assert_eq!(get(JSON, None, deep.as_bytes(), Field::Amount), "Object");
        assert_eq!(get(JSON, None, "[".repeat(60_000).as_bytes(), Field::Amount), "BODY");
        let open = format!(r#"{{"x":{}"#, "[".repeat(60_000));
        assert_eq!(get(JSON, None, open.as_bytes(), Field::Amount), "BODY");
    }

    #[test]
    fn no_message_holds_a_value() {
        const SECRET: &str = "sk_canary";
        for body in [
            "\"sk_canary\"",
            r#"{"Token":"sk_canary",}"#,
            r#"{"Token":"sk_canary\ud800"}"#,
            r#"{"sk_canary":"\u0000"}"#,
            r#"{"Token" sk_canary}"#,
        ] {
            let error = Fields::parse(JSON, None, body.as_bytes()).unwrap_err();
            assert!(!format!("{error:?}").contains(SECRET), "{error:?}");
        }
        let error = Fields::parse(FORM, Some("token=sk_canary%"), b"").unwrap_err();
        assert!(!format!("{error:?}").contains(SECRET), "{error:?}");
        let fields = Fields::parse(JSON, None, br#"{"Token":"sk_canary","Amount":""}"#).unwrap();
        assert_eq!(format!("{fields:?}"), "{Token, Amount}");
    }

    #[test]
    fn plain_values_are_borrowed() {
        let body = br#"{"Token":"t","Amount":5}"#;
        let fields = Fields::parse(JSON, None, body).unwrap();
        for field in [Field::Token, Field::Amount] {
            assert!(matches!(fields.slots[field as usize], Slot::Text(Cow::Borrowed(_))));
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_panics(body: Vec<u8>, query: String, form: bool) {
            if let Ok(fields) = Fields::parse(if form { FORM } else { JSON }, Some(&query), &body) {
                for (_, field) in FIELDS {
                    if let Ok(Some(text)) = fields.get(field) {
                        assert!(!text.contains('\0'));
                    }
                }
            }
        }

        #[test]
        fn text_survives_json(text: String) {
            let body = serde_json::json!({ "Message": text }).to_string();
            let want = if text.contains('\0') { "BODY".into() } else if text.is_empty() { "-".into() } else { format!("={text}") };
            assert_eq!(get(JSON, None, body.as_bytes(), Field::Message), want);
        }
    }
}
