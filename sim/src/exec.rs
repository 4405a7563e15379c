//! The executor: tasks of hosts, polled one at a time; programs that start, end, freeze and are killed.
//!
//! Nothing of a program runs while the executor or the world is borrowed: futures are taken out, then polled or dropped.

use std::cell::RefCell;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use slab::Slab;

use crate::failure::{Cause, Waiting};
use crate::net::SimNet;
use crate::panics;
use crate::ready::{self, TaskKey};
use crate::{HostId, kernel, whose};

/// What a task is made of.
pub(crate) type TaskFuture = Pin<Box<dyn Future<Output = ()> + Send>>;
/// A program: makes the main future of each incarnation.
pub(crate) type Factory = Box<dyn Fn(SimNet) -> Pin<Box<dyn Future<Output = Result<(), String>> + Send>> + Send>;

struct Task {
    key: TaskKey,
    host: u32,
    name: &'static str,
    /// Spawn order: a killed host's futures are dropped in it.
    order: u64,
    /// None while it is being polled.
    body: Option<Body>,
    /// Woken while its host was frozen.
    woken: bool,
    aborted: bool,
    polled_at_us: u64,
    polls_then: u64,
}

struct Body {
    future: TaskFuture,
    waker: Waker,
}

struct Program {
    factory: Option<Factory>,
    foreground: bool,
    finished: bool,
    running: bool,
    /// Counts the incarnations: handles of an earlier one do nothing.
    boot: u32,
    /// The faults that freeze it.
    frozen: Vec<u32>,
}

struct Exec {
    tasks: Slab<Task>,
    programs: Vec<Program>,
    spawned: u64,
    polls: u64,
    failure: Option<Cause>,
    finish: bool,
    /// Programs that ended by themselves in the present poll.
    exits: Vec<u32>,
    polled_us: u64,
}

thread_local! {
    static EXEC: RefCell<Option<Exec>> = const { RefCell::new(None) };
}

fn with<R>(f: impl FnOnce(&mut Exec) -> R) -> Option<R> {
    EXEC.try_with(|cell| cell.borrow_mut().as_mut().map(f)).ok().flatten()
}

/// Begins a run.
pub(crate) fn install() {
    EXEC.with(|cell| {
        *cell.borrow_mut() = Some(Exec {
            tasks: Slab::new(),
            programs: Vec::new(),
            spawned: 0,
            polls: 0,
            failure: None,
            finish: false,
            exits: Vec::new(),
            polled_us: 0,
        });
    });
}

/// Ends a run: drops what is left, host by host, while the world still stands.
pub(crate) fn uninstall() {
    let hosts = with(|exec| exec.programs.len()).unwrap_or(0);
    for host in 0..hosts {
        stop(host as u32);
    }
    let exec = EXEC.with(|cell| cell.borrow_mut().take());
    drop(exec);
}

/// Gives a host its program; numbers follow the kernel's.
pub(crate) fn add_program(factory: Factory, foreground: bool) {
    with(|exec| {
        exec.programs.push(Program {
            factory: Some(factory),
            foreground,
            finished: false,
            running: false,
            boot: 0,
            frozen: Vec::new(),
        });
    });
}

/// Starts the program of a host, if it is not running. True if it was started.
pub(crate) fn start(host: u32) -> bool {
    let taken = with(|exec| {
        let program = exec.programs.get_mut(host as usize).filter(|program| !program.running)?;
        let factory = program.factory.take()?;
        program.running = true;
        program.finished = false;
        program.frozen.clear();
        program.boot += 1;
        Some((factory, program.boot))
    })
    .flatten();
    let Some((factory, boot)) = taken else { return false };
    kernel::with(|world| world.program_runs(host, true));
    let main =
        catch_unwind(AssertUnwindSafe(|| whose::in_the_name_of(host, "main", || factory(SimNet::new(host, boot)))));
    with(|exec| exec.programs[host as usize].factory = Some(factory));
    match main {
        Ok(main) => {
            let run = async move {
                let result = main.await;
                ended(host, boot, result);
            };
            spawn(host, boot, "main", Box::pin(run));
        }
        Err(_) => fail(panics::taken(&host_name(host), "main")),
    }
    true
}

