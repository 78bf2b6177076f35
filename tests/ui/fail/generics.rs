#[larder::task]
fn bound_by_its_argument<'a, T: From<&'a str> + serde::Serialize>(text: &'a str, value: T) -> usize {
    let _ = (text, value);
    0
}

#[larder::cached]
fn bound_in_a_clause<'a, T: serde::Serialize>(text: &'a str, value: T) -> usize
where
    T: PartialEq<&'a str>,
{
    let _ = (text, value);
    0
}

#[larder::cached]
fn without_serde<T: Clone>(value: T) -> usize {
    let _ = value;
    0
}

fn main() {}
