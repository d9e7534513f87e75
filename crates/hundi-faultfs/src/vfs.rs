//! The file system as SQLite calls it (<https://www.sqlite.org/vfs.html>): pointers in, [`State`] asked, codes out. The
//! only file with `unsafe`. Paths that are not below a disk's folder go to the file system that was there before.
#![allow(unsafe_code)]

use crate::disk::{Shared, State};
use crate::faults::FileKind;
use crate::locks::HandleId;
use crate::process;
use crate::random::Random;
use rusqlite::ffi::{self, sqlite3_file, sqlite3_int64, sqlite3_io_methods, sqlite3_vfs};
use std::collections::BTreeMap;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::PathBuf;
use std::ptr;
use std::sync::atomic::{Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

/// Below this folder are the folders of all disks, by their numbers.
const ROOT: &str = "/faultfs/";
/// The longest path.
const PATH_BYTES_MAX: c_int = 512;
/// What the usual file system says of a disk, so that SQLite does here what it does there.
const SECTOR_BYTES: c_int = 4096;
/// 1970 in the days that SQLite counts, in milliseconds.
const EPOCH_MS: i64 = 210_866_760_000_000;

/// The disks that there are.
static DISKS: Mutex<BTreeMap<u64, Weak<Shared>>> = Mutex::new(BTreeMap::new());

fn disks() -> MutexGuard<'static, BTreeMap<u64, Weak<Shared>>> {
    DISKS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A new disk; the file system is there with the first one.
pub(crate) fn mount(seed: u64) -> Arc<Shared> {
    base();
    let mut disks = disks();
    disks.retain(|_, disk| disk.strong_count() > 0);
    let number = disks.last_key_value().map_or(1, |(number, _)| number + 1);
    let disk = Arc::new(Shared::new(PathBuf::from(format!("{ROOT}{number}")), seed));
    disks.insert(number, Arc::downgrade(&disk));
    disk
}

/// The file system that was there before ours: where it is, and what it can do.
struct Base {
    pointer: *mut sqlite3_vfs,
    calls: sqlite3_vfs,
}

// SAFETY: SQLite's file systems are registered for good and may be called from every thread.
unsafe impl Send for Base {}
// SAFETY: as above.
unsafe impl Sync for Base {}

/// Registers ours as what SQLite opens files with, once; gives back the one before.
fn base() -> &'static Base {
    static BASE: OnceLock<Base> = OnceLock::new();
    BASE.get_or_init(|| {
        // SAFETY: no name means the default; it initializes SQLite if need be.
        let pointer = unsafe { ffi::sqlite3_vfs_find(ptr::null()) };
        assert!(!pointer.is_null(), "SQLite has no file system");
        // SAFETY: it is registered, so it is valid and stays so.
        let before = unsafe { *pointer };
        let ours = sqlite3_vfs {
            iVersion: 2,
            szOsFile: before.szOsFile.max(c_int::try_from(size_of::<File>()).unwrap_or(c_int::MAX)),
            mxPathname: before.mxPathname.max(PATH_BYTES_MAX),
            pNext: ptr::null_mut(),
            zName: c"hundi-faultfs".as_ptr(),
            pAppData: ptr::null_mut(),
            xOpen: Some(open),
            xDelete: Some(delete),
            xAccess: Some(access),
            xFullPathname: Some(full_pathname),
            xDlOpen: before.xDlOpen,
            xDlError: before.xDlError,
            xDlSym: before.xDlSym,
            xDlClose: before.xDlClose,
            xRandomness: Some(randomness),
            xSleep: Some(sleep),
            xCurrentTime: None,
            xGetLastError: None,
            xCurrentTimeInt64: Some(current_time),
            xSetSystemCall: None,
            xGetSystemCall: None,
            xNextSystemCall: None,
        };
        // SAFETY: it is valid for ever, because it is leaked.
        let code = unsafe { ffi::sqlite3_vfs_register(Box::leak(Box::new(ours)), 1) };
        assert_eq!(code, ffi::SQLITE_OK, "SQLite does not take the file system");
        Base { pointer, calls: before }
    })
}

/// What SQLite keeps for a file of ours.
#[repr(C)]
struct File {
    base: sqlite3_file,
    open: *mut Open,
}

struct Open {
    disk: Arc<Shared>,
    id: HandleId,
}

