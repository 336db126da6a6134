//! Round after round: load, the end of the power, what the disk kept, a new start, and the comparison with the clients' book.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::book::Book;
use super::client::Client;
use super::dice::Dice;
use super::disk::{Disk, Fault};
use super::ledger;
use super::link::{Place, Trouble};
use super::loss::{self, Loss};
use super::rows;
use crate::world::{Account, World};

/// No quota is in the way of so many requests of so few people.
const SETTINGS: &str = "requests_per_second_per_caller = 1000000\ncaller_burst = 1000000\n[profile]\ndemonstration = true\n\
    [step_up]\nmin_lifetime_s = 1\nrequests_per_10_min = 1000\nrequests_per_day = 10000\nwakes_per_hour = 1000\n\
    [operators]\nrequests_per_10_min = 1000\n[channels.counter]\nquarantine_s = 0\n";
const CLIENTS: usize = 8;
/// A pause before a lost call is made again.
const PAUSE: Duration = Duration::from_millis(10);
/// Within this a client must have ended what it began.
const PATIENCE: Duration = Duration::from_secs(30);

/// What happens besides the kill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// SIGKILL at a random moment.
    Killed,
    /// In the middle of a write; the disk keeps a part of it.
    TornWrite,
    /// In the middle of an fsync.
    InSync,
    /// The disk is full for a while.
    FullDisk,
    /// The disk takes no writes for a while.
    ReadOnly,
    /// Each fsync takes long.
    SlowSync,
    /// Clients die in the middle of their calls.
    KilledClients,
    /// The daemon is killed again while it recovers.
    KilledStarting,
}

impl Variant {
    pub const ALL: [Self; 8] = [
        Self::Killed,
        Self::TornWrite,
        Self::InSync,
        Self::FullDisk,
        Self::ReadOnly,
        Self::SlowSync,
        Self::KilledClients,
        Self::KilledStarting,
    ];
}

/// One deployment with its clients.
pub struct Campaign {
    world: World,
    disk: Disk,
    backends: Vec<Account>,
    clients: Vec<Arc<Mutex<Client>>>,
    pub book: Arc<Book>,
    dice: Dice,
    totals: Totals,
}

