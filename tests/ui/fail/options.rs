#[larder::task(speed = 3)]
fn unknown() {}

#[larder::task(memory = MEMORY)]
fn of_the_other_attribute() {}

#[larder::cached(version = "2")]
fn version_is_a_number() {}

#[larder::cached(version = 1, version = 2)]
fn twice() {}

#[larder::cached(version)]
fn without_value() {}

fn main() {}
