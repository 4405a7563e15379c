//! `steps.csv`: every trial of every search, a row each (RFC 4180). What was not measured is an empty field.

use super::{Axis, CapacityReport, Step, words};

const COLUMNS: [&str; 34] = [
    "axis",
    "trial",
    "stage",
    "answer",
    "load",
    "load_unit",
    "window_s",
    "connections",
    "planned",
    "delivered",
    "delivered_per_s",
    "goodput_ratio",
    "latency_samples",
    "latency_mean_us",
    "latency_p50_us",
    "latency_p90_us",
    "latency_p99_us",
    "latency_p999_us",
    "latency_max_us",
    "proxy_cpu_cores",
    "proxy_rss_bytes",
    "kernel_tcp_bytes",
    "proxy_descriptors",
    "proxy_threads",
    "proxy_segments_per_s",
    "generator_healthy",
    "generator_cpu_ratio",
    "generator_lateness_p99_us",
    "source_cpu_cores",
    "little_counted",
    "little_computed",
    "little_agrees",
    "generator_reasons",
    "why",
];

pub(super) fn csv(report: &CapacityReport) -> String {
    let mut text = line(COLUMNS.map(str::to_owned));
    for axis in &report.axes {
        for (place, step) in axis.steps.iter().enumerate() {
            text.push_str(&line(row(axis, place + 1, step)));
        }
    }
    text
}

fn row(axis: &Axis, trial: usize, step: &Step) -> [String; COLUMNS.len()] {
    let latency = |of: fn(&super::Quantiles) -> u64| some(step.latency.as_ref().map(of));
    let proxy = |of: fn(&super::Footprint) -> u64| some(step.proxy.as_ref().map(of));
    [
        axis.name.clone(),
        trial.to_string(),
        step.stage.clone(),
        step.answer.clone(),
        number(Some(step.load)),
        axis.unit.clone(),
        number(Some(step.window_s)),
        step.connections.to_string(),
        step.planned.to_string(),
        step.delivered.to_string(),
        number(words::rate(step)),
        number(step.goodput),
        latency(|latency| latency.count),
        number(step.latency.map(|latency| latency.mean_us)),
        latency(|latency| latency.p50_us),
        latency(|latency| latency.p90_us),
        latency(|latency| latency.p99_us),
        latency(|latency| latency.p999_us),
        latency(|latency| latency.max_us),
        number(step.proxy.map(|proxy| proxy.cpu)),
        proxy(|proxy| proxy.rss_bytes),
        some(step.proxy.and_then(|proxy| proxy.kernel_bytes)),
        proxy(|proxy| proxy.descriptors),
        proxy(|proxy| proxy.threads),
        number(step.proxy.and_then(|proxy| proxy.segments_per_s)),
        step.generator.healthy.to_string(),
        number(step.generator.cpu),
        some(step.generator.lateness_p99_us),
        number(step.source_cpu),
        number(step.little.map(|little| little.counted)),
        number(step.little.map(|little| little.computed)),
        some(step.little.map(|little| little.agrees)),
        step.generator.reasons.join("; "),
        step.why.clone(),
    ]
}

fn some(value: Option<impl ToString>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

fn number(value: Option<f64>) -> String {
    some(value.filter(|value| value.is_finite()))
}

fn line(fields: impl IntoIterator<Item = String>) -> String {
    let fields: Vec<String> = fields.into_iter().map(|field| quoted(&field)).collect();
    format!("{}\r\n", fields.join(","))
}

fn quoted(field: &str) -> String {
    if field.contains(['"', ',', '\r', '\n']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_that_holds_what_parts_fields_is_quoted() {
        let fields = ["plain", "a,b", "say \"no\"", "two\nlines", ""].map(quoted);
        assert_eq!(fields, ["plain", "\"a,b\"", "\"say \"\"no\"\"\"", "\"two\nlines\"", ""]);
    }
}
