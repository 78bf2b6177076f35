#[larder::task(depends(nowhere))]
fn on_what_is_not_there() {}

fn main() {}
