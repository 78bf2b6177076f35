#[larder::cached(ignore(thread))]
fn misspelled(row: u64, threads: u64) -> u64 {
    row + threads
}

#[larder::cached(ignore(threads))]
fn without_parameters() {}

#[larder::cached(ignore("row"))]
fn quoted(row: u64) -> u64 {
    row
}

#[larder::cached(ignore = "row")]
fn assigned(row: u64) -> u64 {
    row
}

#[larder::cached(ignore(row, row))]
fn twice(row: u64) -> u64 {
    row
}

#[larder::cached(ignore())]
fn nothing(row: u64) -> u64 {
    row
}

fn main() {}
