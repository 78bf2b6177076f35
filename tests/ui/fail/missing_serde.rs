#[derive(Clone)]
struct Table;

#[larder::task]
fn argument(row: u64, table: &Table) -> u64 {
    let _ = table;
    row
}

#[larder::task]
fn result(row: u64) -> Table {
    let _ = row;
    Table
}

#[larder::task]
fn ok_side(row: u64) -> Result<Table, String> {
    let _ = row;
    Ok(Table)
}

fn main() {}
