//! Scripts as files: TOML, checked to the letter.
//!
//! ```toml
//! [[step]]
//! at = "5s"          # since the start; ms, s, m
//! do = "stall"       # stall, refuse, slam, silence, close-all, reset-all, garbage, oversized, key-limit, deny, reject-logins, symbol-limit
//! for = "2s"         # stall, refuse, slam, silence, deny, reject-logins
//!
//! [[step]]
//! at = "10s"
//! do = "close-all"
//! code = 1012        # optional
//! ```
//! `silence` and `deny` take an optional `symbol`, `key-limit` and `symbol-limit` an optional `limit`; `oversized` needs `bytes`.

use std::ops::Range;
use std::time::Duration;

use serde::Deserialize;
use toml::Spanned;
use wire::id::Symbol;
use wire::tick::PADDING_MAX;

use super::{Action, Script, Step};

/// What is wrong with a script, and where. The author's fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}:{column}: {message}")]
pub struct ScriptError {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    step: Vec<Spanned<Entry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    at: Spanned<String>,
    #[serde(rename = "do")]
    what: Spanned<String>,
    #[serde(rename = "for")]
    for_: Option<Spanned<String>>,
    code: Option<Spanned<u16>>,
    symbol: Option<Spanned<String>>,
    limit: Option<Spanned<u32>>,
    bytes: Option<Spanned<u32>>,
}

type Fault = (Range<usize>, String);

impl Script {
    /// Reads a script.
    ///
    /// # Errors
    /// [`ScriptError`]: the first thing that is wrong.
    pub fn from_toml(text: &str) -> Result<Self, ScriptError> {
        let file: File = toml::from_str(text)
            .map_err(|error| place(text, error.span().unwrap_or(0..0), error.message().trim().to_owned()))?;
        let steps = file.step.into_iter().map(step).collect::<Result<_, _>>();
        steps.map(|steps| Self { steps }).map_err(|(span, message)| place(text, span, message))
    }
}

fn place(text: &str, span: Range<usize>, message: String) -> ScriptError {
    let before = text.get(..span.start).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    ScriptError {
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
        message: message.replace('\n', " "),
    }
}

fn step(entry: Spanned<Entry>) -> Result<Step, Fault> {
    let whole = entry.span();
    let Entry { at, what, for_, code, symbol, limit, bytes } = entry.into_inner();
    let at = duration(&at)?;
    let word = what.get_ref().as_str();
    let wants = match word {
        "stall" | "refuse" | "slam" | "reject-logins" => &["for"][..],
        "silence" | "deny" => &["for", "symbol"],
        "close-all" => &["code"],
        "reset-all" | "garbage" => &[],
        "key-limit" | "symbol-limit" => &["limit"],
        "oversized" => &["bytes"],
        other => {
            let known = "stall, refuse, slam, silence, close-all, reset-all, garbage, oversized, key-limit, deny, reject-logins, symbol-limit";
            return Err((what.span(), format!("unknown action {other:?}: expected one of {known}")));
        }
    };
    let given = [
        ("for", for_.as_ref().map(Spanned::span)),
        ("code", code.as_ref().map(Spanned::span)),
        ("symbol", symbol.as_ref().map(Spanned::span)),
        ("limit", limit.as_ref().map(Spanned::span)),
        ("bytes", bytes.as_ref().map(Spanned::span)),
    ];
    for (key, span) in given {
        if let Some(span) = span
            && !wants.contains(&key)
        {
            return Err((span, format!("{word} takes no {key:?}")));
        }
    }
    let span = |for_: Option<Spanned<String>>| match for_ {
        Some(text) => duration(&text),
        None => Err((whole.clone(), format!("{word} needs for = \"2s\""))),
    };
    let action = match word {
        "stall" => Action::Stall { for_: span(for_)? },
        "refuse" => Action::Refuse { for_: span(for_)? },
        "slam" => Action::Slam { for_: span(for_)? },
        "silence" => Action::Silence { symbol: symbol.map(|text| checked(&text)).transpose()?, for_: span(for_)? },
        "deny" => Action::Deny { symbol: symbol.map(|text| checked(&text)).transpose()?, for_: span(for_)? },
        "reject-logins" => Action::RejectLogins { for_: span(for_)? },
        "symbol-limit" => Action::SymbolLimit(limit.map(Spanned::into_inner)),
        "close-all" => Action::CloseAll { code: code.map(|code| lawful(&code)).transpose()? },
        "reset-all" => Action::ResetAll,
        "garbage" => Action::Garbage,
        "oversized" => match bytes.map(|bytes| (bytes.span(), bytes.into_inner())) {
            Some((_, bytes)) if bytes <= PADDING_MAX => Action::Oversized { bytes },
            Some((span, bytes)) => return Err((span, format!("{bytes} bytes: at most {PADDING_MAX}"))),
            None => return Err((whole, "oversized needs bytes = 300000".to_owned())),
        },
        _ => Action::KeyLimit(limit.map(Spanned::into_inner)),
    };
    Ok(Step { at, action })
}

