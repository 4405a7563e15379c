//! The program `windtunnel`; see [`scenarios::program`].

fn main() -> std::process::ExitCode {
    scenarios::program::main(std::env::args_os())
}
