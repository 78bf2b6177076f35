#[larder::task]
fn borrowed(name: &str) -> &str {
    name
}

#[larder::task]
fn borrowed_ok() -> Result<&'static str, String> {
    Ok("name")
}

#[larder::task]
fn never() -> ! {
    panic!()
}

#[larder::task]
fn dynamic() -> Box<dyn Fn() -> u8> {
    Box::new(|| 1)
}

fn main() {}
