//! The sandbox bank: a bank with a durable book of its own, which speaks HTTP JSON and fails on demand.
//!
//! It exists so that a payout platform can be tried and tested against something that behaves like a bank: it executes
//! a reference once, settles over rails with their own times, calls back until it is heard, goes silent, reverses, and
//! publishes its book, so that two books can be compared. The outcome of a transfer follows its beneficiary
//! (`docs/sandbox.md` has the table), never chance, unless faults are switched on by rate and seed.
//!
//! ```text
//!  request --> handle() --queue--> run_book() --commit--> answer
//!                                     ^  |
//!              run_clockwork() --due--+  +--> callbacks --sender--> the customer
//! ```
//!
//! | file | owns |
//! |---|---|
//! | `request` | what a valid request is |
//! | `outcome` | the table of outcomes, and what becomes of a transfer |
//! | `book` | the only SQL, and the batch that commits |
//! | `callbacks` | signing and sending, and the clockwork |
//! | `references` | the shapes of RRN and UTR |
//! | `statement` | camt.053 |
//! | `faults` | what goes wrong on purpose |
//! | `http` | the routes and the server |
//! | `clock` | time and the Indian calendar |
//!
//! It knows nothing of its customer: it depends on no other crate of the workspace.

mod book;
mod callbacks;
mod clock;
mod faults;
mod http;
mod outcome;
mod references;
mod request;
mod statement;

pub use callbacks::http_sender;
pub use clock::Clock;
pub use faults::{Faults, FaultsError};

use book::{BATCH_JOBS_MAX, Book, Job, Rules};
use bytes::Bytes;
use callbacks::Signer;
use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Notify, mpsc, oneshot, watch};

/// How many jobs may wait for the book; one more is answered 503 at once.
const QUEUE_JOBS_MAX: usize = 65_536;

/// What a bank is opened with.
pub struct BankConfig {
    /// The file of the book; `None` keeps it in memory.
    pub path: Option<PathBuf>,
    /// Where callbacks go (`http://...`). Without an address they wait in the book.
    pub callback_url: Option<String>,
    /// The key of the callbacks' signatures; without one they are not signed.
    pub callback_secret: Option<Vec<u8>>,
    /// What goes wrong on purpose.
    pub faults: Faults,
    /// What the faults are drawn from.
    pub seed: u64,
    /// How long NEFT and RTGS take.
    pub times: Times,
    /// Where the time comes from.
    pub clock: Clock,
}

/// How long NEFT and RTGS take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Times {
    /// NEFT in a batch every 10 seconds, RTGS after 3 seconds.
    Demo,
    /// NEFT at the next half hour, RTGS after 30 seconds.
    Real,
}

/// An answer of the bank.
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The media type of the body.
    pub content_type: &'static str,
    /// The whole body.
    pub body: Bytes,
}

/// Sends a callback and returns the HTTP status of the customer's answer, or why there was none.
pub type CallbackSender =
    Arc<dyn Fn(CallbackRequest) -> Pin<Box<dyn Future<Output = Result<u16, String>> + Send>> + Send + Sync>;

/// A callback that is to be sent by `POST`.
pub struct CallbackRequest {
    /// The customer's address.
    pub url: String,
    /// `content-type`, `webhook-id`, `webhook-timestamp` and, with a secret, `webhook-signature`.
    pub headers: Vec<(&'static str, String)>,
    /// The JSON body, over which the signature goes.
    pub body: Bytes,
}

/// Why a bank could not be opened: one sentence, with the remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BankError {
    /// Another process has the book open.
    InUse {
        /// The file of the book.
        path: String,
    },
    /// The file is something else.
    NotABook {
        /// The file.
        path: String,
    },
    /// The book was written by a newer version.
    NewerBook {
        /// The file of the book.
        path: String,
    },
    /// SQLite could not open or create it.
    Unusable {
        /// The file of the book.
        path: String,
        /// What SQLite said.
        cause: String,
    },
    /// The secret of the callbacks has no bytes.
    EmptySecret,
}

