//! What a program may expect of any network, run against kernel sockets and against the simulator.
