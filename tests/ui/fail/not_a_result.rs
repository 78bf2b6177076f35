struct Result;

#[larder::task]
fn other() -> Result {
    Result
}

fn main() {}
