//! Tests of the whole: the tree's rules, the catalogue, the mutants, determinism, the command line.

mod architecture;
mod baselines;
mod browser;
mod catalogue;
mod clients_and_source;
mod command_line;
mod drain;
mod early_ends;
mod explore;
mod front_door;
mod lifecycle;
mod logs;
mod mutants;
mod packets;
mod pairs;
mod properties;
mod races;
mod second_model;
mod service_time;
mod shrink;
mod sockets;
mod tiers;
mod trace;
mod triggers;
