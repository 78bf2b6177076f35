//! The type and const parameters of a generic function, as the type of its name needs them.
//!
//! Lifetimes are not among them: each argument is borrowed for one call, whatever its lifetime is called.

use proc_macro2::{Ident, TokenStream};
use quote::{ToTokens, quote};
use syn::visit::{self, Visit};
use syn::{GenericParam, Generics, Lifetime, Token, Type, TypeParam, TypeParamBound, WherePredicate, parse_quote};

use crate::problems::Problems;

/// What tells the instances of a generic function apart; empty where there is one.
#[derive(Default)]
pub(crate) struct Instance {
    /// Type parameters with their bounds and `'static`, const parameters.
    params: Vec<GenericParam>,
    clause: Vec<WherePredicate>,
}

impl Instance {
    /// Reads the generics of a function.
    pub(crate) fn of(generics: &Generics, problems: &mut Problems) -> Instance {
        let lifetimes: Vec<&Ident> = generics.lifetimes().map(|one| &one.lifetime.ident).collect();
        let mut instance = Instance::default();
        for param in &generics.params {
            let mut param = param.clone();
            match &mut param {
                GenericParam::Lifetime(_) => continue,
                GenericParam::Type(ty) => outlive(ty),
                GenericParam::Const(_) => {}
            }
            refuse(&lifetimes, &param, problems);
            instance.params.push(param);
        }
        for predicate in generics.where_clause.iter().flat_map(|clause| &clause.predicates) {
            let mut predicate = predicate.clone();
            match &mut predicate {
                WherePredicate::Lifetime(_) => continue,
                WherePredicate::Type(ty) => {
                    ty.bounds =
                        std::mem::take(&mut ty.bounds).into_iter().filter(|bound| !is_lifetime(bound)).collect();
                }
                _ => {}
            }
            refuse(&lifetimes, &predicate, problems);
            instance.clause.push(predicate);
        }
        instance
    }

    /// Whether there is more than one instance.
    pub(crate) fn is_generic(&self) -> bool {
        !self.params.is_empty()
    }

