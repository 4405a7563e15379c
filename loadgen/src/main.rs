//! The `loadgen` program: see `loadgen::program`.

fn main() -> std::process::ExitCode {
    loadgen::program::main(std::env::args_os())
}