static METHODS: sqlite3_io_methods = sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

fn code(result: Result<(), c_int>) -> c_int {
    result.err().unwrap_or(ffi::SQLITE_OK)
}

/// A code, and a value for SQLite where there is one.
///
/// # Safety
///
/// `out` is a place for a `T`.
unsafe fn give<T>(out: *mut T, result: Result<T, c_int>) -> c_int {
    code(result.map(|value| {
        // SAFETY: the caller says so.
        unsafe { out.write(value) }
    }))
}

/// The disk of a path and the name on it, if it is on one.
fn on_a_disk(path: &CStr) -> Option<(Arc<Shared>, &str)> {
    let (number, name) = path.to_str().ok()?.strip_prefix(ROOT)?.split_once('/')?;
    let disk = disks().get(&number.parse().ok()?)?.upgrade()?;
    Some((disk, name))
}

/// A path of SQLite's.
///
/// # Safety
///
/// `path` is null, or a string that lives as long as the call.
unsafe fn path<'a>(path: *const c_char) -> Option<&'a CStr> {
    // SAFETY: the caller says so.
    (!path.is_null()).then(|| unsafe { CStr::from_ptr(path) })
}

/// What `File` belongs to, asked under its lock.
///
/// # Safety
///
/// `file` was opened by [`open`] as ours, and was not closed.
unsafe fn with<T>(file: *mut sqlite3_file, ask: impl FnOnce(&mut State, HandleId) -> T) -> T {
    // SAFETY: a file of ours is a `File`.
    let open = unsafe { (*file.cast::<File>()).open };
    // SAFETY: it points to what `open` has boxed, which only `close` frees.
    let open = unsafe { &*open };
    ask(&mut open.disk.state(), open.id)
}

unsafe extern "C" fn open(
    _: *mut sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite passes a path or null.
    let named = unsafe { path(name) };
    let Some((disk, name_on_disk)) = named.and_then(on_a_disk) else {
        let base = base();
        // SAFETY: the file system before ours is registered, and a file has room for its own.
        let passed_on = base.calls.xOpen.map(|open| unsafe { open(base.pointer, name, file, flags, out_flags) });
        return passed_on.unwrap_or(ffi::SQLITE_CANTOPEN);
    };
    let kind = match flags {
        flags if flags & ffi::SQLITE_OPEN_MAIN_DB != 0 => FileKind::Main,
        flags if flags & ffi::SQLITE_OPEN_WAL != 0 => FileKind::Wal,
        flags if flags & ffi::SQLITE_OPEN_MAIN_JOURNAL != 0 => FileKind::Journal,
        _ => FileKind::Other,
    };
    let opened = disk.state().open(Some(name_on_disk), kind, flags & ffi::SQLITE_OPEN_CREATE != 0);
    let methods = if opened.is_ok() { &raw const METHODS } else { ptr::null() };
    let boxed = opened.map(|id| Box::into_raw(Box::new(Open { disk, id })));
    let written = File { base: sqlite3_file { pMethods: methods }, open: boxed.unwrap_or(ptr::null_mut()) };
    // SAFETY: SQLite gives `szOsFile` bytes, aligned for every type.
    unsafe { file.cast::<File>().write(written) };
    if !out_flags.is_null() {
        // SAFETY: it is a place for a number.
        unsafe { out_flags.write(flags) };
    }
    code(boxed.map(|_| ()))
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    // SAFETY: SQLite closes a file of ours once.
    unsafe { with(file, State::close) };
    // SAFETY: a file of ours is a `File`.
    let open = unsafe { (*file.cast::<File>()).open };
    // SAFETY: `open` has made it with `Box::into_raw`, and nobody uses it after this.
    drop(unsafe { Box::from_raw(open) });
    ffi::SQLITE_OK
}

unsafe extern "C" fn read(file: *mut sqlite3_file, into: *mut c_void, length: c_int, offset: sqlite3_int64) -> c_int {
    let (Ok(length), Ok(offset)) = (usize::try_from(length), usize::try_from(offset)) else {
        return ffi::SQLITE_IOERR_READ;
    };
    // SAFETY: SQLite gives room for `length` bytes. They are written first, because it need not have done so.
    unsafe { into.write_bytes(0, length) };
    // SAFETY: as above.
    let into = unsafe { std::slice::from_raw_parts_mut(into.cast::<u8>(), length) };
    // SAFETY: it is a file of ours.
    match unsafe { with(file, |state, id| state.read(id, offset, into)) } {
        Ok(true) => ffi::SQLITE_OK,
        Ok(false) => ffi::SQLITE_IOERR_SHORT_READ,
        Err(code) => code,
    }
}

