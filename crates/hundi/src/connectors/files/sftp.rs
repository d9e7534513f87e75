//! Folders on a server that speaks SFTP, by OpenSSH's `sftp` as a child process: one batch of commands for each thing that is
//! done. A crate of its own would be a second implementation of SSH to keep up to date; this one the machine's owner updates.
//!
//! The server's key is pinned (`known_hosts_file`), ours is a file. No password is ever asked for, and nothing secret is on a
//! command line. A call that does not end in time is killed; what came of it is found by looking.

use super::share::{Doing, Folder, Listed, Listing, Share, ShareError};
use crate::clock::random;
use crate::config;
use crate::keys::hex;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// What is shown of the server's complaint: its last lines, and so many characters.
const COMPLAINT_LINES_MAX: usize = 3;
const COMPLAINT_CHARS_MAX: usize = 300;
/// How long the connection may take, seconds.
const CONNECT_WITHIN_S: u32 = 20;

/// A server's folders.
#[derive(Clone, Debug)]
pub struct Server {
    /// The name of the connector, for complaints.
    name: String,
    arguments: Vec<String>,
    /// In the order of [`Folder`].
    folders: [String; 4],
    within: Duration,
}

impl Server {
    /// The folders on this server: outbox, inbox, archive, bad.
    pub fn new(name: &str, options: &config::Sftp, folders: [PathBuf; 4]) -> Result<Server, String> {
        let wrong = |option: &str, why: &str| format!("`connectors.{name}.exchange.{option}` {why}");
        let plain =
            |text: &str| !text.is_empty() && !text.starts_with('-') && text.bytes().all(|b| b.is_ascii_graphic());
        if !plain(&options.host) || options.host.contains('@') {
            return Err(wrong("sftp.host", "is not a server's name or address"));
        }
        if !plain(&options.user) || options.user.contains(['@', ':']) {
            return Err(wrong("sftp.user", "is not a user's name"));
        }
        for (option, path) in
            [("sftp.key_file", &options.key_file), ("sftp.known_hosts_file", &options.known_hosts_file)]
        {
            File::open(path).map_err(|error| wrong(option, &format!("{} cannot be read: {error}", path.display())))?;
        }
        let mut remote = [(); 4].map(|()| String::new());
        for (folder, path) in remote.iter_mut().zip(folders) {
            let text = path.to_str().filter(|text| !text.is_empty() && !text.chars().any(char::is_control));
            *folder = text.ok_or_else(|| wrong("outbox", "or another folder is not a path on a server"))?.to_owned();
        }
        let option = |text: String| ["-o".to_owned(), text];
        let mut arguments: Vec<String> = [
            // Only what stands here counts, not what a user has configured.
            "-F".to_owned(),
            "/dev/null".to_owned(),
            "-b".to_owned(),
            "-".to_owned(),
        ]
        .into();
        for text in [
            format!("Port={}", options.port),
            format!("IdentityFile=\"{}\"", options.key_file.display()),
            format!("UserKnownHostsFile=\"{}\"", options.known_hosts_file.display()),
            "GlobalKnownHostsFile=/dev/null".to_owned(),
            "StrictHostKeyChecking=yes".to_owned(),
            "UpdateHostKeys=no".to_owned(),
            "IdentitiesOnly=yes".to_owned(),
            "IdentityAgent=none".to_owned(),
            "BatchMode=yes".to_owned(),
            "PreferredAuthentications=publickey".to_owned(),
            "ClearAllForwardings=yes".to_owned(),
            format!("ConnectTimeout={CONNECT_WITHIN_S}"),
        ] {
            arguments.extend(option(text));
        }
        let bracket = if options.host.contains(':') { format!("[{}]", options.host) } else { options.host.clone() };
        arguments.extend(["--".to_owned(), format!("{}@{bracket}", options.user)]);
        let within = Duration::from_secs(u64::from(options.within_s));
        Ok(Server { name: name.to_owned(), arguments, folders: remote, within })
    }

