//! Who waits outside: while several merchants pay, each has only so many payments inside at once.
//!
//! Everything inside is served in the order in which it came: the cores, the writer, the bank's connections. So whoever
//! offers more than the machine can do makes a queue in which all others stand too, and a merchant with ten payouts a
//! second would wait as long as the one with ten thousand. So the rest of a busy merchant's payments wait here, where
//! nobody else stands behind them:
//!
//! | who pays | how many of his payments are inside |
//! |---|---|
//! | nobody else, for a second | all |
//! | others too, but none of theirs is inside now | `PLACES` |
//! | others too, and theirs are inside | `MORE` more than those of all others together, at most `PLACES` |
//!
//! So two who are equally busy have as many places each as one beside whom little is paid, and whoever pays little finds
//! little before him: as long as his payment is inside, a few milliseconds, the busy one gets hardly any new place.

use crate::locked;
use hundi_core::ids::MerchantId;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::oneshot;

/// So many payments of one merchant are inside while others pay too. Enough to keep the writer's batches large.
const PLACES: usize = 80;
/// So many more than all others have inside are inside of one merchant, while others have any.
const MORE: usize = 8;
/// A place is given back after so long even if the bank has not answered: a slow bank is no load.
pub const HELD: Duration = Duration::from_millis(20);
/// Whoever has offered nothing for so long pays no more, microseconds.
const SILENT_US: i64 = 1_000_000;

/// The door of the merchant API.
#[derive(Clone, Default)]
pub struct Door(Arc<Mutex<House>>);

#[derive(Default)]
struct House {
    /// The merchants who have paid lately.
    merchants: BTreeMap<MerchantId, Queue>,
    /// Those of them who have payments outside.
    outside: BTreeSet<MerchantId>,
    /// Payments inside, of all.
    inside: usize,
    /// When those who are silent were last forgotten.
    swept_us: i64,
}

/// The payments of one merchant.
#[derive(Default)]
struct Queue {
    /// When he last offered one, on the clock that never goes back.
    last_us: i64,
    inside: usize,
    /// Those who wait, in the order in which they came.
    outside: VecDeque<oneshot::Sender<Place>>,
}

/// A place inside; given back when it is dropped.
pub struct Place {
    /// `None`: it was never taken.
    door: Option<Door>,
    merchant: MerchantId,
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(door) = self.door.take() else { return };
        let mut house = locked(&door.0);
        if let Some(queue) = house.merchants.get_mut(&self.merchant) {
            queue.inside -= 1;
            house.inside -= 1;
        }
        house.admit(&door);
    }
}

impl Door {
    /// Waits for a place. Whoever stops waiting loses nothing but his turn.
    pub async fn enter(&self, merchant: MerchantId, now_us: i64) -> Place {
        let (send, admitted) = oneshot::channel();
        {
            let mut house = locked(&self.0);
            house.sweep(now_us);
            let queue = house.merchants.entry(merchant).or_default();
            queue.last_us = now_us;
            queue.outside.push_back(send);
            house.outside.insert(merchant);
            house.admit(self);
        }
        // The other end lies in the queue until it has sent a place: there is always one.
        admitted.await.unwrap_or(Place { door: None, merchant })
    }
}

impl House {
    /// Lets all in for whom there is room. Few wait at any time: those who are busy.
    fn admit(&mut self, door: &Door) {
        // Whom one lets in makes room for the others.
        while self.outside.clone().into_iter().any(|merchant| self.admit_of(merchant, door)) {}
    }

    /// Lets those of a merchant in for whom there is room; whether there was one.
    fn admit_of(&mut self, merchant: MerchantId, door: &Door) -> bool {
        let alone = self.merchants.len() == 1;
        let Some(queue) = self.merchants.get_mut(&merchant) else { return false };
        let others = self.inside - queue.inside;
        let most = match others {
            _ if alone => usize::MAX,
            0 => PLACES,
            _ => PLACES.min(others + MORE),
        };
        let before = queue.inside;
        while queue.inside < most {
            let Some(next) = queue.outside.pop_front() else { break };
            match next.send(Place { door: Some(door.clone()), merchant }) {
                Ok(()) => queue.inside += 1,
                // Nobody waits for it any more. It must not be given back: the house is locked, and it was never taken.
                Err(mut place) => place.door = None,
            }
        }
        if queue.outside.is_empty() {
            self.outside.remove(&merchant);
        }
        let more = queue.inside - before;
        self.inside += more;
        more > 0
    }