unsafe extern "C" fn write(
    file: *mut sqlite3_file,
    bytes: *const c_void,
    length: c_int,
    offset: sqlite3_int64,
) -> c_int {
    let (Ok(length), Ok(offset)) = (usize::try_from(length), usize::try_from(offset)) else {
        return ffi::SQLITE_IOERR_WRITE;
    };
    // SAFETY: SQLite has `length` bytes there.
    let bytes = unsafe { std::slice::from_raw_parts(bytes.cast::<u8>(), length) };
    // SAFETY: it is a file of ours.
    code(unsafe { with(file, |state, id| state.write(id, offset, bytes)) })
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, length: sqlite3_int64) -> c_int {
    let Ok(length) = usize::try_from(length) else { return ffi::SQLITE_IOERR_TRUNCATE };
    // SAFETY: it is a file of ours.
    code(unsafe { with(file, |state, id| state.truncate(id, length)) })
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, _: c_int) -> c_int {
    // SAFETY: it is a file of ours.
    code(unsafe { with(file, State::sync) })
}

unsafe extern "C" fn file_size(file: *mut sqlite3_file, out: *mut sqlite3_int64) -> c_int {
    // SAFETY: it is a file of ours.
    let size = unsafe { with(file, State::size) };
    let size = size.and_then(|size| i64::try_from(size).map_err(|_| ffi::SQLITE_IOERR_FSTAT));
    // SAFETY: SQLite gives a place for it.
    unsafe { give(out, size) }
}

unsafe extern "C" fn lock(file: *mut sqlite3_file, level: c_int) -> c_int {
    // SAFETY: it is a file of ours.
    code(unsafe { with(file, |state, id| state.lock(id, level)) })
}

unsafe extern "C" fn unlock(file: *mut sqlite3_file, level: c_int) -> c_int {
    // SAFETY: it is a file of ours.
    unsafe { with(file, |state, id| state.unlock(id, level)) };
    ffi::SQLITE_OK
}

unsafe extern "C" fn check_reserved_lock(file: *mut sqlite3_file, out: *mut c_int) -> c_int {
    // SAFETY: it is a file of ours.
    let reserved = unsafe { with(file, State::reserved) };
    // SAFETY: SQLite gives a place for it.
    unsafe { give(out, reserved.map(c_int::from)) }
}

unsafe extern "C" fn file_control(file: *mut sqlite3_file, what: c_int, _: *mut c_void) -> c_int {
    if what != ffi::SQLITE_FCNTL_COMMIT_PHASETWO {
        return ffi::SQLITE_NOTFOUND;
    }
    // SAFETY: it is a file of ours.
    code(unsafe { with(file, State::committed) })
}

unsafe extern "C" fn sector_size(_: *mut sqlite3_file) -> c_int {
    SECTOR_BYTES
}

unsafe extern "C" fn device_characteristics(_: *mut sqlite3_file) -> c_int {
    ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE
}

unsafe extern "C" fn shm_map(
    file: *mut sqlite3_file,
    number: c_int,
    bytes: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    let (Ok(number), Ok(bytes)) = (usize::try_from(number), usize::try_from(bytes)) else {
        return ffi::SQLITE_IOERR_SHMMAP;
    };
    // SAFETY: it is a file of ours.
    let index = unsafe { with(file, State::map) };
    // The handle keeps the index, so the region stays where it is until that is unmapped.
    let region = index.map(|index| index.region(number, bytes, extend != 0));
    let region = region.map(|region| region.map_or(ptr::null_mut(), |region| region.cast_mut().cast()));
    // SAFETY: SQLite gives a place for it.
    unsafe { give(out, region) }
}

