use larder::delayed;

struct Model;

impl Model {
    fn plain(&self) {}
}

#[larder::cached]
async fn awaited() {}

fn main() {
    let _ = delayed!(Model::plain(&Model));
    let _ = delayed!(awaited());
    let _ = delayed!(|x| x);
    let _ = delayed!(1 + 1);
}
