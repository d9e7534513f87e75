//! A request's fields, read once more by naive readers of JSON and of forms.

use super::first;
use hundi::http::fields::{Field, FieldProblem, Fields, FieldsError, Literal};

const CONTENT_TYPES: [Option<&str>; 6] = [
    Some("application/json"),
    Some("application/x-www-form-urlencoded"),
    None,
    Some("application/json; charset=UTF-8"),
    Some("Application/X-WWW-Form-Urlencoded;charset=\"utf-8\""),
    Some("text/plain"),
];
const NAMES: [(&str, Field); 12] = [
    ("token", Field::Token),
    ("number", Field::Number),
    ("amount", Field::Amount),
    ("transfermode", Field::TransferMode),
    ("accountno", Field::AccountNo),
    ("ifsccode", Field::IfscCode),
    ("beneficiaryname", Field::BeneficiaryName),
    ("upiid", Field::UpiId),
    ("beneficiaryphoneno", Field::BeneficiaryPhoneNo),
    ("orderid", Field::OrderId),
    ("subject", Field::Subject),
    ("message", Field::Message),
];

/// What a field holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Held {
    Text(String),
    Wrong(Literal),
}

/// Names and what they hold, in their order; `None` where it cannot be read.
type Pairs = Option<Vec<(String, Held)>>;

/// The first byte chooses the content type, the second is the length of the query string, and the rest is the body.
pub fn fields(mut data: &[u8]) {
    let content_type = CONTENT_TYPES[usize::from(first(&mut data)) % CONTENT_TYPES.len()];
    let length = usize::from(first(&mut data) % 64).min(data.len());
    let (query, body) = data.split_at(length);
    let Ok(query) = std::str::from_utf8(query) else { return };
    let query = (!query.is_empty()).then_some(query);
    let parsed = Fields::parse(content_type, query, body);
    if let Err(FieldsError::MediaType(_)) = parsed {
        assert_eq!(content_type, CONTENT_TYPES[5]);
        return;
    }
    let of_body = if content_type.is_some_and(|text| text.contains("orm")) { read_form(body) } else { read_json(body) };
    let of_query = query.map_or(Some(Vec::new()), |query| read_pairs(query.as_bytes()));
    let (Some(of_body), Some(of_query)) = (of_body, of_query) else {
        assert!(parsed.is_err(), "{content_type:?} {query:?} {:?} was read", String::from_utf8_lossy(body));
        return;
    };
    let parsed = parsed.unwrap_or_else(|error| panic!("{error:?}: {:?}", String::from_utf8_lossy(body)));
    for (name, field) in NAMES {
        let mut expected = one(&of_body, name);
        if field == Field::Token {
            expected = same(expected, one(&of_query, name));
        }
        let found = parsed.get(field).map(|text| text.map(str::to_owned));
        assert_eq!(found, expected, "{name} of {:?} and {query:?}", String::from_utf8_lossy(body));
    }
    translated(&parsed);
}

/// What the merchant meant with all the values of one name.
fn one(pairs: &[(String, Held)], name: &str) -> Result<Option<String>, FieldProblem> {
    let held: Vec<&Held> =
        pairs.iter().filter(|(known, _)| known.to_ascii_lowercase() == name).map(|(_, held)| held).collect();
    match held[..] {
        [] => Ok(None),
        [Held::Text(text)] => Ok((!text.is_empty()).then(|| text.clone())),
        [Held::Wrong(literal)] => Err(FieldProblem::NotTextOrInteger { literal: *literal }),
        _ => Err(FieldProblem::Twice),
    }
}

/// The token of the body and that of the query string.
fn same(
    body: Result<Option<String>, FieldProblem>,
    query: Result<Option<String>, FieldProblem>,
) -> Result<Option<String>, FieldProblem> {
    match (body, query) {
        (body, Ok(None)) => body,
        (Ok(None), query) => query,
        (Ok(Some(body)), Ok(Some(query))) if body == query => Ok(Some(body)),
        (Err(wrong @ FieldProblem::NotTextOrInteger { .. }), Ok(Some(_))) => Err(wrong),
        _ => Err(FieldProblem::Twice),
    }
}

/// What one encoding says the other says too.
fn translated(fields: &Fields<'_>) {
    let mut document = serde_json::Map::new();
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    for (name, field) in NAMES {
        if let Ok(Some(text)) = fields.get(field) {
            document.insert(name.to_owned(), text.into());
            form.append_pair(name, text);
        }
    }
    let (document, form) = (serde_json::Value::from(document).to_string(), form.finish());
    for (content_type, body) in [(CONTENT_TYPES[0], document), (CONTENT_TYPES[1], form)] {
        let again =
            Fields::parse(content_type, None, body.as_bytes()).unwrap_or_else(|error| panic!("{error:?}: {body}"));
        for (_, field) in NAMES {
            assert_eq!(again.get(field), Ok(fields.get(field).unwrap_or_default()), "{field:?} of {body}");
        }
    }
}

/// A body may begin with a byte order mark.
pub fn read_form(body: &[u8]) -> Pairs {
    read_pairs(body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body))
}

