#[derive(serde::Serialize, serde::Deserialize)]
struct Table(Vec<f64>);

impl Table {
    #[larder::task]
    fn rows(&self) -> usize {
        self.0.len()
    }

    #[larder::cached(task)]
    fn columns(&self) -> usize {
        self.0.len()
    }

    #[larder::task(of = Self)]
    fn cells(&self) -> usize {
        self.0.len()
    }

    #[larder::cached]
    fn grown(&mut self) -> usize {
        self.0.push(1.0);
        self.0.len()
    }

    #[larder::cached]
    fn boxed(self: Box<Self>) -> usize {
        self.0.len()
    }

    #[larder::task(of = Table)]
    fn like<T: Into<f64>>(&self, other: T) -> bool {
        self.0[0] == other.into()
    }

    #[larder::cached(key = self.0.len())]
    fn consumed(self) -> usize {
        self.0.len()
    }

    #[larder::cached]
    async fn awaited(&self) -> usize {
        self.0.len()
    }
}

fn main() {}
