//! A real kernel path with a wire of our own: two network namespaces, a TUN device in each, and between them packets that wait, queue and get lost
//! as the link says. The kernel's own TCP runs at both ends; nothing of the machine's network is touched.
//!
//! ```text
//!   namespace a                                                     namespace b
//!   client -- TCP -- tun a  ==>  read, queue at the rate, delay, write  ==>  tun b -- TCP -- server
//! ```
//!
//! Needs Linux, root, `ip` and /dev/net/tun; elsewhere [`Path::open`] says what is missing. (`tc netem` would do for delay and rate, where the
//! kernel has it; this needs no module, and can cut one direction at a chosen instant.)
#![expect(
    unsafe_code,
    reason = "TUNSETIFF and setns have no safe wrapper among our dependencies; each use argues below"
)]
#![expect(clippy::disallowed_methods, reason = "a real wire: threads, and the clock of the wall")]

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::io::unix::AsyncFd;
use tokio::sync::Notify;

/// What the wire is like, in both directions.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wire {
    pub(crate) delay: Duration,
    /// Bits per second.
    pub(crate) rate: Option<u64>,
    /// How often a machine sends again before it gives up (tcp_retries2).
    pub(crate) retries: u32,
}

/// The server's address.
pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
/// Bytes that may wait for the rate.
const QUEUE: u64 = 1 << 20;

/// A path that stands. Dropping it takes the namespaces and all in them away.
pub(crate) struct Path {
    spaces: [Space; 2],
    /// Whether each direction, to the server and back, is cut.
    pub(crate) cuts: [Arc<AtomicBool>; 2],
    stop: Arc<Notify>,
    threads: Vec<JoinHandle<()>>,
}

/// A namespace that is deleted when dropped.
struct Space(String);

impl Space {
    fn new(name: String) -> io::Result<Self> {
        ip(&["netns", "add", &name])?;
        Ok(Self(name))
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        let _ = ip(&["netns", "del", &self.0]);
    }
}

fn ip(words: &[&str]) -> io::Result<()> {
    let output = Command::new("ip").args(words).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("ip {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr).trim())))
}

/// Makes a TUN device: what is written to the file arrives from it, what is sent through it can be read.
fn tun(name: &str) -> io::Result<File> {
    #[repr(C)]
    struct Request {
        name: [u8; libc::IFNAMSIZ],
        flags: libc::c_short,
        rest: [u8; 22],
    }
    let file = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open("/dev/net/tun")?;
    let flags = libc::c_short::try_from(libc::IFF_TUN | libc::IFF_NO_PI).map_err(io::Error::other)?;
    let mut request = Request { name: [0; libc::IFNAMSIZ], flags, rest: [0; 22] };
    request.name[..name.len()].copy_from_slice(name.as_bytes());
    // SAFETY: the descriptor is open, and `request` is a `struct ifreq` (40 bytes: a name and a union of 24) that outlives the call.
    let made = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF as libc::Ioctl, &raw mut request) };
    if made == 0 { Ok(file) } else { Err(io::Error::last_os_error()) }
}

impl Path {
    /// Builds a path.
    ///
    /// # Errors
    /// What this machine lacks.
    pub(crate) fn open(wire: Wire) -> io::Result<Self> {
        static PATHS: AtomicU32 = AtomicU32::new(0);
        let number = PATHS.fetch_add(1, Relaxed);
        let pid = std::process::id();
        let spaces = [Space::new(format!("wt-{pid}-{number}-a"))?, Space::new(format!("wt-{pid}-{number}-b"))?];
        let mut tuns = Vec::new();
        for (space, (side, addr)) in spaces.iter().zip([("a", "10.77.0.1/24"), ("b", "10.77.0.2/24")]) {
            let device = format!("wt{}x{number}{side}", pid % 100_000);
            tuns.push(tun(&device)?);
            ip(&["link", "set", &device, "netns", &space.0])?;
            ip(&["-n", &space.0, "addr", "add", addr, "dev", &device])?;
            ip(&["-n", &space.0, "link", "set", "lo", "up"])?;
            ip(&["-n", &space.0, "link", "set", &device, "up"])?;
        }
        let mut path = Self { spaces, cuts: Default::default(), stop: Arc::default(), threads: Vec::new() };
        // Two minutes of asking for a connection become three seconds (tcp(7)).
        for (name, value) in [("tcp_syn_retries", 1), ("tcp_retries2", wire.retries)] {
            let file = format!("/proc/sys/net/ipv4/{name}");
            path.within(0, || std::fs::write(&file, value.to_string()))?;
        }
        let (Some(b), Some(a)) = (tuns.pop(), tuns.pop()) else { return Err(io::Error::other("two devices")) };
        let (a_too, b_too) = (a.try_clone()?, b.try_clone()?);
        path.carry(a, b_too, 0, wire);
        path.carry(b, a_too, 1, wire);
        Ok(path)
    }

    /// Runs `f` on a thread of its own inside of a side: 0 the client's, 1 the server's.
    pub(crate) fn within<T: Send>(&self, side: usize, f: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        let space = File::open(format!("/run/netns/{}", self.spaces[side].0))?;
        std::thread::scope(|scope| {
            let inside = scope.spawn(move || {
                // SAFETY: the descriptor is open; the call changes this thread's network namespace and nothing else, and the thread ends here.
                if unsafe { libc::setns(space.as_raw_fd(), libc::CLONE_NEWNET) } != 0 {
                    return Err(io::Error::last_os_error());
                }
                f()
            });
            inside.join().unwrap_or_else(|_| Err(io::Error::other("panicked")))
        })
    }

    /// Carries packets one way: one thread reads and decides, one writes when it is time.
    fn carry(&mut self, from: File, mut to: File, way: usize, wire: Wire) {
        let (send, receive) = mpsc::channel::<(Instant, Vec<u8>)>();
        let (cut, stop) = (self.cuts[way].clone(), self.stop.clone());
        self.threads.push(std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
            runtime.block_on(async {
                wire::select! {
                    () = stop.notified() => {}
                    () = read(from, &send, &cut, wire) => {}
                }
            });
        }));
        self.threads.push(std::thread::spawn(move || {
            for (due, packet) in receive {
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                let _ = to.write(&packet);
            }
        }));
    }
}

/// Takes packets from a device: lost while the way is cut or its queue full, else due once the rate and the delay allow.
async fn read(from: File, send: &mpsc::Sender<(Instant, Vec<u8>)>, cut: &AtomicBool, wire: Wire) {
    // SAFETY: the file is owned by what is made of it, and its descriptor is never replaced.
    let from = unsafe { AsyncFd::register(from) }.unwrap();
    let mut free_at = Instant::now();
    let mut packet = vec![0; 2048];
    loop {
        let Ok(mut ready) = from.readable().await else { return };
        let Ok(Ok(n)) = ready.try_io(|file| file.get_ref().read(&mut packet)) else { continue };
        if cut.load(Relaxed) {
            continue;
        }
        let now = Instant::now();
        free_at = free_at.max(now);
        if let Some(rate) = wire.rate {
            let waits = (free_at - now).as_secs_f64() * rate as f64 / 8.0;
            if waits as u64 + n as u64 > QUEUE {
                continue;
            }
            free_at += Duration::from_secs_f64(n as f64 * 8.0 / rate as f64);
        }
        let _ = send.send((free_at + wire.delay, packet[..n].to_vec()));
    }
}

impl Drop for Path {
    fn drop(&mut self) {
        // One permit at a time is kept: each reader takes one.
        for _ in 0..2 {
            self.stop.notify_one();
            self.stop.notify_waiters();
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
