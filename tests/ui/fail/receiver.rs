struct Table;

impl Table {
    #[larder::task]
    fn rows(&self) -> u64 {
        0
    }
}

fn main() {}
