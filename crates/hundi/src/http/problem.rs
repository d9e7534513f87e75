//! What merchants are told: the one place that knows StatusCodes, messages and HTTP statuses (WIRE 8 to 12).
//!
//! | code | means |
//! |---|---|
//! | 1 | paid |
//! | 2 | open |
//! | 0 | under this OrderID no money stays with the beneficiary, now or later |
//! | 3 | token or IP not accepted; nothing is said about the order |
//! | 4 | order not found |
//! | 5 | the OrderID is taken, or a complaint is malformed; nothing was done by this request |
//! | 6 | we do not know |
//!
//! Merchants refund their customers on a 0. Besides a payout's own state, only [`Problem::Malformed`] gives it.
//! `docs/api.md` lists every name and message; a test compares the two.

use crate::http::fields::Field;
use crate::writer::Unknown;
use hundi_core::command::Refusal;
use hundi_core::money::AMOUNT_PAISE_MAX;
use hundi_core::payout::{News, Payout, State};
use hundi_core::rails::Rail;
use hyper::StatusCode;
use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

/// The calls of the merchant API.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Call {
    /// What the merchant can spend.
    Balance,
    /// Order a payout.
    Payout,
    /// What became of a payout, by the merchant's OrderID.
    StatusByClientRef,
    /// What became of a payout, by our OrderID.
    StatusByOrderId,
    /// Complain about a payout.
    Complaint,
}

/// The calls and their paths; the misspelling is the contract's. The first path of a call is its name.
const CALLS: [(&str, Call); 6] = [
    ("/PayoutBankTransafer", Call::Payout),
    ("/PayoutTransactionStatusByClientRef", Call::StatusByClientRef),
    ("/PayoutTransactionStatusByOrderID", Call::StatusByOrderId),
    ("/UserWalletBalance", Call::Balance),
    ("/RaiseComplaint", Call::Complaint),
    ("/PayoutBankTransfer", Call::Payout),
];

impl Call {
    /// The call at this path, in any case, with or without a slash at its end.
    pub fn at(path: &str) -> Option<Call> {
        let path = path.strip_suffix('/').unwrap_or(path);
        CALLS.iter().find(|(known, _)| known.eq_ignore_ascii_case(path)).map(|(_, call)| *call)
    }

    /// All paths, as the contract spells them.
    pub fn paths() -> impl Iterator<Item = &'static str> {
        CALLS.iter().map(|(path, _)| *path)
    }

    /// The path as the contract spells it.
    pub fn path(self) -> &'static str {
        CALLS.iter().find(|(_, call)| *call == self).map_or("", |(path, _)| path)
    }

    /// What was not done by a refused request.
    const fn nothing(self) -> &'static str {
        match self {
            Call::Payout => "Nothing was sent by this request. ",
            Call::Complaint => "Nothing was recorded by this request. ",
            Call::Balance | Call::StatusByClientRef | Call::StatusByOrderId => "",
        }
    }

    /// How to ask once more: under the same OrderID, or a payout may be made twice.
    const fn again(self) -> &'static str {
        match self {
            Call::Payout | Call::StatusByClientRef | Call::StatusByOrderId => "send again with the same OrderID",
            Call::Balance | Call::Complaint => "send again",
        }
    }
}

/// What is wrong with a field.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wrong {
    /// It is not there, or empty.
    Missing(Field),
    /// It is there twice, in whatever spellings.
    Twice(Field),
    /// It is neither a text nor a whole number.
    NotText(Field),
    /// `OrderID`, the merchant's.
    OrderId,
    /// `OrderID`, ours.
    OurOrderId,
    /// `Number`.
    Number,
    /// `Amount` is not digits.
    Amount,
    /// `Amount` is not what the rail carries.
    AmountOutside(Rail),
    /// `Amount` does not fit into the merchant's sums.
    AmountTooLarge,
    /// `TransferMode`.
    TransferMode,
    /// `AccountNo`.
    AccountNo,
    /// `IFSCCode` has not the shape of one.
    Ifsc,
    /// `IFSCCode` is of no known bank.
    IfscBank,
    /// `BeneficiaryName`.
    BeneficiaryName,
    /// It holds what a statement could show as our reference of another payout.
    ReadsAsReference(Field),
    /// `UPIId`.
    UpiId,
    /// `BeneficiaryPhoneNo`.
    PhoneNo,
    /// Neither `UPIId` nor `BeneficiaryPhoneNo`.
    NoUpi,
    /// `Subject`.
    Subject,
    /// `Message`.
    Message,
}

