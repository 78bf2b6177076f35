#[larder::task]
fn parameter(values: impl Iterator<Item = u8>) -> usize {
    values.count()
}

#[larder::task]
fn result() -> impl Iterator<Item = u8> {
    0..3
}

fn main() {}
