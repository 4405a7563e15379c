//! What a frame says, in words.

use wire::event::{Event, Timed};
use wire::feed::v2::{self, Ask};
use wire::feed::{GREETING, Kind, Request, Strong};
use wire::id::Symbol;
use wire::tick::Tick;
use wire::ws::frame::Opcode;

use super::stream::Seen;

/// Letters of a text that nobody understands.
const LETTERS_MAX: usize = 160;
/// Symbols of a list.
const SYMBOLS_MAX: usize = 6;

/// A frame's meaning.
pub(super) struct Said {
    pub(super) text: String,
    /// The one symbol that it is about.
    pub(super) symbol: Option<Symbol>,
    kind: Meaning,
}

#[derive(PartialEq, Eq)]
enum Meaning {
    Tick(Option<Tick>),
    Gap,
    Close,
    Other,
}

impl Said {
    fn other(text: String) -> Self {
        Self { text, symbol: None, kind: Meaning::Other }
    }

    /// Whether it is what an event tells of.
    pub(super) fn is(&self, event: Option<&Timed>) -> bool {
        match event.map(|timed| &timed.event) {
            Some(Event::ClientDeliver { symbol, n, .. }) => {
                self.kind == Meaning::Tick(Some(Tick { symbol: *symbol, n: *n }))
            }
            Some(Event::ClientGap { symbol, .. }) => self.kind == Meaning::Gap && self.symbol == Some(*symbol),
            Some(Event::ClientClose { .. }) => self.kind == Meaning::Close,
            _ => false,
        }
    }
}

/// What a frame says.
pub(super) fn of(frame: &Seen) -> Said {
    let payload = frame.payload.as_slice();
    match (frame.opcode, std::str::from_utf8(payload)) {
        (Opcode::Text, Ok(text)) if frame.fin => message(text),
        (Opcode::Close, _) => close(payload),
        (Opcode::Ping | Opcode::Pong, Ok("")) => Said::other("without a payload".to_owned()),
        (Opcode::Ping | Opcode::Pong, Ok(text)) if text.chars().all(|letter| !letter.is_control()) => {
            Said::other(format!("{:?}", brief(text)))
        }
        (Opcode::Text | Opcode::Continuation, Ok(text)) => Said::other(format!("a part: {}", brief(text))),
        _ => Said::other(hex(payload)),
    }
}

fn close(payload: &[u8]) -> Said {
    let text = match payload {
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            match String::from_utf8_lossy(reason) {
                reason if reason.is_empty() => format!("code {code}"),
                reason => format!("code {code}: {}", brief(&reason)),
            }
        }
        _ => "without a code".to_owned(),
    };
    Said { text, symbol: None, kind: Meaning::Close }
}

/// A whole message of one of the feed protocols, or whatever it is.
fn message(text: &str) -> Said {
    if let Ok(strong) = Strong::decode(text) {
        return self::strong(&strong);
    }
    if let Some(tick) = Tick::decode(text) {
        return self::tick(tick, text);
    }
    if text == GREETING {
        return Said::other(format!("greeting: {text}"));
    }
    if let Ok(request) = Request::decode(text) {
        let resume = match request.resume.len() {
            0 => String::new(),
            n => format!(", resuming {n}"),
        };
        return Said::other(format!("asks for {}{resume}", list(&request.symbols)));
    }
    match Ask::decode(text) {
        Ok(Ask::Login { .. }) => return Said::other("login".to_owned()),
        Ok(Ask::Subscribe { symbols, .. }) => return Said::other(format!("subscribes to {}", list(&symbols))),
        Ok(Ask::Unsubscribe { symbols }) => return Said::other(format!("gives up {}", list(&symbols))),
        Ok(Ask::Ping) => return Said::other("ping of the feed".to_owned()),
        Err(_) => {}
    }
    match v2::Said::decode(text) {
        Ok(v2::Said::LoginOk { .. }) => Said::other("login is in order".to_owned()),
        Ok(v2::Said::LoginReject { reason }) => Said::other(format!("login is refused: {}", brief(&reason))),
        Ok(v2::Said::SubAck(ack)) => {
            let denied: Vec<Symbol> = ack.denied.iter().map(|(symbol, _)| *symbol).collect();
            Said::other(format!("accepts {}, denies {}", list(&ack.accepted), list(&denied)))
        }
        Ok(v2::Said::Heartbeat) => Said::other("heartbeat".to_owned()),
        Ok(v2::Said::Error { reason }) => Said::other(format!("error: {}", brief(&reason))),
        Ok(v2::Said::Tick(quote)) => {
            let text = format!("tick {}, {} / {}", quote.symbol, quote.bid, quote.ask);
            Said { text, symbol: Some(quote.symbol), kind: Meaning::Tick(None) }
        }
        Ok(v2::Said::Unknown) | Err(_) => Said::other(brief(text)),
    }
}

