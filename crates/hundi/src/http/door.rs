//! Who waits outside: while several merchants pay, each has only so many payments inside at once.
//!
//! Everything inside is served in the order in which it came: the cores, the writer, the bank's connections. So whoever
//! offers more than the machine can do makes a queue in which all others stand too, and a merchant with ten payouts a
//! second would wait as long as the one with ten thousand. With room for `PLACES` of each inside, the rest of a busy
//! merchant's payments wait here, where nobody else stands behind them. A merchant who is alone has no such limit.

use crate::locked;
use hundi_core::ids::MerchantId;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So many payments of one merchant are inside while others pay too. Enough to keep the writer's batches large.
const PLACES: usize = 96;
/// A place is given back after so long even if the bank has not answered: a slow bank is no load.
pub const HELD: Duration = Duration::from_millis(20);
/// Whoever has offered nothing for so long pays no more, microseconds.
const SILENT_US: i64 = 1_000_000;

/// The door of the merchant API.
#[derive(Default)]
pub struct Door(Mutex<Inside>);

#[derive(Default)]
struct Inside {
    /// The merchants who have paid lately, with when they last did, on the clock that never goes back.
    merchants: BTreeMap<MerchantId, (i64, Arc<Semaphore>)>,
    /// When those who are silent were last forgotten.
    swept_us: i64,
}

impl Door {
    /// Waits for a place; `None` where none is needed. A place is given back when it is dropped.
    pub async fn enter(&self, merchant: MerchantId, now_us: i64) -> Option<OwnedSemaphorePermit> {
        let places = {
            let mut inside = locked(&self.0);
            if !(0..SILENT_US).contains(&(now_us - inside.swept_us)) {
                inside.merchants.retain(|_, (last_us, places)| {
                    (0..SILENT_US).contains(&(now_us - *last_us)) || places.available_permits() < PLACES
                });
                inside.swept_us = now_us;
            }
            let known = inside.merchants.entry(merchant).or_insert_with(|| (now_us, Arc::new(Semaphore::new(PLACES))));
            known.0 = now_us;
            let places = Arc::clone(&known.1);
            (inside.merchants.len() > 1).then_some(places)?
        };
        // Nobody closes it.
        places.acquire_owned().await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    const MANY: MerchantId = MerchantId(1);
    const FEW: MerchantId = MerchantId(2);

    #[test]
    fn only_who_pays_beside_others_has_a_limit() {
        let door = Door::default();
        let enter = |merchant, now_us| door.enter(merchant, now_us).now_or_never();
        assert!(matches!(enter(MANY, SILENT_US), Some(None)), "alone");
        assert!(matches!(enter(FEW, SILENT_US), Some(Some(_))));
        let mut inside: Vec<_> = (0..PLACES).map(|_| enter(MANY, SILENT_US).flatten().unwrap()).collect();
        assert!(enter(MANY, SILENT_US).is_none(), "all his places are taken");
        assert!(matches!(enter(FEW, SILENT_US), Some(Some(_))), "the other's are not");
        inside.pop();
        assert!(matches!(enter(MANY, SILENT_US), Some(Some(_))));
        assert!(matches!(enter(MANY, 2 * SILENT_US), Some(None)), "the other has been silent for a second");
        assert_eq!(locked(&door.0).merchants.len(), 1);
    }
}
