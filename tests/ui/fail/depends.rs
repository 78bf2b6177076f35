fn plain() {}

#[larder::task(depends(plain))]
fn on_a_function_without_an_attribute() {}

fn main() {}
