//! How proxies leave and change while they run.

use serde::{Deserialize, Serialize};

use super::{Proxy, SlowClient};
use crate::span::Span;

/// How a proxy drains. What is left out is the proxy's default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Drain {
    /// From the beginning of a drain to the end of accepting.
    pub tell: Option<Span>,
    /// Then clients may go by themselves for so long.
    pub grace: Option<Span>,
    /// Then they are closed, one after the other, over this time.
    pub time: Option<Span>,
    /// From the beginning of a drain to its end: who is still there is cut.
    pub deadline: Option<Span>,
    /// How long one that is closed may take for what waits for it and for its Close.
    pub close_timeout: Option<Span>,
    /// The code with which they are closed.
    pub code: Option<DrainCode>,
}

/// With which code a drain closes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DrainCode {
    /// 1001.
    GoingAway,
    /// 1012.
    ServiceRestart,
}

impl DrainCode {
    /// The number on the wire.
    #[must_use]
    pub fn code(self) -> u16 {
        match self {
            DrainCode::GoingAway => wire::close::GOING_AWAY,
            DrainCode::ServiceRestart => wire::close::SERVICE_RESTART,
        }
    }
}

impl Drain {
    /// Writes what was said into the proxy's configuration.
    pub(crate) fn apply(self, config: &mut proxy::Config) {
        let set = |to: &mut std::time::Duration, said: Option<Span>| *to = said.map_or(*to, Span::as_duration);
        set(&mut config.drain_tell, self.tell);
        set(&mut config.drain_grace, self.grace);
        set(&mut config.drain_time, self.time);
        set(&mut config.drain_deadline, self.deadline);
        set(&mut config.limits.close_timeout, self.close_timeout);
        config.drain_code = self.code.map_or(config.drain_code, DrainCode::code);
    }

    /// All of it as a proxy would do it, defaults and all: tell, grace, time, deadline, code.
    #[must_use]
    pub(crate) fn worked_out(self) -> (Span, Span, Span, Span, u16) {
        let mut config = proxy::Config::new(([0, 0, 0, 0], 1).into(), proxy::Mode::Fanout, ["ws://a:1/"]);
        self.apply(&mut config);
        let span = |time: std::time::Duration| Span::from_micros(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
        (
            span(config.drain_tell),
            span(config.drain_grace),
            span(config.drain_time),
            span(config.drain_deadline),
            config.drain_code,
        )
    }
}

macro_rules! reloaded {
    ($($(#[$doc:meta])* $key:ident: $kind:ty,)*) => {
        /// What a reload changes; the rest stays. Each key is the one of the proxy.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
        #[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
        pub struct Reloaded {
            $($(#[$doc])* pub $key: Option<$kind>,)*
        }

        impl Reloaded {
            /// The proxy's part of the scenario with the changes in it.
            pub(crate) fn apply(&self, proxy: &mut Proxy) {
                $(if self.$key.is_some() {
                    proxy.$key.clone_from(&self.$key);
                })*
            }

            /// The keys that it changes.
            #[must_use]
            pub(crate) fn keys(&self) -> Vec<String> {
                [$((stringify!($key), self.$key.is_some())),*]
                    .into_iter()
                    .filter_map(|(key, set)| set.then(|| key.replace('_', "-")))
                    .collect()
            }
        }
    };
}

reloaded! {
    /// See [`Proxy::clients_max`].
    clients_max: u32,
    /// See [`Proxy::queue_bytes`]: of clients that come from then on.
    queue_bytes: u64,
    /// See [`Proxy::slow_client`]: of clients that come from then on.
    slow_client: SlowClient,
    /// See [`Proxy::stale_after`].
    stale_after: Span,
    /// See [`Proxy::clients_per_upstream_max`].
    clients_per_upstream_max: u32,
    /// See [`Proxy::pending_max`].
    pending_max: u32,
    /// See [`Proxy::pending_timeout`].
    pending_timeout: Span,
    /// See [`Proxy::dials_per_second_max`].
    dials_per_second_max: u32,
    /// See [`Proxy::dials_burst`].
    dials_burst: u32,
}
