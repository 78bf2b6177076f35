//! What the tests of awaited calls share: a function that does as it is told, runtimes, a store that can be held up.

use std::collections::HashSet;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use futures::future::{Either, join_all, select};
use larder::store::{
    Absent, Claimant, Claimed, Claims, End, EntryKey, Found, Lookup, NewEntry, Patience, Store, StoreError,
    VolatileStore,
};
use larder::{AsyncTask, Cached};
use serde::{Serialize, Serializer};
use smol::channel::{Receiver, Sender, unbounded};

/// How a computation is to end.
pub(crate) enum Order {
    Answer,
    Fail,
    Panic,
}

impl Order {
    fn carry_out(self, item: u64) -> Result<u64, String> {
        match self {
            Order::Answer => Ok(item * item + 1),
            Order::Fail => Err(format!("no {item}")),
            Order::Panic => panic!("the end of {item}"),
        }
    }
}

/// Where computations are watched: each says that it came, and waits for an order.
#[derive(Clone)]
pub(crate) struct Stage {
    came: Sender<u64>,
    orders: Receiver<Order>,
    under_way: Arc<AtomicUsize>,
    most_under_way: Arc<AtomicUsize>,
}

impl Serialize for Stage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

/// Who watches a stage.
pub(crate) struct Director {
    pub(crate) came: Receiver<u64>,
    pub(crate) orders: Sender<Order>,
    most_under_way: Arc<AtomicUsize>,
}

impl Director {
    /// How many computations there were that nobody has taken note of.
    pub(crate) fn computations(&self) -> usize {
        std::iter::from_fn(|| self.came.try_recv().ok()).count()
    }

    /// How many computations were ever under way at once.
    pub(crate) fn most_under_way(&self) -> usize {
        self.most_under_way.load(SeqCst)
    }

    pub(crate) fn order(&self, order: Order) {
        self.orders.try_send(order).expect("the stage is there");
    }
}

/// One that is under way.
struct UnderWay<'s>(&'s AtomicUsize);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

impl Stage {
    pub(crate) fn new() -> (Stage, Director) {
        let (came, hears) = unbounded();
        let (orders, obeys) = unbounded();
        let most_under_way = Arc::<AtomicUsize>::default();
        let director = Director { came: hears, orders, most_under_way: Arc::clone(&most_under_way) };
        (Stage { came, orders: obeys, under_way: Arc::default(), most_under_way }, director)
    }

    /// Where every computation answers at once.
    pub(crate) fn open() -> (Stage, Director) {
        let (stage, director) = Stage::new();
        stage.orders.close();
        (stage, director)
    }

    fn enter(&self, item: u64) -> UnderWay<'_> {
        let now = self.under_way.fetch_add(1, SeqCst) + 1;
        self.most_under_way.fetch_max(now, SeqCst);
        // The director may have left.
        let _ = self.came.try_send(item);
        UnderWay(&self.under_way)
    }
}

/// Called by threads, and awaited.
#[larder::cached(ignore(stage))]
pub(crate) fn staged(item: u64, stage: Stage) -> Result<u64, String> {
    let _under_way = stage.enter(item);
    stage.orders.recv_blocking().unwrap_or(Order::Answer).carry_out(item)
}

impl AsyncTask for staged {
    async fn compute((item, stage): Self::Args<'_>) -> Result<u64, String> {
        let _under_way = stage.enter(item);
        stage.orders.recv().await.unwrap_or(Order::Answer).carry_out(item)
    }
}

pub(crate) fn answer(item: u64) -> Result<u64, String> {
    Order::Answer.carry_out(item)
}

/// A call that can be spawned, and is the same on every runtime.
pub(crate) type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

pub(crate) fn boxed(cached: &Cached<staged>, item: u64, stage: &Stage) -> Boxed<Result<u64, String>> {
    Box::pin(cached.call_async((item, stage.clone())))
}

/// What the tests run on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Runtime {
    TokioThreads,
    TokioThread,
    Smol,
}

impl Runtime {
    pub(crate) const ALL: [Runtime; 3] = [Runtime::TokioThreads, Runtime::TokioThread, Runtime::Smol];

    /// Runs futures as tasks of their own, and `beside` beside them; what they give, in order.
    pub(crate) fn run<T: Send + 'static>(self, futures: Vec<Boxed<T>>, beside: impl Future<Output = ()>) -> Vec<T> {
        let tokio = match self {
            Runtime::TokioThreads => tokio::runtime::Builder::new_multi_thread().worker_threads(4).build(),
            Runtime::TokioThread => tokio::runtime::Builder::new_current_thread().build(),
            Runtime::Smol => {
                let tasks: Vec<_> = futures.into_iter().map(smol::spawn).collect();
                return smol::block_on(async {
                    beside.await;
                    join_all(tasks).await
                });
            }
        };
        tokio.expect("the runtime starts").block_on(async {
            let tasks: Vec<_> = futures.into_iter().map(tokio::spawn).collect();
            beside.await;
            join_all(tasks).await.into_iter().map(|ended| ended.expect("no task panics")).collect()
        })
    }
}