impl fmt::Display for BankError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BankError::InUse { path } => {
                write!(f, "the bank's book {path} is open in another process; stop that one or choose another folder")
            }
            BankError::NotABook { path } => {
                write!(f, "{path} is not the book of a sandbox bank; choose another folder or move that file away")
            }
            BankError::NewerBook { path } => {
                write!(
                    f,
                    "the bank's book {path} was written by a newer version; start that version or choose another folder"
                )
            }
            BankError::Unusable { path, cause } => {
                write!(
                    f,
                    "the bank's book {path} cannot be opened ({cause}); make sure that its folder exists and can be written"
                )
            }
            BankError::EmptySecret => {
                write!(f, "the secret of the bank's callbacks is empty; give at least one byte or none at all")
            }
        }
    }
}

impl std::error::Error for BankError {}

/// The bank. Its loops ([`Bank::run_book`], [`Bank::run_clockwork`], [`Bank::serve`]) own no thread: the caller
/// chooses where they run, also all on one thread under a paused clock.
pub struct Bank {
    rules: Rules,
    signer: Option<Signer>,
    callback_url: Mutex<Option<String>>,
    jobs: mpsc::Sender<Job>,
    /// The book and its queue, until `run_book` takes them.
    shelf: Mutex<Option<(Book, mpsc::Receiver<Job>)>>,
    closed: watch::Sender<bool>,
    /// Something is due earlier than the clockwork thinks.
    work: Notify,
}

impl Bank {
    /// Opens the book, or creates it.
    ///
    /// # Errors
    /// When the book cannot be used, or the secret is empty.
    pub fn open(config: BankConfig) -> Result<Arc<Bank>, BankError> {
        let BankConfig { path, callback_url, callback_secret, faults, seed, times, clock } = config;
        let rules = Rules { clock, times, faults, seed };
        let signer = callback_secret.map(|secret| Signer::new(&secret)).transpose()?;
        let book = Book::open(path.as_deref(), rules)?;
        let (jobs, queue) = mpsc::channel(QUEUE_JOBS_MAX);
        Ok(Arc::new(Bank {
            rules,
            signer,
            callback_url: Mutex::new(callback_url),
            jobs,
            shelf: Mutex::new(Some((book, queue))),
            closed: watch::Sender::new(false),
            work: Notify::new(),
        }))
    }

    /// The only writer of the book: gathers what waits, commits it together, answers. It blocks its thread in SQLite,
    /// so give it one of its own. It ends, and closes the file, after [`Bank::close`]; a second call ends at once.
    pub async fn run_book(self: Arc<Self>) {
        let shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((mut book, mut queue)) = shelf else {
            tracing::error!("the bank's book runs already");
            return;
        };
        let mut jobs = Vec::with_capacity(BATCH_JOBS_MAX);
        loop {
            tokio::select! { biased;
                () = self.closing() => break,
                gathered = queue.recv_many(&mut jobs, BATCH_JOBS_MAX) => if gathered == 0 { break },
            }
            if book.run(&mut jobs) {
                self.work.notify_one();
            }
        }
    }

    /// From now on callbacks go to this address, also those that wait already.
    pub fn set_callback_url(&self, url: String) {
        *self.callback_url.lock().unwrap_or_else(PoisonError::into_inner) = Some(url);
        self.work.notify_one();
    }

    /// Tells all loops to end. What is committed is kept; what waits is neither executed nor answered.
    pub fn close(&self) {
        self.closed.send_replace(true);
    }

    fn callback_url(&self) -> Option<String> {
        self.callback_url.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends when the bank is to close.
    async fn closing(&self) {
        let mut closed = self.closed.subscribe();
        while !*closed.borrow_and_update() {
            if closed.changed().await.is_err() {
                return;
            }
        }
    }

    /// Puts a job into the queue and waits for its answer; `None` when there is none: the queue is full, the book
    /// could not be written, or the bank closes.
    async fn ask<T>(&self, job: impl FnOnce(oneshot::Sender<T>) -> Job) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        if self.jobs.try_send(job(answer)).is_err() {
            return None;
        }
        answered.await.ok()
    }
}