/// The main future of a program has ended: so has its process.
fn ended(host: u32, boot: u32, result: Result<(), String>) {
    with(|exec| {
        let program = &mut exec.programs[host as usize];
        if program.boot != boot || !program.running {
            return;
        }
        program.finished = true;
        exec.exits.push(host);
        if let Err(error) = result
            && exec.failure.is_none()
        {
            exec.failure = Some(Cause::Program { host: host_name(host), error });
        }
    });
}

/// Adds a task to a host's program; None (and the future is dropped) if that incarnation has ended.
pub(crate) fn spawn(host: u32, boot: u32, name: &'static str, future: TaskFuture) -> Option<TaskKey> {
    let mut future = Some(future);
    let key = with(|exec| {
        exec.programs.get(host as usize).filter(|program| program.boot == boot && program.running)?;
        exec.spawned += 1;
        let order = exec.spawned;
        let entry = exec.tasks.vacant_entry();
        let key = ready::admit(u32::try_from(entry.key()).unwrap_or(u32::MAX));
        entry.insert(Task {
            key,
            host,
            name,
            order,
            body: future.take().map(|future| Body { future, waker: ready::waker(key) }),
            woken: false,
            aborted: false,
            polled_at_us: 0,
            polls_then: 0,
        });
        Some(key)
    })
    .flatten();
    // Not taken: dropped here, outside of the borrow.
    drop(future);
    key
}

/// Drops the task's future when its turn comes.
pub(crate) fn abort(key: TaskKey) {
    let known = with(|exec| match exec.tasks.get_mut(key.index as usize) {
        Some(task) if task.key == key => {
            task.aborted = true;
            true
        }
        _ => false,
    });
    if known == Some(true) {
        ready::wake(key);
    }
}

/// True while this incarnation of the host's program runs.
pub(crate) fn is_running(host: u32, boot: u32) -> bool {
    with(|exec| exec.programs.get(host as usize).is_some_and(|program| program.running && program.boot == boot))
        .unwrap_or(false)
}

/// The state of a host's program: (running, frozen, finished by itself, incarnations so far).
pub(crate) fn program_state(host: u32) -> Option<(bool, bool, bool, u32)> {
    with(|exec| {
        let program = exec.programs.get(host as usize)?;
        Some((program.running, !program.frozen.is_empty(), program.finished, program.boot))
    })
    .flatten()
}

/// How many tasks a host has.
pub(crate) fn tasks_of(host: u32) -> usize {
    with(|exec| exec.tasks.iter().filter(|(_, task)| task.host == host).count()).unwrap_or(0)
}

/// Stops polling a host's tasks on behalf of a fault. Their wake-ups are remembered.
pub(crate) fn freeze(host: u32, fault: u32) {
    with(|exec| {
        if let Some(program) = exec.programs.get_mut(host as usize).filter(|program| program.running) {
            program.frozen.push(fault);
        }
    });
}

/// The fault lets go. If no other holds the host, polling goes on: everyone woken meanwhile is queued, in spawn order.
pub(crate) fn thaw(host: u32, fault: u32) {
    let woken = with(|exec| {
        if let Some(program) = exec.programs.get_mut(host as usize) {
            program.frozen.retain(|other| *other != fault);
            if !program.frozen.is_empty() {
                return Vec::new();
            }
        }
        let mut woken: Vec<(u64, TaskKey)> = Vec::new();
        for (_, task) in &mut exec.tasks {
            if task.host == host && std::mem::take(&mut task.woken) {
                woken.push((task.order, task.key));
            }
        }
        woken.sort_unstable_by_key(|(order, _)| *order);
        woken
    });
    for (_, key) in woken.unwrap_or_default() {
        ready::wake(key);
    }
}

