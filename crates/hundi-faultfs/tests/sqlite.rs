//! SQLite on a disk of this crate: what survives what.
#![allow(clippy::unwrap_used)]

use hundi_faultfs::{Disk, End, Fault, FileKind, Keep, Moment, act_as, take_slept};
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::time::Duration;

fn open(disk: &Disk) -> Connection {
    try_open(disk).unwrap()
}

fn try_open(disk: &Disk) -> rusqlite::Result<Connection> {
    let connection = Connection::open(disk.folder().join("t.db"))?;
    connection.busy_timeout(Duration::from_secs(4))?;
    connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")?;
    Ok(connection)
}

/// A database with a table, on a new disk.
fn made(seed: u64) -> (Disk, Connection) {
    act_as(1);
    let disk = Disk::new(seed);
    let connection = open(&disk);
    connection.execute_batch("CREATE TABLE t (x INTEGER PRIMARY KEY, filling BLOB)").unwrap();
    (disk, connection)
}

fn insert(connection: &Connection, x: i64) -> rusqlite::Result<()> {
    connection.execute("INSERT INTO t VALUES (?1, zeroblob(3000))", [x]).map(|_| ())
}

fn found(connection: &Connection) -> Vec<i64> {
    let mut statement = connection.prepare("SELECT x FROM t ORDER BY x").unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

fn sound(connection: &Connection) {
    let said: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(said, "ok");
}

fn code(error: &rusqlite::Error) -> ErrorCode {
    error.sqlite_error_code().unwrap()
}

#[test]
fn what_was_committed_survives_every_loss_of_power() {
    let (mut torn, mut unheard) = (0, 0);
    for seed in 0..300 {
        let (disk, connection) = made(seed);
        connection.execute_batch("PRAGMA wal_autocheckpoint = 20").unwrap();
        let nth = 1 + seed % 60;
        let moment = [Moment::Write(nth * 3), Moment::BeforeSync(nth), Moment::AfterSync(nth)][(seed % 3) as usize];
        disk.end_at(moment, End::Power(Keep::Drawn));
        let committed: Vec<i64> = (1..=100).take_while(|x| insert(&connection, *x).is_ok()).collect();
        assert!(!disk.is_on(), "{moment:?} never came");
        // A dead process does nothing: it neither reads nor writes, and it leaves nothing behind when it goes.
        assert!(connection.query_row("SELECT COUNT(*) FROM t", [], |row| row.get::<_, i64>(0)).is_err());
        assert!(try_open(&disk).is_err());
        drop(connection);
        disk.power_on();
        let connection = open(&disk);
        sound(&connection);
        let left = found(&connection);
        let more = left.len() - committed.len();
        assert_eq!(left[..committed.len()], committed, "seed {seed}");
        assert!(more <= 1, "seed {seed}: {left:?} after {committed:?}");
        unheard += more;
        torn += u64::from(disk.tally().writes_lost > 0);
        insert(&connection, 1000).unwrap();
    }
    assert!(torn > 100 && unheard > 20, "{torn} lost writes, {unheard} commits that nobody heard of");
}

/// The negative control of this crate: without a sync at each commit, the same loses something.
#[test]
fn what_is_not_synced_is_lost() {
    let mut lost = 0;
    for seed in 0..50 {
        let (disk, connection) = made(seed);
        connection.execute_batch("PRAGMA synchronous = NORMAL").unwrap();
        (1..=10).for_each(|x| insert(&connection, x).unwrap());
        disk.crash(Keep::Drawn, seed);
        drop(connection);
        disk.power_on();
        let connection = open(&disk);
        sound(&connection);
        lost += u64::from(found(&connection).len() < 10);
    }
    assert!(lost > 20, "only {lost} of 50 lost anything");
}

#[test]
fn the_same_seed_leaves_the_same_bytes() {
    let run = |seed: u64| {
        let (disk, connection) = made(seed);
        (1..=10).for_each(|x| insert(&connection, x).unwrap());
        connection.execute_batch("PRAGMA synchronous = OFF; PRAGMA wal_checkpoint").unwrap();
        disk.crash(Keep::Sectors, seed);
        (disk.read("t.db"), disk.tally())
    };
    let (first, again, other) = (run(3), run(3), run(4));
    assert_eq!(first, again);
    assert_ne!(first.0, other.0);
}

#[test]
fn a_kill_keeps_what_was_written_and_leaves_others_alone() {
    let (disk, first) = made(1);
    insert(&first, 1).unwrap();
    act_as(2);
    let second = open(&disk);
    insert(&second, 2).unwrap();
    first.execute_batch("BEGIN IMMEDIATE; INSERT INTO t VALUES (3, NULL)").unwrap();
    disk.kill(1);
    assert!(first.execute_batch("COMMIT").is_err());
    act_as(1);
    assert!(try_open(&disk).is_err(), "it is dead");
    act_as(2);
    assert_eq!(found(&second), [1, 2]);
    drop(first);
    insert(&second, 4).unwrap();
    assert_eq!(found(&second), [1, 2, 4]);
    // The last one to be killed takes the index along; the next builds it anew from the log, synced or not.
    second.execute_batch("PRAGMA synchronous = NORMAL").unwrap();
    insert(&second, 5).unwrap();
    disk.kill(2);
    act_as(3);
    let third = open(&disk);
    assert_eq!(found(&third), [1, 2, 4, 5]);
    drop(second);
    insert(&third, 6).unwrap();
    sound(&third);
    assert_eq!(disk.tally().kills, 2);
}

#[test]
fn a_process_dies_at_its_sync_and_its_commit_is_there() {
    let (disk, first) = made(1);
    for (moment, x) in [(Moment::BeforeSync(1), 10), (Moment::AfterSync(1), 11), (Moment::Write(1), 12)] {
        act_as(x);
        let connection = open(&disk);
        disk.end_at(moment, End::Process);
        insert(&connection, i64::try_from(x).unwrap()).unwrap_err();
    }
    assert!(disk.is_on());
    insert(&first, 1).unwrap();
    // Whoever has died before the end of his commit has not committed: the index does not say so.
    assert_eq!(found(&first), [1]);
}

#[test]
fn writers_wait_for_each_other_without_time_passing() {
    let (disk, first) = made(1);
    act_as(2);
    let second = open(&disk);
    first.execute_batch("BEGIN IMMEDIATE").unwrap();
    let began = std::time::Instant::now();
    take_slept();
    let error = second.execute_batch("BEGIN IMMEDIATE").unwrap_err();
    assert_eq!(code(&error), ErrorCode::DatabaseBusy);
    let slept = take_slept();
    assert!(slept > Duration::from_millis(3_500) && slept < Duration::from_millis(4_500), "{slept:?}");
    assert!(began.elapsed() < Duration::from_secs(2));
    // A reader sees what was committed when it began, also beyond a checkpoint.
    insert(&first, 1).unwrap();
    first.execute_batch("COMMIT").unwrap();
    second.execute_batch("BEGIN").unwrap();
    assert_eq!(found(&second), [1]);
    insert(&first, 2).unwrap();
    first.execute_batch("PRAGMA wal_checkpoint").unwrap();
    assert_eq!(found(&second), [1]);
    second.execute_batch("COMMIT").unwrap();
    assert_eq!(found(&second), [1, 2]);
}

#[test]
fn faults_reach_sqlite() {
    for (fault, file, expected) in [
        (Fault::WriteError, FileKind::Wal, ErrorCode::SystemIoFailure),
        (Fault::SyncError, FileKind::Wal, ErrorCode::SystemIoFailure),
        (Fault::Full, FileKind::Wal, ErrorCode::DiskFull),
    ] {
        let (disk, connection) = made(1);
        insert(&connection, 1).unwrap();
        disk.inject_on(file, fault, 1);
        assert_eq!(code(&insert(&connection, 2).unwrap_err()), expected, "{fault:?}");
        assert_eq!(disk.tally().fired[&fault], 1);
        insert(&connection, 3).unwrap();
        assert_eq!(found(&connection), [1, 3], "{fault:?}");
    }
    let (disk, connection) = made(1);
    disk.inject(Fault::CommitUnheard, 1);
    assert_eq!(code(&insert(&connection, 1).unwrap_err()), ErrorCode::SystemIoFailure);
    assert_eq!(found(&open(&disk)), [1], "it stands");
    insert(&connection, 2).unwrap();
    drop(connection);
    disk.crash(Keep::Nothing, 1);
    disk.power_on();
    assert_eq!(found(&open(&disk)), [1, 2]);
    let (disk, connection) = made(1);
    disk.rate(Fault::Busy, 1_000_000);
    assert_eq!(code(&insert(&connection, 1).unwrap_err()), ErrorCode::DatabaseBusy);
    disk.heal();
    insert(&connection, 1).unwrap();
    connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    drop(connection);
    for (fault, expected) in
        [(Fault::ReadError, Some(ErrorCode::SystemIoFailure)), (Fault::ShortRead, None), (Fault::FlippedByte, None)]
    {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE;
        let connection = Connection::open_with_flags(disk.folder().join("t.db"), flags).unwrap();
        disk.rate(fault, 1_000_000);
        let read = connection.query_row("SELECT COUNT(*) FROM t", [], |row| row.get::<_, i64>(0));
        disk.heal();
        assert!(disk.tally().fired[&fault] > 0);
        if expected.is_some() {
            assert_eq!(read.err().map(|error| code(&error)), expected, "{fault:?}");
        }
    }
}

#[test]
fn a_full_disk_has_room_again() {
    let (disk, connection) = made(1);
    insert(&connection, 1).unwrap();
    disk.limit(Some(disk.used() + 9_000));
    let mut x = 1;
    let error = loop {
        x += 1;
        if let Err(error) = insert(&connection, x) {
            break error;
        }
    };
    assert_eq!(code(&error), ErrorCode::DiskFull);
    assert_eq!(found(&connection), (1..x).collect::<Vec<_>>());
    disk.limit(None);
    insert(&connection, x).unwrap();
    assert!(disk.tally().fired[&Fault::Full] > 0);
    sound(&connection);
}

#[test]
fn a_byte_that_rots_stays_so() {
    let (disk, connection) = made(1);
    connection.execute("INSERT INTO t VALUES (1, CAST('the quick brown fox' AS BLOB))", []).unwrap();
    connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    drop(connection);
    let bytes = disk.read("t.db").unwrap();
    let at = bytes.windows(5).position(|window| window == b"quick").unwrap();
    assert!(disk.rot("t.db", at, b'q' ^ b'Q'));
    assert!(!disk.rot("t.db", bytes.len(), 1) && !disk.rot("none", 0, 1));
    let filling: Vec<u8> = open(&disk).query_row("SELECT filling FROM t", [], |row| row.get(0)).unwrap();
    assert_eq!(filling, b"the Quick brown fox");
}

#[test]
fn other_paths_are_where_they_always_were() {
    let disk = Disk::new(1);
    let path = std::env::temp_dir().join(format!("hundi-faultfs-{}.db", std::process::id()));
    let connection = Connection::open(&path).unwrap();
    connection
        .execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (x, filling); INSERT INTO t VALUES (1, 2)")
        .unwrap();
    disk.crash(Keep::Nothing, 1);
    assert_eq!(found(&connection), [1]);
    drop(connection);
    assert!(path.exists());
    std::fs::remove_file(&path).unwrap();
    let missing = Connection::open(format!("{}-other/t.db", disk.folder().display()));
    assert_eq!(code(&missing.unwrap_err()), ErrorCode::CannotOpen);
}
