//! The wrappers of a generic function or of a method: one for each instance that is called.
//!
//! A `static` cannot be generic, so the instances of a function share one, and each call finds its own by the identity of
//! a type: that of the function's type, or for a method, of the closure that its body is. This costs a shared lock and the
//! search of a small tree, beside what a call costs otherwise. What is made once for an instance stays as long
//! as the program, as a `static` would: a program has as many instances as its compiler made.

use std::any::{Any, TypeId, type_name};
use std::collections::BTreeMap;
use std::sync::RwLock;

use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};

use super::arguments::{Arguments, Keyed, Made, MakeKey, Plain};
use super::cached::is_fixed;
use super::call::{Results, Subject};
use super::{Cached, Memory, NotStoredReason, Validity, global_memory};
use crate::key::{Identity, Layout};
use crate::lock::whole;
use crate::task::probe::Sharing;
use crate::task::{Dependency, Function, Input, Parameter, Setting};

/// Things of which there is one for each of some types.
struct ByType(RwLock<BTreeMap<TypeId, &'static (dyn Any + Send + Sync)>>);

impl ByType {
    const fn new() -> ByType {
        ByType(RwLock::new(BTreeMap::new()))
    }

    /// The one of this type, made at the first call; by two threads at once, the first one's is kept.
    fn get<T: Any + Send + Sync>(&self, of: TypeId, make: impl FnOnce() -> T) -> &'static T {
        let known = whole(self.0.read()).get(&of).copied();
        let one = known.unwrap_or_else(|| {
            // Not under the lock: what a user wrote is run to make it.
            let made = make();
            *whole(self.0.write()).entry(of).or_insert_with(|| Box::leak(Box::new(made)))
        });
        one.downcast_ref().expect("a type has things of one type here")
    }
}

/// The wrappers of one generic function.
pub struct Instances(ByType);

impl Instances {
    /// None yet, for a `static`.
    #[expect(clippy::new_without_default, reason = "written by macros only")]
    pub const fn new() -> Instances {
        Instances(ByType::new())
    }

    /// The wrapper of `T`, made with this memory at its first call.
    #[inline]
    pub fn get<T: Function>(&self, memory: impl FnOnce() -> Memory) -> &'static Cached<T> {
        self.0.get(TypeId::of::<T>(), || memory().cached())
    }

    /// The wrapper of `T`, made with the global memory at its first call.
    #[inline]
    pub fn get_global<T: Function>(&self) -> &'static Cached<T> {
        self.get(global_memory)
    }
}

/// What is known of a method without its types.
pub struct MethodCode {
    /// Its module and name.
    pub path: &'static str,
    /// Its name.
    pub name: &'static str,
    /// The digest of its code.
    pub fingerprint: [u8; 32],
    /// `version = N`.
    pub version: u64,
    /// The parameters in order, the receiver among them.
    pub parameters: &'static [Parameter],
    /// Which of them are not in the key.
    pub ignored: u32,
    /// `depends(..)`.
    pub depends: &'static [Dependency],
    /// What the code was made of, as [`Function::ITEMS`] says it.
    pub items: &'static str,
    /// What the code asks of the build.
    pub settings: &'static [Setting],
    /// `depends(file = "..", env = "..")`.
    pub inputs: &'static [Input],
    /// `toolchain = true`.
    pub toolchain: bool,
}

impl MethodCode {
    /// The method as others would depend on it.
    pub(crate) fn dependency(&self) -> Dependency {
        Dependency {
            name: self.path,
            fingerprint: self.fingerprint,
            version: self.version,
            depends: self.depends,
            items: self.items,
            settings: self.settings,
            inputs: self.inputs,
            toolchain: self.toolchain,
        }
    }
}

/// What is stored of a method's output `O`, and how: what `Function` says of a function.
pub struct Road<O, V> {
    /// The part of an output that is stored.
    pub stored: fn(&O) -> Result<&V, NotStoredReason>,
    /// The output that was stored so.
    pub restore: fn(V) -> O,
    /// How it is shared by clones in memory.
    pub sharing: fn() -> Option<Sharing<V>>,
    /// How long it holds.
    pub validity: fn() -> Validity,
}

/// A method with a memory in front of it.
struct CachedMethod<O, V> {
    memory: Memory,
    subject: Subject<O, V>,
}

/// One method, in all its instances.
pub struct MethodCell {
    code: MethodCode,
    instances: ByType,
}

impl MethodCell {
    /// For a `static`.
    pub const fn new(code: MethodCode) -> MethodCell {
        MethodCell { code, instances: ByType::new() }
    }

    /// Loads the result of a call, or computes and stores it. `compute` is a closure of the method, and known by its type.
    #[inline]
    pub fn call<A, O, V, F>(&'static self, memory: fn() -> Memory, road: Road<O, V>, args: A, compute: F) -> O
    where
        A: Serialize,
        O: 'static,
        V: Serialize + DeserializeOwned + 'static,
        F: FnOnce(A) -> O,
    {
        self.answer::<_, _, _, F>(memory, road, Plain(args), |Plain(args)| compute(args))
    }

    /// As [`call`](MethodCell::call), with another key than the arguments.
    pub fn call_keyed<A, O, V, K, F>(
        &'static self,
        memory: fn() -> Memory,
        road: Road<O, V>,
        args: A,
        key: K,
        compute: F,
    ) -> O
    where
        A: Serialize,
        O: 'static,
        V: Serialize + DeserializeOwned + 'static,
        K: Fn(&A, MakeKey<'_>) -> Made,
        F: FnOnce(A) -> O,
    {
        self.answer::<_, _, _, F>(memory, road, Keyed { args, key }, |Keyed { args, .. }| compute(args))
    }

    /// `F` is the closure that the method wrote.
    #[inline]
    fn answer<A, O, V, F>(
        &'static self,
        memory: fn() -> Memory,
        road: Road<O, V>,
        args: A,
        compute: impl FnOnce(A) -> O,
    ) -> O
    where
        A: Arguments,
        O: 'static,
        V: Serialize + DeserializeOwned + 'static,
    {
        let CachedMethod { memory, subject } =
            self.instances.get(typeid::of::<F>(), || self.instance::<_, _, F>(memory(), road));
        subject.call(memory, args, compute)
    }

    fn instance<O, V: Serialize + DeserializeOwned, F>(&self, memory: Memory, road: Road<O, V>) -> CachedMethod<O, V> {
        let closure = type_name::<F>();
        let path = closure.strip_suffix("::{{closure}}").unwrap_or(closure);
        let identity = Identity::of_method(path, &self.code);
        let results = Results {
            stored: road.stored,
            restore: road.restore,
            sharing: (road.sharing)().filter(|_| is_fixed::<V>()),
        };
        let layout = Layout::Tuple { ignored: self.code.ignored };
        let subject = Subject::new(identity, layout, self.code.parameters, results, (road.validity)());
        CachedMethod { memory, subject: subject.made_of(typeid::of::<F>()) }
    }
}

/// Stands among a method's arguments for a `self` that is not in the key.
pub struct NotInKey;

impl Serialize for NotInKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit_struct("_")
    }
}
