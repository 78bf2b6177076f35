//! The error side of a task's result.

use std::error::Error as StdError;
use std::fmt;

/// What a task's `Err` became on its way to the caller: its text, and the error itself where its type allows.
#[derive(Debug)]
pub struct TaskError {
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl TaskError {
    /// An error known by its text alone.
    pub(crate) fn from_message(message: String) -> TaskError {
        TaskError { message, source: None }
    }

    /// An error kept whole, so that a caller can downcast it.
    pub(crate) fn from_error(error: Box<dyn StdError + Send + Sync>) -> TaskError {
        TaskError { message: error.to_string(), source: Some(error) }
    }

    /// The error's text.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for TaskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl StdError for TaskError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
