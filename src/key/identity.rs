//! Which function, in which version of its code: the first 32 bytes of every key.

use std::borrow::Cow;

use super::sink::Sink;
use crate::digest::Purpose;
use crate::memory::MethodCode;
use crate::task::code::TOOLCHAIN;
use crate::task::dependency::Depended;
use crate::task::{Dependency, Function, Input, Setting};

/// A function as keys know it.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    name: Cow<'static, str>,
    /// The name without its path, where the path's end is something else: types have paths as well.
    short: Option<&'static str>,
    code: Code,
    version: u64,
    signature: Signature,
    /// What its code is, where it has one and it is this program's.
    made_of: Option<Dependency>,
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

/// What is in a key: the forms alone would not tell `ignore(a)` from `ignore(b)`.
#[derive(Clone, Debug)]
struct Signature {
    parameters: u32,
    ignored: u32,
    /// What it reads, and those it depends on.
    inputs: Vec<Input>,
}

/// The full path of a task: its type's, which knows the function around a function, as `module_path!` does not. Were the
/// compiler to spell it otherwise one day, results would be computed again.
pub(crate) fn path_of<T: Function>() -> &'static str {
    std::any::type_name::<T>()
}

/// The digest that stands for a function's code: its own, or one of it and of all else that decides.
fn code_of(own: &Dependency) -> Code {
    if own.depends.is_empty() && own.settings.is_empty() && !own.toolchain {
        return Code::Fingerprint(own.fingerprint);
    }
    let mut sink = Sink::new(Purpose::Dependencies);
    sink.put(&own.fingerprint);
    put_build(own, &mut sink);
    put_dependencies(own.depends, &mut sink);
    Code::Fingerprint(sink.digest())
}

/// What the build says to a function's code.
fn put_build(code: &Dependency, sink: &mut Sink) {
    sink.put(&(code.settings.len() as u64).to_le_bytes());
    for Setting { name, value } in code.settings {
        put_text(name, sink);
        put_optional(*value, sink);
    }
    put_optional(code.toolchain.then_some(TOOLCHAIN), sink);
}

/// Each list behind its length, so that no two trees are one row of bytes.
fn put_dependencies(depends: &[Dependency], sink: &mut Sink) {
    sink.put(&(depends.len() as u64).to_le_bytes());
    for other in depends {
        put_text(other.name, sink);
        sink.put(&other.fingerprint);
        sink.put(&other.version.to_le_bytes());
        put_build(other, sink);
        put_dependencies(other.depends, sink);
    }
}

fn put_text(text: &str, sink: &mut Sink) {
    sink.put(&(text.len() as u64).to_le_bytes());
    sink.put(text.as_bytes());
}

fn put_optional(text: Option<&str>, sink: &mut Sink) {
    match text {
        Some(text) => {
            sink.put(&[1]);
            put_text(text, sink);
        }
        None => sink.put(&[0]),
    }
}

