//! What do workers and a cache bring? The mean of every column of a table, three times: in a plain loop, on many
//! workers, and from the cache.
//!
//! `cargo run --release --example column_mean`; with `--cache DIR`, a second run of the program computes nothing.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use common::{Stop, timed};
use csv::ByteRecord;
use larder::{Memory, Parallel, Payload, delayed};
use lexopt::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

const HELP: &str = "\
Computes the mean of each numeric column of a CSV file: sequentially, in parallel, and from the cache.

Usage: column_mean [options]

Options:
  --csv PATH       the table, with a header row [default: the weather.csv of the examples]
  --jobs N         workers; -1 is every core, -2 all but one [default: -1]
  --sleep SECONDS  how long each mean pretends to take [default: 0.1]
  --cache DIR      keep the means here [default: a temporary folder, removed at the end]
  --json           print one JSON object
  --help           print this

Empty cells and `NA` are skipped. A column is numeric if every other cell of it is a finite number and there is at
least one; numbers that are labels, such as years, count too. Other columns are named on stderr and skipped.

The sequential run does not use the cache. In the JSON object, `cache` counts what the other two runs together found
in it (hits) and computed (misses).

Complaints about the file give the line and the column; columns are counted in cells, and both begin at 1.";

/// A numeric column, without its missing values.
#[derive(Serialize, Deserialize)]
struct Column {
    name: String,
    values: Vec<f64>,
}

/// The task. Its result depends on the table and the column, so these make the key; `sleep` does not enter it.
#[larder::task(ignore(sleep))]
fn column_mean(column: usize, table: &Payload<Vec<Column>>, sleep: Duration) -> f64 {
    thread::sleep(sleep); // imagine an expensive model here
    let values = &table[column].values;
    let mut sum = 0.0;
    for value in values {
        sum += value;
    }
    sum / values.len() as f64
}

fn run(options: &Options) -> Result<(), Stop> {
    let Csv { rows, numeric, skipped } = read(&options.csv)?;
    for words in skipped {
        eprintln!("skipped: {words}");
    }
    // All calls share the payload, and it is hashed once for all their keys.
    let table = Payload::new(numeric);
    let columns = 0..table.len();
    let sleep = options.sleep;

    let temporary;
    let location = match &options.cache {
        Some(folder) => folder.as_path(),
        None => {
            temporary = tempfile::tempdir().map_err(|error| Stop::Failed(format!("no temporary folder: {error}")))?;
            temporary.path()
        }
    };
    let memory = Memory::open(location)?;
    let workers = Parallel::new().n_jobs(options.jobs).memory(&memory);
    let all_columns = || workers.run(columns.clone().map(|column| delayed!(column_mean(column, &table, sleep))));

    // A task is still a function: the plain loop calls it.
    let (means, sequential) =
        timed(|| -> Vec<f64> { columns.clone().map(|column| column_mean(column, &table, sleep)).collect() });
    let (in_parallel, parallel) = timed(all_columns);
    let computed = memory.stats().misses();
    let (from_cache, cached) = timed(all_columns);
    if let Some(column) = means.iter().position(|mean| !mean.is_finite()) {
        return Err(Stop::Failed(format!("the sum of column `{}` is too large", table[column].name)));
    }
    if in_parallel? != means || from_cache? != means {
        return Err(Stop::Failed("the three runs do not agree".to_owned()));
    }

    let stats = memory.stats();
    if options.json {
        let by_name = |value: &dyn Fn(usize) -> Value| -> Map<String, Value> {
            columns.clone().map(|column| (table[column].name.clone(), value(column))).collect()
        };
        let report = json!({
            "rows": rows,
            "means": by_name(&|column| json!(means[column])),
            "counts": by_name(&|column| json!(table[column].values.len())),
            "seconds": { "sequential": sequential, "parallel": parallel, "cached": cached },
            "cache": { "hits": stats.hits(), "misses": stats.misses() },
        });
        println!("{report}");
        return Ok(());
    }
    println!("{:<16}{:>8}  {:>20}", "column", "values", "mean");
    for (Column { name, values }, mean) in table.iter().zip(&means) {
        println!("{name:<16}{:>8}  {mean:>20.9}", values.len());
    }
    println!("\n{rows} rows, {} numeric columns, {sleep:?} of sleep in each task\n", table.len());
    println!("{:<10}{:>12}{:>12}{:>12}", "", "sequential", "parallel", "cached");
    println!("{:<10}{sequential:>12.4}{parallel:>12.4}{cached:>12.4}", "seconds");
    println!("{:<10}{:>12}{computed:>12}{:>12}", "computed", table.len(), stats.misses() - computed);
    Ok(())
}

/// What a CSV file holds.
struct Csv {
    rows: usize,
    numeric: Vec<Column>,
    /// Why each other column is none of them.
    skipped: Vec<String>,
}

