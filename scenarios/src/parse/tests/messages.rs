//! What is wrong with a file, word for word and place for place.

use super::check;

#[test]
fn service_times() {
    let with = |line: &str| format!("symbol-order = {{}}\n[service-time]\n{line}");
    for good in [
        "proxy-per-segment = \"1340ns\"",
        "proxy-per-segment = \"1.34us\"\nproxy-per-kib = \"0ns\"\nproxy-per-connection = \"1ms\"\nproxy-cores = 256",
        "proxy-per-segment = \"5us\"\nproxy-queues = \"shared\"\nproxy-spread = \"exponential\"",
    ] {
        check("symbol-order = {}", &with(good), &[]);
    }
    check(
        "symbol-order = {}",
        &with("proxy-per-segment = \"0us\"\nproxy-per-kib = \"-5us\"\nproxy-per-connection = 5\nproxy-cores = 0"),
        &[
            "19:21: service-time.proxy-per-segment must be a cost, 1ns to 1s, not \"0us\"",
            "20:17: service-time.proxy-per-kib is not a cost: \"-5us\" does not begin with a number; a cost is a number and a unit: \"1340ns\", \"5us\"",
            "21:24: service-time.proxy-per-connection must be a cost, 0ns to 1s, not 5; a cost has a unit: \"5ns\" or \"5us\"",
            "22:15: service-time.proxy-cores must be a whole number, 1 to 256, not 0",
        ],
    );
    check(
        "symbol-order = {}",
        &with("proxy-per-segment = \"5us\"\nproxy-queues = \"share\"\nproxy-spread = \"poisson\"\nproxy-core = 2"),
        &[
            "20:16: service-time.proxy-queues must be \"per-core\" or \"shared\", not \"share\"; did you mean \"shared\"?",
            "21:16: service-time.proxy-spread must be \"fixed\" or \"exponential\", not \"poisson\"",
            "22:1: unknown key \"proxy-core\"; did you mean \"proxy-cores\"?",
        ],
    );
    check(
        "symbol-order = {}",
        &with("proxy-cores = 2"),
        &["18:1: service-time lacks the key \"proxy-per-segment\"; it must be a cost, 1ns to 1s"],
    );
}

#[test]
fn unknown_keys_find_the_word_that_was_meant() {
    check("steady =", "stedy =", &["4:1: unknown key \"stedy\"; did you mean \"steady\"?"]);
    check(
        "count = 2",
        "count = 2\ncolour = 3",
        &[
            "8:1: unknown key \"colour\"; known here: \"count\", \"mode\", \"symbols\", \"period\", \"rates\", \"key-limit\", \"denied\", \"padding\", \"fragments\"",
        ],
    );
    check(
        "count = 10",
        "count = 10\nsubscription = \"all\"",
        &["15:1: unknown key \"subscription\"; did you mean \"subscriptions\"?"],
    );
    check(
        "mode = \"fanout\"",
        "mod = \"fanout\"\nqueue-byte = 5",
        &[
            "10:1: unknown key \"mod\"; did you mean \"mode\"?",
            "11:1: unknown key \"queue-byte\"; did you mean \"queue-bytes\"?",
        ],
    );
    check(
        "",
        "[[faults]]\nat = \"1s\"\nduration = \"1s\"\nkind = \"kill\"\ntarget = \"source-0\"\n",
        &[
            "20:1: unknown key \"duration\"; known here: \"at\", \"after\", \"for\", \"kind\", \"target\", \"stagger\", \"code\", \"every\", \"set\", \"latency\", \"jitter\", \"bandwidth\", \"queue-bytes\", \"loss\", \"loss-good\", \"good\", \"bad\", \"size\", \"size-variation\", \"delay\", \"closes-after\", \"bytes\", \"times\", \"period\", \"at-most\", \"ahead\", \"behind\", \"ppm\"",
        ],
    );
}

#[test]
fn a_missing_key_is_named_with_what_it_must_be() {
    check("schema = 1\n", "", &["1:1: the file lacks the key \"schema\"; it must be 1"]);
    check("[check]\nsymbol-order = {}\n", "", &["1:1: the file lacks the key \"check\"; it must be a table"]);
    check("symbol-order = {}\n", "", &["16:1: nothing is checked; write symbol-order = {}, for a start"]);
    check("count = 10\n", "", &["12:1: clients[0] lacks the key \"count\"; it must be a whole number, 1 to 20000"]);
    check(
        "",
        "[[faults]]\nat = \"1s\"\n",
        &[
            "18:1: faults[0] lacks the key \"kind\"; it must be \"kill\", \"power-off\", \"restart\", \"freeze\", \"slow-host\", \"clock-jump\", \"clock-drift\", \"backlog\", \"descriptors\", \"refuse\", \"black-hole\", \"accept-close\", \"nxdomain\", \"slow-lookup\", \"partition\", \"stall\", \"latency\", \"bandwidth\", \"loss\", \"burst-loss\", \"slicer\", \"slow-close\", \"timeout\", \"limit-data\", \"reset-peer\", \"half-open\", \"mute\", \"slam\", \"close-all\", \"garbage\", \"oversized\", \"drain\" or \"reload\"",
            "18:1: faults[0] lacks the key \"target\"; it must be text",
        ],
    );
}

#[test]
fn a_value_of_the_wrong_type_says_what_would_do() {
    check(
        "count = 2",
        "count = \"2\"",
        &["7:9: sources.count must be a whole number, 1 to 64, not \"2\"; write 2 without quotes"],
    );
    check("count = 2", "count = 2.0", &["7:9: sources.count must be a whole number, 1 to 64, not 2.0"]);
    check(
        "count = 2",
        "count = 2\nperiod = 100",
        &["8:10: sources.period must be a duration, 1ms to 1h, not 100; a duration has a unit: \"100ms\" or \"100s\""],
    );
    check(
        "count = 2",
        "count = 2\nperiod = \"100\"",
        &[
            "8:10: sources.period is not a duration: \"100\" lacks a unit; a duration is a number and a unit: \"250ms\", \"1.5s\", \"2min\"",
        ],
    );
    check(
        "count = 2",
        "count = 2\nperiod = \"3m\"",
        &[
            "8:10: sources.period is not a duration: the unit \"m\" is none of h, min, s, ms, us; a duration is a number and a unit: \"250ms\", \"1.5s\", \"2min\"",
        ],
    );
    check(
        "\"10s\"",
        "\"10s\"\nengines = \"turmoil\"",
        &[
            "5:11: engines must be a list, each \"sim\", \"turmoil\" or \"sockets\", not \"turmoil\"; write [\"turmoil\"]",
        ],
    );
    check(
        "[sources]",
        "[[sources]]",
        &["6:1: sources must be a table, not a list of 1; there is only one: [..], not [[..]]"],
    );
    check("[[clients]]", "[clients]", &["12:1: clients must be tables, not a table; double its brackets: [[..]]"]);
    check(
        "count = 10",
        "count = 10\nreconnect = \"true\"",
        &["15:13: clients[0].reconnect must be true or false, not \"true\"; write true without quotes"],
    );
}

#[test]
fn a_value_out_of_range_says_the_range() {
    check("schema = 1", "schema = 2", &["1:10: schema must be 1, not 2"]);
    check("count = 2", "count = 0", &["7:9: sources.count must be a whole number, 1 to 64, not 0"]);
    check(
        "count = 2",
        "count = 2\nperiod = \"1us\"",
        &["8:10: sources.period must be a duration, 1ms to 1h, not \"1us\""],
    );
    check("count = 10", "count = 10\nstrong = 1.5", &["15:10: clients[0].strong must be a number, 0 to 1, not 1.5"]);
    check("count = 10", "count = -1", &["14:9: clients[0].count must be a whole number, 1 to 20000, not -1"]);
    check("\"10s\"", "\"10s\"\nnetwork = { loss = -0.1 }", &["5:20: network.loss must be a number, 0 to 1, not -0.1"]);
}

