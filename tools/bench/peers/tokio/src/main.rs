//! Tokio: see ../../peer.h for what a peer's program takes and prints.
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{
    compiler_fence, AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::SeqCst,
};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, Mutex, Notify, Semaphore};

static SILENT: AtomicBool = AtomicBool::new(false);
const SEED: u64 = 88172645463325252;

fn value(name: &str, what: &str, number: f64, unit: &str) {
    if !SILENT.load(Relaxed) {
        println!("{name}.{what} {number:.3} {unit}");
    }
}

fn cpu_time() -> i64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut now) };
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

struct Watch {
    wall: Instant,
    cpu: i64,
}

impl Watch {
    fn start() -> Watch {
        Watch {
            cpu: cpu_time(),
            wall: Instant::now(),
        }
    }

    fn stop(&self, name: &str, operations: u64) {
        let wall = self.wall.elapsed().as_nanos() as f64;
        let cpu = (cpu_time() - self.cpu) as f64;
        value(name, "wall", wall / operations as f64, "ns");
        value(name, "cpu", cpu / operations as f64, "ns");
    }
}

fn random(state: &mut u64) -> u64 {
    let mut x = *state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    *state = x;
    x
}

fn resident() -> f64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split_whitespace()
        .nth(1)
        .unwrap()
        .parse::<f64>()
        .unwrap()
        * 4096.0
}

/// Binds the calling thread to the place-th of the CPUs that are allowed.
fn bind(allowed: &libc::cpu_set_t, place: usize) {
    unsafe {
        let mut chosen: libc::cpu_set_t = std::mem::zeroed();
        let cpus = (0..libc::CPU_SETSIZE as usize).filter(|cpu| libc::CPU_ISSET(*cpu, allowed));
        for cpu in cpus.skip(place).take(1) {
            libc::CPU_SET(cpu, &mut chosen);
        }
        libc::sched_setaffinity(0, std::mem::size_of_val(&chosen), &chosen);
    }
}

/// One thread, or so many that steal from each other, as the name of the work says.
fn runtime(name: &str) -> Runtime {
    if name.ends_with(".2") {
        Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap()
    } else {
        Builder::new_current_thread().enable_all().build().unwrap()
    }
}

async fn yield_now(name: &str, divisor: u64) {
    let turns = 2_000_000 / divisor;
    let take_turns = move || async move {
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
    };
    let watch = Watch::start();
    let (first, second) = (tokio::spawn(take_turns()), tokio::spawn(take_turns()));
    first.await.unwrap();
    second.await.unwrap();
    watch.stop(name, 2 * turns);
}

async fn spawn(name: &str, divisor: u64) {
    static RAN: AtomicU64 = AtomicU64::new(0);
    let batches = 1000 / divisor;
    let mut alive = Vec::with_capacity(1000);
    RAN.store(0, Relaxed);
    let watch = Watch::start();
    for _ in 0..batches {
        for _ in 0..1000 {
            alive.push(tokio::spawn(async {
                RAN.fetch_add(1, Relaxed);
            }));
        }
        for task in alive.drain(..) {
            task.await.unwrap();
        }
    }
    watch.stop(name, batches * 1000);
    assert_eq!(RAN.load(Relaxed), batches * 1000);
}

async fn ask(count: u64, there: mpsc::Sender<u64>, mut back: mpsc::Receiver<u64>) {
    for i in 0..count {
        there.send(i).await.unwrap();
        assert_eq!(back.recv().await, Some(i));
    }
}

async fn answer(mut there: mpsc::Receiver<u64>, back: mpsc::Sender<u64>) -> u64 {
    let mut sum = 0;
    while let Some(number) = there.recv().await {
        sum += number;
        if back.send(number).await.is_err() {
            break;
        }
    }
    sum
}

async fn channel(name: &str, divisor: u64) {
    let count = 1_000_000 / divisor;
    let (to_there, there) = mpsc::channel(1);
    let (to_back, back) = mpsc::channel(1);
    let watch = Watch::start();
    let answers = tokio::spawn(answer(there, to_back));
    tokio::spawn(ask(count, to_there, back)).await.unwrap();
    let sum = answers.await.unwrap();
    watch.stop(name, 2 * count);
    assert_eq!(sum, count * (count - 1) / 2);
}

