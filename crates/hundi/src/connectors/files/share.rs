//! Where files are exchanged with a bank: four folders, and the few things that are done in them. A directory of this machine
//! is one such place, a server that speaks SFTP another (`sftp.rs`); a test hands in its own.
//!
//! What is put lies under a name that the bank does not look for, until it is renamed; renaming is one step, and never takes
//! the place of another file.

use std::fmt;
use std::fs::File;
use std::future::Future;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;

/// A folder of the exchange.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Folder {
    /// What we give to the bank.
    Outbox,
    /// What the bank gives to us.
    Inbox,
    /// What was dealt with.
    Archive,
    /// What cannot be used.
    Bad,
}

impl Folder {
    /// The one of four that is this folder's; they are in the order of the folders.
    pub fn of<T>(self, [outbox, inbox, archive, bad]: &[T; 4]) -> &T {
        match self {
            Folder::Outbox => outbox,
            Folder::Inbox => inbox,
            Folder::Archive => archive,
            Folder::Bad => bad,
        }
    }
}

/// A file of a folder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Its size, bytes.
    pub bytes: u64,
    /// What tells whether it was written to since: when that was, in the words of the place.
    pub stamp: String,
}

/// The files of a folder, without its folders, in the order of their names.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Listing {
    /// Those that can be exchanged.
    pub files: Vec<Listed>,
    /// How many others there are: their names cannot be said to the place, so they are never opened.
    pub unnamed: usize,
}

impl Listing {
    /// The file of this name.
    pub fn named(&self, name: &str) -> Option<&Listed> {
        self.files.iter().find(|file| file.name == name)
    }
}

/// Why something could not be done; a text for the operator, without what the file holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ShareError(pub String);

impl fmt::Display for ShareError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is done in the folders, some time later.
pub type Doing<'a, T> = Pin<Box<dyn Future<Output = Result<T, ShareError>> + Send + 'a>>;

/// The folders of an exchange.
pub trait Share: fmt::Debug + Send + Sync {
    /// All files of a folder.
    fn list(&self, folder: Folder) -> Doing<'_, Listing>;
    /// Opens a file for reading.
    fn open(&self, folder: Folder, name: &str) -> Doing<'_, File>;
    /// Writes a file into the outbox, readable by its owner alone. One of this name is written anew.
    fn put(&self, name: &str, bytes: Vec<u8>) -> Doing<'_, ()>;
    /// Gives a file another name, or another folder, in one step; fails if there is a file of that name.
    fn rename(&self, from: (Folder, &str), to: (Folder, &str)) -> Doing<'_, ()>;
    /// Removes a file of the outbox; none is no error.
    fn remove(&self, name: &str) -> Doing<'_, ()>;
}

/// The way to the folders in place of the one that is configured.
#[derive(Clone, Debug)]
pub struct ShareHandle(pub Arc<dyn Share>);

/// Folders of this machine.
#[derive(Clone, Debug)]
pub struct Directory {
    /// In the order of [`Folder`].
    folders: [PathBuf; 4],
}

impl Directory {
    /// The exchange in these folders: outbox, inbox, archive, bad.
    pub fn new(folders: [PathBuf; 4]) -> Directory {
        Directory { folders }
    }

    fn path(&self, folder: Folder, name: &str) -> PathBuf {
        let folder = folder.of(&self.folders);
        if name.is_empty() { folder.clone() } else { folder.join(name) }
    }
}