/// Ends a host's program at once: drops its futures in spawn order, then the kernel closes what they left open.
pub(crate) fn stop(host: u32) {
    let doomed = with(|exec| {
        let program = exec.programs.get_mut(host as usize)?;
        program.running = false;
        program.frozen.clear();
        let mut doomed: Vec<(u64, usize)> =
            exec.tasks.iter().filter(|(_, task)| task.host == host).map(|(index, task)| (task.order, index)).collect();
        doomed.sort_unstable();
        Some(doomed)
    })
    .flatten();
    for (order, index) in doomed.unwrap_or_default() {
        // One by one: a future's drop may abort or end others.
        let body = with(|exec| {
            let task = exec.tasks.get(index).filter(|task| task.order == order)?;
            let name = task.name;
            Some((remove(exec, task.key)?, name))
        })
        .flatten();
        if let Some((body, task)) = body
            && let Err(cause) = drop_of(host, task, body, "a future being dropped")
        {
            fail(cause);
        }
    }
    kernel::with(|world| {
        world.close_all(host);
        world.program_runs(host, false);
    });
}

/// Drops a future in the name of its task. A panic in there is given as the run's failure.
fn drop_of<T>(host: u32, task: &'static str, body: T, what: &str) -> Result<(), Cause> {
    catch_unwind(AssertUnwindSafe(|| whose::in_the_name_of(host, task, || drop(body))))
        .map_err(|_| panics::taken(&host_name(host), what))
}

/// Takes a task out of the slab. None for one that is being polled: it is dropped after its poll.
fn remove(exec: &mut Exec, key: TaskKey) -> Option<Body> {
    ready::retire(key);
    let task = exec.tasks.try_remove(key.index as usize)?;
    task.body
}

/// Ends the run with a failure; the first one counts.
pub(crate) fn fail(cause: Cause) {
    with(|exec| {
        if exec.failure.is_none() {
            exec.failure = Some(cause);
        }
    });
}

/// Ends the run well.
pub(crate) fn finish() {
    with(|exec| exec.finish = true);
}

/// Whether the run is over: a failure, a call of `finish`, or all foreground programs done.
pub(crate) fn verdict() -> Option<Result<(), Cause>> {
    with(|exec| {
        if let Some(cause) = exec.failure.take() {
            return Some(Err(cause));
        }
        let mut foreground = exec.programs.iter().filter(|program| program.foreground).peekable();
        let done = foreground.peek().is_some() && foreground.all(|program| program.finished);
        (exec.finish || done).then_some(Ok(()))
    })
    .flatten()
}

/// True if the run should go no further.
pub(crate) fn is_over() -> bool {
    with(|exec| exec.failure.is_some() || exec.finish).unwrap_or(true)
}

/// True if there is a foreground program that has not finished.
pub(crate) fn is_unfinished() -> bool {
    with(|exec| exec.programs.iter().any(|program| program.foreground && !program.finished)).unwrap_or(false)
}

/// Polls so far, and the instant of the last one.
pub(crate) fn polls() -> (u64, u64) {
    with(|exec| (exec.polls, exec.polled_us)).unwrap_or((0, 0))
}

