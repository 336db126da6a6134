//! End to end, attacks, interop: every test drives a spawned `paraphed` over real gRPC. The tests are in `attacks/`, one binary;
//! the Python clients in `interop/`. `tests/run` builds what they need and runs them.