#[test]
fn a_word_that_is_not_known_suggests_one_that_is() {
    check(
        "\"fanout\"",
        "\"fan-out\"",
        &["10:8: proxy.mode must be \"fanout\" or \"relay\", not \"fan-out\"; did you mean \"fanout\"?"],
    );
    check(
        "count = 10",
        "count = 10\nopen = { arrival = \"at-onec\" }",
        &[
            "15:20: clients[0].open.arrival must be \"at-once\", { ramp = .. }, { poisson = .. } or { waves = .. }, not \"at-onec\"; did you mean \"at-once\"?",
        ],
    );
    check(
        "count = 10",
        "count = 10\nopen = { arrival = 3 }",
        &[
            "15:20: clients[0].open.arrival must be \"at-once\", { ramp = .. }, { poisson = .. } or { waves = .. }, not 3",
        ],
    );
    check(
        "count = 10",
        "count = 10\nreader = \"stops-after\"",
        &[
            "15:10: clients[0].reader = \"stops-after\" lacks its value: a duration, 0s to 24h; write { stops-after = .. }",
        ],
    );
    check(
        "count = 10",
        "count = 10\nreader = { stop-after = \"1s\" }",
        &[
            "15:12: clients[0].reader must be \"full\", { bytes-per-s = .. } or { stops-after = .. }, not { stop-after = .. }; did you mean \"stops-after\"?",
        ],
    );
    check(
        "count = 10",
        "count = 10\nreader = { full = 1 }",
        &["15:12: clients[0].reader.full takes no value; write \"full\""],
    );
    check(
        "",
        "[[reach]]\nstate = \"fail-over\"\n",
        &[
            "19:9: reach[0].state must be \"fault-on-active-source\", \"failover\", \"client-shed\", \"message-dropped\", \"slow-client-closed\", \"gap-told\", \"client-opened\", \"delivered\", \"host-restarted\", \"subscription-denied\", \"proxy-drained\" or \"proxy-reloaded\", not \"fail-over\"; did you mean \"failover\"?",
        ],
    );
}

#[test]
fn text_that_is_not_toml_is_shown_where_it_breaks() {
    check("\"fanout\"", "fanout", &["10:8: invalid boolean, expected `false`; text stands in quotes"]);
    check(
        "steady = \"10s\"",
        "steady = \"10s\nx = 3\ny==",
        &["4:14: invalid basic string, expected `\"`", "6:3: extra `=`, expected nothing"],
    );
    check("count = 2", "count = 2\ncount = 3", &["8:1: duplicate key"]);
}

#[test]
fn a_name_is_in_kebab_case_and_the_files() {
    check("name = \"x\"", "name = \"X y\"", &["2:8: name \"X y\" is not in kebab-case; did you mean \"x-y\"?"]);
    check(
        "name = \"x\"",
        "name = \"y\"",
        &["2:8: name \"y\" differs from the file's, \"x\"; rename the file to y.toml or write name = \"x\""],
    );
    check(
        "\"A test.\"",
        "\"\\n \"\ntags = [\"Two Words\"]",
        &[
            "3:9: about is empty: say why this scenario matters",
            "4:9: tag \"Two Words\" is not in kebab-case; did you mean \"two-words\"?",
        ],
    );
}

#[test]
fn groups_of_clients_are_held_against_sources_and_phases() {
    check(
        "name = \"all\"",
        "name = \"source\"",
        &["13:8: group \"source\" would share host names with the source itself"],
    );
    check("", "[[clients]]\nname = \"all\"\ncount = 1\n", &["19:8: two groups are named \"all\""]);
    check(
        "[[clients]]\nname = \"all\"\ncount = 10\n",
        "[extra]\n",
        &[
            "1:1: the file lacks the key \"clients\"; it must be tables",
            "12:2: unknown key \"extra\"; known here: \"schema\", \"name\", \"about\", \"tags\", \"warmup\", \"steady\", \"recovery\", \"network\", \"sources\", \"proxy\", \"edge\", \"balancer\", \"clients\", \"faults\", \"service-time\", \"check\", \"reach\", \"engines\", \"include\", \"matrix\", \"regression\"",
        ],
    );
    check(
        "[sources]\ncount = 2\n\n[proxy]\nmode = \"fanout\"\n\n[[clients]]\nname = \"all\"\ncount = 10\n",
        "clients = []\n[sources]\ncount = 2\n\n[proxy]\nmode = \"fanout\"\n",
        &["6:11: there is no group of clients; add one with [[clients]]"],
    );
    check(
        "count = 10",
        "count = 10\nsubscriptions = { uniform = 5 }\nhosts = 11\nopen = { requests-per-s = 2 }",
        &[
            "15:29: group \"all\" draws 5 symbols each, and the source has 4",
            "16:9: group \"all\" has 11 hosts for 10 clients",
            "17:27: group \"all\" sends requests, and the sources do not answer; write sources.mode = \"echo\"",
        ],
    );
    check(
        "count = 10",
        "count = 10\nstart = \"12s\"",
        &["15:9: group \"all\" begins to arrive after the steady phase"],
    );
    check(
        "count = 10",
        "count = 10\nopen = { arrival = { ramp = \"13s\" } }",
        &["15:20: group \"all\" is still arriving, until 13s of the run, when the steady phase ends at 12s"],
    );
    check(
        "count = 10",
        "count = 10\nopen = { arrival = { poisson = 0.5 } }",
        &["15:20: group \"all\" is still arriving, until 20s of the run, when the steady phase ends at 12s"],
    );
    check(
        "count = 2\n\n[proxy]\nmode = \"fanout\"\n\n[[clients]]\nname = \"all\"\ncount = 10\n",
        "count = 2\nperiod = \"1ms\"\n\n[proxy]\nmode = \"fanout\"\n\n[[clients]]\nname = \"all\"\ncount = 10_000\n",
        &[
            "13:1: about 600 million messages would be delivered, 50 million at most; fewer clients or subscriptions, rarer ticks (sources.period or rates), or a shorter steady",
        ],
    );
}

#[test]
fn modes_that_do_not_go_together_are_refused() {
    check(
        "count = 2",
        "count = 2\nmode = \"echo\"",
        &[
            "8:8: sources.mode \"echo\" needs proxy.mode \"relay\": an answer belongs to the client that asked; write proxy.mode = \"relay\" or sources.mode = \"v1\"",
            "8:8: sources.mode \"echo\" speaks only when spoken to, and no group sends requests; give a group open = { requests-per-s = 5 } or closed = { think = \"200ms\" }",
            "18:16: \"symbol-order\" cannot be checked: echo sources send no ticks; take it out or write sources.mode = \"v1\"",
        ],
    );
    check(
        "mode = \"fanout\"",
        "mode = \"fanout\"\nstale-after = \"100ms\"",
        &[
            "11:15: proxy.stale-after of 100ms gives healthy sources up: they tick every 100ms; some periods longer, at least",
        ],
    );
    check(
        "mode = \"fanout\"\n\n[[clients]]",
        "mode = \"relay\"\n\n[[clients]]\nstrong = 0.5",
        &[
            "13:10: group \"all\" asks for the strong contract, which a relay does not offer: it passes the source's bytes on; write proxy.mode = \"fanout\" or strong = 0",
        ],
    );
    check(
        "count = 10",
        "count = 10\nresume = true",
        &["15:10: group \"all\" resumes, and has no strong clients, who alone can; write strong = 1.0"],
    );
    check(
        "count = 10",
        "count = 10\nresume = true\nstrong = 1.0\nreconnect = false",
        &["15:10: group \"all\" resumes, and never comes again; write reconnect = true"],
    );
    check(
        "count = 10",
        "count = 10\nbackoff = { base = \"2s\" }\nreconnect = false",
        &["15:11: group \"all\" has a backoff, and never comes again; leave reconnect out"],
    );
    check(
        "count = 10",
        "count = 10\nbackoff = { base = \"2s\", cap = \"1s\" }",
        &["15:11: group \"all\" begins with a window of 2s, and 1s is its largest; write cap = \"2s\" or more"],
    );
    check(
        "count = 10",
        "count = 10\nopen = { session = \"1s\" }\nreconnect = false",
        &[
            "15:20: group \"all\" ends its sessions, and never comes again; write stay for a group that leaves for good, or reconnect = true",
        ],
    );
}

