//! A world that is told by scripts: each line is an order, a bank's word or what two people say, and after `->` stands what
//! comes of it. `scripts.rs` says how to read one.

use super::common::{NOON, connector, merchant, order, references, reloaded, rules};
use hundi_core::command::{
    CALLED, CallbackWish, Command, CreditLine, Decision, FileLines, MerchantState, Outcome, Rules, Snapshot, Source,
    Transition, WAITING, Way, Word, credit_names, decide,
};
use hundi_core::ids::{Actor, Connector, MerchantId, PayoutId, Reference};
use hundi_core::money::{Amount, Balance};
use hundi_core::payout::Payout;
use hundi_core::postings::{Account, HouseAccount};
use hundi_core::proposal::{AttemptAt, PROPOSAL_US, Proposal, ProposalState, Side, What};
use hundi_core::rails::{RAILS, Rail, RailChoice};
use hundi_core::routing::next_connector;
use hundi_core::schedule::{DAY, HOUR, MINUTE, SECOND, Timestamp};
use std::collections::BTreeMap;

struct World {
    rules: Rules,
    snapshot: Snapshot,
    now: Timestamp,
    /// The connector and the reference of each attempt, by the order's letter and the attempt's number.
    attempts: BTreeMap<(String, u32), (Connector, Reference)>,
    /// The `send_before` of each start of an order, in order.
    starts: BTreeMap<String, Vec<Timestamp>>,
    /// How many lines of history were written.
    history: u32,
}

/// The words of a line: the verb, the order's letter or an amount, and the rest; `key=value` apart.
struct Line<'a> {
    words: Vec<&'a str>,
    options: BTreeMap<&'a str, &'a str>,
}

impl<'a> Line<'a> {
    fn parse(text: &'a str) -> Line<'a> {
        let (options, words) = text.split_whitespace().partition::<Vec<_>, _>(|word| word.contains('='));
        Line { words, options: options.into_iter().filter_map(|option| option.split_once('=')).collect() }
    }

    fn word(&self, index: usize) -> &'a str {
        self.words.get(index).copied().unwrap_or_default()
    }

    fn merchant(&self) -> MerchantId {
        MerchantId(self.options.get("by").map_or(1, |number| number.parse().expect("a merchant")))
    }
}

fn amount(text: &str) -> Amount {
    Amount::from_decimal_text(text).unwrap_or_else(|error| panic!("{text}: {error:?}"))
}

fn micros(text: &str) -> i64 {
    let (number, unit) = text.split_at(text.len() - 1);
    let unit = match unit {
        "s" => SECOND,
        "m" => MINUTE,
        "h" => HOUR,
        "d" => DAY,
        _ => panic!("{text}: not a time"),
    };
    number.parse::<i64>().expect("a number") * unit
}

/// Orders are letters; merchant 2's are other payouts than merchant 1's.
fn payout_id(merchant: MerchantId, letter: &str) -> PayoutId {
    PayoutId(merchant.0 * 1_000 + i64::from(letter.as_bytes()[0]))
}

impl World {
    fn new() -> World {
        let mut snapshot = Snapshot::default();
        for id in [0, 1, 2] {
            snapshot.merchants.insert(MerchantId(id), merchant(CallbackWish::Final));
        }
        World {
            rules: rules(3, HOUR),
            snapshot,
            now: NOON,
            attempts: BTreeMap::new(),
            starts: BTreeMap::new(),
            history: 0,
        }
    }

