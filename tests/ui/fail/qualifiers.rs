#[larder::task]
async fn later() {}

#[larder::cached(task)]
async fn later_elsewhere() {}

#[larder::cached]
async fn generic<T: serde::Serialize>(value: T) {
    let _ = value;
}

#[larder::task]
unsafe fn careless() {}

#[larder::task]
extern "C" fn foreign() {}

#[larder::cached]
const fn early() {}

fn main() {}
