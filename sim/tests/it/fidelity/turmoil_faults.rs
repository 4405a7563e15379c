//! Faults of turmoil 0.7.2 with its own defaults, each with a program that shows it. Our engine `turmoil` works around them or refuses; the probes
//! of the other tables say what is left.
#![expect(clippy::disallowed_methods, reason = "turmoil's hosts are tokio runtimes: a task of the host is tokio's")]

use std::cell::RefCell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout};
use turmoil::net::{TcpListener, TcpStream};

/// What turmoil does, and what a network does.
pub(crate) struct Fault {
    pub(crate) asks: &'static str,
    /// As a kernel, and our simulator, do it: a test or a probe of its own shows it.
    pub(crate) network: &'static str,
    pub(crate) shown: fn() -> String,
}

pub(crate) const FAULTS: &[Fault] = &[
    Fault { asks: "65 connects at once, none accepted yet", network: "all connect", shown: flood },
    Fault {
        asks: "64 unread segments, then the end: what does a late reader read",
        network: "640 bytes, end",
        shown: lost_end,
    },
    Fault {
        asks: "eleven refused connects, one after the other, with ten ports",
        network: "11 refused",
        shown: leaked_ports,
    },
    Fault { asks: "one-megabyte writes that are taken though nobody reads", network: "a few", shown: counted_writes },
    Fault { asks: "a connect with a latency of 50 ms each way", network: "100 ms", shown: half_handshake },
    Fault {
        asks: "a connect during an outage",
        network: "waits, and tries again after 1, 3, 7 s",
        shown: refused_outage,
    },
    Fault { asks: "a connect while only the way back is cut", network: "waits", shown: answered_outage },
    Fault {
        asks: "five bytes written in an outage, five after it: what is read",
        network: "10 bytes",
        shown: lost_bytes,
    },
    Fault { asks: "a sleep of 10 ms with ticks of 0.1 ms: how much time went by", network: "10 ms", shown: fast_ticks },
];

type Said = Rc<RefCell<String>>;

/// Runs a server and a client in a world of turmoil's own defaults, but for the seed, the latency and what `set` changes.
fn shown<S, C>(
    set: impl FnOnce(&mut turmoil::Builder),
    serve: impl Fn() -> S + 'static,
    call: impl FnOnce(Said) -> C,
) -> String
where
    S: Future<Output = turmoil::Result> + 'static,
    C: Future<Output = turmoil::Result> + 'static,
{
    let said = Said::default();
    let program = call(said.clone());
    let ran = catch_unwind(AssertUnwindSafe(|| {
        let mut builder = turmoil::Builder::new();
        builder
            .rng_seed(3)
            .simulation_duration(Duration::from_secs(60))
            .min_message_latency(Duration::from_millis(50))
            .max_message_latency(Duration::from_millis(50));
        set(&mut builder);
        let mut sim = builder.build();
        sim.host("server", serve);
        sim.client("client", program);
        sim.run().map_err(|error| error.to_string())
    }));
    match ran {
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default();
            format!("panics: {}", text.lines().next().unwrap_or_default())
        }
        // A task's number is counted over the whole process.
        Ok(Err(error)) => {
            error.split_once(" panicked with message ").map_or(error.clone(), |(_, text)| format!("panics: {text}"))
        }
        Ok(Ok(())) => said.borrow().clone(),
    }
}

async fn listen() -> std::io::Result<TcpListener> {
    TcpListener::bind(("0.0.0.0", 7)).await
}

