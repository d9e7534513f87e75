//! A naive Hundi: what an accountant with a pencil would have written down. It shares no decision with the program, knows
//! the sandbox's table from its document (docs/sandbox.md), and keeps everything in lists.

/// Where a payout is, in the words of the operator's lists.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    Queued,
    Sending,
    Sent,
    Paid,
    Failed,
    Cancelled,
    Reversed,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            State::Queued => "queued",
            State::Sending => "sending",
            State::Sent => "sent",
            State::Paid => "paid",
            State::Failed => "failed",
            State::Cancelled => "cancelled",
            State::Reversed => "reversed",
        }
    }

    /// `StatusCode` and `Data.Status`.
    pub fn answer(self) -> (i64, &'static str) {
        match self {
            State::Queued | State::Sending | State::Sent => (2, "Pending"),
            State::Paid => (1, "Success"),
            State::Failed | State::Cancelled => (0, "Failure"),
            State::Reversed => (0, "Reversal"),
        }
    }

    fn open(self) -> bool {
        matches!(self, State::Queued | State::Sending | State::Sent)
    }
}

/// What a merchant orders.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Order {
    pub merchant: usize,
    pub order: String,
    pub rail: &'static str,
    pub rupees: i64,
    /// An account number; its last four digits decide what the sandbox does.
    pub account: String,
    pub name: String,
}

#[derive(Clone, Debug)]
pub struct Payout {
    pub order: Order,
    pub state: State,
    pub reason: String,
    /// What its merchant is told, in order.
    pub news: Vec<&'static str>,
    day: i64,
    /// Amount, fee and tax, in paise.
    pub cost: [i64; 3],
}

/// A line of a statement.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    pub kind: &'static str,
    /// Which payout, by its place in the list of all.
    pub payout: Option<usize>,
    /// Amount, fee and tax, in paise.
    pub cost: [i64; 3],
    pub change: i64,
    pub bank: Option<&'static str>,
    pub memo: String,
    pub by: String,
}

#[derive(Debug)]
pub struct Merchant {
    pub name: &'static str,
    pub wallet: i64,
    pub reserved: i64,
    pub suspended: bool,
    /// The most of a payout and of a day, in rupees.
    pub payout_most: Option<i64>,
    pub day_most: Option<i64>,
    /// The number of his token.
    pub token: i64,
    /// What was written in his statement since somebody last looked.
    pub lines: Vec<Line>,
}

/// What comes of an order.
#[derive(PartialEq, Eq, Debug)]
pub enum Said {
    /// The payout at this place.
    Stands(usize),
    /// The OrderID was used for something else.
    Reused,
    /// It is malformed, and nothing is known under its OrderID.
    Malformed,
}

/// A line of a bank's statement about money that came in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Told {
    /// What the bank calls it: nothing, a UTR, or a number of its own and a UTR.
    pub names: Vec<String>,
    pub paise: i64,
    /// The Indian day.
    pub day: i64,
    /// What the payer has written. It does not count where the bank has names.
    pub words: &'static str,
    /// Which of the equal ones of its file it is, from 0.
    pub nth: usize,
}

impl Told {
    /// The same line, whichever of the equal ones.
    pub fn is_like(&self, other: &Told) -> bool {
        let words = !self.names.is_empty() || self.words == other.words;
        (&self.names, self.paise, self.day) == (&other.names, other.paise, other.day) && words
    }

    /// What the clearing system calls it, which is no other payment's.
    fn utr(&self) -> Option<&String> {
        self.names.last()
    }

    /// Whose it is by the rules of the two merchants, if they name one of them.
    fn whose(&self) -> Option<usize> {
        match (self.words.contains("DEMO PAY"), self.words.contains("OTHER PAY")) {
            (true, false) => Some(0),
            (false, true) => Some(1),
            _ => None,
        }
    }
}