#[test]
fn the_network_must_be_able_to_deliver() {
    check(
        "\"10s\"",
        "\"10s\"\nnetwork = { latency = { uniform = [\"2ms\", \"1ms\"] }, loss = 1 }",
        &[
            "5:35: network.latency.uniform begins at 2ms and ends before it, at 1ms; did you mean [\"1ms\", \"2ms\"]?",
            "5:60: network.loss of 1 never delivers anything; for an outage, use a fault of kind \"stall\"",
        ],
    );
    check(
        "\"10s\"",
        "\"10s\"\nnetwork = { latency = { uniform = [\"1ms\"] } }",
        &["5:35: network.latency.uniform must be a list of two, each a duration, 0s to 1min, not a list of 1"],
    );
    check(
        "\"10s\"",
        "\"10s\"\nnetwork = { latency = { log-normal = { median = \"1ms\", tail = 1.0 } } }",
        &["5:63: network.latency.log-normal.tail is p99 / median and must be above 1, not 1"],
    );
    check(
        "\"10s\"",
        "\"10s\"\nnetwork = { latency = \"1ms\" }",
        &[
            "5:23: network.latency must be { fixed = .. }, { uniform = .. }, { log-normal = .. } or { spikes = .. }, not \"1ms\"; write { fixed = \"1ms\" }",
        ],
    );
}

#[test]
fn a_fault_hits_what_exists_while_it_is_judged() {
    check(
        "",
        "[[faults]]\nat = \"11s\"\nkind = \"kill\"\ntarget = \"source-2\"\n",
        &[
            "19:6: the fault begins at 11s, after the steady phase of 10s; times count from its beginning",
            "21:10: target \"source-2\" is not there: source-0, source-1, source-active, proxy-0, clients, all; did you mean \"source-0\"?",
        ],
    );
    check(
        "",
        "[[faults]]\nat = \"8s\"\nfor = \"3s\"\nkind = \"stall\"\ntarget = \"proxy-0\"\n",
        &["20:7: the fault ends at 11s, after the steady phase of 10s; 2s at most, not 3s; or lengthen steady"],
    );
    check(
        "",
        "[[faults]]\nat = \"8s\"\nkind = \"freeze\"\ntarget = \"proxy-0/source-1\"\n",
        &["21:10: \"freeze\" hits a host, not the link \"proxy-0/source-1\"; for a link, use kind \"stall\""],
    );
    check(
        "",
        "[[faults]]\nat = \"8s\"\nkind = \"stall\"\ntarget = \"proxy-1/source-1\"\n",
        &["21:10: target \"proxy-1/source-1\" names a host that is not there: \"proxy-1\"; did you mean \"proxy-0\"?"],
    );
    check(
        "",
        "[[faults]]\nat = \"8s\"\nkind = \"stall\"\ntarget = \"source-0/source-1\"\n",
        &[
            "21:10: nothing travels on the link \"source-0/source-1\"; a link joins a proxy and a source, or clients and a proxy (or an edge): \"proxy-0/source-0\"",
        ],
    );
    // Overlapping faults add up; a source's script does one thing at a time.
    check(
        "",
        "[[faults]]\nat = \"8s\"\nkind = \"freeze\"\ntarget = \"proxy-0\"\n[[faults]]\nat = \"9s\"\nkind = \"kill\"\ntarget = \"proxy-*\"\n",
        &[],
    );
    check(
        "",
        "[[faults]]\nat = \"2s\"\nfor = \"3s\"\nkind = \"mute\"\ntarget = \"source-0\"\n[[faults]]\nat = \"4s\"\nfor = \"1s\"\nkind = \"slam\"\ntarget = \"source-0\"\n",
        &["24:6: \"source-0\" already has a script at 4s, the \"mute\" from 2s; one script at a time on one source"],
    );
    let twice = |kind: &str, other: &str| {
        let one = |at: &str, kind: &str| {
            format!("[[faults]]\nat = \"{at}\"\nfor = \"3s\"\nkind = \"{kind}\"\ntarget = \"source-0\"\n")
        };
        format!("{}{}", one("2s", kind), one("4s", other))
    };
    check("", &twice("mute", "garbage"), &[]);
    check(
        "",
        &twice("garbage", "garbage"),
        &["24:6: \"source-0\" already has a script at 4s, the \"garbage\" from 2s; one script at a time on one source"],
    );
    for target in ["all/proxy-0", "clients>proxy-0", "all-0", "proxy-*", "source-*>proxy-0", "source-active/proxy-0"] {
        check("", &format!("[[faults]]\nat = \"8s\"\nkind = \"stall\"\ntarget = \"{target}\"\n"), &[]);
    }
    check(
        "",
        "[[faults]]\nat = \"8s\"\nkind = \"loss\"\nloss = 0.1\ntarget = \"al>proxy-0\"\n",
        &["22:10: target \"al>proxy-0\" names a host that is not there: \"al\"; did you mean \"all\"?"],
    );
    check(
        "",
        "[[faults]]\nat = \"8s\"\nkind = \"mute\"\ntarget = \"source-active\"\n[[faults]]\nat = \"8s\"\nkind = \"slam\"\ntarget = \"proxy-0\"\n",
        &[
            "21:10: \"mute\" is what a source does by its script, not \"source-active\"; name a source by its number: \"source-0\"",
            "25:10: \"slam\" is what a source does by its script, not \"proxy-0\"; name a source by its number: \"source-0\"",
        ],
    );
    check(
        "",
        "[[faults]]\nat = \"2s\"\nfor = \"1s\"\nkind = \"kill\"\ntarget = \"source-0\"\n[[faults]]\nat = \"8s\"\nkind = \"mute\"\ntarget = \"source-0\"\n",
        &[
            "26:10: \"source-0\" is killed in this scenario, and begins its script again when it is back; let the \"mute\" hit another source",
        ],
    );
    check(
        "",
        "[[faults]]\nat = \"2s\"\nfor = \"3s\"\nkind = \"kill\"\ntarget = \"source-0\"\n[[faults]]\nat = \"5s\"\nkind = \"kill\"\ntarget = \"source-0\"\n",
        &[],
    );
}

#[test]
fn a_fault_has_the_parameters_of_its_kind_and_no_others() {
    let fault = |lines: &str, expect: &[&str]| {
        check("", &format!("[[faults]]\nat = \"8s\"\ntarget = \"source-0\"\n{lines}"), expect);
    };
    for good in [
        "kind = \"latency\"\nlatency = { uniform = [\"1ms\", \"2ms\"] }\njitter = \"5ms\"\n",
        "kind = \"latency\"\nlatency = { spikes = { share = 0.1, delay = \"50ms\" } }\n",
        "kind = \"bandwidth\"\nbandwidth = 64_000\nqueue-bytes = 10_000\n",
        "kind = \"burst-loss\"\ngood = \"2s\"\nbad = \"300ms\"\n",
        "kind = \"slicer\"\nsize = 10\ndelay = \"5ms\"\n",
        "kind = \"timeout\"\n",
        "kind = \"reset-peer\"\n",
        "kind = \"half-open\"\n",
        "kind = \"slow-host\"\ntimes = 10\n",
        "kind = \"clock-jump\"\nbehind = \"1h\"\n",
        "kind = \"clock-drift\"\nppm = -200\n",
        "kind = \"descriptors\"\nat-most = 10\n",
    ] {
        fault(good, &[]);
    }
    fault(
        "kind = \"kill\"\nbytes = 5\n",
        &["22:9: \"kill\" takes no \"bytes\"; leave it out: this kind has no parameters"],
    );
    fault(
        "kind = \"slicer\"\nsize = 5\ndelay = \"1ms\"\nloss = 0.5\n",
        &["24:8: \"slicer\" takes no \"loss\"; it takes \"size\", \"size-variation\", \"delay\""],
    );
    fault("kind = \"bandwidth\"\n", &["21:8: \"bandwidth\" lacks its \"bandwidth\""]);
    fault(
        "kind = \"latency\"\n",
        &["21:8: \"latency\" adds nothing; write latency = { fixed = \"50ms\" } or jitter = \"20ms\""],
    );
    fault(
        "kind = \"latency\"\nlatency = { uniform = [\"2ms\", \"1ms\"] }\n",
        &["22:23: latency.uniform begins at 2ms and ends before it, at 1ms; did you mean [\"1ms\", \"2ms\"]?"],
    );
    fault(
        "kind = \"clock-jump\"\nahead = \"1s\"\nbehind = \"1s\"\n",
        &["21:8: \"clock-jump\" takes either \"ahead\" or \"behind\""],
    );
    fault(
        "kind = \"garbage\"\nevery = \"1ms\"\nfor = \"1s\"\ncode = 1000\n",
        &["24:8: \"garbage\" takes no \"code\"; it takes \"every\""],
    );
    fault(
        "kind = \"garbage\"\nevery = \"1ms\"\n",
        &["21:8: \"garbage\" is 2000 messages, 1000 at most; write a longer every, or a shorter for"],
    );
    fault("kind = \"slow-host\"\ntimes = 1\n", &["22:9: a slow host is more than 1 times slower"]);
    fault(
        "kind = \"restart\"\nfor = \"1s\"\n",
        &["22:7: \"restart\" is over at once and takes no \"for\"; leave it out"],
    );
    fault("kind = \"loss\"\nloss = 1.5\n", &["22:8: faults[0].loss must be a number, 0 to 1, not 1.5"]);
    fault(
        "kind = \"latncy\"\n",
        &[&format!("21:8: faults[0].kind must be {}, not \"latncy\"; did you mean \"latency\"?", KINDS)],
    );
}