impl Wrong {
    /// What is wrong, naming the field as merchants spell it in this call.
    pub fn message(self, call: Call) -> Cow<'static, str> {
        match self {
            Wrong::Missing(field) => format!("{} is missing", field.spelling(call.path())).into(),
            Wrong::Twice(field) => format!("{} is given twice", field.spelling(call.path())).into(),
            Wrong::NotText(field) => format!("{} must be a text or a whole number", field.spelling(call.path())).into(),
            Wrong::OrderId => "OrderID must be 1 to 64 printable ASCII characters without spaces".into(),
            Wrong::OurOrderId => {
                format!("{} must be the OrderID of our answer, at most 15 digits", Field::OrderId.spelling(call.path()))
                    .into()
            }
            Wrong::Number => "Number must be an Indian mobile number of 10 digits".into(),
            Wrong::Amount => "Amount must be a whole number of rupees".into(),
            Wrong::AmountOutside(rail) => {
                let rules = rail.rules();
                let (least, most) = (rules.amount_least_paise, rules.amount_most_paise.min(AMOUNT_PAISE_MAX));
                format!("Amount must be between {} and {} rupees for {}", least / 100, most / 100, rules.name).into()
            }
            Wrong::AmountTooLarge => Refusal::Overflow.as_str().into(),
            Wrong::TransferMode => "TransferMode must be NEFT, RTGS, IMPS or UPI".into(),
            Wrong::AccountNo => "AccountNo must be 5 to 35 letters and digits".into(),
            Wrong::Ifsc => "IFSCCode must be 4 letters, a zero and 6 letters or digits".into(),
            Wrong::IfscBank => "IFSCCode must begin with the four letters of a known bank".into(),
            Wrong::BeneficiaryName => "BeneficiaryName must be 1 to 100 characters, none of them hidden".into(),
            Wrong::ReadsAsReference(field) => format!(
                "{} holds what a bank could take for our reference; write it otherwise",
                field.spelling(call.path())
            )
            .into(),
            Wrong::UpiId => {
                "UPIId must be 3 to 255 letters, digits, dots, hyphens or underscores with one @ between them".into()
            }
            Wrong::PhoneNo => "BeneficiaryPhoneNo must be an Indian mobile number of 10 digits".into(),
            Wrong::NoUpi => "UPIId or BeneficiaryPhoneNo must be given".into(),
            Wrong::Subject => "Subject must be 1 to 200 characters without control characters".into(),
            Wrong::Message => "Message must be 1 to 5000 characters without control characters but new lines".into(),
        }
    }
}

/// Why a call has no answer of its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Problem {
    /// No token was sent.
    TokenMissing,
    /// Two tokens were sent.
    TokenTwice,
    /// The token is neither a text nor a number.
    TokenNotText,
    /// The request cannot be read, so neither can a token in its body; the query string holds none.
    TokenUnreadable(String),
    /// The token is unknown or revoked; we do not say which.
    TokenNotAccepted,
    /// The token may not be used from this address.
    AddressNotAllowed(IpAddr),
    /// A trusted proxy forwarded something that is not an address.
    ForwardedUnreadable,
    /// The merchant has no such order.
    OrderNotFound,
    /// A status call or a complaint names no order, or nothing that can be one.
    OrderMalformed(Wrong),
    /// A create under a taken OrderID asks for something else.
    OrderReused,
    /// A create under a taken OrderID is malformed.
    MalformedKnown(Wrong),
    /// A complaint is malformed.
    ComplaintMalformed(Wrong),
    /// A create is malformed and its OrderID was never accepted.
    Malformed(Wrong),
    /// A create has no OrderID: which order it is about cannot be told, and it may be one that was accepted.
    OrderMissing,
    /// An OrderID cannot be told, so nothing can be said about it.
    OrderUnclear(Wrong),
    /// The body or the query string cannot be read, so neither can the OrderID.
    Unreadable(String),
    /// The token has made more calls this minute than it may.
    RateLimited {
        /// The most calls a minute.
        most: i64,
        /// When to come again, seconds.
        wait_s: i64,
    },
    /// Too much is waiting; nothing was done.
    Overloaded,
    /// The store failed or the program ends; nobody knows whether it was done.
    Unknown,
    /// The program cannot make an OrderID, or the token's merchant is not in the store: the operator must look.
    Broken,
    /// There is no such path.
    PathUnknown,
    /// The path takes another method.
    MethodNotAllowed,
    /// The body did not come in time.
    BodySlow,
    /// The body is larger than allowed.
    BodyTooLarge,
    /// The content type is neither JSON nor a form.
    MediaType(String),
}