/// What comes of such a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Credited {
    /// It was told before, word for word.
    Before,
    /// It funds the wallet of whose it is, or is what a person has booked.
    Funded,
    /// Nobody knows whose it is.
    Suspended,
    /// It was told before in other words.
    Again,
    /// A person has booked another amount.
    Differs,
    /// It may be one that was told, or booked by hand.
    Doubtful,
}

/// A credit that is in the books.
#[derive(Debug)]
struct Credit {
    /// What it is booked as; nothing where a line without a name was first.
    name: String,
    also: Vec<String>,
    /// Whose wallet it is in; nobody's is in suspense.
    whose: Option<usize>,
    paise: i64,
    day: i64,
    /// The line that tells of it; none yet where a person was first.
    line: Option<Told>,
}

impl Credit {
    fn is_called(&self, name: &str) -> bool {
        !name.is_empty() && (self.name == name || self.also.iter().any(|also| also == name))
    }
}

#[derive(Debug)]
pub struct Naive {
    pub merchants: Vec<Merchant>,
    /// In the order in which they were made.
    pub payouts: Vec<Payout>,
    credits: Vec<Credit>,
    /// Every line of a statement that was ever told, and what came of it.
    pub told: Vec<(Told, Credited)>,
    /// What lies in the house's suspense, paise.
    pub suspense: i64,
    /// Whether the bank cannot be reached.
    pub cut: bool,
}

const NOT_SENT: &str = "Not sent in time";
const NOT_EXECUTED: &str = "Not executed by the bank";