#[test]
fn a_fault_waits_for_an_event_that_can_happen_to_someone_who_is_there() {
    let fault = |after: &str, expect: &[&str]| {
        let text = format!("[[faults]]\nkind = \"kill\"\ntarget = \"source-0\"\n{after}\n");
        check("", &text, expect);
    };
    for good in [
        "after = { event = \"proxy_tick\", count = 3, symbol = \"S0003\", source = \"source-1\", delay = \"5ms\" }",
        "after = { event = \"client_deliver\", client = 9, group = \"all\" }",
        "after = { event = \"proxy_tick\", since = { event = \"proxy_leg_up\", proxy = \"proxy-0\" } }\nfor = \"9s\"",
        "after.event = \"client_open\"",
    ] {
        fault(good, &[]);
    }
    fault(
        "at = \"1s\"\nafter = { event = \"proxy_tick\" }",
        &[
            "22:9: a fault begins \"at\" a time or \"after\" an event, not both; leave one of them out; after.delay makes it begin later",
        ],
    );
    fault(
        "",
        &["18:1: faults[0] lacks its \"at\" or \"after\"; write at = \"5s\" or after = { event = \"proxy_leg_up\" }"],
    );
    fault(
        "after = { count = 0 }",
        &[
            &format!("21:9: faults[0].after lacks the key \"event\"; it must be {EVENTS}"),
            "21:19: faults[0].after.count must be a whole number, 1 to 1000000, not 0",
        ],
    );
    fault(
        "after = { event = \"proxy-tik\" }",
        &[&format!("21:19: faults[0].after.event must be {EVENTS}, not \"proxy-tik\"; did you mean \"proxy_tick\"?")],
    );
    fault("after = { event = \"proxy_tick\", cuont = 3 }", &["21:33: unknown key \"cuont\"; did you mean \"count\"?"]);
    fault(
        "after = { event = \"proxy_tick\", symbol = \"S0004\" }",
        &["21:42: symbol \"S0004\": no source has it: S0000 to S0003"],
    );
    fault(
        "after = { event = \"proxy_tick\", source = \"source-2\", proxy = \"proxy-1\" }",
        &[
            "21:42: source \"source-2\": it is not there: source-0 to source-1; did you mean \"source-0\"?",
            "21:62: proxy \"proxy-1\": it is not there: proxy-0; did you mean \"proxy-0\"?",
        ],
    );
    // Out of range, and nothing is reckoned with it.
    fault(
        "after = { event = \"client_open\", client = 4294967295 }",
        &["21:43: faults[0].after.client must be a whole number, 0 to 1000000, not 4294967295"],
    );
    fault(
        "after = { event = \"client_open\", client = 10, group = \"al\" }",
        &[
            "21:43: there is no client 10; they are 0 to 9",
            "21:55: group \"al\": it is not there: all; did you mean \"all\"?",
        ],
    );
    fault(
        "after = { event = \"proxy_leg_up\", symbol = \"S0000\" }",
        &["21:44: \"proxy_leg_up\" does not say of which symbol it is; it says \"proxy\", \"source\""],
    );
    fault(
        "after = { event = \"client_open\", since = { event = \"fault_stop\", client = 1 } }",
        &["21:52: \"fault_stop\" cannot happen here: no fault ends"],
    );
    fault(
        "after = { event = \"client_deliver\", kind = \"snapshot\" }",
        &["21:19: \"client_deliver\" cannot happen here: only strong clients of a fan-out get messages with a kind"],
    );
    fault(
        "after = { event = \"client_echo\" }",
        &["21:19: \"client_echo\" cannot happen here: requests are for sources.mode = \"echo\""],
    );
    fault(
        "after = { event = \"client_open\", delay = \"10s\" }",
        &["21:42: the fault would begin after the steady phase of 10s"],
    );
    check(
        "mode = \"fanout\"",
        "mode = \"relay\"\n[[faults]]\nkind = \"kill\"\ntarget = \"source-0\"\nafter = { event = \"proxy_tick\" }",
        &["14:19: \"proxy_tick\" cannot happen here: a relay does not read what it carries"],
    );
    check(
        "",
        "[[faults]]\nkind = \"mute\"\ntarget = \"source-0\"\nafter = { event = \"proxy_tick\" }\n",
        &[
            "21:9: \"mute\" is what a source does by its script, at a time; write at = \"5s\", or take another kind, as \"stall\"",
        ],
    );
}

/// The events as messages list them.
const EVENTS: &str = "\"source_open\", \"source_subscribe\", \"source_deny\", \"source_unsubscribe\", \"source_send\", \"source_close\", \"source_refuse\", \"client_dial\", \"client_open\", \"client_refused\", \"client_subscribe\", \"client_unsubscribe\", \"client_ask\", \"client_ping\", \"client_pong\", \"client_offend\", \"client_answer\", \"client_deliver\", \"client_gap\", \"client_resume\", \"client_resumed\", \"client_send\", \"client_echo\", \"client_close\", \"proxy_tick\", \"proxy_admit\", \"proxy_shed\", \"proxy_client_close\", \"proxy_drop\", \"proxy_dial\", \"proxy_leg_up\", \"proxy_leg_down\", \"proxy_health\", \"proxy_drain_start\", \"proxy_drain_stop\", \"proxy_reload\", \"fault_start\" or \"fault_stop\"";

/// The kinds as messages list them.
const KINDS: &str = "\"kill\", \"power-off\", \"restart\", \"freeze\", \"slow-host\", \"clock-jump\", \"clock-drift\", \"backlog\", \"descriptors\", \"refuse\", \"black-hole\", \"accept-close\", \"nxdomain\", \"slow-lookup\", \"partition\", \"stall\", \"latency\", \"bandwidth\", \"loss\", \"burst-loss\", \"slicer\", \"slow-close\", \"timeout\", \"limit-data\", \"reset-peer\", \"half-open\", \"mute\", \"slam\", \"close-all\", \"garbage\", \"oversized\", \"drain\" or \"reload\"";

#[test]
fn a_state_that_cannot_be_reached_is_refused() {
    check(
        "",
        "[[reach]]\nstate = \"failover\"\n[[reach]]\nstate = \"client-shed\"\n[[reach]]\nstate = \"message-dropped\"\n[[reach]]\nstate = \"gap-told\"\n[[reach]]\nstate = \"host-restarted\"\n[[reach]]\nstate = \"slow-client-closed\"\n",
        &[
            "19:9: state \"failover\" cannot be reached: no fault hits a source or its link",
            "21:9: state \"client-shed\" cannot be reached: neither proxy.clients-max nor proxy.pending-max is set",
            "23:9: state \"message-dropped\" cannot be reached: it takes slow readers and proxy.slow-client = \"drop-oldest\"",
            "25:9: state \"gap-told\" cannot be reached: no group has strong clients",
            "27:9: state \"host-restarted\" cannot be reached: no \"kill\" or \"power-off\" has a \"for\" after which the host returns, and none is a \"restart\"",
            "29:9: state \"slow-client-closed\" cannot be reached: it takes slow readers and proxy.slow-client = \"disconnect\"",
        ],
    );
    check(
        "",
        "[[reach]]\nstate = \"delivered\"\n[[reach]]\nstate = \"delivered\"\n",
        &["21:9: state \"delivered\" is asked for twice"],
    );
}