    /// Runs one line and says what came of it.
    fn run(&mut self, text: &str) -> String {
        let line = Line::parse(text);
        let id = line.merchant();
        let one = self.snapshot.merchants.get_mut(&id);
        let paise = |text: &str| Some(amount(text).paise());
        match (line.word(0), one) {
            ("wait", _) if line.word(1).len() == 1 => {
                let at = self.payout(&line).next_at.expect("it is due some time");
                self.now = self.now.max(at);
            }
            ("wait", _) => self.now = self.now.after(micros(line.word(1))),
            ("attempts_max", _) => self.rules.attempts_max = line.word(1).parse().expect("a number"),
            ("connectors", _) => self.rules.connectors.retain(|rules| line.words.contains(&rules.connector.as_str())),
            // What a connector can carry: rails, and the most in rupees.
            ("carries", _) => {
                let bank = self.rules.connectors.iter_mut().find(|rules| rules.connector.as_str() == line.word(1));
                let carries = &mut bank.expect("a connector").carries;
                carries.rails = RAILS.map(|rules| line.words[2..].contains(&rules.name));
                carries.most_paise = line.options.get("most").map_or(i64::MAX, |most| amount(most).paise());
            }
            // What merchant 1 orders from now on may go over another rail.
            ("auto", Some(one)) => one.rail_choice = RailChoice::Auto,
            ("suspend", Some(one)) => one.state = MerchantState::Suspended,
            ("activate", Some(one)) => one.state = MerchantState::Active,
            ("payout_most", Some(one)) => one.payout_most_paise = paise(line.word(1)),
            ("day_most", Some(one)) => one.day_most_paise = paise(line.word(1)),
            ("wish", Some(one)) => {
                one.callbacks = match line.word(1) {
                    "nothing" => CallbackWish::Nothing,
                    "final" => CallbackWish::Final,
                    "all" => CallbackWish::All,
                    wish => panic!("{wish}: no such wish"),
                }
            }
            ("banks", Some(one)) => {
                let banks = &one.accounts.banks;
                return banks.iter().map(|(name, balance)| format!("{name} {balance}")).collect::<Vec<_>>().join(", ");
            }
            ("day", Some(one)) => return Balance::from_paise(one.day_paise).to_string(),
            ("history", _) => return self.history.to_string(),
            ("hold", _) => self.snapshot.on_hold = line.word(1) == "set",
            // The house's accounts that hold something, and its banks.
            ("house", _) => return self.house(),
            // The open exceptions: what is wrong, and about which payout.
            ("open", _) => {
                let open = self.snapshot.exceptions.iter().filter(|(_, known)| known.open);
                return open.map(|((.., kind), _)| kind.name()).collect::<Vec<_>>().join(", ");
            }
            ("propose", _) => {
                let what = self.what(&line);
                return self.propose(&line, what).to_string();
            }
            // Proposed by one and approved by another at once.
            ("two", _) => {
                let what = self.what(&line);
                let proposal = self.propose(&line, what);
                let command = Command::Approve { proposal, actor: Actor::Operator("ravi".into()) };
                return self.decide(&line, &command);
            }
            ("show", _) => {
                let p = self.payout(&line);
                // Its end: the references of neighbours begin alike.
                let reference = p.reference.map_or(String::new(), |r| format!("{r:?}")[11..].to_owned());
                let paid = p.paid_attempt.map_or("-".to_owned(), |attempt| attempt.to_string());
                return format!("{:?} rrn={} paid_by={paid} reference={reference} reason={}", p.state, p.rrn, p.reason);
            }
            _ => {
                let command = self.command(&line);
                return self.decide(&line, &command);
            }
        }
        String::new()
    }

    fn payout(&self, line: &Line<'_>) -> &Payout {
        &self.snapshot.payouts[&payout_id(line.merchant(), line.word(1))]
    }

