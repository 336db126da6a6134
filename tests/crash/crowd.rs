//! The load: every client asks and answers, every backend listens, until the daemon is dead.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::book::Book;
use super::client::Client;
use super::dice::Dice;
use super::link::{Place, Trouble};

/// A pause before a lost call is made again.
const PAUSE: Duration = Duration::from_millis(10);
/// Longer than any round: such a client is not killed.
const LONG: Duration = Duration::from_secs(600);

/// Everybody at work.
pub struct Crowd {
    people: JoinSet<()>,
    place: Place,
    book: Arc<Book>,
    over: Arc<AtomicBool>,
}

impl Crowd {
    /// The backends on their streams.
    pub fn listening(place: Place, backends: usize, book: &Arc<Book>) -> Self {
        let (mut people, over) = (JoinSet::new(), Arc::default());
        for backend in 0..backends {
            let (book, over) = (Arc::clone(book), Arc::clone(&over));
            people.spawn(listen(place.clone(), backend, book, over));
        }
        let book = Arc::clone(book);
        Self {
            people,
            place,
            book,
            over,
        }
    }

    /// One client more; with `deaths` it is killed now and then in the middle of a call, and its connection with it.
    pub fn join(&mut self, client: &Arc<Mutex<Client>>, deaths: Option<Dice>) {
        let (book, over) = (Arc::clone(&self.book), Arc::clone(&self.over));
        let life = live(self.place.clone(), Arc::clone(client), book, over, deaths);
        self.people.spawn(life);
    }

    /// Once the daemon is dead: waits until everybody has seen it.
    pub async fn leave(self) {
        self.over.store(true, Ordering::Release);
        self.people.join_all().await;
    }
}

async fn listen(place: Place, backend: usize, book: Arc<Book>, over: Arc<AtomicBool>) {
    while !over.load(Ordering::Acquire) {
        let link = place.connect();
        if let Ok(mut stream) = link.watch(backend, book.cursor(backend)).await {
            while let Ok(Some(verdict)) = stream.message().await {
                book.verdict(backend, &verdict);
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn live(
    place: Place,
    client: Arc<Mutex<Client>>,
    book: Arc<Book>,
    over: Arc<AtomicBool>,
    mut deaths: Option<Dice>,
) {
    let mut link = place.connect();
    let mut client = client.lock().await;
    while !over.load(Ordering::Acquire) {
        let life = deaths
            .as_mut()
            .map_or(LONG, |dice| Duration::from_micros(dice.between(500, 150_000)));
        match tokio::time::timeout(life, client.confirm(&link, &book)).await {
            Ok(Ok(())) => {}
            Ok(Err(Trouble::Lost(_))) => {
                book.lost_reply();
                tokio::time::sleep(PAUSE).await;
            }
            Ok(Err(Trouble::Wrong(what))) => {
                book.finding(format!("client {}: {what}", client.number));
                tokio::time::sleep(PAUSE).await;
            }
            Err(_) => link = place.connect(),
        }
    }
}
