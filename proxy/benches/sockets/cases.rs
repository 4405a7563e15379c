//! What is measured: each case sets its processes up, lets them run in, and reads the kernel's accounts over a window.

use std::time::{Duration, Instant};

use super::frames::PAYLOAD_LEN;
use super::role::{Outcome, Place, Role};
use super::table::{Figure, Sample, Table};

/// Clients of the cases that compare with the bare loop.
const CLIENTS: usize = 1_000;

/// Clients of the memory case.
const CLIENTS_MANY: usize = 5_000;

/// Who hands out the ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Server {
    /// The bare loop, a write for each tick.
    Bare,
    /// The bare loop, a write for eight ticks.
    Joined,
    Proxy,
    /// A peer, where it is installed.
    Nats,
}

impl Server {
    fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Joined => "bare, 8 joined",
            Self::Proxy => "proxy",
            Self::Nats => "nats-server",
        }
    }
}

type Case = fn(&Plan, &mut Table) -> Outcome<()>;

/// How often and how long.
struct Plan {
    place: Place,
    /// Whether nats-server is on this machine.
    nats: bool,
    repeats: usize,
    window: Duration,
}

/// Runs the cases named, or all.
pub(crate) fn run(words: &[&str]) -> Outcome<()> {
    let quick = words.contains(&"--quick");
    let names: Vec<&str> = words.iter().copied().filter(|word| !word.starts_with("--")).collect();
    let plan = Plan {
        place: Place::find(),
        nats: super::nats::is_here(),
        repeats: if quick { 1 } else { 3 },
        window: Duration::from_secs(if quick { 2 } else { 5 }),
    };
    give_up_in_the_end();
    super::table::machine(plan.place);
    if !plan.nats {
        println!("nats-server not found: its rows are left out");
    }
    let cases: [(&str, Case); 8] = [
        ("steady", steady),
        ("burst", burst),
        ("overload", overload),
        ("memory", memory),
        ("stalled", stalled),
        ("churn", churn),
        ("relay", |plan, table| super::relay::case(plan.place, plan.window, table)),
        (LOAD, load),
    ];
    if let Some(word) = names.iter().find(|word| cases.iter().all(|(name, _)| name != *word)) {
        return Err(format!(
            "no case {word}; there are steady, burst, overload, memory, stalled, churn, relay, {LOAD}"
        )
        .into());
    }
    let mut table = Table::default();
    for repeat in 1..=plan.repeats {
        for (name, case) in
            cases.iter().filter(|(name, _)| if names.is_empty() { *name != LOAD } else { names.contains(name) })
        {
            eprintln!("{name} ({repeat} of {})", plan.repeats);
            case(&plan, &mut table)?;
        }
    }
    table.print(plan.repeats);
    Ok(())
}

/// Whatever hangs: children end with their parent.
pub(crate) fn give_up_in_the_end() {
    std::thread::spawn(|| {
        std::thread::sleep(Duration::from_secs(30 * 60));
        eprintln!("sockets: not done after 30 minutes");
        std::process::exit(1)
    });
}

/// The processes of one run, the clients connected.
pub(crate) struct Run {
    source: Role,
    pub(crate) server: Role,
    pub(crate) clients: Role,
    address: String,
}

impl Run {
    fn start(place: Place, kind: Server, clients: usize, symbols: u32) -> Outcome<Self> {
        Self::start_with(place, kind, clients, symbols, PAYLOAD_LEN)
    }

    /// The same with ticks of so many bytes.
    fn start_with(place: Place, kind: Server, clients: usize, symbols: u32, payload_len: usize) -> Outcome<Self> {
        let payload_len = payload_len.to_string();
        let (count, symbols) = (clients.to_string(), symbols.to_string());
        if kind == Server::Nats {
            let mut server = Role::start(place, true, &["nats"])?;
            let address = server.line()?;
            let mut clients = Role::start(place, false, &["nats-clients", &address, &count, &symbols])?;
            ready(&mut clients)?;
            let mut source = Role::start(place, false, &["nats-source", &address, &symbols])?;
            ready(&mut source)?;
            return Ok(Self { source, server, clients, address });
        }
        let mut source = Role::start(place, false, &["source", &symbols, &payload_len])?;
        let from = source.line()?;
        let mut server = match kind {
            Server::Bare => Role::start(place, true, &["bare", &from, &count, "single"])?,
            Server::Joined => Role::start(place, true, &["bare", &from, &count, "joined"])?,
            Server::Proxy | Server::Nats => Role::start(place, true, &["proxy", &from])?,
        };
        let said = server.line()?;
        // The proxy says more than its address.
        let address = said.strip_prefix("proxy listening on ws://").unwrap_or(&said);
        let address = address.split_whitespace().next().unwrap_or_default().to_owned();
        let mut clients = Role::start(place, false, &["clients", &address, &count, &symbols, &payload_len])?;
        ready(&mut clients)?;
        Ok(Self { source, server, clients, address })
    }

