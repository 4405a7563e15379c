//! Files that include others, and files that are several scenarios.

use super::*;

/// What is there to be included.
const PARTS: &[(&str, &str)] = &[
    (
        "dir/parts/feed.toml",
        "schema = 1\n[sources]\ncount = 2\nsymbols = 8\n[[clients]]\nname = \"base\"\ncount = 3\n[check]\nsymbol-order = {}\n",
    ),
    ("dir/parts/deep.toml", "include = [\"feed.toml\"]\nnetwork.loss = 0.5\n[sources]\nsymbols = 9\n"),
    ("dir/parts/broken.toml", "schema = 1\n[sources]\ncount = \"two\"\nsymbol = 3\n"),
    ("dir/parts/round.toml", "include = [\"../x.toml\"]\n"),
    ("dir/parts/untidy.toml", "a = \n"),
    ("dir/x.toml", ""),
];

fn read(path: &str) -> Result<String, String> {
    let found = PARTS.iter().find(|(part, _)| *part == path);
    found.map(|(_, text)| (*text).to_owned()).ok_or_else(|| "not there".to_owned())
}

fn all(text: &str) -> Result<Vec<Variant>, Vec<String>> {
    parse_all("dir/x.toml", text, &read).map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

/// What a file says beside what it includes.
const REST: &str = "name = \"x\"\nabout = \"A test.\"\nsteady = \"10s\"\nproxy = { mode = \"fanout\" }\n[[clients]]\nname = \"own\"\ncount = 1\n";

#[test]
fn a_file_is_laid_over_what_it_includes() {
    let text = format!("include = [\"parts/deep.toml\"]\nsources.symbols = 5\n{REST}");
    let variants = all(&text).unwrap();
    let [Variant { scenario, text: written }] = variants.as_slice() else { panic!("one") };
    assert_eq!((scenario.sources.count, scenario.sources.symbols, scenario.network.loss), (2, 5, 0.5));
    let names: Vec<&str> = scenario.clients.iter().map(|group| group.name.as_str()).collect();
    assert_eq!(names, ["base", "own"], "lists of tables are appended");
    assert_eq!(&parse("dir/x.toml", written).unwrap(), scenario, "what is kept needs no other file");
}

#[test]
fn what_is_wrong_in_a_part_is_shown_there() {
    let found = |include: &str| all(&format!("include = [{include}]\n{REST}")).unwrap_err();
    assert_eq!(
        found("\"parts/feed.toml\", \"parts/broken.toml\""),
        [
            "dir/parts/broken.toml:3:9: sources.count must be a whole number, 1 to 64, not \"two\"",
            "dir/parts/broken.toml:4:1: unknown key \"symbol\"; did you mean \"symbols\"?",
        ]
    );
    assert_eq!(found("\"parts/nothing.toml\""), ["dir/x.toml:1:12: failed to read dir/parts/nothing.toml: not there"]);
    assert_eq!(
        found("\"parts/round.toml\""),
        ["dir/parts/round.toml:1:12: dir/x.toml includes itself: dir/x.toml > dir/parts/round.toml > dir/x.toml"]
    );
    assert!(
        found("\"parts/untidy.toml\"")[0].starts_with("dir/parts/untidy.toml:1:"),
        "{:?}",
        found("\"parts/untidy.toml\"")
    );
    assert_eq!(found("3"), ["dir/x.toml:1:12: include must be a list of files, each a path in quotes"]);
    let bare = all(&format!("include = \"parts/feed.toml\"\n{REST}")).unwrap_err();
    assert_eq!(bare, ["dir/x.toml:1:11: include must be a list of files; write include = [\"parts/..\"]"]);
    assert_eq!(
        parse("catalogue/x.toml", &format!("include = [\"parts/feed.toml\"]\n{REST}")).unwrap_err()[0].to_string(),
        "catalogue/x.toml:1:12: failed to read catalogue/parts/feed.toml: the catalogue has no such part"
    );
}

#[test]
fn includes_are_bounded_in_depth_and_number() {
    let deeper = |path: &str| {
        let n: u32 = path.trim_end_matches(".toml").rsplit('/').next().unwrap().parse().unwrap();
        Ok(format!("include = [\"{}.toml\"]\n", n + 1))
    };
    let problems = parse_all("0.toml", "include = [\"1.toml\"]\n", &deeper).unwrap_err();
    assert_eq!(problems[0].to_string(), "8.toml:1:12: 9.toml is included 9 files deep, 8 at most");
    let wide: Vec<String> = (1..100).map(|n| format!("\"{n}.toml\"")).collect();
    let problems =
        parse_all("0.toml", &format!("include = [{}]\n", wide.join(", ")), &|_| Ok(String::new())).unwrap_err();
    assert_eq!(problems[0].message, "more than 64 files are included");
}

fn matrix(lines: &str) -> Result<Vec<Variant>, Vec<String>> {
    parse_all("x.toml", &format!("{GOOD}\n[matrix]\n{lines}\n"), &read)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

#[test]
fn a_matrix_is_the_cross_product_of_its_values_in_the_order_of_the_file() {
    let variants = matrix(
        "\"proxy.slow-client\" = [\"conflate\", \"disconnect\"]\nclients.all.count = [100, 1_000]\nnetwork.latency = [{ fixed = \"5ms\" }]",
    )
    .unwrap();
    let names: Vec<&str> = variants.iter().map(|variant| variant.scenario.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "x+conflate+100+fixed-5ms",
            "x+conflate+1000+fixed-5ms",
            "x+disconnect+100+fixed-5ms",
            "x+disconnect+1000+fixed-5ms"
        ]
    );
    let last = &variants[3];
    assert_eq!(last.scenario.clients[0].count, 1000);
    assert_eq!(last.scenario.proxy.slow_client, Some(crate::model::SlowClient::Disconnect));
    assert_eq!(parse("x.toml", &last.text).unwrap(), last.scenario, "what is kept is one of them alone");
    assert!(parse("x.toml", &format!("{GOOD}\n[matrix]\n\"clients.all.count\" = [1, 2]\n")).is_err());
}

#[test]
fn what_is_wrong_with_a_matrix_is_shown_in_it() {
    for (lines, expect) in [
        ("\"clients.al.count\" = [1, 2]", "x.toml:20:1: clients has no \"al\"; did you mean \"all\"?"),
        ("\"clients.all.coun\" = [1, 2]", "x.toml:20:1: unknown key \"coun\"; did you mean \"count\"?"),
        (
            "\"sources.count\" = 3",
            "x.toml:20:19: \"sources.count\" must have a list of values; a value that does not vary stands in its own table",
        ),
        ("\"sources.count\" = []", "x.toml:20:19: \"sources.count\" has no value"),
        ("\"sources.count\" = [1, 1]", "x.toml:20:23: \"sources.count\" has two values that would be called \"1\""),
        ("\"name.x\" = [1, 2]", "x.toml:20:1: \"name\" has no keys of its own"),
        ("\"clients.all\" = [1, 2]", "x.toml:20:1: \"clients.all\" is a whole table; name one of its keys"),
        ("", "x.toml:19:2: the matrix has no path with values"),
        (
            "\"sources.count\" = [2, 65, 3]",
            "x.toml:20:23: in x+65: sources.count must be a whole number, 1 to 64, not 65",
        ),
        (
            "\"clients.all.subscriptions\" = [{ uniform = 2 }, { uniform = 9 }]\n\"sources.count\" = [1, 2]",
            "in x+uniform-9+1 and 1 more: group \"all\" draws 9 symbols each, and the source has 4",
        ),
    ] {
        let found = matrix(lines).unwrap_err();
        assert!(found[0].contains(expect), "{lines}: {found:?}");
    }
    let wide: Vec<String> = (1..=101).map(|n| n.to_string()).collect();
    let found = matrix(&format!("\"clients.all.count\" = [{}]", wide.join(", "))).unwrap_err();
    assert_eq!(found, ["x.toml:19:2: the matrix makes 101 scenarios, 100 at most"]);
}

#[test]
fn what_is_wrong_in_every_scenario_is_said_once() {
    let spoiled = spoiled("mode = \"fanout\"", "mode = \"fan-out\"");
    let text = format!("{spoiled}\n[matrix]\n\"clients.all.count\" = [1, 2]\n");
    let found = parse_all("x.toml", &text, &read).unwrap_err();
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].message.starts_with("proxy.mode must be"), "{}", found[0].message);
}
