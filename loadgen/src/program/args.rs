//! The command line.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use wire::args::{Symbols, duration, symbols};
use wire::feed::Protocol;
use wire::id::ClientId;

use crate::arrival::{Arrival, Steps};
use crate::behaviour::{Behaviour, Handshake, Offence};
use crate::config::{Config, Load, Reader, Reconnect};
use crate::health::Bounds;
use crate::publish::Publishers;
use crate::require::Require;
use crate::subscriptions::Subscriptions;

/// Virtual WebSocket clients: open-loop load, or a closed population, with every message checked.
#[derive(Parser, Debug)]
#[command(name = "loadgen", version, about, max_term_width = 120)]
pub(super) struct Args {
    /// Where to connect, ws:// or wss://; several are taken in turn.
    #[arg(long = "target", value_name = "WS_URL", required_unless_present = "self_test")]
    targets: Vec<String>,
    /// How many clients.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), required_unless_present_any = ["self_test", "steps"])]
    clients: Option<u32>,
    /// What to subscribe to: a number (S0000, S0001, ...) or a list.
    #[arg(long, value_name = "LIST|N", default_value = "10", value_parser = symbols)]
    symbols: Symbols,
    /// Each client subscribes to this many of the symbols, drawn by chance.
    #[arg(long, value_name = "N")]
    symbols_per_client: Option<u32>,
    /// Draw them by popularity: the symbol of rank k with weight k^-EXPONENT (Zipf's law).
    #[arg(long, value_name = "EXPONENT", requires = "symbols_per_client", value_parser = exponent)]
    zipf: Option<f64>,
    /// From the first arrival to the end.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    duration: Duration,
    /// The length of the measured window, which begins after the last arrival and --warm-up: the run ends with it.
    #[arg(long, value_name = "TIME", value_parser = duration, conflicts_with = "duration")]
    window: Option<Duration>,
    /// From the last planned arrival to the measured window, which lasts to the end.
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = duration)]
    warm_up: Duration,
    /// Share of clients that read and check all, 0 to 1; the others count messages and bytes, and cost little.
    #[arg(long, value_name = "SHARE", default_value_t = 1.0, value_parser = share)]
    verify: f64,
    /// Ticks that are older than this at their delivery are told apart.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    objective: Option<Duration>,
    /// What must hold, as tick_p99<50ms, missing=0, objective_share>=99.9%; may be repeated. Exit code 1 where it does not, 2 where there are too few samples.
    #[arg(long, value_name = "NAME<VALUE", value_parser = clap::value_parser!(Require))]
    pub(super) require: Vec<Require>,
    /// Event loops, each on a thread of its own, that share the clients.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(super) threads: u16,
    /// Addresses of this host to connect from, taken in turn: more connections than one has ports. May be repeated.
    #[arg(long, value_name = "ADDR|FIRST..LAST", value_parser = addresses)]
    source_address: Vec<Addresses>,
    /// This share of its threads' time the generator may compute; beyond it the run is inconclusive.
    #[arg(long, value_name = "SHARE", value_parser = share)]
    cpu_max: Option<f64>,
    /// The generator's own lateness (p99) may be this; beyond it the run is inconclusive [default: a tenth of --objective, 3 to 10 ms].
    #[arg(long, value_name = "TIME", value_parser = duration)]
    lateness_max: Option<Duration>,
    /// Send R requests per client and second (open loop) to an echo, in place of a subscription.
    #[arg(long, value_name = "R", value_parser = rate)]
    rate: Option<f64>,
    /// So many of the clients publish, --rate (or --think) times; the others receive it through the target, and check. Messages say who published them, their number, and when.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..), conflicts_with_all = ["one_at_a_time", "resubscribe_every", "asks_per_s"])]
    publishers: Option<u32>,
    /// Publishers receive what others publish, too.
    #[arg(long, requires = "publishers")]
    publishers_listen: bool,
    /// How long a publication may be on its way before it counts as lost; the run goes on so long after the last.
    #[arg(long, value_name = "TIME", default_value = "1s", requires = "publishers", value_parser = duration)]
    settle: Duration,
    /// What publishers say, with {message} once, where the message stands.
    #[arg(long, value_name = "TEXT", requires = "publishers")]
    envelope: Option<String>,
    /// What each client says once its session is open, to join a room, say; may be repeated. With --raw or --publishers.
    #[arg(long, value_name = "TEXT")]
    hello: Vec<String>,
    /// Bytes of each request or publication.
    #[arg(long, value_name = "N", default_value_t = 64)]
    bytes: usize,
    /// The authorities of wss:// targets, in PEM, beside the public ones.
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    pub(super) ca: Option<PathBuf>,
    /// Trust any certificate of wss:// targets.
    #[arg(long)]
    pub(super) insecure: bool,
    /// Name lookup, TCP connect, TLS and WebSocket handshake together may take this.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    dial_timeout: Duration,
    /// A request waits for the answer to the one before: it goes late then, and its latency counts from its plan all the same.
    #[arg(long, requires = "rate")]
    one_at_a_time: bool,
    /// Arrive evenly over this time; all at once without it.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    ramp: Option<Duration>,
    /// Arrive at random, this many a second on average.
    #[arg(long, value_name = "PER_S", conflicts_with = "ramp", value_parser = rate)]
    poisson: Option<f64>,
    /// Arrive in waves: so many at once, every so often.
    #[arg(long, value_name = "N/TIME", conflicts_with_all = ["ramp", "poisson"], value_parser = waves)]
    waves: Option<(u32, Duration)>,
    /// Arrive in stairs: so many clients in all for so long, then more; the whole is --clients and --duration. The measured window is the last step.
    #[arg(long, value_name = "N/TIME,N/TIME,...", value_parser = steps, conflicts_with_all = ["ramp", "poisson", "waves", "clients", "duration", "window", "closed"])]
    steps: Option<Steps>,
    /// Each client leaves for good so long after its arrival.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    stay: Option<Duration>,
    /// Hold a population: who leaves is replaced at once, who is lost comes again.
    #[arg(long, group = "comes-again", conflicts_with_all = ["rate", "poisson", "waves", "stay"])]
    closed: bool,
    /// Send the next request about this long after the last answer, to an echo, in place of a subscription.
    #[arg(long, value_name = "TIME", requires = "closed", value_parser = duration)]
    think: Option<Duration>,
    /// Share of clients that ask for the strong contract (windtunnel.v1), 0 to 1.
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    strong: f64,
    /// What the target speaks: v1 or v2.
    #[arg(long, value_name = "v1|v2", default_value = "v1", value_parser = ["v1", "v2"])]
    protocol: String,
    /// Read ticks without asking for symbols.
    #[arg(long, conflicts_with_all = ["rate", "protocol", "publishers"])]
    raw: bool,
    /// The feed's seed: check every byte.
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Come again after a refusal or a close.
    #[arg(long, group = "comes-again")]
    reconnect: bool,
    /// Close each session after about this time, and come again; with --closed: another client takes the place.
    #[arg(long, value_name = "TIME", requires = "comes-again", value_parser = duration)]
    session: Option<Duration>,
    /// Strong clients that come again go on where they stood.
    #[arg(long, requires = "comes-again")]
    resume: bool,
    /// Read at most so many bytes per second and client.
    #[arg(long, value_name = "BYTES_PER_S", value_parser = clap::value_parser!(u64).range(1..))]
    read_rate: Option<u64>,
    /// Ping the target so often.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pings_every: Option<Duration>,
    /// Answer no ping.
    #[arg(long)]
    no_pongs: bool,
    /// Change the subscription so often: half of the symbols, then the other half.
    #[arg(long, value_name = "TIME", value_parser = duration, conflicts_with_all = ["rate", "raw"])]
    resubscribe_every: Option<Duration>,
    /// Ask again for the same so many times a second.
    #[arg(long, value_name = "R", value_parser = rate, conflicts_with_all = ["rate", "raw"])]
    asks_per_s: Option<f64>,
    /// The Origin of the handshakes.
    #[arg(long, value_name = "ORIGIN")]
    origin: Option<String>,
    /// Say the handshakes a byte at a time, with this pause between.
    #[arg(long, value_name = "TIME", value_parser = duration)]
    slow_handshake: Option<Duration>,
    /// Break the protocol a second after each session opened: to see what the target does about it.
    #[arg(long, value_name = "HOW", value_parser = offence)]
    offend: Option<Offence>,
    /// Print the summary as JSON on standard output; the two lines that tell of the window go to standard error then.
    #[arg(long)]
    pub(super) json: bool,
    /// Show on this machine that a stall of what is loaded cannot hide, with an echo of its own: ten seconds, nothing else.
    #[arg(long, exclusive = true)]
    pub(super) self_test: bool,
    /// Write summary.json, seconds.csv and report.html into this folder.
    #[arg(long, value_name = "DIR")]
    pub(super) out: Option<PathBuf>,
    /// Write what each client saw, one JSON object a line.
    #[arg(long, value_name = "FILE")]
    pub(super) events: Option<PathBuf>,
    /// The number of the first client.
    #[arg(long, value_name = "N", default_value_t = 0)]
    first_client: u32,
    /// The user key.
    #[arg(long, value_name = "K", default_value = "load")]
    user_key: String,
}