impl Problem {
    /// The name by which logs and `docs/api.md` know it.
    pub const fn name(&self) -> &'static str {
        match self {
            Problem::TokenMissing => "token_missing",
            Problem::TokenTwice => "token_twice",
            Problem::TokenNotText => "token_not_text",
            Problem::TokenUnreadable(_) => "token_unreadable",
            Problem::TokenNotAccepted => "token_not_accepted",
            Problem::AddressNotAllowed(_) => "address_not_allowed",
            Problem::ForwardedUnreadable => "forwarded_unreadable",
            Problem::OrderNotFound => "order_not_found",
            Problem::OrderMalformed(_) => "order_malformed",
            Problem::OrderReused => "order_reused",
            Problem::MalformedKnown(_) => "malformed_known",
            Problem::ComplaintMalformed(_) => "complaint_malformed",
            Problem::Malformed(_) => "malformed",
            Problem::OrderMissing => "order_missing",
            Problem::OrderUnclear(_) => "order_unclear",
            Problem::Unreadable(_) => "unreadable",
            Problem::RateLimited { .. } => "rate_limited",
            Problem::Overloaded => "overloaded",
            Problem::Unknown => "unknown",
            Problem::Broken => "broken",
            Problem::PathUnknown => "path_unknown",
            Problem::MethodNotAllowed => "method_not_allowed",
            Problem::BodySlow => "body_slow",
            Problem::BodyTooLarge => "body_too_large",
            Problem::MediaType(_) => "media_type",
        }
    }

    /// The StatusCode (WIRE 8 and 9). Read twice before you write a 0 here.
    pub const fn code(&self) -> u8 {
        match self {
            Problem::Malformed(_) => 0,
            Problem::TokenMissing
            | Problem::TokenTwice
            | Problem::TokenNotText
            | Problem::TokenUnreadable(_)
            | Problem::TokenNotAccepted
            | Problem::AddressNotAllowed(_)
            | Problem::ForwardedUnreadable => 3,
            Problem::OrderNotFound | Problem::OrderMalformed(_) => 4,
            Problem::OrderReused | Problem::MalformedKnown(_) | Problem::ComplaintMalformed(_) => 5,
            Problem::OrderMissing
            | Problem::OrderUnclear(_)
            | Problem::Unreadable(_)
            | Problem::RateLimited { .. }
            | Problem::Overloaded
            | Problem::Unknown
            | Problem::Broken
            | Problem::PathUnknown
            | Problem::MethodNotAllowed
            | Problem::BodySlow
            | Problem::BodyTooLarge
            | Problem::MediaType(_) => 6,
        }
    }

    /// The HTTP status (WIRE 10): old clients throw away the body of anything but 200.
    pub const fn status(&self, strict_http: bool) -> StatusCode {
        let strict = match self {
            // Not an answer of a call; always said.
            Problem::PathUnknown => return StatusCode::NOT_FOUND,
            Problem::MethodNotAllowed => return StatusCode::METHOD_NOT_ALLOWED,
            Problem::BodyTooLarge => return StatusCode::PAYLOAD_TOO_LARGE,
            Problem::MediaType(_) => return StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Problem::TokenMissing
            | Problem::TokenTwice
            | Problem::TokenNotText
            | Problem::TokenUnreadable(_)
            | Problem::TokenNotAccepted => StatusCode::UNAUTHORIZED,
            Problem::AddressNotAllowed(_) | Problem::ForwardedUnreadable => StatusCode::FORBIDDEN,
            Problem::OrderNotFound | Problem::OrderMalformed(_) => StatusCode::NOT_FOUND,
            Problem::OrderReused => StatusCode::CONFLICT,
            Problem::MalformedKnown(_)
            | Problem::ComplaintMalformed(_)
            | Problem::Malformed(_)
            | Problem::OrderMissing
            | Problem::OrderUnclear(_)
            | Problem::Unreadable(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Problem::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
            Problem::Overloaded | Problem::Unknown | Problem::Broken | Problem::BodySlow => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        };
        if strict_http { strict } else { StatusCode::OK }
    }

    /// What the merchant reads. Codes 3 to 6 end with what to do.
    pub fn message(&self, call: Call) -> String {
        let (nothing, again) = (call.nothing(), call.again());
        match self {
            Problem::TokenMissing => format!("Token is missing. Add it and {again}"),
            Problem::TokenTwice => format!("Token is given twice. Give it once and {again}"),
            Problem::TokenNotText => format!("Token must be a text. Correct it and {again}"),
            Problem::TokenUnreadable(why) => {
                format!("Request cannot be read: {why}, so its Token is not known. Correct it and {again}")
            }
            Problem::TokenNotAccepted => {
                format!("Token is not accepted. Check it, or ask the operator for another, and {again}")
            }
            Problem::AddressNotAllowed(ip) => {
                format!("IP address {ip} is not allowed for this token. Ask the operator to allow it and {again}")
            }
            Problem::ForwardedUnreadable => {
                format!(
                    "IP address is not known: X-Forwarded-For cannot be read. Ask the operator to correct the proxy and {again}"
                )
            }
            Problem::OrderNotFound => {
                "Order not found. Check the OrderID, or send the payout again with the same OrderID".to_owned()
            }
            Problem::OrderMalformed(wrong @ Wrong::Missing(_)) => {
                format!("{}. Add it and send again", wrong.message(call))
            }
            Problem::OrderMalformed(wrong) => format!("{}. Correct it and send again", wrong.message(call)),
            Problem::OrderReused => format!(
                "{}. {nothing}Ask for the status of this OrderID before you pay under another",
                Refusal::OrderReused.as_str()
            ),
            Problem::MalformedKnown(wrong) => format!(
                "{}, and OrderID is already used. {nothing}Ask for the status of this OrderID before you pay under another",
                wrong.message(call)
            ),
            Problem::ComplaintMalformed(wrong) => format!("{}. {nothing}Correct it and {again}", wrong.message(call)),
            Problem::Malformed(wrong) => wrong.message(call).into_owned(),
            Problem::OrderMissing => {
                let missing = Wrong::Missing(Field::OrderId).message(call);
                format!("{missing}. {nothing}Add an OrderID of your own and send again")
            }
            Problem::OrderUnclear(wrong) => format!("{}. {nothing}Correct it and {again}", wrong.message(call)),
            Problem::Unreadable(why) => {
                format!("Request cannot be read: {why}. {nothing}Correct it and {again}")
            }
            Problem::RateLimited { most, wait_s } => {
                format!("More than {most} requests in a minute. {nothing}Wait {wait_s} s and {again}")
            }
            Problem::Overloaded => format!("Too many requests are waiting. {nothing}Wait a moment and {again}"),
            Problem::Unknown => format!("Outcome is not known. Wait a moment and {again}"),
            Problem::Broken => format!("Service needs the operator. {nothing}Tell the operator and {again}"),
            Problem::PathUnknown => format!("There is no such call. {nothing}Correct the address and {again}"),
            Problem::MethodNotAllowed => format!("Method must be POST. {nothing}Correct it and {again}"),
            Problem::BodySlow => format!("Request did not arrive in time. {nothing}Wait a moment and {again}"),
            Problem::BodyTooLarge => format!("Request is too large. {nothing}Make it smaller and {again}"),
            Problem::MediaType(why) => format!("{why}. {nothing}Correct it and {again}"),
        }
    }

    /// Whether the operator should see it in his log as it is set by default: an intruder, or a failure of ours.
    pub const fn concerns_operator(&self) -> bool {
        match self {
            Problem::TokenNotAccepted
            | Problem::AddressNotAllowed(_)
            | Problem::ForwardedUnreadable
            | Problem::Unknown
            | Problem::Broken => true,
            Problem::TokenMissing
            | Problem::TokenTwice
            | Problem::TokenNotText
            | Problem::TokenUnreadable(_)
            | Problem::OrderNotFound
            | Problem::OrderMalformed(_)
            | Problem::OrderReused
            | Problem::MalformedKnown(_)
            | Problem::ComplaintMalformed(_)
            | Problem::Malformed(_)
            | Problem::OrderMissing
            | Problem::OrderUnclear(_)
            | Problem::Unreadable(_)
            | Problem::RateLimited { .. }
            // One line for each would only add to the load; the metrics count them.
            | Problem::Overloaded
            | Problem::PathUnknown
            | Problem::MethodNotAllowed
            | Problem::BodySlow
            | Problem::BodyTooLarge
            | Problem::MediaType(_) => false,
        }
    }
}

