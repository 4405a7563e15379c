use reports::record::Outcome::{Fail, Inconclusive, Pass};
use wire::event::{Event, Why};
use wire::id::SourceId;

use super::super::testing::{Tape, check, client_addr, leg_addr};

/// Two clients with a symbol, a leg that sends it, and a drain of four seconds that begins two seconds later.
fn tape() -> Tape {
    let tape = Tape::new("drain = {}").leg(0, 0).open(0, 0).open(1, 0);
    let tape = tape.send(0, 0, 0, 1).deliver(0, 0, 1).deliver(1, 0, 1).after(2_000_000);
    tape.fault(0, "drain", "proxy-0")
}

#[test]
fn one_after_the_other_with_the_code_passes() {
    check(tape().after(1_000).close_by_peer(0, Some(1012)).after(2_000_000).close_by_peer(1, Some(1012)), Pass, 2);
    check(tape().after(1_000).close_own(0), Inconclusive, 0);
}

#[test]
fn another_code_and_none_fail() {
    for code in [Some(1001), Some(1000), None] {
        check(tape().after(1_000).close_by_peer(0, code), Fail, 1);
    }
}

#[test]
fn before_the_first_slot_and_after_the_last_fail() {
    let late = |facts: &mut super::super::Facts| facts.drain.grace_us = 500_000;
    check(tape().facts(late).after(400_000).close_by_peer(0, Some(1012)), Fail, 1);
    check(tape().facts(late).after(600_000).close_by_peer(0, Some(1012)), Pass, 1);
    check(tape().after(4_050_000).close_by_peer(0, Some(1012)), Pass, 1);
    check(tape().after(4_200_000).close_by_peer(0, Some(1012)), Fail, 1);
}

#[test]
fn who_is_let_in_after_the_doors_are_shut_is_a_violation() {
    let tell = |facts: &mut super::super::Facts| facts.drain.tell_us = 500_000;
    check(tape().facts(tell).after(400_000).open(2, 0).after(300_000).close_by_peer(2, Some(1012)), Pass, 1);
    check(tape().facts(tell).after(700_000).open(2, 0).close_by_peer(2, Some(1012)), Fail, 1);
    // The next life lets in whom it likes.
    check(tape().after(1_000).close_by_peer(0, Some(1012)).heal(0).open(0, 1), Pass, 1);
}

#[test]
fn too_many_in_one_window_fail() {
    let mut crowd = Tape::new("drain = {}");
    for client in 0..9 {
        crowd = crowd.open(client, 0);
    }
    crowd = crowd.after(1_000_000).fault(0, "drain", "proxy-0").after(1_000);
    let mut spread = crowd.clone();
    for client in 0..9 {
        (crowd, spread) = (crowd.close_by_peer(client, Some(1012)), spread.close_by_peer(client, Some(1012)));
        spread = spread.after(440_000);
    }
    check(spread, Pass, 9);
    check(crowd, Fail, 9);
    // A source that closes the sessions of a relay closes them at once.
    let told = |code: u16, hurt: bool| {
        let mut tape = Tape::new("drain = {}");
        for client in 0..9 {
            tape = tape.open(client, 0);
        }
        tape = tape.after(1_000_000).fault(0, "drain", "proxy-0").after(1_000);
        tape = if hurt { tape.fault(1, "close-all", "source-0").heal(1) } else { tape };
        (0..9).fold(tape, |tape, client| tape.close_by_peer(client, Some(code)))
    };
    check(told(1000, true), Pass, 9);
    check(told(1000, false), Fail, 9);
    check(told(1012, true), Fail, 9);
}

#[test]
fn what_was_sent_before_the_close_is_delivered_or_told() {
    let sent = tape().send(0, 0, 0, 2).after(200_000);
    check(sent.clone().close_by_peer(0, Some(1012)), Fail, 1);
    check(sent.clone().deliver(0, 0, 2).close_by_peer(0, Some(1012)), Pass, 1);
    check(sent.clone().gap(0, 0, 1, 2, Some(2)).close_by_peer(0, Some(1012)), Pass, 1);
    // What was sent a moment ago is on its way.
    check(tape().send(0, 0, 0, 2).after(50_000).close_by_peer(0, Some(1012)), Pass, 1);
    // While something else goes wrong, nothing is said of ticks.
    check(sent.fault(1, "stall", "source-0").close_by_peer(0, Some(1012)), Pass, 1);
}

#[test]
fn a_slow_reader_is_owed_what_was_sent_before_the_first_slot() {
    let slow = Tape::new("drain = {}").leg(0, 0).open(9, 0).send(0, 0, 0, 1).deliver(9, 0, 1).after(2_000_000);
    let sent_before = slow.clone().send(0, 0, 0, 2).fault(0, "drain", "proxy-0").after(3_000_000);
    check(sent_before.clone().close_by_peer(9, Some(1012)), Fail, 1);
    check(sent_before.deliver(9, 0, 2).close_by_peer(9, Some(1012)), Pass, 1);
    let sent_after = slow.fault(0, "drain", "proxy-0").after(1_000).send(0, 0, 0, 2).after(3_000_000);
    check(sent_after.clone().close_by_peer(9, Some(1012)), Pass, 1);
    check(sent_after.after(3_000_000).close_by_peer(9, None), Pass, 1);
}