impl Args {
    /// Whether what is measured begins after the arrivals.
    pub(super) fn has_window(&self) -> bool {
        self.window.is_some() || !self.warm_up.is_zero()
    }

    pub(super) fn config(&self) -> Config {
        let mut config = Config::new(self.targets.clone());
        config.first = ClientId(self.first_client);
        let (stairs, lasts) = self.steps.as_ref().map_or((1, self.duration), Steps::whole);
        config.clients = self.clients.unwrap_or(stairs);
        config.symbols.clone_from(&self.symbols.0);
        config.subscriptions = match (self.symbols_per_client, self.zipf) {
            (None, _) => Subscriptions::All,
            (Some(each), None) => Subscriptions::Uniform { each },
            (Some(each), Some(exponent)) => Subscriptions::Zipf { each, exponent },
        };
        config.duration = lasts;
        config.handshake_timeout = self.dial_timeout;
        config.warm_up = self.warm_up;
        config.window = self.window;
        config.verify = self.verify;
        config.objective = self.objective;
        config.source_addresses =
            self.source_address.iter().flat_map(|addresses| addresses.0.iter().copied()).collect();
        config.one_at_a_time = self.one_at_a_time;
        config.request_bytes = self.bytes;
        config.load = self.load();
        config.publishers = self.publishers.map(|count| Publishers {
            count,
            listen: self.publishers_listen,
            settle: self.settle,
            envelope: self.envelope.clone(),
        });
        config.hello.clone_from(&self.hello);
        (config.strong, config.strong_alike) = (self.strong, true);
        config.protocol = match (self.raw || self.publishers.is_some(), self.protocol.as_str()) {
            (true, _) => Protocol::Raw,
            (false, "v2") => Protocol::V2,
            _ => Protocol::V1,
        };
        config.seed = self.seed;
        config.reconnect = (self.reconnect || self.closed).then(Reconnect::default);
        config.resume = self.resume;
        config.reader = self.read_rate.map_or(Reader::Full, Reader::BytesPerSecond);
        config.user_key.clone_from(&self.user_key);
        config.behaviour = Behaviour {
            pings_every: self.pings_every,
            pongs: !self.no_pongs,
            resubscribe_every: self.resubscribe_every,
            asks_per_s: self.asks_per_s,
            origin: self.origin.clone(),
            handshake: self.slow_handshake.map_or(Handshake::Whole, |pause| Handshake::Slow { pause }),
            offence: self.offend.map(|offence| (offence, OFFENDS_AFTER)),
        };
        config
    }

