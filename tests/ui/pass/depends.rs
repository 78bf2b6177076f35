//! `depends(..)` takes what has an attribute, and any item that can be seen.

use larder::Function;

mod tables {
    pub(crate) const FACTOR: u64 = 3;
    pub(crate) struct Row;
    impl Row {
        pub(crate) fn weigh() -> u64 {
            FACTOR
        }
    }
}

fn plain() {}

#[larder::task]
fn annotated() {}

#[larder::task(depends(plain, tables::Row, tables::Row::weigh, tables::FACTOR, annotated))]
fn on_all() {}

fn main() {
    plain();
    annotated();
    on_all();
    assert_eq!(tables::Row::weigh(), 3);
    // The others are items of the code.
    assert_eq!(on_all::DEPENDS.len(), 1);
    for item in ["fn plain", "struct Row", "fn Row::weigh", "const FACTOR"] {
        assert!(on_all::ITEMS.contains(item), "{}", on_all::ITEMS);
    }
}
