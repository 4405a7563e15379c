//! The `mock-upstream` program: see `mock_upstream::program`.

fn main() -> std::process::ExitCode {
    mock_upstream::program::main(std::env::args_os())
}