    fn command(&self, line: &Line<'_>) -> Command {
        let (id, letter) = (line.merchant(), line.word(1));
        let bank = |or: Connector| line.options.get("at").map_or(or, |name| connector(name));
        let operator = Actor::Operator("asha".into());
        // `by=2 of=1`: merchant 2 names a payout of merchant 1.
        let owner = line.options.get("of").map_or(id, |number| MerchantId(number.parse().expect("a merchant")));
        let payout = payout_id(owner, if letter.is_empty() { "-" } else { letter });
        match line.word(0) {
            "fund" => Command::Fund {
                merchant: id,
                connector: bank(connector("sandbox")),
                reference: if line.word(2).is_empty() { "UTR0" } else { line.word(2) }.into(),
                amount: amount(letter),
                actor: operator,
            },
            "credit" => Command::Credit { line: Box::new(self.credit(line)), actor: Actor::System },
            "create" => {
                let rail = Rail::parse(line.word(3)).expect("a rail");
                let to = line.options.get("to").copied().unwrap_or("ravi");
                Command::CreatePayout(Box::new(order(id, payout, letter, rail, amount(line.word(2)), to)))
            }
            "start" => {
                let known = self.snapshot.payouts.get(&payout);
                let ordered = known.map_or(Rail::Imps, |known| known.order.rail);
                let next = known.and_then(|known| next_connector(&self.rules, known));
                let (next, rail) = next.unwrap_or((connector("sandbox"), ordered));
                let rail = line.options.get("over").map_or(rail, |rail| Rail::parse(rail).expect("a rail"));
                let attempt = known.map_or(1, |known| known.attempts + 1);
                // `like=B`: the first reference is the one that B's first attempt has.
                let name = hundi_core::ids::OrderId::parse(letter).expect("an OrderID");
                let mut offered = references(id, &name, attempt);
                for (place, option) in offered.iter_mut().zip(["like", "like2"]) {
                    if let Some(letter) = line.options.get(option) {
                        *place = self.attempts[&((*letter).to_owned(), 1)].1;
                    }
                }
                Command::Start {
                    merchant: id,
                    payout,
                    connector: bank(next),
                    rail,
                    references: offered,
                    send_within_us: 5 * SECOND,
                    enquire_after_us: 2 * SECOND,
                }
            }
            "enquire" => Command::Enquire { merchant: id, payout, lease_us: 10 * SECOND },
            "later" => Command::Wait { merchant: id, payout },
            "expire" => Command::Expire { merchant: id, payout },
            "cancel" => Command::Cancel { merchant: id, payout, actor: operator },
            "approve" | "reject" => {
                let proposal = letter.parse().expect("a proposal");
                let actor = Actor::Operator(line.options.get("as").copied().unwrap_or("ravi").replace('_', " ").into());
                match line.word(0) {
                    "approve" => Command::Approve { proposal, actor },
                    _ => Command::Reject { proposal, actor, why: "no".into() },
                }
            }
            verb => self.record(verb, line, payout),
        }
    }

    /// `credit 500 UTR1,BANK7,~UTR2 line=a whose=1 day=-1 file=b,c`: a statement's credit with its names, UTR2 in words only, by
    /// rule of merchant 1, booked a day ago, from a file that has the lines b and c too.
    fn credit(&self, line: &Line<'_>) -> CreditLine {
        let option = |name: &str| line.options.get(name).copied().unwrap_or_default();
        let words: Vec<&str> = line.word(2).split(',').filter(|name| !name.is_empty()).collect();
        let fields: Vec<Box<str>> =
            words.iter().filter(|name| !name.starts_with('~')).map(|name| (*name).into()).collect();
        let narrated: Vec<Box<str>> = words.iter().filter_map(|name| name.strip_prefix('~')).map(Into::into).collect();
        let of_file = option("file").split(',').chain([option("line")]).filter(|name| !name.is_empty());
        let of_file =
            of_file.map(|name| (u128::from_str_radix(name.split('-').next().unwrap_or(name), 16).expect("a hash"), 1));
        let mut named = fields.iter().chain(&narrated);
        let clears = named.clone().find(|name| hundi_core::formats::clears(name));
        let reference = clears.or(named.next()).cloned().unwrap_or_else(|| format!("?{}", option("line")).into());
        CreditLine {
            connector: connector(line.options.get("at").copied().unwrap_or("sandbox")),
            reference,
            line: option("line").into(),
            names: credit_names(&fields, &narrated),
            amount: amount(line.word(1)),
            day: self.now.ist_day() + option("day").parse::<i64>().unwrap_or(0),
            whose: option("whose").parse().ok().map(MerchantId),
            file: FileLines(of_file.collect::<std::collections::HashMap<_, _>>().into()),
            detail: "a credit".into(),
        }
    }

