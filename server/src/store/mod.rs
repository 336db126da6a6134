//! The store: one SQL text behind one seam. `db` runs transactions, `seal` seals, `record` reads and writes sealed records,
//! and one file per table group holds its queries. Knows no caller.

pub mod activation;
pub mod audit;
pub mod case;
pub mod challenge;
pub mod class;
pub mod db;
pub mod device;
pub mod device_event;
pub mod journal;
pub mod meta;
pub mod migrations;
pub mod operator;
pub mod past;
pub mod record;
pub mod relying_party;
pub mod seal;
pub mod subject;
pub mod suspension;
