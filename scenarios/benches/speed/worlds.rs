//! The worlds that are timed and counted: each shows another part of the simulator's cost.

use scenarios::model::Scenario;

/// A world of any length.
#[derive(Clone, Copy, Debug)]
pub(crate) struct World {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    /// Clients, for the cost of each.
    pub(crate) clients: u32,
    hosts: u32,
    period: &'static str,
    extra: &'static str,
    arrival: &'static str,
    stalled: bool,
    /// Simulated seconds of a timed run, in our simulator and in turmoil's, where it is compared at all.
    pub(crate) seconds: u64,
    pub(crate) seconds_turmoil: Option<u64>,
}

/// Idle time, messages, very many clients, very many hosts, connections, an outage.
pub(crate) const ALL: [World; 6] = [
    World {
        name: "quiet",
        about: "20 hosts, 20 clients, 0.2 messages/s each: the cost of idle time",
        clients: 20,
        hosts: 16,
        period: "5s",
        extra: "stale-after = \"30s\"",
        arrival: "at-once",
        stalled: false,
        seconds: 600,
        seconds_turmoil: Some(40),
    },
    World {
        name: "steady",
        about: "1,000 clients, 10 messages/s each: the cost of a message",
        clients: 1_000,
        hosts: 1,
        period: "100ms",
        extra: "",
        arrival: "ramp",
        stalled: false,
        seconds: 20,
        seconds_turmoil: Some(10),
    },
    World {
        name: "wide",
        about: "10,000 clients, 10 messages/s each: memory and caches",
        clients: 10_000,
        hosts: 40,
        period: "100ms",
        extra: "",
        arrival: "ramp",
        stalled: false,
        seconds: 8,
        seconds_turmoil: None,
    },
    World {
        name: "hosts",
        about: "200 hosts, 196 clients, 0.2 messages/s each: the cost of a host",
        clients: 196,
        hosts: 196,
        period: "5s",
        extra: "stale-after = \"30s\"",
        arrival: "at-once",
        stalled: false,
        seconds: 300,
        // Four minutes for eight simulated seconds: once by hand, not ten times.
        seconds_turmoil: None,
    },
    World {
        name: "flood",
        about: "10,000 clients connect within one second: the cost of a connection",
        clients: 10_000,
        hosts: 40,
        period: "1s",
        extra: "",
        arrival: "ramp",
        stalled: false,
        seconds: 5,
        seconds_turmoil: None,
    },
    World {
        name: "outage",
        about: "1,000 streams, 10 messages/s each, stalled for 5 s and released: the cost of what waits",
        clients: 1_000,
        hosts: 4,
        period: "100ms",
        extra: "",
        arrival: "ramp",
        stalled: true,
        seconds: 20,
        seconds_turmoil: None,
    },
];

impl World {
    /// The world as a scenario of so many clients and simulated seconds, at least 8: two sources, one proxy, the clients' hosts and the driver.
    pub(crate) fn scenario(&self, clients: u32, seconds: u64) -> Scenario {
        let Self { name, about, hosts, period, extra, .. } = self;
        let arrival = if self.arrival == "ramp" { "{ ramp = \"1s\" }" } else { "\"at-once\"" };
        let engines = if self.stalled { "" } else { "engines = [\"turmoil\"]" };
        let faults: String = (0..hosts * u32::from(self.stalled))
            .map(|host| {
                format!(
                    "[[faults]]\nat = \"0s\"\nfor = \"5s\"\nkind = \"stall\"\ntarget = \"proxy-0/clients-{host}\"\n"
                )
            })
            .collect();
        let text = format!(
            r#"
            schema = 1
            name = "bench-{name}"
            about = "{about}."
            warmup = "2s"
            steady = "{}s"
            recovery = "1s"
            {engines}
            [sources]
            count = 2
            symbols = 1
            period = "{period}"
            [proxy]
            mode = "fanout"
            clients-max = 20000
            {extra}
            [[clients]]
            name = "clients"
            count = {clients}
            hosts = {hosts}
            open = {{ arrival = {arrival} }}
            [check]
            symbol-order = {{}}
            no-duplicates = {{}}
            no-silent-gap = {{}}
            no-leakage = {{}}
            payload-intact = {{}}
            no-client-close = {{}}
            {faults}
            "#,
            seconds.saturating_sub(3)
        );
        match scenarios::parse::parse(&format!("bench-{name}.toml"), &text) {
            Ok(scenario) => scenario,
            Err(problems) => panic!("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")),
        }
    }
}