fn checked(text: &Spanned<String>) -> Result<Symbol, Fault> {
    Symbol::new(text.get_ref()).map_err(|error| (text.span(), error.to_string()))
}

fn lawful(code: &Spanned<u16>) -> Result<u16, Fault> {
    if wire::close::is_lawful(*code.get_ref()) {
        Ok(*code.get_ref())
    } else {
        Err((code.span(), format!("close code {} may not cross the wire", code.get_ref())))
    }
}

/// A number with `ms`, `s` or `m`; at most a year.
fn duration(text: &Spanned<String>) -> Result<Duration, Fault> {
    wire::args::duration(text.get_ref()).map_err(|error| (text.span(), error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: Result<&[Action], &str>) {
        let got = Script::from_toml(text).map(|script| script.steps.into_iter().map(|step| step.action).collect());
        assert_eq!(got.map_err(|error| error.to_string()), expect.map(<[Action]>::to_vec).map_err(str::to_owned));
    }

    #[test]
    fn scripts_are_read() {
        let s = Duration::from_secs;
        check("", Ok(&[]));
        check("[[step]]\nat='1s'\ndo='stall'\nfor='2s'\n", Ok(&[Action::Stall { for_: s(2) }]));
        check("[[step]]\nat='1s'\ndo='oversized'\nbytes=9\n", Ok(&[Action::Oversized { bytes: 9 }]));
        check("[[step]]\nat='1s'\ndo='close-all'\n", Ok(&[Action::CloseAll { code: None }]));
        check(
            "[[step]]\nat='0ms'\ndo='deny'\nfor='1m'\nsymbol='A'\n[[step]]\nat='0s'\ndo='symbol-limit'\nlimit=2\n[[step]]\nat='1s'\ndo='reject-logins'\nfor='2s'",
            Ok(&[
                Action::Deny { symbol: Some(Symbol::new("A").unwrap()), for_: s(60) },
                Action::SymbolLimit(Some(2)),
                Action::RejectLogins { for_: s(2) },
            ]),
        );
        check(
            "[[step]]\nat='0ms'\ndo='silence'\nfor='1m'\nsymbol='A'\n[[step]]\nat='1.5s'\ndo='key-limit'\nlimit=2\n",
            Ok(&[Action::Silence { symbol: Some(Symbol::new("A").unwrap()), for_: s(60) }, Action::KeyLimit(Some(2))]),
        );
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        check(
            "[[step]]\nat='1s'\ndo='garbage'\nfro='2s'\n",
            Err("4:1: unknown field `fro`, expected one of `at`, `do`, `for`, `code`, `symbol`, `limit`, `bytes`"),
        );
        check("[[step]]\nat='1x'\ndo='garbage'\n", Err("2:4: \"1x\" is not a duration: write 500ms, 2s or 1.5m"));
        check("[[step]]\nat='1s'\ndo='garbage'\nfor='2s'\n", Err("4:5: garbage takes no \"for\""));
        check("[[step]]\nat='1s'\ndo='close-all'\ncode=1006\n", Err("4:6: close code 1006 may not cross the wire"));
        check("\n[[step]]\nat='1s'\ndo='oversized'\n", Err("2:1: oversized needs bytes = 300000"));
        check("[[step]]\nat='1s'\ndo='oversized'\nbytes=16777217\n", Err("4:7: 16777217 bytes: at most 16777216"));
        check("[[step]]\nat='1s'\ndo='garbage'\nbytes=5\n", Err("4:7: garbage takes no \"bytes\""));
        check("\n[[step]]\nat='1s'\ndo='stall'\n", Err("2:1: stall needs for = \"2s\""));
        assert!(Script::from_toml("[[step]]\nat='1s'\ndo='stal'\n").unwrap_err().message.starts_with("unknown action"));
    }
}
