//! The daemon: see `paraphe_server::cli`.

fn main() -> std::process::ExitCode {
    paraphe_server::cli::main()
}
