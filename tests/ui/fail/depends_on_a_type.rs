#[larder::task(depends(std::net::IpAddr))]
fn on_a_type_of_another_crate() {}

fn main() {}