/// What the shim did in all rounds.
#[derive(Clone, Copy, Default)]
pub struct Totals {
    /// Writes that no fsync covered when the power went.
    pub unsynced: usize,
    /// Writes that a full or read-only disk refused.
    pub refused: u64,
    pub syncs: u64,
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
        disk.settle();
        world.start_again().await;
        Self {
            world,
            disk,
            backends,
            clients,
            book: Arc::default(),
            dice,
            totals: Totals::default(),
        }
    }

    /// One round. What it found is in the book.
    pub async fn round(&mut self, variant: Variant) {
        self.load(variant).await;
        self.lose(variant);
        if variant == Variant::KilledStarting {
            self.kill_starting();
        }
        if let Some(what) = rows::unsound(self.world.daemon.folder.path()).await {
            self.book.finding(what);
        }
        self.disk.settle();
        if let Err(said) = self.world.daemon.try_start() {
            return self.book.finding(said);
        }
        let place = Place::of(&self.world.daemon, &self.backends);
        (self.world.server, self.world.channel) = crate::world::connect(&self.world.daemon).await;
        self.recall(&place).await;
        self.compare(&place).await;
    }

    /// Everybody asks and answers until the daemon is dead.
    async fn load(&mut self, variant: Variant) {
        let place = Place::of(&self.world.daemon, &self.backends);
        let over = Arc::new(AtomicBool::new(false));
        let mut crowd = JoinSet::new();
        for backend in 0..self.backends.len() {
            crowd.spawn(listen(
                place.clone(),
                backend,
                Arc::clone(&self.book),
                Arc::clone(&over),
            ));
        }
        for client in &self.clients {
            let deaths = (variant == Variant::KilledClients).then(|| self.dice.fork());
            crowd.spawn(live(
                place.clone(),
                Arc::clone(client),
                Arc::clone(&self.book),
                Arc::clone(&over),
                deaths,
            ));
        }
        self.trouble(variant).await;
        self.world.daemon.kill();
        over.store(true, Ordering::Release);
        crowd.join_all().await;
    }

    /// What the disk does while there is load, until the moment of the kill.
    async fn trouble(&mut self, variant: Variant) {
        if self.dice.chance(50) {
            self.disk.slow_syncs(self.dice.millis(1, 8));
        }
        tokio::time::sleep(self.dice.millis(150, 700)).await;
        match variant {
            Variant::TornWrite => self.disk.die_within_write(self.dice.between(1, 200)),
            Variant::InSync => self.disk.die_before_sync(self.dice.between(1, 40)),
            Variant::FullDisk => {
                let room = self.dice.below(200_000);
                self.spoil(Fault::Full { room }).await;
            }
            Variant::ReadOnly => self.spoil(Fault::ReadOnly).await,
            Variant::SlowSync => {
                self.disk.slow_syncs(self.dice.millis(20, 80));
                tokio::time::sleep(self.dice.millis(200, 600)).await;
            }
            _ => {}
        }
        if matches!(variant, Variant::TornWrite | Variant::InSync) {
            for _ in 0..300 {
                if self.world.daemon.has_ended() {
                    return;
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// A fault for a while. Half of the time the daemon must go on by itself before it is killed.
    async fn spoil(&mut self, fault: Fault) {
        self.disk.set(fault);
        tokio::time::sleep(self.dice.millis(200, 600)).await;
        if self.dice.chance(50) {
            self.disk.set(Fault::None);
            let before = self.book.open().ended.len();
            for _ in 0..500 {
                tokio::time::sleep(PAUSE).await;
                if self.book.open().ended.len() > before {
                    return tokio::time::sleep(self.dice.millis(0, 300)).await;
                }
            }
            self.book
                .finding(format!("nothing was confirmed within 5 s after {fault:?}"));
        }
    }

    /// What this deployment has been through.
    pub fn summary(&self) -> String {
        let (pages, totals) = (self.book.open(), self.totals);
        format!(
            "{} challenges ended, {} replies lost; {} fsyncs, {} writes refused, {} taken back",
            pages.ended.len(),
            pages.lost_replies,
            totals.syncs,
            totals.refused,
            totals.unsynced
        )
    }

    pub fn totals(&self) -> Totals {
        self.totals
    }

    fn lose(&mut self, variant: Variant) {
        let loss = match variant {
            Variant::TornWrite => Loss::TornTail,
            _ => Loss::draw(&mut self.dice),
        };
        let folder = self.world.daemon.folder.path();
        self.totals.refused += self.disk.refused();
        self.totals.syncs += self.disk.syncs();
        self.totals.unsynced += loss::apply(&self.disk.undo_log(), folder, loss, &mut self.dice);
        let _rebuilt = std::fs::remove_file(folder.join("paraphe.db-shm"));
    }

    /// Kills the daemon a few times before it listens.
    fn kill_starting(&mut self) {
        for _ in 0..self.dice.between(1, 3) {
            self.disk.settle();
            if self.dice.chance(50) {
                self.disk.die_within_write(self.dice.between(1, 20));
            }
            let mut child = self.world.daemon.spawn();
            std::thread::sleep(self.dice.millis(5, 120));
            child.kill().unwrap();
            child.wait().unwrap();
            self.lose(Variant::KilledStarting);
        }
    }

    /// Each client looks whether the daemon remembers, and ends what it began.
    async fn recall(&self, place: &Place) {
        let mut crowd = JoinSet::new();
        for client in &self.clients {
            let (client, book) = (Arc::clone(client), Arc::clone(&self.book));
            let link = place.connect();
            crowd.spawn(async move {
                let mut client = client.lock().await;
                let recalled = tokio::time::timeout(PATIENCE, async {
                    loop {
                        match client.recall(&link, &book).await {
                            Err(Trouble::Lost) => tokio::time::sleep(PAUSE).await,
                            done => return done,
                        }
                    }
                });
                match recalled.await {
                    Ok(Ok(())) => {}
                    Ok(Err(trouble)) => book.finding(format!("client {}: {trouble:?}", client.number)),
                    Err(_) => book.finding(format!("client {} gets no answer any more", client.number)),
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

/// A backend's stream of verdicts.
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

/// A client's life; with `deaths` it is killed now and then in the middle of a call, and its connection with it.
async fn live(
    place: Place,
    client: Arc<Mutex<Client>>,
    book: Arc<Book>,
    over: Arc<AtomicBool>,
    mut deaths: Option<Dice>,
) {
    let mut link = place.connect();
    while !over.load(Ordering::Acquire) {
        let mut client = client.lock().await;
        let span = deaths
            .as_mut()
            .map_or(PATIENCE, |dice| Duration::from_micros(dice.between(500, 150_000)));
        match tokio::time::timeout(span, client.confirm(&link, &book)).await {
            Ok(Ok(())) => {}
            Ok(Err(Trouble::Lost)) => {
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
