//! Subcommands, and the only place that chooses threads.
//!
//! The writer has a thread of its own, because an embedded database blocks; the sandbox bank's book has another. All the
//! rest shares the runtime's threads.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod bench;
mod print;
mod run;
mod two;

use clap::{Args, Parser, Subcommand};
use hundi::App;
use hundi::admin::{self, MerchantChanges};
use hundi::clock::Clock;
use hundi::config::{Config, DatabaseUrl};
use hundi::credits;
use hundi::process::ProcessNumber;
use hundi::proposals;
use hundi::reconcile::{self, feed};
use hundi::report::Report;
use hundi::store::Store;
use hundi::store::rows::ComplaintEvent;
use hundi::verify::verify;
use hundi_core::command::MerchantState;
use hundi_core::ids::Actor;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use tokio::sync::mpsc;

/// A self-hosted payout platform for Indian rails.
#[derive(Parser)]
#[command(name = "hundi", version, disable_help_subcommand = true)]
struct Cli {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Command,
}

/// Where Hundi's data is, and how to print.
#[derive(Args)]
struct Place {
    /// The folder of the data (default: hundi-data)
    #[arg(long, global = true, value_name = "DIR", conflicts_with = "config")]
    data: Option<PathBuf>,
    /// The configuration, hundi.toml
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long, global = true)]
    json: bool,
    /// Your name, kept with what you do (default: the login name)
    #[arg(long, global = true, value_name = "NAME")]
    operator: Option<String>,
}