#[test]
fn who_is_there_after_the_deadline_is_a_violation() {
    let gone = tape().after(1_000).close_by_peer(0, Some(1012));
    check(gone.clone().after(5_000_000).send(0, 0, 0, 2), Pass, 1);
    check(gone.clone().after(6_200_000).send(0, 0, 0, 2), Fail, 1);
    check(gone.after(1_000).close_by_peer(1, Some(1012)).after(6_200_000).send(0, 0, 0, 2), Pass, 2);
}

#[test]
fn who_is_there_when_the_program_starts_again_after_the_last_slot_is_a_violation() {
    let gone = |tape: Tape| tape.after(1_000).close_by_peer(0, Some(1012));
    // Four seconds and settle: a second before the deadline.
    let found = check(gone(tape()).after(5_000_000).heal(0), Fail, 1);
    assert!(found.violations[0].message.contains("starts again after the drain of proxy-0"), "{found:#?}");
    check(gone(tape()).after(1_000).close_by_peer(1, Some(1012)).after(5_000_000).heal(0), Pass, 2);
    // It is said once; before the last slot a client may be there, and while something else goes wrong.
    check(gone(tape()).after(6_200_000).send(0, 0, 0, 2).heal(0), Fail, 1);
    check(gone(tape()).after(3_900_000).heal(0), Pass, 1);
    check(gone(tape()).after(4_500_000).fault(1, "stall", "source-0").heal(0), Pass, 1);
    let slow = Tape::new("drain = {}").open(0, 0).open(9, 0).after(2_000_000).fault(0, "drain", "proxy-0");
    check(gone(slow).after(5_000_000).heal(0), Pass, 1);
}

#[test]
fn what_another_session_had_and_what_was_given_back_is_not_owed() {
    let tape = || {
        let tape = Tape::new("drain = {}").leg(0, 0).open(0, 0).subscribe(0, 0);
        tape.send(0, 0, 0, 1).deliver(0, 0, 1).after(2_000_000)
    };
    let drained = |tape: Tape| tape.fault(0, "drain", "proxy-0").send(0, 0, 0, 2).after(200_000);
    check(drained(tape()).close_by_peer(0, Some(1012)), Fail, 1);
    // The next session has asked for nothing yet.
    let next = tape().close_own(0).session(1).open(0, 1);
    check(drained(next).close_by_peer(0, Some(1012)), Pass, 1);
    // What was on its way when it was given back changes nothing.
    let back = tape().unsubscribe(0, 0).send(0, 0, 0, 2).deliver(0, 0, 2).after(2_000_000);
    let back = back.fault(0, "drain", "proxy-0").send(0, 0, 0, 3).after(200_000);
    check(back.close_by_peer(0, Some(1012)), Pass, 1);
    // Taken up again, it is owed again.
    let again = tape().unsubscribe(0, 0).subscribe(0, 0).send(0, 0, 0, 2).deliver(0, 0, 2).after(2_000_000);
    let again = again.fault(0, "drain", "proxy-0").send(0, 0, 0, 3).after(200_000);
    check(again.close_by_peer(0, Some(1012)), Fail, 1);
}

#[test]
fn a_reload_ends_no_other_fault() {
    let both = tape().facts(|facts| facts.reloads = vec![(7, None)]).fault(1, "stall", "source-0");
    let both = both.fault(7, "reload", "proxy-0").heal(7).after(1_500_000).send(0, 0, 0, 2).after(200_000);
    check(both.clone().close_by_peer(0, Some(1012)), Pass, 1);
    check(both.heal(1).after(1_500_000).close_by_peer(0, Some(1012)), Fail, 1);
}