/// Polls everyone who is ready, until nobody is, the run is over, or `polls_max` is used up. Gives how many polls it took.
pub(crate) fn run_ready(polls_max: u64) -> u64 {
    let now_us = kernel::now_us();
    let mut polls = 0;
    while polls < polls_max
        && let Some(key) = ready::pop()
    {
        let taken = with(|exec| {
            let index = key.index as usize;
            let task = exec.tasks.get_mut(index)?;
            if !exec.programs[task.host as usize].frozen.is_empty() {
                task.woken = true;
                return None;
            }
            let (host, name) = (task.host, task.name);
            if task.aborted {
                return remove(exec, key).map(|body| (body, host, name, true));
            }
            if task.polled_at_us != now_us {
                task.polled_at_us = now_us;
                task.polls_then = 0;
            }
            task.polls_then += 1;
            exec.polls += 1;
            exec.polled_us = now_us;
            task.body.take().map(|body| (body, host, name, false))
        })
        .flatten();
        let Some((mut body, host, name, aborted)) = taken else { continue };
        let drop_it = |body: Option<Body>, what: &str| {
            if let Some(body) = body
                && let Err(cause) = drop_of(host, name, body, what)
            {
                fail(cause);
            }
        };
        if aborted {
            drop_it(Some(body), "an aborted future being dropped");
            continue;
        }
        polls += 1;
        if whose::in_the_name_of(host, name, || poll(key, &mut body)) {
            // Still pending: back into its place, unless its host was killed meanwhile.
            let mut body = Some(body);
            with(|exec| {
                if let Some(task) = exec.tasks.get_mut(key.index as usize).filter(|task| task.key == key) {
                    task.body = body.take();
                }
            });
            drop_it(body, "a killed future being dropped");
        } else {
            with(|exec| {
                if exec.tasks.get(key.index as usize).is_some_and(|task| task.key == key) {
                    remove(exec, key);
                }
            });
            drop_it(Some(body), "a finished future being dropped");
        }
        if with(|exec| !exec.exits.is_empty() || exec.failure.is_some() || exec.finish) == Some(true) {
            for host in with(|exec| std::mem::take(&mut exec.exits)).unwrap_or_default() {
                stop(host);
            }
            if with(|exec| exec.failure.is_some() || exec.finish) == Some(true) {
                break;
            }
        }
    }
    polls
}

/// One poll. True if the future is still pending.
fn poll(key: TaskKey, body: &mut Body) -> bool {
    let before = ready::set_current(key);
    let mut cx = Context::from_waker(&body.waker);
    let future = body.future.as_mut();
    let polled = catch_unwind(AssertUnwindSafe(|| future.poll(&mut cx)));
    ready::set_current(before);
    match polled {
        Ok(Poll::Pending) => true,
        Ok(Poll::Ready(())) => false,
        Err(_) => {
            let (host, task) = with(|exec| exec.tasks.get(key.index as usize).map(|task| (task.host, task.name)))
                .flatten()
                .unwrap_or((u32::MAX, "a killed task"));
            fail(panics::taken(&host_name(host), task));
            false
        }
    }
}

/// The tasks polled most at this instant: (host, task, polls).
pub(crate) fn busiest() -> Vec<(String, String, u64)> {
    let now_us = kernel::now_us();
    let mut all = with(|exec| {
        let tasks = exec.tasks.iter().filter(|(_, task)| task.polled_at_us == now_us);
        tasks.map(|(_, task)| (task.polls_then, task.order, task.host, task.name)).collect::<Vec<_>>()
    })
    .unwrap_or_default();
    all.sort_unstable_by_key(|(polls, order, ..)| (std::cmp::Reverse(*polls), *order));
    all.truncate(5);
    all.into_iter().map(|(polls, _, host, name)| (host_name(host), name.to_owned(), polls)).collect()
}

/// Who waits for what, in spawn order, at most `max` of them.
pub(crate) fn waiting(max: usize) -> Vec<Waiting> {
    let mut tasks = with(|exec| {
        let tasks = exec.tasks.iter();
        tasks
            .map(|(_, task)| {
                (task.order, task.key, task.host, task.name, !exec.programs[task.host as usize].frozen.is_empty())
            })
            .collect::<Vec<_>>()
    })
    .unwrap_or_default();
    tasks.sort_unstable_by_key(|(order, ..)| *order);
    tasks
        .into_iter()
        .take(max)
        .map(|(_, key, host, name, frozen)| Waiting {
            host: host_name(host),
            task: name.to_owned(),
            on: if frozen {
                "its frozen host".to_owned()
            } else {
                kernel::with(|world| world.waits_for(key))
                    .flatten()
                    .unwrap_or_else(|| "no socket: a timer, or another task".to_owned())
            },
        })
        .collect()
}

/// A host's name.
pub(crate) fn host_name(host: u32) -> String {
    kernel::with(|world| world.hosts.get(host as usize).map(|host| host.name.clone())).flatten().unwrap_or_default()
}

/// The public number of a host.
pub(crate) fn host_id(index: u32) -> HostId {
    HostId(index)
}
