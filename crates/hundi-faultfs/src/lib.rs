//! A disk in memory under SQLite, which loses what was not synced and fails on purpose.
//!
//! The program under test needs no change: a path below [`Disk::folder`] is on the disk, every other path is where it
//! always was. Nothing here has a thread, waits or draws a number that is not seeded, so the same calls have the same
//! effects again.
//!
//! ```
//! use hundi_faultfs::{Disk, End, Keep, Moment, act_as};
//!
//! let disk = Disk::new(7);
//! act_as(1); // what this thread opens now belongs to the process 1
//! let open = |disk: &Disk| rusqlite::Connection::open(disk.folder().join("hundi.db")).unwrap();
//! let first = open(&disk);
//! first.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE t (x)").unwrap();
//! first.execute("INSERT INTO t VALUES (1)", []).unwrap();
//! // The power goes at the next sync, just before it: its commit is heard by nobody.
//! disk.end_at(Moment::BeforeSync(1), End::Power(Keep::Nothing));
//! first.execute("INSERT INTO t VALUES (2)", []).unwrap_err();
//! assert!(!disk.is_on());
//! drop(first);
//! disk.power_on();
//! act_as(2);
//! let count: i64 = open(&disk).query_row("SELECT COUNT(*) FROM t", [], |row| row.get(0)).unwrap();
//! assert_eq!(count, 1);
//! ```
//!
//! # What ends
//!
//! | call | handles | files |
//! |---|---|---|
//! | [`Disk::crash`], [`End::Power`] | all die; nothing opens until [`Disk::power_on`] | what was synced, and of the rest what [`Keep`] says |
//! | [`Disk::kill`], [`End::Process`] | those of one process die; it opens none any more | all that was written |
//!
//! A dead handle answers every call with an I/O error: a process that is dead does nothing. Whose a handle is, [`act_as`]
//! says for the thread that opens it. A process that is started again is a new number.
//!
//! # What fails
//!
//! [`Disk::inject`] makes the n-th call fail, [`Disk::rate`] some of them by chance, [`Disk::limit`] fills the disk.
//! [`Disk::tally`] tells how often each [`Fault`] fired.
//!
//! # What it does not do
//!
//! - A statement that waits for a lock does not sleep: the time that it would have slept is added up for its thread
//!   ([`take_slept`]). So two processes that wait for each other belong on one thread, or one of them gives up at once.
//! - SQLite draws numbers of its own, such as the salt of a log, from one generator of the whole process. Nothing that can
//!   be seen through SQL depends on them.
//! - The index of the write-ahead log is shared memory, on which nothing fails. It is gone when nobody has it open.

mod content;
mod disk;
mod faults;
mod index;
mod locks;
mod process;
mod random;
mod vfs;

pub use content::Keep;
pub use disk::{Disk, End, Moment, Tally};
pub use faults::{Fault, FileKind};
pub use process::{Owner, act_as, set_time, take_slept};