#[test]
fn a_mark_is_one_that_stands_in_a_program() {
    check(
        "",
        "[[reach]]\nmark = \"panic rule usd\"\n[[reach]]\nmark = \"panic rule used\"\n[[reach]]\nmark = \"panic rule used\"\n[[reach]]\nat-least = 2\n[[reach]]\nstate = \"delivered\"\nmark = \"panic rule used\"\n",
        &[
            "19:8: no program has a mark \"panic rule usd\" (`windtunnel marks` lists them); did you mean \"panic rule used\"?",
            "23:8: mark \"panic rule used\" is asked for twice",
            "24:1: an entry of reach names neither a state nor a mark",
            "28:8: an entry of reach names a state or a mark, not both; write two entries",
        ],
    );
}

#[test]
fn an_engine_that_cannot_express_the_scenario_is_refused() {
    check(
        "\"10s\"",
        "\"10s\"\nengines = [\"turmoil\", \"turmoil\"]\nnetwork.loss = 0.1",
        &[
            "5:12: cannot express: turmoil has neither bandwidth nor loss that keeps a stream whole; take \"turmoil\" out of engines",
            "5:23: engine \"turmoil\" is named twice",
        ],
    );
}

#[test]
fn problems_of_every_kind_come_together_in_order() {
    check(
        "count = 2",
        "count = 2\ncolour = 1\n[[faults]]\nat = \"1s\"\nkind = \"kill\"\ntarget = \"soruce-1\"\n",
        &[
            "8:1: unknown key \"colour\"; known here: \"count\", \"mode\", \"symbols\", \"period\", \"rates\", \"key-limit\", \"denied\", \"padding\", \"fragments\"",
            "12:10: target \"soruce-1\" is not there: source-0, source-1, source-active, proxy-0, clients, all; did you mean \"source-1\"?",
        ],
    );
}

#[test]
fn an_objective_that_cannot_be_checked_is_refused() {
    check(
        "symbol-order = {}",
        "symbol-ordre = {}",
        &["17:1: unknown key \"symbol-ordre\"; did you mean \"symbol-order\"?"],
    );
    check(
        "symbol-order = {}",
        "delivery-latency = { quantile = 0.99, at-most = \"5ms\" }",
        &[
            "17:20: \"delivery-latency\" cannot be checked: CPU is free without service-time, so no queue ever forms; write service-time.proxy-per-segment = \"5us\"",
        ],
    );
    check(
        "symbol-order = {}",
        "delivery-latency = { quantile = 99, at-most = 5, from-phase = \"stead\" }",
        &[
            "17:33: check.delivery-latency.quantile must be a number, 0.001 to 1, not 99",
            "17:47: check.delivery-latency.at-most must be a duration, 1us to 1h, not 5; a duration has a unit: \"5ms\" or \"5s\"",
            "17:63: check.delivery-latency.from-phase must be \"warmup\", \"steady\" or \"recovery\", not \"stead\"; did you mean \"steady\"?",
        ],
    );
    check(
        "symbol-order = {}",
        "isolation = { quantile = 0.99, at-most = \"5ms\" }\n[service-time]\nproxy-per-segment = \"5us\"",
        &[
            "17:13: \"isolation\" cannot be checked: no group reads slowly; give a group reader = { stops-after = \"1s\" }",
        ],
    );
    check(
        "count = 10\n\n[check]\nsymbol-order = {}",
        "count = 10\nreader = { stops-after = \"1s\" }\n\n[check]\nisolation = { quantile = 0.99, at-most = \"5ms\" }\n[service-time]\nproxy-per-segment = \"5us\"",
        &["18:13: \"isolation\" cannot be checked: every group reads slowly; add a group with reader = \"full\""],
    );
    check(
        "symbol-order = {}",
        "failover-time = { at-most = \"1s\" }",
        &["17:17: \"failover-time\" cannot be checked: no fault hits a source or its link; add one under [[faults]]"],
    );
    check(
        "count = 2\n\n[proxy]\nmode = \"fanout\"\n\n[[clients]]\nname = \"all\"\ncount = 10\n\n[check]\nsymbol-order = {}",
        "count = 1\n\n[proxy]\nmode = \"fanout\"\n\n[[faults]]\nat = \"1s\"\nfor = \"1s\"\nkind = \"kill\"\ntarget = \"source-0\"\n\n[[clients]]\nname = \"all\"\ncount = 10\n\n[check]\nfailover-time = { at-most = \"1s\" }",
        &[
            "23:17: \"failover-time\" cannot be checked: there is no other source to move to; write sources.count = 2 or more",
        ],
    );
    check(
        "symbol-order = {}",
        "snapshot-then-live = {}",
        &["17:22: \"snapshot-then-live\" cannot be checked: no group has strong clients; give a group strong = 1.0"],
    );
    check(
        "symbol-order = {}",
        "resume-all-or-nothing = {}",
        &[
            "17:25: \"resume-all-or-nothing\" cannot be checked: no group resumes; give a group of strong clients resume = true",
        ],
    );
    check(
        "mode = \"fanout\"\n\n[[clients]]\nname = \"all\"\ncount = 10\n\n[check]\nsymbol-order = {}",
        "mode = \"relay\"\n\n[[clients]]\nname = \"all\"\ncount = 10\n\n[check]\nsubscription-dedup = {}",
        &[
            "17:22: \"subscription-dedup\" cannot be checked: a relay passes on what each client asks for; write proxy.mode = \"fanout\"",
        ],
    );
    check(
        "symbol-order = {}",
        "upstream-caps = { each-at-most = 5, waiting-at-most = 5, waits-at-most = \"1s\" }\nslow-start = { over = \"1s\" }\ngentle-rebalance = { per-s = 1, burst = 1, within = \"1s\", jain-min = 0.9 }",
        &[
            "17:17: \"upstream-caps\" cannot be checked: a fanout has one leg; write proxy.mode = \"relay\"",
            "18:14: \"slow-start\" cannot be checked: a fanout has one leg; write proxy.mode = \"relay\"",
            "19:20: \"gentle-rebalance\" cannot be checked: symbols are not shared out among the sources; write proxy.sources = \"sharded\"",
        ],
    );
    check(
        "mode = \"fanout\"\n\n[[clients]]\nname = \"all\"\ncount = 10\n\n[check]\nsymbol-order = {}",
        "mode = \"relay\"\nclients-per-upstream-max = 6\npending-timeout = \"1s\"\n\n[[clients]]\nname = \"all\"\ncount = 10\n\n[check]\nupstream-caps = { each-at-most = 5, waiting-at-most = 5, waits-at-most = \"1s\" }\nslow-start = { over = \"1s\" }",
        &[
            "19:34: upstream-caps.each-at-most is below the proxy's own cap, 6; did you mean 6?",
            "19:74: upstream-caps.waits-at-most is not above proxy.pending-timeout, 1s; some room for a dial",
            "20:14: \"slow-start\" cannot be checked: no source comes back; add a fault on a source with a \"for\"",
        ],
    );
    check(
        "symbol-order = {}",
        "recovery = { within = \"3s\" }",
        &["17:12: \"recovery\" cannot be checked: nothing goes wrong; add a fault under [[faults]]"],
    );
    check(
        "symbol-order = {}",
        "convergence = { within = \"5s\" }",
        &["17:15: \"convergence\" cannot be checked: the recovery of 3s ends before 5s; lengthen recovery"],
    );
    check(
        "symbol-order = {}",
        "even-spread = { jain-min = 0.9 }",
        &["17:15: \"even-spread\" cannot be checked: one fanout proxy has one leg; write proxy.mode = \"relay\""],
    );
    check(
        "symbol-order = {}",
        "admission = { open-at-most = 5 }",
        &["17:13: \"admission\" cannot be checked: proxy.clients-max is not set; set it below the number of clients"],
    );
    check(
        "mode = \"fanout\"\n\n[[clients]]\nname = \"all\"\ncount = 10\n\n[check]\nsymbol-order = {}",
        "mode = \"fanout\"\nclients-max = 10\n\n[[clients]]\nname = \"all\"\ncount = 10\n\n[check]\nadmission = { open-at-most = 5 }",
        &[
            "18:13: \"admission\" cannot be checked: 10 clients come and 10 are admitted, so none is turned away; more clients, or a lower proxy.clients-max",
            "18:30: admission.open-at-most is below what the proxies admit, 10; did you mean 10?",
        ],
    );
    check(
        "mode = \"fanout\"\n\n[[clients]]\nname = \"all\"\ncount = 10\n\n[check]\nsymbol-order = {}",
        "mode = \"fanout\"\nqueue-bytes = 4096\nslow-client = \"disconnect\"\n\n[[clients]]\nname = \"all\"\ncount = 10\nreader = { bytes-per-s = 10 }\n\n[check]\nclient-memory = { queue-bytes-max = 4095 }\nno-client-close = {}",
        &[
            "20:37: client-memory.queue-bytes-max is below what the proxy may queue, 4096; did you mean 4096?",
            "21:19: \"no-client-close\" forbids what proxy.slow-client = \"disconnect\" does to the slow readers; write allow-slow = true",
        ],
    );
    check(
        "count = 2\n\n[proxy]\nmode = \"fanout\"\n\n[[clients]]\nname = \"all\"\ncount = 10\n",
        "count = 2\nmode = \"echo\"\n\n[proxy]\nmode = \"relay\"\n\n[[clients]]\nname = \"all\"\ncount = 10\nopen = { requests-per-s = 1 }\n",
        &[
            "19:16: \"symbol-order\" cannot be checked: echo sources send no ticks; take it out or write sources.mode = \"v1\"",
        ],
    );
}

