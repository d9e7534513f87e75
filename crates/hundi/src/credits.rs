//! By what a bank credit is known to be a merchant's: the rules of `hundi merchant rule`, and whose a statement's line is by
//! them. What becomes of a credit is decided by the core ([`hundi_core::command::Credited`]).

use crate::App;
use crate::admin::{Answer, connector, merchant, names, text};
use crate::keys::{Keys, Place};
use crate::store::Store;
use crate::store::credits::{RuleRow, rule_add, rule_remove};
use clap::{Args, Subcommand};
use hundi_core::credit_rule::{Words, words};
use hundi_core::formats::Line;
use hundi_core::ids::{Actor, Connector, MerchantId};
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap};

/// The subcommands of `hundi merchant rule`.
#[derive(Clone, Debug, Subcommand)]
pub enum Ask {
    /// Credits that say this fund his wallet
    Add {
        /// His ID
        id: String,
        /// What a line must say
        #[command(flatten)]
        by: By,
    },
    /// The rules of all merchants, or of one
    List {
        /// His ID
        id: Option<String>,
    },
    /// They do so no longer
    Remove {
        /// His ID
        id: String,
        /// What a line must say
        #[command(flatten)]
        by: By,
    },
}

/// What a line must say.
#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = true)]
pub struct By {
    /// A virtual account: the number of the account that the bank keeps for him
    #[arg(long, conflicts_with = "words", required_unless_present = "words")]
    pub account: Option<String>,
    /// Words of the remittance information; `*` at the end makes the last one a beginning
    #[arg(long)]
    pub words: Option<String>,
    /// At which bank
    #[arg(long, default_value = "sandbox")]
    pub connector: String,
}

/// What a rule says, as an operator has given it.
struct Said {
    words: Words,
    account: bool,
    connector: Connector,
}

impl By {
    fn said(&self) -> Result<Said, String> {
        let connector = connector(&self.connector)?;
        let (words, account) = match (&self.account, &self.words) {
            // The number itself is not repeated: what is printed is kept in terminals and logs.
            (Some(number), _) => (Words::account(number).map_err(|why| format!("--account {why}"))?, true),
            (None, Some(text)) => (Words::parse(text).map_err(|why| format!("--words `{text}` {why}"))?, false),
            (None, None) => return Err("give --account or --words".to_owned()),
        };
        Ok(Said { words, account, connector })
    }
}

impl Said {
    fn row(&self, keys: &Keys, merchant: MerchantId, actor: &Actor, now: hundi_core::schedule::Timestamp) -> RuleRow {
        let whole = self.words.to_string();
        let hash = hash(keys, self.account, &whole);
        let last_four = whole.get(whole.len().saturating_sub(4)..).unwrap_or_default();
        RuleRow {
            connector: self.connector,
            hash,
            merchant,
            account: self.account,
            shown: if self.account { last_four.to_owned() } else { whole.clone() },
            sealed: keys.seal(place(merchant, &hash), whole.as_bytes()),
            actor: actor.to_string(),
            at: now,
        }
    }
}

fn hash(keys: &Keys, account: bool, whole: &str) -> [u8; 32] {
    keys.blind(if account { "virtual account" } else { "credit words" }, whole.as_bytes())
}

fn place(merchant: MerchantId, hash: &[u8; 32]) -> Place<'static> {
    let row = i64::from_be_bytes(std::array::from_fn(|at| hash[at]));
    Place { merchant, row, field: "credit_rules.sealed" }
}

/// What a rule is called in the settings' history and in lists: without the number.
fn named(rule: &RuleRow) -> String {
    let said = if rule.account { format!("account ..{}", rule.shown) } else { format!("words `{}`", rule.shown) };
    format!("{said} at {}", rule.connector)
}

fn opened(keys: &Keys, rule: &RuleRow) -> Result<Words, String> {
    let whole = keys.open(place(rule.merchant, &rule.hash), &rule.sealed).and_then(|text| String::from_utf8(text).ok());
    let words = whole.and_then(|whole| if rule.account { Words::account(&whole) } else { Words::parse(&whole) }.ok());
    words.ok_or_else(|| format!("the rule of {} cannot be unsealed; is the key the right one?", named(rule)))
}

/// Adds, lists or removes rules.
pub async fn rule(app: &App, ask: Ask, actor: &Actor) -> Answer {
    match ask {
        Ask::Add { id, by } => add(app, &id, &by.said()?, actor).await,
        Ask::List { id } => list(app, id.as_deref()).await,
        Ask::Remove { id, by } => remove(app, &id, &by.said()?, actor).await,
    }
}

