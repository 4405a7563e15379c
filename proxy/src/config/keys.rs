//! Keys that stand in the configuration file, in a file of their own or in an environment variable.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::secret::Secret;

/// The most that is read of a file of keys, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Where the configuration file says that keys are. At most one of the three.
#[derive(Debug)]
pub(super) struct Places {
    /// The key without a suffix, as in the configuration file.
    pub(super) name: &'static str,
    pub(super) here: Option<Vec<Secret>>,
    pub(super) file: Option<PathBuf>,
    pub(super) env: Option<String>,
}

/// Keys could not be had. The operator's fault.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeysError {
    #[error("{0}, {0}_file and {0}_env: give one of them")]
    Twice(&'static str),
    #[error("{name}_file: cannot read {}: {source}", .path.display())]
    Unreadable { name: &'static str, path: PathBuf, source: std::io::Error },
    #[error("{name}_env: the environment has no variable {variable}, or it is no text")]
    NoVariable { name: &'static str, variable: String },
    #[error("{name}_{place} holds no key: write one a line (# begins a comment)")]
    Empty { name: &'static str, place: &'static str },
    #[error("{name}_{place} holds {count} keys: give one")]
    Several { name: &'static str, place: &'static str, count: usize },
}

impl KeysError {
    /// Whether reading failed, as opposed to what was read.
    pub(crate) fn is_io(&self) -> bool {
        matches!(self, Self::Unreadable { .. })
    }
}

impl Places {
    /// The keys, if any are given. A relative path counts from `base`. `variable` reads the environment.
    ///
    /// Keys that are kept elsewhere and turn out to be none are a mistake: no keys would let everyone in.
    pub(super) fn keys(
        self,
        base: &Path,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Vec<Secret>>, KeysError> {
        let name = self.name;
        let (place, keys) = match (self.here, self.file, self.env) {
            (here, None, None) => return Ok(here),
            (None, Some(path), None) => {
                let path = base.join(path);
                let text = read(&path).map_err(|source| KeysError::Unreadable { name, path, source })?;
                ("file", lines(&text))
            }
            (None, None, Some(env)) => {
                let text = variable(&env).ok_or(KeysError::NoVariable { name, variable: env })?;
                ("env", lines(&text))
            }
            _ => return Err(KeysError::Twice(name)),
        };
        if keys.is_empty() { Err(KeysError::Empty { name, place }) } else { Ok(Some(keys)) }
    }

    /// Likewise, where there can be only one.
    pub(super) fn key(
        self,
        base: &Path,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Secret>, KeysError> {
        let name = self.name;
        let place = if self.file.is_some() { "file" } else { "env" };
        let Some(mut keys) = self.keys(base, variable)? else { return Ok(None) };
        match keys.len() {
            1 => Ok(keys.pop()),
            count => Err(KeysError::Several { name, place, count }),
        }
    }
}

fn read(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(std::io::Error::other(format!("it is longer than {FILE_BYTES_MAX} bytes")));
    }
    Ok(text)
}

/// One key a line; blanks around it do not count, nor do empty lines and those that begin with `#`.
fn lines(text: &str) -> Vec<Secret> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).map(Secret::new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(here: Option<&[&str]>, file: Option<&str>, env: Option<&str>) -> Places {
        Places {
            name: "client_keys",
            here: here.map(|keys| keys.iter().map(|key| Secret::new(*key)).collect()),
            file: file.map(Into::into),
            env: env.map(Into::into),
        }
    }

    fn environment(name: &str) -> Option<String> {
        match name {
            "TWO" => Some("# ours\n A \n\nB#1\n".to_owned()),
            "ONE" => Some("K".to_owned()),
            "NONE" => Some("\n# nothing\n".to_owned()),
            _ => None,
        }
    }

    #[test]
    fn keys_come_from_the_configuration_a_file_or_the_environment() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("keys"), "# ours\nA\n  B#1  \r\n\n").unwrap();
        let keys = |places: Places| places.keys(folder.path(), environment).unwrap();
        let two = Some(vec![Secret::new("A"), Secret::new("B#1")]);
        assert_eq!(keys(places(None, Some("keys"), None)), two);
        assert_eq!(keys(places(None, None, Some("TWO"))), two);
        assert_eq!(keys(places(Some(&["A", "B#1"]), None, None)), two);
        assert_eq!(keys(places(None, None, None)), None);
        let one = places(None, None, Some("ONE")).key(folder.path(), environment).unwrap();
        assert_eq!(one, Some(Secret::new("K")));
    }

    #[test]
    fn keys_that_cannot_be_had_are_an_error_and_never_let_everyone_in() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("empty"), "# none yet\n").unwrap();
        std::fs::write(folder.path().join("long"), "x".repeat(1 << 21)).unwrap();
        for (places, word) in [
            (
                places(Some(&["A"]), Some("empty"), None),
                "client_keys, client_keys_file and client_keys_env: give one of them",
            ),
            (places(None, Some("empty"), Some("ONE")), "give one of them"),
            (places(None, Some("nowhere"), None), "client_keys_file: cannot read /"),
            (places(None, Some("long"), None), "longer than"),
            (places(None, Some("empty"), None), "client_keys_file holds no key"),
            (places(None, None, Some("NONE")), "client_keys_env holds no key"),
            (places(None, None, Some("ABSENT")), "no variable ABSENT"),
        ] {
            let error = places.keys(folder.path(), environment).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
        let error = places(None, None, Some("TWO")).key(folder.path(), environment).unwrap_err();
        assert_eq!(error.to_string(), "client_keys_env holds 2 keys: give one");
    }
}