#[test]
fn a_load_is_open_or_closed() {
    let all = |lines: &str| format!("count = 10\n{lines}");
    for good in [
        "open = {}",
        "open = { arrival = { waves = { each = 4, every = \"2s\" } }, stay = \"3s\" }",
        "closed = { session = \"3s\" }",
        "subscriptions = { zipf = { each = 2, exponent = 1.1 } }",
        "subscriptions = { zipf = { each = 2 } }",
        "subscriptions = { symbols = [\"S0001\", \"S0003\"] }",
        "subscriptions = \"all\"",
    ] {
        check("count = 10", &all(good), &[]);
    }
    for (lines, expect) in [
        (
            "open = {}\nclosed = { session = \"1s\" }",
            "16:1: clients[0] has both \"open\" and \"closed\"; leave one of them out",
        ),
        (
            "closed = { session = \"1s\" }\nopen = {}",
            "16:1: clients[0] has both \"closed\" and \"open\"; leave one of them out",
        ),
        (
            "closed = { session = \"1s\", requests-per-s = 5 }",
            "15:28: unknown key \"requests-per-s\"; who waits for answers has no rate: write think = \"..\" for the pause, or open = { requests-per-s = .. }",
        ),
        (
            "open = { think = \"1s\" }",
            "15:10: unknown key \"think\"; who thinks waits for an answer: write closed = { think = .. }",
        ),
        (
            "closed = {}",
            "15:10: group \"all\" is closed, and nobody in it waits for an answer or leaves; give it think or session, or write open = {}",
        ),
        (
            "closed = { think = \"1s\" }",
            "15:20: group \"all\" sends requests, and the sources do not answer; write sources.mode = \"echo\"",
        ),
        (
            "closed = { session = \"1s\" }\nreconnect = false",
            "16:13: group \"all\" is held, and who is lost never comes again; leave reconnect out, or write open = {}",
        ),
        (
            "closed = { session = \"1s\", ramp = \"13s\" }",
            "15:35: group \"all\" is still arriving, until 13s of the run, when the steady phase ends at 12s",
        ),
        (
            "open = { arrival = { waves = { each = 1, every = \"2s\" } } }",
            "15:20: group \"all\" is still arriving, until 18s of the run, when the steady phase ends at 12s",
        ),
        (
            "open = { arrival = \"burst\" }",
            "15:20: clients[0].open.arrival must be \"at-once\", { ramp = .. }, { poisson = .. } or { waves = .. }, not \"burst\"; write \"at-once\"",
        ),
        ("arrival = { ramp = \"1s\" }", "15:1: unknown key \"arrival\"; write open = { arrival = .. }"),
        ("stay = \"1s\"", "15:1: unknown key \"stay\"; write open = { stay = .. }"),
        ("session = \"1s\"", "15:1: unknown key \"session\"; write open = { session = .. }"),
        ("requests-per-s = 1", "15:1: unknown key \"requests-per-s\"; write open = { requests-per-s = .. }"),
        ("symbols-each = 1", "15:1: unknown key \"symbols-each\"; write subscriptions = { uniform = .. }"),
        ("subscriptions = { zipf = { each = 5 } }", "15:35: group \"all\" draws 5 symbols each, and the source has 4"),
        (
            "subscriptions = { symbols = [\"S0001\", \"S0004\"] }",
            "15:39: the sources have no symbol \"S0004\"; they have S0000 to S0003",
        ),
        ("subscriptions = { symbols = [\"S0001\", \"S0001\"] }", "15:39: symbol \"S0001\" is named twice"),
        ("subscriptions = { symbols = [] }", "15:29: group \"all\" wants no symbol; leave it out for all of them"),
        (
            "subscriptions = 3",
            "15:17: clients[0].subscriptions must be \"all\", { uniform = .. }, { zipf = .. } or { symbols = .. }, not 3",
        ),
    ] {
        check("count = 10", &all(lines), &[expect]);
    }
}

#[test]
fn a_link_joins_hosts_that_speak_with_each_other() {
    let link = |lines: &str| format!("\n[[network.links]]\n{lines}\n");
    for good in [
        "between = [\"all\", \"proxy-0\"]\nlatency = { fixed = \"50ms\" }",
        "between = [\"source-*\", \"proxy-*\"]\nbandwidth = 1_000_000",
        "between = [\"proxy-0\", \"clients\"]\nloss = 0.01",
    ] {
        check("", &link(good), &[]);
    }
    for (lines, expect) in [
        (
            "between = [\"al\", \"proxy-0\"]\nloss = 0.1",
            "20:12: \"al\" is not there: source-0, source-1, source-active, proxy-0, clients, all; did you mean \"all\"?",
        ),
        (
            "between = [\"all\", \"source-0\"]\nloss = 0.1",
            "20:11: nothing travels between \"all\" and \"source-0\"; a link joins a proxy and a source, or clients and a proxy (or an edge)",
        ),
        (
            "between = [\"source-active\", \"proxy-0\"]\nloss = 0.1",
            "20:12: which source is active changes, and a link does not; name it, or all of them: \"source-*\"",
        ),
        (
            "between = [\"all\", \"proxy-0\"]",
            "19:1: the link changes nothing; write latency = { fixed = \"50ms\" }, bandwidth or loss",
        ),
        (
            "between = [\"all\", \"proxy-0\"]\nloss = 1.0",
            "21:8: network.links[0].loss of 1 never delivers anything; for an outage, use a fault of kind \"stall\"",
        ),
        (
            "between = [\"all\", \"proxy-0\"]\nlatency = { uniform = [\"2ms\", \"1ms\"] }",
            "21:23: network.links[0].latency.uniform begins at 2ms and ends before it, at 1ms; did you mean [\"1ms\", \"2ms\"]?",
        ),
        (
            "between = [\"all\"]\nloss = 0.1",
            "20:11: network.links[0].between must be a list of two, each text, not a list of 1",
        ),
        ("between = [\"all\", \"proxy-0\"]\nlos = 0.1", "21:1: unknown key \"los\"; did you mean \"loss\"?"),
    ] {
        let problems = match super::parse("catalogue/x.toml", &super::spoiled("", &link(lines))) {
            Ok(_) => Vec::new(),
            Err(problems) => problems.iter().map(ToString::to_string).collect(),
        };
        assert!(problems.contains(&format!("catalogue/x.toml:{expect}")), "{lines}: {problems:?}");
    }
    let turmoil =
        format!("engines = [\"turmoil\"]\n{}", super::GOOD) + &link("between = [\"all\", \"proxy-0\"]\nloss = 0.1");
    let problems = super::parse("x.toml", &turmoil).unwrap_err();
    assert_eq!(
        problems[0].to_string(),
        "x.toml:1:12: cannot express: turmoil has neither bandwidth nor loss that keeps a stream whole; take \"turmoil\" out of engines"
    );
}