    /// Keeps a proposal, as the store does; its number.
    fn propose(&mut self, line: &Line<'_>, what: What) -> i64 {
        let id = self.snapshot.proposals.len() as i64 + 1;
        let proposal = Proposal {
            id,
            what,
            reason: "looked at".into(),
            proposed_by: line.options.get("as").copied().unwrap_or("asha").replace('_', " ").into(),
            proposed_at: self.now,
            expires_at: self.now.after(PROPOSAL_US),
            state: ProposalState::Proposed,
            decided_by: "".into(),
            decided_at: None,
            decided_why: "".into(),
        };
        self.snapshot.proposals.insert(id, proposal);
        id
    }

    /// `two write-off A 1`: what is proposed comes after the verb, and then the order's letter and the attempt.
    fn what(&self, line: &Line<'_>) -> What {
        let (merchant, letter) = (line.merchant(), line.word(2));
        let payout = payout_id(merchant, if letter.is_empty() { "-" } else { letter });
        let at = || {
            let known = self.snapshot.payouts.get(&payout).map_or(1, |payout| payout.attempts.max(1));
            let attempt = if line.word(3).is_empty() { known } else { line.word(3).parse().expect("an attempt") };
            let (connector, reference) = self.attempts[&(letter.to_owned(), attempt)];
            AttemptAt { merchant, payout, connector, reference }
        };
        let option = |name: &str| line.options.get(name).copied();
        let bank = connector(option("at").unwrap_or("sandbox"));
        let utr = || Box::from(option("utr").unwrap_or("UTR1"));
        // `1/wallet`, and `0/loss` of the house.
        let side = |text: &str| {
            let (book, account) = text.split_once('/').expect("a book and an account");
            Side {
                book: MerchantId(book.parse().expect("a book")),
                account: Account::parse(account).expect("an account"),
            }
        };
        match line.word(1) {
            "declare-paid" => What::DeclarePaid { at: at(), bank_reference: utr() },
            "declare-failed" => What::DeclareFailed { merchant, payout },
            "resume" => What::Resume { merchant, payout },
            "collect" => What::Collect { at: at() },
            "write-off" => What::WriteOff { at: at() },
            "withdraw" => What::Withdraw { merchant, connector: bank, bank_reference: utr(), amount: amount(letter) },
            "adjust" => What::Adjust {
                from: side(option("from").expect("from")),
                to: side(option("to").expect("to")),
                through: option("through").map(connector),
                amount: amount(letter),
            },
            "suspense" => What::Suspense { connector: bank, bank_reference: utr(), amount: amount(letter) },
            "identify" => What::Identify { merchant, connector: bank, bank_reference: utr() },
            // `two resolve A paid_unexpectedly`: the one of this kind.
            "resolve" => {
                let kind = |(.., kind): &hundi_core::command::ExceptionKey| kind.name() == line.word(3);
                let known = self.snapshot.exceptions.iter().find(|(key, _)| kind(key));
                let (exception, known) = known.expect("an exception of this kind");
                What::Resolve { exception: exception.clone(), payout: known.payout, detail: known.detail.clone() }
            }
            what => panic!("{what}: nothing that is proposed"),
        }
    }

    fn house(&self) -> String {
        let accounts = &self.snapshot.merchants[&MerchantId::HOUSE].accounts;
        let own = HouseAccount::ALL.iter().zip(&accounts.house).filter(|(_, balance)| **balance != Balance::ZERO);
        let own = own.map(|(account, balance)| format!("{} {balance}", account.name()));
        own.chain(accounts.banks.iter().map(|(name, balance)| format!("{name} {balance}")))
            .collect::<Vec<_>>()
            .join(", ")
    }

