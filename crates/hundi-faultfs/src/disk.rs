//! The disk: its files, who has them open, and how all of that ends.

use crate::content::{Content, Keep};
use crate::faults::{Fault, Faults, FileKind};
use crate::index::Index;
use crate::locks::{HandleId, IndexLocks, Levels, WRITE_LOCK};
use crate::process::{self, Owner};
use crate::random::Random;
use crate::vfs;
use rusqlite::ffi;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::c_int;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A disk in memory. It lives as long as a clone of it, or a handle on one of its files.
#[derive(Clone, Debug)]
pub struct Disk {
    shared: Arc<Shared>,
}

/// When something happens, counted from now: the first is 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Moment {
    /// After this write, before its caller hears of it.
    Write(u64),
    /// At this sync, before anything of it reached the medium.
    BeforeSync(u64),
    /// At this sync, when all of it is on the medium and its caller has not heard so.
    AfterSync(u64),
}

/// How something ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// The power is gone: see [`Disk::crash`].
    Power(Keep),
    /// The process whose call it was is killed: see [`Disk::kill`].
    Process,
}

/// What happened on a disk so far.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Tally {
    /// Calls that read, wrote and synced.
    pub reads: u64,
    #[allow(missing_docs, reason = "see above")]
    pub writes: u64,
    #[allow(missing_docs, reason = "see above")]
    pub syncs: u64,
    /// How often the power went, and how many writes that has cost, also in part.
    pub crashes: u64,
    #[allow(missing_docs, reason = "see above")]
    pub writes_lost: u64,
    /// How many processes were killed.
    pub kills: u64,
    /// How often each fault fired.
    pub fired: BTreeMap<Fault, u64>,
}

impl Disk {
    /// An empty disk. What it draws, it draws from the seed.
    ///
    /// # Panics
    ///
    /// If SQLite does not take the file system.
    pub fn new(seed: u64) -> Disk {
        Disk { shared: vfs::mount(seed) }
    }

    /// The folder that is on this disk. It exists for SQLite only.
    pub fn folder(&self) -> &Path {
        &self.shared.folder
    }

    /// The power is gone. Of what was not synced there is left what [`Keep`] says, with what is drawn from the seed.
    pub fn crash(&self, keep: Keep, seed: u64) {
        self.state().crash(keep, &mut Random::new(seed));
    }

    /// Whether the power is on.
    pub fn is_on(&self) -> bool {
        self.state().on
    }

    /// The power is back, and files can be opened.
    pub fn power_on(&self) {
        self.state().on = true;
    }

    /// A process is killed, and has never been heard of again: all that it wrote is there, also what it did not sync. Its
    /// locks are free, but for one: if it was about to write while others live, the lock for that is free as soon as what
    /// is left of it has dropped its connection.
    pub fn kill(&self, owner: Owner) {
        self.state().kill(owner);
    }

    /// Something ends at this moment.
    pub fn end_at(&self, moment: Moment, end: End) {
        self.state().endings.push((moment, end));
    }

    /// The n-th call from now that could fail so does; the first is 1.
    pub fn inject(&self, fault: Fault, nth: u64) {
        self.state().faults.plan(fault, None, nth);
    }

    /// The same, counting the calls on one kind of file.
    pub fn inject_on(&self, file: FileKind, fault: Fault, nth: u64) {
        self.state().faults.plan(fault, Some(file), nth);
    }

    /// So many in a million of the calls that could fail so do; 0 none, 1,000,000 all.
    pub fn rate(&self, fault: Fault, per_million: u32) {
        self.state().faults.rate(fault, per_million);
    }

    /// The room for all files together, in bytes. A write that needs more fails with [`Fault::Full`].
    pub fn limit(&self, bytes: Option<u64>) {
        self.state().room = bytes;
    }

    /// What all files take.
    pub fn used(&self) -> u64 {
        self.state().used()
    }

    /// Nothing fails and nothing ends any more, unless it is asked for anew. There is as much room as anybody wants.
    pub fn heal(&self) {
        let mut state = self.state();
        state.faults.heal();
        state.endings.clear();
        state.room = None;
    }

    /// What happened so far.
    pub fn tally(&self) -> Tally {
        let state = self.state();
        Tally { fired: state.faults.fired.clone(), ..state.tally.clone() }
    }