#[test]
fn two_tiers_are_fan_outs_of_one_feed() {
    let edge = |lines: &str| format!("mode = \"fanout\"\ncount = 2\n\n[edge]\n{lines}");
    check("mode = \"fanout\"", &edge("mode = \"fanout\"\ncount = 3"), &[]);
    for (lines, expect) in [
        ("mode = \"relay\"", "14:8: edge.mode \"relay\": with two tiers both are fan-outs; write mode = \"fanout\""),
        (
            "mode = \"fanout\"\nstale-after = \"50ms\"",
            "15:15: edge.stale-after of 50ms gives healthy sources up: they tick every 100ms; some periods longer, at least",
        ),
        (
            "mode = \"fanout\"\nshards = 2",
            "15:10: edge.shards differs from proxy.shards: all hosts of a run have as many",
        ),
        ("count = 2", "13:1: edge lacks the key \"mode\"; it must be \"fanout\" or \"relay\""),
        ("mode = \"fanout\"\nqueue-byte = 1", "15:1: unknown key \"queue-byte\"; did you mean \"queue-bytes\"?"),
    ] {
        check("mode = \"fanout\"", &edge(lines), &[expect]);
    }
    let with = |rest: &str| {
        let text = super::spoiled("mode = \"fanout\"", &edge("mode = \"fanout\"")) + rest;
        let problems = super::parse("x.toml", &text).err().unwrap_or_default();
        problems.iter().map(|problem| problem.message.clone()).collect::<Vec<_>>().join("; ")
    };
    let fault = |target: &str| {
        with(&format!("\n[[faults]]\nkind = \"stall\"\nat = \"1s\"\nfor = \"1s\"\ntarget = \"{target}\"\n"))
    };
    for good in ["edge-0", "edge-0/proxy-1", "all/edge-0", "proxy-0/source-0"] {
        assert_eq!(fault(good), "", "{good}");
    }
    assert_eq!(fault("all/proxy-0"), "nothing travels on the link \"all/proxy-0\"");
    assert!(
        fault("edge-1").starts_with(
            "target \"edge-1\" is not there: source-0, source-1, source-active, proxy-0, proxy-1, edge-0,"
        )
    );
    for name in ["metrics-truth", "subscription-dedup", "subscription-answers"] {
        let found = with(&format!("{name} = {{}}\n"));
        assert!(found.contains(&format!("\"{name}\" cannot be checked: ")), "{found}");
    }
}

/// Ten clients, four symbols, ten ticks a second of each: 400 messages a second, for 13 s from the steady phase on.
#[test]
fn what_is_asked_of_the_load_it_must_be_able_to_give() {
    let check_with =
        |objective: &str| format!("symbol-order = {{}}\n{objective}\n[service-time]\nproxy-per-segment = \"5us\"");
    let latency = |rest: &str| check_with(&format!("delivery-latency = {{ at-most = \"20ms\", {rest} }}"));
    for good in [
        "quantile = 0.99",
        "quantile = 0.998, samples-min = 5_000",
        "quantile = 1.0",
        "quantile = 0.5, from-phase = \"recovery\"",
    ] {
        check("symbol-order = {}", &latency(good), &[]);
    }
    check(
        "symbol-order = {}",
        &latency("quantile = 0.999"),
        &[
            "18:51: the quantile 0.999 takes 10000 samples, and the load gives about 5200; more clients or symbols, a longer steady, or a lower quantile",
        ],
    );
    check(
        "symbol-order = {}",
        &latency("quantile = 0.999, from-phase = \"recovery\""),
        &[
            "18:51: the quantile 0.999 takes 10000 samples, and the load gives about 1200; more clients or symbols, a longer steady, or a lower quantile",
        ],
    );
    check(
        "symbol-order = {}",
        &latency("quantile = 0.9, samples-min = 6_000"),
        &["18:70: delivery-latency.samples-min is 6000, and the load gives about 5200; 4680 and some room below it"],
    );
    check(
        "symbol-order = {}",
        "symbol-order = { checked-min = 20_000 }\n[[reach]]\nstate = \"delivered\"\nat-least = 20_000",
        &[
            "17:32: symbol-order.checked-min is 20000, and the load gives about 6000 messages; a floor below that",
            "20:12: state \"delivered\" cannot be reached 20000 times: the load gives about 6000 messages",
        ],
    );
}

#[test]
fn only_v2_denies_and_only_what_is_there() {
    check(
        "count = 2\n",
        "count = 2\ndenied = [{ symbol = \"S0009\", by = \"source-7\" }]\n",
        &[
            "8:10: sources.denied: only a source that speaks v2 can deny a subscription; write sources.mode = \"v2\"",
            "8:22: the sources have no symbol \"S0009\"; they have S0000 to S0003",
            "8:36: there is no source \"source-7\"; did you mean \"source-0\"?",
        ],
    );
    check("count = 2\n", "count = 2\nmode = \"v2\"\ndenied = [{ symbol = \"S0003\", by = \"source-1\" }]\n", &[]);
    check(
        "symbol-order = {}\n",
        "subscription-answers = {}\n",
        &[
            "17:24: \"subscription-answers\" cannot be checked: only v2 answers subscriptions; write sources.mode = \"v2\"",
        ],
    );
}

#[test]
fn messages_have_sizes_that_can_be_and_that_the_proxy_takes() {
    let sources = |lines: &str, expect: &[&str]| check("count = 2\n", &format!("count = 2\n{lines}\n"), expect);
    sources("padding = { bytes = 65_536, bytes-min = 10, symbols = [\"S0003\"] }\nfragments = { bytes = 4_096 }", &[]);
    sources(
        "padding = { bytes = 9, bytes-min = 10, symbols = [\"S0009\"] }",
        &[
            "8:36: sources.padding.bytes-min of 10 is above bytes, 9; at most 9",
            "8:51: the sources have no symbol \"S0009\"; they have S0000 to S0003",
        ],
    );
    sources(
        "padding = { bytes = 262_000 }",
        &[
            "8:21: ticks of up to 262256 bytes: each ends its leg, as proxy takes 262144 of a source; write proxy.guard.source-message-bytes = 262256 or more",
        ],
    );
    sources(
        "fragments = { bytes = 256, pings = true }",
        &[
            "8:23: sources.fragments.bytes of 256: no tick is larger than 256; a part of a message, or make it larger with sources.padding",
        ],
    );
    sources(
        "mode = \"echo\"\npadding = { bytes = 5 }",
        &[
            "8:8: sources.mode \"echo\" needs proxy.mode \"relay\": an answer belongs to the client that asked; write proxy.mode = \"relay\" or sources.mode = \"v1\"",
            "8:8: sources.mode \"echo\" speaks only when spoken to, and no group sends requests; give a group open = { requests-per-s = 5 } or closed = { think = \"200ms\" }",
            "9:11: sources.padding: an echo has no ticks to fill; write sources.mode = \"v1\"",
            "19:16: \"symbol-order\" cannot be checked: echo sources send no ticks; take it out or write sources.mode = \"v1\"",
        ],
    );
}

#[test]
fn a_message_that_is_too_large_is_larger_than_the_proxy_takes_and_a_request_is_not() {
    let oversized = |lines: &str, expect: &[&str]| {
        check("", &format!("[[faults]]\nat = \"1s\"\ntarget = \"source-0\"\nkind = \"oversized\"\n{lines}"), expect);
    };
    oversized("", &[]);
    oversized("bytes = 262_145\n", &[]);
    oversized(
        "bytes = 9\n",
        &["22:9: 9 bytes are not too many: the proxy takes 262144 of a source; leave it out for a byte more than that"],
    );
    oversized("bytes = 20_000_000\n", &["22:9: 20000000 bytes: a source's message has at most 16777216"]);
    check(
        "count = 10\n",
        "count = 10\nrequest-bytes = 30\n",
        &[
            "15:17: group \"all\" sends no requests that could have a size; give it open = { requests-per-s = 5 } or closed = { think = \"200ms\" }",
        ],
    );
    check(
        "count = 10\n",
        "count = 10\nopen = { requests-per-s = 1 }\nrequest-bytes = 300_000\n",
        &[
            "15:27: group \"all\" sends requests, and the sources do not answer; write sources.mode = \"echo\"",
            "16:17: requests of 300000 bytes: the proxy takes 16384 of a client and 262144 of a source; write proxy.guard.message-bytes and source-message-bytes",
        ],
    );
}