    /// A proxy, and clients that want one symbol, of whose ticks each has so many bytes.
    pub(crate) fn of_proxy(place: Place, clients: usize, payload_len: usize) -> Outcome<Self> {
        Self::start_with(place, Server::Proxy, clients, 1, payload_len)
    }

    /// Ends all at once, so that nobody lives to complain of the others.
    pub(crate) fn end(mut self) {
        for role in [&mut self.clients, &mut self.source, &mut self.server] {
            role.kill();
        }
    }

    /// Ticks from now on.
    pub(crate) fn pace(&mut self, bursts_per_s: u32, ticks: u32) -> Outcome<()> {
        self.source.tell(&format!("pace {bursts_per_s} {ticks}"))
    }

    /// What the server does from now until the window ends.
    pub(crate) fn sample(&mut self, window: Duration) -> Outcome<Sample> {
        let count = |clients: &mut Role| -> Outcome<Vec<f64>> {
            Ok(clients.ask("count")?.split_whitespace().filter_map(|word| word.parse().ok()).collect())
        };
        let (began, cpu, before) = (Instant::now(), self.server.cpu_us()?, count(&mut self.clients)?);
        std::thread::sleep(window);
        let (took, cpu, after) = (began.elapsed(), self.server.cpu_us()? - cpu, count(&mut self.clients)?);
        let &[deliveries, ages, p50, p99] = after.as_slice() else { return Err("a bad count".into()) };
        let deliveries = deliveries - before.first().copied().unwrap_or(0.0);
        if ages == 0.0 {
            return Err("nothing reached the clients".into());
        }
        Ok(Sample {
            per_s: deliveries / took.as_secs_f64(),
            cpu_us: cpu / deliveries,
            p50_ms: p50 / 1e3,
            p99_ms: p99 / 1e3,
        })
    }
}

fn ready(role: &mut Role) -> Outcome<()> {
    if role.line()? == "ready" { Ok(()) } else { Err("a child is not ready".into()) }
}

/// Those to compare, and the peer if it is here.
fn servers(plan: &Plan, kinds: &[Server]) -> impl Iterator<Item = Server> {
    kinds.iter().copied().chain(plan.nats.then_some(Server::Nats))
}

/// One tick at a time, twenty a second.
fn steady(plan: &Plan, table: &mut Table) -> Outcome<()> {
    for kind in servers(plan, &[Server::Bare, Server::Proxy]) {
        let mut run = Run::start(plan.place, kind, CLIENTS, 1)?;
        run.pace(20, 1)?;
        std::thread::sleep(Duration::from_secs(1));
        table.add("1,000 clients x 20 ticks/s", kind.name(), run.sample(plan.window)?);
        run.end();
    }
    Ok(())
}

/// The case that runs only if it is named: it stands beside what `windtunnel forecast knee` says.
const LOAD: &str = "load";

/// One tick at a time, more and more often. How busy the core is: deliveries a second times CPU time of a delivery.
fn load(plan: &Plan, table: &mut Table) -> Outcome<()> {
    let mut run = Run::start(plan.place, Server::Proxy, CLIENTS, 1)?;
    for (rate, name) in [
        (20, "1,000 clients x 20 ticks/s"),
        (50, "1,000 clients x 50 ticks/s"),
        (100, "1,000 clients x 100 ticks/s"),
        (200, "1,000 clients x 200 ticks/s"),
        (400, "1,000 clients x 400 ticks/s"),
        (700, "1,000 clients x 700 ticks/s"),
        (1_000, "1,000 clients x 1,000 ticks/s"),
        (1_400, "1,000 clients x 1,400 ticks/s"),
        (2_000, "1,000 clients x 2,000 ticks/s"),
    ] {
        run.pace(rate, 1)?;
        std::thread::sleep(Duration::from_secs(1));
        table.add(name, Server::Proxy.name(), run.sample(plan.window)?);
    }
    run.end();
    Ok(())
}

/// Eight ticks are due at once, five times a second.
fn burst(plan: &Plan, table: &mut Table) -> Outcome<()> {
    for kind in servers(plan, &[Server::Bare, Server::Joined, Server::Proxy]) {
        let mut run = Run::start(plan.place, kind, CLIENTS, 1)?;
        run.pace(5, 8)?;
        std::thread::sleep(Duration::from_secs(1));
        table.add("1,000 clients x 5/s x 8 ticks at once", kind.name(), run.sample(plan.window)?);
        run.end();
    }
    Ok(())
}

/// More than anybody can hand out.
fn overload(plan: &Plan, table: &mut Table) -> Outcome<()> {
    for kind in servers(plan, &[Server::Bare, Server::Joined, Server::Proxy]) {
        let mut run = Run::start(plan.place, kind, CLIENTS, 8)?;
        run.pace(1, 0)?;
        std::thread::sleep(Duration::from_secs(8));
        table.add("overload: 1,000 clients, at 10 s", kind.name(), run.sample(Duration::from_secs(2))?);
        std::thread::sleep(Duration::from_secs(8));
        table.add("overload: 1,000 clients, at 20 s", kind.name(), run.sample(Duration::from_secs(2))?);
        run.end();
    }
    Ok(())
}

