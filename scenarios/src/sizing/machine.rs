//! The machine that something is measured on, and who runs where on it.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

/// Which core is whose. None: any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// The proxy's.
    pub proxy: Option<usize>,
    /// That of the source and the generator.
    pub rest: Option<usize>,
    /// Cores in all.
    pub cores: usize,
}

impl Placement {
    /// The last core is the proxy's, the first one for all else; where there is one, nobody has one of his own.
    #[must_use]
    pub fn of(cores: usize) -> Self {
        match cores {
            0 | 1 => Self { proxy: None, rest: None, cores },
            _ => Self { proxy: Some(cores - 1), rest: Some(0), cores },
        }
    }

    /// On this machine.
    #[must_use]
    pub fn here() -> Self {
        Self::of(std::thread::available_parallelism().map_or(1, std::num::NonZero::get))
    }

    /// In words.
    #[must_use]
    pub fn words(&self) -> String {
        let mut words = String::new();
        match (self.proxy, self.rest) {
            (Some(proxy), Some(rest)) => {
                let _ = write!(words, "proxy on core {proxy}, source and generator on core {rest}");
            }
            _ => words.push_str("one core for all: the generator takes from the proxy"),
        }
        words
    }
}

/// What the machine is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Its processor's name.
    pub cpu: String,
    /// The memory that there is for us, in bytes: the machine's, or less where a control group bounds it.
    pub memory_bytes: u64,
    /// Its kernel.
    pub kernel: String,
}

impl Machine {
    /// This one, as far as `/proc` says; "unknown" otherwise.
    #[must_use]
    pub fn here() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let of = |text: &str, name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':'));
            line.map(|value| value.trim().to_owned())
        };
        let unknown = || "unknown".to_owned();
        let memory = of(&read("/proc/meminfo"), "MemTotal");
        let kilobytes = memory.and_then(|text| text.split(' ').next()?.parse::<u64>().ok()).unwrap_or(0);
        let kernel = read("/proc/sys/kernel/osrelease").trim().to_owned();
        Self {
            cpu: of(&read("/proc/cpuinfo"), "model name").unwrap_or_else(unknown),
            memory_bytes: group_memory_max().unwrap_or(u64::MAX).min(kilobytes << 10),
            kernel: if kernel.is_empty() { unknown() } else { format!("Linux {kernel}") },
        }
    }
}

/// The least that a control group of ours, or one above it, allows (version 2, `memory.max`); none where nothing is bounded.
fn group_memory_max() -> Option<u64> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let ours = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let root = Path::new("/sys/fs/cgroup");
    let folders = Path::new(ours).ancestors().map(|path| root.join(path));
    folders.filter_map(|folder| std::fs::read_to_string(folder.join("memory.max")).ok()?.trim().parse().ok()).min()
}

/// The kernel's memory for TCP sockets, of all of this network namespace; none where it does not say.
#[must_use]
pub fn socket_bytes() -> Option<u64> {
    let pages = pages_of(&std::fs::read_to_string("/proc/net/sockstat").ok()?)?;
    Some(pages * rustix::param::page_size() as u64)
}

/// The pages of the line `TCP: inuse 1 orphan 0 tw 0 alloc 1 mem 235`.
fn pages_of(sockstat: &str) -> Option<u64> {
    let line = sockstat.lines().find_map(|line| line.strip_prefix("TCP:"))?;
    let mut words = line.split_whitespace();
    words.find(|word| *word == "mem")?;
    words.next()?.parse().ok()
}

/// TCP segments with data that this network namespace has sent since it began, those that were sent again left out; none where the kernel does not say.
///
/// The kernel counts calls of `writev` by process, and none of `send`. Over loopback a call of either is one segment: none is longer than one may be there.
#[must_use]
pub fn segments_sent() -> Option<u64> {
    segments_of(&std::fs::read_to_string("/proc/net/netstat").ok()?)
}

/// Pairs of lines, names above values: `TcpExt: .. TCPOrigDataSent ..`, `TcpExt: .. 17 ..`.
fn segments_of(netstat: &str) -> Option<u64> {
    let mut lines = netstat.lines().filter(|line| line.starts_with("TcpExt:"));
    let (names, values) = (lines.next()?, lines.next()?);
    let mut pairs = names.split_whitespace().zip(values.split_whitespace());
    pairs.find(|(name, _)| *name == "TCPOrigDataSent")?.1.parse().ok()
}

/// How long a core has been at work since the machine began, outside of the kernel and for whatever process, and for other guests of the hypervisor; none where the
/// kernel does not say. What it did within the kernel is left out: much of that is network work of whoever sends, though the core's account names nobody.
#[must_use]
pub fn core_taken(core: usize) -> Option<Duration> {
    taken_of(&std::fs::read_to_string("/proc/stat").ok()?, core, rustix::param::clock_ticks_per_second())
}

/// `cpu1 user nice system idle iowait irq softirq steal guest guest_nice`, in ticks; guests are part of user and nice.
fn taken_of(stat: &str, core: usize, ticks_per_s: u64) -> Option<Duration> {
    let name = format!("cpu{core}");
    let line = stat.lines().find(|line| line.split(' ').next() == Some(&name))?;
    let ticks: Vec<u64> = line.split_whitespace().skip(1).take(8).filter_map(|word| word.parse().ok()).collect();
    let [user, nice, _, _, _, _, _, steal] = ticks[..] else { return None };
    Some(Duration::from_secs_f64((user + nice + steal) as f64 / ticks_per_s.max(1) as f64))
}

/// Descriptors that the proxy keeps for all that is no client, with the limits and the one source that it has here.
#[must_use]
pub fn descriptors_beside_clients() -> u64 {
    proxy::descriptors_beside_clients(&proxy::Limits::default(), 1)
}

/// Descriptors that a process may have.
#[must_use]
pub fn descriptors_max(pid: u32) -> Option<u64> {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_files_are_read_as_proc_5_has_them() {
        let text = "sockets: used 19\nTCP: inuse 1 orphan 0 tw 0 alloc 1 mem 235\nUDP: inuse 0 mem 7\n";
        assert_eq!(pages_of(text), Some(235));
        assert_eq!(pages_of("UDP: inuse 0 mem 7\n"), None);
        let text = "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 5 0 5 90 0 0 0 0 0 0\ncpu1 100 2 30 500 7 4 3 11 0 0\nintr 1\n";
        assert_eq!(taken_of(text, 1, 100), Some(Duration::from_millis(1_130)));
        assert_eq!(taken_of(text, 2, 100), None);
        let text = "TcpExt: SyncookiesSent TCPOrigDataSent TCPHystart\nTcpExt: 5 617 0\nIpExt: InNoRoutes\nIpExt: 0\n";
        assert_eq!(segments_of(text), Some(617));
        assert_eq!(segments_of("TcpExt: SyncookiesSent\nTcpExt: 5\n"), None);
        assert!(descriptors_max(std::process::id()).is_some_and(|most| most > 10));
        assert!(Machine::here().memory_bytes > 1 << 20);
    }

    #[test]
    fn the_proxy_has_a_core_of_its_own_where_there_is_one() {
        assert_eq!(Placement::of(1).proxy, None);
        assert_eq!((Placement::of(2).proxy, Placement::of(2).rest), (Some(1), Some(0)));
        assert_eq!((Placement::of(8).proxy, Placement::of(8).rest), (Some(7), Some(0)));
    }
}