#[test]
fn a_proxy_leaves_and_changes_in_ways_that_can_be_kept() {
    let fault = |lines: &str, expect: &[&str]| check("", &format!("[[faults]]\nat = \"1s\"\n{lines}"), expect);
    fault("kind = \"drain\"\ntarget = \"proxy-0\"\n", &[]);
    fault("kind = \"reload\"\ntarget = \"proxy-*\"\nset = { clients-max = 50, slow-client = \"conflate\" }\n", &[]);
    fault("kind = \"reload\"\ntarget = \"proxy-0\"\n", &["20:8: \"reload\" lacks its \"set\""]);
    fault(
        "kind = \"reload\"\ntarget = \"proxy-0\"\nset = {}\n",
        &["22:7: the reload changes nothing; write set = { clients-max = 50 }"],
    );
    fault(
        "kind = \"drain\"\ntarget = \"source-0\"\n",
        &[
            "21:10: \"drain\" is what an operator does to a proxy, not to \"source-0\"; name a proxy: \"proxy-0\", or all of them: \"proxy-*\"",
        ],
    );
    fault(
        "kind = \"drain\"\ntarget = \"proxy-0\"\nfor = \"5s\"\n",
        &[
            "22:7: the program starts again after 5s, before its drain is over; a longer for, or shorter times in proxy.drain",
        ],
    );
    let judged = |lasts: &str, expect: &[&str]| {
        let drain = "drain = { settle = \"500ms\" }\n[proxy.drain]\ntime = \"2s\"\n";
        let fault = "[[faults]]\nat = \"1s\"\nkind = \"drain\"\ntarget = \"proxy-0\"\n";
        check("symbol-order = {}\n", &format!("{drain}{fault}for = \"{lasts}\"\n"), expect);
    };
    judged("2600ms", &[]);
    judged(
        "2500ms",
        &[
            "24:7: the program starts again after 2500ms, and who is left after its drain is judged at 2500ms, check.drain.settle after the last slot; a longer for, or a shorter settle",
        ],
    );
    fault(
        "kind = \"freeze\"\ntarget = \"proxy-0\"\nfor = \"1s\"\nstagger = \"1s\"\n",
        &[
            "23:11: \"proxy-0\" is one target, with none to come after it; name several, as \"proxy-*\", or leave it out",
        ],
    );
    fault(
        "kind = \"freeze\"\ntarget = \"source-*\"\nfor = \"1s\"\nstagger = \"1min\"\n",
        &[
            "23:11: the last of 2 targets is hit to 62s, after the steady phase of 10s; a shorter stagger, or a longer steady",
        ],
    );
}

#[test]
fn clients_misbehave_in_ways_that_can_be_seen() {
    let group = |behaviour: &str, expect: &[&str]| {
        check("", &format!("[[clients]]\nname = \"bad\"\ncount = 2\nbehaviour = {{ {behaviour} }}\n"), expect);
    };
    for good in [
        "pings-every = \"1s\", pongs = false",
        "offends = \"bad-utf8\", offends-after = \"2s\"",
        "handshake = { slow = \"50ms\" }",
        "handshake = { unfinished = 20 }",
        "resubscribe-every = \"1s\", asks-per-s = 2.5",
    ] {
        group(good, &[]);
    }
    group(
        "offends-after = \"2s\"",
        &["21:31: group \"bad\" does not say how it offends; write offends = \"bad-utf8\""],
    );
    group(
        "origin = \"https://a.example\"",
        &[
            "21:24: group \"bad\" has an origin, and the proxy takes any; write proxy.guard.origins = [\"https://desk.example\"]",
        ],
    );
    group(
        "user-key = \"k\"",
        &["21:26: group \"bad\" has a key, and the proxy takes any; write proxy.guard.keys = [\"desk\"]"],
    );
    group(
        "offends = \"rudeness\"",
        &[
            "21:25: clients[1].behaviour.offends must be \"reserved-bits\", \"bad-opcode\", \"unmasked\", \"fragmented-control\", \"long-control\", \"bad-utf8\", \"too-big\", \"wrong-continuation\", \"unfinished-message\", \"half-close-code\", \"reserved-close-code\" or \"nonsense\", not \"rudeness\"",
        ],
    );
    check(
        "mode = \"fanout\"",
        "mode = \"relay\"\nguard = { keys = [\"a\"], requests-per-s = 5 }",
        &[
            "11:18: proxy.guard.keys says nothing to a relay, which passes on what clients say; write proxy.mode = \"fanout\"",
            "11:42: proxy.guard.requests-per-s says nothing to a relay, which passes on what clients say; write proxy.mode = \"fanout\"",
        ],
    );
    check(
        "symbol-order = {}",
        "quota = {}\nstrictness = { within = \"1s\" }\nping-pong = { within = \"1s\" }",
        &[
            "17:9: \"quota\" cannot be checked: no group asks again; give a group behaviour = { asks-per-s = 50.0 }",
            "18:14: \"strictness\" cannot be checked: every group keeps to the rules; give a group behaviour = { offends = \"bad-utf8\" }",
            "19:13: \"ping-pong\" cannot be checked: no group pings, and each answers; give a group behaviour = { pings-every = \"1s\" } or { pongs = false }",
        ],
    );
}

#[test]
fn rates_of_symbols() {
    for good in [
        "rates = { own = [{ symbols = [\"S0000\", \"S0002\"], period = \"5ms\" }] }",
        "rates = { zipf = { per-s = 1000 } }",
        "rates = { zipf = { per-s = 40, exponent = 0.0 } }",
    ] {
        check("count = 2", &format!("count = 2\n{good}"), &[]);
    }
    check(
        "count = 2",
        "count = 2\nrates = { own = [{ symbols = [\"S0004\", \"S0001\"], period = \"5ms\" }, { symbols = [\"S0001\"], period = \"1s\" }, { symbols = [], period = \"1us\" }] }",
        &[
            "8:31: the sources have no symbol \"S0004\"; they have S0000 to S0003",
            "8:81: symbol \"S0001\" has two periods",
            "8:120: sources.rates.own[2] names no symbol",
            "8:133: sources.rates.own[2].period must be a duration, 1ms to 1h, not \"1us\"",
        ],
    );
    check("count = 2", "count = 2\nrates = { own = [] }", &["8:9: sources.rates.own names no symbol; leave rates out"]);
    check(
        "count = 2",
        "count = 2\nrates = { zipf = { per-s = 5000 } }",
        &[
            "8:28: the first symbol would tick every 417us, more than 1000 times a second; a lower per-s or exponent, or more symbols",
        ],
    );
    check(
        "count = 2",
        "count = 2\nrates = { zipf = { per-s = 0.001, exponent = 0.0 } }",
        &["8:28: the last symbol would tick every 4000s, less than once an hour; a higher per-s, or a lower exponent"],
    );
    let relay = |stale: &str| {
        let own = "rates = { own = [{ symbols = [\"S0003\"], period = \"2s\" }] }";
        format!("count = 2\n{own}\n\n[proxy]\nmode = \"relay\"\nstale-after = \"{stale}\"\n")
    };
    let fanout = "count = 2\n\n[proxy]\nmode = \"fanout\"\n";
    check(fanout, &relay("3s"), &[]);
    check(
        fanout,
        &relay("1s"),
        &["12:15: proxy.stale-after of 1s gives healthy sources up: they tick every 2s; some periods longer, at least"],
    );
}

#[test]
fn symbols_that_are_compared_have_samples() {
    let with = |line: &str| {
        format!("symbol-order = {{}}\n[check.symbol-fairness]\n{line}\n[service-time]\nproxy-per-segment = \"5us\"")
    };
    check("symbol-order = {}", &with("samples-min = 1300"), &[]);
    check(
        "symbol-order = {}",
        &with("samples-min = 1301"),
        &[
            "19:15: symbol-fairness.samples-min is 1301, and the load gives 0 symbols as many: about 1300 of the most wanted one; fewer samples, more clients, or a longer steady",
        ],
    );
    check(
        "symbol-order = {}",
        &with("checked-min = 5"),
        &[
            "19:15: symbol-fairness.checked-min is 5, and the load gives 4 symbols 100 samples; a lower floor, or a lower samples-min",
        ],
    );
}
