//! What became of everybody after an instance was lost: from the record of one run. Pure.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::Serialize;
use wire::event::{Event, Timed, Why};
use wire::id::{ClientId, ProxyId, SessionId, Symbol};

/// One run. Times count from the loss, in microseconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Aftermath {
    /// When the instance was lost, from the beginning of the run.
    pub lost_at_us: u64,
    /// Clients whose instance it was.
    pub lost: u32,
    /// When each of those that came back had its first message again, in order of time.
    pub back_us: Vec<u64>,
    /// Those of the lost that have none yet at the end.
    pub missing: u32,
    /// When each of the lost had a session again, in order of time.
    pub opened_us: Vec<u64>,
    /// From the dial to the session of each of these, in order of length.
    pub connect_us: Vec<u64>,
    /// What dials came to.
    pub dials: Tally,
    /// Sessions that came to each instance.
    pub opened_at: BTreeMap<u16, u32>,
    /// Age of what reached the clients of the others, from the loss until all were back, in order of length.
    pub untouched_us: Vec<u64>,
    /// The same for as long before the loss as the steady phase had lasted.
    pub before_us: Vec<u64>,
    /// Clients of the others that lost their sessions all the same.
    pub touched: u32,
    /// For how long it was watched.
    pub watched_us: u64,
}

/// What became of dials after the loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// All.
    pub dialled: u32,
    /// Refused below HTTP: the lost instance.
    pub refused: u32,
    /// Unanswered within the client's 10 s.
    pub unheard: u32,
    /// Turned away by admission.
    pub shed: u32,
    /// Reset, closed, or refused for another reason.
    pub broken: u32,
}

impl Aftermath {
    /// When this share of the lost had messages again; none: not while it was watched.
    ///
    /// # Panics
    /// If the share is not above 0 and at most 1.
    #[must_use]
    pub fn back(&self, share: f64) -> Option<u64> {
        assert!(share > 0.0 && share <= 1.0, "{share}");
        let place = (f64::from(self.lost) * share - 1e-9).ceil().max(1.0) as usize;
        if self.lost == 0 { Some(0) } else { self.back_us.get(place - 1).copied() }
    }
}

/// The value of a sorted list that so large a part does not pass (nearest rank); none of nothing.
pub(super) fn quantile(sorted: &[u64], q: f64) -> Option<u64> {
    let place = (sorted.len() as f64 * q - 1e-9).ceil().max(1.0) as usize;
    sorted.get(place - 1).copied()
}

struct Client {
    session: SessionId,
    proxy: Option<ProxyId>,
    open: bool,
    lost: bool,
    back_us: Option<u64>,
    dialled_us: u64,
}

