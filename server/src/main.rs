//! The daemon: see `paraphe_server::cli`.

/// Requests are many small allocations on several threads: measured in docs/performance.md.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    paraphe_server::cli::main()
}
