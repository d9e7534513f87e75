//! The merchants: they order, order again in every state, ask, ask about what is not theirs, and remember what they were
//! told. Every answer is judged against that and against the bank's book.

use super::dice::Dice;
use super::orders::{Order, Orders, Told};
use super::swarm::{Fault, Swarm};
use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A band of a price list: up to so many paise, fixed paise, basis points, least, most.
pub type Band = (i64, i64, i64, i64, i64);

/// The price lists of the merchants, and the same as bands.
pub const PLANS: [(&str, &[Band]); 4] = [
    ("free", &[(i64::MAX, 0, 0, 0, i64::MAX)]),
    ("*:5.00", &[(i64::MAX, 500, 0, 0, i64::MAX)]),
    ("1000:3.00;*:5.00+10bp", &[(100_000, 300, 0, 0, i64::MAX), (i64::MAX, 500, 10, 0, i64::MAX)]),
    ("*:0.00+25bp@1.00..20.00", &[(i64::MAX, 0, 25, 100, 2_000)]),
];

/// A merchant.
#[derive(Debug)]
pub struct Merchant {
    pub name: String,
    pub token: String,
    /// Tokens that were revoked, and when.
    pub revoked: Vec<(String, i64)>,
    pub secret: Vec<u8>,
    pub plan: usize,
    pub called: bool,
    /// What he orders to an account may go over another rail.
    pub auto: bool,
}

/// What a call asked for, and what was known when it was made.
#[derive(Clone, Debug)]
pub enum Ask {
    Create { order: usize, before: Told, other: bool },
    Malformed { order: Option<usize>, acknowledged: bool },
    Status { order: usize, before: Told, acknowledged: bool },
    Stranger,
    Balance { merchant: usize, from_seq: i64 },
    Complaint,
    Revoked,
}

/// A call that is to be made.
pub struct Asked {
    pub ask: Ask,
    pub request: Request<Full<Bytes>>,
    pub shown: String,
}

/// All merchants, their orders and what they wait for.
#[derive(Debug)]
pub struct Merchants {
    pub all: Vec<Merchant>,
    pub orders: Orders,
    pub waiting: BTreeMap<u64, Ask>,
    /// So many orders are still to be made.
    pub left: usize,
    /// Orders that nobody knows whether Hundi has: to be sent again.
    pub unsure: Vec<usize>,
    dice: Dice,
}

impl Merchants {
    pub fn new(left: usize, dice: Dice) -> Merchants {
        Merchants {
            all: Vec::new(),
            orders: Orders::default(),
            waiting: BTreeMap::new(),
            left,
            unsure: Vec::new(),
            dice,
        }
    }

    /// What a merchant does next.
    pub fn act(&mut self, merchant: usize, now_ms: i64, head_seq: i64, swarm: &mut Swarm) -> Asked {
        if let Some(revoked) = self.revoked(merchant, now_ms) {
            return revoked;
        }
        if swarm.strikes(Fault::Stranger)
            && let Some(asked) = self.stranger(merchant)
        {
            return asked;
        }
        let known: Vec<usize> =
            (0..self.orders.all.len()).filter(|at| self.orders.all[*at].merchant == merchant).collect();
        if !known.is_empty() && swarm.strikes(Fault::Duplicate) {
            let order = *self.dice.pick(&known);
            return self.create(order, false);
        }
        let acknowledged: Vec<usize> =
            known.iter().copied().filter(|order| self.orders.all[*order].acknowledged).collect();
        if !acknowledged.is_empty() && swarm.strikes(Fault::OtherDetails) {
            let order = *self.dice.pick(&acknowledged);
            return self.create(order, true);
        }
        if swarm.strikes(Fault::Malformed) {
            let order = (!known.is_empty() && self.dice.permille(500)).then(|| *self.dice.pick(&known));
            return self.malformed(merchant, order);
        }
        let unsure = self.unsure.iter().position(|order| self.orders.all[*order].merchant == merchant);
        if let Some(unsure) = unsure.filter(|_| self.dice.permille(500)) {
            let order = self.unsure.swap_remove(unsure);
            return self.create(order, false);
        }
        match self.dice.below(10) {
            0 | 1 if !known.is_empty() => {
                let order = *self.dice.pick(&known);
                self.status(order)
            }
            2 => self.balance(merchant, head_seq),
            3 if !known.is_empty() && self.dice.permille(300) => {
                let order = *self.dice.pick(&known);
                self.complaint(order)
            }
            _ if self.left > 0 => {
                self.left -= 1;
                let order = self.new_order(merchant, swarm);
                self.create(order, false)
            }
            _ => self.balance(merchant, head_seq),
        }
    }

