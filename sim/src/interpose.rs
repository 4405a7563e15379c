//! The operating system's randomness, taken from the seed inside a run; and its clocks, threads and random devices, whose use in there is noticed.
//!
//! WebSocket masks, handshake keys and the keys of `HashMap` draw from `getrandom`. This file defines that symbol: the dynamic linker and
//! the static one prefer a program's own definition to the C library's, so the standard library and the `getrandom` crate (which looks the
//! symbol up at run time) both arrive here. Inside a run's thread the bytes are a function of the seed; everywhere else they come from the
//! kernel, as before.
//!
//! The clocks and threads are defined in the same way: each tells [`guard`] and calls the C library's own (found once with `dlsym`), so that outside
//! of a run nothing changes. With another C library than glibc they are left alone, and nothing is noticed.
//!
//! The only file with unsafe code in this crate.
#![expect(
    unsafe_code,
    reason = "interposing a C function needs an exported symbol and raw pointers; each use argues below"
)]

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

use libc::{c_int, c_uint, c_void, size_t, ssize_t};

use crate::guard;

/// The key of the run's stream, and how many words were drawn.
#[derive(Clone, Copy)]
struct Stream {
    key: u64,
    drawn: u64,
}

thread_local! {
    // const: no allocation and no lazy initialisation, for `getrandom` may be called from within an allocator.
    static STREAM: Cell<Option<Stream>> = const { Cell::new(None) };
}

/// SplitMix64's finaliser (Steele, Lea and Flood 2014) over a counter: no state but a number, no allocation.
fn mix(key: u64, n: u64) -> u64 {
    let mut z = key.wrapping_add(n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Fills from the run's stream, if this thread runs one.
fn fill(out: &mut [u8]) -> bool {
    STREAM
        .try_with(|cell| {
            let Some(mut stream) = cell.get() else { return false };
            for chunk in out.chunks_mut(8) {
                let word = mix(stream.key, stream.drawn).to_le_bytes();
                stream.drawn += 1;
                chunk.copy_from_slice(&word[..chunk.len()]);
            }
            cell.set(Some(stream));
            true
        })
        .unwrap_or(false)
}

/// `getrandom(2)`: from the seed inside a run, from the kernel elsewhere.
///
/// # Safety
/// As the C function's: `buf` must be valid for writes of `len` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn getrandom(buf: *mut c_void, len: size_t, flags: c_uint) -> ssize_t {
    if len == 0 {
        return 0;
    }
    if !buf.is_null() {
        // SAFETY: the caller vouches for `len` writable bytes at `buf`, which is not null; they are initialised first, because a reference
        // to uninitialised bytes must not exist.
        let out = unsafe {
            std::ptr::write_bytes(buf.cast::<u8>(), 0, len);
            std::slice::from_raw_parts_mut(buf.cast::<u8>(), len)
        };
        if fill(out) {
            return ssize_t::try_from(len).unwrap_or(ssize_t::MAX);
        }
    }
    // SAFETY: the arguments are the caller's own, passed on unchanged to the system call that they were meant for.
    unsafe { libc::syscall(libc::SYS_getrandom, buf, len, flags) as ssize_t }
}

/// `getentropy(3)`, likewise: at most 256 bytes, else `EIO`.
///
/// # Safety
/// As the C function's: `buf` must be valid for writes of `len` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn getentropy(buf: *mut c_void, len: size_t) -> c_int {
    if len > 256 {
        // SAFETY: the address is that of this thread's errno, always valid.
        unsafe { *libc::__errno_location() = libc::EIO };
        return -1;
    }
    // SAFETY: the contract of `getrandom` is the caller's contract here.
    let filled = unsafe { getrandom(buf, len, 0) };
    if usize::try_from(filled) == Ok(len) { 0 } else { -1 }
}

/// From now on this thread's randomness comes from `key`. Ends with the thread or with [`leave`].
pub(crate) fn enter(key: u64) {
    STREAM.with(|cell| cell.set(Some(Stream { key, drawn: 0 })));
}

/// This thread's randomness comes from the kernel again.
pub(crate) fn leave() {
    let _ = STREAM.try_with(|cell| cell.set(None));
}

