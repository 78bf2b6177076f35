#[larder::task]
#[larder::cached]
fn one_order(row: u64) -> u64 {
    row
}

#[larder::cached]
#[larder::task]
fn other_order(row: u64) -> u64 {
    row
}

fn main() {
    one_order(other_order(1));
}
