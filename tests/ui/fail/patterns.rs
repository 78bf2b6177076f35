#[larder::task]
fn pair((one, other): (u8, u8)) -> u8 {
    one + other
}

#[larder::task]
fn nameless(_: u8) {}

#[larder::task]
fn by_reference(ref value: u8) -> u8 {
    *value
}

fn main() {}