async fn add(app: &App, merchant_id: &str, said: &Said, actor: &Actor) -> Answer {
    let merchant = merchant(app, merchant_id).await?.id;
    let row = said.row(&app.keys, merchant, actor, app.clock.now());
    let names = names(app).await?;
    let whose = |known: &RuleRow| names.get(&known.merchant).map_or("?", String::as_str).to_owned();
    let all = app.store.credit_rules().await.map_err(text)?;
    for known in all.iter().filter(|known| known.connector == said.connector) {
        if known.hash == row.hash && known.merchant == merchant {
            return Err(format!("merchant `{merchant_id}` has a rule for {} already", named(known)));
        }
        if known.merchant != merchant && opened(&app.keys, known)?.overlaps(&said.words) {
            return Err(format!(
                "{} and the rule of merchant `{}` for {} would take the same credits; choose other words, or remove that \
                 one first",
                named(&row),
                whose(known),
                named(known)
            ));
        }
    }
    let what = format!("credit rule added: {}", named(&row));
    if app.writer.write_for(merchant, rule_add(&row, &what, actor)).await.map_err(text)? == 0 {
        return Err("somebody else has just made this rule; see `hundi merchant rule list`".to_owned());
    }
    list(app, Some(merchant_id)).await
}

async fn remove(app: &App, merchant_id: &str, said: &Said, actor: &Actor) -> Answer {
    let merchant = merchant(app, merchant_id).await?.id;
    let row = said.row(&app.keys, merchant, actor, app.clock.now());
    let what = format!("credit rule removed: {}", named(&row));
    if app.writer.write_for(merchant, rule_remove(&row, &what, actor, row.at)).await.map_err(text)? == 0 {
        let has = named(&row);
        return Err(format!("merchant `{merchant_id}` has no rule for {has}; `hundi merchant rule list` shows all"));
    }
    list(app, Some(merchant_id)).await
}

async fn list(app: &App, merchant_id: Option<&str>) -> Answer {
    let only = match merchant_id {
        Some(id) => Some(merchant(app, id).await?.id),
        None => None,
    };
    let names = names(app).await?;
    let all = app.store.credit_rules().await.map_err(text)?;
    let shown = all.iter().filter(|rule| only.is_none_or(|only| only == rule.merchant)).map(|rule| {
        json!({
            "merchant_id": names.get(&rule.merchant), "connector": rule.connector.as_str(),
            "account": rule.account.then(|| format!("..{}", rule.shown)), "words": (!rule.account).then_some(&rule.shown),
            "by": rule.actor, "at": rule.at.to_string(),
        })
    });
    Ok(Value::Array(shown.collect()))
}

/// The rules of a connector, ready to be asked.
#[derive(Debug, Default)]
pub struct Rules {
    accounts: HashMap<[u8; 32], MerchantId>,
    words: Vec<(Words, MerchantId)>,
}

impl Rules {
    /// Reads them.
    pub async fn of(store: &Store, connector: Connector) -> Result<Rules, String> {
        let mut rules = Rules::default();
        for rule in store.credit_rules().await.map_err(text)?.into_iter().filter(|rule| rule.connector == connector) {
            if rule.account {
                rules.accounts.insert(rule.hash, rule.merchant);
            } else {
                let words = Words::parse(&rule.shown).map_err(|why| format!("the rule of {} {why}", named(&rule)))?;
                rules.words.push((words, rule.merchant));
            }
        }
        Ok(rules)
    }

    /// The merchants whose rules a line meets: one, or it is nobody's.
    pub fn whose(&self, keys: &Keys, line: &Line) -> BTreeSet<MerchantId> {
        let named = line.references.iter().chain(&line.bank_references).chain(&line.narrated);
        let fields = named.chain([&line.narration, &line.paid_into]);
        let fields: Vec<Vec<String>> = fields.map(|field| words(field)).collect();
        let said = self.words.iter().filter(|(rule, _)| fields.iter().any(|field| rule.is_in(field)));
        let mut whose: BTreeSet<MerchantId> = said.map(|(_, merchant)| *merchant).collect();
        if !self.accounts.is_empty() {
            let each = fields.iter().flatten().filter(|word| Words::account(word).is_ok());
            let known = each.filter_map(|word| self.accounts.get(&hash(keys, true, word)));
            whose.extend(known);
            // One that the bank writes in groups.
            let whole: Option<Words> = Words::account(&line.paid_into).ok();
            whose.extend(whole.and_then(|whole| self.accounts.get(&hash(keys, true, &whole.to_string()))));
        }
        whose
    }
}
