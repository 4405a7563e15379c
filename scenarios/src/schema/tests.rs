//! The table of keys against what serde accepts, the catalogue, and the page in `docs`.

use toml::Value as Toml;

use super::*;
use crate::model::Scenario;
use crate::parse::format::Kind;

/// A value of this kind; of several words the `nth`.
fn sample(kind: &Kind, nth: usize) -> Toml {
    match kind {
        Kind::Text => Toml::String("text".to_owned()),
        Kind::Flag => Toml::Boolean(true),
        Kind::Whole(low, _) => Toml::Integer(i64::try_from(*low).unwrap()),
        Kind::Number(low, _) => Toml::Float(*low),
        Kind::Span(low, _) => Toml::String(crate::span::Span::from_micros(*low).to_string()),
        Kind::Cost(low, _) => Toml::String(crate::cost::Cost::from_nanos(*low).to_string()),
        Kind::Pair(kind) => Toml::Array(vec![sample(kind, 0), sample(kind, 0)]),
        Kind::List(kind) => Toml::Array(vec![sample(kind, nth)]),
        Kind::Map(_) | Kind::Any => panic!("of the file, not of the scenario"),
        Kind::Table(table) => Toml::Table(full(table)),
        Kind::OneOf(choices) => {
            let choice = &choices[nth % choices.len()];
            match &choice.with {
                None => Toml::String(choice.word.to_owned()),
                Some(with) => Toml::Table([(choice.word.to_owned(), sample(with, 0))].into_iter().collect()),
            }
        }
    }
}

/// A table with every key it can have; of keys that may not stand together, the first.
fn full(table: &Table) -> toml::Table {
    let mut full = toml::Table::new();
    for key in table.keys {
        if !matches!(key.without, Without::Apart(other, _) if full.contains_key(other)) {
            full.insert(key.name.to_owned(), sample(&key.kind, 0));
        }
    }
    full
}

/// The key that may not stand beside this one.
fn apart_from(path: &[&str]) -> Option<&'static str> {
    let mut table = &SCENARIO;
    for step in path {
        let key = table.key(step)?;
        match (&key.kind, key.without) {
            (_, Without::Apart(other, _)) => return Some(other),
            (Kind::Table(within) | Kind::List(Kind::Table(within)), _) => table = within,
            _ => return None,
        }
    }
    None
}

/// What serde says of a scenario with every key, one of them changed.
fn with_change(path: &[&str], change: &dyn Fn(&mut Toml)) -> Result<Scenario, String> {
    let mut root = Toml::Table(full(&SCENARIO));
    let mut at = &mut root;
    for (depth, step) in path.iter().enumerate() {
        at = match at {
            Toml::Array(items) => &mut items[0],
            other => other,
        };
        let table = at.as_table_mut().unwrap();
        if let Some(other) = apart_from(&path[..=depth]) {
            table.remove(other);
        }
        at = table.entry(*step).or_insert_with(|| Toml::Table(toml::Table::new()));
    }
    change(at);
    root.try_into::<Scenario>().map_err(|error| error.message().to_owned())
}

/// The words between backticks after "expected", sorted.
fn expected(message: &str) -> Vec<String> {
    let listed = message.split_once("expected").map_or("", |(_, listed)| listed);
    let mut words: Vec<String> = listed.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    words.sort();
    words
}

fn sorted<'a>(words: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut words: Vec<String> = words.map(str::to_owned).collect();
    words.sort();
    words
}

/// Walks every table and every choice and asks serde for its own list.
fn compare(table: &'static Table, path: &[&'static str]) {
    let here = path.join(".");
    let put_unknown = |at: &mut Toml| {
        let at = if let Toml::Array(items) = at { &mut items[0] } else { at };
        at.as_table_mut().unwrap().insert("zzz".to_owned(), Toml::Boolean(true));
    };
    let message = with_change(path, &put_unknown).expect_err(&here);
    assert!(message.contains("unknown field `zzz`"), "{here}: {message}");
    if table.keys.iter().any(|key| matches!(key.without, Without::Apart(..))) {
        // Serde lists no keys where two of them make one field: ask for each.
        for key in table.keys {
            let path: Vec<&str> = path.iter().copied().chain([key.name]).collect();
            let message = with_change(&path, &|at| *at = Toml::Array(vec![Toml::Boolean(true)])).expect_err(key.name);
            assert!(!message.contains("unknown field"), "{here}.{}: {message}", key.name);
        }
    } else {
        assert_eq!(expected(&message), sorted(table.keys.iter().map(|key| key.name)), "keys of [{here}]");
    }
    for key in table.keys {
        let path: Vec<&str> = path.iter().copied().chain([key.name]).collect();
        match &key.kind {
            Kind::Table(table) | Kind::List(Kind::Table(table)) => compare(table, &path),
            Kind::OneOf(choices) => compare_choices(choices, &path, false),
            Kind::List(Kind::OneOf(choices)) => compare_choices(choices, &path, true),
            _ => {}
        }
    }
}

