//! One entry of `traceEvents`, and where it lies.

use std::borrow::Cow;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::Value;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Phase {
    /// A slice of a thread, with its length.
    #[serde(rename = "X")]
    Complete,
    /// An asynchronous slice begins.
    #[serde(rename = "b")]
    Begin,
    /// It ends.
    #[serde(rename = "e")]
    End,
    #[serde(rename = "i")]
    Instant,
    #[serde(rename = "C")]
    Counter,
    /// A name, or a place in an order.
    #[serde(rename = "M")]
    Metadata,
    /// An arrow begins at the innermost slice of its thread.
    #[serde(rename = "s")]
    FlowStart,
    /// It ends there.
    #[serde(rename = "f")]
    FlowEnd,
}

/// Process and thread. Neither is 0, which Perfetto takes for the kernel's idle task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Track {
    pub(super) pid: u32,
    pub(super) tid: u32,
}

/// What is said of an entry, in order.
pub(super) type Args = Vec<(&'static str, Value)>;

/// A number within a process.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Local {
    local: String,
}

/// See the module's head.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Entry {
    pub(super) name: Cow<'static, str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) cat: &'static str,
    pub(super) ph: Phase,
    /// Microseconds.
    pub(super) ts: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) dur: Option<u64>,
    pub(super) pid: u32,
    pub(super) tid: u32,
    /// Of an arrow.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_hex")]
    pub(super) id: Option<u32>,
    /// Of an asynchronous slice. It is the process's own: Perfetto shows slices with an `id` in none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id2: Option<Local>,
    /// How far an instant is shown: `g` everywhere, `t` on its thread.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) s: Option<&'static str>,
    /// `e`: an arrow ends at the slice around it, not at the next one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) bp: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "as_map")]
    pub(super) args: Args,
}

impl Entry {
    pub(super) fn new(ph: Phase, cat: &'static str, name: impl Into<Cow<'static, str>>, ts: u64, track: Track) -> Self {
        let Track { pid, tid } = track;
        Self {
            name: name.into(),
            cat,
            ph,
            ts,
            dur: None,
            pid,
            tid,
            id: None,
            id2: None,
            s: None,
            bp: None,
            args: Vec::new(),
        }
    }

    pub(super) fn with(mut self, args: impl Into<Args>) -> Self {
        self.args = args.into();
        self
    }

    pub(super) fn lasting(mut self, dur: u64) -> Self {
        self.dur = Some(dur);
        self
    }

    /// An end of an arrow.
    pub(super) fn numbered(mut self, id: u32) -> Self {
        self.id = Some(id);
        self
    }

    /// An end of an asynchronous slice.
    pub(super) fn local(mut self, id: u32) -> Self {
        self.id2 = Some(Local { local: format!("{id:#x}") });
        self
    }
}

/// As Chrome writes ids: Perfetto reads those of arrows as hexadecimal text.
#[expect(clippy::ref_option, reason = "serde's signature")]
fn as_hex<S: Serializer>(id: &Option<u32>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{:#x}", id.unwrap_or_default()))
}

fn as_map<S: Serializer>(args: &Args, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(args.len()))?;
    for (key, value) in args {
        map.serialize_entry(key, value)?;
    }
    map.end()
}