impl From<Unknown> for Problem {
    fn from(unknown: Unknown) -> Problem {
        match unknown {
            Unknown::Overload => Problem::Overloaded,
            Unknown::Store(_) | Unknown::Stopped => Problem::Unknown,
        }
    }
}

impl From<Refusal> for Problem {
    /// For a create. What is recorded as a failed payout does not come here.
    fn from(refusal: Refusal) -> Problem {
        match refusal {
            Refusal::OrderReused => Problem::OrderReused,
            // The rules know no payout under this OrderID, or they would have said so first; and none was made.
            Refusal::Overflow => Problem::Malformed(Wrong::AmountTooLarge),
            Refusal::MerchantUnknown => Problem::Broken,
            Refusal::PayoutUnknown
            | Refusal::MerchantSuspended
            | Refusal::OverPayoutLimit
            | Refusal::OverDayLimit
            | Refusal::BalanceTooLow
            | Refusal::NotNow
            | Refusal::ReferenceTaken
            | Refusal::CreditReused
            | Refusal::CreditInSuspense
            | Refusal::WithdrawnAlready
            | Refusal::OnHold
            | Refusal::Forgotten
            | Refusal::ProposalUnknown
            | Refusal::ProposalEnded
            | Refusal::ProposalExpired
            | Refusal::OwnProposal
            | Refusal::OperatorUnnamed
            | Refusal::NotPaidThere
            | Refusal::BorneAlready
            | Refusal::PaidThere
            | Refusal::KnownThere
            | Refusal::ExceptionUnknown
            | Refusal::ExceptionChanged
            | Refusal::AccountsUnfit
            | Refusal::CreditUnknown => Problem::Unknown,
        }
    }
}

