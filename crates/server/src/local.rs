//! Sockets of the file system: their names, their lock files, and who is at the other end.

use std::fs::{self, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

use crate::failure::ServerError;

/// How sockets of the file system are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalSockets {
    /// One is made in each of these. Default none.
    pub directories: Vec<PathBuf>,
    /// Who may connect, as the file's permissions. Default 0777.
    pub permissions: u32,
    /// The group of the files; that of the process when it is None.
    pub group: Option<String>,
    /// What lock files name as the place of the data.
    pub data_dir: PathBuf,
}

impl Default for LocalSockets {
    fn default() -> Self {
        Self {
            directories: Vec::new(),
            permissions: 0o777,
            group: None,
            data_dir: PathBuf::new(),
        }
    }
}

/// A socket that listens. Dropping it removes its file and its lock file.
#[derive(Debug)]
pub(crate) struct LocalListener {
    pub(crate) listener: UnixListener,
    pub(crate) path: PathBuf,
    lock: PathBuf,
    /// The lock itself holds as long as this is open.
    _locked: fs::File,
}

impl Drop for LocalListener {
    fn drop(&mut self) {
        drop(fs::remove_file(&self.path));
        drop(fs::remove_file(&self.lock));
    }
}

/// What the kernel takes for the name of a socket.
const PATH_BYTES_MAX: usize = 107;

impl LocalListener {
    /// Makes the socket of a port in a directory.
    pub(crate) fn bind(
        sockets: &LocalSockets,
        directory: &Path,
        port: u16,
    ) -> Result<Self, ServerError> {
        let path = directory.join(format!(".s.PGSQL.{port}"));
        let shown = path.display().to_string();
        if shown.len() > PATH_BYTES_MAX {
            return Err(ServerError::Refused(format!(
                "Unix-domain socket path \"{shown}\" is too long (maximum {PATH_BYTES_MAX} bytes)"
            )));
        }
        let problem = |source| ServerError::Listen {
            address: shown.clone(),
            source,
        };
        let lock = directory.join(format!(".s.PGSQL.{port}.lock"));
        let locked = locked(&lock, &path, sockets, directory, port)?;
        // Whoever made it is gone: its lock is ours.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(problem(error)),
            _ => {}
        }
        let listener = UnixListener::bind(&path).map_err(problem)?;
        let bound = Self {
            listener,
            path,
            lock,
            _locked: locked,
        };
        if let Some(group) = &sockets.group {
            let known = group_number(group)
                .ok_or_else(|| ServerError::Refused(format!("group \"{group}\" does not exist")))?;
            std::os::unix::fs::chown(&bound.path, None, Some(known)).map_err(problem)?;
        }
        let mode = fs::Permissions::from_mode(sockets.permissions);
        fs::set_permissions(&bound.path, mode).map_err(problem)?;
        Ok(bound)
    }
}

/// Takes the lock file, whose lines are those of PostgreSQL's.
fn locked(
    lock: &Path,
    socket: &Path,
    sockets: &LocalSockets,
    directory: &Path,
    port: u16,
) -> Result<fs::File, ServerError> {
    let problem = |source| ServerError::Listen {
        address: lock.display().to_string(),
        source,
    };
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).mode(0o600);
    let mut file = options.open(lock).map_err(problem)?;
    let mut before = String::new();
    drop((&file).take(4096).read_to_string(&mut before));
    // PostgreSQL holds no lock: whoever answers is there.
    let taken = file.try_lock().is_err() || std::os::unix::net::UnixStream::connect(socket).is_ok();
    if taken {
        let pid = before.lines().next().unwrap_or("?");
        return Err(ServerError::Refused(format!(
            "lock file \"{}\" already exists: is another server (PID {pid}) using socket file \"{}\"?",
            lock.display(),
            socket.display()
        )));
    }
    write_lock(&mut file, sockets, directory, port).map_err(problem)?;
    Ok(file)
}

/// Process, data, seconds since 1970, port, directory.
fn write_lock(
    file: &mut fs::File,
    sockets: &LocalSockets,
    directory: &Path,
    port: u16,
) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    let data = sockets.data_dir.display();
    writeln!(file, "{}\n{data}", std::process::id())?;
    // What was just written was written now.
    let started = file.metadata()?.modified()?;
    let started = started.duration_since(std::time::UNIX_EPOCH);
    let started = started.map_or(0, |since| since.as_secs());
    writeln!(file, "{started}\n{port}\n{}\n", directory.display())
}

/// The name of a user of the operating system, as its list of users has it.
pub(crate) fn user_name(uid: u32) -> Option<String> {
    let text = fs::read_to_string("/etc/passwd").ok()?;
    name_of(&text, uid)
}

fn name_of(text: &str, uid: u32) -> Option<String> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let number = fields.nth(1)?.parse::<u32>().ok()?;
        (number == uid).then(|| name.to_owned())
    })
}

/// The number of a group: by its name, or as it is.
fn group_number(name: &str) -> Option<u32> {
    if let Ok(number) = name.parse() {
        return Some(number);
    }
    let text = fs::read_to_string("/etc/group").ok()?;
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let found = fields.next()? == name;
        let number = fields.nth(1)?.parse::<u32>().ok()?;
        found.then_some(number)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_their_numbers() {
        let text = "root:x:0:0:root:/root:/bin/sh\n# note\nanna:x:1000:1000::/srv/anna:/bin/sh\n";
        assert_eq!(name_of(text, 1000).as_deref(), Some("anna"));
        assert_eq!(name_of(text, 0).as_deref(), Some("root"));
        assert_eq!(name_of(text, 1), None);
    }
}
