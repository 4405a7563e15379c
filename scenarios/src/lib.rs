//! The stories: scenario files, the engines that run them, the checkers that judge them.

pub mod check;
pub mod span;
