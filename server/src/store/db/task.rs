//! A transaction on its way to a database thread and its answer on the way back. Made by `Db::{read, write}`, run by `lanes`.
//! Invariant: a full queue refuses at once, and an answer is given once, after the thread has settled the transaction.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use super::{DbError, Tx};

/// A named transaction whose types are erased, so that one thread can run all of them.
pub(super) trait Task: Send {
    /// Runs the closure and keeps its result; says whether its changes are to be kept. A panic counts as an error.
    fn run(&mut self, tx: &mut Tx<'_>) -> bool;
    /// Nobody waits for the result any more.
    fn is_abandoned(&self) -> bool;
    /// Hands the kept result to the caller, or `failure` in its place.
    fn answer(self: Box<Self>, failure: Option<DbError>);
}

struct Job<T, E, F> {
    name: &'static str,
    span: tracing::Span,
    work: F,
    result: Option<Result<T, E>>,
    caller: oneshot::Sender<Result<T, E>>,
}

/// Wraps a closure as a [`Task`]; the receiver gets its result. The span `transaction` carries the name and the caller's span as parent.
pub(super) fn task<T, E, F>(name: &'static str, work: F) -> (Box<dyn Task>, oneshot::Receiver<Result<T, E>>)
where
    T: Send + 'static,
    E: From<DbError> + Send + 'static,
    F: FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
{
    let (caller, answer) = oneshot::channel();
    let span = tracing::debug_span!("transaction", name);
    (
        Box::new(Job {
            name,
            span,
            work,
            result: None,
            caller,
        }),
        answer,
    )
}

impl<T, E, F> Task for Job<T, E, F>
where
    T: Send,
    E: From<DbError> + Send,
    F: FnMut(&mut Tx<'_>) -> Result<T, E> + Send,
{
    fn run(&mut self, tx: &mut Tx<'_>) -> bool {
        let _entered = self.span.enter();
        let work = &mut self.work;
        let result = catch_unwind(AssertUnwindSafe(|| work(tx))).unwrap_or_else(|_| {
            tracing::error!(name = self.name, "a transaction panicked and is rolled back");
            Err(E::from(DbError::Panicked { name: self.name }))
        });
        let keep = result.is_ok();
        tracing::debug!(keep, "ran");
        self.result = Some(result);
        keep
    }

    fn is_abandoned(&self) -> bool {
        self.caller.is_closed()
    }

    fn answer(self: Box<Self>, failure: Option<DbError>) {
        let Job { result, caller, .. } = *self;
        let answer = match (failure, result) {
            (Some(error), _) => Err(E::from(error)),
            (None, Some(result)) => result,
            (None, None) => Err(E::from(DbError::unavailable("the transaction was not run"))),
        };
        // A caller that has given up meanwhile is not an error.
        let _ = caller.send(answer);
    }
}

/// A bounded queue and the threads that drain it.
pub(super) struct Lane {
    queue: Mutex<Option<SyncSender<Box<dyn Task>>>>,
    threads: Mutex<Vec<JoinHandle<Result<(), DbError>>>>,
}

impl Lane {
    /// A lane of at most `bound` waiting tasks, and the end its threads receive from.
    pub(super) fn new(bound: usize) -> (Lane, Receiver<Box<dyn Task>>) {
        let (sender, receiver) = sync_channel(bound);
        (
            Lane {
                queue: Mutex::new(Some(sender)),
                threads: Mutex::new(Vec::new()),
            },
            receiver,
        )
    }

    /// Starts a thread of this lane. It must return once the queue is closed and drained.
    pub(super) fn start(
        &self,
        name: &str,
        body: impl FnOnce() -> Result<(), DbError> + Send + 'static,
    ) -> Result<(), DbError> {
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(body)
            .map_err(|error| DbError::Unavailable {
                detail: format!("no thread for {name}: {error}"),
            })?;
        lock(&self.threads).push(thread);
        Ok(())
    }

    /// Queues a task without waiting.
    pub(super) fn submit(&self, task: Box<dyn Task>) -> Result<(), DbError> {
        let queue = lock(&self.queue);
        let sender = queue
            .as_ref()
            .ok_or_else(|| DbError::unavailable("it is closed"))?;
        sender.try_send(task).map_err(|error| match error {
            TrySendError::Full(_) => DbError::Overloaded,
            TrySendError::Disconnected(_) => DbError::unavailable("its thread has ended"),
        })
    }

    /// Refuses new tasks, lets the threads drain the queue, waits for them and returns the first error they ended with.
    pub(super) fn close(&self) -> Result<(), DbError> {
        drop(lock(&self.queue).take());
        let threads = std::mem::take(&mut *lock(&self.threads));
        let mut ended = Ok(());
        for thread in threads {
            let end = thread
                .join()
                .unwrap_or_else(|_| Err(DbError::unavailable("its thread broke off")));
            ended = ended.and(end);
        }
        ended
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