fn strong(strong: &Strong<'_>) -> Said {
    match strong {
        Strong::Data { kind, symbol, epoch, seq, data } => {
            let what = match kind {
                Kind::Snapshot => "snapshot",
                Kind::Live => "live",
                Kind::Replay => "replay",
            };
            let inner = Tick::decode(data).map(|tick| self::tick(tick, data));
            let tick = inner.as_ref().map_or_else(|| brief(data), |said| said.text.clone());
            let kind = inner.map_or(Meaning::Other, |said| said.kind);
            Said { text: format!("{what}, epoch {epoch}, seq {seq}: {tick}"), symbol: Some(*symbol), kind }
        }
        Strong::Gap { symbol, epoch, from, to, reason } => {
            let to = to.map_or_else(|| "the end of the epoch".to_owned(), |to| to.to_string());
            let reason = serde_json::to_value(reason).ok();
            let reason = reason.as_ref().and_then(serde_json::Value::as_str).unwrap_or_default();
            let text = format!("gap of {symbol}, epoch {epoch}, seq {from} to {to}: {reason}");
            Said { text, symbol: Some(*symbol), kind: Meaning::Gap }
        }
        Strong::Resumed { symbol, epoch, seq, recovered } => {
            let how = if *recovered { "recovered" } else { "not recovered" };
            let text = format!("resume of {symbol} after epoch {epoch}, seq {seq}: {how}");
            Said { text, symbol: Some(*symbol), kind: Meaning::Other }
        }
        Strong::Denied { symbol, reason } => {
            let text = format!("{symbol} is denied: {}", brief(reason));
            Said { text, symbol: Some(*symbol), kind: Meaning::Other }
        }
    }
}

/// `tick S0003, n 12, 1.24087 / 1.81530`.
fn tick(tick: Tick, text: &str) -> Said {
    // Digit by digit as they stand there: a number would lose the zeros at its end.
    let price = |names: [&str; 2]| {
        let after = names.iter().find_map(|name| text.split_once(&format!("\"{name}\":")))?.1;
        let digits = after.trim_start_matches('"');
        Some(digits.split(['"', ',', '}']).next().unwrap_or_default().to_owned())
    };
    let prices = match (price(["bid", "b"]), price(["ask", "a"])) {
        (Some(bid), Some(ask)) => format!(", {bid} / {ask}"),
        _ => String::new(),
    };
    let text = format!("tick {}, n {}{prices}", tick.symbol, tick.n);
    Said { text, symbol: Some(tick.symbol), kind: Meaning::Tick(Some(tick)) }
}

fn list(symbols: &[Symbol]) -> String {
    let mut words: Vec<String> = symbols.iter().take(SYMBOLS_MAX).map(Symbol::to_string).collect();
    match symbols.len() {
        0 => "nothing".to_owned(),
        all if all > SYMBOLS_MAX => {
            words.push(format!("and {} more", all - SYMBOLS_MAX));
            words.join(", ")
        }
        _ => words.join(", "),
    }
}

fn brief(text: &str) -> String {
    if text.chars().count() <= LETTERS_MAX {
        return text.to_owned();
    }
    text.chars().take(LETTERS_MAX - 1).chain(['…']).collect()
}

/// The first bytes.
fn hex(payload: &[u8]) -> String {
    let bytes: Vec<String> = payload.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("{}{}", bytes.join(" "), if payload.len() > 16 { " …" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words of a frame with this payload, and the symbol that it is about.
    fn check(opcode: Opcode, payload: &[u8], expect: (&str, Option<&str>)) {
        let said = of(&Seen { at_us: 0, packet: 0, opcode, fin: true, masked: false, payload: payload.to_owned() });
        let symbol = said.symbol.map(|symbol| symbol.to_string());
        assert_eq!((said.text.as_str(), symbol.as_deref()), expect);
    }

    #[test]
    fn frames_are_told_in_words() {
        let tick = r#"{"symbol":"S0003","ts":"1780272000000","bid":1.24087,"ask":1.81530,"mid":1.0000000012}"#;
        let text = |text: &str, expect| check(Opcode::Text, text.as_bytes(), expect);
        text(tick, ("tick S0003, n 12, 1.24087 / 1.81530", Some("S0003")));
        let live = format!(r#"{{"type":"live","symbol":"S0003","epoch":2,"seq":7,"data":{tick}}}"#);
        text(&live, ("live, epoch 2, seq 7: tick S0003, n 12, 1.24087 / 1.81530", Some("S0003")));
        let gap = r#"{"type":"gap","symbol":"S0003","epoch":2,"from":8,"to":null,"reason":"reset"}"#;
        text(gap, ("gap of S0003, epoch 2, seq 8 to the end of the epoch: reset", Some("S0003")));
        text("Connected", ("greeting: Connected", None));
        text(r#"{"userKey":"secret","symbol":"S0000,S0001"}"#, ("asks for S0000, S0001", None));
        text("hello", ("hello", None));
        check(Opcode::Close, b"\x03\xf5slow", ("code 1013: slow", None));
        check(Opcode::Close, b"", ("without a code", None));
        check(Opcode::Binary, &[0xff; 20], ("ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff …", None));
        check(Opcode::Ping, b"17", ("\"17\"", None));
    }
}
