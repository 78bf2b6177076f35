#[larder::task]
async fn later() {}

#[larder::task]
unsafe fn careless() {}

#[larder::task]
extern "C" fn foreign() {}

#[larder::cached]
const fn early() {}

fn main() {}
