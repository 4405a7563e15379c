//! Tests of the simulator from the outside.
#![expect(clippy::unwrap_used, reason = "a test may fail by panic, in what it calls too")]

mod address;
mod any_net;
mod closed_form;
mod contract;
mod endings;
mod engines;
mod faults;
mod fidelity;
mod guard;
mod order;
mod stopping;
mod traffic;
mod world;
