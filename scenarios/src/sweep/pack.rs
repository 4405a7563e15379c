//! A run folder as one blob (tar, gzip) and back. What comes back is another machine's word: nothing of it leaves the folder that it is unpacked into.

use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use tar::EntryType;

/// The most that a folder may hold, unpacked.
pub const PACK_BYTES_MAX: u64 = 2 << 30;

/// Why a folder could not be packed or unpacked.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The disk.
    #[error("failed to read or write below {path}: {source}")]
    Io {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is no run folder that was packed here.
    #[error("not a packed run folder: {0}")]
    Malformed(String),
    /// It holds more than [`PACK_BYTES_MAX`].
    #[error("a part's folder holds more than {} MiB: ask for more parts, or for fewer --events", PACK_BYTES_MAX >> 20)]
    TooLarge,
}

/// A writer that gives up past a bound.
struct Bounded<W> {
    to: W,
    left: u64,
}

impl<W: io::Write> io::Write for Bounded<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let len = bytes.len() as u64;
        self.left = self.left.checked_sub(len).ok_or(io::ErrorKind::FileTooLarge)?;
        self.to.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Packs all files below `dir`.
///
/// # Errors
/// [`PackError`]: the disk, or a folder that is too large.
pub fn pack(dir: &Path) -> Result<Vec<u8>, PackError> {
    pack_within(dir, PACK_BYTES_MAX)
}

fn pack_within(dir: &Path, bytes_max: u64) -> Result<Vec<u8>, PackError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::FileTooLarge => PackError::TooLarge,
        _ => PackError::Io { path: dir.to_owned(), source },
    };
    let gzip = Bounded { to: GzEncoder::new(Vec::new(), Compression::fast()), left: bytes_max };
    let mut tar = tar::Builder::new(gzip);
    // Links stay links, and are refused when unpacked: a run folder has none.
    tar.follow_symlinks(false);
    tar.mode(tar::HeaderMode::Deterministic);
    tar.append_dir_all("", dir).map_err(failed)?;
    let mut gzip = tar.into_inner().map_err(failed)?;
    gzip.flush().map_err(failed)?;
    gzip.to.finish().map_err(failed)
}

/// Unpacks into `dir`, which is made.
///
/// # Errors
/// [`PackError`]: the disk, a blob that is none of ours, or one that is too large. `dir` may then hold a part of it.
pub fn unpack(blob: &[u8], dir: &Path) -> Result<(), PackError> {
    unpack_within(blob, dir, PACK_BYTES_MAX)
}

fn unpack_within(blob: &[u8], dir: &Path, bytes_max: u64) -> Result<(), PackError> {
    let disk = |source| PackError::Io { path: dir.to_owned(), source };
    let malformed = |error: io::Error| PackError::Malformed(error.to_string());
    std::fs::create_dir_all(dir).map_err(disk)?;
    // One byte more than may be: where it is read, there was too much.
    let mut bounded = GzDecoder::new(blob).take(bytes_max.saturating_add(1));
    let mut tar = tar::Archive::new(&mut bounded);
    let mut unpacked = Ok(());
    for entry in tar.entries().map_err(malformed)? {
        let mut entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                unpacked = Err(malformed(error));
                break;
            }
        };
        if !matches!(entry.header().entry_type(), EntryType::Regular | EntryType::Directory) {
            return Err(PackError::Malformed("it holds what is neither file nor folder".to_owned()));
        }
        match entry.unpack_in(dir) {
            Ok(true) => {}
            Ok(false) => return Err(PackError::Malformed("it holds a path that leads out of it".to_owned())),
            Err(error) => {
                unpacked = Err(malformed(error));
                break;
            }
        }
    }
    if bounded.limit() == 0 { Err(PackError::TooLarge) } else { unpacked }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::create_dir_all(dir.path().join("small/1/charts")).expect("folders");
        std::fs::write(dir.path().join("summary.json"), "{}").expect("a file");
        std::fs::write(dir.path().join("small/1/charts/one.svg"), "<svg/>".repeat(100)).expect("a file");
        dir
    }

    #[test]
    fn a_folder_comes_back_as_it_was() {
        let dir = folder();
        let blob = pack(dir.path()).expect("a folder");
        assert_eq!(blob, pack(dir.path()).expect("a folder"), "the same bytes again");
        let to = tempfile::tempdir().expect("a folder");
        let to = to.path().join("fresh");
        unpack(&blob, &to).expect("as packed");
        for file in ["summary.json", "small/1/charts/one.svg"] {
            let read = |dir: &Path| std::fs::read(dir.join(file)).expect("a file");
            assert_eq!(read(&to), read(dir.path()), "{file}");
        }
    }

    #[test]
    fn what_is_too_large_is_refused_on_both_sides() {
        let dir = folder();
        assert!(matches!(pack_within(dir.path(), 700), Err(PackError::TooLarge)));
        let blob = pack(dir.path()).expect("a folder");
        let to = tempfile::tempdir().expect("a folder");
        let error = unpack_within(&blob, to.path(), 1_000).expect_err("more than that");
        assert!(matches!(error, PackError::TooLarge), "{error}");
    }

    #[test]
    fn what_is_not_ours_is_refused_and_nothing_lands_outside() {
        let to = tempfile::tempdir().expect("a folder");
        let inside = to.path().join("in");
        assert!(matches!(unpack(b"no gzip at all", &inside), Err(PackError::Malformed(_))));
        let blob = |name: &[u8], kind: EntryType| {
            let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
            let mut header = tar::Header::new_gnu();
            header.as_gnu_mut().expect("a GNU header").name[..name.len()].copy_from_slice(name);
            header.set_size(1);
            header.set_mode(0o644);
            header.set_entry_type(kind);
            header.set_cksum();
            tar.append(&header, &b"x"[..]).expect("a vector");
            tar.into_inner().expect("a vector").finish().expect("a vector")
        };
        for blob in [blob(b"../out", EntryType::Regular), blob(b"a", EntryType::Symlink), blob(b"a", EntryType::Fifo)] {
            let error = unpack(&blob, &inside).expect_err("hostile");
            assert!(matches!(error, PackError::Malformed(_)), "{error}");
        }
        assert!(!to.path().join("out").exists());
        let mut cut = pack(folder().path()).expect("a folder");
        cut.truncate(cut.len() / 2);
        assert!(matches!(unpack(&cut, &inside), Err(PackError::Malformed(_))));
    }
}