fn wake(name: &str, divisor: u64) {
    let count = 20_000 / divisor;
    let mut allowed: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    unsafe { libc::sched_getaffinity(0, std::mem::size_of_val(&allowed), &mut allowed) };
    let (to_there, there) = mpsc::channel(1);
    let (to_back, back) = mpsc::channel(1);
    let watch = Watch::start();
    let other = std::thread::spawn(move || {
        bind(&allowed, 1);
        runtime("").block_on(async { tokio::spawn(answer(there, to_back)).await.unwrap() })
    });
    bind(&allowed, 0);
    runtime("").block_on(async { tokio::spawn(ask(count, to_there, back)).await.unwrap() });
    let sum = other.join().unwrap();
    watch.stop(name, 2 * count);
    assert_eq!(sum, count * (count - 1) / 2);
    unsafe { libc::sched_setaffinity(0, std::mem::size_of_val(&allowed), &allowed) };
}

async fn use_mutex(count: u64) {
    let mutex = Mutex::new(0);
    let watch = Watch::start();
    for _ in 0..count {
        *mutex.lock().await += 1;
    }
    watch.stop("sync.mutex", count);
    assert_eq!(mutex.into_inner(), count);
}

async fn use_sem(count: u64) {
    let semaphore = Semaphore::new(1);
    let mut done = 0;
    let watch = Watch::start();
    for _ in 0..count {
        let _permit = semaphore.acquire().await.unwrap();
        done += 1;
    }
    watch.stop("sync.sem", count);
    assert_eq!(done, count);
}

async fn use_channel(count: u64) {
    let (sender, mut receiver) = mpsc::channel(1);
    let mut done = 0;
    let watch = Watch::start();
    for _ in 0..count {
        sender.send(1).await.unwrap();
        done += receiver.recv().await.unwrap();
    }
    watch.stop("sync.channel", count);
    assert_eq!(done, count);
}

async fn use_scope(count: u64) {
    let mut done = 0;
    let watch = Watch::start();
    for _ in 0..count {
        let inside = async { done += 1 };
        tokio::time::timeout(Duration::from_secs(3600), inside)
            .await
            .unwrap();
    }
    watch.stop("sync.scope", count);
    assert_eq!(done, count);
}

tokio::task_local! {
    static VARIABLE: u64;
}

async fn use_var(count: u64) {
    let mut done = 0;
    let watch = Watch::start();
    for _ in 0..count {
        done += VARIABLE.get();
        // Or the compiler would read it once, and multiply.
        compiler_fence(SeqCst);
    }
    watch.stop("sync.var", count);
    assert_eq!(done, count);
}

/// What meets nobody. That tasks give way at each 128th operation is a part of what it costs.
async fn uncontended(divisor: u64) {
    let count = 5_000_000 / divisor;
    tokio::spawn(use_mutex(count)).await.unwrap();
    tokio::spawn(use_sem(count)).await.unwrap();
    tokio::spawn(use_channel(count)).await.unwrap();
    tokio::spawn(use_scope(count)).await.unwrap();
    tokio::spawn(VARIABLE.scope(1, use_var(count)))
        .await
        .unwrap();
}

type Boxed = Pin<Box<dyn Future<Output = u64> + Send>>;

fn grow(number: u64, leaves: u64) -> Boxed {
    Box::pin(async move {
        if leaves == 1 {
            return number;
        }
        let share = leaves / 10;
        let branches: Vec<_> = (0..10)
            .map(|i| tokio::spawn(grow(number + i * share, share)))
            .collect();
        let mut sum = 0;
        for branch in branches {
            sum += branch.await.unwrap();
        }
        sum
    })
}

async fn skynet(name: &str, divisor: u64) {
    let leaves = 1_000_000 / divisor;
    let watch = Watch::start();
    let sum = tokio::spawn(grow(0, leaves)).await.unwrap();
    watch.stop(name, leaves);
    assert_eq!(sum, leaves * (leaves - 1) / 2);
}