#[derive(Subcommand)]
enum Command {
    /// Start everything for a first look: API, worker, sandbox bank, callback receiver
    Demo {
        /// Where the merchant API listens; with port 0 every listener takes a free port
        #[arg(long, default_value = "127.0.0.1:8080")]
        listen: SocketAddr,
        /// Where the demo merchant is called back (default: a receiver of its own)
        #[arg(long, value_name = "URL")]
        callback_url: Option<String>,
    },
    /// Serve the merchant API and do the work
    Serve {
        /// Leave the work to other processes on the same PostgreSQL server: sending, asking banks, callbacks
        #[arg(long)]
        no_worker: bool,
        /// Do the work only; merchants and banks call other processes
        #[arg(long)]
        no_api: bool,
    },
    /// Run the sandbox bank
    Bank(run::BankOptions),
    /// Create or upgrade the database
    Migrate,
    /// Move an installation from the embedded database to PostgreSQL; both sides are verified
    Copy {
        /// Where it is now: in the folder of the data
        #[arg(long, value_parser = ["sqlite"])]
        from: String,
        /// Where it is to be: in the empty database of `database_url`
        #[arg(long, value_parser = ["postgres"])]
        to: String,
    },
    /// Merchants
    #[command(subcommand)]
    Merchant(Merchant),
    /// Tokens of merchants
    #[command(subcommand)]
    Token(Token),
    /// Book a bank credit into a merchant's wallet
    Fund {
        /// The merchant's ID
        #[arg(long)]
        merchant: String,
        /// Rupees, such as 100000.00
        #[arg(long, allow_hyphen_values = true)]
        amount: String,
        /// The bank's reference of the credit; the same one is booked once
        #[arg(long)]
        reference: String,
        /// At which bank it arrived
        #[arg(long, default_value = "sandbox")]
        connector: String,
    },
    /// Payouts
    #[command(subcommand)]
    Payout(Payout),
    /// Connectors to banks
    #[command(subcommand)]
    Connector(Connector),
    /// Which connector a payout goes to
    #[command(subcommand)]
    Route(Route),
    /// A merchant's statement, or the house's
    Statement {
        /// The merchant's ID, or `house`
        #[arg(long)]
        merchant: String,
        /// csv or json
        #[arg(long, default_value = "csv", value_parser = ["csv", "json"])]
        format: String,
        /// The first day, YYYY-MM-DD in India
        #[arg(long)]
        from: Option<String>,
        /// The last day
        #[arg(long)]
        to: Option<String>,
    },
    /// Compare a bank's statement with what is known here: exit code 0 if nothing differs, 2 if something does
    Reconcile {
        /// Whose statement it is
        #[arg(long, default_value = "sandbox")]
        connector: String,
        /// The file, or - for standard input
        #[arg(required_unless_present = "day")]
        file: Option<PathBuf>,
        /// In place of a file: the list that the bank itself gives of a day that is over, YYYY-MM-DD in India
        #[arg(long, conflicts_with = "file")]
        day: Option<String>,
    },
    /// Propose what takes two people; another operator approves it
    Propose(two::Proposing),
    /// What operators have proposed
    #[command(subcommand)]
    Proposal(two::Proposal),
    /// Approve what another operator has proposed: it becomes true
    Approve {
        /// The proposal's number
        id: i64,
    },
    /// Reject a proposal, or take back your own
    Reject {
        /// The proposal's number
        id: i64,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// The house's accounts: float, suspense, fee income, GST payable, upstream cost, loss
    House,
    /// The finance desk's day: exit code 0 if every sum ties, 2 if one does not
    Report {
        /// The day, YYYY-MM-DD in India
        day: String,
        /// Only this merchant
        #[arg(long, value_name = "ID")]
        merchant: Option<String>,
        /// text, csv or json
        #[arg(long, default_value = "text", value_parser = ["text", "csv", "json"])]
        format: String,
    },
    /// Complaints of merchants
    #[command(subcommand)]
    Complaint(Complaint),
    /// What waits for a person
    #[command(subcommand)]
    Exception(Exception),
    /// Start nothing and take nothing new, after a backup was restored
    #[command(subcommand)]
    Hold(Hold),
    /// Fold the whole journal and compare it with everything else
    Verify {
        /// The anchor file (default: DATA/anchors.log where there is one)
        #[arg(long, value_name = "FILE")]
        anchors: Option<PathBuf>,
    },
    /// Measure how fast a Hundi is, or fill a store for measuring
    Bench(bench::Options),
}

#[derive(Subcommand)]
enum Merchant {
    /// Add a merchant; shows the secret that signs his callbacks
    Add {
        /// His ID: 1 to 32 of a-z, 0-9, - and _
        id: String,
        /// His fee plan on all rails, such as `25000:5.00; *:5.00+10bp@6.00..50.00`
        #[arg(long, default_value = "free")]
        fees: String,
    },
    /// All merchants
    List,
    /// A merchant with his settings
    Show {
        /// His ID
        id: String,
        /// Show the secret that signs his callbacks
        #[arg(long)]
        secret: bool,
    },
    /// Refuse his new payouts
    Suspend {
        /// His ID
        id: String,
    },
    /// Accept his payouts again
    Resume {
        /// His ID
        id: String,
    },
    /// Change his settings
    Set {
        /// His ID
        id: String,
        /// Where he is called back, or `none`
        #[arg(long)]
        callback_url: Option<String>,
        /// Call him for Pending too: true or false
        #[arg(long)]
        callback_pending: Option<bool>,
        /// `new` makes another secret for his callbacks, which are signed with both until `drop-old`
        #[arg(long, value_parser = ["new", "drop-old"])]
        callback_secret: Option<String>,
        /// `auto`: to an account also over another of NEFT, RTGS and IMPS where the ordered one cannot be had; or `as-ordered`
        #[arg(long, value_parser = ["auto", "as-ordered"])]
        rail: Option<String>,
        /// His most for one payout in rupees, or `none`
        #[arg(long, allow_hyphen_values = true)]
        payout_most: Option<String>,
        /// His most for an Indian day in rupees, or `none`
        #[arg(long, allow_hyphen_values = true)]
        day_most: Option<String>,
        /// A fee plan for all rails, or `IMPS=PLAN` for one; may be repeated
        #[arg(long)]
        fees: Vec<String>,
    },
    /// By what bank credits are known to be his
    #[command(subcommand)]
    Rule(credits::Ask),
}

#[derive(Subcommand)]
enum Token {
    /// Make a token; it is shown once
    New {
        /// The merchant's ID
        #[arg(long)]
        merchant: String,
        /// Addresses or CIDRs that may use it, separated by commas
        #[arg(long)]
        allow_ip: String,
        /// Calls a minute (default: no limit)
        #[arg(long)]
        rate_per_minute: Option<i64>,
    },
    /// The tokens of all merchants
    List {
        /// Only those of this merchant
        #[arg(long, value_name = "ID")]
        merchant: Option<String>,
    },
    /// Revoke a token; it is refused within a second
    Revoke {
        /// Its number, from `token list`
        token_id: i64,
    },
}

#[derive(Subcommand)]
enum Payout {
    /// Cancel a payout that is not at a bank
    Cancel {
        /// Our OrderID
        id: String,
    },
    /// A payout with its timeline
    Show {
        /// Our OrderID
        id: String,
    },
    /// The payouts of all merchants, newest first
    List {
        /// Only those of this merchant
        #[arg(long, value_name = "ID")]
        merchant: Option<String>,
        /// Only payouts older than this one
        #[arg(long)]
        before: Option<i64>,
        /// How many
        #[arg(long, default_value_t = admin::LIST_MAX)]
        limit: i64,
    },
}

#[derive(Subcommand)]
enum Connector {
    /// All connectors, with what they carry and who has paused them
    List,
    /// Give it no new payouts; what is at the bank is asked about as before
    Pause {
        /// Its name
        name: String,
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// Give it payouts again
    Resume {
        /// Its name
        name: String,
    },
    /// The files of payments that were given to a bank, the newest first
    Files {
        /// The connector's name
        name: String,
    },
    /// Ask the bank about a reference that cannot exist: is it reached, and does it know us? Sends no money
    Test {
        /// Its name
        name: String,
    },
}

#[derive(Subcommand)]
enum Route {
    /// Say where a payout would go, by which rule, and why not elsewhere
    Explain {
        /// The merchant's ID (default: nobody whom a rule names)
        #[arg(long)]
        merchant: Option<String>,
        /// NEFT, RTGS, IMPS or UPI (default: UPI with --upi, otherwise IMPS)
        #[arg(long)]
        rail: Option<String>,
        /// Rupees, such as 100.00
        #[arg(long, allow_hyphen_values = true)]
        amount: String,
        /// The beneficiary's IFSC
        #[arg(long, conflicts_with = "upi")]
        ifsc: Option<String>,
        /// The beneficiary's UPI ID
        #[arg(long)]
        upi: Option<String>,
        /// The time of day in India, HH:MM (default: now)
        #[arg(long)]
        at: Option<String>,
        /// Our OrderID: weights are drawn by it
        #[arg(long, default_value_t = 0)]
        payout: i64,
    },
}

#[derive(Subcommand)]
enum Complaint {
    /// All complaints, open ones first
    List,
    /// A complaint with its history
    Show {
        /// MERCHANT/NUMBER
        id: String,
    },
    /// Answer a complaint
    Reply {
        /// MERCHANT/NUMBER
        id: String,
        /// What you say
        message: String,
    },
    /// Close a complaint
    Close {
        /// MERCHANT/NUMBER
        id: String,
        /// Why
        #[arg(default_value = "")]
        message: String,
    },
}

#[derive(Subcommand)]
enum Exception {
    /// The open exceptions, newest first
    List {
        /// The resolved ones too
        #[arg(long)]
        all: bool,
    },
    /// An exception with its payout
    Show {
        /// CONNECTOR/REFERENCE/KIND
        id: String,
    },
    /// Give an exception to an operator
    Assign {
        /// CONNECTOR/REFERENCE/KIND
        id: String,
        /// His name, or `none`
        name: String,
    },
}

#[derive(Subcommand)]
enum Hold {
    /// Start nothing and take nothing new; banks are still asked and heard
    Set {
        /// Why
        #[arg(long)]
        reason: String,
    },
    /// Whether Hundi is on hold, since when, by whom and why
    Status,
    /// Pay again; refused while banks have spoken of payments that no statement has
    Release {
        /// What was found
        #[arg(long)]
        reason: String,
        /// Release all the same
        #[arg(long)]
        force: bool,
    },
}

/// What a subcommand prints.
enum Output {
    /// A document, for a person or as JSON.
    Document(Value),
    /// A text as it is, with a document for those who ask for JSON.
    Text(String, Value),
    /// A document, and whether all is as it should be.
    Compared(Value, bool),
    /// Nothing more.
    Nothing,
}

/// What the reader of a statement may be ahead of its matching.
const CHUNKS_AHEAD: usize = 16;
/// The exit code of a comparison in which something differs.
const DIFFERS: u8 = 2;

fn main() -> ExitCode {
    // Whatever is written here is for its owner's eyes.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let cli = Cli::parse();
    let json = cli.place.json;
    match run(cli) {
        Ok((output, code)) => {
            match output {
                Output::Document(document) | Output::Compared(document, _) if json => println!("{document}"),
                Output::Document(document) | Output::Compared(document, _) => print!("{}", print::text(&document)),
                Output::Text(_, document) if json => println!("{document}"),
                Output::Text(text, _) => print!("{text}"),
                Output::Nothing => {}
            }
            code
        }
        Err(error) => {
            if json {
                println!("{}", json!({ "error": error }));
            }
            eprintln!("hundi: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<(Output, ExitCode), String> {
    let done = |output| Ok((output, ExitCode::SUCCESS));
    match cli.command {
        Command::Demo { listen, callback_url } => {
            run::demo(listen, configuration(&cli.place)?, callback_url.as_deref(), cli.place.json)?;
            done(Output::Nothing)
        }
        Command::Serve { no_worker, no_api } => {
            let roles = run::Roles { api: !no_api, worker: !no_worker };
            run::serve(configuration(&cli.place)?, roles, cli.place.json)?;
            done(Output::Nothing)
        }
        Command::Bank(options) => {
            run::bank(&options, &configuration(&cli.place)?.data, cli.place.json)?;
            done(Output::Nothing)
        }
        // There is one way.
        Command::Copy { .. } => {
            let config = configuration(&cli.place)?;
            let anchors = read_anchors(&config, None)?;
            done(Output::Document(run::copy(&config, &anchors)?))
        }
        Command::Migrate => done(Output::Document(run::migrate(&configuration(&cli.place)?)?)),
        Command::Bench(options) => {
            let made = bench::bench(&options, configuration(&cli.place)?, cli.place.data.as_deref())?;
            done(Output::Text(made.text, made.document))
        }
        Command::Report { day, merchant, format } => {
            let report = report(&configuration(&cli.place)?, &day, merchant.as_deref())?;
            let code = if report.ties() { ExitCode::SUCCESS } else { DIFFERS.into() };
            let document = report.document();
            let text = match format.as_str() {
                "csv" => report.csv(),
                "json" => format!("{document}\n"),
                _ => report.text(),
            };
            Ok((Output::Text(text, document), code))
        }
        Command::Verify { anchors } => check_laws(&configuration(&cli.place)?, anchors.as_deref()),
        command => {
            let output = operate(&cli.place, command)?;
            let code = if matches!(output, Output::Compared(_, false)) { DIFFERS.into() } else { ExitCode::SUCCESS };
            Ok((output, code))
        }
    }
}

fn configuration(place: &Place) -> Result<Config, String> {
    let mut config = match (&place.config, &place.data) {
        (Some(file), _) => Config::read(file)?,
        (None, Some(data)) => Config { data: data.clone(), ..Config::default() },
        (None, None) => Config::default(),
    };
    if let Some(url) = std::env::var("HUNDI_DATABASE_URL").ok().filter(|url| !url.is_empty()) {
        config.database_url = Some(DatabaseUrl(url));
    }
    Ok(config)
}

/// The text of the anchor file that was named, or of the one beside the data.
fn read_anchors(config: &Config, named: Option<&Path>) -> Result<String, String> {
    let path = named.map_or_else(|| config.anchors(), Path::to_owned);
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(text),
        // A store that has not been anchored yet has no file; one that was named must be there.
        Err(_) if named.is_none() && !path.exists() => Ok(String::new()),
        Err(error) => Err(format!("cannot read the anchors {}: {error}", path.display())),
    }
}

/// `hundi report`: one view of the store, so that nothing changes meanwhile.
fn report(config: &Config, day: &str, merchant: Option<&str>) -> Result<Report, String> {
    run::block_on(async {
        let clock = Clock::system();
        let store = Store::open_view(config, &clock).await.map_err(|error| error.to_string())?;
        store.check_schema().await.map_err(|error| error.to_string())?;
        hundi::report::report(&store, config, clock.now(), day, merchant).await
    })?
}

/// `hundi verify`: exit code 0 only if every law holds.
fn check_laws(config: &Config, anchors: Option<&Path>) -> Result<(Output, ExitCode), String> {
    let keys = run::keys(config, false)?;
    let text = read_anchors(config, anchors)?;
    let report = run::block_on(async {
        let store = Store::open_view(config, &Clock::system()).await.map_err(|error| error.to_string())?;
        store.check_schema().await.map_err(|error| error.to_string())?;
        hundi::check_key(&store, &keys, config).await?;
        verify(&store, &keys, &text).await.map_err(|error| error.to_string())
    })??;
    let mut shown = String::new();
    for law in &report.laws {
        let verdict = if law.broken == 0 { "holds " } else { "BROKEN" };
        shown.push_str(&format!("{verdict}  {:<22} {:>9} checked  {}\n", law.name, law.counted, law.says));
        if let Some(first) = &law.first {
            shown.push_str(&format!("        {} broken; the first: {first}\n", law.broken));
        }
    }
    shown.push_str(if report.holds {
        "Every law holds.\n"
    } else {
        "The books do not agree. Stop sending, keep a copy, and look at the first offender.\n"
    });
    let code = if report.holds { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    Ok((Output::Text(shown, serde_json::to_value(&report).map_err(|error| error.to_string())?), code))
}

/// The subcommands that act through the writer, in a process of their own.
fn operate(place: &Place, command: Command) -> Result<Output, String> {
    let config = configuration(place)?;
    let name = place.operator.clone().or_else(|| std::env::var("USER").ok()).filter(|name| !name.is_empty());
    let actor = Actor::Operator(name.unwrap_or_else(|| "operator".to_owned()).into());
    run::block_on(async {
        let keys = run::keys(&config, false)?;
        let store = Store::open(&config, &Clock::system(), false).await.map_err(|error| error.to_string())?;
        store.check_schema().await.map_err(|error| error.to_string())?;
        // No subcommand creates payouts, so none needs a process number.
        let process = ProcessNumber::none();
        let (app, ends) = App::new(config, store, keys, Clock::system(), hundi::http_out::http_out(), process).await?;
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let writer = run::on_a_thread("writer", {
            let app = Arc::clone(&app);
            move || async move { hundi::writer::run(&app, ends.queue, stopped).await }
        })?;
        let output = act(&app, command, &actor).await;
        stop.send_replace(true);
        writer.await.map_err(|_| "the writer has failed; see the log")?;
        // What was done here while the installation was moved away was done in the wrong place.
        hundi::check_not_moved(&app.store).await?;
        output
    })?
}

async fn act_on_connector(app: &App, command: Connector, actor: &Actor) -> admin::Answer {
    use hundi::connectors::admin;
    match command {
        Connector::List => admin::list(app).await,
        Connector::Pause { name, reason } => admin::pause(app, &name, &reason, actor).await,
        Connector::Resume { name } => admin::resume(app, &name, actor).await,
        Connector::Test { name } => admin::test(app, &name).await,
        Connector::Files { name } => admin::files(app, &name).await,
    }
}

async fn explain(app: &App, route: Route) -> admin::Answer {
    let Route::Explain { merchant, rail, amount, ifsc, upi, at, payout } = route;
    let ordered = hundi::connectors::admin::Ordered {
        merchant: merchant.as_deref(),
        rail: rail.as_deref(),
        amount: &amount,
        ifsc: ifsc.as_deref(),
        upi: upi.as_deref(),
        at: at.as_deref(),
        payout,
    };
    hundi::connectors::admin::explain(app, &ordered).await
}

async fn act(app: &App, command: Command, actor: &Actor) -> Result<Output, String> {
    let document = match command {
        Command::Connector(connector) => act_on_connector(app, connector, actor).await,
        Command::Route(route) => explain(app, route).await,
        Command::Merchant(Merchant::Add { id, fees }) => admin::merchant_add(app, &id, &fees, actor).await,
        Command::Merchant(Merchant::List) => admin::merchant_list(app).await,
        Command::Merchant(Merchant::Show { id, secret }) => admin::merchant_show(app, &id, secret).await,
        Command::Merchant(Merchant::Suspend { id }) => {
            admin::merchant_state(app, &id, MerchantState::Suspended, actor).await
        }
        Command::Merchant(Merchant::Resume { id }) => {
            admin::merchant_state(app, &id, MerchantState::Active, actor).await
        }
        Command::Merchant(Merchant::Set {
            id,
            callback_url,
            callback_pending,
            callback_secret,
            rail,
            payout_most,
            day_most,
            fees,
        }) => {
            let changes =
                MerchantChanges { callback_url, callback_pending, callback_secret, rail, payout_most, day_most, fees };
            admin::merchant_set(app, &id, changes, actor).await
        }
        Command::Merchant(Merchant::Rule(ask)) => credits::rule(app, ask, actor).await,
        Command::Token(Token::New { merchant, allow_ip, rate_per_minute }) => {
            admin::token_new(app, &merchant, &allow_ip, rate_per_minute, actor).await
        }
        Command::Token(Token::List { merchant }) => admin::token_list(app, merchant.as_deref()).await,
        Command::Token(Token::Revoke { token_id }) => admin::token_revoke(app, token_id, actor).await,
        Command::Fund { merchant, amount, reference, connector } => {
            admin::fund(app, &merchant, &amount, &reference, &connector, actor).await
        }
        Command::Payout(Payout::Cancel { id }) => admin::payout_cancel(app, &id, actor).await,
        Command::Payout(Payout::Show { id }) => admin::payout_show(app, &id).await,
        Command::Payout(Payout::List { merchant, before, limit }) => {
            admin::payout_list(app, merchant.as_deref(), before, limit).await
        }
        Command::Complaint(Complaint::List) => admin::complaint_list(app).await,
        Command::Complaint(Complaint::Show { id }) => admin::complaint_show(app, &id).await,
        Command::Complaint(Complaint::Reply { id, message }) => {
            admin::complaint_event(app, &id, ComplaintEvent::Reply, &message, actor).await
        }
        Command::Complaint(Complaint::Close { id, message }) => {
            admin::complaint_event(app, &id, ComplaintEvent::Close, &message, actor).await
        }
        Command::Exception(Exception::List { all: false }) => admin::exception_list(app).await,
        Command::Exception(Exception::List { all: true }) => admin::exception_list_all(app).await,
        Command::Exception(Exception::Assign { id, name }) => proposals::exception_assign(app, &id, &name).await,
        Command::Propose(proposing) => two::propose(app, proposing, actor).await,
        Command::Proposal(proposal) => two::proposal(app, proposal).await,
        Command::Approve { id } => proposals::approve(app, id, actor).await,
        Command::Reject { id, reason } => proposals::reject(app, id, &reason, actor).await,
        Command::House => proposals::house(app).await,
        Command::Exception(Exception::Show { id }) => admin::exception_show(app, &id).await,
        Command::Hold(Hold::Set { reason }) => admin::hold_set(app, &reason, actor).await,
        Command::Hold(Hold::Status) => admin::hold_status(app).await,
        Command::Hold(Hold::Release { reason, force }) => admin::hold_release(app, &reason, force, actor).await,
        Command::Statement { merchant, format, from, to } => {
            let lines = admin::statement(app, &merchant, from.as_deref(), to.as_deref()).await?;
            let (csv, document) = (admin::csv(&lines), Value::Array(lines));
            let text = if format == "csv" { csv } else { format!("{document}\n") };
            return Ok(Output::Text(text, document));
        }
        Command::Reconcile { connector, file, day } => {
            let report = reconcile(app, &connector, file, day, actor).await?;
            return Ok(Output::Compared(report.document(), report.clean()));
        }
        Command::Demo { .. }
        | Command::Serve { .. }
        | Command::Bank(_)
        | Command::Copy { .. }
        | Command::Migrate
        | Command::Verify { .. }
        | Command::Report { .. }
        | Command::Bench(_) => {
            return Ok(Output::Nothing);
        }
    };
    document.map(Output::Document)
}

/// Reads a statement on a thread of its own, or asks the bank for one, and compares it.
async fn reconcile(
    app: &App,
    connector: &str,
    file: Option<PathBuf>,
    day: Option<String>,
    actor: &Actor,
) -> Result<reconcile::Report, String> {
    let connector = hundi_core::ids::Connector::parse(connector)
        .ok_or_else(|| format!("`{connector}` is not a connector's name"))?;
    let (to, mut fed) = mpsc::channel(CHUNKS_AHEAD);
    let columns = app.config.reconcile.columns.get(connector.as_str()).cloned();
    match file {
        Some(file) if file.as_os_str() == "-" => {
            tokio::task::spawn_blocking(move || feed(std::io::stdin(), "-", columns.as_ref(), &to));
        }
        Some(file) => {
            let opened = std::fs::File::open(&file);
            let input = opened.map_err(|error| format!("cannot read the statement {}: {error}", file.display()))?;
            let hint = file.to_string_lossy().into_owned();
            tokio::task::spawn_blocking(move || feed(input, &hint, columns.as_ref(), &to));
        }
        None => {
            let (said, hash) = reconcile::listed(app, connector, day.as_deref().unwrap_or_default()).await?;
            for fed in [reconcile::Fed::Said(said), reconcile::Fed::Ended(hash)] {
                to.try_send(fed).map_err(|error| error.to_string())?;
            }
        }
    }
    reconcile::reconcile(app, &mut fed, connector, actor).await
}
