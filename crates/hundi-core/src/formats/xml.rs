//! XML as a stream of elements, in bounded memory: no document types, no entities but the five of XML, nothing deep, nothing
//! long. A caller walks down with [`Xml::child`] and takes every element by [`Xml::text`] or [`Xml::skip`].

use quick_xml::Reader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::{BytesStart, Event};
use std::io::{self, BufRead, Read};

/// The deepest element. ISO 20022 statements need about fifteen.
const DEPTH_MAX: usize = 64;
/// The longest tag, comment or run of text, bytes.
const PIECE_BYTES_MAX: usize = 64 * 1_024;
/// What is kept of the text of an element, bytes.
const TEXT_BYTES_MAX: usize = 4_096;

/// Why a document cannot be read further.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Broken {
    /// The line, from 1.
    pub(super) at: u64,
    /// Why.
    pub(super) why: &'static str,
}

/// A document that is being read.
pub(super) struct Xml<R> {
    reader: Reader<Metered<R>>,
    buffer: Vec<u8>,
    name: String,
    currency: String,
    namespace: String,
    depth: usize,
    /// The line of the last tag.
    at: u64,
}

enum Piece {
    Start,
    End,
    Text,
    Eof,
}

impl<R: BufRead> Xml<R> {
    pub(super) fn new(input: R) -> Xml<R> {
        let mut reader = Reader::from_reader(Metered { input, line: 1, left: PIECE_BYTES_MAX });
        let config = reader.config_mut();
        config.expand_empty_elements = true;
        config.check_comments = true;
        Xml {
            reader,
            buffer: Vec::new(),
            name: String::new(),
            currency: String::new(),
            namespace: String::new(),
            depth: 0,
            at: 1,
        }
    }

    /// Goes to the next child of the element that is open and gives its name without prefix; `None` at the element's end.
    /// At the top it goes to the root, and `None` is the end of the document.
    pub(super) fn child(&mut self) -> Result<Option<&str>, Broken> {
        let top = self.depth == 0;
        loop {
            match self.piece(&mut String::new())? {
                Piece::Start => return Ok(Some(&self.name)),
                Piece::End | Piece::Eof => return Ok(None),
                Piece::Text if top => return Err(self.broken("text stands outside of the document")),
                Piece::Text => {}
            }
        }
    }

    /// The text of the element that is open, to its end; texts of elements within it are part of it.
    pub(super) fn text(&mut self) -> Result<String, Broken> {
        let (outside, mut text) = (self.depth.saturating_sub(1), String::new());
        while self.depth > outside {
            self.piece(&mut text)?;
        }
        text.truncate(text.trim_end().len());
        Ok(text.trim_start().to_owned())
    }

    /// Leaves the element that is open.
    pub(super) fn skip(&mut self) -> Result<(), Broken> {
        let outside = self.depth.saturating_sub(1);
        while self.depth > outside {
            self.piece(&mut String::new())?;
        }
        Ok(())
    }

    /// The line of the last tag.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// The `Ccy` of the last tag; empty if it has none.
    pub(super) fn currency(&self) -> &str {
        &self.currency
    }

    /// The last namespace that a tag declared.
    pub(super) fn namespace(&self) -> &str {
        &self.namespace
    }

    pub(super) fn broken(&self, why: &'static str) -> Broken {
        Broken { at: self.reader.get_ref().line, why }
    }