/// Tells when it was polled once: from then on it waits for what it has to wait for.
pub(crate) fn telling<F: Future>(future: F, polled: Sender<()>) -> impl Future<Output = F::Output> {
    let mut future = Box::pin(future);
    let mut polled = Some(polled);
    poll_fn(move |context| {
        let poll = future.as_mut().poll(context);
        if let Some(polled) = polled.take() {
            polled.try_send(()).expect("the test listens");
        }
        poll
    })
}

/// Goes on with a call until something is heard, and drops it there.
pub(crate) fn drop_when<T>(heard: impl Future, call: Boxed<T>) {
    match smol::block_on(select(call, pin!(heard))) {
        Either::Left(_) => panic!("the call came to its end"),
        Either::Right((_, call)) => drop(call),
    }
}

/// Where a store can be held up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Point {
    /// A look for a result or its claim was answered.
    Looked,
    /// Someone is about to wait for another's claim.
    Waits,
    /// A result is about to be stored.
    Puts,
}

struct Hold {
    point: Point,
    came: Sender<()>,
    go: Receiver<()>,
}

/// A store that is held up, and in which a stranger can have keys.
pub(crate) struct HeldUp {
    store: VolatileStore,
    hold: Mutex<Option<Hold>>,
    /// How often it was asked for a result or its claim.
    asked: AtomicUsize,
    stranger: Claimant,
    /// The keys that it has. Whoever waits for one of them waits until it leaves, however short its patience.
    taken: Mutex<HashSet<EntryKey>>,
    /// Whether it takes each key that is asked for.
    takes: AtomicBool,
    /// Signals each change of those.
    changed: Condvar,
}

impl HeldUp {
    pub(crate) fn new() -> Arc<HeldUp> {
        let stranger = thread::spawn(Claimant::current).join().expect("it only says its name");
        Arc::new(HeldUp {
            store: VolatileStore::new(),
            hold: Mutex::default(),
            asked: AtomicUsize::new(0),
            stranger,
            taken: Mutex::default(),
            takes: AtomicBool::new(false),
            changed: Condvar::new(),
        })
    }

    /// Holds up the next one that comes to a point: gives word of that, and what it waits for (to be sent or dropped).
    pub(crate) fn hold(&self, point: Point) -> (Receiver<()>, Sender<()>) {
        let (came, hears) = unbounded();
        let (goes, go) = unbounded();
        *self.hold.lock().unwrap() = Some(Hold { point, came, go });
        (hears, goes)
    }

    fn pass(&self, point: Point) {
        let hold = self.hold.lock().unwrap().take_if(|hold| hold.point == point);
        if let Some(hold) = hold {
            hold.came.try_send(()).expect("the test listens");
            // Either way it is over.
            let _ = hold.go.recv_blocking();
        }
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.load(SeqCst)
    }

    /// Gives the stranger the next keys that are asked for.
    pub(crate) fn stranger_takes(&self) {
        self.takes.store(true, SeqCst);
    }

    /// Waits until the stranger has so many keys; it takes no more.
    pub(crate) fn stranger_has(&self, count: usize) {
        let taken = self.taken.lock().unwrap();
        drop(self.changed.wait_while(taken, |taken| taken.len() < count).unwrap());
        self.takes.store(false, SeqCst);
    }

    /// The stranger gives its keys back, and nothing was stored under them.
    pub(crate) fn stranger_leaves(&self) {
        for key in self.taken.lock().unwrap().drain() {
            self.store.release(&key, self.stranger, End::NotStored);
        }
        self.changed.notify_all();
    }
}

impl Store for HeldUp {
    fn get(&self, key: &EntryKey) -> Result<Found, Absent> {
        self.store.get(key)
    }

    fn put(&self, entry: &NewEntry<'_>) -> Result<Option<StoreError>, StoreError> {
        self.pass(Point::Puts);
        self.store.put(entry)
    }

    fn clear_function(&self, function: &str, by_hand: bool) -> Result<u64, StoreError> {
        self.store.clear_function(function, by_hand)
    }

    fn forget(&self, key: &EntryKey) -> Result<bool, StoreError> {
        self.store.forget(key)
    }

    fn clear(&self) -> Result<(), StoreError> {
        self.store.clear()
    }

    fn claims(&self) -> &Claims {
        self.store.claims()
    }

    fn get_or_claim(&self, key: &EntryKey, who: Claimant, patience: Patience) -> Lookup {
        self.asked.fetch_add(1, SeqCst);
        let mut taken = self.taken.lock().unwrap();
        if self.takes.load(SeqCst) && taken.insert(*key) {
            assert_eq!(self.store.claim(key, self.stranger, NOT_AT_ALL), Claimed::Mine);
            self.changed.notify_all();
        }
        if patience != NOT_AT_ALL {
            drop(self.changed.wait_while(taken, |taken| taken.contains(key)).unwrap());
            self.pass(Point::Waits);
        } else {
            drop(taken);
        }
        let met = self.store.get_or_claim(key, who, patience);
        self.pass(Point::Looked);
        met
    }
}

const NOT_AT_ALL: Patience = Patience::AtMost(Duration::ZERO);
