//! Tables as CSV, Parquet and Arrow IPC: one reader and one writer for all of them, batch by batch, and the predictions of tables of jobs.
//!
//! A table's format is found out from its first bytes when it is read, and from the suffix of its name when it is written. Its columns
//! hold text, numbers or truths; what is nested or has another type is refused.
//!
//! ```
//! use wattlaw_table::{Table, TableFormat, Writer, typed};
//!
//! let batch = typed("gpu,gpus\nh100,8\na100,\n")?;
//! let mut file = Vec::new();
//! let mut writer = Writer::new(TableFormat::Parquet, &batch.schema(), &mut file)?;
//! writer.write(&batch)?;
//! writer.finish()?;
//! let table = Table::from_bytes(file.into(), "runs.parquet")?;
//! assert_eq!(table.csv()?, "gpu,gpus\nh100,8\na100,\n");
//! # Ok::<(), wattlaw::Error>(())
//! ```

mod cells;
mod columns;
mod csv_batches;
mod format;
mod guard;
mod ipc;
mod jobs;
mod parquet_batches;
mod shapes;
mod table;
mod text;
mod write;

pub use arrow_array::RecordBatch;
pub use arrow_schema::Schema;
pub use format::TableFormat;
pub use jobs::{Jobs, Predicted, Question, RowErrors};
pub use table::Table;
pub use text::{csv, run_table, typed};
pub use write::Writer;