    /// Makes up an order.
    fn new_order(&mut self, merchant: usize, swarm: &mut Swarm) -> usize {
        let number = self.orders.all.len();
        let rail = *self.dice.pick(&["IMPS", "IMPS", "IMPS", "IMPS", "UPI", "UPI", "NEFT", "NEFT", "RTGS"]);
        let rupees = match rail {
            "RTGS" => self.dice.between(200_000, 250_000),
            _ => self.dice.between(1, 5_000),
        };
        let rupees = if rail == "NEFT" && swarm.strikes(Fault::Poor) { 90_00_00_000 } else { rupees };
        let to = if rail == "UPI" { format!("o{number}@sandbox") } else { format!("77{number:09}") };
        let order_id = format!("O-{}-{number}", self.dice.below(100));
        let name = format!("ASHA {number}");
        let order = Order {
            merchant,
            order_id,
            rail,
            rupees,
            to,
            name,
            ours: None,
            told: Told::Nothing,
            acknowledged: false,
            asked: false,
            executed: false,
            reversed: false,
            differs: false,
        };
        self.orders.add(order)
    }

    /// Sends an order, for the first time or again, or with other details under the same OrderID.
    pub fn create(&mut self, at: usize, other: bool) -> Asked {
        self.orders.all[at].asked = true;
        let order = &self.orders.all[at];
        let mut body = json!({
            "Token": self.all[order.merchant].token, "Number": "9876500000", "Amount": order.rupees.to_string(),
            "TransferMode": order.rail, "BeneficiaryName": order.name, "OrderID": order.order_id,
        });
        if order.rail == "UPI" {
            body["UPIId"] = json!(order.to);
        } else {
            body["AccountNo"] = json!(order.to);
            body["IFSCCode"] = json!("HDFC0000001");
        }
        if other {
            body["Amount"] = json!((order.rupees + 1).to_string());
        }
        let shown = format!("create {}{}", order.order_id, if other { " with other details" } else { "" });
        Asked {
            ask: Ask::Create { order: at, before: order.told, other },
            request: post("/PayoutBankTransafer", &body),
            shown,
        }
    }

    /// A bank is asked to pay over a rail: the one that was ordered, or another one to the same account that its merchant
    /// allows and that carries the amount.
    pub fn may_go_over(&mut self, to: &str, rail: &str) -> Result<(), String> {
        let order = self.orders.of(to)?;
        let carries = match rail {
            "IMPS" => order.rupees <= 5_00_000,
            "RTGS" => order.rupees >= 2_00_000,
            rail => rail == "NEFT",
        };
        let substitutes = self.all[order.merchant].auto && order.rail != "UPI" && carries;
        if rail == order.rail || substitutes {
            return Ok(());
        }
        Err(format!("rails: {} was ordered over {} and sent over {rail}", order.order_id, order.rail))
    }

    fn malformed(&mut self, merchant: usize, order: Option<usize>) -> Asked {
        let order_id = match order {
            Some(at) => self.orders.all[at].order_id.clone(),
            None => format!("M-{}", self.dice.below(1_000_000)),
        };
        let amount = *self.dice.pick(&["-1", "1e3", "200.50", "0", "٢٠٠", "99999999999999999999", ""]);
        let body = json!({
            "Token": self.all[merchant].token, "Amount": amount, "TransferMode": "IMPS", "BeneficiaryName": "X",
            "AccountNo": "77123456789", "IFSCCode": "HDFC0000001", "OrderID": order_id,
        });
        let shown = format!("create {order_id} malformed");
        let acknowledged = order.is_some_and(|order| self.orders.all[order].acknowledged);
        Asked { ask: Ask::Malformed { order, acknowledged }, request: post("/PayoutBankTransafer", &body), shown }
    }