    /// The bytes of a file of this folder, as processes see them.
    pub fn read(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.state();
        let node = state.names.get(name)?;
        state.nodes.get(node).map(|node| node.content.bytes().to_owned())
    }

    /// Puts a file there, or other bytes into one, on the medium.
    pub fn write(&self, name: &str, bytes: &[u8]) {
        let mut state = self.state();
        let id = state.named(name, FileKind::Other);
        state.durable.insert(name.to_owned(), id);
        if let Some(node) = state.nodes.get_mut(&id) {
            node.content.replace(bytes);
        }
    }

    /// A byte of a file has rotted: these bits of it are turned over, on the medium. False if there is no such byte.
    pub fn rot(&self, name: &str, offset: usize, bits: u8) -> bool {
        let mut state = self.state();
        let Some(id) = state.names.get(name).copied() else { return false };
        state.nodes.get_mut(&id).is_some_and(|node| node.content.rot(offset, bits))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }
}

/// A disk, as the file system sees it.
#[derive(Debug)]
pub(crate) struct Shared {
    folder: PathBuf,
    state: Mutex<State>,
}

impl Shared {
    pub(crate) fn new(folder: PathBuf, seed: u64) -> Shared {
        let state = State {
            nodes: BTreeMap::new(),
            names: BTreeMap::new(),
            durable: BTreeMap::new(),
            handles: BTreeMap::new(),
            last: 0,
            on: true,
            killed: BTreeSet::new(),
            room: None,
            endings: Vec::new(),
            faults: Faults::new(seed),
            random: Random::new(!seed),
            tally: Tally::default(),
        };
        Shared { folder, state: Mutex::new(state) }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type NodeId = u64;

/// What a call gives back that fails: one of SQLite's codes.
type Code = c_int;

#[derive(Debug)]
pub(crate) struct State {
    nodes: BTreeMap<NodeId, Node>,
    /// The folder as processes see it, and as it is on the medium; folders below it count as the same.
    names: BTreeMap<String, NodeId>,
    durable: BTreeMap<String, NodeId>,
    handles: BTreeMap<HandleId, Handle>,
    last: u64,
    on: bool,
    killed: BTreeSet<Owner>,
    room: Option<u64>,
    endings: Vec<(Moment, End)>,
    faults: Faults,
    random: Random,
    tally: Tally,
}

#[derive(Debug)]
struct Node {
    kind: FileKind,
    /// It is new, and was never synced.
    unlisted: bool,
    content: Content,
    levels: Levels,
    index: Option<Arc<Index>>,
    index_locks: IndexLocks,
}

#[derive(Debug)]
struct Handle {
    node: NodeId,
    owner: Owner,
    alive: bool,
    index: Option<Arc<Index>>,
}

/// What the file system is called for. An error is one of SQLite's codes.
impl State {
    pub(crate) fn open(&mut self, name: Option<&str>, kind: FileKind, create: bool) -> Result<HandleId, Code> {
        self.living()?;
        let node = match name {
            Some(name) if !create && !self.names.contains_key(name) => return Err(ffi::SQLITE_CANTOPEN),
            Some(name) => self.named(name, kind),
            None => self.node(FileKind::Other),
        };
        let id = self.number();
        self.handles.insert(id, Handle { node, owner: process::owner(), alive: true, index: None });
        Ok(id)
    }

    pub(crate) fn delete(&mut self, name: &str, sync: bool) -> Result<(), Code> {
        self.living().map_err(|_| ffi::SQLITE_IOERR_DELETE)?;
        self.names.remove(name).ok_or(ffi::SQLITE_IOERR_DELETE_NOENT)?;
        if sync {
            self.durable.clone_from(&self.names);
        }
        self.sweep();
        Ok(())
    }

    /// Whether there is anything at this name; SQLite takes an empty file for none.
    pub(crate) fn exists(&self, name: &str) -> Result<bool, Code> {
        self.living().map_err(|_| ffi::SQLITE_IOERR_ACCESS)?;
        let node = self.names.get(name).and_then(|id| self.nodes.get(id));
        Ok(node.is_some_and(|node| node.content.len() > 0))
    }

    pub(crate) fn close(&mut self, id: HandleId) {
        self.unmap(id);
        if let Some(handle) = self.handles.remove(&id)
            && let Some(node) = self.nodes.get_mut(&handle.node)
        {
            node.levels.lower(id, ffi::SQLITE_LOCK_NONE);
        }
        self.sweep();
    }

    /// Reads what is there, and zeros beyond; false if it was not all there.
    pub(crate) fn read(&mut self, id: HandleId, offset: usize, into: &mut [u8]) -> Result<bool, Code> {
        let node = self.alive(id).ok_or(ffi::SQLITE_IOERR_READ)?;
        self.tally.reads += 1;
        let (kind, length) = (node_of(&mut self.nodes, node)?.kind, into.len());
        let short = self.faults.strikes(Fault::ShortRead, kind);
        if self.faults.strikes(Fault::ReadError, kind) {
            return Err(ffi::SQLITE_IOERR_READ);
        }
        let wanted = if short { length / 2 } else { length };
        let there = node_of(&mut self.nodes, node)?.content.read(offset, &mut into[..wanted]);
        into[there..].fill(0);
        if there > 0 && self.faults.strikes(Fault::FlippedByte, kind) {
            let bits = 1 << self.random.below(8);
            into[self.random.below(there)] ^= bits;
        }
        Ok(there == length)
    }

    pub(crate) fn write(&mut self, id: HandleId, offset: usize, bytes: &[u8]) -> Result<(), Code> {
        let node = self.alive(id).ok_or(ffi::SQLITE_IOERR_WRITE)?;
        self.tally.writes += 1;
        let (kind, length) = {
            let node = node_of(&mut self.nodes, node)?;
            (node.kind, node.content.len())
        };
        if self.faults.strikes(Fault::WriteError, kind) {
            return Err(ffi::SQLITE_IOERR_WRITE);
        }
        let grows = (offset + bytes.len()).saturating_sub(length) as u64;
        let room = self.room.is_none_or(|room| grows == 0 || self.used() + grows <= room);
        if !room {
            self.faults.note(Fault::Full);
        }
        if !room || self.faults.strikes(Fault::Full, kind) {
            return Err(ffi::SQLITE_FULL);
        }
        self.change(node, |content| content.write(offset, bytes))?;
        self.ends(id, |moment| if let Moment::Write(left) = moment { Some(left) } else { None });
        self.alive(id).map(|_| ()).ok_or(ffi::SQLITE_IOERR_WRITE)
    }

    pub(crate) fn truncate(&mut self, id: HandleId, length: usize) -> Result<(), Code> {
        let node = self.alive(id).ok_or(ffi::SQLITE_IOERR_TRUNCATE)?;
        self.change(node, |content| content.resize(length))
    }

    pub(crate) fn sync(&mut self, id: HandleId) -> Result<(), Code> {
        let node = self.alive(id).ok_or(ffi::SQLITE_IOERR_FSYNC)?;
        self.tally.syncs += 1;
        self.ends(id, |moment| if let Moment::BeforeSync(left) = moment { Some(left) } else { None });
        self.alive(id).ok_or(ffi::SQLITE_IOERR_FSYNC)?;
        let drop_now = self.random.coin();
        let entry = node_of(&mut self.nodes, node)?;
        if self.faults.strikes(Fault::SyncError, entry.kind) {
            entry.content.fail_sync(drop_now);
            return Err(ffi::SQLITE_IOERR_FSYNC);
        }
        entry.content.sync();
        // With the first sync of a log or a journal SQLite's usual file system syncs the folder, with all that changed there.
        if std::mem::take(&mut entry.unlisted) && matches!(entry.kind, FileKind::Wal | FileKind::Journal) {
            self.durable.clone_from(&self.names);
        }
        self.ends(id, |moment| if let Moment::AfterSync(left) = moment { Some(left) } else { None });
        self.alive(id).map(|_| ()).ok_or(ffi::SQLITE_IOERR_FSYNC)
    }

    /// SQLite tells of a transaction that is committed.
    pub(crate) fn committed(&mut self, id: HandleId) -> Result<(), Code> {
        let node = self.alive(id).ok_or(ffi::SQLITE_IOERR)?;
        let kind = node_of(&mut self.nodes, node)?.kind;
        if self.faults.strikes(Fault::CommitUnheard, kind) { Err(ffi::SQLITE_IOERR) } else { Ok(()) }
    }

    pub(crate) fn size(&mut self, id: HandleId) -> Result<usize, Code> {
        let node = self.alive(id).ok_or(ffi::SQLITE_IOERR_FSTAT)?;
        Ok(node_of(&mut self.nodes, node)?.content.len())
    }

    pub(crate) fn lock(&mut self, id: HandleId, level: c_int) -> Result<(), Code> {
        let node = self.alive(id).ok_or(ffi::SQLITE_IOERR_LOCK)?;
        let node = node_of(&mut self.nodes, node)?;
        if level > ffi::SQLITE_LOCK_SHARED && self.faults.strikes(Fault::Busy, node.kind) {
            return Err(ffi::SQLITE_BUSY);
        }
        node.levels.raise(id, level).map_err(|_| ffi::SQLITE_BUSY)
    }

    pub(crate) fn unlock(&mut self, id: HandleId, level: c_int) {
        if let Some(node) = self.alive(id).and_then(|node| self.nodes.get_mut(&node)) {
            node.levels.lower(id, level);
        }
    }

    pub(crate) fn reserved(&mut self, id: HandleId) -> Result<bool, Code> {
        let node = self.alive(id).ok_or(ffi::SQLITE_IOERR_CHECKRESERVEDLOCK)?;
        Ok(node_of(&mut self.nodes, node)?.levels.reserved())
    }

    /// The index of the log, in which SQLite looks for a region.
    pub(crate) fn map(&mut self, id: HandleId) -> Result<Arc<Index>, Code> {
        let node = self.alive(id).ok_or(ffi::SQLITE_IOERR_SHMMAP)?;
        let index = node_of(&mut self.nodes, node)?.index.get_or_insert_default();
        let index = Arc::clone(index);
        if let Some(handle) = self.handles.get_mut(&id) {
            handle.index = Some(Arc::clone(&index));
        }
        Ok(index)
    }

    pub(crate) fn lock_index(&mut self, id: HandleId, bits: u8, exclusive: bool) -> Result<(), Code> {
        let node = self.alive(id).ok_or(ffi::SQLITE_IOERR_SHMLOCK)?;
        let node = node_of(&mut self.nodes, node)?;
        if exclusive && bits == WRITE_LOCK && self.faults.strikes(Fault::Busy, node.kind) {
            return Err(ffi::SQLITE_BUSY);
        }
        node.index_locks.lock(id, bits, exclusive).map_err(|_| ffi::SQLITE_BUSY)
    }

    /// Also for a dead handle, whose last lock others may wait for.
    pub(crate) fn unlock_index(&mut self, id: HandleId, bits: u8) {
        let node = self.handles.get(&id).map(|handle| handle.node);
        if let Some(node) = node.and_then(|node| self.nodes.get_mut(&node)) {
            node.index_locks.unlock(id, bits);
        }
    }

    pub(crate) fn unmap(&mut self, id: HandleId) {
        let Some(handle) = self.handles.get_mut(&id) else { return };
        handle.index = None;
        let id_of_node = handle.node;
        if let Some(node) = self.nodes.get_mut(&id_of_node) {
            node.index_locks.release(id);
        }
        self.drop_index(id_of_node);
    }
}

impl State {
    fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn node(&mut self, kind: FileKind) -> NodeId {
        let id = self.number();
        let node = Node {
            kind,
            unlisted: true,
            content: Content::default(),
            levels: Levels::default(),
            index: None,
            index_locks: IndexLocks::default(),
        };
        self.nodes.insert(id, node);
        id
    }

    fn named(&mut self, name: &str, kind: FileKind) -> NodeId {
        let id = self.names.get(name).copied().unwrap_or_else(|| self.node(kind));
        if let Some(node) = self.nodes.get_mut(&id) {
            node.kind = kind;
        }
        self.names.insert(name.to_owned(), id);
        id
    }

    /// Refuses whoever has no disk or is dead.
    fn living(&self) -> Result<(), Code> {
        let lives = self.on && !self.killed.contains(&process::owner());
        lives.then_some(()).ok_or(ffi::SQLITE_CANTOPEN)
    }

    /// The file of a handle, unless that is dead.
    fn alive(&self, id: HandleId) -> Option<NodeId> {
        self.handles.get(&id).filter(|handle| handle.alive).map(|handle| handle.node)
    }

    fn change(&mut self, id: NodeId, change: impl FnOnce(&mut Content)) -> Result<(), Code> {
        let node = node_of(&mut self.nodes, id)?;
        change(&mut node.content);
        if node.kind == FileKind::Other {
            node.content.forget();
        }
        Ok(())
    }

    fn used(&self) -> u64 {
        self.nodes.values().map(|node| node.content.len() as u64).sum()
    }

    /// Counts down what ends at this kind of moment, and ends what is due.
    fn ends(&mut self, id: HandleId, counter: impl Fn(&mut Moment) -> Option<&mut u64>) {
        let mut due = None;
        self.endings.retain_mut(|(moment, end)| {
            let Some(left) = counter(moment) else { return true };
            *left = left.saturating_sub(1);
            if *left == 0 {
                due = Some(*end);
            }
            *left > 0
        });
        match due {
            None => {}
            Some(End::Power(keep)) => {
                let mut random = Random::new(self.random.next());
                self.crash(keep, &mut random);
            }
            Some(End::Process) => {
                if let Some(owner) = self.handles.get(&id).map(|handle| handle.owner) {
                    self.kill(owner);
                }
            }
        }
    }

    fn crash(&mut self, keep: Keep, random: &mut Random) {
        self.on = false;
        self.tally.crashes += 1;
        self.endings.clear();
        let names: BTreeSet<String> = self.names.keys().chain(self.durable.keys()).cloned().collect();
        for name in names {
            let (seen, synced) = (self.names.get(&name).copied(), self.durable.get(&name).copied());
            // What was not synced is how the folder changed.
            let changed = match keep.drawn(random) {
                Keep::Nothing | Keep::Drawn => false,
                Keep::Prefix | Keep::Sectors => random.coin(),
                Keep::Everything => true,
            };
            match if changed { seen } else { synced } {
                Some(id) => self.names.insert(name, id),
                None => self.names.remove(&name),
            };
        }
        self.durable = self.names.clone();
        for handle in self.handles.values_mut() {
            handle.alive = false;
        }
        for node in self.nodes.values_mut() {
            self.tally.writes_lost += node.content.lose(keep, random);
            node.levels.clear();
            node.index_locks.clear();
            node.index = None;
        }
        self.sweep();
    }

    fn kill(&mut self, owner: Owner) {
        if !self.killed.insert(owner) {
            return;
        }
        self.tally.kills += 1;
        let mut dying = Vec::new();
        for (id, handle) in self.handles.iter_mut().filter(|(_, handle)| handle.owner == owner && handle.alive) {
            handle.alive = false;
            dying.push((*id, handle.node));
        }
        for (id, id_of_node) in dying {
            self.drop_index(id_of_node);
            let Some(node) = self.nodes.get_mut(&id_of_node) else { continue };
            node.levels.lower(id, ffi::SQLITE_LOCK_NONE);
            // A connection that is dropped tidies up what it has written into the index. Until then nobody else writes
            // there.
            if node.index.is_none() || !node.index_locks.writes(id) {
                node.index_locks.release(id);
            }
        }
    }

    /// The index goes with the last living process that has it.
    fn drop_index(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        let Some(index) = &node.index else { return };
        let has = |handle: &Handle| handle.alive && handle.index.as_ref().is_some_and(|own| Arc::ptr_eq(own, index));
        if !self.handles.values().any(has) {
            node.index = None;
            node.index_locks.clear();
        }
    }

    /// Forgets files that nobody can reach.
    fn sweep(&mut self) {
        let State { nodes, names, durable, handles, .. } = self;
        let named: BTreeSet<NodeId> = names.values().chain(durable.values()).copied().collect();
        let opened: BTreeSet<NodeId> = handles.values().map(|handle| handle.node).collect();
        nodes.retain(|id, _| named.contains(id) || opened.contains(id));
    }
}

fn node_of(nodes: &mut BTreeMap<NodeId, Node>, id: NodeId) -> Result<&mut Node, Code> {
    nodes.get_mut(&id).ok_or(ffi::SQLITE_IOERR)
}