    fn record(&self, verb: &str, line: &Line<'_>, payout: PayoutId) -> Command {
        let outcome = match verb {
            "not_written" => Outcome::NotWritten,
            "accepted" => Outcome::Accepted,
            "silent" => Outcome::Silent,
            "not_found" => Outcome::NotFound,
            "paid" => Outcome::Paid,
            "refused" => Outcome::Refused { elsewhere: false },
            "refused_elsewhere" => Outcome::Refused { elsewhere: true },
            "rail_refused" => Outcome::RailRefused,
            "not_executed" => Outcome::NotExecuted,
            "reversed" => Outcome::Reversed,
            _ => panic!("{verb}: no such verb"),
        };
        // `start=1`: the answer to the request of the first start; without it, to that of the newest.
        let starts = self.starts.get(line.word(1)).map_or(&[][..], Vec::as_slice);
        let start = line.options.get("start").map_or(starts.len(), |number| number.parse().expect("a start"));
        let reply = Source::Reply { send_before: start.checked_sub(1).map_or(Timestamp(0), |index| starts[index]) };
        // `asked=5s`: the bank was asked so long before its answer is recorded.
        let asked = line.options.get("asked").map_or(0, |text| micros(text));
        let source = match line.options.get("via").copied() {
            None if outcome == Outcome::NotWritten => reply,
            None | Some("enquiry") => Source::Enquiry { asked_at: self.now.after(-asked) },
            Some("reply") => reply,
            Some("signed") => Source::SignedCallback,
            Some("unsigned") => Source::UnsignedCallback,
            Some("statement") => Source::Statement,
            Some(via) => panic!("{via}: no such source"),
        };
        // `?` is a reference that nobody has ever used.
        let stranger = (connector("sandbox"), Reference::parse("NEVERSEENBEFORE").expect("a reference"));
        let attempt = match line.word(2) {
            "" => self.snapshot.payouts.get(&payout).map_or(1, |payout| payout.attempts.max(1)),
            number => number.parse().expect("an attempt"),
        };
        let key = (line.word(1).to_owned(), attempt);
        let (connector, reference) = if line.word(1) == "?" { stranger } else { self.attempts[&key] };
        let text = |name| Box::from(line.options.get(name).copied().unwrap_or_default());
        let amount_paise = line.options.get("amount").map(|text| amount(text).paise());
        let word = Word { outcome, amount_paise, rrn: text("rrn"), why: text("why") };
        Command::Record { connector, reference, word, source }
    }

    fn decide(&mut self, line: &Line<'_>, command: &Command) -> String {
        let before = reloaded(&self.snapshot);
        let decision = decide(&mut self.snapshot, &self.rules, command, self.now);
        for merchant in self.snapshot.merchants.values() {
            assert_eq!(merchant.accounts.sum(), Some(0));
            assert!(merchant.accounts.wallet >= Balance::ZERO && merchant.accounts.reserved >= Balance::ZERO);
        }
        if !matches!(decision, Decision::Done(_)) {
            let same = format!("{:?}", reloaded(&self.snapshot)) == format!("{before:?}");
            assert!(same, "what is not done changes nothing");
        }
        if let Decision::Done(done) = &decision {
            let changed = |(id, payout): &(&PayoutId, &Payout)| before.payouts.get(id) != Some(payout);
            let changed: Vec<PayoutId> = self.snapshot.payouts.iter().filter(changed).map(|(id, _)| *id).collect();
            let told: Vec<PayoutId> = done.payout.iter().map(|payout| payout.order.id).collect();
            assert_eq!(changed, told, "what changes is what is written");
        }
        let is_fact = matches!(command, Command::Record { .. });
        match decision {
            Decision::Refused(refusal) => format!("{refusal:?}"),
            Decision::Repeat(Some(payout)) if is_fact => format!("same{}", self.due(&payout)),
            Decision::Repeat(Some(payout)) => format!("Repeat {:?}", payout.state),
            Decision::Repeat(None) => "Repeat".to_owned(),
            Decision::Done(done) => {
                self.history += u32::from(done.history.is_some());
                if let (Some(attempt), Some(payout)) = (done.attempt, &done.payout) {
                    let to_files = attempt.connector == connector("other");
                    assert_eq!(attempt.way, if to_files { Way::File } else { Way::Call });
                    let key = (line.word(1).to_owned(), attempt.attempt);
                    self.attempts.insert(key, (attempt.connector, attempt.reference));
                    self.starts.entry(line.word(1).to_owned()).or_default().push(payout.send_before);
                }
                let was = done.payout.as_ref().and_then(|payout| before.payouts.get(&payout.order.id));
                self.show(line.merchant(), &done, was)
            }
        }
    }