impl Naive {
    pub fn new(names: [&'static str; 2]) -> Naive {
        let merchant = |(token, name)| Merchant {
            name,
            wallet: 0,
            reserved: 0,
            suspended: false,
            payout_most: None,
            day_most: None,
            token,
            lines: Vec::new(),
        };
        let merchants = (1_i64..).zip(names).map(merchant).collect();
        let (payouts, credits, told) = (Vec::new(), Vec::new(), Vec::new());
        Naive { merchants, payouts, credits, told, suspense: 0, cut: false }
    }

    /// Whether a person books a credit of the bank; `None` if it was booked with other details.
    pub fn fund(&mut self, merchant: usize, reference: &str, paise: i64, day: i64) -> Option<bool> {
        let mut known = self.credits.iter().filter(|credit| credit.is_called(reference)).peekable();
        if known.peek().is_some() {
            return known.any(|credit| (credit.whose, credit.paise) == (Some(merchant), paise)).then_some(false);
        }
        let (name, whose) = (reference.to_owned(), Some(merchant));
        self.credits.push(Credit { name, also: Vec::new(), whose, paise, day, line: None });
        self.add(merchant, paise, (reference.to_owned(), "operator:tester"));
        Some(true)
    }

    /// Money comes into a wallet.
    fn add(&mut self, merchant: usize, paise: i64, (memo, by): (String, &str)) {
        let merchant = &mut self.merchants[merchant];
        merchant.wallet += paise;
        merchant.lines.push(Line {
            kind: "fund",
            payout: None,
            cost: [paise, 0, 0],
            change: paise,
            bank: Some("sandbox"),
            memo,
            by: by.to_owned(),
        });
    }

    /// A line of a statement about money that came in, and all lines of its file.
    pub fn told(&mut self, line: &Told, file: &[Told]) -> Credited {
        let before = |(told, _): &(Told, Credited)| told.is_like(line) && told.nth == line.nth;
        if self.told.iter().any(before) {
            return Credited::Before;
        }
        let credited = self.judged(line, file);
        self.told.push((line.clone(), credited));
        if let Some(at) = self.by_hand(line) {
            // What a person has booked is told of now.
            let credit = &mut self.credits[at];
            (credit.day, credit.line) = (line.day, Some(line.clone()));
            credit.also.extend(line.names.iter().cloned());
            return credited;
        }
        let name = line.utr().cloned().unwrap_or_default();
        let whose = match credited {
            Credited::Funded => line.whose(),
            Credited::Suspended => None,
            _ => return credited,
        };
        match whose {
            // One without a name is booked as something that only its line tells.
            Some(merchant) if name.is_empty() => self.add(merchant, line.paise, ("?".to_owned(), "operator:tester")),
            Some(merchant) => self.add(merchant, line.paise, (name.clone(), "operator:tester")),
            None => self.suspense += line.paise,
        }
        let (also, paise, day) = (line.names.clone(), line.paise, line.day);
        self.credits.push(Credit { name, also, whose, paise, day, line: Some(line.clone()) });
        credited
    }

    /// The place of what a person has booked under a name of this line and with its amount.
    fn by_hand(&self, line: &Told) -> Option<usize> {
        let called = |credit: &Credit| line.names.iter().any(|name| credit.is_called(name));
        self.credits.iter().position(|one| one.line.is_none() && called(one) && one.paise == line.paise)
    }

    fn judged(&self, line: &Told, file: &[Told]) -> Credited {
        let called = |credit: &&Credit| line.names.iter().any(|name| credit.is_called(name));
        let here = |told: &Told| file.iter().any(|other| other.is_like(told));
        if self.by_hand(line).is_some() {
            return Credited::Funded;
        }
        if self.credits.iter().filter(called).any(|credit| credit.line.is_none()) {
            return Credited::Differs;
        }
        if let Some(known) = self.credits.iter().find(called) {
            let elsewhere = known.line.as_ref().is_some_and(|told| !here(told));
            let same = (known.paise, known.day) == (line.paise, line.day);
            return if elsewhere && same { Credited::Again } else { Credited::Doubtful };
        }
        // One of them has no name, so that they may be one.
        let similar = |credit: &Credit| {
            let near = match &credit.line {
                Some(told) => credit.day.abs_diff(line.day) <= 1 && !here(told),
                // A person books it in the three days after the bank, or the day before.
                None => (line.day - 1..=line.day + 3).contains(&credit.day),
            };
            let two = credit.name.starts_with("HDFC") && line.utr().is_some();
            credit.paise == line.paise && near && !two
        };
        match (self.credits.iter().any(similar), line.whose()) {
            (true, _) => Credited::Doubtful,
            (false, Some(_)) => Credited::Funded,
            (false, None) => Credited::Suspended,
        }
    }

    /// What lies in suspense and has a name.
    pub fn suspended(&self) -> Option<String> {
        let mut suspended = self.credits.iter().filter(|credit| credit.whose.is_none() && !credit.name.is_empty());
        suspended.next().map(|credit| credit.name.clone())
    }

    /// Two people say whose a credit is that lies in suspense.
    pub fn identify(&mut self, name: &str, merchant: usize, proposal: i64) {
        let credit = self.credits.iter_mut().find(|credit| credit.name == name).unwrap();
        credit.whose = Some(merchant);
        let paise = credit.paise;
        self.suspense -= paise;
        self.add(merchant, paise, (format!("proposal {proposal}: {name}"), "operator:ravi"));
    }

    /// What a person must look at, of credits: unknown, doubtful, and of another amount.
    pub fn exceptions(&self) -> [usize; 3] {
        let unknown = self.credits.iter().filter(|credit| credit.whose.is_none()).count();
        let of = |what| self.told.iter().filter(|(_, credited)| *credited == what).count();
        [unknown, of(Credited::Doubtful), of(Credited::Differs)]
    }

    pub fn find(&self, merchant: usize, order: &str) -> Option<usize> {
        self.payouts.iter().position(|payout| payout.order.merchant == merchant && payout.order.order == order)
    }

    /// An order on an Indian day.
    pub fn order(&mut self, order: Order, malformed: bool, day: i64) -> Said {
        if let Some(known) = self.find(order.merchant, &order.order) {
            let before = &self.payouts[known].order;
            let details = |order: &Order| (order.rail, order.rupees, order.account.clone());
            return if malformed || details(before) != details(&order) { Said::Reused } else { Said::Stands(known) };
        }
        if malformed {
            return Said::Malformed;
        }
        let (place, merchant) = (self.payouts.len(), &self.merchants[order.merchant]);
        let cost = cost(merchant.name, order.rupees);
        let today: i64 = self
            .payouts
            .iter()
            .filter(|payout| payout.order.merchant == order.merchant && payout.day == day)
            .filter(|payout| !matches!(payout.state, State::Failed | State::Cancelled))
            .map(|payout| payout.order.rupees)
            .sum();
        let refusal = if merchant.suspended {
            "Merchant is suspended; contact the operator"
        } else if merchant.payout_most.is_some_and(|most| order.rupees > most) {
            "Amount is above the merchant's limit for one payout"
        } else if merchant.day_most.is_some_and(|most| today + order.rupees > most) {
            "Amount is above what is left of the merchant's limit for today"
        } else if cost.iter().sum::<i64>() > merchant.wallet {
            "Wallet balance is too low for the amount, fee and tax"
        } else {
            ""
        };
        let state = if refusal.is_empty() { State::Queued } else { State::Failed };
        let by = format!("token:{}", merchant.token);
        self.payouts.push(Payout { order, state, reason: refusal.to_owned(), news: Vec::new(), day, cost });
        if refusal.is_empty() {
            self.write("reserve", place, by);
            self.sent(place);
        }
        Said::Stands(place)
    }

    /// What the bank makes of a payout at once.
    fn sent(&mut self, place: usize) {
        if self.cut {
            return;
        }
        let instant = matches!(self.payouts[place].order.rail, "IMPS" | "UPI");
        match self.fate(place) {
            "0444" => self.fail(place, "The beneficiary's account does not exist"),
            "0555" => self.fail(place, "The beneficiary's bank is not available"),
            "0888" | "0999" => self.payouts[place].state = State::Sending,
            "0222" | "0333" | "0666" | "0123" => self.payouts[place].state = State::Sent,
            _ if instant => self.pay(place),
            _ => self.payouts[place].state = State::Sent,
        }
    }

    /// A minute and more have passed: everything that will come has come.
    pub fn settle(&mut self) {
        for place in 0..self.payouts.len() {
            if self.payouts[place].state == State::Queued {
                self.sent(place);
            }
            let state = self.payouts[place].state;
            let at_bank = matches!(state, State::Sending | State::Sent);
            match self.fate(place) {
                "0333" => {}
                "0666" if at_bank => self.fail(place, "Returned by the beneficiary's bank"),
                "0999" if at_bank => self.fail(place, NOT_EXECUTED),
                "0777" if at_bank || state == State::Paid => {
                    if at_bank {
                        self.pay(place);
                    }
                    self.write("restore", place, "connector:sandbox".to_owned());
                    let payout = &mut self.payouts[place];
                    (payout.state, payout.reason) = (State::Reversed, "Paid, then given back".to_owned());
                    payout.news.push("Reversal");
                }
                _ if at_bank => self.pay(place),
                _ => {}
            }
        }
    }

    /// More than a day has passed without a bank: what was never sent has failed.
    pub fn expire(&mut self) {
        for place in 0..self.payouts.len() {
            if self.payouts[place].state == State::Queued {
                self.end(place, State::Failed, NOT_SENT, "system");
            }
        }
    }

    /// Whether the operator may cancel it.
    pub fn cancel(&mut self, place: usize) -> bool {
        let queued = self.payouts[place].state == State::Queued;
        if queued {
            self.end(place, State::Cancelled, "Cancelled by the operator", "operator:tester");
        }
        queued
    }

    /// Whether a merchant's money may be sent back to him, which two people say in a proposal with this number.
    pub fn withdraw(&mut self, merchant: usize, (proposal, utr): (i64, &str), paise: i64) -> bool {
        let merchant = &mut self.merchants[merchant];
        if merchant.wallet < paise {
            return false;
        }
        merchant.wallet -= paise;
        merchant.lines.push(Line {
            kind: "withdraw",
            payout: None,
            cost: [paise, 0, 0],
            change: -paise,
            bank: Some("sandbox"),
            memo: format!("proposal {proposal}: {utr}"),
            by: "operator:ravi".to_owned(),
        });
        true
    }

    /// Two people say what became of a payout of which the bank says nothing.
    pub fn declare(&mut self, place: usize, paid: bool, proposal: i64) {
        let by = "operator:ravi".to_owned();
        if paid {
            self.write("settle", place, by);
            self.payouts[place].state = State::Paid;
            self.payouts[place].news.push("Success");
        } else {
            self.end(place, State::Failed, NOT_EXECUTED, &by);
        }
        let merchant = &mut self.merchants[self.payouts[place].order.merchant];
        if let Some(line) = merchant.lines.last_mut() {
            line.memo = format!("proposal {proposal}");
        }
    }

    fn fate(&self, place: usize) -> &'static str {
        const FATES: [&str; 9] = ["0222", "0333", "0444", "0555", "0666", "0777", "0888", "0999", "0123"];
        let account = &self.payouts[place].order.account;
        FATES.into_iter().find(|end| account.ends_with(end)).unwrap_or_default()
    }

