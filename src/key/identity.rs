//! Which function, in which version of its code: the first 32 bytes of every key.

use std::borrow::Cow;

use super::sink::Sink;
use crate::digest::Purpose;
use crate::memory::MethodCode;
use crate::task::{Dependency, Function};

/// A function as keys know it.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    name: Cow<'static, str>,
    /// The name without its path, where the path's end is something else: types have paths as well.
    short: Option<&'static str>,
    code: Code,
    version: u64,
    signature: Signature,
    digest: [u8; 32],
}

/// What stands for the code in a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// The digest that the attribute took of the function's tokens.
    Fingerprint([u8; 32]),
    /// A closure: only the name and version given by hand speak for it.
    GivenByHand,
}

/// Which arguments are in a key: the forms alone would not tell `ignore(a)` from `ignore(b)`.
#[derive(Clone, Copy, Debug)]
struct Signature {
    parameters: u32,
    ignored: u32,
}

/// The full path of a task: its type's, which knows the function around a function, as `module_path!` does not. Were the
/// compiler to spell it otherwise one day, results would be computed again.
pub(crate) fn path_of<T: Function>() -> &'static str {
    std::any::type_name::<T>()
}

/// The digest that stands for a function's code: its own, or one of it and of all it depends on.
fn code_with(fingerprint: [u8; 32], depends: &[Dependency]) -> Code {
    if depends.is_empty() {
        return Code::Fingerprint(fingerprint);
    }
    let mut sink = Sink::new(Purpose::Dependencies);
    sink.put(&fingerprint);
    put_dependencies(depends, &mut sink);
    Code::Fingerprint(sink.digest())
}

/// Each list behind its length, so that no two trees are one row of bytes.
fn put_dependencies(depends: &[Dependency], sink: &mut Sink) {
    sink.put(&(depends.len() as u64).to_le_bytes());
    for Dependency { name, fingerprint, version, depends } in depends {
        sink.put(&(name.len() as u64).to_le_bytes());
        sink.put(name.as_bytes());
        sink.put(fingerprint);
        sink.put(&version.to_le_bytes());
        put_dependencies(depends, sink);
    }
}

/// The path of a method's task without the constant that its type stands in, whose name nobody wrote.
fn without_constant(path: &'static str) -> Cow<'static, str> {
    let parts = path.split_once("__LARDER_TASK_OF_").and_then(|(own, rest)| Some((own, rest.split_once("::")?.1)));
    parts.map_or(Cow::Borrowed(path), |(own, method)| Cow::Owned(format!("{own}{method}")))
}

impl Identity {
    pub(crate) fn of_task<T: Function>() -> Identity {
        let shape = Signature { parameters: T::PARAMETERS.len() as u32, ignored: T::IGNORED };
        let code = code_with(T::FINGERPRINT, T::DEPENDS);
        let identity = Identity::new(without_constant(path_of::<T>()), code, T::VERSION, shape);
        Identity { short: T::NAME.rsplit("::").next(), ..identity }
    }

    /// A method: `path` knows its type and its instance.
    pub(crate) fn of_method(path: &'static str, method: &MethodCode) -> Identity {
        let shape = Signature { parameters: method.parameters.len() as u32, ignored: method.ignored };
        let code = code_with(method.fingerprint, method.depends);
        let identity = Identity::new(Cow::Borrowed(path), code, method.version, shape);
        Identity { short: Some(method.name), ..identity }
    }

    pub(crate) fn by_hand(name: String, version: u64) -> Identity {
        Identity::new(Cow::Owned(name), Code::GivenByHand, version, Signature { parameters: 1, ignored: 0 })
    }

    fn new(name: Cow<'static, str>, code: Code, version: u64, signature: Signature) -> Identity {
        let mut sink = Sink::new(Purpose::Function);
        sink.put(&(name.len() as u64).to_le_bytes());
        sink.put(name.as_bytes());
        match &code {
            Code::Fingerprint(fingerprint) => {
                sink.put(b"c");
                sink.put(fingerprint);
            }
            Code::GivenByHand => sink.put(b"h"),
        }
        sink.put(&version.to_le_bytes());
        sink.put(&signature.parameters.to_le_bytes());
        sink.put(&signature.ignored.to_le_bytes());
        let digest = sink.digest();
        Identity { name, short: None, code, version, signature, digest }
    }

    /// The same function with other code, as far as its parameters are the same.
    pub(crate) fn with_code(&self, fingerprint: Option<[u8; 32]>, version: u64) -> Identity {
        let code = fingerprint.map_or(Code::GivenByHand, Code::Fingerprint);
        Identity { short: self.short, ..Identity::new(self.name.clone(), code, version, self.signature) }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The last part of the name's path.
    pub(crate) fn short_name(&self) -> &str {
        self.short.unwrap_or_else(|| self.name.rsplit("::").next().unwrap_or(&self.name))
    }

    pub(crate) fn fingerprint(&self) -> Option<[u8; 32]> {
        match self.code {
            Code::Fingerprint(fingerprint) => Some(fingerprint),
            Code::GivenByHand => None,
        }
    }

    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    pub(crate) fn digest(&self) -> &[u8; 32] {
        &self.digest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_task_of_a_method_has_the_methods_path() {
        let path = "a::Model::__LARDER_TASK_OF_loss::loss<a::Model>";
        assert_eq!(without_constant(path), "a::Model::loss<a::Model>");
        assert_eq!(without_constant("a::loss<f64>"), "a::loss<f64>");
    }
}
