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

#[larder::cached(expires_after = "1 month")]
fn no_length_of_time() {}

#[larder::cached(expires_after = 30)]
fn no_duration() {}

#[larder::cached(expires_after = "0s")]
fn at_once() {}

#[larder::cached(store(all))]
fn stores_what() {}

#[larder::cached(key = a, ignore(b))]
fn two_keys(a: u8, b: u8) {
    let _ = (a, b);
}

#[larder::cached(key = c)]
fn key_of_what(a: u8) {
    let _ = a;
}

fn main() {}
