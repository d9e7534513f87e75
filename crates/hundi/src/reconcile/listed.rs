//! A statement that is asked for: a bank's own list of what was booked on the account on one day.

use crate::App;
use crate::connectors::{self, Bank, Entry, Page};
use crate::http_out::{OutReply, OutRequest};
use hundi_core::formats::{Head, Said, Side};
use hundi_core::ids::Connector;
use hundi_core::schedule::{DAY, SECOND, Timestamp};
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::time::Duration;

/// Entries of one day. More are no day's.
const ENTRIES_MAX: usize = 2_000_000;
/// So often a page is asked for, with a pause before each time but the first that grows by so much.
const TRIES_MAX: u32 = 4;
const PAUSE: Duration = Duration::from_secs(1);

/// The balance before an entry, paise.
fn before(entry: &Entry) -> Option<i64> {
    entry.lines.iter().try_fold(entry.balance_paise, |balance, line| match line.side {
        Side::Credit => balance.checked_sub(line.amount_paise),
        Side::Debit => balance.checked_add(line.amount_paise),
    })
}

/// Whether a list begins with its end. Where all is of one moment, the balances tell.
fn newest_first(entries: &[Entry]) -> bool {
    let (Some(first), Some(last)) = (entries.first(), entries.last()) else { return false };
    let follows = || entries.get(1).is_some_and(|second| before(first) == Some(second.balance_paise));
    first.at > last.at || first.at == last.at && follows()
}

/// The answer to a question; one that is lost or turned away is asked again, because others call the bank too.
async fn answered(
    app: &App,
    bank: &dyn Bank,
    ask: impl Fn() -> Result<OutRequest, String>,
) -> Result<OutReply, String> {
    let mut tries = 0;
    loop {
        let reply = connectors::send(&app.http_out, ask()?, Some(bank.reply_within()), bank.pace()).await;
        tries += 1;
        let why = match reply {
            Ok(reply) if reply.status == 200 => return Ok(reply),
            Ok(reply) => format!("answers with HTTP status {}", reply.status),
            Err(error) => format!("did not answer: {error}"),
        };
        if tries == TRIES_MAX {
            return Err(format!("connector `{}` {why}; nothing was read", bank.rules().connector));
        }
        tokio::time::sleep(PAUSE * tries).await;
    }
}

/// What a bank lists of an Indian day, `YYYY-MM-DD`, as what a statement says, and the SHA-256 of its answers.
///
/// Nothing is said of a day until the whole of it is here: a list that breaks off would be a statement with a hole.
pub async fn listed(app: &App, connector: Connector, day: &str) -> Result<(Vec<Said>, [u8; 32]), String> {
    let from = Timestamp::from_ist_date(day).ok_or_else(|| format!("`{day}` is not a date; write it YYYY-MM-DD"))?;
    let to = from.after(DAY);
    if app.clock.now() < to {
        return Err(format!("{day} is not over in India; what is listed of it now is not all of it"));
    }
    let name = connector.as_str();
    let no_list = || format!("connector `{name}` has no list to ask for; give its statement as a file");
    let bank = app.connectors.get(name).ok_or_else(no_list)?;
    let (mut hash, mut seen) = (Sha256::new(), HashSet::new());
    let (mut entries, mut bad, mut skip) = (Vec::<Entry>::new(), Vec::new(), 0);
    let mut account;
    loop {
        let ask = || bank.entries((from, to), skip).ok_or_else(no_list);
        let reply = answered(app, bank, ask).await?;
        hash.update(&reply.body);
        let Page { account: of, entries: some, full } = bank
            .page(&reply.body)
            .ok_or_else(|| format!("connector `{name}` answers with something else than a list; nothing was read"))?;
        account = of;
        for entry in some {
            skip += 1;
            match entry {
                // What was booked while the pages were asked for stands on two of them.
                Ok(entry) if entry.lines.iter().all(|line| seen.insert(line.entry.clone())) => entries.push(entry),
                Ok(_) => {}
                Err(why) => bad.push(Said::Bad { at: skip as u64, why: why.into() }),
            }
        }
        if skip > ENTRIES_MAX {
            return Err(format!(
                "connector `{name}` lists more than {ENTRIES_MAX} entries of one day; nothing was read"
            ));
        }
        if !full {
            break;
        }
    }
    if entries.iter().any(|entry| !(from..to).contains(&entry.at)) {
        return Err(format!("connector `{name}` lists entries of other days than {day}; nothing was read"));
    }
    if newest_first(&entries) {
        entries.reverse();
    }
    entries.sort_by_key(|entry| entry.at);
    // What is only announced is no part of what the lines come to.
    let all_booked = entries.iter().flat_map(|entry| &entry.lines).all(|line| line.booked);
    let head = Head {
        id: day.into(),
        account,
        opening_paise: entries.first().filter(|_| all_booked).and_then(before),
        period: Some((from, to.after(-SECOND))),
        whole: true,
    };
    let closing_paise = entries.last().filter(|_| all_booked).map(|entry| entry.balance_paise);
    let mut said = vec![Said::Begins(head)];
    said.extend(bad);
    for (at, mut line) in (1..).zip(entries.into_iter().flat_map(|entry| entry.lines)) {
        line.at = at;
        said.push(Said::Line(Box::new(line)));
    }
    said.push(Said::Ends { closing_paise });
    Ok((said, hash.finalize().into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hundi_core::formats::Line;

    #[test]
    fn a_list_may_begin_with_its_end() {
        let entry = |at_s, change_paise: i64, balance_paise| {
            let side = if change_paise > 0 { Side::Credit } else { Side::Debit };
            let at = Timestamp(at_s * SECOND);
            Entry { at, balance_paise, lines: vec![Line::new(side, change_paise.abs(), at)] }
        };
        for (entries, expected) in [
            (vec![], false),
            (vec![entry(1, -10, 90)], false),
            (vec![entry(1, -10, 90), entry(2, 5, 95)], false),
            (vec![entry(2, 5, 95), entry(1, -10, 90)], true),
            // All of one second: the balances tell.
            (vec![entry(1, -10, 90), entry(1, 5, 95)], false),
            (vec![entry(1, 5, 95), entry(1, -10, 90)], true),
        ] {
            assert_eq!(newest_first(&entries), expected, "{entries:?}");
        }
    }
}