    /// Forgets those who are silent.
    fn sweep(&mut self, now_us: i64) {
        if !(0..SILENT_US).contains(&(now_us - self.swept_us)) {
            self.merchants.retain(|_, queue| {
                let pays = (0..SILENT_US).contains(&(now_us - queue.last_us));
                pays || queue.inside > 0 || !queue.outside.is_empty()
            });
            self.swept_us = now_us;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    const MANY: MerchantId = MerchantId(1);
    const FEW: MerchantId = MerchantId(2);

    /// So many payments that ask for a place at once, and the places of those that are let in.
    fn offer(door: &Door, merchant: MerchantId, count: usize, now_us: i64) -> Vec<Place> {
        (0..count).filter_map(|_| door.enter(merchant, now_us).now_or_never()).collect()
    }

    #[test]
    fn only_who_pays_beside_others_has_a_limit() {
        let door = Door::default();
        let busy = offer(&door, MANY, 3 * PLACES, SILENT_US);
        assert_eq!(busy.len(), 3 * PLACES, "alone");
        let few = offer(&door, FEW, 1, SILENT_US);
        assert_eq!(few.len(), 1, "the other's places are his own");
        assert!(offer(&door, MANY, 1, SILENT_US).is_empty(), "there are too many of his");
        drop(busy);
        let mut busy = offer(&door, MANY, 3 * PLACES, SILENT_US);
        assert_eq!(busy.len(), 1 + MORE, "while one of the other is inside");
        drop(few);
        busy.extend(offer(&door, MANY, 3 * PLACES, SILENT_US));
        assert_eq!(busy.len(), PLACES, "while none of the other is");
        drop(busy);
        assert_eq!(offer(&door, MANY, 3 * PLACES, 2 * SILENT_US).len(), 3 * PLACES, "the other is silent for a second");
        assert_eq!(locked(&door.0).merchants.len(), 1);
    }

    #[test]
    fn who_waits_comes_in_when_there_is_room() {
        let door = Door::default();
        let few = offer(&door, FEW, 1, SILENT_US);
        let mut busy = offer(&door, MANY, 1 + MORE, SILENT_US);
        let mut waiting: Vec<_> = (0..PLACES).map(|_| Box::pin(door.enter(MANY, SILENT_US))).collect();
        let mut let_in = |busy: &mut Vec<Place>| {
            waiting.retain_mut(|enter| match enter.now_or_never() {
                Some(place) => {
                    busy.push(place);
                    false
                }
                None => true,
            });
            busy.len()
        };
        assert_eq!(let_in(&mut busy), 1 + MORE, "none");
        drop(busy.pop());
        assert_eq!(let_in(&mut busy), 1 + MORE, "one for one");
        let more = offer(&door, FEW, 4, SILENT_US);
        assert_eq!((let_in(&mut busy), more.len()), (5 + MORE, 4), "the other has more inside");
        drop((few, more));
        assert_eq!(let_in(&mut busy), PLACES, "the other has none");
        waiting.clear();
        drop(busy);
        assert_eq!(locked(&door.0).inside, 0, "those who have gone take no place");
        assert_eq!(offer(&door, FEW, 1, SILENT_US).len(), 1);
    }

    #[test]
    fn two_who_are_busy_have_all_places() {
        let door = Door::default();
        let (mut some, mut others) = (Vec::new(), Vec::new());
        for _ in 0..3 * PLACES {
            some.extend(offer(&door, MANY, 1, SILENT_US));
            others.extend(offer(&door, FEW, 1, SILENT_US));
        }
        assert_eq!((some.len(), others.len()), (PLACES, PLACES));
    }
}
