//! The program `windtunnel`; see [`scenarios::program`].

#[global_allocator]
static ALLOCATOR: scenarios::allocator::Allocator = scenarios::allocator::ALLOCATOR;

fn main() -> std::process::ExitCode {
    scenarios::allocator::settle();
    scenarios::program::main(std::env::args_os())
}