/// What clients cost that only listen.
fn memory(plan: &Plan, table: &mut Table) -> Outcome<()> {
    let none = {
        let mut run = Run::start(plan.place, Server::Proxy, 1, 1)?;
        run.pace(2, 1)?;
        std::thread::sleep(Duration::from_secs(1));
        let rss = run.server.rss()?;
        run.end();
        rss
    };
    let mut run = Run::start(plan.place, Server::Proxy, CLIENTS_MANY, 1)?;
    let each = |rss: u64| rss.saturating_sub(none) as f64 / CLIENTS_MANY as f64 / 1024.0;
    std::thread::sleep(Duration::from_millis(500));
    table.figure(Figure::RssIdle, each(run.server.rss()?));
    run.pace(2, 1)?;
    std::thread::sleep(plan.window);
    table.figure(Figure::RssLight, each(run.server.rss()?));
    run.end();
    Ok(())
}

/// Clients that stop reading while the feed goes on: what they hold beyond those that read it.
fn stalled(plan: &Plan, table: &mut Table) -> Outcome<()> {
    const STALLED: usize = 200;
    let mut rss = Vec::new();
    for stalled in [0, STALLED] {
        // More payload in one message of each symbol than the queue holds, so that conflation cannot make it small.
        let mut run = Run::start(plan.place, Server::Proxy, STALLED, 400)?;
        run.clients.ask(&format!("stall {stalled}"))?;
        run.pace(100, 20)?;
        std::thread::sleep(Duration::from_secs(6));
        rss.push(run.server.rss()? as f64);
        if stalled > 0 {
            match kernel_bytes(&run.address) {
                Some(bytes) => table.figure(Figure::StalledKernel, bytes as f64 / 1024.0),
                None => eprintln!("no ss (iproute2): what the kernel holds of a stalled client is not measured"),
            }
        }
        run.end();
    }
    table.figure(Figure::StalledUser, (rss[1] - rss[0]) / STALLED as f64 / 1024.0);
    Ok(())
}

/// The most that the kernel holds for writing on any connection of the server's port: the `w` of `ss -tm`, which counts its own bookkeeping, too.
fn kernel_bytes(address: &str) -> Option<u64> {
    let port = address.rsplit(':').next()?;
    let filter = format!("sport = :{port}");
    let out = std::process::Command::new("ss").args(["-tmnH", &filter]).output().ok()?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let held = |memory: &str| memory.split(',').find_map(|field| field.strip_prefix('w')?.parse::<u64>().ok());
    text.split("skmem:(").skip(1).filter_map(held).max()
}

/// Connections that come, upgrade and go.
fn churn(plan: &Plan, table: &mut Table) -> Outcome<()> {
    let mut ours = Vec::new();
    for words in [["bare", "churn"], ["plain", "churn"]] {
        let mut server = Role::start(plan.place, true, &words)?;
        let address = server.line()?;
        let mut clients = Role::start(plan.place, false, &["clients", &address, "0", "1", &PAYLOAD_LEN.to_string()])?;
        clients.line()?;
        ours.push(churn_cpu_us(&server, &mut clients)?);
    }
    let mut run = Run::start(plan.place, Server::Proxy, 0, 1)?;
    ours.push(churn_cpu_us(&run.server, &mut run.clients)?);
    run.end();
    let figures = [
        [Figure::ChurnBare, Figure::ChurnPlain, Figure::Churn, Figure::ChurnRatio],
        [Figure::ManyBare, Figure::ManyPlain, Figure::Many, Figure::ManyRatio],
    ];
    for (figures, way) in figures.into_iter().zip(0..) {
        let [bare, plain, proxy]: [f64; 3] = std::array::from_fn(|server| ours[server][way]);
        for (figure, value) in figures.into_iter().zip([bare, plain, proxy, proxy / bare]) {
            table.figure(figure, value);
        }
    }
    table.figure(Figure::ManyOfPlain, ours[2][1] / ours[1][1]);
    Ok(())
}

/// One after the other, and many at once.
pub(crate) fn churn_cpu_us(server: &Role, clients: &mut Role) -> Outcome<[f64; 2]> {
    const TIMES: u32 = 3_200;
    let mut took = [0.0; 2];
    for (took, at_once) in took.iter_mut().zip([1, 32]) {
        clients.ask(&format!("churn {at_once} {}", 320 / at_once))?;
        let cpu = server.cpu_us()?;
        clients.ask(&format!("churn {at_once} {}", TIMES / at_once))?;
        *took = (server.cpu_us()? - cpu) / f64::from(TIMES);
    }
    Ok(took)
}