    /// Takes the next piece; what it says in words is added to `text`.
    fn piece(&mut self, text: &mut String) -> Result<Piece, Broken> {
        loop {
            self.buffer.clear();
            self.reader.get_mut().left = PIECE_BYTES_MAX;
            let event = self.reader.read_event_into(&mut self.buffer);
            let line = self.reader.get_ref().line;
            let broken = |why| Broken { at: line, why };
            let event = event.map_err(|error| broken(why(&error)))?;
            match event {
                Event::Start(tag) => {
                    self.at = line;
                    if self.depth == DEPTH_MAX {
                        return Err(broken("elements are nested too deep"));
                    }
                    self.depth += 1;
                    self.name.clear();
                    self.name.push_str(tag.local_name().as_ref());
                    self.currency.clear();
                    attributes(&tag, &mut self.currency, &mut self.namespace).map_err(broken)?;
                    return Ok(Piece::Start);
                }
                Event::End(_) => {
                    self.depth = self.depth.saturating_sub(1);
                    return Ok(Piece::End);
                }
                Event::Text(words) => {
                    let words = words.xml10_content();
                    // Only what is between two elements is nothing but spaces.
                    if words.trim().is_empty() {
                        add(text, " ");
                        continue;
                    }
                    add(text, &words);
                    return Ok(Piece::Text);
                }
                Event::CData(words) => {
                    add(text, &words.xml10_content());
                    return Ok(Piece::Text);
                }
                Event::GeneralRef(entity) => {
                    let sign = match entity.resolve_char_ref() {
                        Ok(Some(sign)) => sign,
                        Ok(None) => {
                            let known = resolve_predefined_entity(&entity.xml10_content());
                            known
                                .and_then(|sign| sign.chars().next())
                                .ok_or(broken("it uses an entity; none is allowed"))?
                        }
                        Err(_) => return Err(broken("it has a broken character reference")),
                    };
                    add(text, sign.encode_utf8(&mut [0; 4]));
                    return Ok(Piece::Text);
                }
                Event::DocType(_) => return Err(broken("it has a document type; none is allowed")),
                Event::Eof if self.depth > 0 => return Err(broken("it ends in the middle")),
                Event::Eof => return Ok(Piece::Eof),
                Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            }
        }
    }
}

fn add(text: &mut String, more: &str) {
    let room = TEXT_BYTES_MAX.saturating_sub(text.len());
    text.extend(more.char_indices().take_while(|(at, c)| at + c.len_utf8() <= room).map(|(_, c)| c));
}

fn attributes(tag: &BytesStart<'_>, currency: &mut String, namespace: &mut String) -> Result<(), &'static str> {
    for attribute in tag.attributes() {
        let attribute = attribute.map_err(|_| "a tag has broken attributes")?;
        let (name, value) = (attribute.key.as_ref(), &*attribute.value);
        if name == "Ccy" {
            currency.push_str(value);
        } else if name == "xmlns" || name.starts_with("xmlns:") && value.contains(":iso:std:iso:20022:") {
            namespace.clear();
            namespace.push_str(value);
        }
    }
    Ok(())
}

fn why(error: &quick_xml::Error) -> &'static str {
    match error {
        quick_xml::Error::Io(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            "an element or a text is too long"
        }
        quick_xml::Error::Io(_) => "the file cannot be read further",
        quick_xml::Error::Encoding(_) => "it is not UTF-8",
        _ => "it is not well-formed XML",
    }
}

/// Counts lines, and lets no piece grow without end.
struct Metered<R> {
    input: R,
    line: u64,
    left: usize,
}

impl<R: BufRead> Read for Metered<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = {
            let mut ready = self.fill_buf()?;
            ready.read(into)?
        };
        self.consume(read);
        Ok(read)
    }
}

impl<R: BufRead> BufRead for Metered<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let ready = self.input.fill_buf()?;
        if self.left == 0 && !ready.is_empty() {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        // No more at once than a piece may still have, so that a file in memory is not one piece.
        Ok(ready.get(..self.left.min(ready.len())).unwrap_or_default())
    }

    fn consume(&mut self, bytes: usize) {
        // What is consumed is what was given out last, so this reads nothing.
        if let Ok(ready) = self.input.fill_buf() {
            let lines = ready.iter().take(bytes).filter(|b| **b == b'\n').count();
            self.line = self.line.saturating_add(lines as u64);
        }
        self.left = self.left.saturating_sub(bytes);
        self.input.consume(bytes);
    }
}
