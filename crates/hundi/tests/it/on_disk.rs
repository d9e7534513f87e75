//! The world of [`super::support`] on a disk that fails, and a merchant who remembers what he was promised.

use super::process::auditor::agrees;
use super::support::{Folder, START, World, bank};
use hundi::clock::Clock;
use hundi::store::Store;
use hundi_bank::{Bank, Faults};
use hundi_core::ids::PayoutId;
use hundi_core::schedule::DAY;
use hundi_faultfs::{Disk, End, Keep, Moment, act_as};
use std::sync::Arc;
use std::time::Duration;

/// Beneficiaries whose payouts end well at once, end badly, end later, and are paid without an answer.
const ACCOUNTS: [&str; 6] = ["50100010001", "50100010002", "50100010222", "50100010003", "50100010444", "50100010666"];
/// Until every payout has ended.
const SETTLES_WITHIN: Duration = Duration::from_secs(600);

/// An order of the merchant.
#[derive(Clone, Debug)]
pub struct Sent {
    order: String,
    rupees: i64,
    account: &'static str,
}

/// An order, and our number for it that the answer named.
#[derive(Clone, Debug)]
pub struct Promise {
    sent: Sent,
    ours: String,
}

/// A merchant, and the Hundi that he orders from.
pub struct Shop {
    pub disk: Disk,
    pub world: World,
    pub promises: Vec<Promise>,
    /// What he was told "unknown" about.
    pub unknown: Vec<Sent>,
    token: String,
    process: u64,
    last: usize,
}

impl Shop {
    /// A Hundi on a new disk. Everything so far is on the medium.
    pub async fn open(seed: u64) -> Shop {
        let disk = Disk::new(seed);
        act_as(1);
        let mut world = start(&disk, Arc::new(Folder::new()), bank(Faults::default(), seed), Clock::held(START)).await;
        world.furnish().await;
        let token = world.token.clone();
        let survivors = world.stop().await;
        let world = restart(&disk, 2, &token, survivors).await;
        Shop { disk, world, promises: Vec::new(), unknown: Vec::new(), token, process: 2, last: 0 }
    }

    /// Orders so many payouts at once.
    pub async fn order(&mut self, count: usize) {
        let from = self.last;
        self.last += count;
        let wave = (from..self.last).map(|number| Sent {
            order: format!("ORDER-{number}"),
            rupees: 1 + i64::try_from(number % 97).unwrap(),
            account: ACCOUNTS[number % ACCOUNTS.len()],
        });
        self.send(wave.collect()).await;
    }

    /// Sends again what he was told "unknown" about, with the same OrderIDs.
    pub async fn ask_again(&mut self) {
        let again = std::mem::take(&mut self.unknown);
        self.send(again).await;
    }

    async fn send(&mut self, wave: Vec<Sent>) {
        let world = &self.world;
        let answers = wave.iter().map(|sent| world.pay(&sent.order, sent.rupees, sent.account));
        let answers = futures_util::future::join_all(answers).await;
        for (sent, answer) in wave.into_iter().zip(answers) {
            match answer.code() {
                6 => {
                    assert_eq!(answer.status, 200, "{answer:?}");
                    self.unknown.push(sent);
                }
                0..=2 => {
                    let json = answer.json();
                    assert_eq!(json["Data"]["ClientOrderID"], sent.order, "{answer:?}");
                    let ours = json["Data"]["OrderID"].as_str().unwrap().to_owned();
                    self.promises.push(Promise { sent, ours });
                }
                _ => panic!("{answer:?}"),
            }
        }
    }

    /// Ends Hundi and starts it on what is left. What would still be written by the old one is not.
    pub async fn start_again(self) -> Shop {
        self.disk.kill(self.process);
        let Shop { world, disk, promises, unknown, token, process, last } = self;
        let (folder, bank, clock) = world.kill();
        let world = restart(&disk, process + 1, &token, (folder, bank, clock)).await;
        Shop { world, disk, promises, unknown, token, process: process + 1, last }
    }

    /// The same, but the power goes during the first try of it.
    pub async fn start_again_and_lose_power(self, moment: Moment) -> Shop {
        self.disk.kill(self.process);
        let Shop { world, disk, promises, unknown, token, process, last } = self;
        let app = Arc::clone(&world.app);
        let survivors = world.kill();
        disk.power_on();
        act_as(process + 1);
        disk.end_at(moment, End::Power(Keep::Drawn));
        // What a start does before it serves; where it stops, the power has gone.
        if let Ok(store) = Store::open(&app.config, &app.clock, true).await {
            let prepared = hundi::prepare(&store, &app.keys).await.is_ok();
            let leased = prepared && hundi::process::lease(&store, app.clock.now(), DAY).await.is_ok();
            assert!(leased || !disk.is_on());
        }
        disk.kill(process + 1);
        let world = restart(&disk, process + 2, &token, survivors).await;
        Shop { world, disk, promises, unknown, token, process: process + 2, last }
    }

    /// The same, with a quiet end that may not come to its end either.
    pub async fn stop_and_start_again(self) -> Shop {
        let Shop { world, disk, promises, unknown, token, process, last } = self;
        let survivors = world.stop().await;
        disk.kill(process);
        let world = restart(&disk, process + 1, &token, survivors).await;
        Shop { world, disk, promises, unknown, token, process: process + 1, last }
    }

    /// The promises that are not kept: I4.
    pub async fn broken_promises(&self) -> Vec<Promise> {
        let mut broken = Vec::new();
        let store = self.view().await;
        for promise in &self.promises {
            let answer = self.world.status(&promise.sent.order).await;
            let kept = answer.json()["Data"]["OrderID"] == *promise.ours;
            let ours = PayoutId(promise.ours.parse().unwrap());
            let merchant = store.merchants().await.unwrap()[0].id;
            let payout = store.payout(merchant, ours).await.unwrap();
            let amount = payout.map(|payout| payout.order.amount.paise());
            if !kept || amount != Some(promise.sent.rupees * 100) {
                broken.push(promise.clone());
            }
        }
        broken
    }

    /// Lets everything end, and panics unless the laws hold, every promise is kept and the bank's book agrees.
    pub async fn settles(&mut self) {
        self.world.verify().await;
        self.ask_again().await;
        assert!(self.unknown.is_empty(), "not answered: {:?}", self.unknown);
        self.world.pass(SETTLES_WITHIN).await;
        let broken = self.broken_promises().await;
        assert!(broken.is_empty(), "{broken:?}");
        self.world.verify().await;
        let payouts = agrees(&self.view().await, &self.world.book().await, "demo").await;
        assert_eq!(payouts.len(), self.promises.len(), "payouts that nobody ordered, or one that was ordered twice");
    }

    /// The store as it is.
    pub async fn view(&self) -> Store {
        Store::open_view(&self.world.app.config, &self.world.app.clock).await.unwrap()
    }
}

/// A disk that fails no more, and Hundi on what is left on it.
async fn restart(disk: &Disk, process: u64, token: &str, survivors: (Arc<Folder>, Arc<Bank>, Clock)) -> World {
    disk.heal();
    disk.power_on();
    act_as(process);
    let (folder, bank, clock) = survivors;
    let mut world = start(disk, folder, bank, clock).await;
    token.clone_into(&mut world.token);
    world
}

async fn start(disk: &Disk, folder: Arc<Folder>, bank: Arc<Bank>, clock: Clock) -> World {
    let data = disk.folder().to_owned();
    World::start(folder, bank, clock, |config| config.data = data).await
}
