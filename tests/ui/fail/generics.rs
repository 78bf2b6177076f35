#[larder::task]
fn types<T: Clone>(value: T) -> T {
    value
}

#[larder::task]
fn constants<const N: usize>(values: [u8; N]) {
    let _ = values;
}

#[larder::task]
fn lifetimes<'a>(text: &'a str) -> usize {
    text.len()
}

#[larder::task]
fn clause(value: u8)
where
    u8: Copy,
{
    let _ = value;
}

fn main() {}
