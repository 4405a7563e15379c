//! Any other program in the proxy's place: its command and its configuration, with what it must know filled in. Pure.
//!
//! | placeholder | stands for |
//! |---|---|
//! | `{listen}` | where it listens, `ADDRESS:PORT` |
//! | `{address}`, `{port}` | its parts |
//! | `{upstreams}` | all sources, `ADDRESS:PORT`, with blanks between |
//! | `{upstream}`, `{upstream_address}`, `{upstream_port}`, `{upstream_number}` | one source: a line of the template in which any of them stands is there once for each source |
//! | `{config}` | the path of the configuration that the template came to: under its own name, in `{dir}` |
//! | `{dir}` | a folder of its own, empty but for that |
//!
//! Everything else in braces stays as it is.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

/// A program that is to stand in the proxy's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// The command, as for a shell.
    command: Arc<str>,
    /// The name and the text of its configuration, if it has one.
    template: Option<(Arc<str>, Arc<str>)>,
}

/// Why a command or a template cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForeignError {
    /// There is nothing to start.
    #[error("--proxy-cmd names no program")]
    Empty,
    /// The command asks for a configuration, and there is none.
    #[error("--proxy-cmd has {{config}}, and there is no --proxy-config TEMPLATE to make it of")]
    NoTemplate,
    /// Nothing tells the program where to listen.
    #[error(
        "neither --proxy-cmd nor --proxy-config says where to listen: write {{listen}}, or {{address}} and {{port}}"
    )]
    NoListen,
}

/// Where a program is, and whom it may dial.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) listen: SocketAddr,
    pub(super) upstreams: &'a [SocketAddr],
    pub(super) config: &'a Path,
    pub(super) dir: &'a Path,
}

impl Foreign {
    /// A command with placeholders, and the file name and the text of a template.
    ///
    /// # Errors
    /// [`ForeignError`].
    pub fn new(command: &str, template: Option<(&str, &str)>) -> Result<Self, ForeignError> {
        if command.trim().is_empty() {
            return Err(ForeignError::Empty);
        }
        if template.is_none() && command.contains("{config}") {
            return Err(ForeignError::NoTemplate);
        }
        let listens = |text: &str| text.contains("{listen}") || text.contains("{port}");
        if !listens(command) && !template.is_some_and(|(_, text)| listens(text)) {
            return Err(ForeignError::NoListen);
        }
        Ok(Self { command: command.into(), template: template.map(|(name, text)| (name.into(), text.into())) })
    }

    /// As it was given.
    #[must_use]
    pub fn command(&self) -> &str {
        &self.command
    }

    /// What the file of its configuration is called: some programs go by the ending.
    pub(super) fn config_name(&self) -> &str {
        self.template.as_ref().map_or("config", |(name, _)| name)
    }

    /// The command for a shell.
    pub(super) fn command_at(&self, place: Place<'_>) -> String {
        fill(&self.command, place)
    }

    /// The configuration, if there is one.
    pub(super) fn config_at(&self, place: Place<'_>) -> Option<String> {
        let each = |line: &str| -> String {
            if !EACH.iter().any(|word| line.contains(word)) {
                return fill(line, place);
            }
            let one = |(number, upstream): (usize, &SocketAddr)| {
                let line = line.replace("{upstream}", &upstream.to_string());
                let line = line.replace("{upstream_address}", &upstream.ip().to_string());
                let line = line.replace("{upstream_port}", &upstream.port().to_string());
                fill(&line.replace("{upstream_number}", &number.to_string()), place)
            };
            place.upstreams.iter().enumerate().map(one).collect()
        };
        self.template.as_ref().map(|(_, text)| text.split_inclusive('\n').map(each).collect())
    }
}

const EACH: [&str; 4] = ["{upstream}", "{upstream_address}", "{upstream_port}", "{upstream_number}"];

fn fill(text: &str, place: Place<'_>) -> String {
    let upstreams: Vec<String> = place.upstreams.iter().map(ToString::to_string).collect();
    text.replace("{listen}", &place.listen.to_string())
        .replace("{address}", &place.listen.ip().to_string())
        .replace("{port}", &place.listen.port().to_string())
        .replace("{upstreams}", &upstreams.join(" "))
        .replace("{config}", &place.config.display().to_string())
        .replace("{dir}", &place.dir.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place<'a>(upstreams: &'a [SocketAddr]) -> Place<'a> {
        let listen = "127.70.0.80:8000".parse().unwrap();
        Place { listen, upstreams, config: Path::new("/tmp/x/proxy-0/nginx.conf"), dir: Path::new("/tmp/x/proxy-0") }
    }

    fn sources() -> Vec<SocketAddr> {
        ["127.70.0.10:9000", "127.70.0.11:9000"].map(|addr| addr.parse().unwrap()).to_vec()
    }

    #[test]
    fn a_command_has_its_places_filled_in() {
        let foreign = Foreign::new("relay --on {address}:{port} --to {upstreams} -d {dir}", None).unwrap();
        let sources = sources();
        assert_eq!(
            foreign.command_at(place(&sources)),
            "relay --on 127.70.0.80:8000 --to 127.70.0.10:9000 127.70.0.11:9000 -d /tmp/x/proxy-0"
        );
        assert_eq!(foreign.config_at(place(&sources)), None);
    }

    #[test]
    fn a_line_with_an_upstream_is_there_once_for_each_and_other_braces_stay() {
        let template =
            "http {\n upstream all {\n  server {upstream}; # {upstream_number}\n }\n listen {listen};\n \"${host}\"\n}";
        let foreign = Foreign::new("nginx -c {config}", Some(("nginx.conf", template))).unwrap();
        let sources = sources();
        assert_eq!(
            foreign.config_at(place(&sources)).unwrap(),
            "http {\n upstream all {\n  server 127.70.0.10:9000; # 0\n  server 127.70.0.11:9000; # 1\n }\n listen 127.70.0.80:8000;\n \"${host}\"\n}"
        );
        assert_eq!(foreign.command_at(place(&sources)), "nginx -c /tmp/x/proxy-0/nginx.conf");
    }

    #[test]
    fn what_cannot_work_is_said_beforehand() {
        assert_eq!(Foreign::new(" ", None), Err(ForeignError::Empty));
        assert_eq!(Foreign::new("x {config}", None), Err(ForeignError::NoTemplate));
        assert_eq!(Foreign::new("x", None), Err(ForeignError::NoListen));
        assert_eq!(Foreign::new("x {config}", Some(("x", "nothing"))), Err(ForeignError::NoListen));
        assert!(Foreign::new("x {config}", Some(("x", "bind {port}"))).is_ok());
    }
}
