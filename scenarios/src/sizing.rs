//! What one instance of the proxy carries, measured over real sockets: `windtunnel capacity`.
//!
//! ```text
//!   settings   what is asked          budget    how the time is shared out (pure)
//!   axis       a load -> the trial that tests it (pure)
//!   trial      source, proxy and generator as processes, looked at over a window     generator   what loadgen says of itself
//!   judge      a trial -> holds, fails, unhealthy, and what gave out (pure)
//!   search     one axis: trials in the order in which crate `capacity` asks for them, and where a core is about to be full
//!   memory     levels and lines       model     laws, queues, limits, fleets from the steps (pure)
//!   foresee    what the simulator says of it           against    two sets of reports
//!   prices     the user's price file  machine   where this was                       sentence    the verdict (pure)
//!   measure    all of it, in its order -> reports::capacity::CapacityReport
//! ```
//!
//! Each trial begins with fresh processes, so that one knows nothing of another. The proxy has a core of its own where there are two; the source and the generator
//! share another. Nothing here runs in the simulator.

pub mod against;
pub mod axis;
pub mod budget;
pub mod foresee;
pub mod generator;
pub mod judge;
pub mod machine;
pub mod measure;
pub mod memory;
pub mod model;
pub mod prices;
mod search;
pub mod sentence;
pub mod settings;
pub mod trial;

pub use self::measure::{Progress, SizingError, measure};
pub use self::settings::{Mix, Settings};