fn fib_of(n: u64) -> Boxed {
    Box::pin(async move {
        if n < 2 {
            return n;
        }
        let before = tokio::spawn(fib_of(n - 1));
        let sum = fib_of(n - 2).await;
        before.await.unwrap() + sum
    })
}

async fn fib(name: &str, divisor: u64) {
    let (n, forks, wanted) = if divisor > 1 {
        (27, 317_810, 196_418)
    } else {
        (32, 3_524_577, 2_178_309)
    };
    let watch = Watch::start();
    let sum = tokio::spawn(fib_of(n)).await.unwrap();
    watch.stop(name, forks);
    assert_eq!(sum, wanted);
}

async fn sleep(name: &str, divisor: u64) {
    let count = 1_000_000 / divisor;
    let mut state = SEED;
    let mut tasks = Vec::with_capacity(count as usize);
    let watch = Watch::start();
    for i in 0..count {
        let length = Duration::from_nanos(random(&mut state) % (count * 1000));
        tasks.push(tokio::spawn(async move {
            let from = if i % 1000 == 0 {
                Some(Instant::now())
            } else {
                None
            };
            tokio::time::sleep(length).await;
            assert!(from.map_or(true, |from| from.elapsed() >= length));
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    watch.stop(name, count);
}

/// Polls a timer once, which arms it.
struct Once<'a>(Pin<&'a mut tokio::time::Sleep>);

impl Future for Once<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        assert!(self.0.as_mut().poll(context).is_pending());
        Poll::Ready(())
    }
}

fn far_away(state: &mut u64) -> Duration {
    Duration::from_millis(1000 + random(state) % 60000)
}

async fn one_timer(name: &str, divisor: u64) {
    let count = 2_000_000 / divisor;
    let mut state = SEED;
    let watch = Watch::start();
    for _ in 0..count {
        let timer = tokio::time::sleep(far_away(&mut state));
        tokio::pin!(timer);
        Once(timer).await;
    }
    watch.stop(name, count);
}

async fn many_timers(name: &str, divisor: u64) {
    let count = 1_000_000 / divisor;
    let mut state = SEED;
    let mut timers = Vec::with_capacity(count as usize);
    let watch = Watch::start();
    for _ in 0..count {
        let mut timer = Box::pin(tokio::time::sleep(far_away(&mut state)));
        Once(timer.as_mut()).await;
        timers.push(timer);
    }
    drop(timers);
    watch.stop(name, count);
}

fn jobs(name: &str, at_once: u64, count: u64) {
    let each = count / at_once;
    let runtime = Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(4)
        .build()
        .unwrap();
    runtime.block_on(async {
        let watch = Watch::start();
        let tasks: Vec<_> = (0..at_once)
            .map(|_| {
                tokio::spawn(async move {
                    let mut done = 0;
                    for _ in 0..each {
                        done += tokio::task::spawn_blocking(|| 1u64).await.unwrap();
                    }
                    done
                })
            })
            .collect();
        let mut done = 0;
        for task in tasks {
            done += task.await.unwrap();
        }
        watch.stop(name, each * at_once);
        assert_eq!(done, each * at_once);
    });
}

async fn parked(name: &str, divisor: u64) {
    static ARRIVED: AtomicU64 = AtomicU64::new(0);
    let count = 100_000 / divisor;
    let mut tasks = Vec::with_capacity(count as usize);
    let gate = Arc::new(Notify::new());
    let before = resident();
    let watch = Watch::start();
    for _ in 0..count {
        let gate = gate.clone();
        tasks.push(tokio::spawn(async move {
            ARRIVED.fetch_add(1, Relaxed);
            gate.notified().await;
        }));
    }
    while ARRIVED.load(Relaxed) != count {
        tokio::task::yield_now().await;
    }
    watch.stop(name, count);
    value(name, "rss", (resident() - before) / count as f64, "bytes");
    let watch = Watch::start();
    gate.notify_waiters();
    for task in tasks {
        task.await.unwrap();
    }
    watch.stop(&format!("{name}.wake"), count);
}

async fn echo(bytes: u64) {
    let bytes = if bytes > 1 { bytes as usize } else { 16 * 1024 };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("listening on tcp:{}", listener.local_addr().unwrap());
    loop {
        let mut stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(_) => continue,
        };
        let _ = stream.set_nodelay(true);
        tokio::spawn(async move {
            let mut buffer = vec![0u8; bytes];
            loop {
                match stream.read(&mut buffer).await {
                    Ok(0) | Err(_) => return,
                    Ok(count) => {
                        if stream.write_all(&buffer[..count]).await.is_err() {
                            return;
                        }
                    }
                }
            }
        });
    }
}

