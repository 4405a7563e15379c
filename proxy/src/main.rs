//! The proxy as a program; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    proxy::program::main(std::env::args_os())
}
