//! Calls of functions, aggregates and windows.

use chronolith_sql::ast::{
    self, DuplicateTreatment, FunctionArg, FunctionArgExpr, FunctionArgumentClause,
    FunctionArguments,
};
use chronolith_sql::{Exclusion, exclusion};
use chronolith_types::SqlType;

use super::read::{Reader, Typed};
use super::select::options;
use super::shown::{Aggregate, Bound, Frame, Over, Shown, Sorted, Sublink, Window};
use crate::bind::call::{Arg, function_name, spelled};
use crate::bind::special::clock_digits;
use crate::bind::state::{Result, unsupported};
use crate::catalogs::quoted;
use crate::functions::{ProcKind, procs};

impl Reader<'_, '_> {
    pub(super) fn call(&mut self, tree: &ast::Expr, function: &ast::Function) -> Result<Typed> {
        let result = self.bound(tree)?.ty;
        let (schema, name) = spelled(function);
        let list = match &function.args {
            FunctionArguments::None => {
                let name = function_name(function)?;
                return Ok((Shown::Word(name.to_uppercase()), result));
            }
            FunctionArguments::Subquery(query) if name == "array" => {
                let query = Box::new(self.inner(query)?);
                return Ok((Shown::Sublink(None, Sublink::Array, query), result));
            }
            FunctionArguments::Subquery(query) => {
                let tree = ast::Expr::Subquery(query.clone());
                return Ok((self.call_of(&name, &[&tree])?, result));
            }
            FunctionArguments::List(list) => list,
        };
        if schema.is_none()
            && let Some(digits) = clock_digits(&name, &list.args)
        {
            let word = format!("{}({digits})", name.to_uppercase());
            return Ok((Shown::Word(word), result));
        }
        let own = self.binder.names.routines(schema.as_deref(), &name)?;
        let known = procs(&name);
        let grouped = known
            .iter()
            .any(|proc| matches!(proc.kind, ProcKind::Aggregate | ProcKind::Window));
        if own.is_empty() && (grouped || function.over.is_some()) {
            return Ok((self.aggregate(&name, function, list)?, result));
        }
        if function.filter.is_some()
            || function.over.is_some()
            || list.duplicate_treatment.is_some()
            || !list.clauses.is_empty()
        {
            return Err(unsupported("showing this call"));
        }
        if own.is_empty() && matches!(name.as_str(), "coalesce" | "greatest" | "least") {
            let mut shown = Vec::with_capacity(list.args.len());
            for tree in plain(&list.args)? {
                let (item, from) = self.read(tree)?;
                let item = self.as_type(item, &from, &result.without_typmod());
                shown.push(item.ok_or_else(|| unsupported("showing this argument"))?);
            }
            return Ok((Shown::Call(name.to_uppercase(), shown), result));
        }
        if own.is_empty() && matches!(name.as_str(), "nullif" | "row" | "grouping") {
            return Ok((self.special(&name, &plain(&list.args)?)?, result));
        }
        Ok((
            self.named_call(schema.as_deref(), &name, &list.args)?,
            result,
        ))
    }

    fn special(&mut self, name: &str, trees: &[&ast::Expr]) -> Result<Shown> {
        let mut shown = Vec::with_capacity(trees.len());
        if let ("nullif", [left, right]) = (name, trees) {
            let (left, right) = (self.read(left)?, self.read(right)?);
            match self.operation(left, "=", right)?.0 {
                Shown::Operation(left, _, right) => shown.extend([*left, *right]),
                _ => return Err(unsupported("showing this call")),
            }
        } else {
            for tree in trees {
                shown.push(self.key(tree)?);
            }
        }
        Ok(match name {
            "row" => Shown::Row(shown),
            name => Shown::Call(name.to_uppercase(), shown),
        })
    }