    fn path(&self, folder: Folder, name: &str) -> Result<String, ShareError> {
        let folder = folder.of(&self.folders);
        if !is_plain(name) {
            return Err(ShareError(format!("`{name}` is not a name of a file that can be exchanged")));
        }
        Ok(quoted(&format!("{}/{name}", folder.trim_end_matches('/'))))
    }

    /// Runs commands on the server, one a line, until one fails; gives back what they print.
    async fn run(&self, commands: &str) -> Result<String, ShareError> {
        let complain = |why: &str| ShareError(format!("connector {}: {why}", self.name));
        let mut command = Command::new("sftp");
        // What a server prints is parsed: not in the language of whoever started us.
        command.args(&self.arguments).env("LC_ALL", "C").kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| {
            complain(&format!("OpenSSH's `sftp` cannot be started ({error}); install the package openssh-client"))
        })?;
        let mut input = child.stdin.take().ok_or_else(|| complain("sftp has no input"))?;
        let work = async {
            // Where it has ended early, its complaint says why.
            drop(input.write_all(commands.as_bytes()).await);
            drop(input);
            child.wait_with_output().await
        };
        let done = tokio::time::timeout(self.within, work).await;
        let done = done.map_err(|_| complain("the server did not answer in time"))?;
        let output = done.map_err(|error| complain(&format!("sftp: {error}")))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            // The reason stands at the end, after whatever a server greets with.
            let said: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
            let said = said.get(said.len().saturating_sub(COMPLAINT_LINES_MAX)..).unwrap_or_default();
            let said: String = said.join("; ").chars().filter(|c| !c.is_control()).take(COMPLAINT_CHARS_MAX).collect();
            return Err(complain(if said.is_empty() { "sftp has failed" } else { &said }));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

impl Share for Server {
    fn list(&self, folder: Folder) -> Doing<'_, Listing> {
        Box::pin(async move {
            let path = folder.of(&self.folders);
            Ok(listing(&self.run(&format!("cd {}\nls -lan\n", quoted(path))).await?))
        })
    }

    fn open(&self, folder: Folder, name: &str) -> Doing<'_, File> {
        let path = self.path(folder, name);
        Box::pin(async move {
            let own = Own::new()?;
            self.run(&format!("get {} {}\n", path?, quoted(&own.file.to_string_lossy()))).await?;
            // The name goes with `own`; the file stays as long as it is open.
            File::open(&own.file).map_err(|error| ShareError(format!("what the server sent cannot be read: {error}")))
        })
    }

    fn put(&self, name: &str, bytes: Vec<u8>) -> Doing<'_, ()> {
        let path = self.path(Folder::Outbox, name);
        Box::pin(async move {
            let (path, own) = (path?, Own::new()?);
            own.write(&bytes)
                .map_err(|error| ShareError(format!("a file cannot be written for the server: {error}")))?;
            let local = quoted(&own.file.to_string_lossy());
            // `-f`: on the server's disk before it is named.
            self.run(&format!("-rm {path}\nput -f {local} {path}\nchmod 600 {path}\n")).await.map(drop)
        })
    }

    fn rename(&self, from: (Folder, &str), to: (Folder, &str)) -> Doing<'_, ()> {
        let (from, to, (folder, name)) = (self.path(from.0, from.1), self.path(to.0, to.1), (to.0, to.1.to_owned()));
        Box::pin(async move {
            // The server's rename in one step takes the place of what is there, and the one that does not is two steps.
            if self.list(folder).await?.named(&name).is_some() {
                return Err(ShareError(format!("connector {}: there is a file `{name}` already", self.name)));
            }
            self.run(&format!("rename {} {}\n", from?, to?)).await.map(drop)
        })
    }

    fn remove(&self, name: &str) -> Doing<'_, ()> {
        let path = self.path(Folder::Outbox, name);
        Box::pin(async move { self.run(&format!("-rm {}\n", path?)).await.map(drop) })
    }
}

/// What such a name is comes back as it was printed. `sftp` prints what is not ASCII with a backslash, and a space at an end
/// cannot be seen; `/` makes a path.
fn is_plain(name: &str) -> bool {
    let printed = |b: u8| (b.is_ascii_graphic() || b == b' ') && b != b'/' && b != b'\\';
    !name.is_empty() && name.bytes().all(printed) && name.trim() == name
}

