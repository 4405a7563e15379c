//! What a client publishes for others, and what it hears of them.

use tokio::time::Instant;
use wire::net::Network;
use wire::ws::{Error, Message};

use futures_util::SinkExt;

use super::{Ended, MESSAGES_A_TURN, Talk};
use crate::client::Crowd;
use crate::measure::Meter;
use crate::publish::{Audit, Board, Found, Letter, PLACE, Plan, Publication, Took, read};
use crate::run::Role;
use crate::summary::Tally;

/// One session's part in what clients publish for one another.
#[derive(Debug)]
pub(crate) struct Letters<'a> {
    board: &'a Board,
    /// Its own place, and when it publishes.
    own: Option<u32>,
    plan: Option<&'a mut Plan>,
    /// None: it does not listen to others.
    audit: Option<Audit>,
    settled: bool,
    /// When the session settles: from then on it is owed all.
    settles: Instant,
    /// What its plan had left out when the session began.
    skipped: u64,
}

impl<'a> Letters<'a> {
    pub(crate) fn new<N>(crowd: &'a Crowd<N>, board: &'a Board, role: Role, mut plan: Option<&'a mut Plan>) -> Self {
        let now = Instant::now();
        let listens = role.publishes.is_none() || crowd.config.publishers.as_ref().is_some_and(|it| it.listen);
        let skipped = plan.as_mut().map_or(0, |plan| plan.skip(now));
        let audit = listens.then(|| Audit::new(board.clients.len()));
        Self { board, own: role.publishes, plan, audit, settled: false, settles: now + board.settle, skipped }
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.plan.as_ref()?.due()
    }

    pub(super) fn publishes(&self) -> bool {
        self.plan.is_some()
    }

    /// The session is over.
    pub(super) fn end(self, ended: Ended, now: Instant, tally: &mut Tally) {
        let board = self.board;
        tally.counts.publications_missed += self.skipped;
        let stopped = self.plan.is_some_and(|plan| plan.stopped(now, board.settle));
        tally.counts.publications_unreturned += u64::from(stopped);
        let Some(audit) = self.audit else { return };
        // Before the end of the run what was sent last may be on its way.
        let whole = ended == Ended::Over && now >= board.ends;
        let sent = if whole { board.sent() } else { board.settled(now) };
        let known = if whole { Some(board.until) } else { now.checked_sub(board.settle) };
        tally.owed |= self.settled && known.is_some_and(|known| self.settles.max(board.from) < known);
        tally.received(&audit.end(&sent, self.own));
    }
}

impl<N: Network> Talk<'_, N> {
    /// When the session settles; None: it has, or need not.
    pub(super) fn settles(&self) -> Option<Instant> {
        let letters = self.letters.as_ref()?;
        (!letters.settled && letters.audit.is_some()).then_some(letters.settles)
    }

    pub(super) fn settle(&mut self) {
        let Some(letters) = &mut self.letters else { return };
        letters.settled = true;
        if let Some(audit) = &mut letters.audit {
            audit.settle(&letters.board.sent());
        }
    }

    /// Publishes what is due.
    pub(super) fn publish_due(&mut self) -> Result<(), Error> {
        let Some(Letters { board, own: Some(publisher), plan: Some(plan), .. }) = &mut self.letters else {
            return Ok(());
        };
        let now = Instant::now();
        for _ in 0..MESSAGES_A_TURN {
            let Some(Publication { planned, late }) = plan.next(now) else { break };
            self.shard.record(Meter::SendLate, self.way.own(late, now), now);
            let n = board.take(*publisher, now);
            plan.sent(n, now);
            let (planned_us, sent_us) = (board.micros(planned), board.micros(now));
            let letter = Letter { publisher: *publisher, n, planned_us, sent_us };
            let letter = letter.write(board.run, self.config.request_bytes);
            let envelope = self.config.publishers.as_ref().and_then(|publishers| publishers.envelope.as_ref());
            let text = envelope.map_or_else(|| letter.clone(), |envelope| envelope.replace(PLACE, &letter));
            self.tally.counts.publications += 1;
            self.unflushed = true;
            self.session.start_send_unpin(Message::text(text))?;
        }
        Ok(())
    }

    /// Takes a text that may hold publications.
    pub(super) fn hear_letters(&mut self, text: &str) {
        let Some(run) = self.letters.as_ref().map(|letters| letters.board.run) else { return };
        let mut any = false;
        for found in read(text, run) {
            any = true;
            match found {
                Found::Letter(letter) => self.hear_letter(letter, text.len()),
                Found::Foreign => self.tally.counts.foreign += 1,
                Found::Damaged => self.garbled(text.len()),
            }
        }
        self.tally.counts.unrelated += u64::from(!any);
    }

    fn hear_letter(&mut self, letter: Letter, bytes: usize) {
        let now = self.now;
        let Some(letters) = &mut self.letters else { return };
        let [planned, sent] = [letter.planned_us, letter.sent_us].map(|us| letters.board.instant(us));
        let ([Some(planned), Some(sent)], true) = ([planned, sent], letters.board.has_sent(letter.publisher, letter.n))
        else {
            return self.garbled(bytes);
        };
        let own = letters.own == Some(letter.publisher);
        if let Some(plan) = letters.plan.as_mut().filter(|_| own) {
            plan.returned(letter.n, now);
        }
        let took = letters.audit.as_mut().filter(|_| !own).and_then(|audit| audit.take(letter.publisher, letter.n));
        // What a publisher hears that does not listen says that its session is alive.
        let gap = self.of_use();
        if took == Some(Took::New) {
            self.shard.heard(now, [planned, sent], gap);
        }
    }
}
