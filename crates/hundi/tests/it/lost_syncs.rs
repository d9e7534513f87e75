//! The power goes: what was not synced is lost, in part or torn. What was acknowledged is there, and the books agree.

use super::on_disk::{Promise, Shop};
use crate::score::score;
use hundi_core::plant::{Plant, choose};
use hundi_faultfs::{End, Keep, Moment};

/// How many moments at which the power goes; `HUNDI_POWER_CUTS` says otherwise.
const CUTS: u64 = 300;
/// A load: so many waves of so many payouts at once.
const WAVES: usize = 3;
const AT_ONCE: usize = 4;

fn cuts() -> u64 {
    std::env::var("HUNDI_POWER_CUTS").map_or(CUTS, |cuts| cuts.parse().unwrap())
}

/// The sum of what happened.
#[derive(Default, Debug)]
struct Total {
    promises: usize,
    lost: usize,
    crashes: u64,
    writes_lost: u64,
}

/// A load during which the power goes, and the next start. Gives back the promises that were lost.
async fn cut(seed: u64, moment: Moment, total: &mut Total) -> (Shop, Vec<Promise>) {
    let mut shop = Shop::open(seed).await;
    shop.disk.end_at(moment, End::Power(Keep::Drawn));
    for _ in 0..WAVES {
        if shop.disk.is_on() {
            shop.order(AT_ONCE).await;
        }
    }
    // If the moment has not come yet, it comes while Hundi ends quietly and folds its log, or never.
    let shop = if shop.disk.is_on() { shop.stop_and_start_again().await } else { shop.start_again().await };
    let (lost, tally) = (shop.broken_promises().await, shop.disk.tally());
    total.promises += shop.promises.len();
    total.lost += lost.len();
    total.crashes += tally.crashes;
    total.writes_lost += tally.writes_lost;
    (shop, lost)
}

#[tokio::test(start_paused = true)]
async fn what_was_acknowledged_survives_the_loss_of_power() {
    let mut total = Total::default();
    let mut unheard = 0;
    let mut seed = 0;
    while total.crashes < cuts() {
        let moment = moment(seed);
        let (mut shop, lost) = cut(seed, moment, &mut total).await;
        assert!(lost.is_empty(), "seed {seed}, {moment:?}: {lost:?}");
        unheard += shop.unknown.len();
        shop.settles().await;
        seed += 1;
    }
    println!("{seed} seeds, {unheard} orders without an answer, {total:?}");
    assert!(unheard > 100 && total.promises > 1_000 && total.writes_lost > 100, "nothing happened: {total:?}");
    score(5, "losses of power without a loss of a payout", total.crashes);
}

/// The control: if commits are not synced, the very same loses payouts, and this sees it.
#[tokio::test(start_paused = true)]
async fn without_a_sync_at_each_commit_the_same_loses_payouts() {
    choose(Some(Plant::SynchronousNormal)).unwrap();
    let mut total = Total::default();
    for seed in 0..60 {
        cut(seed, moment(seed), &mut total).await;
    }
    println!("{total:?}");
    assert!(total.lost > 0, "nothing was lost: {total:?}");
    score(5, "payouts lost by the control, which does not sync (must be some)", total.lost as u64);
}

/// The power goes, and again while Hundi reads what the first loss has left.
#[tokio::test(start_paused = true)]
async fn the_power_goes_again_while_hundi_starts() {
    let mut again = 0;
    for seed in 0..40 {
        let mut shop = Shop::open(seed).await;
        shop.order(AT_ONCE).await;
        shop.disk.crash(Keep::Drawn, seed);
        let mut shop = shop.start_again_and_lose_power(Moment::Write(1 + seed % 10)).await;
        again += u64::from(shop.disk.tally().crashes > 1);
        let lost = shop.broken_promises().await;
        assert!(lost.is_empty(), "seed {seed}: {lost:?}");
        shop.settles().await;
    }
    assert!(again > 20, "the power went again only {again} times");
    score(5, "losses of power while Hundi starts", again);
}

/// A moment of a load, drawn from the seed.
fn moment(seed: u64) -> Moment {
    let nth = 1 + seed / 3 * 7 % 24;
    [Moment::Write(nth * 5), Moment::BeforeSync(nth), Moment::AfterSync(nth)][usize::try_from(seed % 3).unwrap()]
}
