//! The stories: scenario files, the engines that run them, the checkers that judge them.

pub mod catalogue;
pub mod check;
pub mod explain;
pub mod model;
pub mod parse;
pub mod plan;
pub mod schema;
pub mod span;