    fn pay(&mut self, place: usize) {
        self.write("settle", place, "connector:sandbox".to_owned());
        self.payouts[place].state = State::Paid;
        self.payouts[place].news.push("Success");
    }

    fn fail(&mut self, place: usize, reason: &str) {
        self.end(place, State::Failed, reason, "connector:sandbox");
    }

    fn end(&mut self, place: usize, state: State, reason: &str, by: &str) {
        self.write("release", place, by.to_owned());
        let payout = &mut self.payouts[place];
        (payout.state, payout.reason) = (state, reason.to_owned());
        payout.news.push("Failure");
    }

    /// Writes a line into the statement of a payout's merchant.
    fn write(&mut self, kind: &'static str, place: usize, by: String) {
        let payout = &self.payouts[place];
        let total: i64 = payout.cost.iter().sum();
        let (change, reserved, bank) = match kind {
            "reserve" => (-total, total, None),
            "release" => (total, -total, None),
            "settle" => (0, -total, Some("sandbox")),
            _ => (total, 0, Some("sandbox")),
        };
        let merchant = &mut self.merchants[payout.order.merchant];
        merchant.wallet += change;
        merchant.reserved += reserved;
        let memo = String::new();
        merchant.lines.push(Line { kind, payout: Some(place), cost: payout.cost, change, bank, memo, by });
    }

