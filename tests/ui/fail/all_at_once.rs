#[larder::task(speed = 1, ignore(y))]
async fn everything<'a>((x, _): (u8, &'a str), z: &mut u8) -> &'a str {
    ""
}

fn main() {}