    /// A call with whatever its arguments are cast to.
    pub(super) fn named_call(
        &mut self,
        schema: Option<&str>,
        name: &str,
        args: &[FunctionArg],
    ) -> Result<Shown> {
        let mut given = Vec::with_capacity(args.len());
        for arg in args {
            let (label, value) = match arg {
                FunctionArg::Unnamed(value) => (None, value),
                FunctionArg::Named { name, arg, .. } => (Some(name.value.clone()), arg),
                FunctionArg::ExprNamed { name, arg, .. } => (Some(name.to_string()), arg),
            };
            let FunctionArgExpr::Expr(tree) = value else {
                return Err(unsupported("showing this argument"));
            };
            given.push((label, tree));
        }
        let mut bound = Vec::with_capacity(given.len());
        for (label, tree) in &given {
            let variadic = label.as_deref() == Some("variadic");
            bound.push(Arg {
                name: label.clone().filter(|_| !variadic),
                value: self.bound(tree)?,
                variadic,
            });
        }
        let mut slots: Vec<usize> = (0..given.len()).collect();
        let (shown_name, types) = match self.binder.own_call(schema, name, bound, None)? {
            Ok(call) => {
                if given.iter().any(|(label, _)| label.is_some()) {
                    return Err(unsupported("showing this call"));
                }
                let types: Vec<SqlType> = call.args.iter().map(|arg| arg.ty.clone()).collect();
                let own = quoted(&call.routine.name).into_owned();
                let found = self.binder.names.routines(None, &call.routine.name)?;
                let visible = found.iter().any(|known| known.id == call.routine.id);
                let home = self.binder.names.schema_of(&call.routine);
                let shown = match home {
                    Some(home) if !visible => format!("{}.{own}", quoted(&home)),
                    _ => own,
                };
                (shown, types)
            }
            Err(bound) => {
                let resolved = self.binder.resolve(name, bound, None)?;
                for (slot, (label, _)) in slots.iter_mut().zip(&given) {
                    let Some(label) = label.as_deref().filter(|label| *label != "variadic") else {
                        continue;
                    };
                    let names = resolved.proc.arg_names.iter();
                    let found = names.enumerate().find(|(_, known)| **known == label);
                    *slot = found.map_or(*slot, |(place, _)| place);
                }
                // Where anything may stand a text without a type stays one.
                let declared = &resolved.proc.args;
                let any = |place: usize| {
                    let ty = declared.get(place).or(declared.last());
                    ty == Some(&SqlType::Any)
                };
                let types = resolved.args.iter().enumerate().map(|(place, arg)| {
                    if any(place) {
                        SqlType::Any
                    } else {
                        arg.ty.clone()
                    }
                });
                (quoted(name).into_owned(), types.collect())
            }
        };
        let mut shown = Vec::with_capacity(given.len());
        for ((label, tree), slot) in given.into_iter().zip(slots) {
            let (arg, from) = self.read(tree)?;
            let to = types.get(slot).filter(|ty| **ty != SqlType::Any);
            let to = to.unwrap_or(&from).without_typmod();
            let arg = self.as_type(arg, &from, &to);
            let arg = Box::new(arg.ok_or_else(|| unsupported("showing this argument"))?);
            shown.push(match label.as_deref() {
                None => *arg,
                Some("variadic") => Shown::Variadic(arg),
                Some(label) => Shown::Named(label.to_owned(), arg),
            });
        }
        Ok(Shown::Call(shown_name, shown))
    }

    /// A call of a function of the system.
    pub(super) fn call_of(&mut self, name: &str, trees: &[&ast::Expr]) -> Result<Shown> {
        Ok(self.calling(name, trees)?.0)
    }

    pub(super) fn calling(&mut self, name: &str, trees: &[&ast::Expr]) -> Result<Typed> {
        let (args, result) = self.cast_to(name, trees)?;
        Ok((Shown::Call(quoted(name).into_owned(), args), result))
    }

    /// Arguments as the function that they mean takes them.
    fn cast_to(&mut self, name: &str, trees: &[&ast::Expr]) -> Result<(Vec<Shown>, SqlType)> {
        let mut args = Vec::with_capacity(trees.len());
        for tree in trees {
            args.push(Arg {
                name: None,
                value: self.bound(tree)?,
                variadic: false,
            });
        }
        let resolved = self.binder.resolve(name, args, None)?;
        let mut shown = Vec::with_capacity(trees.len());
        for (tree, to) in trees.iter().zip(&resolved.args) {
            let (arg, from) = self.read(tree)?;
            let arg = self.as_type(arg, &from, &to.ty.without_typmod());
            shown.push(arg.ok_or_else(|| unsupported("showing this argument"))?);
        }
        Ok((shown, resolved.result))
    }