fn compare_choices(choices: &'static [Choice], path: &[&'static str], in_list: bool) {
    let here = path.join(".");
    let put =
        |value: Toml| move |at: &mut Toml| *at = if in_list { Toml::Array(vec![value.clone()]) } else { value.clone() };
    let message = with_change(path, &put(Toml::String("zzz".to_owned()))).expect_err(&here);
    assert_eq!(expected(&message), sorted(choices.iter().map(|choice| choice.word)), "words of {here}");
    for nth in 0..choices.len() {
        with_change(path, &put(sample(&Kind::OneOf(choices), nth)))
            .unwrap_or_else(|message| panic!("{here} = \"{}\": {message}", choices[nth].word));
    }
}

#[test]
fn the_table_of_keys_is_what_serde_accepts() {
    with_change(&[], &|_| {}).unwrap();
    compare(&SCENARIO, &[]);
}

#[test]
fn a_key_that_may_be_left_out_may_be_left_out() {
    for key in SCENARIO.keys {
        let mut root = full(&SCENARIO);
        root.remove(key.name);
        let left_out = Toml::Table(root).try_into::<Scenario>();
        assert_eq!(left_out.is_err(), key.without == Without::Wrong, "{}", key.name);
    }
    for (path, table) in [
        ("sources", find("sources")),
        ("proxy", find("proxy")),
        ("clients", find("clients")),
        ("faults", find("faults")),
    ] {
        for key in table.keys {
            let left_out = with_change(&[path], &|at| {
                let at = if let Toml::Array(items) = at { &mut items[0] } else { at };
                at.as_table_mut().unwrap().remove(key.name);
            });
            assert_eq!(left_out.is_err(), key.without == Without::Wrong, "{path}.{}", key.name);
        }
    }
}

#[test]
fn states_and_faults_bear_the_same_words_in_files_and_in_records() {
    let words = |table: &str, key: &str| match &find(table).key(key).unwrap().kind {
        Kind::OneOf(choices) => choices.iter().map(|choice| choice.word),
        other => panic!("{other:?}"),
    };
    for word in words("reach", "state") {
        let state: crate::model::State = Toml::String(word.to_owned()).try_into().unwrap();
        assert_eq!(state.word(), word);
    }
    for word in words("faults", "kind") {
        let kind: crate::model::FaultKind = Toml::String(word.to_owned()).try_into().unwrap();
        assert_eq!(kind.word(), word);
    }
}

fn find(name: &str) -> &'static Table {
    match &SCENARIO.key(name).unwrap().kind {
        Kind::Table(table) | Kind::List(Kind::Table(table)) => table,
        other => panic!("{other:?}"),
    }
}

/// What stands under a `not`: keys that may not stand together.
fn any_stands_together(not: &Value, value: &Toml) -> bool {
    let pairs = not["anyOf"].as_array().unwrap().iter();
    pairs.map(|pair| pair["required"].as_array().unwrap()).any(|keys| {
        keys.iter().all(|key| value.as_table().is_some_and(|table| table.contains_key(key.as_str().unwrap())))
    })
}