#[derive(Clone)]
struct OnTokio;

impl<F> hyper::rt::Executor<F> for OnTokio
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        tokio::spawn(future);
    }
}

/// hyper, with one flush for what was pipelined.
async fn http() {
    use hyper::header::{HeaderValue, CONTENT_TYPE};
    use hyper::service::{make_service_fn, service_fn};
    use hyper::{Body, Response};
    use std::convert::Infallible;

    let service = make_service_fn(|_| async {
        Ok::<_, Infallible>(service_fn(|_| async {
            let mut response = Response::new(Body::from("Hello, World!"));
            response
                .headers_mut()
                .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
            Ok::<_, Infallible>(response)
        }))
    });
    let server = hyper::Server::bind(&([127, 0, 0, 1], 0).into())
        .executor(OnTokio)
        .tcp_nodelay(true)
        .http1_only(true)
        .http1_pipeline_flush(true)
        .serve(service);
    println!("listening on tcp:{}", server.local_addr());
    server.await.unwrap();
}

fn run(name: &str, divisor: u64) {
    match name {
        "wake.loops" => return wake(name, divisor),
        "executor.1" => return jobs(name, 1, 20_000 / divisor),
        "executor.64" => return jobs(name, 64, 200_000 / divisor),
        _ => (),
    }
    runtime(name).block_on(async {
        match name {
            "yield" => yield_now(name, divisor).await,
            "spawn.1" => spawn(name, divisor).await,
            "channel.1" => channel(name, divisor).await,
            "sync" => uncontended(divisor).await,
            "skynet.1" => skynet(name, divisor).await,
            "fib.1" => fib(name, divisor).await,
            "timers.sleep" => sleep(name, divisor).await,
            "timers.one" => one_timer(name, divisor).await,
            "timers.many" => many_timers(name, divisor).await,
            "parked" => parked(name, divisor).await,
            "echo" => echo(divisor).await,
            "http" => http().await,
            _ => {
                // On two threads: also what starts it is one of their tasks.
                let name = name.to_string();
                let work = async move {
                    match name.as_str() {
                        "spawn.2" => spawn(&name, divisor).await,
                        "channel.2" => channel(&name, divisor).await,
                        "skynet.2" => skynet(&name, divisor).await,
                        "fib.2" => fib(&name, divisor).await,
                        _ => std::process::exit(2),
                    }
                };
                tokio::spawn(work).await.unwrap();
            }
        }
    });
}

fn main() {
    const WORKS: [&str; 19] = [
        "yield",
        "spawn.1",
        "spawn.2",
        "wake.loops",
        "channel.1",
        "channel.2",
        "sync",
        "skynet.1",
        "skynet.2",
        "fib.1",
        "fib.2",
        "timers.sleep",
        "timers.one",
        "timers.many",
        "executor.1",
        "executor.64",
        "parked",
        "echo",
        "http",
    ];
    let arguments: Vec<String> = std::env::args().collect();
    let name = arguments.get(1).map_or("list", |name| name.as_str());
    let divisor = arguments
        .get(2)
        .map_or(1, |divisor| divisor.parse().unwrap());

    if name == "list" {
        WORKS.iter().for_each(|work| println!("{work}"));
        return;
    }
    // A second time, warm, but for what is about cold memory or never ends.
    if !["timers.sleep", "parked", "echo", "http"].contains(&name) {
        SILENT.store(true, Relaxed);
        run(name, divisor);
        SILENT.store(false, Relaxed);
    }
    run(name, divisor);
}