    fn aggregate(
        &mut self,
        name: &str,
        function: &ast::Function,
        list: &ast::FunctionArgumentList,
    ) -> Result<Shown> {
        let star = matches!(
            list.args.as_slice(),
            [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)]
        );
        let trees = if star { Vec::new() } else { plain(&list.args)? };
        let within = &function.within_group;
        let mut all = trees.clone();
        all.extend(within.iter().map(|key| &key.expr));
        let (mut args, _) = self.cast_to(name, &all)?;
        let mut given = Vec::with_capacity(trees.len());
        for tree in &trees {
            given.push(self.read(tree)?.0);
        }
        let mut order = Vec::new();
        for (key, shown) in within.iter().zip(args.split_off(trees.len())) {
            order.push(Sorted {
                key: shown,
                options: options(&key.options),
                number: false,
            });
        }
        for clause in &list.clauses {
            let FunctionArgumentClause::OrderBy(keys) = clause else {
                return Err(unsupported("showing this aggregate"));
            };
            for key in keys {
                let mut sorted = self.sorted(key)?;
                // An argument that rows are sorted by is cast where it is one too.
                let same = given.iter().position(|given| *given == sorted.key);
                if let Some(arg) = same.and_then(|place| args.get(place)) {
                    sorted.key = arg.clone();
                }
                order.push(sorted);
            }
        }
        let filter = match &function.filter {
            Some(filter) => {
                let (shown, from) = self.read(filter)?;
                Some(self.settled(shown, &from, &SqlType::Bool)?)
            }
            None => None,
        };
        let over = match &function.over {
            None => None,
            Some(ast::WindowType::NamedWindow(name)) => Some(Over::Name(name.value.clone())),
            Some(ast::WindowType::WindowSpec(spec)) => {
                Some(Over::Window(Box::new(self.window(spec)?)))
            }
        };
        Ok(Shown::Aggregate(Box::new(Aggregate {
            name: quoted(name).into_owned(),
            distinct: list.duplicate_treatment == Some(DuplicateTreatment::Distinct),
            star,
            args,
            order,
            within: !within.is_empty(),
            filter,
            over,
        })))
    }

    fn sorted(&mut self, key: &ast::OrderByExpr) -> Result<Sorted> {
        Ok(Sorted {
            key: self.key(&key.expr)?,
            options: options(&key.options),
            number: false,
        })
    }

    pub(super) fn window(&mut self, spec: &ast::WindowSpec) -> Result<Window> {
        let mut partition = Vec::with_capacity(spec.partition_by.len());
        for key in &spec.partition_by {
            partition.push(self.key(key)?);
        }
        let mut order = Vec::with_capacity(spec.order_by.len());
        for key in &spec.order_by {
            order.push(self.sorted(key)?);
        }
        let frame = match &spec.window_frame {
            None => None,
            Some(frame) => {
                let (start, exclusion) = exclusion(frame);
                Some(Frame {
                    units: match frame.units {
                        ast::WindowFrameUnits::Rows => "ROWS",
                        ast::WindowFrameUnits::Range => "RANGE",
                        ast::WindowFrameUnits::Groups => "GROUPS",
                    },
                    start: self.frame_bound(&start)?,
                    end: match &frame.end_bound {
                        Some(end) => Some(self.frame_bound(end)?),
                        None => None,
                    },
                    exclusion: exclusion.map(Exclusion::words),
                })
            }
        };
        Ok(Window {
            base: spec.window_name.as_ref().map(|name| name.value.clone()),
            partition,
            order,
            frame,
        })
    }

    fn frame_bound(&mut self, bound: &ast::WindowFrameBound) -> Result<Bound> {
        Ok(match bound {
            ast::WindowFrameBound::CurrentRow => Bound::Word("CURRENT ROW"),
            ast::WindowFrameBound::Preceding(None) => Bound::Word("UNBOUNDED PRECEDING"),
            ast::WindowFrameBound::Following(None) => Bound::Word("UNBOUNDED FOLLOWING"),
            ast::WindowFrameBound::Preceding(Some(offset)) => {
                Bound::Offset(self.offset(offset)?, " PRECEDING")
            }
            ast::WindowFrameBound::Following(Some(offset)) => {
                Bound::Offset(self.offset(offset)?, " FOLLOWING")
            }
        })
    }

    fn offset(&mut self, offset: &ast::Expr) -> Result<Shown> {
        let (shown, from) = self.read(offset)?;
        self.settled(shown, &from, &SqlType::Interval(None))
    }
}

/// Arguments without names.
fn plain(args: &[FunctionArg]) -> Result<Vec<&ast::Expr>> {
    args.iter()
        .map(|arg| match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(tree)) => Ok(tree),
            _ => Err(unsupported("showing this argument")),
        })
        .collect()
}
