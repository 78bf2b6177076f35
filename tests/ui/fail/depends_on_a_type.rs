struct Plain;

#[larder::task(depends(Plain))]
fn on_a_type() {}

fn main() {}
