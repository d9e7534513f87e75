//! Text files as lines of bounded length. What is not UTF-8 is replaced: narrations come in many encodings, references in one.

use std::io::{BufRead, ErrorKind};

/// The longest line, bytes.
const LINE_BYTES_MAX: usize = 16 * 1_024;

/// A file that is being read.
pub(super) struct Lines<R> {
    input: R,
    /// The number of the line that was read last, from 1.
    pub(super) at: u64,
    /// Whether that line had an end: the last of a file that was cut has none.
    pub(super) whole: bool,
}

/// What comes next.
pub(super) enum Next {
    /// A line, without its end.
    Line(String),
    /// A line that is too long; it was passed over.
    TooLong,
    /// There is no more.
    End,
    /// The rest cannot be read.
    Failed,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(input: R) -> Lines<R> {
        Lines { input, at: 0, whole: true }
    }

    pub(super) fn next(&mut self) -> Next {
        let (mut line, mut long, mut any) = (Vec::new(), false, false);
        self.whole = false;
        self.at = self.at.saturating_add(1);
        loop {
            let ready = match self.input.fill_buf() {
                Ok(ready) => ready,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(_) => return Next::Failed,
            };
            if ready.is_empty() {
                if !any {
                    return Next::End;
                }
                break;
            }
            any = true;
            let end = ready.iter().position(|b| *b == b'\n');
            let piece = ready.get(..end.unwrap_or(ready.len())).unwrap_or_default();
            long |= line.len() + piece.len() > LINE_BYTES_MAX;
            if !long {
                line.extend_from_slice(piece);
            }
            let used = piece.len() + usize::from(end.is_some());
            self.input.consume(used);
            if end.is_some() {
                self.whole = true;
                break;
            }
        }
        if long {
            return Next::TooLong;
        }
        let text = String::from_utf8_lossy(&line);
        let text = text.strip_suffix('\r').unwrap_or(&text);
        Next::Line(if self.at == 1 { text.trim_start_matches('\u{feff}') } else { text }.to_owned())
    }
}