/// The StatusCode of a payout, the beginning of its message, and the word of `Data.Status`.
pub const fn standing(state: State) -> (u8, &'static str, News) {
    match state {
        State::Paid => (1, "Transaction Successful", News::Success),
        State::Queued | State::Sending | State::Sent => (2, "Transaction Pending", News::Pending),
        State::Failed | State::Cancelled => (0, "Transaction Failed: ", News::Failure),
        State::Reversed => (0, "Transaction Reversed: ", News::Reversal),
    }
}

/// The answer of a payout and of both status calls, in the order of the contract's sample.
pub fn payout_body(payout: &Payout) -> Vec<u8> {
    let (code, message, news) = standing(payout.state);
    let mut body = Vec::with_capacity(256);
    body.extend_from_slice(b"{\"StatusCode\":");
    body.push(b'0' + code);
    body.extend_from_slice(b",\"Message\":");
    if code == 0 {
        let reason = if payout.reason.is_empty() { "Not executed by the bank" } else { &payout.reason };
        push_text(&mut body, &format!("{message}{reason}"));
    } else {
        push_text(&mut body, message);
    }
    body.extend_from_slice(b",\"Data\":{\"ClientOrderID\":");
    push_text(&mut body, payout.order.order.as_str());
    body.extend_from_slice(b",\"OrderID\":\"");
    push_shown(&mut body, payout.order.id);
    body.extend_from_slice(b"\",\"BeneficiaryName\":");
    push_text(&mut body, payout.order.name.as_str());
    body.extend_from_slice(b",\"RRN\":");
    push_text(&mut body, &payout.rrn);
    body.extend_from_slice(b",\"Status\":\"");
    body.extend_from_slice(news.as_str().as_bytes());
    body.extend_from_slice(b"\"}}");
    body
}

/// The answer of a refused call.
pub fn problem_body(problem: &Problem, call: Call) -> Vec<u8> {
    let mut body = Vec::with_capacity(256);
    body.extend_from_slice(b"{\"StatusCode\":");
    body.push(b'0' + problem.code());
    body.extend_from_slice(b",\"Message\":");
    push_text(&mut body, &problem.message(call));
    body.extend_from_slice(b",\"Data\":null}");
    body
}

fn push_text(body: &mut Vec<u8>, text: &str) {
    // Writing a text into memory cannot fail.
    serde_json::to_writer(body, text).expect("a text is written as JSON");
}