impl Share for Directory {
    fn list(&self, folder: Folder) -> Doing<'_, Listing> {
        let path = self.path(folder, "");
        blocking(path, |path| {
            let mut listing = Listing::default();
            for entry in std::fs::read_dir(path)? {
                let entry = entry?;
                let about = entry.metadata()?;
                match entry.file_name().into_string() {
                    _ if !about.is_file() => {}
                    Ok(name) => {
                        let stamp = format!("{}.{:09} {}", about.mtime(), about.mtime_nsec(), about.ino());
                        listing.files.push(Listed { name, bytes: about.len(), stamp });
                    }
                    // It is not text.
                    Err(_) => listing.unnamed += 1,
                }
            }
            listing.files.sort_by(|one, other| one.name.cmp(&other.name));
            Ok(listing)
        })
    }

    fn open(&self, folder: Folder, name: &str) -> Doing<'_, File> {
        blocking(self.path(folder, name), |path| File::open(path))
    }

    fn put(&self, name: &str, bytes: Vec<u8>) -> Doing<'_, ()> {
        blocking(self.path(Folder::Outbox, name), move |path| {
            none_is_fine(std::fs::remove_file(path))?;
            // Account numbers are in it.
            let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            sync_folder(path)
        })
    }

    fn rename(&self, from: (Folder, &str), to: (Folder, &str)) -> Doing<'_, ()> {
        let (from, to) = (self.path(from.0, from.1), self.path(to.0, to.1));
        blocking(to, move |to| {
            use rustix::fs::{CWD, RenameFlags, renameat_with};
            match renameat_with(CWD, &from, CWD, to, RenameFlags::NOREPLACE) {
                // File systems that are not local may not know it.
                Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::OPNOTSUPP) => {
                    if to.try_exists()? {
                        return Err(ErrorKind::AlreadyExists.into());
                    }
                    std::fs::rename(&from, to)?;
                }
                done => done.map_err(std::io::Error::from)?,
            }
            sync_folder(to)?;
            sync_folder(&from)
        })
    }

    fn remove(&self, name: &str) -> Doing<'_, ()> {
        blocking(self.path(Folder::Outbox, name), |path| none_is_fine(std::fs::remove_file(path)))
    }
}

fn none_is_fine(removed: std::io::Result<()>) -> std::io::Result<()> {
    match removed {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// A name is on the disk when its folder is.
fn sync_folder(path: &std::path::Path) -> std::io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// Does what may block on a thread for it; an error names the path.
fn blocking<T: Send + 'static>(
    path: PathBuf,
    work: impl FnOnce(&std::path::Path) -> std::io::Result<T> + Send + 'static,
) -> Doing<'static, T> {
    Box::pin(async move {
        let done = tokio::task::spawn_blocking(move || {
            work(&path).map_err(|error| ShareError(format!("{}: {error}", path.display())))
        });
        done.await.map_err(|error| ShareError(format!("a thread for files has failed: {error}")))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[tokio::test]
    async fn a_file_appears_whole_and_takes_nobodys_place() {
        let root = std::env::temp_dir().join(format!("hundi-share-{}", std::process::id()));
        let folders = ["out", "in", "done", "bad"].map(|name| root.join(name));
        folders.iter().for_each(|folder| std::fs::create_dir_all(folder).unwrap());
        let share = Directory::new(folders.clone());
        let names = async |folder| {
            let listed = share.list(folder).await.unwrap();
            listed.files.into_iter().map(|file| (file.name, file.bytes)).collect::<Vec<_>>()
        };
        share.put(".a.part", b"one".to_vec()).await.unwrap();
        share.put(".a.part", b"two".to_vec()).await.unwrap();
        let mode = std::fs::metadata(folders[0].join(".a.part")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        share.rename((Folder::Outbox, ".a.part"), (Folder::Outbox, "a")).await.unwrap();
        assert_eq!(names(Folder::Outbox).await, [("a".to_owned(), 3)]);
        share.put(".b.part", b"three".to_vec()).await.unwrap();
        let taken = share.rename((Folder::Outbox, ".b.part"), (Folder::Outbox, "a")).await.unwrap_err();
        assert!(taken.0.contains("out/a"), "{taken}");
        assert_eq!(std::fs::read(folders[0].join("a")).unwrap(), b"two");
        share.rename((Folder::Outbox, "a"), (Folder::Archive, "a")).await.unwrap();
        assert!(share.rename((Folder::Outbox, "a"), (Folder::Archive, "c")).await.is_err());
        share.remove(".b.part").await.unwrap();
        share.remove(".b.part").await.unwrap();
        assert_eq!((names(Folder::Outbox).await.len(), names(Folder::Archive).await.len()), (0, 1));
        let mut text = String::new();
        std::io::Read::read_to_string(&mut share.open(Folder::Archive, "a").await.unwrap(), &mut text).unwrap();
        assert_eq!(text, "two");
        assert!(share.open(Folder::Inbox, "a").await.unwrap_err().0.contains("in/a"));
        std::fs::remove_dir_all(&root).unwrap();
        assert!(share.list(Folder::Inbox).await.is_err());
    }
}
