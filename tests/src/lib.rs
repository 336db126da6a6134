//! End to end, attacks, crashes, interop: every test drives a spawned `paraphed` over real gRPC. The tests are in `attacks/` and `crash/`, one binary;
//! the Python clients in `interop/`. `tests/run` builds what they need and runs them.