/// The little of JSON Schema that ours uses.
fn fits(schema: &Value, value: &Toml) -> bool {
    if schema.get("not").is_some_and(|not| any_stands_together(not, value)) {
        return false;
    }
    if schema.as_object().unwrap().is_empty() {
        return true;
    }
    let has = |schema: &Value| {
        let keys = schema["required"].as_array().unwrap().iter();
        keys.clone().all(|key| value.as_table().is_some_and(|table| table.contains_key(key.as_str().unwrap())))
    };
    if schema.get("type").is_some()
        && let Some(any) = schema.get("anyOf")
        && !any.as_array().unwrap().iter().any(has)
    {
        return false;
    }
    if let Some(any) = schema.get("anyOf").filter(|_| schema.get("type").is_none()) {
        return any.as_array().unwrap().iter().any(|schema| fits(schema, value));
    }
    if let Some(words) = schema.get("enum") {
        return words.as_array().unwrap().iter().any(|word| word.as_str() == value.as_str());
    }
    let within = |number: f64| {
        let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
        bound("minimum").is_none_or(|low| low <= number) && bound("maximum").is_none_or(|high| number <= high)
    };
    match (schema["type"].as_str().unwrap(), value) {
        ("object", Toml::Table(table)) => {
            let others = &schema["additionalProperties"];
            (schema.get("required").is_none() || has(schema))
                && table.iter().all(|(key, value)| match schema.get("properties").and_then(|known| known.get(key)) {
                    Some(schema) => fits(schema, value),
                    None => others.is_object() && fits(others, value),
                })
        }
        ("array", Toml::Array(items)) => items.iter().all(|item| fits(&schema["items"], item)),
        ("integer", Toml::Integer(number)) => within(*number as f64),
        ("number", Toml::Integer(number)) => within(*number as f64),
        ("number", Toml::Float(number)) => within(*number),
        ("string", Toml::String(_)) | ("boolean", Toml::Boolean(_)) => true,
        _ => false,
    }
}

#[test]
fn every_built_in_scenario_fits_the_json_schema() {
    let schema = json_schema();
    for entry in crate::catalogue::all() {
        let value = Toml::Table(entry.text.parse().unwrap());
        assert!(fits(&schema, &value), "{}", entry.name);
    }
}

#[test]
fn what_json_schema_can_see_it_refuses() {
    let schema = json_schema();
    let good = "schema = 1\nname = \"x\"\nabout = \"A test.\"\nsteady = \"10s\"\nsources = { count = 2 }\nproxy = { mode = \"fanout\" }\n\
                check = { symbol-order = {} }\n[[clients]]\nname = \"all\"\ncount = 10\n";
    let fits = |text: &str| fits(&schema, &Toml::Table(text.parse().unwrap()));
    assert!(fits(good));
    assert!(fits(&format!("include = [\"parts/a.toml\"]\n{good}\n[matrix]\n\"sources.count\" = [1, 2]\n")));
    assert!(fits("include = [\"parts/a.toml\"]\nname = \"x\"\n"));
    for (from, to) in [
        ("steady =", "stedy ="),
        ("steady = \"10s\"\n", ""),
        ("schema = 1", "schema = 2"),
        ("count = 2", "count = 0"),
        ("count = 2", "count = \"2\""),
        ("\"fanout\"", "\"fan-out\""),
        ("mode = \"fanout\"", "mode = \"fanout\", queue-bytes = -1"),
        ("[[clients]]", "[clients]"),
        ("count = 10", "count = 10\nopen = {}\nclosed = {}"),
        ("count = 10", "count = 10\nopen = { arrival = \"burst\" }"),
        ("count = 10", "count = 10\nclosed = { requests-per-s = 1 }"),
        ("count = 10", "count = 10\narrival = \"at-once\""),
        ("count = 10", "count = 10\nsubscriptions = { zipf = { exponent = 1.0 } }"),
        ("count = 10", "count = 10\nsubscriptions = { uniform = 0 }"),
        ("symbol-order = {}", "symbol-order = { checked-min = 0 }"),
        ("symbol-order = {}", "symbols-order = {}"),
        ("[[clients]]", "[matrix]\n\"sources.count\" = 2\n[[clients]]"),
        ("schema = 1", "schema = 1\ninclude = \"parts/a.toml\""),
    ] {
        assert_eq!(good.matches(from).count(), 1, "{from}");
        assert!(!fits(&good.replacen(from, to, 1)), "{from:?} -> {to:?}");
    }
}

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/scenarios.md");
const BEGIN: &str = "<!-- made by `schema::reference`: BLESS=1 cargo test -p scenarios schema -->\n";
const END: &str = "<!-- end -->\n";

#[test]
fn the_page_in_docs_holds_the_reference_as_it_is() {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the mark before the reference");
    let (made, after) = rest.split_once(END).expect("the mark after the reference");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(PAGE, format!("{before}{BEGIN}{}{END}{after}", reference())).unwrap();
    } else {
        assert!(
            made == reference(),
            "docs/scenarios.md is behind the table of keys: BLESS=1 cargo test -p scenarios schema"
        );
    }
}

#[test]
fn the_example_in_docs_is_a_scenario() {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let example = page.split_once("```toml\n").unwrap().1.split_once("```").unwrap().0;
    crate::parse::parse("my-first.toml", example).unwrap();
}