fn read_pairs(text: &[u8]) -> Pairs {
    let decode = |text: &[u8]| {
        let mut bytes = Vec::new();
        let mut at = 0;
        while at < text.len() {
            match text[at] {
                b'+' => bytes.push(b' '),
                b'%' => {
                    let digits = text.get(at + 1..at + 3).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
                    bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
                    at += 2;
                }
                byte => bytes.push(byte),
            }
            at += 1;
        }
        String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'))
    };
    std::str::from_utf8(text).ok()?;
    let pairs = text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let (name, value) = (halves.next().unwrap_or_default(), halves.next().unwrap_or_default());
            Some((decode(name)?, Held::Text(decode(value)?)))
        })
        .collect()
}

pub fn read_json(text: &[u8]) -> Pairs {
    let text = std::str::from_utf8(text).ok()?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim_matches([' ', '\t', '\r', '\n']);
    if text.is_empty() {
        return Some(Vec::new());
    }
    let mut json = Json { text: text.as_bytes(), at: 0, nul: false };
    let mut pairs = Vec::new();
    let known = |name: &str| NAMES.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
    json.object(|json| {
        let name = json.string(true)?;
        json.sign(b':')?;
        let held = json.value(known(&name))?;
        pairs.push((name, held));
        Some(())
    })?;
    (json.at == text.len() && !json.nul).then_some(pairs)
}

/// A reader of RFC 8259 that goes forward a character at a time. In values that nobody asks for, an escaped half of a
/// surrogate pair may stand alone.
struct Json<'a> {
    text: &'a [u8],
    at: usize,
    /// Whether U+0000 was seen, in whatever text.
    nul: bool,
}

impl Json<'_> {
    fn peek(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(0)
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), b' ' | b'\t' | b'\r' | b'\n') {
            self.at += 1;
        }
    }

    /// A sign, with blanks around it.
    fn sign(&mut self, sign: u8) -> Option<()> {
        self.blanks();
        (self.peek() == sign).then(|| self.at += 1)?;
        self.blanks();
        Some(())
    }

    fn object(&mut self, mut pair: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.list([b'{', b'}'], &mut pair)
    }

    fn list(&mut self, [open, close]: [u8; 2], each: &mut dyn FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.sign(open)?;
        if self.peek() == close {
            self.at += 1;
            return Some(());
        }
        loop {
            each(self)?;
            self.blanks();
            if self.peek() == close {
                self.at += 1;
                return Some(());
            }
            self.sign(b',')?;
        }
    }

    fn value(&mut self, asked: bool) -> Option<Held> {
        let word = |json: &mut Self, word: &str, held: Held| {
            json.text[json.at..].starts_with(word.as_bytes()).then(|| json.at += word.len())?;
            Some(held)
        };
        match self.peek() {
            b'"' => Some(Held::Text(self.string(asked)?)),
            b'n' => word(self, "null", Held::Text(String::new())),
            b't' => word(self, "true", Held::Wrong(Literal::Boolean)),
            b'f' => word(self, "false", Held::Wrong(Literal::Boolean)),
            b'[' => {
                self.list([b'[', b']'], &mut |json| json.value(false).map(drop))?;
                Some(Held::Wrong(Literal::Array))
            }
            b'{' => {
                self.object(|json| {
                    json.string(false)?;
                    json.sign(b':')?;
                    json.value(false).map(drop)
                })?;
                Some(Held::Wrong(Literal::Object))
            }
            _ => self.number(),
        }
    }

    fn digits(&mut self) -> Option<usize> {
        let from = self.at;
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
        Some(self.at - from).filter(|count| *count > 0)
    }

    fn number(&mut self) -> Option<Held> {
        let from = self.at;
        self.at += usize::from(self.peek() == b'-');
        let zero = self.peek() == b'0';
        if self.digits()? > 1 && zero {
            return None;
        }
        let whole = self.at;
        if self.peek() == b'.' {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), b'e' | b'E') {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), b'+' | b'-'));
            self.digits()?;
        }
        let literal = std::str::from_utf8(&self.text[from..whole]).ok()?;
        Some(if self.at == whole { Held::Text(literal.to_owned()) } else { Held::Wrong(Literal::Fraction) })
    }

    fn string(&mut self, asked: bool) -> Option<String> {
        (self.peek() == b'"').then(|| self.at += 1)?;
        let mut units: Vec<u16> = Vec::new();
        loop {
            let rest = std::str::from_utf8(&self.text[self.at..]).ok()?;
            let c = rest.chars().next().filter(|c| *c >= ' ')?;
            self.at += c.len_utf8();
            match c {
                '"' => break,
                '\\' => units.push(self.escape()?),
                c => units.extend_from_slice(c.encode_utf16(&mut [0; 2])),
            }
        }
        self.nul |= units.contains(&0);
        if asked { String::from_utf16(&units).ok() } else { Some(String::from_utf16_lossy(&units)) }
    }

    fn escape(&mut self) -> Option<u16> {
        let sign = self.peek();
        self.at += 1;
        Some(match sign {
            b'"' | b'\\' | b'/' => u16::from(sign),
            b'b' => 8,
            b'f' => 12,
            b'n' => 10,
            b'r' => 13,
            b't' => 9,
            b'u' => {
                let digits = self.text.get(self.at..self.at + 4)?;
                let digits =
                    std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()))?;
                self.at += 4;
                u16::from_str_radix(digits, 16).ok()?
            }
            _ => return None,
        })
    }
}
