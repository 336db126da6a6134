//! Named points at which a test kills the daemon. They do nothing in a daemon built without the feature `test-hooks`.
//!
//! Called by `app::scope` around every named transaction. A test writes `answer:computed` into the file that `PARAPHE_TEST_KILL_FILE`
//! names; the daemon dies there, once, as if it had lost its power.

/// Where in a named transaction.
#[derive(Clone, Copy)]
pub enum Point {
    /// The use case is done, nothing is committed.
    Computed,
    /// It is committed, nobody has been told.
    Committed,
}

/// Dies here when a test says so.
#[cfg(not(feature = "test-hooks"))]
pub fn pass(_verb: &'static str, _point: Point) {}

/// Dies here when a test says so.
#[cfg(feature = "test-hooks")]
pub fn pass(verb: &'static str, point: Point) {
    let point = match point {
        Point::Computed => "computed",
        Point::Committed => "committed",
    };
    let Some(path) = std::env::var_os("PARAPHE_TEST_KILL_FILE") else {
        return;
    };
    let named = std::fs::read_to_string(&path).is_ok_and(|text| text.trim() == format!("{verb}:{point}"));
    if named && std::fs::remove_file(&path).is_ok() {
        std::process::abort();
    }
}