    /// What is set aside for open payouts, added up anew.
    pub fn open_paise(&self, merchant: usize) -> i64 {
        let open = self.payouts.iter().filter(|payout| payout.order.merchant == merchant && payout.state.open());
        open.map(|payout| payout.cost.iter().sum::<i64>()).sum()
    }
}

/// The fee plans of the two merchants.
pub const PLANS: [(&str, &str); 2] = [("demo", "*:5.00"), ("other", "1000:3.00; *:1.00+25bp@4.00..90.00")];

/// Amount, fee and tax on it in paise; percentages are rounded half up.
fn cost(merchant: &str, rupees: i64) -> [i64; 3] {
    let part = |paise: i64, of_10_000: i64| (paise * of_10_000 + 5_000).div_euclid(10_000);
    let fee = match merchant {
        "demo" => 500,
        _ if rupees <= 1_000 => 300,
        _ => (100 + part(rupees * 100, 25)).clamp(400, 9_000),
    };
    [rupees * 100, fee, part(fee, 1_800)]
}

/// Paise as rupees with two decimals.
pub fn rupees(paise: i64) -> String {
    let digits = format!("{:03}", paise.abs());
    let (whole, rest) = digits.split_at(digits.len() - 2);
    format!("{}{whole}.{rest}", if paise < 0 { "-" } else { "" })
}
