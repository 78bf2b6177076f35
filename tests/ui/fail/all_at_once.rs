#[larder::task(speed = 1, ignore(y))]
async fn everything<'a, T>((x, _): (T, &'a str), z: &mut u8) -> &'a str {
    ""
}

fn main() {}