    pub fn status(&mut self, at: usize) -> Asked {
        let order = &self.orders.all[at];
        let token = &self.all[order.merchant].token;
        let ours = order.ours.as_ref().filter(|_| self.dice.permille(500));
        let (path, id) = match ours {
            Some(ours) => ("/PayoutTransactionStatusByOrderID", ours.as_str()),
            None => ("/PayoutTransactionStatusByClientRef", order.order_id.as_str()),
        };
        let ask = Ask::Status { order: at, before: order.told, acknowledged: order.acknowledged };
        let shown = format!("status of {}", order.order_id);
        Asked { ask, request: post(path, &json!({ "Token": token, "OrderID": id })), shown }
    }

    /// Asks about another merchant's order by all its names.
    fn stranger(&mut self, merchant: usize) -> Option<Asked> {
        let others: Vec<&Order> = self.orders.all.iter().filter(|order| order.merchant != merchant).collect();
        if others.is_empty() {
            return None;
        }
        let order = *self.dice.pick(&others);
        let token = &self.all[merchant].token;
        let ours = order.ours.clone().unwrap_or_else(|| "1".to_owned());
        let (path, body) = match self.dice.below(3) {
            0 => ("/PayoutTransactionStatusByClientRef", json!({ "Token": token, "OrderID": order.order_id })),
            1 => ("/PayoutTransactionStatusByOrderID", json!({ "Token": token, "OrderID": ours })),
            _ => ("/RaiseComplaint", json!({ "Token": token, "Subject": "S", "Message": "M", "OrderId": ours })),
        };
        Some(Asked {
            ask: Ask::Stranger,
            request: post(path, &body),
            shown: format!("stranger asks for {}", order.order_id),
        })
    }

    fn balance(&mut self, merchant: usize, from_seq: i64) -> Asked {
        let path = format!("/UserWalletBalance?token={}", self.all[merchant].token);
        let ask = Ask::Balance { merchant, from_seq };
        Asked { ask, request: post(&path, &json!({})), shown: format!("balance of {merchant}") }
    }

    fn complaint(&mut self, at: usize) -> Asked {
        let order = &self.orders.all[at];
        let Some(ours) = order.ours.clone() else { return self.status(at) };
        let body = json!({
            "Token": self.all[order.merchant].token, "Subject": "Late", "Message": "Where is it?", "OrderId": ours,
        });
        let shown = format!("complaint about {}", order.order_id);
        Asked { ask: Ask::Complaint, request: post("/RaiseComplaint", &body), shown }
    }

    /// Tries a token that was revoked more than a second ago.
    fn revoked(&mut self, merchant: usize, now_ms: i64) -> Option<Asked> {
        let revoked = &self.all[merchant].revoked;
        let (token, _) = revoked.iter().find(|(_, at_ms)| now_ms - at_ms > 1_500)?;
        if !self.dice.permille(100) {
            return None;
        }
        let request = post(&format!("/UserWalletBalance?token={token}"), &json!({}));
        Some(Asked { ask: Ask::Revoked, request, shown: "revoked token".to_owned() })
    }

    /// A call that nobody answers: the process died, or the merchant hung up.
    pub fn unanswered(&mut self, call: u64) {
        if let Some(Ask::Create { order, other: false, .. }) = self.waiting.remove(&call) {
            self.unsure.push(order);
        }
    }

