//! The daemon with the test hooks: its clock can be moved. Built by tests only, under its own name.

fn main() -> std::process::ExitCode {
    paraphe_server::cli::main()
}