/// Proves that all roads lead here: the standard library's (a fresh thread keys its first `RandomState` by `getrandom`), that of `rand` (a fresh
/// thread seeds its generator), and the run-time look-up of the symbol, as the `getrandom` crate does it. Call it on a fresh thread after
/// [`enter`]. It runs in each run of each program that links this crate, so a binary whose linker lost the symbol has no results at all.
#[expect(clippy::disallowed_methods, reason = "this draws from rand to see where that draws from")]
pub(crate) fn check() -> Result<(), &'static str> {
    let drawn = || STREAM.with(|cell| cell.get().map_or(0, |stream| stream.drawn));
    let before = drawn();
    std::hint::black_box(RandomState::new().hash_one(0_u8));
    if drawn() == before {
        return Err("the standard library's randomness does not come from the run's seed");
    }
    let before = drawn();
    std::hint::black_box(rand::Rng::next_u64(&mut rand::rng()));
    if drawn() == before {
        return Err("the randomness of `rand` does not come from the run's seed");
    }
    // SAFETY: dlsym reads a name that ends in nul and returns an address or null; nothing is called through it.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"getrandom".as_ptr()) };
    let ours = getrandom as unsafe extern "C" fn(*mut c_void, size_t, c_uint) -> ssize_t as *mut c_void;
    if found != ours {
        return Err("the symbol getrandom, looked up at run time, is not the simulator's");
    }
    if cfg!(target_env = "gnu") && !guard::notices(|| _ = std::hint::black_box(std::time::Instant::now())) {
        return Err("the standard library's clock is not the one that the simulator watches");
    }
    Ok(())
}

/// The names of the C functions whose calls are noticed.
pub(crate) const NOTICED: [&str; 8] =
    ["clock_gettime", "gettimeofday", "time", "nanosleep", "clock_nanosleep", "pthread_create", "open", "open64"];

/// Clocks, sleeps, threads and files: noticed, then done by the C library.
#[cfg(target_env = "gnu")]
mod noticed {
    use std::ffi::{CStr, c_char, c_int, c_void};
    use std::sync::atomic::{AtomicPtr, Ordering::Relaxed};

    use libc::{clockid_t, mode_t, pthread_attr_t, pthread_t, time_t, timespec, timeval};

    use crate::guard::{self, Deed};

    /// Defines a C function that tells of a deed, and then calls the next definition of its name, which is the C library's.
    macro_rules! noticed {
        ($($(#[$doc:meta])* $name:ident($($arg:ident: $kind:ty),*) -> $result:ty, $deed:expr;)+) => {$(
            $(#[$doc])*
            ///
            /// # Safety
            /// As the C function's.
            #[unsafe(no_mangle)]
            unsafe extern "C" fn $name($($arg: $kind),*) -> $result {
                static REAL: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());
                if let Some(deed) = $deed {
                    guard::noticed(deed);
                }
                let mut real = REAL.load(Relaxed);
                if real.is_null() {
                    // SAFETY: a name that ends in nul; the answer is an address or null.
                    real = unsafe {
                        libc::dlsym(libc::RTLD_NEXT, CStr::from_bytes_with_nul_unchecked(concat!(stringify!($name), "\0").as_bytes()).as_ptr())
                    };
                    if real.is_null() {
                        std::process::abort();
                    }
                    REAL.store(real, Relaxed);
                }
                // SAFETY: the C library's function of this name has this signature; the arguments are the caller's own.
                unsafe { std::mem::transmute::<*mut c_void, unsafe extern "C" fn($($kind),*) -> $result>(real)($($arg),*) }
            }
        )+};
    }

    noticed! {
        /// `clock_gettime(2)`: `Instant::now`, `SystemTime::now`.
        clock_gettime(clock: clockid_t, out: *mut timespec) -> c_int, Some(Deed::Clock);
        /// `gettimeofday(2)`.
        gettimeofday(out: *mut timeval, zone: *mut c_void) -> c_int, Some(Deed::Clock);
        /// `time(2)`.
        time(out: *mut time_t) -> time_t, Some(Deed::Clock);
        /// `nanosleep(2)`: `thread::sleep`, with some standard libraries.
        nanosleep(time: *const timespec, left: *mut timespec) -> c_int, Some(Deed::Sleep);
        /// `clock_nanosleep(2)`: `thread::sleep`, with others.
        clock_nanosleep(clock: clockid_t, flags: c_int, time: *const timespec, left: *mut timespec) -> c_int, Some(Deed::Sleep);
        /// `pthread_create(3)`: every thread.
        pthread_create(
            thread: *mut pthread_t,
            attributes: *const pthread_attr_t,
            start: extern "C" fn(*mut c_void) -> *mut c_void,
            argument: *mut c_void
        ) -> c_int, Some(Deed::Thread);
    }

    // `open` is variadic in C. Here its third argument has a name: on these machines both kinds travel in the same register, and where the caller
    // gave none, the C library does not look at it, for the flags say so.
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    noticed! {
        /// `open(2)`.
        open(path: *const c_char, flags: c_int, mode: mode_t) -> c_int, random(path);
        /// `open(2)` of large files: `File::open`.
        open64(path: *const c_char, flags: c_int, mode: mode_t) -> c_int, random(path);
    }

    /// Whether a path is one of the random devices.
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    fn random(path: *const c_char) -> Option<Deed> {
        if path.is_null() {
            return None;
        }
        // SAFETY: the caller of `open` vouches for a string that ends in nul.
        let path = unsafe { CStr::from_ptr(path) };
        [c"/dev/urandom", c"/dev/random"].contains(&path).then_some(Deed::Randomness)
    }
}