    /// Judges an answer. `wallets` are the balances that a merchant has had since a row of his journal.
    pub fn answered(
        &mut self,
        call: u64,
        body: &str,
        tokens_change: bool,
        wallets: impl Fn(usize, i64) -> Vec<i64>,
    ) -> Result<(), String> {
        let Some(ask) = self.waiting.remove(&call) else { return Ok(()) };
        let answer: Value =
            serde_json::from_str(body).map_err(|error| format!("an answer is not JSON: {error}: {body}"))?;
        let code = answer["StatusCode"].as_i64();
        // A token may have been revoked while the call was on its way.
        if code == Some(6) || code == Some(3) && tokens_change && !matches!(ask, Ask::Revoked) {
            if let Ask::Create { order, other: false, .. } = ask {
                self.unsure.push(order);
            }
            return Ok(());
        }
        let wrong = |law: &str| Err(format!("{law}: {ask:?} was answered {body}"));
        match ask {
            Ask::Revoked => {
                if code == Some(3) {
                    Ok(())
                } else {
                    wrong("a revoked token is accepted")
                }
            }
            Ask::Stranger => {
                if code == Some(4) && answer["Data"].is_null() {
                    Ok(())
                } else {
                    wrong("I12")
                }
            }
            Ask::Balance { merchant, from_seq } => {
                let paise = answer.as_str().and_then(paise);
                let fits = paise.is_some_and(|paise| wallets(merchant, from_seq).contains(&paise));
                if fits { Ok(()) } else { wrong("the balance is not one of the wallet's") }
            }
            Ask::Complaint => {
                if code == Some(1) {
                    Ok(())
                } else {
                    wrong("a complaint is refused")
                }
            }
            Ask::Malformed { order, acknowledged: known } => {
                let maybe = order.is_some_and(|order| self.orders.all[order].asked);
                match code {
                    Some(0) if !known && !order.is_some_and(|order| self.orders.all[order].paid()) => Ok(()),
                    Some(5) if maybe => Ok(()),
                    _ => wrong("WIRE 8"),
                }
            }
            Ask::Create { other: true, .. } => {
                if code == Some(5) {
                    Ok(())
                } else {
                    wrong("WIRE 7: other details under a known OrderID")
                }
            }
            Ask::Create { order, before, other: false } => self.stands(order, before, &answer, body),
            Ask::Status { order, acknowledged, .. } if code == Some(4) => {
                if acknowledged {
                    wrong(&format!("I4: {} is lost", self.orders.all[order].order_id))
                } else {
                    Ok(())
                }
            }
            Ask::Status { order, before, .. } => self.stands(order, before, &answer, body),
        }
    }

    /// An answer with a payout in it.
    fn stands(&mut self, at: usize, before: Told, answer: &Value, body: &str) -> Result<(), String> {
        let order = &mut self.orders.all[at];
        let data = &answer["Data"];
        let told = match (answer["StatusCode"].as_i64(), data["Status"].as_str()) {
            (Some(1), Some("Success")) => Told::Success,
            (Some(2), Some("Pending")) => Told::Pending,
            (Some(0), Some("Failure")) => Told::Failure,
            (Some(0), Some("Reversal")) => Told::Reversal,
            _ => return Err(format!("{} was answered {body}", order.order_id)),
        };
        let (theirs, name) = (data["ClientOrderID"].as_str(), data["BeneficiaryName"].as_str());
        if (theirs, name) != (Some(order.order_id.as_str()), Some(order.name.as_str())) {
            return Err(format!("I4: {} was answered with another's details: {body}", order.order_id));
        }
        let ours = data["OrderID"].as_str().unwrap_or_default().to_owned();
        match &order.ours {
            Some(known) if *known != ours => {
                return Err(format!("I4: {} is {known} and then {ours}", order.order_id));
            }
            _ => order.ours = Some(ours),
        }
        self.orders.told(at, told, before)
    }

    /// What a payout of this merchant costs beside its amount, by the price list.
    pub fn fee(&self, merchant: usize, amount_paise: i64) -> (i64, i64) {
        let (_, bands) = PLANS[self.all[merchant].plan];
        let share = |paise: i64, points: i64| (i128::from(paise) * i128::from(points) + 5_000) / 10_000;
        let band = bands.iter().find(|band| amount_paise <= band.0);
        let fee = band.map_or(0, |(_, fixed, points, least, most)| {
            (fixed + i64::try_from(share(amount_paise, *points)).unwrap_or(i64::MAX)).clamp(*least, *most)
        });
        (fee, i64::try_from(share(fee, 1_800)).unwrap_or(i64::MAX))
    }
}

fn paise(text: &str) -> Option<i64> {
    let (rupees, paise) = text.split_once('.')?;
    Some(rupees.parse::<i64>().ok()? * 100 + paise.parse::<i64>().ok()?)
}

fn post(path: &str, body: &Value) -> Request<Full<Bytes>> {
    let request = Request::post(path).header("content-type", "application/json");
    // The parts are all of this file.
    request.body(Full::new(Bytes::from(body.to_string()))).expect("a request")
}