    /// `<T: ?Sized, const N: usize>`: for the type itself, which asks nothing of its parameters.
    pub(crate) fn declared(&self) -> Option<TokenStream> {
        let params = self.params.iter().map(|param| match param {
            GenericParam::Type(ty) => {
                let name = &ty.ident;
                quote! { #name: ?::core::marker::Sized }
            }
            other => other.to_token_stream(),
        });
        self.is_generic().then(|| quote! { <#(#params),*> })
    }

    /// The field that makes use of the type parameters.
    pub(crate) fn marker(&self) -> Option<TokenStream> {
        let types = self.params.iter().filter_map(|param| match param {
            GenericParam::Type(ty) => Some(&ty.ident),
            _ => None,
        });
        self.is_generic().then(|| quote! { __larder: (#(::core::marker::PhantomData<fn(&#types)>,)*) })
    }

    /// `<T: Clone + 'static, const N: usize>`: for an implementation.
    pub(crate) fn bound(&self) -> Option<TokenStream> {
        let params = &self.params;
        self.is_generic().then(|| quote! { <#(#params),*> })
    }

    /// `<T, N>`, for the type.
    pub(crate) fn arguments(&self) -> Option<TokenStream> {
        let names = self.params.iter().filter_map(|param| match param {
            GenericParam::Type(ty) => Some(&ty.ident),
            GenericParam::Const(constant) => Some(&constant.ident),
            GenericParam::Lifetime(_) => None,
        });
        self.is_generic().then(|| quote! { <#(#names),*> })
    }

    /// `::<T, N>`, for a call of the function.
    pub(crate) fn turbofish(&self) -> Option<TokenStream> {
        let arguments = self.arguments()?;
        Some(quote! { ::#arguments })
    }

    /// The `where` clause, with another predicate.
    pub(crate) fn clause(&self, more: Option<TokenStream>) -> Option<TokenStream> {
        let clause = &self.clause;
        let more = more.into_iter();
        (!clause.is_empty() || more.len() > 0).then(|| quote! { where #(#clause,)* #(#more,)* })
    }
}

/// The generics of a function with `'static` at each type parameter, without which there is no type of its instance.
pub(crate) fn outliving(generics: &Generics) -> Generics {
    let mut generics = generics.clone();
    let mut clause = generics.where_clause.take();
    for ty in generics.type_params_mut() {
        // Beside the bounds that are there: a lint has them in one place.
        let name = &ty.ident;
        let elsewhere =
            clause.iter_mut().flat_map(|clause| &mut clause.predicates).find_map(|predicate| match predicate {
                WherePredicate::Type(one) if is_name(&one.bounded_ty, name) => Some(&mut one.bounds),
                _ => None,
            });
        match elsewhere {
            Some(bounds) if ty.bounds.is_empty() => bounds.push(parse_quote! { 'static }),
            _ => ty.bounds.push(parse_quote! { 'static }),
        }
    }
    generics.where_clause = clause;
    generics
}

fn is_name(ty: &Type, name: &Ident) -> bool {
    matches!(ty, Type::Path(path) if path.qself.is_none() && path.path.is_ident(name))
}

fn outlive(ty: &mut TypeParam) {
    ty.bounds = std::mem::take(&mut ty.bounds).into_iter().filter(|bound| !is_lifetime(bound)).collect();
    ty.bounds.push(parse_quote! { 'static });
    ty.colon_token.get_or_insert(<Token![:]>::default());
}

fn is_lifetime(bound: &TypeParamBound) -> bool {
    matches!(bound, TypeParamBound::Lifetime(_))
}

fn refuse(lifetimes: &[&Ident], bound: &(impl ToTokens + VisitedBy), problems: &mut Problems) {
    let mut named = Named { lifetimes, found: None };
    bound.visited_by(&mut named);
    if let Some(found) = named.found {
        let message = "the type of the function has no lifetime to be bound by: bound it for all, with `for<'l>`, \
                       or leave the bound out";
        problems.at(found, message);
    }
}

/// What may hold a lifetime of the function's.
trait VisitedBy {
    fn visited_by(&self, visitor: &mut Named<'_>);
}

impl VisitedBy for GenericParam {
    fn visited_by(&self, visitor: &mut Named<'_>) {
        visitor.visit_generic_param(self);
    }
}

impl VisitedBy for WherePredicate {
    fn visited_by(&self, visitor: &mut Named<'_>) {
        visitor.visit_where_predicate(self);
    }
}

struct Named<'l> {
    lifetimes: &'l [&'l Ident],
    found: Option<Lifetime>,
}

impl Visit<'_> for Named<'_> {
    fn visit_lifetime(&mut self, lifetime: &Lifetime) {
        if self.lifetimes.contains(&&lifetime.ident) {
            self.found.get_or_insert_with(|| lifetime.clone());
        }
        visit::visit_lifetime(self, lifetime);
    }
}

#[cfg(test)]
mod test {
    use super::*;

    fn instance(text: &str) -> (Instance, Vec<String>) {
        let sig: syn::Signature = syn::parse_str(text).expect("a signature");
        let mut problems = Problems::default();
        let instance = Instance::of(&sig.generics, &mut problems);
        (instance, problems.messages())
    }

    fn text(tokens: Option<TokenStream>) -> String {
        tokens.map_or_else(String::new, |tokens| tokens.to_string().replace(' ', ""))
    }

    #[test]
    fn lifetimes_make_no_instances() {
        let (instance, problems) = instance("fn f<'a, 'b: 'a>(x: &'a str, y: &'b str) where 'b: 'a");
        assert_eq!(problems, Vec::<String>::new());
        assert!(!instance.is_generic());
        assert_eq!(text(instance.bound()), "");
        assert_eq!(text(instance.clause(None)), "");
    }

    #[test]
    fn parameters_are_bound_as_the_function_binds_them() {
        let (instance, problems) =
            instance("fn f<'a, T: 'a + Clone, U, const N: usize>(x: &'a T) where T: 'a + Copy, U: Into<T>, 'a: 'a");
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(text(instance.declared()), "<T:?::core::marker::Sized,U:?::core::marker::Sized,constN:usize>");
        assert_eq!(text(instance.bound()), "<T:Clone+'static,U:'static,constN:usize>");
        assert_eq!(text(instance.turbofish()), "::<T,U,N>");
        assert_eq!(text(instance.clause(None)), "whereT:Copy,U:Into<T>,");
    }

    #[test]
    fn the_function_is_bound_where_it_has_its_bounds() {
        let sig: syn::Signature =
            syn::parse_str("fn f<T: Copy, U, V>(x: T) where U: Copy, T: Clone").expect("a signature");
        let generics = outliving(&sig.generics);
        assert_eq!(text(Some(generics.to_token_stream())), "<T:Copy+'static,U,V:'static>");
        assert_eq!(text(Some(generics.where_clause.to_token_stream())), "whereU:Copy+'static,T:Clone");
    }

    #[test]
    fn a_bound_of_the_calls_lifetime_is_refused() {
        for function in ["fn f<'a, T: From<&'a str>>(x: &'a str)", "fn f<'a, T>(x: &'a str) where T: From<&'a str>"] {
            let (_, problems) = instance(function);
            assert_eq!(problems.len(), 1, "{problems:?}");
            assert!(problems[0].starts_with("the type of the function has no lifetime"), "{problems:?}");
        }
        let (_, problems) = instance("fn f<T: for<'a> From<&'a str>>(x: &str)");
        assert_eq!(problems, Vec::<String>::new());
    }
}