#[test]
fn ticks_are_remembered_for_as_long_as_they_take_to_settle() {
    let mut tape = Tape::new(r#"drain = { settle = "1s" }"#).leg(0, 0).open(0, 0);
    tape = tape.send(0, 0, 0, 1).deliver(0, 0, 1).after(3_000_000).fault(0, "drain", "proxy-0");
    for n in 2..400 {
        tape = tape.send(0, 0, 0, n).after(5_000);
    }
    check(tape.close_by_peer(0, Some(1012)), Fail, 1);
}

#[test]
fn a_drain_ends_with_its_process() {
    for kind in ["kill", "power-off", "restart"] {
        let died =
            tape().after(100_000).fault(1, kind, "proxy-0").close_by_peer(0, None).close_by_peer(1, None).heal(1);
        let next = died.after(900_000).session(1).open(0, 1).after(6_000_000).send(0, 0, 0, 2);
        check(next.clone(), Inconclusive, 0);
        check(next.heal(0).close_by_peer(0, None), Inconclusive, 0);
    }
    // Nor is one told that does not run.
    let dead = Tape::new("drain = {}").fault(1, "kill", "proxy-0").fault(0, "drain", "proxy-0").heal(1);
    check(dead.after(900_000).open(0, 0).after(6_000_000).send(0, 0, 0, 2), Inconclusive, 0);
    // What dies elsewhere ends no drain.
    for target in ["proxy-1", "source-0"] {
        let two = tape().facts(|facts| facts.proxies = 2).fault(1, "kill", target).heal(1);
        check(two.after(6_200_000).send(0, 0, 0, 2), Fail, 0);
    }
}

/// [`tape`] with its two clients on hosts of their own.
fn hosted() -> Tape {
    tape().facts(|facts| facts.client_hosts = vec![("c-0".to_owned(), 0..1), ("c-1".to_owned(), 1..2)])
}

#[test]
fn who_is_cut_off_does_not_see_that_it_was_sent_away() {
    let gone = |tape: Tape| tape.after(1_000).close_by_peer(1, Some(1012));
    let stalled = |target: &str| gone(hosted()).fault(1, "stall", target);
    let late = |tape: Tape| tape.after(6_200_000).send(0, 0, 0, 2);
    check(late(stalled("c-0/proxy-0").closed_by_proxy(0)), Pass, 1);
    check(late(stalled("c-0/proxy-0").closed_by_proxy(0).heal(1)), Pass, 1);
    // The proxy must have done it, another's link is no excuse, nor what hit it before it came; and in fair weather its word is not taken.
    check(late(stalled("c-0/proxy-0")), Fail, 1);
    check(late(stalled("c-1/proxy-0").closed_by_proxy(0)), Fail, 1);
    check(late(gone(hosted()).closed_by_proxy(0)), Fail, 1);
    let before = Tape::new("drain = {}").facts(|facts| facts.client_hosts = vec![("c-0".to_owned(), 0..1)]);
    let before = before.fault(1, "stall", "c-0/proxy-0").heal(1).open(0, 0).fault(0, "drain", "proxy-0");
    check(late(before.closed_by_proxy(0)), Fail, 0);
}

#[test]
fn a_proxy_that_is_hit_itself_is_not_held_to_its_deadline() {
    let hit = |kind: &str| tape().after(1_000).fault(1, kind, "proxy-0").after(2_000_000).heal(1).after(4_200_000);
    check(hit("freeze").send(0, 0, 0, 2), Inconclusive, 0);
    check(hit("reload").send(0, 0, 0, 2), Fail, 0);
}

#[test]
fn who_was_admitted_in_time_may_learn_of_it_late_where_its_link_was_hit() {
    let (local, id) = (super::super::testing::client_addr(2, 0), wire::id::ClientId(2));
    let admit = |tape: Tape| tape.push(wire::event::Event::ProxyAdmit { proxy: wire::id::ProxyId(0), peer: local });
    let open = |tape: Tape| {
        let session = wire::id::SessionId(0);
        tape.push(wire::event::Event::ClientOpen { client: id, session, target: 0, local, strong: false })
    };
    let hosted = || tape().facts(|facts| facts.client_hosts = vec![("c-2".to_owned(), 2..3)]);
    let stalled = |tape: Tape| tape.fault(1, "stall", "c-2/proxy-0");
    check(open(stalled(admit(hosted())).after(700_000)).close_by_peer(2, Some(1012)), Pass, 1);
    check(open(admit(stalled(hosted()).after(700_000))).close_by_peer(2, Some(1012)), Fail, 1);
    check(open(admit(hosted()).after(700_000)).close_by_peer(2, Some(1012)), Fail, 1);
}

#[test]
fn whom_no_source_takes_is_not_sent_away_by_the_drain() {
    // Seed 9476 of `explore`: a relay with three clients, whose source takes two of its key.
    let relay = || tape().leg_of(0, 0, 1, Some(client_addr(1, 0))).leg_of(0, 0, 2, Some(client_addr(0, 0)));
    let refuse = |tape: Tape, leg| {
        let (source, peer, why) = (SourceId(0), leg_addr(0, leg), Why::KeyLimit);
        tape.push(Event::SourceRefuse { source, peer, why })
    };
    let refused = |leg| refuse(relay(), leg).after(1_000);
    let stays = |tape: Tape| tape.after(2_000_000).close_by_peer(0, Some(1012));
    check(stays(refused(1).leg_down(0, 1).close_by_peer(1, Some(1011))), Pass, 1);
    // Not so with another code, for another's leg, or for one that was refused long ago.
    check(refused(1).close_by_peer(1, Some(1000)), Fail, 1);
    check(refused(2).close_by_peer(1, Some(1011)), Fail, 1);
    check(refused(1).after(200_000).close_by_peer(1, Some(1011)), Fail, 1);
    check(relay().close_by_peer(1, Some(1011)), Fail, 1);
}
