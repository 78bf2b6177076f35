use std::borrow::Cow;

#[larder::task]
fn written_to(values: &mut Vec<u8>) {
    values.clear();
}

#[larder::task]
fn inside(name: Option<&str>, names: &[&str]) -> usize {
    name.map_or(0, str::len) + names.len()
}

#[larder::task]
fn named(name: &'static str, other: Cow<'_, str>) -> usize {
    name.len() + other.len()
}

fn main() {}
