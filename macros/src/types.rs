//! The types in a signature: which are refused, and how an argument is passed and owned.

use proc_macro2::{Group, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::visit::Visit;
use syn::{
    Expr, GenericArgument, Generics, Lifetime, PathArguments, Type, TypeFnPtr, TypeImplTrait, TypePath, TypePtr,
};
use syn::{TypeReference, TypeTraitObject};

use crate::attribute::Shape;
use crate::problems::Problems;

/// How a parameter takes its argument.
pub(crate) enum Passing {
    /// `T`
    Value(Type),
    /// `&T`, with the `T`
    Borrowed(Type),
}

impl Passing {
    /// Sorts a parameter's type, and refuses what a task cannot take.
    ///
    /// A method with a cache of its own sends nothing, and its types are never spelled out: there serde has the say alone.
    pub(crate) fn check(ty: &Type, shape: &Shape, generics: &Generics, problems: &mut Problems) -> Passing {
        let sent = !matches!(shape, Shape::Method);
        let Type::Reference(reference) = bare(ty) else {
            if sent {
                refuse(ty, Place::Argument, problems);
            }
            return Passing::Value(bare(ty).clone());
        };
        if reference.mutability.is_some() {
            let message =
                "a task cannot write to its arguments: take a value or a `&` reference, and return what changed";
            problems.at(reference, message);
        }
        if sent {
            // A lifetime of the function's own is the call's, whatever it is called.
            let own = |lifetime: &&Lifetime| generics.lifetimes().any(|one| one.lifetime == **lifetime);
            if let Some(lifetime) = reference.lifetime.as_ref().filter(|lifetime| !own(lifetime)) {
                problems.at(lifetime, "an argument is borrowed for one call: leave the lifetime out");
            }
            refuse(&reference.elem, Place::Argument, problems);
        }
        Passing::Borrowed(bare(&reference.elem).clone())
    }

    /// The type in `Task::Args<'larder>`.
    pub(crate) fn argument(&self) -> TokenStream {
        match self {
            Passing::Value(ty) => ty.into_token_stream(),
            Passing::Borrowed(ty) => quote! { &'larder #ty },
        }
    }

    /// The type a worker decodes.
    pub(crate) fn owned(&self) -> TokenStream {
        match self {
            Passing::Value(ty) => ty.into_token_stream(),
            Passing::Borrowed(Type::Slice(slice)) => {
                let element = &slice.elem;
                quote! { ::std::vec::Vec<#element> }
            }
            Passing::Borrowed(ty) => match last_segment(ty).as_deref() {
                Some("str") => quote! { ::std::string::String },
                Some("Path") => quote! { ::std::path::PathBuf },
                _ => ty.into_token_stream(),
            },
        }
    }

    /// What to write before a decoded argument to pass it.
    pub(crate) fn reference(&self) -> Option<TokenStream> {
        matches!(self, Passing::Borrowed(_)).then(|| quote! { & })
    }
}

/// Whether a return type goes by the name `Result`, under any path. What it really is, the compiler decides.
pub(crate) fn is_called_result(ty: &Type) -> bool {
    matches!(bare(ty), Type::Path(path) if path.path.segments.last().is_some_and(|last| last.ident == "Result"))
}

/// Refuses return types that cannot be stored; `result` says that it is a `Result` by whatever name.
pub(crate) fn check_output(ty: &Type, result: bool, problems: &mut Problems) {
    match bare(ty) {
        Type::Never(never) => {
            problems.at(never, "a function that never returns has no result to store: give it a return type");
        }
        Type::Path(path) if result || is_called_result(ty) => {
            let Some(last) = path.path.segments.last() else { return };
            let PathArguments::AngleBracketed(arguments) = &last.arguments else { return };
            // Only the first argument is stored; an error may hold what cannot be, `Box<dyn Error>` above all.
            let mut place = Place::Result;
            for argument in &arguments.args {
                Refusal { place, problems: &mut *problems }.visit_generic_argument(argument);
                if matches!(argument, GenericArgument::Type(_)) {
                    place = Place::Error;
                }
            }
        }
        ty => refuse(ty, Place::Result, problems),
    }
}

/// A type out of the invisible groups that `macro_rules!` puts around `$t:ty`, and out of parentheses.
pub(crate) fn bare(ty: &Type) -> &Type {
    match ty {
        Type::Group(group) => bare(&group.elem),
        Type::Paren(paren) => bare(&paren.elem),
        ty => ty,
    }
}

/// The last path segment of a type without generic arguments.
fn last_segment(ty: &Type) -> Option<String> {
    let Type::Path(TypePath { qself: None, path, .. }) = ty else { return None };
    let last = path.segments.last()?;
    last.arguments.is_none().then(|| last.ident.to_string())
}

/// Where a type stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In a parameter, below a leading `&`.
    Argument,
    /// In the part of a return type that is stored.
    Result,
    /// In the error of a return type.
    Error,
}

fn refuse(ty: &Type, place: Place, problems: &mut Problems) {
    Refusal { place, problems }.visit_type(ty);
}

struct Refusal<'p> {
    place: Place,
    problems: &'p mut Problems,
}

impl Visit<'_> for Refusal<'_> {
    fn visit_type_reference(&mut self, reference: &TypeReference) {
        let message = match self.place {
            Place::Argument => {
                "a reference inside a type cannot be sent to a worker: use an owned type, such as `String` for `&str`"
            }
            Place::Result => "a stored result cannot borrow: return an owned type, such as `String` for `&str`",
            Place::Error if reference.lifetime.as_ref().is_some_and(is_static) => {
                return self.visit_type(&reference.elem);
            }
            Place::Error => "an error outlives the call's arguments: use an owned type, or a `&'static` one",
        };
        self.problems.at(reference, message);
    }

    fn visit_lifetime(&mut self, lifetime: &Lifetime) {
        let message = match self.place {
            Place::Argument => "a type that borrows cannot be sent to a worker: use an owned type",
            Place::Result => "a stored result cannot borrow: return an owned type",
            Place::Error if is_static(lifetime) => return,
            Place::Error => "an error outlives the call's arguments: use an owned type",
        };
        self.problems.at(lifetime, message);
    }

    fn visit_type_impl_trait(&mut self, hidden: &TypeImplTrait) {
        self.problems.at(hidden, "`impl Trait` hides a type that the key and the workers need: name the type");
    }

    fn visit_type_trait_object(&mut self, object: &TypeTraitObject) {
        match self.place {
            Place::Argument => {
                self.problems.at(object, "a `dyn` value cannot be sent to a worker: name a concrete type")
            }
            Place::Result => self.problems.at(object, "a `dyn` value cannot be stored: return a concrete type"),
            Place::Error => {}
        }
    }

    fn visit_type_fn_ptr(&mut self, pointer: &TypeFnPtr) {
        if self.place != Place::Error {
            let message = "a function pointer means nothing in another process: use an enum that names the choices";
            self.problems.at(pointer, message);
        }
    }

    fn visit_type_ptr(&mut self, pointer: &TypePtr) {
        if self.place != Place::Error {
            self.problems.at(pointer, "a pointer means nothing in another process: use a value or a reference");
        }
    }

    /// Array lengths and const arguments are no types; a `&` in them is an operator.
    fn visit_expr(&mut self, _: &Expr) {}
}

/// Whether `Self` is in a signature: only what stands in an `impl` or a trait can say it.
pub(crate) fn mentions_self(tokens: TokenStream) -> bool {
    tokens.into_iter().any(|tree| match tree {
        TokenTree::Ident(word) => word == "Self" || word == "self",
        TokenTree::Group(group) => mentions_self(group.stream()),
        _ => false,
    })
}

/// The type with another one's name for `Self`, for where there is no `Self`.
pub(crate) fn without_self(ty: &Type, own: &Type) -> Type {
    // What does not parse was no type before either, and is reported as it stands.
    syn::parse2(replaced(ty.to_token_stream(), own)).unwrap_or_else(|_| ty.clone())
}

fn replaced(tokens: TokenStream, own: &Type) -> TokenStream {
    let mut trees = tokens.into_iter().peekable();
    let mut all = TokenStream::new();
    while let Some(tree) = trees.next() {
        match tree {
            TokenTree::Ident(word) if word == "Self" => match trees.peek() {
                Some(TokenTree::Punct(next)) if next.as_char() == ':' => all.extend(quote! { <#own> }),
                _ => all.extend(quote! { #own }),
            },
            TokenTree::Group(group) => {
                let mut other = Group::new(group.delimiter(), replaced(group.stream(), own));
                other.set_span(group.span());
                all.extend([TokenTree::Group(other)]);
            }
            other => all.extend([other]),
        }
    }
    all
}

fn is_static(lifetime: &Lifetime) -> bool {
    lifetime.ident == "static"
}
