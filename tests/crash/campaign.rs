//! Round after round: load, the end of the power, what the disk kept, a new start, and the comparison with the clients' book.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::book::Book;
use super::client::Client;
use super::crowd::Crowd;
use super::dice::Dice;
use super::disk::Disk;
use super::figures::Figures;
use super::ledger;
use super::link::{Place, Trouble};
use super::rows;
use super::trouble::Variant;
use crate::world::{Account, World};

/// No quota is in the way of so many requests of so few people.
const SETTINGS: &str = "requests_per_second_per_caller = 1000000\ncaller_burst = 1000000\n[profile]\ndemonstration = true\n\
    [step_up]\nmin_lifetime_s = 1\nrequests_per_10_min = 1000\nrequests_per_day = 10000\nwakes_per_hour = 1000\n\
    [operators]\nrequests_per_10_min = 1000\n[channels.counter]\nquarantine_s = 0\n";
const CLIENTS: usize = 8;
/// Pages after which the daemon moves some of its log: often enough that many are killed within it.
const CHECKPOINT_PAGES: &str = "300";
/// A pause before a lost call is made again.
const PAUSE: Duration = Duration::from_millis(10);
/// Within this a client must have ended what it began.
const PATIENCE: Duration = Duration::from_secs(30);

/// One deployment with its clients.
pub struct Campaign {
    pub world: World,
    pub disk: Disk,
    pub book: Arc<Book>,
    pub dice: Dice,
    /// Of the round under way.
    pub figures: Figures,
    backends: Vec<Account>,
    clients: Vec<Arc<Mutex<Client>>>,
}

impl Campaign {
    /// Enrols everybody on a sound disk, then puts the daemon on the shim's, with `environment`.
    pub async fn new(mut dice: Dice, environment: &[(&'static str, &str)]) -> Self {
        let mut world = World::with(SETTINGS).await;
        let backends = vec![world.market.clone(), world.backend("bank", true).await];
        let mut clients = Vec::new();
        for number in 0..CLIENTS {
            let person = world.enrol().await;
            let mut names = Vec::new();
            for backend in &backends {
                names.push(world.subject(backend, &person).await);
            }
            let client = Client::new(number, person.phone, names, dice.fork());
            clients.push(Arc::new(Mutex::new(client)));
        }
        assert_eq!(world.daemon.stop(), 0);
        let disk = Disk::under(world.daemon.folder.path());
        world.daemon.environment = disk.environment();
        let added = environment.iter().map(|(name, value)| (*name, (*value).into()));
        world.daemon.environment.extend(added);
        let often = ("PARAPHE_TEST_CHECKPOINT_PAGES", CHECKPOINT_PAGES.into());
        world.daemon.environment.push(often);
        disk.settle();
        world.start_again().await;
        Self {
            world,
            disk,
            backends,
            clients,
            book: Arc::default(),
            dice,
            figures: Figures::default(),
        }
    }

    /// One round. What it found is in the book.
    pub async fn round(&mut self, variant: Variant) -> Figures {
        let (ended, lost_replies) = self.progress();
        self.figures = Figures::default();
        self.crash(variant).await;
        if self.start() {
            let place = Place::of(&self.world.daemon, &self.backends);
            (self.world.server, self.world.channel) = crate::world::connect(&self.world.daemon).await;
            self.recall(&place).await;
            self.compare(&place).await;
        }
        let (ended_now, lost_now) = self.progress();
        Figures {
            rounds: 1,
            ended: ended_now - ended,
            lost_replies: lost_now - lost_replies,
            ..self.figures
        }
    }

    fn progress(&self) -> (usize, usize) {
        let pages = self.book.open();
        (pages.ended.len(), pages.lost_replies)
    }

    async fn crash(&mut self, variant: Variant) {
        let place = Place::of(&self.world.daemon, &self.backends);
        let mut crowd = Crowd::listening(place, self.backends.len(), &self.book);
        for client in &self.clients {
            let deaths = (variant == Variant::KilledClients).then(|| self.dice.fork());
            crowd.join(client, deaths);
        }
        self.trouble(variant).await;
        self.world.daemon.kill();
        crowd.leave().await;
        self.lose(variant);
        if variant == Variant::KilledStarting {
            self.kill_starting();
        }
        if let Some(what) = rows::unsound(self.world.daemon.folder.path()).await {
            self.book.finding(what);
        }
    }

    /// Starts the daemon on what the disk kept. It must start.
    fn start(&mut self) -> bool {
        self.disk.settle();
        let begun = Instant::now();
        let mut started = self.world.daemon.try_start();
        let taken = begun.elapsed();
        (self.figures.starting, self.figures.slowest_start) = (taken, taken);
        if let Err(said) = &started {
            self.book.finding(said);
            // The security journal shows it first. What the clients know is compared all the same.
            if said.contains("store.restore_undeclared") {
                crate::supply::run(self.world.daemon.command("restore").arg("--yes"));
                started = self.world.daemon.try_start();
            }
        }
        started.is_ok()
    }

    /// Each client looks whether the daemon remembers, and ends what it began.
    async fn recall(&self, place: &Place) {
        let mut crowd = JoinSet::new();
        for client in &self.clients {
            let (client, book) = (Arc::clone(client), Arc::clone(&self.book));
            let link = place.connect();
            crowd.spawn(async move {
                let mut client = client.lock().await;
                let mut last = String::new();
                let recalled = tokio::time::timeout(PATIENCE, async {
                    loop {
                        match client.recall(&link, &book).await {
                            Err(Trouble::Lost(why)) => last = why,
                            done => return done,
                        }
                        tokio::time::sleep(PAUSE).await;
                    }
                });
                match recalled.await {
                    Ok(Ok(())) => {}
                    Ok(Err(trouble)) => book.finding(format!("client {}: {trouble:?}", client.number)),
                    Err(_) => book.finding(format!(
                        "client {} gets no answer any more: {last}",
                        client.number
                    )),
                }
            });
        }
        crowd.join_all().await;
    }

    async fn compare(&self, place: &Place) {
        let (link, book) = (place.connect(), &*self.book);
        let note = |what: &str, done: Result<(), Trouble>| {
            if let Err(trouble) = done {
                book.finding(format!("{what} after the start: {trouble:?}"));
            }
        };
        let first = self.clients[0].lock().await;
        for backend in 0..self.backends.len() {
            note(
                "the verdicts",
                ledger::verdicts(&link, backend, &first, book).await,
            );
        }
        drop(first);
        for client in &self.clients {
            let client = client.lock().await;
            note("a history", ledger::history(&client, &link, book).await);
        }
        note("the audit trail", ledger::audit(&self.world, book).await);
    }
}