/// Reads the record of a run in which `lost` goes down.
#[must_use]
pub fn aftermath(events: &[Timed], lost: ProxyId, steady_at_us: u64) -> Aftermath {
    let mut found = Aftermath::default();
    let mut at_proxy: BTreeMap<SocketAddr, ProxyId> = BTreeMap::new();
    let mut clients: BTreeMap<ClientId, Client> = BTreeMap::new();
    let mut sent: BTreeMap<(Symbol, u64), u64> = BTreeMap::new();
    // Deliveries to others after the loss: which of them count is known once all are back.
    let mut untouched: Vec<(u64, u64)> = Vec::new();
    let mut loss: Option<u64> = None;
    let mut touched = std::collections::BTreeSet::new();
    for Timed { at_us, event } in events {
        let at = *at_us;
        found.watched_us = loss.map_or(0, |loss| at - loss);
        match event {
            Event::FaultStart { kind, .. } if loss.is_none() && wire::event::ends_process(kind) => {
                loss = Some(at);
                found.lost_at_us = at;
                for client in clients.values_mut().filter(|client| client.open && client.proxy == Some(lost)) {
                    client.lost = true;
                    found.lost += 1;
                }
            }
            Event::SourceSend { symbol, n, .. } => {
                sent.entry((*symbol, *n)).or_insert(at);
            }
            Event::ProxyAdmit { proxy, peer } => {
                at_proxy.insert(*peer, *proxy);
            }
            Event::ClientDial { client, session, .. } => {
                found.dials.dialled += u32::from(loss.is_some());
                let known = clients.entry(*client).or_insert(Client {
                    session: *session,
                    proxy: None,
                    open: false,
                    lost: false,
                    back_us: None,
                    dialled_us: at,
                });
                (known.session, known.dialled_us, known.open, known.proxy) = (*session, at, false, None);
            }
            Event::ClientOpen { client, local, .. } => {
                let Some(known) = clients.get_mut(client) else { continue };
                (known.open, known.proxy) = (true, at_proxy.get(local).copied());
                let Some(loss) = loss else { continue };
                if let Some(proxy) = known.proxy {
                    *found.opened_at.entry(proxy.0).or_default() += 1;
                }
                if known.lost {
                    found.opened_us.push(at - loss);
                    found.connect_us.push(at - known.dialled_us);
                }
            }
            Event::ClientRefused { why, .. } if loss.is_some() => {
                let dials = &mut found.dials;
                match why {
                    Why::Refused => dials.refused += 1,
                    Why::Deadline => dials.unheard += 1,
                    Why::Admission => dials.shed += 1,
                    // Those that are under way when the run ends.
                    Why::Shutdown => {}
                    _ => dials.broken += 1,
                }
            }
            Event::ClientClose { client, .. } => {
                let Some(known) = clients.get_mut(client) else { continue };
                known.open = false;
                if loss.is_some() && !known.lost {
                    touched.insert(*client);
                }
                // Who was back, and is gone once more, is not back.
                known.back_us = None;
            }
            Event::ClientDeliver { client, session, symbol, n, .. } => {
                let Some(known) = clients.get_mut(client) else { continue };
                if known.lost && loss.is_some() {
                    if known.open && known.session == *session && known.proxy != Some(lost) {
                        known.back_us.get_or_insert(at - found.lost_at_us);
                    }
                } else if let Some(sent) = sent.get(&(*symbol, *n)) {
                    match loss {
                        None if at >= steady_at_us => found.before_us.push(at - sent),
                        None => {}
                        Some(_) => untouched.push((at, at - sent)),
                    }
                }
            }
            _ => {}
        }
    }
    found.back_us = clients.values().filter(|client| client.lost).filter_map(|client| client.back_us).collect();
    found.back_us.sort_unstable();
    found.missing = found.lost - u32::try_from(found.back_us.len()).unwrap_or(u32::MAX);
    found.touched = u32::try_from(touched.len()).unwrap_or(u32::MAX);
    let until = if found.missing == 0 { found.back_us.last().copied().unwrap_or(0) } else { found.watched_us };
    let until = found.lost_at_us + until;
    found.untouched_us = untouched.into_iter().filter(|(at, _)| *at <= until).map(|(_, age)| age).collect();
    for list in [&mut found.opened_us, &mut found.connect_us, &mut found.untouched_us, &mut found.before_us] {
        list.sort_unstable();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_back_when_its_last_one_is() {
        let some = Aftermath { lost: 200, back_us: (1..=199).map(|n| n * 10).collect(), ..Aftermath::default() };
        assert_eq!((some.back(0.5), some.back(0.99), some.back(1.0)), (Some(1_000), Some(1_980), None));
        assert_eq!(Aftermath::default().back(1.0), Some(0), "nobody was lost");
    }

    #[test]
    fn quantiles_are_those_of_the_nearest_rank() {
        let list: Vec<u64> = (1..=100).collect();
        assert_eq!(
            (quantile(&list, 0.5), quantile(&list, 0.99), quantile(&list, 1.0)),
            (Some(50), Some(99), Some(100))
        );
        assert_eq!(quantile(&[], 0.5), None);
    }
}