fn flood() -> String {
    let serve = || async {
        let _listener = listen().await?;
        std::future::pending().await
    };
    shown(
        |_| {},
        serve,
        |said| async move {
            for _ in 0..65 {
                tokio::spawn(TcpStream::connect(("server", 7)));
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
            *said.borrow_mut() = "no panic".to_owned();
            Ok(())
        },
    )
}

fn lost_end() -> String {
    let serve = || async {
        let (mut stream, _) = listen().await?.accept().await?;
        for _ in 0..64 {
            stream.write_all(&[7; 10]).await?;
        }
        stream.shutdown().await?;
        std::future::pending().await
    };
    shown(
        |_| {},
        serve,
        |said| async move {
            let mut stream = TcpStream::connect(("server", 7)).await?;
            tokio::time::sleep(Duration::from_secs(1)).await;
            let mut total = 0;
            let end = loop {
                match timeout(Duration::from_secs(10), stream.read(&mut [0; 100])).await {
                    Err(_) => break "waits",
                    Ok(Ok(0)) => break "end",
                    Ok(Ok(n)) => total += n,
                    Ok(Err(_)) => break "error",
                }
            };
            *said.borrow_mut() = format!("{total} bytes, {end}");
            Ok(())
        },
    )
}

fn leaked_ports() -> String {
    let ports = |builder: &mut turmoil::Builder| {
        builder.ephemeral_ports(50_000..=50_009);
    };
    shown(ports, std::future::pending, |said| async move {
        let mut refused = 0;
        for _ in 0..11 {
            refused += u32::from(TcpStream::connect(("server", 7)).await.is_err());
        }
        *said.borrow_mut() = format!("{refused} refused");
        Ok(())
    })
}

fn counted_writes() -> String {
    let serve = || async {
        let _held = listen().await?.accept().await?;
        std::future::pending().await
    };
    shown(
        |_| {},
        serve,
        |said| async move {
            let mut stream = TcpStream::connect(("server", 7)).await?;
            let megabyte = vec![7; 1 << 20];
            let mut taken = 0;
            while timeout(Duration::from_secs(1), stream.write_all(&megabyte)).await.is_ok() {
                taken += 1;
            }
            *said.borrow_mut() = taken.to_string();
            Ok(())
        },
    )
}

/// Accepts for ever.
async fn accepting() -> turmoil::Result {
    let listener = listen().await?;
    let mut kept = Vec::new();
    loop {
        kept.push(listener.accept().await?);
    }
}

fn half_handshake() -> String {
    shown(
        |_| {},
        accepting,
        |said| async move {
            let begun = Instant::now();
            let _stream = TcpStream::connect(("server", 7)).await?;
            *said.borrow_mut() = format!("{} ms", begun.elapsed().as_millis());
            Ok(())
        },
    )
}

fn refused_outage() -> String {
    shown(
        |_| {},
        accepting,
        |said| async move {
            turmoil::partition("client", "server");
            let begun = Instant::now();
            let error = TcpStream::connect(("server", 7)).await.unwrap_err();
            *said.borrow_mut() = format!("{:?} after {} ms", error.kind(), begun.elapsed().as_millis());
            Ok(())
        },
    )
}

fn answered_outage() -> String {
    shown(
        |_| {},
        accepting,
        |said| async move {
            turmoil::partition_oneway("server", "client");
            let begun = Instant::now();
            let result = TcpStream::connect(("server", 7)).await;
            let word = result.map_or_else(|error| format!("{:?}", error.kind()), |_| "connects".to_owned());
            *said.borrow_mut() = format!("{word} after {} ms", begun.elapsed().as_millis());
            Ok(())
        },
    )
}

fn lost_bytes() -> String {
    let serve = || async {
        let (mut stream, _) = listen().await?.accept().await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        turmoil::partition("client", "server");
        stream.write_all(b"hello").await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
        turmoil::repair("client", "server");
        stream.write_all(b"again").await?;
        std::future::pending().await
    };
    shown(
        |_| {},
        serve,
        |said| async move {
            let mut stream = TcpStream::connect(("server", 7)).await?;
            let read = timeout(Duration::from_secs(30), stream.read_exact(&mut [0; 10])).await;
            *said.borrow_mut() = if read.is_ok() { "10 bytes".to_owned() } else { "waits for ever".to_owned() };
            Ok(())
        },
    )
}

fn fast_ticks() -> String {
    let ticks = |builder: &mut turmoil::Builder| {
        builder.tick_duration(Duration::from_micros(100));
    };
    shown(ticks, std::future::pending, |said| async move {
        let begun = turmoil::elapsed();
        tokio::time::sleep(Duration::from_millis(10)).await;
        let went = turmoil::elapsed() - begun;
        *said.borrow_mut() =
            if went < Duration::from_millis(5) { "about 1 ms".to_owned() } else { format!("{went:?}") };
        Ok(())
    })
}
