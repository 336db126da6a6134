//! `paraphe load`: many phones and backends in one process, to size a deployment or to look for what breaks under load.
//!
//! Called by `commands/load.rs`. Everything is real: enrolment at the desk, TLS, the phones' keys, PINs and signatures, the
//! verdicts on each backend's stream. Invariant: while a load runs, its client writes nothing to disk but its journal, and
//! keeps nothing that grows with the number of confirmations. The numbers of one run are in `tally`, what it found in
//! `report`.
//!
//! | module | does |
//! | --- | --- |
//! | `enrol`, `specimen`, `desk_phone` | `prepare`: people, their enrolment, the clerk's part in it |
//! | `folder` | the folder of phones that `prepare` fills and `run` reads |
//! | `keys`, `phone`, `stream`, `fleet` | phones in memory, their streams, who is free |
//! | `backend`, `subjects`, `verdicts` | a backend's calls, what it calls people, and its one stream of verdicts |
//! | `purchase`, `mix`, `confirmation`, `answer` | one confirmation: what is asked, what is meant, what is checked |
//! | `patience`, `calls`, `tasks` | what to do about a refusal or a lost connection; calls that are measured; work side by side |
//! | `run`, `connections`, `pace` | from the options to the report: how many at a time, how long |
//! | `tally`, `report`, `journal`, `progress` | what is kept of it |

mod answer;
mod backend;
mod calls;
mod confirmation;
mod connections;
mod desk_phone;
mod enrol;
mod fleet;
mod folder;
mod journal;
mod keys;
mod mix;
mod pace;
mod patience;
mod phone;
mod progress;
mod purchase;
mod report;
mod run;
mod specimen;
mod stream;
mod subjects;
mod tally;
mod tasks;
mod verdicts;

pub use enrol::{Order, prepare};
pub use mix::Mix;
pub use pace::{Pace, Until};
pub use patience::Patience;
pub use run::{BackendOption, Plan, run};