/// As `sftp` reads it. Between quotation marks it takes no sign for a pattern.
fn quoted(path: &str) -> String {
    format!("\"{}\"", path.replace('\\', "\\\\").replace('"', "\\\""))
}

/// What `ls -lan` prints: a line for each file, which begins with `-`.
fn listing(printed: &str) -> Listing {
    let mut listing = Listing::default();
    for line in printed.lines().filter_map(|line| line.strip_prefix('-')) {
        match listed(line) {
            Some(file) => listing.files.push(file),
            None => listing.unnamed += 1,
        }
    }
    listing.files.sort_by(|one, other| one.name.cmp(&other.name));
    listing
}

/// The rest of such a line: rights, links, user, group, bytes, month, day, time or year, name.
fn listed(mut rest: &str) -> Option<Listed> {
    let mut field = || {
        let (field, after) = rest.trim_start().split_once(' ')?;
        rest = after;
        Some(field)
    };
    let (_rights, _links, _user, _group) = (field()?, field()?, field()?, field()?);
    let bytes = field()?.parse().ok()?;
    let stamp = [field()?, field()?, field()?].join(" ");
    // One space stands before the name; another would be its own.
    is_plain(rest).then(|| Listed { name: rest.to_owned(), bytes, stamp })
}

/// A folder of our own for a file on its way; both go away with it.
struct Own {
    folder: PathBuf,
    file: PathBuf,
}

impl Own {
    fn new() -> Result<Own, ShareError> {
        let folder = std::env::temp_dir().join(format!("hundi-sftp-{}", hex(&random::<8>())));
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&folder)
            .map_err(|error| ShareError(format!("{}: {error}", folder.display())))?;
        Ok(Own { file: folder.join("file"), folder })
    }

    fn write(&self, bytes: &[u8]) -> std::io::Result<()> {
        File::options().write(true).create_new(true).mode(0o600).open(&self.file)?.write_all(bytes)
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        remove(&self.folder);
    }
}

fn remove(folder: &Path) {
    if let Err(error) = std::fs::remove_dir_all(folder) {
        tracing::warn!(%error, folder = %folder.display(), "a folder for a file on its way was not removed; remove it by hand");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_is_read_and_a_name_is_only_a_name() {
        let check = |line: &str, expected: Option<(&str, u64, &str)>, unnamed: usize| {
            let listing = listing(line);
            let file = listing.files.first().map(|file| (&*file.name, file.bytes, &*file.stamp));
            assert_eq!((file, listing.unnamed), (expected, unnamed), "{line}");
        };
        check(
            "-rw-------    1 1000     1000         1234 Nov 22 12:00 a.xml",
            Some(("a.xml", 1234, "Nov 22 12:00")),
            0,
        );
        check(
            "-rw-r--r--    ? 0        0               0 Jan  2  2025 two words.txt",
            Some(("two words.txt", 0, "Jan 2 2025")),
            0,
        );
        check("drwxr-xr-x    2 1000     1000         4096 Nov 22 12:00 done", None, 0);
        check("sftp> ls -lan", None, 0);
        check("", None, 0);
        for name in ["MIS(1).csv", "ACME 2211#1.r001", "a~b.csv", "a:b&c'd!e%f$g;h^{i}[j]*k?\"l|<m>`n"] {
            let line = format!("-rw-------    1 1000     1000         1 Nov 22 12:00 {name}");
            check(&line, Some((name, 1, "Nov 22 12:00")), 0);
        }
        for name in ["../a", "\\303\\251.csv", " a", "a ", "a\tb"] {
            check(&format!("-rw-------    1 1000     1000         1 Nov 22 12:00 {name}"), None, 1);
        }
        check("-rw-------    1 1000     1000         many Nov 22 12:00 a", None, 1);
        assert_eq!(quoted("a \"b\" \\ [c]*"), "\"a \\\"b\\\" \\\\ [c]*\"");
        for name in ["", " a", "a/b", "a\nb", "\u{e9}"] {
            assert!(!is_plain(name), "{name}");
        }
    }
}