/// Reads the numeric columns of a CSV file.
fn read(path: &Path) -> Result<Csv, Stop> {
    let failed = |words: String| Stop::Failed(format!("`{}`: {words}", path.display()));
    let bytes = fs::read(path).map_err(|error| failed(error.to_string()))?;
    let complain = |line: usize, cell: usize, words: &str| failed(format!("line {line}, column {}: {words}", cell + 1));
    let complain_at = |record: &ByteRecord, cell, words: &str| complain(line(&bytes, record, cell), cell, words);
    let mut records =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes.as_slice()).into_byte_records();

    let Some(header) = records.next() else {
        return Err(complain(1, 0, "the file is empty: a header row is wanted"));
    };
    let header = header.map_err(|error| failed(error.to_string()))?;
    let mut columns = Vec::<Column>::new();
    for cell in 0..header.len() {
        let name = text(&header, cell).map_err(|words| complain_at(&header, cell, &words))?;
        if let Some(first) = columns.iter().position(|column| column.name == name) {
            return Err(complain_at(&header, cell, &format!("`{name}` is the name of column {} already", first + 1)));
        }
        columns.push(Column { name: name.to_owned(), values: Vec::new() });
    }

    let mut rows = 0;
    // Where a column has a cell that is no number.
    let mut refused: Vec<Option<(usize, String)>> = vec![None; columns.len()];
    for record in records {
        let record = record.map_err(|error| failed(error.to_string()))?;
        rows += 1;
        let (length, wanted) = (record.len(), columns.len());
        if length != wanted {
            let words = format!("a row of length {length} below a header of length {wanted}");
            return Err(complain_at(&record, length.min(wanted), &words));
        }
        for (cell, column) in columns.iter_mut().enumerate() {
            let text = text(&record, cell).map_err(|words| complain_at(&record, cell, &words))?;
            if text.is_empty() || text == "NA" || refused[cell].is_some() {
                continue;
            }
            match text.parse::<f64>() {
                Ok(number) if number.is_finite() => column.values.push(number),
                _ => refused[cell] = Some((line(&bytes, &record, cell), text.chars().take(40).collect())),
            }
        }
    }
    if rows == 0 {
        return Err(complain(2, 0, "no rows below the header"));
    }

    let (mut numeric, mut skipped) = (Vec::new(), Vec::new());
    for (column, refused) in columns.into_iter().zip(&refused) {
        match refused {
            Some((line, text)) => skipped.push(format!("`{}` is not numeric: {text:?} in line {line}", column.name)),
            None if column.values.is_empty() => skipped.push(format!("`{}` has no values", column.name)),
            None => numeric.push(column),
        }
    }
    if numeric.is_empty() {
        let first = refused.iter().enumerate().find_map(|(cell, refused)| Some((cell, refused.as_ref()?)));
        return Err(match first {
            Some((cell, (line, text))) => complain(*line, cell, &format!("no numeric column: {text:?} is no number")),
            None => complain(2, 0, "no numeric column: every cell is empty or `NA`"),
        });
    }
    Ok(Csv { rows, numeric, skipped })
}

/// The text of a cell, without the spaces around it.
fn text(record: &ByteRecord, cell: usize) -> Result<&str, String> {
    let text = str::from_utf8(&record[cell]).map_err(|error| format!("not UTF-8 text: {error}"))?;
    Ok(text.trim())
}

/// The line of the file in which a cell begins.
fn line(bytes: &[u8], record: &ByteRecord, cell: usize) -> usize {
    let breaks = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'\n').count();
    // The reader's position is behind the record before; a line break and empty lines may follow there.
    let behind = record.position().map_or(0, |position| position.byte() as usize).min(bytes.len());
    let empty = bytes[behind..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    1 + breaks(&bytes[..behind + empty]) + record.iter().take(cell).map(breaks).sum::<usize>()
}

struct Options {
    csv: PathBuf,
    jobs: i32,
    sleep: Duration,
    cache: Option<PathBuf>,
    json: bool,
}

fn options() -> Result<Options, Stop> {
    let mut options = Options {
        csv: Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/data/weather.csv"),
        jobs: -1,
        sleep: Duration::from_millis(100),
        cache: None,
        json: false,
    };
    let mut args = lexopt::Parser::from_env();
    while let Some(arg) = args.next()? {
        match arg {
            Long("csv") => options.csv = args.value()?.into(),
            Long("jobs") => options.jobs = common::value(&mut args, "--jobs")?,
            Long("sleep") => {
                let seconds = common::value(&mut args, "--sleep")?;
                options.sleep = Duration::try_from_secs_f64(seconds)
                    .map_err(|error| Stop::Usage(format!("`--sleep {seconds}`: {error}")))?;
            }
            Long("cache") => options.cache = Some(args.value()?.into()),
            Long("json") => options.json = true,
            Long("help") | Short('h') => return Err(Stop::Help(HELP)),
            other => return Err(other.unexpected().into()),
        }
    }
    larder::effective_n_jobs(options.jobs)?; // 0 means nothing, and is said before the work
    Ok(options)
}

fn main() -> ExitCode {
    common::exit(options().and_then(|options| run(&options)))
}