    /// What a healthy generator stays within.
    pub(super) fn bounds(&self) -> Bounds {
        let mut bounds = Bounds::of(self.objective);
        bounds.cpu_share_max = self.cpu_max.unwrap_or(bounds.cpu_share_max);
        bounds.lateness_p99_max = self.lateness_max.unwrap_or(bounds.lateness_p99_max);
        bounds
    }

    fn load(&self) -> Load {
        if self.closed {
            return Load::Closed { ramp: self.ramp.unwrap_or_default(), think: self.think, session: self.session };
        }
        if let Some(steps) = self.steps {
            let arrival = Arrival::Steps(steps);
            return Load::Open { arrival, requests_per_s: self.rate, stay: self.stay, session: self.session };
        }
        let arrival = match (self.ramp, self.poisson, self.waves) {
            (Some(over), ..) => Arrival::Ramp { over },
            (_, Some(per_s), _) => Arrival::Poisson { per_s },
            (.., Some((each, every))) => Arrival::Waves { each, every, ahead: 0 },
            (None, None, None) => Arrival::AtOnce,
        };
        Load::Open { arrival, requests_per_s: self.rate, stay: self.stay, session: self.session }
    }
}

fn waves(text: &str) -> Result<(u32, Duration), String> {
    let (each, every) = text.split_once('/').ok_or_else(|| "must be like 100/5s".to_owned())?;
    let each = each.parse().ok().filter(|each| *each > 0).ok_or_else(|| format!("{each:?} is no number of clients"))?;
    Ok((each, duration(every)?))
}

fn steps(text: &str) -> Result<Steps, String> {
    Steps::new(&text.split(',').map(|step| waves(step.trim())).collect::<Result<Vec<_>, _>>()?)
}

/// Addresses that follow one another.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Addresses(Vec<IpAddr>);

/// More are a slip of the keyboard.
const ADDRESSES_MAX: u32 = 4_096;

fn addresses(text: &str) -> Result<Addresses, String> {
    let address = |text: &str| text.trim().parse::<IpAddr>().map_err(|_| format!("{text:?} is no address"));
    let Some((first, last)) = text.split_once("..") else { return Ok(Addresses(vec![address(text)?])) };
    match (address(first)?, address(last)?) {
        (IpAddr::V4(first), IpAddr::V4(last)) if first <= last && last.to_bits() - first.to_bits() < ADDRESSES_MAX => {
            let all = first.to_bits()..=last.to_bits();
            Ok(Addresses(all.map(|bits| IpAddr::V4(Ipv4Addr::from_bits(bits))).collect()))
        }
        _ => Err(format!("write 127.0.0.2..127.0.0.9: two IPv4 addresses, rising, at most {ADDRESSES_MAX}")),
    }
}

/// From the opening of a session to its offence.
const OFFENDS_AFTER: Duration = Duration::from_secs(1);

fn offence(text: &str) -> Result<Offence, String> {
    Offence::named(text).ok_or_else(|| format!("must be one of {}", Offence::WORDS.join(", ")))
}

fn share(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|share| (0.0..=1.0).contains(share)).ok_or_else(|| "must be from 0 to 1".to_owned())
}

fn exponent(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|exponent| (0.0..=10.0).contains(exponent))
        .ok_or_else(|| "must be from 0 to 10".to_owned())
}

fn rate(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|rate| (1e-6..=1e6).contains(rate)).ok_or_else(|| "must be above 0".to_owned())
}
