//! The proxy over loopback sockets: few and honest. The simulator tells the long stories.

mod bench;
mod fanout;
mod front_door;