unsafe extern "C" fn shm_lock(file: *mut sqlite3_file, first: c_int, count: c_int, flags: c_int) -> c_int {
    let bits = (0..8).filter(|bit| (first..first + count).contains(bit)).fold(0_u8, |bits, bit| bits | 1 << bit);
    if flags & ffi::SQLITE_SHM_UNLOCK != 0 {
        // SAFETY: it is a file of ours.
        unsafe { with(file, |state, id| state.unlock_index(id, bits)) };
        return ffi::SQLITE_OK;
    }
    let exclusive = flags & ffi::SQLITE_SHM_EXCLUSIVE != 0;
    // SAFETY: it is a file of ours.
    code(unsafe { with(file, |state, id| state.lock_index(id, bits, exclusive)) })
}

unsafe extern "C" fn shm_barrier(_: *mut sqlite3_file) {
    fence(Ordering::SeqCst);
}

unsafe extern "C" fn shm_unmap(file: *mut sqlite3_file, _: c_int) -> c_int {
    // SAFETY: it is a file of ours.
    unsafe { with(file, State::unmap) };
    ffi::SQLITE_OK
}

unsafe extern "C" fn delete(_: *mut sqlite3_vfs, name: *const c_char, sync_folder: c_int) -> c_int {
    // SAFETY: SQLite passes a path.
    if let Some((disk, name)) = unsafe { path(name) }.and_then(on_a_disk) {
        return code(disk.state().delete(name, sync_folder != 0));
    }
    let base = base();
    // SAFETY: the file system before ours is registered.
    let passed_on = base.calls.xDelete.map(|delete| unsafe { delete(base.pointer, name, sync_folder) });
    passed_on.unwrap_or(ffi::SQLITE_IOERR_DELETE)
}

unsafe extern "C" fn access(_: *mut sqlite3_vfs, name: *const c_char, flags: c_int, out: *mut c_int) -> c_int {
    // SAFETY: SQLite passes a path.
    if let Some((disk, name)) = unsafe { path(name) }.and_then(on_a_disk) {
        let exists = disk.state().exists(name);
        // SAFETY: SQLite gives a place for it.
        return unsafe { give(out, exists.map(c_int::from)) };
    }
    let base = base();
    // SAFETY: the file system before ours is registered.
    let passed_on = base.calls.xAccess.map(|access| unsafe { access(base.pointer, name, flags, out) });
    passed_on.unwrap_or(ffi::SQLITE_IOERR_ACCESS)
}

unsafe extern "C" fn full_pathname(_: *mut sqlite3_vfs, name: *const c_char, room: c_int, out: *mut c_char) -> c_int {
    // SAFETY: SQLite passes a path.
    if let Some(path) = unsafe { path(name) }.filter(|path| on_a_disk(path).is_some()) {
        let bytes = path.to_bytes_with_nul();
        if usize::try_from(room).is_ok_and(|room| bytes.len() <= room) {
            // SAFETY: there is room for so many, and the two do not overlap.
            unsafe { ptr::copy_nonoverlapping(bytes.as_ptr().cast(), out, bytes.len()) };
            return ffi::SQLITE_OK;
        }
        return ffi::SQLITE_CANTOPEN;
    }
    let base = base();
    // SAFETY: the file system before ours is registered.
    let passed_on = base.calls.xFullPathname.map(|full| unsafe { full(base.pointer, name, room, out) });
    passed_on.unwrap_or(ffi::SQLITE_CANTOPEN)
}

unsafe extern "C" fn randomness(_: *mut sqlite3_vfs, length: c_int, out: *mut c_char) -> c_int {
    static RANDOM: Mutex<Option<Random>> = Mutex::new(None);
    let mut random = RANDOM.lock().unwrap_or_else(PoisonError::into_inner);
    let random = random.get_or_insert_with(|| Random::new(0));
    let bytes: Vec<u8> = (0..length).map(|_| random.next().to_le_bytes()[0]).collect();
    // SAFETY: SQLite gives room for `length` bytes.
    unsafe { ptr::copy_nonoverlapping(bytes.as_ptr().cast(), out, bytes.len()) };
    length
}

unsafe extern "C" fn sleep(_: *mut sqlite3_vfs, microseconds: c_int) -> c_int {
    process::sleep(Duration::from_micros(u64::try_from(microseconds).unwrap_or_default()));
    microseconds
}

unsafe extern "C" fn current_time(_: *mut sqlite3_vfs, out: *mut sqlite3_int64) -> c_int {
    // SAFETY: SQLite gives a place for it.
    unsafe { give(out, Ok(EPOCH_MS + process::now_ms())) }
}
