#[larder::task]
struct Table;

#[larder::cached]
const ROWS: usize = 1;

fn main() {}