    fn due(&self, payout: &Payout) -> String {
        let Some(at) = payout.next_at else { return String::new() };
        if at == WAITING {
            return String::new();
        }
        if at == CALLED {
            return ", due called".to_owned();
        }
        let pause = at.0 - self.now.0;
        // Starts of one moment are told apart by a microsecond.
        assert!(pause % SECOND < 10, "{pause}");
        format!(", due {}s", pause / SECOND)
    }

    fn show(&self, merchant: MerchantId, done: &Transition, was: Option<&Payout>) -> String {
        let mut text = String::new();
        if let Some(payout) = &done.payout {
            assert_eq!(self.snapshot.payouts[&payout.order.id], *payout, "the answer is what the next command sees");
            assert_eq!(payout.version, was.map_or(0, |was| was.version) + 1);
            let moves = !done.journal.is_empty() || !done.callbacks.is_empty() || done.exception.is_some();
            let seen = |p: &Payout| {
                (p.state, p.held, p.attempts, p.connector, p.reference, p.paid_attempt, p.rrn.clone(), p.news)
            };
            if !moves && was.is_some_and(|was| seen(was) == seen(payout)) && done.attempt.is_none() {
                return format!("same{}", self.due(payout));
            }
            text += &format!("{:?}", payout.state);
            if payout.attempts > 0 {
                text += &format!("#{}", payout.attempts);
            }
            if payout.rail != payout.order.rail {
                text += &format!(" over {}", payout.rail.as_str());
            }
            text += if payout.held { " held " } else { " " };
        }
        let accounts = &self.snapshot.merchants[&merchant].accounts;
        let costs = Balance::from_paise(accounts.fees.paise() + accounts.gst.paise());
        text += &format!("{}/{}/{costs}", accounts.wallet, accounts.reserved);
        for row in &done.journal {
            let whose = if row.merchant == merchant { "" } else { " house:" };
            text += &format!("{whose}{}{}", if whose.is_empty() { " " } else { "" }, row.movement.kind.name());
        }
        if !done.callbacks.is_empty() {
            let news: Vec<_> = done.callbacks.iter().map(|call| format!("{:?} {}", call.news, call.seq)).collect();
            text += &format!(" [{}]", news.join(", "));
        }
        if let Some(exception) = &done.exception {
            text += &format!(" !{}", exception.kind.name());
        }
        if let Some(line) = &done.line {
            text += &format!(" {:?}", line.credited);
        }
        if let Some(payout) = &done.payout {
            if done.created && !payout.reason.is_empty() {
                text += &format!(" ({})", payout.reason);
            }
            text += &self.due(payout);
        }
        text
    }
}

/// Runs a script in a new world and compares every line. A mismatch prints the script as it should have been.
#[track_caller]
pub fn check(script: &str) {
    let mut world = World::new();
    let mut actual = String::new();
    let mut wrong = 0;
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//")) {
        let (order, expected) =
            line.split_once("->").map_or((line, None), |(order, expected)| (order, Some(expected.trim())));
        let result = world.run(order);
        let refused = result.bytes().all(|byte| byte.is_ascii_alphabetic()) && !result.is_empty() && result != "same";
        let ok = expected.map_or(!refused, |expected| expected == result);
        wrong += u32::from(!ok);
        actual += &format!("{} {} -> {result}\n", if ok { "  " } else { ">>" }, order.trim_end());
    }
    assert!(wrong == 0, "{wrong} lines differ:\n{actual}");
}