fn push_shown(body: &mut Vec<u8>, shown: impl fmt::Display) {
    use std::io::Write;
    // Writing into memory cannot fail.
    write!(body, "{shown}").expect("a number is written");
}

/// One of each problem: what `docs/api.md` must list. A new variant does not compile until it has its place here.
pub fn problems() -> impl Iterator<Item = Problem> {
    std::iter::successors(Some(Problem::TokenMissing), |problem| {
        Some(match problem {
            Problem::TokenMissing => Problem::TokenTwice,
            Problem::TokenTwice => Problem::TokenNotText,
            Problem::TokenNotText => Problem::TokenUnreadable("the body is not valid UTF-8".to_owned()),
            Problem::TokenUnreadable(_) => Problem::TokenNotAccepted,
            Problem::TokenNotAccepted => Problem::AddressNotAllowed(IpAddr::from([203, 0, 113, 9])),
            Problem::AddressNotAllowed(_) => Problem::ForwardedUnreadable,
            Problem::ForwardedUnreadable => Problem::OrderNotFound,
            Problem::OrderNotFound => Problem::OrderMalformed(Wrong::Missing(Field::OrderId)),
            Problem::OrderMalformed(_) => Problem::OrderReused,
            Problem::OrderReused => Problem::MalformedKnown(Wrong::Amount),
            Problem::MalformedKnown(_) => Problem::ComplaintMalformed(Wrong::Subject),
            Problem::ComplaintMalformed(_) => Problem::Malformed(Wrong::Amount),
            Problem::Malformed(_) => Problem::OrderMissing,
            Problem::OrderMissing => Problem::OrderUnclear(Wrong::Twice(Field::OrderId)),
            Problem::OrderUnclear(_) => Problem::Unreadable("the body is not valid UTF-8".to_owned()),
            Problem::Unreadable(_) => Problem::RateLimited { most: 60, wait_s: 7 },
            Problem::RateLimited { .. } => Problem::Overloaded,
            Problem::Overloaded => Problem::Unknown,
            Problem::Unknown => Problem::Broken,
            Problem::Broken => Problem::PathUnknown,
            Problem::PathUnknown => Problem::MethodNotAllowed,
            Problem::MethodNotAllowed => Problem::BodySlow,
            Problem::BodySlow => Problem::BodyTooLarge,
            Problem::BodyTooLarge => Problem::MediaType("the charset of Content-Type must be utf-8".to_owned()),
            Problem::MediaType(_) => return None,
        })
    })
}

/// One of each thing that can be wrong with a field, as [`problems`].
pub fn wrongs() -> impl Iterator<Item = Wrong> {
    std::iter::successors(Some(Wrong::Missing(Field::AccountNo)), |wrong| {
        Some(match wrong {
            Wrong::Missing(_) => Wrong::Twice(Field::AccountNo),
            Wrong::Twice(_) => Wrong::NotText(Field::AccountNo),
            Wrong::NotText(_) => Wrong::OrderId,
            Wrong::OrderId => Wrong::OurOrderId,
            Wrong::OurOrderId => Wrong::Number,
            Wrong::Number => Wrong::Amount,
            Wrong::Amount => Wrong::AmountOutside(Rail::Neft),
            Wrong::AmountOutside(Rail::Neft) => Wrong::AmountOutside(Rail::Rtgs),
            Wrong::AmountOutside(Rail::Rtgs) => Wrong::AmountOutside(Rail::Imps),
            Wrong::AmountOutside(Rail::Imps) => Wrong::AmountOutside(Rail::Upi),
            Wrong::AmountOutside(Rail::Upi) => Wrong::AmountTooLarge,
            Wrong::AmountTooLarge => Wrong::TransferMode,
            Wrong::TransferMode => Wrong::AccountNo,
            Wrong::AccountNo => Wrong::Ifsc,
            Wrong::Ifsc => Wrong::IfscBank,
            Wrong::IfscBank => Wrong::BeneficiaryName,
            Wrong::BeneficiaryName => Wrong::ReadsAsReference(Field::BeneficiaryName),
            Wrong::ReadsAsReference(_) => Wrong::UpiId,
            Wrong::UpiId => Wrong::PhoneNo,
            Wrong::PhoneNo => Wrong::NoUpi,
            Wrong::NoUpi => Wrong::Subject,
            Wrong::Subject => Wrong::Message,
            Wrong::Message => return None,
        })
    })
}
