//! Figures as people read them.

/// A latency: `350 µs`, `1.25 ms`, `2.10 s`.
pub(crate) fn latency(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        // The bounds are where the figure rounds up to the next.
        1_000..9_995 => format!("{:.2} ms", us as f64 / 1e3),
        9_995..99_950 => format!("{:.1} ms", us as f64 / 1e3),
        99_950..999_500 => format!("{:.0} ms", us as f64 / 1e3),
        _ => format!("{:.2} s", us as f64 / 1e6),
    }
}

/// A checker's words with their times as people read them, to the microsecond: `1501234 us` is `1.501234 s`, `8000 us` is `8 ms`. The record keeps them as they
/// are, for programs.
#[must_use]
pub fn times(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(" us") {
        let digits = before.len() - before.trim_end_matches(|c: char| c.is_ascii_digit()).len();
        let (words, number) = before.split_at(before.len() - digits);
        let ends = after.chars().next().is_none_or(|next| !next.is_alphanumeric());
        // `0.5 us` is no whole number of them.
        let whole = number.parse().ok().filter(|_| ends && !words.ends_with(['.', ',']));
        shown.push_str(words);
        match whole {
            Some(us) => shown.push_str(&exact(us)),
            None => shown.extend([number, " us"]),
        }
        rest = after;
    }
    shown.push_str(rest);
    shown
}

/// A time without a loss: `999 µs`, `1.5 ms`, `2.000001 s`.
fn exact(us: u64) -> String {
    let (scale, digits, unit) = match us {
        0..1_000 => return format!("{us} µs"),
        1_000..1_000_000 => (1_000, 3, "ms"),
        _ => (1_000_000, 6, "s"),
    };
    let part = format!("{:0digits$}", us % scale);
    let part = part.trim_end_matches('0');
    let point = if part.is_empty() { "" } else { "." };
    format!("{}{point}{part} {unit}", us / scale)
}

/// A latency that may not have been measured.
pub(crate) fn latency_or_dash(us: Option<u64>) -> String {
    us.map_or_else(|| "–".to_owned(), latency)
}

/// An instant of the run: `12.345678 s`, without needless zeros beyond the third.
pub(crate) fn instant(us: u64) -> String {
    let micros = us % 1000;
    if micros == 0 { format!("{:.3} s", us as f64 / 1e6) } else { format!("{:.6} s", us as f64 / 1e6) }
}

/// A count with thousands apart: `1,234,567`.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number with thousands apart: `1,234,567`, and one digit behind the point where it is a small one that has some: `66.7`.
#[must_use]
pub fn number(value: f64) -> String {
    if value.fract() != 0.0 && value < 100.0 { format!("{value:.1}") } else { count(value.round() as u64) }
}

/// Seconds: `0.42 s`, `12.3 s`, `640 s`, `16,497 s`.
pub(crate) fn seconds(s: f64) -> String {
    if s < 10.0 {
        format!("{s:.2} s")
    } else if s < 100.0 {
        format!("{s:.1} s")
    } else {
        format!("{} s", count(s.round() as u64))
    }
}

/// How much faster than the wall the run's own time went: `x 1,250`. A dash where the wall was not measured.
pub(crate) fn speed(sim_seconds: f64, wall_seconds: f64) -> String {
    let speed = sim_seconds / wall_seconds;
    if !speed.is_finite() || wall_seconds <= 0.0 {
        "–".to_owned()
    } else if speed < 10.0 {
        format!("× {speed:.1}")
    } else {
        format!("× {}", count(speed.round() as u64))
    }
}

/// An index between 0 and 1.
pub(crate) fn index(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.3}"))
}

/// At most `length` characters; what was cut is marked.
pub(crate) fn cut(text: &str, length: usize) -> String {
    if text.chars().count() <= length {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(length.saturating_sub(1)).collect();
    short.push('…');
    short
}

/// Words in lines of at most `width` characters, at most `lines_max` of them; what was cut is marked.
pub(crate) fn wrapped(text: &str, width: usize, lines_max: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let word = cut(word, width);
        let last = lines.last_mut().expect("there is always a last line");
        let needed = last.chars().count() + usize::from(!last.is_empty()) + word.chars().count();
        if needed <= width {
            if !last.is_empty() {
                last.push(' ');
            }
            last.push_str(&word);
        } else {
            lines.push(word);
        }
    }
    if lines.len() > lines_max {
        lines.truncate(lines_max);
        if let Some(last) = lines.last_mut() {
            *last = cut(&format!("{last} …"), width);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        assert_eq!(
            [0, 999, 1_250, 12_340, 123_400, 2_100_000].map(latency),
            ["0 µs", "999 µs", "1.25 ms", "12.3 ms", "123 ms", "2.10 s"]
        );
        assert_eq!(
            [9_994, 9_995, 99_949, 99_950, 999_499, 999_500].map(latency),
            ["9.99 ms", "10.0 ms", "99.9 ms", "100 ms", "999 ms", "1.00 s"]
        );
        assert_eq!([1_500_000, 1_500_001].map(instant), ["1.500 s", "1.500001 s"]);
        assert_eq!([7, 1_000, 1_234_567].map(count), ["7", "1,000", "1,234,567"]);
        assert_eq!(
            [speed(60.0, 0.05), speed(6.0, 2.0), speed(6.0, 0.0)],
            ["× 1,200".to_owned(), "× 3.0".to_owned(), "–".to_owned()]
        );
        assert_eq!(
            [
                "closed 1501234 us after its source left, bound 8000000 us",
                "p99 2500 us; 999 us, 0 us, 12.5 us",
                "3 users, 5 used: 7 us",
                "no time",
            ]
            .map(times),
            [
                "closed 1.501234 s after its source left, bound 8 s",
                "p99 2.5 ms; 999 µs, 0 µs, 12.5 us",
                "3 users, 5 used: 7 µs",
                "no time",
            ]
        );
        assert_eq!([cut("äöü", 3), cut("äöüß", 3)], ["äöü", "äö…"]);
    }
}
