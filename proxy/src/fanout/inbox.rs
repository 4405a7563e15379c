//! What waits for a shard.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;
use tokio::time::Instant;
use wire::feed::v2::SubAck;
use wire::id::Symbol;

use super::delivery::Delivery;

/// News for a shard, in order.
#[derive(Debug)]
pub(super) enum News {
    /// A message of the source, and those before it of its symbol that gave way to it.
    Data(Arc<Delivery>, Passed),
    /// A symbol is no longer received.
    Forget(Symbol),
    /// What the source says to symbols that it was asked for.
    Answered(Arc<Answered>),
}

impl News {
    fn is_message(&self) -> bool {
        matches!(self, News::Data(..))
    }
}

/// A source's answer to symbols (v2).
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) answer: SubAck,
    /// Those of which clients were told otherwise before: all who have them are told, not only those who wait for an answer.
    pub(super) changed: Vec<Symbol>,
}

/// The stamps of messages that gave way, in order: an epoch, and the first and the last seq in it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Passed(Vec<(u64, u64, u64)>);

impl Passed {
    fn push(&mut self, epoch: u64, from: u64, to: u64) {
        match self.0.last_mut() {
            Some(last) if last.0 == epoch && last.2 + 1 == from => last.2 = to,
            _ => self.0.push((epoch, from, to)),
        }
    }

    fn append(&mut self, other: Self) {
        other.0.into_iter().for_each(|(epoch, from, to)| self.push(epoch, from, to));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many messages.
    pub(super) fn count(&self) -> u64 {
        self.0.iter().map(|(_, from, to)| to - from + 1).sum()
    }

    /// Each one's epoch and seq.
    pub(super) fn stamps(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0.iter().flat_map(|&(epoch, from, to)| (from..=to).map(move |seq| (epoch, seq)))
    }
}

/// News that may wait before older ones give way or, where they may not, the source is read no further.
const NEWS_MAX: usize = 4096;

/// How long news may wait for a shard whose clients conflate. One that has less time than the feed wants would hand out ever older messages.
const BEHIND: Duration = Duration::from_millis(250);

/// A queue of news. Pure. While all clients of the shard conflate, messages give way to newer ones of their symbol once the shard is behind: nothing grows old in it, and it is never full.
#[derive(Debug)]
pub(super) struct Inbox {
    news: VecDeque<News>,
    /// Clients that want each message.
    strict: usize,
    /// At this many, older ones give way.
    squeeze_at: usize,
    /// Those that are no messages, and give way to nothing.
    others: usize,
}

impl Default for Inbox {
    fn default() -> Self {
        Self { news: VecDeque::new(), strict: 0, squeeze_at: NEWS_MAX, others: 0 }
    }
}

impl Inbox {
    /// A client that wants each message arrives.
    pub(super) fn strict_joins(&mut self) {
        self.strict += 1;
    }

    /// A client that wants each message leaves.
    pub(super) fn strict_leaves(&mut self) {
        self.strict -= 1;
    }

    pub(super) fn post(&mut self, news: impl Iterator<Item = News>) {
        for news in news {
            self.others += usize::from(!news.is_message());
            self.news.push_back(news);
        }
        if self.strict == 0 && self.news.len() > self.squeeze_at {
            self.squeeze();
            // With very many symbols little gives way: not at each message.
            self.squeeze_at = NEWS_MAX.max(2 * self.news.len());
        }
    }

    /// Takes the first `count` messages, and what stands between them; of all together no more than [`NEWS_MAX`].
    pub(super) fn take(&mut self, now: Instant, count: usize) -> impl Iterator<Item = News> {
        if self.strict == 0 && self.waits_since().is_some_and(|since| now.saturating_duration_since(since) > BEHIND) {
            self.squeeze();
        }
        let (mut end, mut messages) = (0, 0);
        while end < NEWS_MAX
            && let Some(news) = self.news.get(end)
            && (messages < count || !news.is_message())
        {
            messages += usize::from(news.is_message());
            end += 1;
        }
        self.others -= end - messages;
        self.news.drain(..end)
    }

    /// Whether more wait than should.
    pub(super) fn is_full(&self) -> bool {
        self.others > NEWS_MAX || self.strict > 0 && self.news.len() > NEWS_MAX
    }

    pub(super) fn is_empty(&self) -> bool {
        self.news.is_empty()
    }

    /// When the first message that waits was read from the source.
    fn waits_since(&self) -> Option<Instant> {
        self.news.iter().find_map(|news| match news {
            News::Data(delivery, _) => Some(delivery.received),
            News::Forget(_) | News::Answered(_) => None,
        })
    }

