//! The evidence crate from outside: event lists with known figures, and what is written of them.

mod capacity_report;
mod collects;
mod story;
mod synthetic;
mod traces;
mod writes;

// Of many runs.
mod index;