/// The path of a method's task without the constant that its type stands in, whose name nobody wrote.
fn without_constant(path: &'static str) -> Cow<'static, str> {
    let parts = path.split_once("__LARDER_TASK_OF_").and_then(|(own, rest)| Some((own, rest.split_once("::")?.1)));
    parts.map_or(Cow::Borrowed(path), |(own, method)| Cow::Owned(format!("{own}{method}")))
}

impl Identity {
    pub(crate) fn of_task<T: Function>() -> Identity {
        let made_of = T::DEPENDENCY;
        let inputs = made_of.all_inputs();
        let shape = Signature { parameters: T::PARAMETERS.len() as u32, ignored: T::IGNORED, inputs };
        let identity = Identity::new(without_constant(path_of::<T>()), code_of(&made_of), T::VERSION, shape);
        Identity { short: T::NAME.rsplit("::").next(), made_of: Some(made_of), ..identity }
    }

    /// A method: `path` knows its type and its instance.
    pub(crate) fn of_method(path: &'static str, method: &MethodCode) -> Identity {
        let made_of = method.dependency();
        let inputs = made_of.all_inputs();
        let shape = Signature { parameters: method.parameters.len() as u32, ignored: method.ignored, inputs };
        let identity = Identity::new(Cow::Borrowed(path), code_of(&made_of), method.version, shape);
        Identity { short: Some(method.name), made_of: Some(made_of), ..identity }
    }

    pub(crate) fn by_hand(name: String, version: u64) -> Identity {
        Identity::new(
            Cow::Owned(name),
            Code::GivenByHand,
            version,
            Signature { parameters: 1, ignored: 0, inputs: Vec::new() },
        )
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
        if !signature.inputs.is_empty() {
            sink.put(&(signature.inputs.len() as u64).to_le_bytes());
            for input in &signature.inputs {
                let (kind, name) = match input {
                    Input::File(path) => (b"f", path),
                    Input::Env(name) => (b"e", name),
                };
                sink.put(kind);
                put_text(name, &mut sink);
            }
        }
        let digest = sink.digest();
        Identity { name, short: None, code, version, signature, made_of: None, digest }
    }

    /// The same function with other code, as far as its parameters are the same.
    pub(crate) fn with_code(&self, fingerprint: Option<[u8; 32]>, version: u64) -> Identity {
        let code = fingerprint.map_or(Code::GivenByHand, Code::Fingerprint);
        Identity { short: self.short, ..Identity::new(self.name.clone(), code, version, self.signature.clone()) }
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

    /// What its code is, where it has one and it is this program's.
    pub(crate) fn made_of(&self) -> Option<&Dependency> {
        self.made_of.as_ref()
    }

    /// What is read when a call is made.
    pub(crate) fn inputs(&self) -> &[Input] {
        &self.signature.inputs
    }

    pub(crate) fn digest(&self) -> &[u8; 32] {
        &self.digest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BARE: Dependency = Dependency {
        name: "app::f",
        fingerprint: [1; 32],
        version: 0,
        depends: &[],
        items: "",
        settings: &[],
        inputs: &[],
        toolchain: false,
    };

    #[test]
    fn code_without_more_is_its_fingerprint() {
        let items = Dependency { items: "0123456789abcdef\tfn f\tsrc/f.rs", version: 7, ..BARE };
        for code in [BARE, items, Dependency { inputs: &[Input::Env("A")], ..BARE }] {
            assert_eq!(code_of(&code), Code::Fingerprint(BARE.fingerprint));
        }
    }

    #[test]
    fn all_that_decides_is_in_the_code() {
        const OFF: Setting = Setting { name: "cfg(unix)", value: None };
        const EMPTY: Setting = Setting { name: "cfg(unix)", value: Some("") };
        const ON: Setting = Setting { name: "cfg(unix)", value: Some("set") };
        const HELPER: Dependency = Dependency { name: "app::g", ..BARE };
        let codes = [
            BARE,
            Dependency { settings: &[OFF], ..BARE },
            Dependency { settings: &[EMPTY], ..BARE },
            Dependency { settings: &[ON], ..BARE },
            Dependency { settings: &[ON, OFF], ..BARE },
            Dependency { settings: &[OFF, ON], ..BARE },
            Dependency { toolchain: true, ..BARE },
            Dependency { toolchain: true, settings: &[OFF], ..BARE },
            Dependency { depends: &[HELPER], ..BARE },
            Dependency { depends: &[HELPER, HELPER], ..BARE },
            Dependency { depends: &[Dependency { version: 1, ..HELPER }], ..BARE },
            Dependency { depends: &[Dependency { fingerprint: [2; 32], ..HELPER }], ..BARE },
            Dependency { depends: &[Dependency { settings: &[ON], ..HELPER }], ..BARE },
            Dependency { depends: &[Dependency { settings: &[OFF], ..HELPER }], ..BARE },
            Dependency { depends: &[Dependency { toolchain: true, ..HELPER }], ..BARE },
            Dependency { depends: &[Dependency { depends: &[HELPER], ..HELPER }], ..BARE },
            Dependency { depends: &[HELPER], settings: &[ON], toolchain: true, ..BARE },
        ];
        for (at, code) in codes.iter().enumerate() {
            let same = codes[..at].iter().position(|other| code_of(other) == code_of(code));
            assert_eq!(same, None, "{code:?}");
        }
    }

    #[test]
    fn what_is_read_is_in_the_identity() {
        const INNER: Dependency = Dependency { inputs: &[Input::File("b"), Input::File("a")], ..BARE };
        let read = |inputs, depends| Dependency { inputs, depends, ..BARE }.all_inputs();
        assert_eq!(read(&[Input::File("a")], &[INNER]), [Input::File("a"), Input::File("b")]);
        let all = [
            Vec::new(),
            vec![Input::File("a")],
            vec![Input::Env("a")],
            vec![Input::File("a"), Input::Env("b")],
            vec![Input::File("ab")],
            vec![Input::Env("b"), Input::File("a")],
        ];
        let digest = |inputs: &Vec<Input>| {
            let shape = Signature { parameters: 1, ignored: 0, inputs: inputs.clone() };
            *Identity::new("f".into(), Code::Fingerprint([1; 32]), 1, shape).digest()
        };
        for (at, inputs) in all.iter().enumerate() {
            assert!(all[..at].iter().all(|other| digest(other) != digest(inputs)), "{inputs:?}");
        }
        let by_hand = Identity::by_hand("f".to_owned(), 1);
        assert_eq!(by_hand.with_code(None, 1).digest(), by_hand.digest());
    }

    #[test]
    fn the_task_of_a_method_has_the_methods_path() {
        let path = "a::Model::__LARDER_TASK_OF_loss::loss<a::Model>";
        assert_eq!(without_constant(path), "a::Model::loss<a::Model>");
        assert_eq!(without_constant("a::loss<f64>"), "a::loss<f64>");
    }
}