    /// Leaves only the newest message of each symbol, in its place.
    fn squeeze(&mut self) {
        let mut newest: FxHashMap<Symbol, usize> = FxHashMap::default();
        for (index, news) in self.news.iter().enumerate() {
            if let News::Data(delivery, _) = news {
                newest.insert(delivery.symbol, index);
            }
        }
        let mut gone: FxHashMap<Symbol, Passed> = FxHashMap::default();
        let news = std::mem::take(&mut self.news);
        self.news.extend(news.into_iter().enumerate().filter_map(|(index, news)| {
            let News::Data(delivery, before) = news else { return Some(news) };
            if newest.get(&delivery.symbol) == Some(&index) {
                let mut passed = gone.remove(&delivery.symbol).unwrap_or_default();
                passed.append(before);
                return Some(News::Data(delivery, passed));
            }
            let passed = gone.entry(delivery.symbol).or_default();
            passed.append(before);
            passed.push(delivery.epoch, delivery.seq, delivery.seq);
            None
        }));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use wire::ws::Message;

    use super::*;

    fn data(read: Instant, symbol: u32, stamp: (u64, u64)) -> News {
        let mut delivery = Delivery::new(Symbol::numbered(symbol), stamp, Message::text("x"));
        delivery.received = read;
        News::Data(Arc::new(delivery), Passed::default())
    }

    #[test]
    fn news_that_wait_for_long_give_way_to_the_newest_of_their_symbol() {
        let read = Instant::now();
        let after = |wait: Duration, strict: bool| {
            let mut inbox = Inbox::default();
            if strict {
                inbox.strict_joins();
            }
            inbox.post((1..=100).flat_map(|seq| (0..2).map(move |symbol| data(read, symbol, (1, seq)))));
            let taken: Vec<News> = inbox.take(read + wait, 64).collect();
            let passed = |news: &News| if let News::Data(_, passed) = news { passed.count() } else { 0 };
            (taken.len(), inbox.news.len(), taken.iter().map(passed).sum::<u64>())
        };
        assert_eq!(after(BEHIND + Duration::from_millis(1), false), (2, 0, 198));
        assert_eq!(after(BEHIND, false), (64, 136, 0), "it keeps up");
        assert_eq!(after(BEHIND * 2, true), (64, 136, 0), "a client wants each message");
    }

    #[test]
    fn what_is_no_message_is_taken_along_and_fills_it_too() {
        let now = Instant::now();
        let mut inbox = Inbox::default();
        let forget = |n| std::iter::repeat_with(|| News::Forget(Symbol::numbered(0))).take(n);
        inbox.post(forget(1000).chain([data(now, 0, (1, 1))]).chain(forget(1000)).chain([data(now, 0, (1, 2))]));
        assert_eq!((inbox.take(now, 1).count(), inbox.others), (2001, 0));
        inbox.post(forget(NEWS_MAX + 1));
        assert!(inbox.is_full());
        assert_eq!(inbox.take(now, 1).count(), NEWS_MAX);
        assert!(!inbox.is_full());
        assert_eq!(inbox.take(now, 1).count(), 2);
        assert!(inbox.is_empty());
    }

    #[test]
    fn it_is_full_only_where_nothing_may_give_way() {
        let now = Instant::now();
        let mut inbox = Inbox::default();
        let more = NEWS_MAX as u64 + 1;
        inbox.post((1..=more).map(|seq| data(now, 0, (1, seq))));
        assert_eq!((inbox.is_full(), inbox.news.len()), (false, 1));
        inbox.strict_joins();
        inbox.post((1..=more).map(|seq| data(now, 0, (2, seq))));
        assert!(inbox.is_full());
        inbox.strict_leaves();
        assert!(!inbox.is_full());
        // Symbols that are many do not make it squeeze at each message.
        let mut inbox = Inbox::default();
        inbox.post((0..5000).map(|symbol| data(now, symbol, (1, 1))));
        assert_eq!((inbox.news.len(), inbox.squeeze_at), (5000, 10_000));
    }

    proptest! {
        /// What is taken and what gave way, put together, is what was posted: each symbol's stamps in order, none missing, none twice, and nothing that is no message is lost.
        #[test]
        fn nothing_is_lost_without_a_word(
            steps in proptest::collection::vec((0_u32..4, 0_u8..12, proptest::bool::weighted(0.1)), 1..200),
        ) {
            let start = Instant::now();
            let mut now = start;
            let mut inbox = Inbox::default();
            let mut next = [(1_u64, 0_u64); 4];
            let mut posted: [Vec<(u64, u64)>; 4] = Default::default();
            let mut got: [Vec<(u64, u64)>; 4] = Default::default();
            let (mut forgotten, mut heard) = (0, 0);
            let take = |inbox: &mut Inbox, now, count, got: &mut [Vec<(u64, u64)>; 4], heard: &mut usize| {
                for news in inbox.take(now, count) {
                    let News::Data(delivery, passed) = news else { *heard += 1; continue };
                    let index = (0..4).find(|n| Symbol::numbered(*n) == delivery.symbol).unwrap() as usize;
                    got[index].extend(passed.stamps());
                    got[index].push((delivery.epoch, delivery.seq));
                }
            };
            for (symbol, what, new_epoch) in steps {
                let index = symbol as usize;
                match what {
                    0 => take(&mut inbox, now, index, &mut got, &mut heard),
                    1 => now += BEHIND,
                    2 => { inbox.post(std::iter::once(News::Forget(Symbol::numbered(symbol)))); forgotten += 1; }
                    _ => {
                        let (epoch, seq) = &mut next[index];
                        (*epoch, *seq) = if new_epoch { (*epoch + 1, 1) } else { (*epoch, *seq + 1) };
                        posted[index].push((*epoch, *seq));
                        inbox.post(std::iter::once(data(now, symbol, (*epoch, *seq))));
                    }
                }
            }
            take(&mut inbox, now + BEHIND * 2, usize::MAX, &mut got, &mut heard);
            prop_assert!(inbox.is_empty());
            prop_assert_eq!(got, posted);
            prop_assert_eq!(heard, forgotten);
        }
    }
}
